#!/bin/sh
# guest.sh - Debian kernels and a small initramfs to boot them with, made in the cache.
#
#   guest.sh kernel NAME    fetches if need be and prints the path of the kernel:
#                           amd64, 686-pae, 686, installer-amd64, installer-i386
#   guest.sh vmlinux NAME   the same kernel without its decompressor, an ELF file (needs xz)
#   guest.sh initrd NAME    the installer's own initial ramdisk (installer-*)
#   guest.sh busybox NAME   prints the path of the busybox program for that kernel
#   guest.sh unpack DIR PACKAGE:ARCH...   unpacks packages into DIR
#   guest.sh tree PACKAGE:ARCH   prints a folder with the package and all it depends on, unpacked
#   guest.sh ovmf           prints the folder with UEFI firmware: the host's, or the package's, unpacked
#   guest.sh modules NAME   prints the folder with that kernel's modules (not those of the installer)
#   guest.sh initramfs NAME [MODULE...]   prints the path of the busybox initramfs for that kernel, with modules
#                           in /modules, in the order given; BOOT_INIT: another /init
#
# Packages are fetched by apt with a private state directory: the host's sources and keys, for both
# amd64 and i386, without a change to the host (and without root).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/latimer
apt=$cache/apt
native=amd64 foreign=i386       # what apt is asked for

fail() { echo "guest.sh: $*" >&2; exit 1; }

apt_opts() {
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    [ -e "$apt/status" ] || : >"$apt/status"
    set -- "$@" -qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
        -o Dir::Cache="$apt/cache" -o APT::Architecture=$native -o APT::Architectures::=$native \
        -o APT::Architectures::=$foreign -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
        -o Acquire::Retries=3
    "$@"
}
# A source that has nothing for i386, or is not reachable, does no harm: what counts is the package.
update() { echo "guest.sh: reading package lists" >&2; apt_opts apt-get update >&2 || true; }
# The newest list is no older than a day, or a package was not found.
have_lists() { [ -n "$(find "$apt/lists" -maxdepth 1 -name '*Packages*' 2>/dev/null | head -n 1)" ]; }
show() { apt_opts apt-cache show "$1" 2>/dev/null | grep -q '^Package:'; }

# fetch PACKAGE:ARCH DIR - unpack it into DIR
fetch() {
    have_lists || update
    show "$1" || { update; show "$1" || fail "package $1 is not in this host's apt sources"; }
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    echo "guest.sh: fetching $1" >&2
    (cd "$work" && apt_opts apt-get download "$1" >&2) || {
        # The lists may be older than the archive.
        update
        (cd "$work" && apt_opts apt-get download "$1" >&2) || { rm -rf "$work"; fail "cannot fetch $1"; }
    }
    mkdir -p "$2"
    dpkg-deb -x "$work"/*.deb "$2"
    rm -rf "$work"
}

# The package a kernel metapackage stands for.
real_kernel() {
    have_lists || update
    apt_opts apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[^: ]*\).*/\1/p' | head -n 1
}

# Everything a package of another architecture needs, which may not be installed beside the host's own. The
# resolver is asked as on a machine of that architecture where nothing is installed.
make_tree() {
    dir=$cache/tree-${1%:*}-${1#*:}
    [ ! -e "$dir" ] || return 0
    apt=$cache/apt-${1#*:} native=${1#*:} foreign=${1#*:}
    update
    apt_opts apt-get -y --download-only --no-install-recommends install "${1%:*}" >&2 ||
        fail "cannot fetch ${1%:*} and what it needs for ${1#*:}"
    mkdir -p "$dir.new"
    for deb in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$dir.new"; done
    rm -rf "$apt"
    mv "$dir.new" "$dir"
}

arch_of() {
    case $1 in
    *amd64) echo amd64 ;;
    686*|*i386) echo i386 ;;
    *) fail "unknown kernel '$1': amd64, 686-pae, 686, installer-amd64, installer-i386" ;;
    esac
}

# Files appear in their place only when whole: an interrupted run is simply repeated.
make_kernel() {
    dir=$cache/$1 arch=$(arch_of "$1")
    [ ! -e "$dir/kernel" ] || return 0
    mkdir -p "$cache"
    tree=$(mktemp -d "$cache/tree.XXXXXX")
    case $1 in
    installer-*)
        fetch "debian-installer-12-netboot-$arch" "$tree"
        from=$(find "$tree" -path '*/text/*' -name linux | head -n 1)
        [ -n "$from" ] || fail "no kernel in the netboot package"
        mkdir -p "$dir"
        cp "$(dirname "$from")/initrd.gz" "$dir/initrd"
        ;;
    *)
        package=$(real_kernel "linux-image-$1:$arch")
        [ -n "$package" ] || { update; package=$(real_kernel "linux-image-$1:$arch"); }
        [ -n "$package" ] || fail "linux-image-$1:$arch is not in this host's apt sources"
        fetch "$package:$arch" "$tree"
        from=$(find "$tree/boot" -name 'vmlinuz-*' | head -n 1)
        mkdir -p "$dir"
        ;;
    esac
    cp "$from" "$dir/kernel.new"
    mv "$dir/kernel.new" "$dir/kernel"
    rm -rf "$tree"
}

# The header says where the compressed kernel lies (Documentation/arch/x86/boot.rst: setup_sects,
# payload_offset, payload_length); behind it stand four bytes with its uncompressed size.
make_vmlinux() {
    make_kernel "$1"
    [ ! -e "$dir/vmlinux" ] || return 0
    command -v xz >/dev/null || fail "xz is missing: install xz-utils"
    field() { od -A n -t "u$2" -j "$1" -N "$2" "$dir/kernel" | tr -d ' '; }
    at=$((($(field 497 1) + 1) * 512 + $(field 584 4)))
    tail -c +$((at + 1)) "$dir/kernel" | head -c $(($(field 588 4) - 4)) | xz -dc >"$dir/vmlinux.new"
    mv "$dir/vmlinux.new" "$dir/vmlinux"
}

make_busybox() {
    arch=$(arch_of "$1") dir=$cache/busybox-$(arch_of "$1")
    mkdir -p "$dir"
    if [ ! -e "$dir/busybox" ]; then
        tree=$(mktemp -d "$cache/tree.XXXXXX")
        fetch "busybox-static:$arch" "$tree"
        cp "$(find "$tree" -path "*/bin/busybox" | head -n 1)" "$dir/busybox.new"
        mv "$dir/busybox.new" "$dir/busybox"
        rm -rf "$tree"
    fi
}

make_modules() {
    arch=$(arch_of "$1") modules=$cache/$1/modules
    [ ! -e "$modules" ] || return 0
    mkdir -p "$cache/$1"
    tree=$(mktemp -d "$cache/tree.XXXXXX")
    package=$(real_kernel "linux-image-$1:$arch")
    [ -n "$package" ] || fail "linux-image-$1:$arch is not in this host's apt sources"
    fetch "$package:$arch" "$tree"
    # Modules fit their own kernel alone.
    cp "$(find "$tree/boot" -name 'vmlinuz-*' | head -n 1)" "$cache/$1/kernel.new"
    cmp -s "$cache/$1/kernel.new" "$cache/$1/kernel" || rm -f "$cache/$1/vmlinux"
    mv "$cache/$1/kernel.new" "$cache/$1/kernel"
    mv "$tree"/lib/modules/*/kernel "$modules"
    rm -rf "$tree"
}

make_initramfs() {
    name=$1
    make_busybox "$name"
    init=${BOOT_INIT:-$here/init}
    out=$dir/initramfs${BOOT_INIT:+-$(basename "$(dirname "$BOOT_INIT")")}
    shift
    [ $# = 0 ] || make_modules "$name"
    modules_in='dir modules' n=10
    for module; do
        file=$(find "$modules" -name "$module.ko" | head -n 1)
        [ -n "$file" ] || fail "kernel $name has no module $module"
        [ -n "${BOOT_INIT-}" ] || out=$out-$module
        modules_in="$modules_in|file modules/$n-$module.ko $file 644"
        n=$((n + 1))
    done
    IFS='|'
    set -- $modules_in
    unset IFS
    # Made anew each time: it takes no time, and is the same bytes unless something changed.
    perl "$here/mkcpio.pl" "$out.$$" 'dir bin' 'dir dev' 'dir proc' 'dir sys' 'dir tmp' 'dir root' \
        'node dev/console 5 1' 'node dev/null 1 3' "file bin/busybox $dir/busybox 755" 'link bin/sh busybox' \
        "file init $init 755" "$@"
    mv "$out.$$" "$out"
    echo "$out"
}

case ${1-} in
kernel) make_kernel "$2"; echo "$cache/$2/kernel" ;;
vmlinux) make_vmlinux "$2"; echo "$cache/$2/vmlinux" ;;
initrd) make_kernel "$2"; echo "$cache/$2/initrd" ;;
busybox) make_busybox "$2"; echo "$dir/busybox" ;;
unpack)
    mkdir -p "$cache"
    dir=$2
    shift 2
    for package in "$@"; do fetch "$package" "$dir"; done
    ;;
tree) mkdir -p "$cache"; make_tree "$2"; echo "$dir" ;;
ovmf)
    dir=/usr/share/OVMF
    if [ ! -e "$dir/OVMF_CODE_4M.fd" ]; then
        dir=$cache/ovmf/usr/share/OVMF
        mkdir -p "$cache"
        [ -e "$dir/OVMF_CODE_4M.fd" ] || fetch ovmf:amd64 "$cache/ovmf"
    fi
    echo "$dir"
    ;;
modules) make_modules "$2"; echo "$modules" ;;
initramfs) mkdir -p "$cache"; shift; make_initramfs "$@" ;;
*) fail "usage: guest.sh kernel|vmlinux|initrd|busybox|modules|initramfs NAME | ovmf | unpack DIR PACKAGE:ARCH... | tree PACKAGE:ARCH" ;;
esac
