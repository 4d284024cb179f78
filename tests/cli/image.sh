#!/bin/sh
# image.sh - latimer image: messages, exit codes, and agreement with qemu-img where that is installed.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

qemu=false
! command -v qemu-img >/dev/null || qemu=true
# i CODE TEXT ARGS...: as expect, of latimer image
i() { want_code=$1 want_text=$2; shift 2; expect "$want_code" "$want_text" image "$@"; }
w=$work

# ---- the command line ----
i 2 'needs a command'
i 0 'latimer image COMMAND' --help
expect 0 'latimer image --help' --help
i 0 'allow that the image gets smaller' resize --help
i 2 'did you mean create' creat
i 2 'there is no option -z' create -z "$w/a" 1M
i 1 'there is no option --lost' check --lost "$w/a"
i 2 'SIZE is missing' create "$w/a"
i 2 'not a size' create "$w/a" many
i 2 'not a size' create "$w/a" 1.3
i 2 'not a size' create "$w/a" 99999999999999999999
i 2 'did you mean cluster_size' create -f qcow2 -o clustersize=4k "$w/a" 1M
i 2 'write NAME=VALUE' create -f qcow2 -o cluster_size "$w/a" 1M
i 2 'use on or off' create -f qcow2 -o extended_l2=1 "$w/a" 1M
i 2 'too many arguments' create "$w/a" 1M 2M
i 2 'NEW is missing' convert "$w/a"
i 2 'NEW is missing' convert "$w/a" -o size=1M
i 2 'leave it out' convert -O qcow2 -o size=1M "$w/a" "$w/new"
i 2 'backing_file.*leave it out' convert -O qcow2 -o backing_file=b,backing_fmt=raw "$w/a" "$w/new"
i 2 'backing_fmt.*leave it out' convert -O qcow2 -o backing_fmt=raw "$w/a" "$w/new"
i 2 'raw images have no backing' create -b x -F raw "$w/a" 1M
i 2 'say with -F' create -f qcow2 -b x "$w/a" 1M

# ---- creating ----
i 3 'unknown format' create -f vmdk "$w/a" 1M
i 3 'power of two' create -f qcow2 -o cluster_size=3000 "$w/a" 1M
i 3 'at least 16K' create -f qcow2 -o cluster_size=4k,extended_l2=on "$w/a" 1M
i 3 'use compat=1.1' create -f qcow2 -o compat=0.10,refcount_bits=8 "$w/a" 1M
i 4 'at most' create -f qcow2 -o cluster_size=512 "$w/a" 1P
i 3 'No such file' create -f qcow2 "$w/no/such" 1M
i 3 'No such file' create -f qcow2 -b missing -F raw "$w/a"
i 0 '1572864 bytes' create -f qcow2 "$w/half" 1.5M
i 0 '10485760 bytes' create -f raw "$w/raw" 10M
i 0 '5497558138880 bytes' create -f qcow2 -o compression_type=zstd "$w/base" 5T
i 0 'over base' create -f qcow2 -b base -F qcow2 "$w/top"
i 0 '' create -q -f qcow2 -u -b missing -F raw "$w/orphan" 1M
i 3 'cannot open its backing file.*No such file' convert "$w/orphan" "$w/new"
holds 'a failed conversion leaves no file' '[ ! -e "$w/new" ]'
i 0 'virtual size: 5 TiB (5497558138880 bytes)' info "$w/top"
i 0 'backing file: base (.*/base)' info "$w/top"
i 0 'compression type: zstd' info --backing-chain "$w/top"
i 0 '"virtual-size": 5497558138880' info --output=json "$w/top"
i 0 '"full-backing-filename": ".*/base"' info --output=json --backing-chain "$w/top"
i 0 'a guess' info "$w/raw"

# ---- what is no image, or a damaged one ----
i 3 'No such file' info "$w/missing"
i 3 'directory' info "$w"
i 3 'not a qcow2 image' info -f qcow2 "$w/raw"
# damaged TEXT [OFFSET HEX]...: a qcow2 image with bytes of its header changed
damaged() {
    text=$1
    shift
    cp "$w/half" "$w/bad"
    while [ $# -gt 0 ]; do
        perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, $ARGV[1], 0); print $f pack("H*", $ARGV[2])' \
            "$w/bad" "$1" "$2"
        shift 2
    done
    i 3 "$text" info "$w/bad"
    i 1 "$text" check "$w/bad"
}
damaged 'version 1 ' 4 00000001
damaged 'clusters of 2^30' 20 0000001e
damaged 'encrypted' 32 00000002
damaged 'L1 table has 0 entries' 36 00000000
damaged 'L1 table has [0-9]* bytes' 36 ffffffff
damaged 'multiple of the cluster size' 40 0000000000000200
damaged 'truncated: its L1 table' 40 0000100000000000
damaged 'truncated: its refcount table' 48 0000100000000000
damaged 'refcount table has [0-9]* bytes' 56 7fffffff
damaged 'snapshots' 60 ffffffff
damaged 'features that are not supported: bits 0x80000000' 76 80000000
damaged 'data is in another file' 76 00000004
damaged 'compression type 7' 76 00000008 104 07
damaged 'a header of' 100 00000041
damaged 'refcounts of 2^9' 96 00000009
damaged 'header extension' 116 ffffffff
damaged 'a size of' 24 ffffffffffffffff
head -c 50 "$w/half" >"$w/cut"
i 3 'looks\|truncated' info -f qcow2 "$w/cut"
head -c 66000 "$w/half" >"$w/cut"
i 3 'truncated' info "$w/cut"
printf 'KDMV' >"$w/vmdk"
i 3 'looks like a vmdk image' info "$w/vmdk"
i 0 'file format: raw' info -f raw "$w/vmdk"

# ---- backing files that lead astray ----
i 0 '' create -q -f qcow2 -u -b loop -F qcow2 "$w/loop" 1M
i 3 'its own backing file' convert "$w/loop" "$w/new"
i 0 '' create -q -f qcow2 -u -b nbd://host/disk -F raw "$w/nbd" 1M
i 3 'is no file' convert "$w/nbd" "$w/new"
# its format not recorded, and it looks like qcow2 with a backing file: as a guest could make it
cp "$w/top" "$w/forged"
i 0 '' create -q -f qcow2 -u -b forged -F qcow2 "$w/unsure" 1M
perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, 112, 0); print $f pack("N", 0x12345678)' "$w/unsure"
i 3 'does not say which format' convert "$w/unsure" "$w/new"

# ---- check and resize ----
i 0 'no errors' check "$w/half"
i 63 'nothing that could be checked' check "$w/raw"
i 1 'No such file' check "$w/missing"
i 1 'use leaks or all' check -r some "$w/half"
i 1 'leave out -U' check -U -r all "$w/half"
i 0 '"corruptions": 0' check --output=json "$w/half"
i 2 'SIZE is missing' resize "$w/half"
i 2 'say --shrink' resize "$w/half" 1M
i 0 '1048576 bytes' resize --shrink "$w/half" 1M
i 0 '3145728 bytes' resize "$w/half" +2M
i 0 '2097152 bytes' resize --shrink "$w/half" -1M
i 2 'has only' resize --shrink "$w/half" -1G
# a refcount too low, and one too high: the refcount block is the third cluster
perl -e 'open(my $f, ">", $ARGV[0]); print $f map { chr(rand(256)) } 1 .. 400000' "$w/data"
i 0 '' convert -O qcow2 "$w/data" "$w/hurt"
perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, 131072 + 2 * 5, 0); print $f pack("n", 0);
    seek($f, 131072 + 400, 0); print $f pack("n", 1)' "$w/hurt"
i 2 'ERROR: cluster 5: refcount 0' check "$w/hurt"
i 2 'leaked: cluster 200' check "$w/hurt"
i 2 '' check -r leaks "$w/hurt"
i 0 'repaired' check -r all "$w/hurt"
i 0 'no errors' check "$w/hurt"
i 0 '' convert "$w/hurt" "$w/data2"
holds 'the data is as it was' 'head -c 400000 "$w/data2" | cmp - "$w/data"'
# one entry that leads far away makes a file of many TiB: time and memory go with what is in it
i 0 '' create -f qcow2 -o cluster_size=4k "$w/far" 1M
i 0 '' create -f qcow2 -o cluster_size=512 "$w/farther" 1M
if truncate -s 8T "$w/far" && truncate -s 200G "$w/farther"; then
    i 0 'no errors' check "$w/far"
    holds 'little memory is enough' '(ulimit -v 1000000; "$latimer" image check "$w/far") >/dev/null 2>&1'
    i 1 'more than such an image.s refcounts can count' check "$w/farther"
else
    skip 'a file system that takes no file of 8 TiB'
fi
rm -f "$w/far" "$w/farther"
perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, 131072 + 400, 0); print $f pack("n", 1)' "$w/half"
i 3 'lost space' check "$w/half"
i 0 'repaired' check -r leaks "$w/half"
# an L1 entry that leads to L1 itself: cannot be repaired, and must not be written
cp "$w/hurt" "$w/l1"
perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, 40, 0); read($f, my $x, 8); $x = unpack("Q>", $x);
    seek($f, $x, 0); print $f pack("Q>", 0x8000000000000000 | $x)' "$w/l1"
i 2 'ERROR' check "$w/l1"
i 3 'two of its tables are in one place' resize "$w/l1" +1M

# not closed by a program that is lax with refcounts: repaired when it is to be written, not when it is read
cp "$w/hurt" "$w/dirty"
perl -e 'open(my $f, "+<", $ARGV[0]); seek($f, 48, 0); read($f, my $rt, 8); seek($f, unpack("Q>", $rt), 0);
    read($f, my $block, 8); seek($f, unpack("Q>", $block) + 2 * 5, 0); print $f pack("n", 0);
    seek($f, 79, 0); print $f "\1"' "$w/dirty"
i 2 'ERROR: cluster 5: refcount 0' check "$w/dirty"
i 0 'dirty: yes' info "$w/dirty"
i 0 '' resize "$w/dirty" +1M
i 0 'no errors' check "$w/dirty"
holds 'it is no longer dirty' '! "$latimer" image info "$w/dirty" | grep -q "dirty: yes"'

# ---- copying ----
# a host that takes no more: an error, and nothing is left
limited() {
    (ulimit -f "$1"; shift; "$latimer" image "$@") >"$w/out" 2>&1
    [ $? = 4 ] && grep -q 'File too large' "$w/out"
}
for blocks in 100 500; do
    holds "no more than $blocks blocks" \
        'limited $blocks convert -O qcow2 "$w/data" "$w/limited" && [ ! -e "$w/limited" ]'
done
holds 'nor for a new image' 'limited 100 create -f qcow2 "$w/limited" 1G && [ ! -e "$w/limited" ]'
i 3 'would replace' convert "$w/data" "$w/data"
i 2 'cannot be compressed' convert -c "$w/data" "$w/new"
i 3 'no snapshot' convert -l s9 -O qcow2 "$w/hurt" "$w/new"
for o in cluster_size=512 cluster_size=2M compat=0.10 extended_l2=on compression_type=zstd refcount_bits=1; do
    for c in '' -c; do
        i 0 '' convert $c -O qcow2 -o "$o" "$w/data" "$w/new"
        i 0 'no errors' check "$w/new"
        i 0 '' convert -f qcow2 "$w/new" "$w/data2"
        holds "convert $c -o $o and back" 'head -c 400000 "$w/data2" | cmp - "$w/data"'
        ! $qemu || holds "qemu-img compares $c $o" 'qemu-img compare -q -f raw -F qcow2 "$w/data" "$w/new"'
        ! $qemu || holds "qemu-img checks $c $o" 'qemu-img check -q "$w/new"'
    done
done

# ---- other programs' images ----
if $qemu; then
    for o in cluster_size=512 cluster_size=4k,compat=0.10 cluster_size=64k cluster_size=2M extended_l2=on \
        extended_l2=on,cluster_size=16k compression_type=zstd compat=0.10 refcount_bits=64 \
        preallocation=metadata; do
        for c in '' -c; do
            case $c$o in -cprealloc*) continue ;; esac
            qemu-img convert $c -f raw -O qcow2 -o "$o" "$w/data" "$w/q"
            i 0 'no errors' check "$w/q"
            i 0 '' convert "$w/q" "$w/data2"
            holds "qemu-img convert $c -o $o and back" 'head -c 400000 "$w/data2" | cmp - "$w/data"'
        done
    done
    (cd "$w" && qemu-img create -q -f qcow2 -b hurt -F qcow2 q1 &&
        qemu-img create -q -f qcow2 -b q1 -F qcow2 q2 &&
        qemu-img snapshot -c before q2 && qemu-img bitmap --add q2 b0)
    i 0 'before' info "$w/q2"
    i 0 'bitmaps: yes' info "$w/q2"
    i 0 'no errors' check "$w/q2"
    i 0 '' convert "$w/q2" "$w/data2"
    holds 'a chain of three' 'head -c 400000 "$w/data2" | cmp - "$w/data"'
    i 0 '' convert -l before "$w/q2" "$w/data2"
    holds 'its snapshot' 'head -c 400000 "$w/data2" | cmp - "$w/data"'
    i 3 'it has snapshots' resize --shrink "$w/q2" 64K
    i 0 '' resize "$w/q2" +1M
    holds 'qemu-img finds at most the bitmap, which is no longer valid, lost' \
        'qemu-img check "$w/q2" >"$w/out" 2>&1; [ $? = 0 -o $? = 3 ]'
    qemu-img create -q -f qcow2 -o data_file="$w/ext" "$w/with" 1M
    i 3 'data is in another file' info "$w/with"
    # For LUKS qemu-img measures how fast the host is, and gives up on some where it cannot.
    for format in aes luks; do
        if qemu-img create -q -f qcow2 --object secret,id=s,data=x -o encrypt.format=$format,encrypt.key-secret=s \
            "$w/$format" 1M 2>"$w/out"; then
            i 3 'encrypted' info "$w/$format"
        else
            echo "not tried: an image encrypted by $format: $(cat "$w/out")"
        fi
    done
    # locks: qemu-io keeps an image open until its input ends
    if command -v qemu-io >/dev/null; then
        mkfifo "$w/keep"
        qemu-io -f qcow2 "$w/half" <"$w/keep" >/dev/null 2>&1 &
        locker=$!
        exec 9>"$w/keep"
        sleep 1
        i 3 "in use: process $locker (qemu-io)" resize "$w/half" +1M
        i 3 'in use' info "$w/half"
        i 0 'file format: qcow2' info -U "$w/half"
        exec 9>&-
        wait $locker
        i 0 '' resize "$w/half" +1M
    fi
else
    skip 'comparing with qemu-img' 'it is not installed'
fi

finish
