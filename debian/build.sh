#!/bin/sh
# build.sh - makes Debian packages (make deb, make deb-arm).
#
# usage: build.sh SOURCE OUT [ARCH]      SOURCE: an unpacked distribution, left as it is; OUT: where packages go
#
# For this machine's architecture: source package and .deb, after the unit tests (DEB_BUILD_OPTIONS=nocheck
# leaves them out). For another: the .deb, cross-built.
set -eu
source=$1 out=$2

fail() { echo "build.sh: $*" >&2; exit 1; }

command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null ||
    fail "Debian packages are made on Debian by dpkg-dev and debhelper:" \
        "as root, run: apt-get install build-essential debhelper"
here=$(dpkg --print-architecture)
arch=${3:-$here}
version=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)

mkdir -p "$out"
rm -rf "$out/latimer-$version"
cp -R -p "$source" "$out/latimer-$version"
cd "$out/latimer-$version"

# The calling make's options and variables are none of the package's business.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
if [ "$arch" = "$here" ]; then
    dpkg-checkbuilddeps ||
        fail "packages are missing: as root, in Latimer's folder, run: apt-get build-dep ./"
    dpkg-buildpackage -us -uc
else
    # Without its compiler, configure would fall back to this machine's.
    gcc=$(dpkg-architecture -f -a "$arch" -q DEB_HOST_GNU_TYPE)-gcc
    command -v "$gcc" >/dev/null && dpkg-checkbuilddeps -a "$arch" -P cross,nocheck ||
        fail "packages or $gcc are missing: as root, in Latimer's folder, run:" \
            "dpkg --add-architecture $arch; apt-get update; apt-get build-dep -a $arch -P cross,nocheck ./"
    DEB_BUILD_OPTIONS="nocheck ${DEB_BUILD_OPTIONS-}" dpkg-buildpackage -us -uc -b -a"$arch" -Pcross,nocheck
fi
cd ..
rm -r "latimer-$version"
echo "build.sh: $PWD/latimer_${version}_$arch.deb"
