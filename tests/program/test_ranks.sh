#!/bin/sh
# A store is a function of its manifest: bitwise the same whoever computed it, and how.
. tests/program/lib.sh
find_python

cpu_has() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; }

check "one rank makes the store" ends 2 on 1 run $config --store "$work/1.h5"
for ranks in 2 3 4; do
    check "$ranks ranks make a store" ends 2 on $ranks run $config --store "$work/$ranks.h5"
    check "$ranks ranks make the same store as one" same_stores "$work/1.h5" "$work/$ranks.h5"
done

check "it runs without mpirun" ends 2 env -u OMPI_MCA_ess_singleton_isolated "$program" run $config --store "$work/alone.h5"
check "without mpirun the store is the same" same_stores "$work/1.h5" "$work/alone.h5"

check "a run has two threads" ends 2 "$program" run $config --store "$work/threads.h5" --threads 2
check "two threads make the same store as one" same_stores "$work/1.h5" "$work/threads.h5"

core=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
check "two threads on one core begin" ends 85 taskset -c "$core" "$program" run $config --store "$work/bound.h5" \
    --threads 2 --time-limit 0.001
check "they are warned about" says "a rank has 2 threads but may run on 1 core only"

if cpu_has avx2 && cpu_has avx512f; then
    for isa in avx2 avx512; do
        check "$isa makes a store" ends 2 env PROMPTMILL_ISA=$isa "$program" run $config --store "$work/$isa.h5"
    done
    check "AVX2 and AVX-512 make the same store" same_stores "$work/avx2.h5" "$work/avx512.h5"
else
    echo "# this CPU lacks AVX2 or AVX-512: their stores are not compared"
fi

check "bf16 runs alone" ends 2 on 1 run $config --precision bf16 --store "$work/bf16-1.h5"
check "bf16 runs on 3 ranks" ends 2 on 3 run $config --precision bf16 --store "$work/bf16-3.h5"
check "bf16's stores are the same" same_stores "$work/bf16-1.h5" "$work/bf16-3.h5"
check "bf16's store is another than fp32's" ends 1 same_stores "$work/1.h5" "$work/bf16-1.h5"
check "a store of fp32 is not gone on with in bf16" ends 1 on 1 run $config --precision bf16 --store "$work/1.h5"
check "that is said" says '"precision" was "fp32" and is now "bf16"'

# One rank on a CPU with products of bfloat16, one on a CPU without.
on_unlike_cpus()
{
    timeout -k 10 120 mpirun --oversubscribe --bind-to none -n 1 "$program" "$@" : \
        -n 1 env PROMPTMILL_ISA=avx2 "$program" "$@"
}
if cpu_has avx512_bf16; then
    check "unlike CPUs cannot share a run in bf16" ends 1 on_unlike_cpus run $config --precision bf16 --store "$work/mixed.h5"
    check "that is said" says "rank 1's CPU lacks bfloat16 products, rank 0's has: with \"precision\": \"bf16\" all must be alike"
    check "a CPU without them is warned about" ends 2 env PROMPTMILL_ISA=avx2 "$program" run $config --precision bf16 \
        --store "$work/slow.h5"
    check "with what would be faster" says "this CPU has no bfloat16 products (avx2)"
fi
check "unlike CPUs share a run in fp32" ends 2 on_unlike_cpus run $config --store "$work/unlike.h5"
check "and make the same store" same_stores "$work/1.h5" "$work/unlike.h5"

check "a run tells where its time went" ends 2 on 2 run $config --profile-time --store "$work/profile.h5"
check "by kind of layer" prints "convolutions 3x3"
check "and in all" prints "editing"
check "that changes no store" same_stores "$work/1.h5" "$work/profile.h5"

check "PNDM runs alone" ends 2 "$program" run $config --scheduler pndm --store "$work/pndm-1.h5"
check "PNDM runs on 2 ranks" ends 2 on 2 run $config --scheduler pndm --store "$work/pndm-2.h5"
check "PNDM's stores are the same" same_stores "$work/pndm-1.h5" "$work/pndm-2.h5"
check "PNDM's store is another than DDIM's" ends 1 same_stores "$work/1.h5" "$work/pndm-1.h5"
