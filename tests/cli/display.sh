#!/bin/sh
# display.sh - displays: options and their mistakes, VNC with and without a password, a window without a screen (SDL's
# dummy driver), the terminal, screendumps, all with a guest that writes on the screen and waits for a key.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"
src=${srcdir:-.}
unset DISPLAY WAYLAND_DISPLAY

# ---- options ----
expect 0 'curses' -display help
expect 0 '  en-gb' -k help
expect 0 'VGA with Bochs' -vga help
expect 0 'vgamem_mb=N' -device VGA,help
expect 2 'there is no display' -display xyz
expect 2 'there is no layout' -k xx
expect 2 'there is no layout' -k ../us
expect 2 'there is no video' -vga cirrus
expect 2 'has no PCI bus' -M micro -vga std -kernel x
expect 2 'use a power of two' -M pc -bios "$0" -device VGA,vgamem_mb=12
expect 2 'there is another VGA' -M pc -bios "$0" -device VGA -device VGA
vnc=true sdl=true
"$latimer" -display help | grep -q '^  vnc' || vnc=false
"$latimer" -display help | grep -q '^  sdl' || sdl=false
if $vnc; then
    expect 2 'use HOST:N' -vnc 7
    expect 2 'use HOST:N' -vnc :x
    expect 2 'unknown property' -vnc :7,password=on,lossy=on
    expect 2 'unknown property' -vnc :7,tls=on
    expect 3 'cannot read the password' -vnc :7,password="$work/none"
else
    expect 2 'without libvncserver' -vnc :7
fi
$sdl || expect 2 'without SDL' -display sdl

finish() {
    echo "display.sh: $n checks, $failed failed"
    [ $failed = 0 ]
    exit
}
bios=$(ls /usr/share/seabios/vgabios-stdvga.bin /usr/share/qemu/vgabios-stdvga.bin 2>/dev/null | head -n 1)
[ -n "$bios" ] || { skip 'what is on the screen' 'there is no video BIOS'; finish; }

# Writes "Hi" in white on blue, then leaves with the first key's scan code.
guest key c70500800b0048176917e464a80174fae460e6f4f4ebfd
guest exit c70500800b0048176917b021e6f4f4ebfd
run="-M pc -m 64 -kernel $work/key -device isa-debug-exit"

# ---- screendumps ----
expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -screendump "$work/a.png" -nographic
holds 'a PNG of 720x400' "od -A n -t x1 -N 24 '$work/a.png' | tr -d ' \n' | grep -q '^89504e470d0a1a0a0000000d49484452000002d000000190'"
expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -screendump "$work/a.txt" -nographic
holds 'the text' "[ \"\$(head -n 1 '$work/a.txt')\" = Hi ]"
expect 3 'screendump.*No such file' -M pc -kernel "$work/exit" -device isa-debug-exit -screendump "$work/none/a.png" -nographic
! $vnc || expect 67 'has no video' -M micro -kernel "$work/exit" -device isa-debug-exit -screendump "$work/b.png" -vnc unix:"$work/sock"
holds 'nothing is left behind' "[ ! -e '$work/sock' ] && [ ! -e '$work/a.png.new' ]"

# start ARGS...: in the background, until the screen says Hi
start() {
    rm -f "$work/dump.txt"
    trap '' USR1                # inherited: one that comes before the program's own handler is there does not end it
    "$latimer" $run -screendump "$work/dump.txt" -serial null "$@" >"$work/out" 2>&1 </dev/null &
    pid=$! tries=0
    trap - USR1
    until [ "$(head -n 1 "$work/dump.txt" 2>/dev/null)" = Hi ]; do
        sleep 0.2
        tries=$((tries + 1))
        [ $tries -lt 150 ] && kill -USR1 $pid 2>/dev/null || break
    done
}
# left CODE WHAT: it leaves by itself
left() {
    code=0 tries=0
    # No subshell to watch it: one that is killed at once may run this shell's EXIT trap.
    while kill -0 $pid 2>/dev/null && [ $tries -lt 300 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ $tries -lt 300 ] || kill -9 $pid
    wait $pid || code=$?
    holds "$2 (exit code $code): $(cat "$work/out")" "[ $code = $1 ]"
}
ends() {
    kill -INT $pid 2>/dev/null || kill -TERM $pid
    kill -TERM $pid 2>/dev/null; kill -TERM $pid 2>/dev/null
    wait $pid 2>/dev/null
}
! $vnc || expect 4 'No such file' $run -vnc unix:"$work/none/sock"
python=$(command -v python3)
if $vnc && [ -n "$python" ]; then
    client="$python $src/tests/vnc/vnc.py"
    start -vnc unix:"$work/sock"
    holds 'VNC: size' "[ \"\$($client unix:'$work/sock' size)\" = 720x400 ]"
    holds 'VNC: colours' "[ \"\$($client unix:'$work/sock' colours)\" = 3 ]"
    holds 'VNC: a picture' "$client unix:'$work/sock' move 10 10 click 1 png '$work/c.png' && [ -s '$work/c.png' ]"
    # Who goes away in the middle of a greeting or of pictures that were asked for, with and without a reset, harms nobody.
    $python - "$work/sock" <<'EOF'
import socket, struct, sys
for i in range(24):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    if i % 4:
        for answer in b"RFB 003.008\n", b"\1", b"\1":
            s.recv(100)
            s.send(answer)
        s.recv(4)
        s.send(struct.pack(">BBHHHH", 3, 0, 0, 0, 720, 400) * (30 * (i % 3)) + b"\3" * (i % 5))
        s.recv(1 + 999 * (i % 2))
    s.close()
EOF
    holds 'VNC: after clients that were cut off' "$client unix:'$work/sock' size >/dev/null"
    # Who takes no pictures holds up nobody, nor the own keys.
    $client unix:"$work/sock" deaf 5 sleep 100 &
    deaf=$!
    sleep 1
    holds 'VNC: beside a client that does not read' "timeout 18 $client unix:'$work/sock' size >/dev/null"
    kill $deaf
    timeout 25 $client unix:"$work/sock" deaf 5 sleep 1 key a 2>/dev/null
    left 61 'VNC: a key'
    echo geheim >"$work/password"
    : >"$work/sock"             # not a socket: it is not overwritten
    expect 4 'use another path' $run -vnc unix:"$work/sock"
    rm "$work/sock"
    start -vnc unix:"$work/sock",password="$work/password"
    holds 'VNC: no password' "! $client unix:'$work/sock' size 2>/dev/null"
    holds 'VNC: wrong password' "! $client --password gehein unix:'$work/sock' size 2>/dev/null"
    holds 'VNC: password' "$client --password geheim unix:'$work/sock' size >/dev/null"
    expect 4 'use another path' $run -vnc unix:"$work/sock"
    kill -9 $pid
    wait $pid 2>/dev/null
    # A password that a monitor sets, changes, and has expire; a server without one takes none.
    start -vnc unix:"$work/sock",password=on -monitor unix:"$work/mon",server,nowait -qmp unix:"$work/qmp",server,nowait
    monitor() { $python "$src/tests/cli/ask.py" "$work/mon" "$@"; }
    qmp() { $python "$src/tests/cli/ask.py" "$work/qmp" '{"execute":"qmp_capabilities"}' "$@"; }
    in_by() { $client --password "$1" unix:"$work/sock" size >/dev/null 2>&1; }
    holds 'VNC: before there is a password' "! in_by '' && ! in_by geheim && ! $client unix:'$work/sock' size 2>/dev/null"
    holds 'VNC: change vnc password' "! monitor 'change vnc password erstes' | grep >/dev/null use && in_by erstes && ! in_by geheim"
    holds 'VNC: set_password' "monitor 'set_password vnc zweites keep' >/dev/null && in_by zweites && ! in_by erstes"
    holds 'VNC: expired' "monitor 'expire_password vnc now' >/dev/null && ! in_by zweites"
    holds 'VNC: not yet' "monitor 'expire_password vnc +1000' >/dev/null && in_by zweites"
    holds 'VNC: long ago' "monitor 'expire_password vnc 1000000000' >/dev/null && ! in_by zweites"
    holds 'VNC: never' "monitor 'expire_password vnc never' >/dev/null && in_by zweites"
    holds 'VNC: no time' "monitor 'expire_password vnc soon' | grep >/dev/null 'use now'"
    holds 'VNC: no other protocol' "monitor 'set_password spice x' | grep >/dev/null 'use vnc'"
    holds 'VNC: by QMP' "qmp '{\"execute\":\"set_password\",\"arguments\":{\"protocol\":\"vnc\",\"password\":\"drittes\"}}' |
        grep >/dev/null '\"return\":{}' && in_by drittes && ! in_by zweites"
    holds 'VNC: by QMP, no time' "qmp '{\"execute\":\"expire_password\",\"arguments\":{\"protocol\":\"vnc\",\"time\":\"-\"}}' |
        grep >/dev/null 'use now'"
    holds 'VNC: by QMP, the old way' "qmp '{\"execute\":\"change-vnc-password\",\"arguments\":{\"password\":\"\"}}' |
        grep >/dev/null '\"return\":{}' && ! in_by drittes && ! in_by ''"
    kill -9 $pid
    wait $pid 2>/dev/null
    start -vnc unix:"$work/sock" -monitor unix:"$work/mon",server,nowait
    holds 'VNC: none to be set' "monitor 'change vnc password x' | grep >/dev/null 'password=on'"
    kill -9 $pid
    wait $pid 2>/dev/null
    start -k de -vnc unix:"$work/sock",password="$work/password"       # in the place of one that was left behind
    $client --password geheim unix:"$work/sock" key y 2>/dev/null
    left 89 'VNC: a key of another layout, in a socket left behind'
    if have_seabios && [ -n "$bios" ]; then       # the firmware shows a picture of 640x480
        $python -c 'import struct, sys
sys.stdout.buffer.write(b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + 921600, 0, 54, 40, 640, 480, 1, 24, 0, 921600, 0, 0, 0, 0) +
                        b"\x10\x20\xf0" * 307200)' >"$work/splash.bmp"
        "$latimer" -M pc -m 64 -nodefaults -vga std -boot menu=on,splash-time=60000,splash="$work/splash.bmp" -vnc unix:"$work/splash" \
            >"$work/out" 2>&1 </dev/null &
        pid=$! tries=0
        until [ -S "$work/splash" ] || [ $tries = 100 ]; do
            sleep 0.2
            tries=$((tries + 1))
        done
        holds 'the picture of -boot splash=' "$client unix:'$work/splash' wait-size 640x480 60 wait-still 1 png '$work/splash.png' &&
            [ \"\$($client unix:'$work/splash' colours)\" = 1 ]"
        kill -9 $pid
        wait $pid 2>/dev/null
    else
        skip 'a picture shown by firmware' 'there is no SeaBIOS'
    fi
    start -vnc 127.0.0.1:4719,to=4799
    port=$(sed -n 's/.*VNC on port [0-9]* (display :\([0-9]*\))/\1/p' "$work/out")
    holds 'VNC: a free port' "$client ':$port' size >/dev/null"
    expect 4 'is in use' $run -vnc :"$port"
    $client ":$port" key a 2>/dev/null
    left 61 'VNC: a key by TCP'
else
    skip 'VNC' 'there is no libvncserver, or no python3'
fi
if $sdl; then
    under='env SDL_VIDEODRIVER=dummy'
    expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -display sdl
    expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -display sdl,full-screen=on -vga none
    under='env SDL_VIDEODRIVER=nonsense'
    expect 4 '-display sdl: ' -M pc -kernel "$work/exit" -device isa-debug-exit -display sdl
    under='env DISPLAY=:4747'           # there is no such X server: no failure
    expect 67 'going on without one' -M pc -kernel "$work/exit" -device isa-debug-exit
    under=
fi
if $sdl && command -v Xvfb >/dev/null; then
    # The X server goes: the guest goes on, and Latimer ends when it is told to, with its number's file removed.
    Xvfb -displayfd 3 -screen 0 800x600x24 3>"$work/number" >/dev/null 2>&1 &
    server=$! tries=0
    until [ -s "$work/number" ] || [ $tries = 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    number=$(cat "$work/number")
    # x_gone WHEN: it has gone while latimer, whose process is $pid, goes on
    x_gone() {
        tries=0
        until grep -q 'X server is gone; the guest goes on' "$work/out" || [ $tries = 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        rm -f "$work/dump.txt"
        kill -USR1 $pid
        tries=0
        until [ -e "$work/dump.txt" ] || [ $tries = 100 ]; do sleep 0.1; tries=$((tries + 1)); done
        holds "the guest goes on without its X server, $1" "kill -0 $pid && [ -e '$work/dump.txt' ]"
        kill -HUP $pid
        left 129 "the X server went away, $1"
        holds 'its pidfile is gone' '[ ! -e "$work/pid" ]'
    }
    if [ -n "$python" ]; then
        # While the window is being made, by the bytes that had been sent. (Later Mesa's GLX may break down by itself.)
        for bytes in 48 200 1000; do
            rm -f /tmp/.X11-unix/X$((number + 2000))
            $python "$src/tests/cli/xcut.py" /tmp/.X11-unix/X$((number + 2000)) /tmp/.X11-unix/X$number $bytes &
            cut=$! tries=0
            until [ -e /tmp/.X11-unix/X$((number + 2000)) ] || [ $tries = 100 ]; do sleep 0.1; tries=$((tries + 1)); done
            export DISPLAY=":$((number + 2000))"
            start -display sdl -pidfile "$work/pid"
            unset DISPLAY
            x_gone "$bytes bytes"
            kill $cut 2>/dev/null
            wait $cut 2>/dev/null
            rm -f /tmp/.X11-unix/X$((number + 2000))
        done
    fi
    export DISPLAY=":$number"
    start -display sdl -pidfile "$work/pid"
    unset DISPLAY
    kill -KILL $server
    wait $server 2>/dev/null
    x_gone 'with a window'
else
    skip 'an X server that goes away' 'there is no Xvfb, or no SDL'
fi
expect 4 'a terminal' $run -display curses
if [ -n "$python" ]; then
    # Escape sequences between the characters: what was written is looked for one by one.
    t() { want=$1; shift; code=0; $python "$src/tests/cli/onpty.py" 30 "$@" >"$work/tty" 2>&1 || code=$?
          holds "terminal: exit code $code, wanted $want: $(cat -v "$work/tty" | tail -n 3)" "[ $code = $want ]"; }
    t 61 'Hi' 'a' "$latimer" $run -display curses
    t 0 'Hi' '\1x' "$latimer" $run -display curses
    holds 'terminal: colours' "grep -q '37;44mHi' '$work/tty'"
    t 3 'Hi' '\33' "$latimer" $run -display curses
else
    skip 'the terminal' 'there is no python3'
fi
finish
