#!/bin/sh
# bootstrap.sh - which packages ./bootstrap takes for missing, with a dpkg and an apt-get of the test's own.
set -u
case $(uname -m) in x86_64) ;; *) echo "bootstrap.sh: skipped: only x86-64 takes another architecture's packages"; exit 77 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp "${srcdir:-.}/bootstrap" "$work/"

# What is installed: libraries of another architecture only, one of both, programs of this one and of all.
cat >"$work/bin/dpkg-query" <<'END'
#!/bin/sh
format=
for name; do case $name in *'${'*) format=$name ;; esac; done
arches=amd64
case $name in
libzstd-dev) arches=arm64 ;;
libpng-dev) arches="arm64 amd64" ;;
perl) arches=all ;;
libffi-dev) exit 1 ;;
libcapstone-dev) echo "$format" | sed 's/${Architecture}/amd64/; s/${Status}.*/deinstall ok config-files/'; exit 0 ;;
esac
for a in $arches; do
    echo "$format" | sed "s/\${Architecture}/$a/; s/\${Status}.*/install ok installed/"
done
END
printf '#!/bin/sh\n[ "$1" = --print-architecture ] && echo amd64\n' >"$work/bin/dpkg"
printf '#!/bin/sh\nexit 100\n' >"$work/bin/apt-get"
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod +x "$work/bin"/*

said=$(PATH=$work/bin:$PATH sh "$work/bootstrap" build 2>&1)
code=$?
wanted='bootstrap: installing libffi-dev libcapstone-dev libzstd-dev
bootstrap: apt-get could not install libffi-dev libcapstone-dev libzstd-dev'
if [ "$said" != "$wanted" ] || [ $code != 1 ]; then
    printf 'FAIL: bootstrap ended with %s and said:\n%s\nwanted: 1 and\n%s\n' "$code" "$said" "$wanted"
    exit 1
fi
echo "bootstrap.sh: it misses what is there for another architecture only, and nothing else"
