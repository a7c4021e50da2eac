#!/bin/sh
# Install the Debian packages in $DEBIAN_PACKAGES that are missing, or name them.
# On other systems (modules on a cluster) nothing is installed: what is missing is named.
# With --optional, they are installed where that is easy, and else not missed.
set -eu
is_optional=false
[ "${1:-}" != --optional ] || is_optional=true
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    missing=
    for package in $DEBIAN_PACKAGES; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] && exit 0
    # a toolchain from modules serves as well as Debian's packages
    if command -v mpicc >/dev/null && pkg-config --exists jansson libpng libjpeg libutf8proc libxxhash 2>/dev/null &&
       { pkg-config --exists hdf5-openmpi || pkg-config --exists hdf5 || command -v h5pcc; } >/dev/null 2>&1 &&
       [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        exit 0
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=sudo; else
            if $is_optional; then exit 0; fi
            echo "Missing packages; ask your administrator, or run as root:" >&2
            echo "  apt-get install$missing" >&2
            exit 1
        fi
    fi
    echo "installing:$missing"
    log=$(mktemp)
    if { $as_root apt-get -qq update && DEBIAN_FRONTEND=noninteractive $as_root apt-get -qq install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        rm -f "$log"
    else
        cat "$log" >&2
        rm -f "$log"
        if $is_optional; then exit 0; fi
        exit 1
    fi
elif ! $is_optional; then
    status=0
    command -v mpicc >/dev/null || { echo "missing: mpicc (load an MPI module)" >&2; status=1; }
    pkg-config --exists hdf5-openmpi || pkg-config --exists hdf5 || command -v h5pcc >/dev/null ||
        { echo "missing: parallel HDF5 (load its module; hdf5.pc or h5pcc is looked for)" >&2; status=1; }
    for library in openblas libpng libjpeg jansson libutf8proc libxxhash; do
        pkg-config --exists $library || { echo "missing: $library (its pkg-config file is looked for)" >&2; status=1; }
    done
    exit $status
fi
