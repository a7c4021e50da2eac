#!/bin/sh
# Who may include whom. A layer sees itself and what is listed here; nothing else.
awk '
BEGIN {
    may["base"]      = "base"
    may["kernels"]   = "base kernels"
    may["model"]     = "base kernels model"
    may["control"]   = "base kernels model control"
    may["diffusion"] = "base kernels model diffusion"
    may["edit"]      = "base model control diffusion edit"
    may["data"]      = "base data"
    may["runtime"]   = "base runtime"
}
/^#include "pm\// {
    split($0, to, "/"); n = split(FILENAME, from, "/"); own = from[1] == "src" ? from[2] : from[3]
    if (index(" " may[own] " ", " " to[2] " ") == 0) { print FILENAME ":" FNR ": " own " must not include " to[2]; bad = 1 }
}
/^#include <mpi.h>/ && FILENAME !~ /\/(runtime|data)\// { print FILENAME ":" FNR ": MPI outside runtime and data"; bad = 1 }
END { exit bad }' $(find src include -name '*.[ch]')
