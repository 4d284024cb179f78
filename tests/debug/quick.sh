# quick.sh - read by the scripts of make check beside it, $0: is there what they need? quick SCRIPT runs its quick cases.
src=${srcdir:-.}
. "$src/tests/seabios.sh"
skipped() {
    echo "${0##*/}: skipped: $*"
    exit 77
}
python=$(command -v python3) || skipped "there is no python3"
have_seabios || skipped "there is no SeaBIOS (install seabios)"
# Another kind of host's build is run by an emulator, many times slower.
[ -z "${EMULATOR-}" ] || export SLOW=10
quick() {
    "$python" "$src/tests/debug/$1" --latimer "${LATIMER:-./latimer}" quick
}
