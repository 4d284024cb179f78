# legacy.sh - boot.sh's cases for the chips of old; read by it.
#
# floppy (the floppy driver reads two drives and writes one; the host looks at the images), printer (the parallel
# port's driver prints by interrupt), watchdog (a daemon feeds the i6300esb, then stops: the machine is reset, and the
# next system is told why), panic (pvpanic ends the machine), rtc (hwclock writes the clock, over a century's end, and
# an alarm comes), kvmclock (a processor whose TSC may stop: the kernel takes KVM's clock, and its date is
# right), sb16 (the drivers of the Sound Blaster 16 and its OPL3 find theirs, and OSS plays a tone; the host listens);
# firmware-floppy (SeaBIOS starts a boot sector that reads and writes other sectors), firmware-grub (GRUB from a
# floppy disk, which finds out itself how many sectors a track has).

legacy_cases="firmware-floppy firmware-grub amd64-floppy amd64-printer amd64-watchdog amd64-panic amd64-rtc amd64-kvmclock 686-sb16"

# In the order they need each other.
legacy_modules() {
    case $1 in
    floppy) echo floppy ;;
    printer) echo parport parport_pc lp ;;
    watchdog) echo watchdog i6300esb ;;
    panic) echo pvpanic pvpanic-mmio pvpanic-pci ;;
    sb16)
        echo soundcore snd snd-timer snd-pcm snd-seq-device snd-rawmidi snd-hwdep snd-opl3-lib snd-mpu401-uart snd-sb-common \
            snd-sb16-csp snd-sb16-dsp snd-sb16 snd-mixer-oss snd-pcm-oss ;;
    esac
}

# The boot sector sets up its stack and DS, prints by port 3F8h, reads sector 79/1/18 to 0:8000h and prints it, writes
# that to sector 40/0/3 and switches off by the PM block.
legacy_boot_sector() {
    perl -e 'my $code = "31c08ed88ec08ed0bc007c8816657cbe667ce84400b80102b9124f8a16657cb601bb0080cd137229be00" .
                        "80e82b00b80103b903288a16657c30f6bb0080cd137210be797ce81200ba0406b80020eff4ebf6be837c" .
                        "e80200ebeeac84c07406baf803eeebf5c3";
             my $text = "\0boot sector runs\r\n\0" . "written\r\n\0" . "disk error\r\n\0";
             my $sector = pack("H*", $code);
             die unless length($sector) == 0x65;
             $sector .= $text;
             $sector .= "\0" x (510 - length $sector) . "\x55\xaa";
             my $last = "sector 79/1/18\r\n\0";
             print $sector, "\0" x (2878 * 512), $last, "\0" x (512 - length $last);'
}

legacy_firmware() {
    have_seabios || return 77
    legacy_boot_sector >"$work/floppy"
    boot 'Booting from Floppy' 0 -M pc -fda "$work/floppy" || return 1
    for word in 'boot sector' 'sector 79/1/18' written; do
        grep -aq "$word" "$work/serial" || { why="the boot sector did not write '$word'"; return 1; }
    done
    [ "$(tail -c +$(((40 * 36 + 2) * 512 + 1)) "$work/floppy" | head -c 14)" = "sector 79/1/18" ] ||
        { why="what it wrote is not in the image"; return 1; }
}

legacy_grub() {
    grub=/usr/lib/grub/i386-pc
    [ -e $grub/boot.img ] && command -v grub-mkimage >/dev/null || return 77
    have_seabios || return 77
    printf '%s\n' 'serial --unit=0' 'terminal_output serial' 'cat (fd0)2800+1' halt >"$work/grub.cfg"
    grub-mkimage -d $grub -O i386-pc -p '(fd0)/' -c "$work/grub.cfg" -o "$work/core" biosdisk serial terminal cat \
        blocklist halt || return 77
    { cat $grub/boot.img "$work/core"; head -c 1474560 /dev/zero; } | head -c $((2800 * 512)) >"$work/floppy"
    { echo "this is sector 2800"; head -c 40960 /dev/zero; } | head -c 40960 >>"$work/floppy"
    boot 'this is sector 2800' 0 -M pc -fda "$work/floppy"
}

legacy_sum() { sha256sum | cut -d ' ' -f 1; }

# What a WAV file has: its pitch in Hz and its loudest sample (44 bytes of header, 44100 frames of two 16-bit samples a
# second).
legacy_tone() {
    perl -e 'binmode STDIN; read STDIN, my $h, 44; local $/; my @s = unpack("s<*", <STDIN>);
             my ($first, $last, $n, $most, $before) = (0, 0, 0, 0, 0);
             for (my $i = 0; $i < @s; $i += 2) {
                 my $v = $s[$i];
                 $most = abs $v if abs $v > $most;
                 if ($before < 0 && $v > 0) { $first = $i unless $n++; $last = $i; }
                 $before = $v if $v;
             }
             printf "%.0f %d\n", $n > 1 ? ($n - 1) * 44100 * 2 / ($last - $first) : 0, $most;' <"$1"
}

# legacy HOW LINE ARGS...: HOW of the list above
legacy() {
    how=$1 line="$2 do=$1"
    shift 2
    case $how in
    floppy)
        head -c 1474560 /dev/urandom >"$work/a"
        head -c 1228800 /dev/urandom >"$work/b"
        cp "$work/a" "$work/before"
        boot 'guest: same' 0 -M pc -no-reboot "$@" -append "$line" -fda "$work/a" -fdb "$work/b" || return 1
        for word in "a $(legacy_sum <"$work/before")" "b $(legacy_sum <"$work/b")" "now $(legacy_sum <"$work/a")"; do
            grep -aq "guest: $word" "$work/serial" || { why="no '$word'"; return 1; }
        done
        cmp -s "$work/a" "$work/before" && { why="nothing was written"; return 1; }
        { head -c $((700 * 1024)) "$work/a"; tail -c $((440 * 1024)) "$work/a"; } >"$work/rest"
        { head -c $((700 * 1024)) "$work/before"; tail -c $((440 * 1024)) "$work/before"; } | cmp -s - "$work/rest" ||
            { why="more was written than should be"; return 1; } ;;
    printer)
        boot 'guest: done' 0 -M pc -no-reboot "$@" -append "$line" -parallel file:"$work/printed" || return 1
        i=0
        while [ $i -lt 100 ]; do
            echo "line $i of what is printed"
            i=$((i + 1))
        done | cmp -s - "$work/printed" || { why="something else was printed"; return 1; } ;;
    watchdog)
        boot 'guest: bootstatus 32' 0 -M pc "$@" -append "$line" -device i6300esb &&
            grep -aq 'guest: fed for 8 s' "$work/serial" && ! grep -aq 'nothing happened' "$work/serial" &&
            grep -q 'did not feed its watchdog: the machine is reset' "$work/stderr" ||
            { why=${why:-the watchdog did not bite at the right time}; return 1; } ;;
    panic)
        boot 'guest: panics' 10 -M pc "$@" -append "$line" -device pvpanic -action panic=exit-failure &&
            boot 'guest: panics' 0 -M pc "$@" -append "$line" -device pvpanic-pci ;;
    kvmclock)
        boot 'guest: clock kvm-clock' 0 -M pc -no-reboot "$@" -append "$line" -cpu latimer64,-constant_tsc \
            -rtc base=2030-02-28T12:00:00 || return 1
        grep -aq 'guest: date 2030-02-28 12:0' "$work/serial" || { why="wrong date"; return 1; }
        boot 'guest: clock hpet' 0 -M pc -no-reboot "$@" -append "$line tsc=unstable" -cpu latimer64,kvm=off ;;
    sb16)
        boot 'guest: played' 0 -M pc -no-reboot "$@" -append "$line" -device sb16,audiodev=s \
            -audiodev wav,id=s,path="$work/wav" || return 1
        for word in 'Sound Blaster 16' 'OPL3 FM'; do
            grep -aq "guest: .*$word" "$work/serial" || { why="the driver found no '$word'"; return 1; }
        done
        tone=$(legacy_tone "$work/wav")
        [ "${tone% *}" -gt 495 ] && [ "${tone% *}" -lt 505 ] && [ "${tone#* }" -gt 20000 ] ||
            { why="500 Hz were played, heard were (Hz, loudest): $tone"; return 1; } ;;
    rtc)
        boot 'guest: done' 0 -M pc -no-reboot "$@" -append "$line" -rtc base=2030-02-28T12:00:00 || return 1
        for word in 'rtc 2030-02-28 12:0' 'rtc 2000-01-01 00:00:0'; do
            grep -aq "guest: $word" "$work/serial" || { why="no '$word'"; return 1; }
        done
        grep -a alarm_IRQ "$work/serial" | tr -d '\r' | sed 's/.*: //' | tr '\n' ' ' | grep -q '^yes no $' ||
            { why="the alarm did not come"; return 1; } ;;
    esac
}
