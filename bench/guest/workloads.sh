# workloads.sh - the workloads; sourced by busybox sh in the guest (init), and natively in a chroot of the
# same tree.
#
# Every w_NAME does a fixed amount of work and writes a short result that depends on all of it to standard
# output.  bench.py reads the sets, one line each, and measures between the markers.

set_int="k_int k_branch k_bignum k_div k_bits k_flags k_str"
set_sse="k_sse_d k_sse_f k_vec_int k_vec_fp"
set_fp="$set_sse k_x87"
set_flow="k_interp k_call k_icall"
set_mem="k_ldst k_tlb k_tlb4m k_chase k_copy k_unal k_atomic"
set_smc="k_smc_gen k_smc_patch k_smc_mixed"
set_sys="k_syscall k_pf k_mprot k_ctx k_fork k_exec k_sig"
set_real="gzip python perl luajit ossl_sha shell"
set_quick="k_int k_sse_d k_x87 k_interp k_ldst k_tlb k_syscall k_fork gzip python luajit"
# Memory that held code is dear to reuse, so what new code is compared with comes first, and k_fresh_wipe between.
set_fresh="k_fresh_none k_fresh_nold k_fresh_alu k_fresh_wipe k_fresh_ld"
set_all="$set_int $set_fp $set_flow $set_mem $set_smc $set_sys $set_real"

data=/bench/data

# How many times the kernels (kern.def) do their work; slow hosts ask for a part of it (SCALE).
kern() { /bench/kern "$1" $((($2 + ${SCALE:-1} - 1) / ${SCALE:-1})); }
w_k_int()       { kern int 3000; }
w_k_branch()    { kern branch 100; }
w_k_bignum()    { kern bignum 150000; }
w_k_div()       { kern div 15000000; }
w_k_bits()      { kern bits 200000000; }
w_k_flags()     { kern flags 30000000; }
w_k_str()       { kern str 30000; }
w_k_sse_d()     { kern sse_d 500000; }
w_k_sse_f()     { kern sse_f 2000; }
w_k_vec_int()   { kern vec_int 40000; }
w_k_vec_fp()    { kern vec_fp 20000; }
w_k_x87()       { kern x87 4000000; }
w_k_interp()    { kern interp 600; }
w_k_call()      { kern call 1000; }
w_k_icall()     { kern icall 60000000; }
w_k_ldst()      { kern ldst 120000; }
w_k_tlb()       { kern tlb 5000000; }
w_k_tlb4m()     { kern tlb4m 15000000; }
w_k_chase()     { kern chase 6000000; }
w_k_copy()      { kern copy 60; }
w_k_unal()      { kern unal 150000; }
w_k_atomic()    { kern atomic 100000000; }
w_k_smc_gen()   { kern smc_gen 20000; }
w_k_smc_patch() { kern smc_patch 100000; }
w_k_smc_mixed() { kern smc_mixed 5000000; }
w_k_fresh_none() { kern fresh_none 8; }
w_k_fresh_alu() { kern fresh_alu 8; }
w_k_fresh_nold() { kern fresh_nold 8; }
w_k_fresh_wipe() { kern fresh_none 8; }
w_k_fresh_ld()  { kern fresh_ld 8; }
w_k_syscall()   { kern syscall 3000000; }
w_k_pf()        { kern pf 800; }
w_k_mprot()     { kern mprot 60000; }
w_k_ctx()       { kern ctx 30000; }
w_k_fork()      { kern fork 2000; }
w_k_exec()      { kern exec 1000; }
w_k_sig()       { kern sig 200000; }

w_gzip()     { cat $data/text.dat $data/text.dat $data/text.dat | /usr/bin/gzip -6 -n -c | md5sum; }
w_python()   { PYTHONHASHSEED=0 /usr/bin/python3 -S -E $data/fixed.py; }
w_perl()     { LC_ALL=C PERL_HASH_SEED=0 /usr/bin/perl $data/fixed.pl; }
w_luajit()   { /usr/bin/luajit $data/jit.lua; }
w_ossl_sha() { for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat $data/text.dat; done |
               /usr/bin/openssl dgst -sha256; }
w_shell()    { i=0; while [ $i -lt 100 ]; do echo "$i x$i" | sed 's/x1/y/' | grep -c y; i=$(expr $i + 1)
               /usr/bin/busybox true; done | md5sum; }
w_nothing()  { :; }             # what running a workload costs by itself

# measure "a b c*3": runs each between its markers, c three times.
measure() {
    set -f
    for word in $1; do
        name=${word%"*"*} times=1
        [ "$name" = "$word" ] || times=${word#*"*"}
        echo "@@BEGIN $name"
        while
            (set +f; "w_$name") >/tmp/.out 2>/tmp/.err
            code=$?
            times=$((times - 1))
            [ $code = 0 ] && [ $times -gt 0 ]
        do :; done
        echo "@@END $name code=$code"
        [ $code = 0 ] || { head -c 300 /tmp/.err; echo; }
        set -- "$1" $(md5sum </tmp/.out)
        echo "@@SUM $name $2"
    done
}
