#!/bin/sh
# build.sh - the benchmark guest and the same tree for native runs, made in the cache.
#
# Prints the folder that holds them:
#   bench.cpio      initramfs: unmodified Debian programs, the kernels (kern.c), the data
#   boot.cpio.gz    a tiny one for boots: busybox and /init
#   root/           the tree of bench.cpio, for a chroot
#   stage/          the packages, unpacked
# Debian's kernel is that of tests/boot/guest.sh. Made again when a file of this folder changed; the packages
# are fetched again only when their list did.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
guest() { sh "$here/../../tests/boot/guest.sh" "$@"; }
mkcpio() { perl "$here/../../tests/boot/mkcpio.pl" "$@"; }
out=${XDG_CACHE_HOME:-$HOME/.cache}/latimer/bench

packages="busybox-static gzip python3.11-minimal perl-base luajit openssl libc6 libgcc-s1 zlib1g libexpat1
    libpython3.11-minimal libpython3.11-stdlib libcrypt1 libluajit-5.1-2 libluajit-5.1-common libssl3"
programs="busybox gzip perl luajit openssl python3:python3.11"
applets="sh mount cat echo md5sum sed grep head tr expr true stty rm mkdir sleep"
python="abc codecs io os posixpath genericpath stat _collections_abc site types _sitebuiltins functools
    collections keyword operator reprlib encodings"
cflags="-O2 -Wall -m64 -march=x86-64 -ffreestanding -fno-builtin -nostdlib -static -fno-pie -no-pie
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-math-errno -fno-tree-loop-distribute-patterns
    -fcf-protection=none"

fail() { echo "build.sh: $*" >&2; exit 1; }
for tool in python3 perl readelf "${CC:-cc}"; do
    command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install gcc binutils perl python3"
done
stamp=$(cat "$here"/* | md5sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "$out"
    exit
fi
echo "build.sh: making the benchmark guest in $out" >&2
rm -rf "$out/new"
mkdir -p "$out/new"
stage=$out/stage root=$out/new/root
if [ "$(cat "$stage/packages" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$stage"
    guest unpack "$stage" $(for p in $packages; do echo "$p:amd64"; done)
    echo "$packages" >"$stage/packages"
fi

# ---- the tree: /usr merged, the programs and the libraries they need
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/share" "$root/bench/data" "$root/dev" \
    "$root/proc" "$root/sys" "$root/tmp"
for d in bin lib lib64; do ln -s usr/$d "$root/$d"; done

library() { find "$stage/lib" "$stage/usr/lib" "$stage/lib64" -name "$1" 2>/dev/null | head -n 1; }
# The shared libraries FILE needs, and what those need.
closure() {
    for l in $(readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        [ ! -e "$root/usr/lib/$l" ] || continue
        from=$(library "$l")
        [ -n "$from" ] || fail "$1 needs $l, which no package has"
        cp -L "$from" "$root/usr/lib/$l"
        closure "$root/usr/lib/$l"
    done
}
for p in $programs; do
    from=$(find "$stage/bin" "$stage/usr/bin" -name "${p#*:}" | head -n 1)
    [ -n "$from" ] || fail "no program ${p#*:}"
    cp -L "$from" "$root/usr/bin/${p%:*}"
    closure "$from"
done
cp -L "$(library ld-linux-x86-64.so.2)" "$root/usr/lib64/"
for a in $applets; do ln -s busybox "$root/usr/bin/$a"; done
mkdir -p "$root/usr/lib/python3.11"
for m in $python; do
    from=$stage/usr/lib/python3.11/$m
    [ -e "$from" ] || from=$from.py
    cp -r "$from" "$root/usr/lib/python3.11/"
done
find "$root" -name __pycache__ -prune -exec rm -rf {} +
cp -r "$stage"/usr/share/luajit-* "$root/usr/share/"
for d in "$stage"/usr/lib/*/perl-base; do       # perl looks only under this name
    mkdir -p "$root${d#"$stage"}"
    for m in strict warnings Exporter vars; do cp "$d/$m.pm" "$root${d#"$stage"}/"; done
done

# ---- our own parts
${CC:-cc} $cflags -o "$root/bench/kern" "$here"/kern*.c
python3 "$here/text.py" "$root/bench/data/text.dat"
cp "$here/fixed.pl" "$here/fixed.py" "$here/jit.lua" "$root/bench/data/"
cp "$here/workloads.sh" "$root/bench/"
cp "$here/init" "$root/init"
chmod 755 "$root/init"
mkcpio "$out/new/bench.cpio" 'dir dev' 'node dev/console 5 1' "tree $root"

tiny=$out/new/tiny
mkdir -p "$tiny/usr/bin" "$tiny/bench" "$tiny/dev" "$tiny/proc" "$tiny/sys" "$tiny/tmp"
ln -s usr/bin "$tiny/bin"
cp -P "$root/usr/bin/busybox" $(for a in $applets; do echo "$root/usr/bin/$a"; done) "$tiny/usr/bin/"
cp "$root/init" "$tiny/"
cp "$root/bench/kern" "$tiny/bench/"
mkcpio "$out/new/boot.cpio" 'dir dev' 'node dev/console 5 1' "tree $tiny"
gzip -9 -n "$out/new/boot.cpio"

for f in bench.cpio boot.cpio.gz root; do
    rm -rf "${out:?}/$f"
    mv "$out/new/$f" "$out/$f"
done
rm -rf "$out/new"
echo "$stamp" >"$out/stamp"
echo "$out"
