#include "store_internal.h"

static hid_t row_type(void)
{
    uint8_t state;
    hid_t states = H5Tenum_create(H5T_STD_U8LE);
    H5Tenum_insert(states, "pending", (state = PM_STORE_PENDING, &state));
    H5Tenum_insert(states, "done", (state = PM_STORE_DONE, &state));
    H5Tenum_insert(states, "failed", (state = PM_STORE_FAILED, &state));
    hid_t message = H5Tcopy(H5T_C_S1);
    H5Tset_size(message, PM_ERROR_BYTES);
    H5Tset_cset(message, H5T_CSET_UTF8);
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(struct pm_store_row));
    H5Tinsert(type, "state", HOFFSET(struct pm_store_row, state), states);
    H5Tinsert(type, "flags", HOFFSET(struct pm_store_row, flags), H5T_STD_U8LE);
    H5Tinsert(type, "checksum", HOFFSET(struct pm_store_row, checksum), H5T_STD_U64LE);
    H5Tinsert(type, "message", HOFFSET(struct pm_store_row, message), message);
    H5Tclose(message);
    H5Tclose(states);
    return type;
}

static hid_t provenance_type(void)
{
    hid_t host = H5Tcopy(H5T_C_S1);
    H5Tset_size(host, sizeof((struct pm_store_provenance *)0)->host);
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(struct pm_store_provenance));
    H5Tinsert(type, "rank", HOFFSET(struct pm_store_provenance, rank), H5T_STD_I32LE);
    H5Tinsert(type, "attempts", HOFFSET(struct pm_store_provenance, attempts), H5T_STD_U32LE);
    H5Tinsert(type, "finished", HOFFSET(struct pm_store_provenance, finished), H5T_STD_I64LE);
    H5Tinsert(type, "seconds", HOFFSET(struct pm_store_provenance, seconds), H5T_IEEE_F64LE);
    H5Tinsert(type, "host", HOFFSET(struct pm_store_provenance, host), host);
    H5Tclose(host);
    return type;
}

/* IEEE 754 binary16: numpy's float16. */
static hid_t half_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_ebias(type, 15);
    H5Tset_size(type, 2);
    return type;
}

static hid_t text_type(size_t bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

hid_t store_type(const struct pm_store_shape *shape, enum part part, bool in_file)
{
    hid_t type = -1;
    switch (store_element(shape, part)) {
    case U8:
        return H5Tcopy(H5T_STD_U8LE);
    case I32:
        return H5Tcopy(H5T_STD_I32LE);
    case I64:
        return H5Tcopy(H5T_STD_I64LE);
    case U64:
        return H5Tcopy(H5T_STD_U64LE);
    case F16:
        return half_type();
    case F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case TEXT:
        return text_type(store_size(shape, store_parts[part].text_bytes));
    case ROW:
        type = row_type();
        break;
    case MAKER:
        type = provenance_type();
        break;
    }
    if (in_file) H5Tpack(type);
    return type;
}
