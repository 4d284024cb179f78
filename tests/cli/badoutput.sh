#!/bin/sh
# badoutput.sh - files that cannot be written, given to every option that writes one: it is said before the guest runs, and
# what lies in the way is not damaged. The guest's own exit code would be 67.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

guest exit b021e6f4f4                           # mov al,21h; out 0f4h,al; hlt
# mov dx,3f8h; mov al,'A'; out dx,al; mov dx,0e9h; out dx,al; mov ecx,100000h; loop $; mov al,21h; out 0f4h,al; hlt
guest says 66baf803b041ee66bae900eeb900001000e2feb021e6f4f4
guest reset b0fee664f4                          # mov al,0feh; out 64h,al; hlt
run="-M pc -nic none -display none -device isa-debug-exit"
quiet="$run -serial none -kernel $work/exit"
mkdir "$work/dir"
echo kept >"$work/file"
ln -s no/such "$work/dangling"

# ---- nothing can be made there ----

# writers PATH WHY: each option that writes a file
writers() {
    path=$1 why=$2
    expect 3 "-D: cannot write .*$why" $quiet -D "$path" -d io
    expect 3 "-trace: cannot write .*$why" $quiet -trace "io_*,file=$path"
    expect 3 "-screendump: cannot write .*$why" $quiet -screendump "$path"
    expect 3 "cannot write .*$why" $quiet -netdev user,id=n -device e1000,netdev=n -object "filter-dump,netdev=n,file=$path"
    expect 3 "-audiodev wav,id=a: .*$why" $quiet -audiodev "wav,id=a,path=$path" -device AC97,audiodev=a
    expect 3 "serial0: cannot write .*$why" $run -kernel "$work/exit" -serial "file:$path"
    expect 3 "parallel0: cannot write .*$why" $quiet -parallel "file:$path"
    expect 3 "debugcon: cannot write .*$why" $quiet -debugcon "file:$path"
    expect 3 "chardev c: cannot write .*$why" $quiet -chardev "file,id=c,path=$path"
}
writers "$work/no/such" 'No such file or directory'
writers "$work/file/below" 'Not a directory'
writers "$work/dir" 'Is a directory'
expect 3 '-profile: cannot write .*such.folded: No such file' $quiet -profile "$work/no/such"
mkdir "$work/p.svg"
expect 3 '-profile: cannot write .*p.svg: Is a directory' $quiet -profile "$work/p"
holds 'and leaves no other file' "[ ! -e '$work/p.folded' ]"
echo kept >"$work/p.folded"
expect 3 '-profile: cannot write .*p.svg: Is a directory' $quiet -profile "$work/p"
holds 'a file of a measurement before is not lost' "[ \"\$(cat '$work/p.folded')\" = kept ]"
if [ -e /proc/self ] && $jit; then
    latimer_here=$latimer
    case $latimer in /*) ;; *) latimer=$PWD/$latimer ;; esac
    cd /proc || exit 1
    expect 3 '-jitdump: cannot write jit-.*: No such file' $quiet -jitdump
    cd "$OLDPWD" || exit 1
    latimer=$latimer_here
fi
for opt in '-monitor unix:@,server=on,wait=off' '-gdb unix:@' '-qmp unix:@,server=on,wait=off' \
    '-chardev socket,id=c,server=on,wait=off,path=@'; do
    expect 4 'cannot listen on .*No such file' $quiet $(echo "$opt" | sed "s:@:$work/no/such:")
    expect 4 'cannot listen on .*in use' $quiet $(echo "$opt" | sed "s:@:$work/dir:")
done
holds 'a file in the way is what it was' '[ "$(cat "$work/file")" = kept ] && [ -z "$(ls -A "$work/dir")" ]'

# ---- what is no plain file is written to, not replaced ----

ln -s there.png "$work/link.png"
expect 67 '' $quiet -screendump "$work/link.png"
holds 'a screendump goes where a link leads' \
    '[ -h "$work/link.png" ] && head -c 4 "$work/there.png" | grep -q PNG && [ ! -e "$work/link.png.new" ]'
expect 67 '' $quiet -screendump /dev/null
mkfifo "$work/fifo"
expect 4 'screendump .*fifo: No such device' -M pc -nic none -display none -serial none -no-reboot -kernel "$work/reset" -screendump "$work/fifo"
holds 'a FIFO stays one' '[ -p "$work/fifo" ]'
holds 'a device stays a device' '[ -c /dev/null ]'
ln -s dir "$work/tofolder"
expect 3 '-screendump: cannot write .*dangling: No such file' $quiet -screendump "$work/dangling"
expect 3 '-screendump: cannot write .*tofolder: Is a directory' $quiet -screendump "$work/tofolder"

# ---- a full disk ----

if [ -c /dev/full ]; then
    full='No space left on device'
    expect 3 "cannot write .*$full" $quiet -netdev user,id=n -device e1000,netdev=n -object filter-dump,netdev=n,file=/dev/full
    expect 3 "-audiodev wav,id=a: .*$full" $quiet -audiodev wav,id=a,path=/dev/full -device AC97,audiodev=a
    expect 67 "-screendump /dev/full: $full" $quiet -screendump /dev/full
    expect 67 '-D: not all could be written' $quiet -D /dev/full -d io
    expect 67 '-trace: not all could be written' $quiet -trace 'io_*,file=/dev/full'
    expect 67 "serial0: writing failed ($full): its output is dropped" $run -kernel "$work/says" -serial file:/dev/full
    expect 67 "debugcon: writing failed ($full)" $run -serial none -kernel "$work/says" -debugcon file:/dev/full
    holds '/dev/full is what it was' '[ -c /dev/full ]'
else
    skip 'a full disk' 'there is no /dev/full'
fi

# ---- folders of -L ----

expect 67 'note: -L .*nowhere: No such file or directory: no firmware is looked for there' -L "$work/nowhere" $quiet
expect 67 'note: -L .*file: no folder' -L "$work/file" $quiet
expect 67 '' -L "$work/dir" $quiet
holds 'a folder needs no word' '! grep -q note: "$work/out"'
expect 0 '^/usr/share/qemu$' -L help

finish
