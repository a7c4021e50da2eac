"""Are two stores the same in all that the work decides?

    compare_stores.py A.h5 B.h5

Every dataset outside /provenance must be the same to the bit, with its type, shape, attributes and
axis names; so must the file's attributes, but for those that tell one run from another. Exit
status: 0 the same; 1 not, the first difference is printed.
"""
import sys

import h5py
import numpy

OF_ONE_RUN = {"created", "run_uuid", "config", "shard_prefix", "shard_first_item", "shard_first_entry"}


def differs(sentence):
    print(sentence)
    sys.exit(1)


def objects(store):
    found = {"/": store}
    store.visititems(lambda name, thing: found.update({"/" + name: thing}))
    return {name: thing for name, thing in found.items() if not name.startswith("/provenance")}


def compare_attributes(name, a, b, ignored):
    for key in sorted((set(a.attrs) | set(b.attrs)) - ignored):
        if key not in a.attrs or key not in b.attrs:
            differs(f"{name}: only one has the attribute {key}")
        # as text: axis names are an array, all others are single values
        if repr(a.attrs[key]) != repr(b.attrs[key]):
            differs(f"{name}: the attribute {key} is {a.attrs[key]!r} and {b.attrs[key]!r}")


def compare_datasets(name, a, b):
    if a.dtype != b.dtype or a.shape != b.shape:
        differs(f"{name}: {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    for row in range(a.shape[0]):
        mine, theirs = a[row : row + 1], b[row : row + 1]
        if mine.tobytes() != theirs.tobytes():
            where = numpy.argwhere(mine != theirs)  # none: NaN or -0 differ by their bits only
            at = ", ".join(str(i) for i in where[0][1:]) if len(where) else "?"
            differs(f"{name}[{row}] differs, first at [{at}]")


def main():
    with h5py.File(sys.argv[1], "r") as a, h5py.File(sys.argv[2], "r") as b:
        mine, theirs = objects(a), objects(b)
        for name in sorted(set(mine) ^ set(theirs)):
            differs(f"{name}: only one has it")
        for name, thing in sorted(mine.items()):
            ignored = OF_ONE_RUN if name == "/" else set()
            compare_attributes(name, thing, theirs[name], ignored)
            if isinstance(thing, h5py.Dataset):
                compare_datasets(name, thing, theirs[name])


main()
