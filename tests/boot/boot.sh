#!/bin/sh
# boot.sh - boots Debian's kernels on Latimer (make check-boot).
#
#   boot.sh [CASE...]      without cases: all; boot.sh list names them; quick: those of a few seconds each
#                          and one with the interpreter
#
# A case is KERNEL-HOW: jit, interp (interpreter), check (both in lock-step), fork (1000 fork and exec),
# reboot (a guest reset starts the machine again), reset (with -no-reboot it leaves),
# early (both in lock-step through the kernel's start, without its decompressor),
# button (SIGTERM powers the guest off), own (the installer's own initrd, to its first question),
# owninterp (the same with the interpreter).
# pc, pcbutton, pcreboot (jit, button, reboot on machine pc; the first finds nothing wrong with ACPI and SMBIOS, and
# what -smbios and -fw_cfg say),
# q35, q35button, q35reboot (the same on machine q35).
# ide, idepio (disk and CD-ROM on machine pc, with the kernel's modules, by DMA or by PIO: what the guest reads and
# writes, compared with the images),
# seabios, seabiosq35 (no kernel: the firmware on machine pc or q35, on the debug console and on the serial
# port, until it finds no disk,
# and once more after it has reset the machine).
# uefi (UEFI firmware from flash memory on machine q35 starts the kernel from an NVMe disk).
# ovmf, ovmfpc (UEFI firmware from flash memory on machine q35 or pc runs a script from an NVMe disk that sets a
# variable, and another after a new start that shows it; both power the machine off).
# bootdisks (the same for disks behind SATA, IDE and SCSI), ahci, ahcipc (disk and CD-ROM on SATA, with the kernel's
# driver: queued commands, an error; on machine pc with a controller by -device), uefiahci (uefi from a SATA disk),
# smm (UEFI firmware that uses SMM and secure flash memory, to the shell and a kernel),
# bootindex (of two disks the firmware starts the one it is told),
# nvme (the firmware starts the boot sector of an NVMe disk), nvmedisk (the kernel's driver reads, writes, flushes and
# trims one, with a file system on it; the host looks at the image).
# nete1000, netne2k, netisa, netrtl8139, netpcnet (jit, machine pc: Linux's drivers of those network chips, user networking and
# forwarded ports, by net.py); pxe (the firmware loads a script by the network, with iPXE as the chip's option ROM).
# virtio, virtiolegacy (disks, CD-ROM and what else there is, by virtio drivers; the host looks at the images),
# 9p (folders of the host, without and with the guest's cache, and what the host sees of them),
# virtioboot (the firmware starts the boot sector of a virtio and a SCSI disk).
# The chips of old: legacy.sh. USB: usb.sh. PCI bridges: bridge.sh.
# screen (machine pc: what the firmware writes on the screen; vgacon's shell, with keys typed by VNC),
# bochs (Linux' driver for the card: a console in a picture, with keys and the mouse by VNC).
# kill (SIGKILL under a guest that syncs, twice: tests/os/kill).
# starved (the emulator gets a tenth of a processor, in bits of 30 ms, while the kernel tests its timer).
# Skipped where the kernel cannot be had. LATIMER: the program; BOOT_TIMEOUT: seconds for each case (six
# times as many for whole boots by the interpreter, which take 30 to 100 times the CPU time).
set -u
here=$(cd "$(dirname "$0")" && pwd)
latimer=${LATIMER:-$here/../../latimer}
patience=${BOOT_TIMEOUT:-600}
# In the order they need each other.
nvme_modules="crc64 crc64-rocksoft crc64_rocksoft_generic crct10dif_common crct10dif_generic crc-t10dif t10-pi
    nvme-core nvme"
fs_modules="crc16 crc32c_generic mbcache jbd2 ext4 loop"
virtio_modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk scsi_common scsi_mod
    crc64 crct10dif_common crct10dif_generic crc64-rocksoft crc-t10dif t10-pi sd_mod cdrom sr_mod virtio_scsi failover
    net_failover virtio_net virtio-rng virtio_console virtio_balloon"
p9_modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p"
early='x86/fpu: Enabled xstate'     # what the guest writes after some million blocks
quick="amd64-jit amd64-fork amd64-reboot amd64-reset amd64-button 686-pae-jit 686-jit installer-amd64-jit
    installer-i386-jit amd64-early amd64-interp firmware-seabios amd64-pc amd64-pcbutton amd64-ide
    amd64-q35
    firmware-nvme firmware-bootindex amd64-nvmedisk amd64-nete1000
    firmware-bootdisks amd64-ahci
    firmware-virtioboot amd64-virtio amd64-9p
    firmware-screen amd64-screen firmware-ovmf amd64-uefi amd64-kill"
all="firmware-seabios amd64-ide amd64-idepio amd64-pc amd64-pcbutton amd64-pcreboot 686-pc
    firmware-seabiosq35 amd64-q35 amd64-q35button amd64-q35reboot 686-q35
    firmware-nvme firmware-bootindex amd64-nvmedisk firmware-ovmf firmware-ovmfpc amd64-uefi
    firmware-bootdisks amd64-ahci amd64-ahcipc amd64-uefiahci
    firmware-virtioboot amd64-virtio amd64-9p amd64-virtiolegacy
    firmware-screen amd64-screen amd64-bochs 686-screen
    amd64-jit amd64-fork amd64-reboot amd64-reset amd64-button amd64-starved 686-pae-jit 686-jit installer-amd64-jit
    installer-i386-jit installer-amd64-own installer-i386-own amd64-early amd64-interp 686-pae-interp
    686-interp installer-amd64-interp installer-i386-interp installer-amd64-owninterp installer-i386-owninterp
    amd64-check amd64-kill amd64-nete1000 amd64-netne2k amd64-netrtl8139 amd64-netpcnet 686-netisa 686-nete1000 firmware-pxe"
. "$here/../seabios.sh"
. "$here/legacy.sh"
. "$here/usb.sh"
. "$here/bridge.sh"
all="$all firmware-smm $legacy_cases $usb_cases $bridge_cases"
quick="$quick firmware-floppy amd64-floppy amd64-watchdog firmware-usb amd64-usb amd64-bridgeq35"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

# boot TEXT CODE ARGS...: the guest must write TEXT and Latimer leave with CODE
boot() {
    text=$1 want=$2 code=0
    shift 2
    timeout -s KILL "$timeout" "$latimer" -m 512 -nographic -serial file:"$work/serial" "$@" \
        </dev/null 2>"$work/stderr" || code=$?
    if ! grep -q "$text" "$work/serial"; then
        why="the guest did not write '$text' (exit code $code)"
    elif [ "$code" != "$want" ]; then
        why="exit code $code instead of $want"
    else
        return 0
    fi
    return 1
}

# Runs until the guest has written $1 in $2 lines, then does $3 to the process.
until_text() {
    text=$1 lines=$2 act=$3
    shift 3
    "$latimer" -m 512 -nographic -serial file:"$work/serial" "$@" </dev/null 2>"$work/stderr" &
    pid=$! n=0
    until [ "$(grep -ac "$text" "$work/serial" 2>/dev/null)" -ge "$lines" ] 2>/dev/null; do
        n=$((n + 1))
        if ! kill -0 $pid 2>/dev/null || [ $n -gt "$timeout" ]; then
            kill -9 $pid 2>/dev/null
            wait $pid
            why="the guest did not write '$text'"
            return 1
        fi
        sleep 1
    done
    $act $pid 2>/dev/null
    code=0
    wait $pid 2>/dev/null || code=$?
}
# Runs only a tenth of the time until the guest has written $1.
starve() {
    text=$1 n=0
    shift
    "$latimer" -m 512 -nographic -serial file:"$work/serial" "$@" </dev/null 2>"$work/stderr" &
    pid=$!
    until grep -aq "$text" "$work/serial" 2>/dev/null; do
        n=$((n + 1))
        if ! kill -STOP $pid 2>/dev/null || [ $n -gt $((3 * timeout)) ]; then
            why="the guest did not write '$text'"
            break
        fi
        sleep 0.27
        kill -CONT $pid
        sleep 0.03
    done
    end $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -z "$why" ]
}
end() { kill -KILL "$1"; }     # SIGINT is ignored in the background
press() { kill -TERM "$1"; }

# The installer as it comes, until it asks for a language.
installer() {
    initrd=$(sh "$here/guest.sh" initrd "$kernel_name") || return 77
    until_text 'anguage\|enter to continue' 1 end -accel "$1" -kernel "$kernel" -initrd "$initrd" \
        -append "console=ttyS0 DEBIAN_FRONTEND=text"
}

# SeaBIOS; reset at the end of its patience.
firmware() {
    have_seabios || return 77
    until_text 'No bootable device' 2 end -M "$1" -boot reboot-timeout=1000 -debugcon file:"$work/debug" -global isa-debugcon.iobase=0x402 ||
        return 1
    for word in 'SeaBIOS (version' 'fw_cfg DMA interface supported' 'Found 1 cpu' 'kvmclock: stable tsc, 1000 MHz' \
        'ACPI: parse DSDT' 'Copying SMBIOS' 'sercon: using ioport 0x3f8' 'Attempting a hard reboot'; do
        grep -aq "$word" "$work/debug" || { why="the firmware did not write '$word'"; return 1; }
    done
    [ "$(grep -ac 'SeaBIOS (version' "$work/serial")" -ge 2 ] || { why="no second start"; return 1; }
}

# What the boot sector of a disk reads from another sector of it: only the drive that it came from has that.
firmware_nvme() {
    have_seabios || return 77
    perl "$here/bootdisk.pl" "$work/disk" 3000 "booted from NVMe" &&
        until_text 'booted from NVMe' 1 end -M "$1" -drive if=none,id=hd,file="$work/disk",format=raw \
            -device nvme,drive=hd
}

# uefi MACHINE TEXT COMMAND FILE@PATH...: the shell's startup script does COMMAND with files on the disk; TEXT must
# be written.
uefi() {
    machine=$1 what=$2 script=$(printf 'STARTUP.NSH=@echo -off\r\n%s\r\nreset -s\r\n' "$3")
    shift 3
    perl "$here/fatdisk.pl" "$work/disk" "$script" "$@" &&
        boot "$what" 0 -M "$machine" -no-reboot -nic none -drive if=pflash,format=raw,readonly=on,file="$ovmf/OVMF_CODE_4M.fd" \
            -drive if=pflash,format=raw,file="$work/vars" -drive if=none,id=hd,format=raw,file="$work/disk" \
            -device "${uefi_disk:-nvme},drive=hd"
}
firmware_uefi() {
    ovmf=$(sh "$here/guest.sh" ovmf) || return 77
    variable="LatimerTest -guid 01234567-89ab-cdef-0123-456789abcdef"
    cp "$ovmf/OVMF_VARS_4M.fd" "$work/vars" && chmod u+w "$work/vars" &&
        uefi "$1" 'Reset with' "setvar $variable -nv -bs -rt =4c6174" &&
        ! grep -aq '4C 61 74' "$work/serial" && uefi "$1" '4C 61 74' "setvar $variable"
}

# The same by firmware that keeps its variables by SMIs from memory for SMM, and flash memory that nobody else writes:
# firmware that does not cannot keep any. Then a kernel, which asks that firmware for its variables.
firmware_smm() {
    ovmf=$(sh "$here/guest.sh" ovmf) && kernel=$(sh "$here/guest.sh" kernel amd64) &&
        initramfs=$(sh "$here/guest.sh" initramfs amd64) || return 77
    variable="LatimerTest -guid 01234567-89ab-cdef-0123-456789abcdef"
    for build in OVMF_CODE_4M OVMF_CODE_4M.secboot; do
        cp "$ovmf/OVMF_VARS_4M.fd" "$work/vars" && chmod u+w "$work/vars" || return 1
        for script in "setvar $variable -nv -bs -rt =4c6174" \
            "setvar $variable
fs0:\\VMLINUZ.EFI initrd=\\INITRD.IMG console=ttyS0 panic=-1 do=info"; do
            perl "$here/fatdisk.pl" "$work/disk" "STARTUP.NSH=@echo -off
$script
reset -s
" "VMLINUZ.EFI@$kernel" "INITRD.IMG@$initramfs" &&
                boot 'Reset with\|model name.*Latimer' 0 -M q35,smm=on -no-reboot -nic none \
                    -global driver=cfi.pflash01,property=secure,value=on \
                    -drive if=pflash,format=raw,readonly=on,file="$ovmf/$build.fd" \
                    -drive if=pflash,format=raw,file="$work/vars" -drive if=none,id=hd,format=raw,file="$work/disk" \
                    -device nvme,drive=hd || { why="$build: $why"; return 1; }
            [ $build != OVMF_CODE_4M ] || break
        done
        [ $build != OVMF_CODE_4M ] || cmp -s "$work/vars" "$ovmf/OVMF_VARS_4M.fd" ||
            { why="who is not in SMM wrote the flash memory"; return 1; }
    done
    grep -aq '4C 61 74' "$work/serial" || { why="the variable was not kept"; return 1; }
}

# Of two disks the one with the lower bootindex, whichever that is.
firmware_bootindex() {
    have_seabios || return 77
    perl "$here/bootdisk.pl" "$work/disk" 3000 "booted a virtio disk" || return 1
    perl "$here/bootdisk.pl" "$work/other" 3000 "booted an NVMe disk" || return 1
    for order in 'pc 1 0 NVMe' 'pc 0 1 virtio' 'q35 7 3 NVMe' 'q35 3 7 virtio'; do
        set -- $order
        rm -f "$work/serial"
        until_text "booted an* $4 disk" 1 end -M "$1" -nic none -drive if=none,id=a,file="$work/disk",format=raw \
            -drive if=none,id=b,file="$work/other",format=raw -device virtio-blk-pci,drive=a,bootindex="$2" \
            -device nvme,drive=b,bootindex="$3" || { why="$order: $why"; return 1; }
    done
}

# Devices behind a controller: what has a bootindex is started, not the first disk.
firmware_bootdisks() {
    have_seabios || return 77
    perl "$here/bootdisk.pl" "$work/disk" 3000 "booted the disk asked for" || return 1
    perl "$here/bootdisk.pl" "$work/other" 3000 "booted the other disk" || return 1
    for where in 'q35 ide-hd,bus=ide.4' 'pc ide-hd,bus=ide.1,unit=1' 'pc ide-hd,bus=sata.5 ahci,id=sata' \
        'q35 ide-hd,bus=sata.1 ich9-ahci,id=sata' 'pc scsi-hd,scsi-id=5,lun=2 virtio-scsi-pci' \
        'q35 scsi-hd,scsi-id=1 virtio-scsi-pci'; do
        set -- $where
        rm -f "$work/serial"
        until_text "booted the disk asked for" 1 end -M "$1" -nic none -drive file="$work/other",format=raw \
            ${3:+-device "$3"} -drive if=none,id=d,file="$work/disk",format=raw -device "$2",drive=d,bootindex=3 ||
            { why="$where: $why"; return 1; }
        ! grep -aq 'the other disk' "$work/serial" || { why="$where: the other disk was started"; return 1; }
    done
    head -c 1474560 /dev/zero >"$work/floppy"
    for machine in pc q35; do
        rm -f "$work/serial"
        until_text 'Booting from Floppy' 1 end -M $machine -nic none -drive file="$work/other",format=raw \
            -drive if=none,id=f,file="$work/floppy",format=raw -device floppy,drive=f,bootindex=0 &&
            grep -am 1 'Booting from' "$work/serial" | grep -aq Floppy ||
            { why="$machine, floppy: ${why:-the disk was first}"; return 1; }
    done
}

sum() { sha256sum | cut -d ' ' -f 1; }
# The part of a file from $2 to $3 MiB.
mib() { tail -c +$((($2 << 20) + 1)) "$1" | head -c $((($3 - $2) << 20)); }

# disk_guest DISK ARGS...: the guest does what tests/boot/init does to 64 MiB, which the host then looks at.
disk_guest() {
    name=$1
    shift
    head -c $((64 << 20)) /dev/urandom >"$work/disk" && cp "$work/disk" "$work/before"
    boot 'guest: file system' 0 -no-reboot "$@" -append "$line do=disk disk=$name" || return 1
    grep -aq "guest: read $(sum <"$work/before")" "$work/serial" || { why="it read something else"; return 1; }
    grep -aq "guest: now $(sum <"$work/disk")" "$work/serial" || { why="what it wrote is not in the image"; return 1; }
    { mib "$work/before" 0 8; mib "$work/before" 0 8; mib "$work/before" 16 24; mib "$work/before" 16 24
        mib "$work/before" 32 44; } | sum >"$work/want"
    mib "$work/disk" 0 44 | sum | cmp -s - "$work/want" || { why="the image differs from what it wrote"; return 1; }
    head -c 4194304 /dev/zero | sum >"$work/want"
    mib "$work/disk" 60 64 | sum | cmp -s - "$work/want" || { why="what it discarded is there"; return 1; }
}

# iPXE gets an address, fetches a script by TFTP and runs it.
pxe() {
    [ -e /usr/lib/ipxe/qemu/efi-e1000.rom ] && have_seabios || return 77
    mkdir -p "$work/tftp"
    printf '#!ipxe\necho latimer: ${net0/ip} ${net0/mac}\n' >"$work/tftp/script"
    until_text 'latimer: 10.0.2.15 52:54:00:00:00:07' 1 end -M pc \
        -nic user,model=e1000,mac=52:54:00:00:00:07,tftp="$work/tftp",bootfile=script
}

# The drivers of a model, and what they do.
net() {
    why="net.py $*"
    LATIMER=$latimer GUEST=$kernel_name python3 "$here/net.py" --timeout "$timeout" "$@" >"$work/stderr" 2>&1
}

# virtio_guest OPTIONS ARGS...: OPTIONS are for each disk's controller.
virtio_guest() {
    options=$1
    shift
    for image in a b c d e; do head -c $((24 << 20)) /dev/urandom >"$work/$image"; done
    cp "$work/a" "$work/a0"
    cp "$work/c" "$work/c0"
    boot 'guest: done' 0 -M pc -no-reboot "$@" -append "console=ttyS0 quiet panic=-1" -d dev:virtio,guest \
        -drive if=none,id=a,file="$work/a",format=raw,serial=SN4711 -device virtio-blk-pci,drive=a,$options \
        -drive if=none,id=b,file="$work/b",format=raw -device virtio-blk-pci,drive=b,packed=on,num-queues=2,$options \
        -device virtio-scsi-pci,id=scsi,$options -drive if=none,id=c,file="$work/c",format=raw -device scsi-hd,drive=c \
        -drive if=none,id=d,file="$work/d",format=raw -device scsi-hd,drive=d,scsi-id=7,lun=2 \
        -drive if=none,id=e,file="$work/e",format=raw,media=cdrom -device scsi-cd,drive=e || return 1
    for name in vda:a vdb:b sda:c sr0:e; do
        grep -aq "guest: ${name%:*} has" "$work/serial" || { why="no ${name%:*}"; return 1; }
    done
    cmp "$work/a" "$work/a0" && cmp "$work/c" "$work/c0" || { why="what was only read has changed"; return 1; }
    # What was discarded reads as zeros then, and was compared before.
    for name in vda:a sda:c sr0:e; do
        grep -aq "guest: ${name%:*} has $(sha256sum <"$work/${name#*:}")" "$work/serial" ||
            { why="${name%:*} does not read as the image"; return 1; }
    done
    for name in vdb:b sdb:d; do
        grep -aq "guest: ${name%:*} discards" "$work/serial" || { why="${name%:*} does not discard"; return 1; }
        dd if="$work/a0" bs=512 skip=777 count=3001 2>/dev/null >"$work/want"
        dd if="$work/${name#*:}" bs=512 skip=12345 count=3001 2>/dev/null | cmp - "$work/want" ||
            { why="what was written to ${name%:*} is not in the image"; return 1; }
    done
    if grep -a 'stopped until its driver resets it' "$work/stderr"; then why="a ring was malformed"; return 1; fi
}

# The folders as the guest left them, described as it does.
folders() {
    for name in none loose mapped fixed; do
        mkdir -p "$work/$name" && echo 'from the host' >"$work/$name/hello"
    done
    boot 'guest: done' 0 -M pc -m 512 -no-reboot "$@" -append "console=ttyS0 quiet panic=-1" -d guest,unimp \
        -virtfs local,path="$work/none",mount_tag=none,security_model=none \
        -virtfs local,path="$work/loose",mount_tag=loose,security_model=none,multidevs=remap,id=l \
        -fsdev local,id=m,path="$work/mapped",security_model=mapped-xattr \
        -device virtio-9p-pci,fsdev=m,mount_tag=mapped,packed=on \
        -virtfs local,path="$work/fixed",mount_tag=fixed,security_model=none,readonly=on,id=f || return 1
    if grep -a 'guest: wrong' "$work/serial" >"$work/why"; then why=$(head -n 3 "$work/why"); return 1; fi
    if grep -a 'stopped until its driver resets it' "$work/stderr"; then why="a ring was malformed"; return 1; fi
    for name in none loose; do
        (cd "$work/$name" && mv described ../told && find . | LC_ALL=C sort | while read -r f; do
            stat -c '%f %s %h %n' "$f"
        done && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$work/seen"
        cmp "$work/told" "$work/seen" || { why="the guest and the host see different things in $name"; return 1; }
    done
    [ -f "$work/mapped/device" ] && [ -f "$work/mapped/link" ] && [ "$(cat "$work/mapped/link")" = nowhere ] &&
        [ "$(stat -c %a "$work/mapped/file")" = 600 ] || { why="mapped files are not plain"; return 1; }
}

virtio_others() {
    for word in 'SN4711' 'guest: 64 random bytes' 'guest: org.latimer.test has number 1' \
        'guest: eth0 is 52:54:00:11:22:33'; do
        grep -aq "$word" "$work/serial" || { why="the guest did not write '$word'"; return 1; }
    done
    grep -aq 'guest: on the console' "$work/console" || { why="nothing on the console"; return 1; }
    head -c $((2 << 20)) "$work/a0" | cmp - "$work/port" || { why="the port lost something"; return 1; }
    grep -q 'virtio-balloon: [0-9]* bytes are free' "$work/stderr" || { why="no free pages were reported"; return 1; }
}

# What the boot sector of a disk reads from another sector of it: only the drive that it came from has that.
firmware_virtio() {
    have_seabios || return 77
    perl "$here/bootdisk.pl" "$work/disk" 3000 "booted from virtio" || return 1
    for devices in virtio-blk-pci,drive=d virtio-blk-pci,drive=d,disable-modern=on virtio-blk-pci,drive=d,disable-legacy=on \
        'virtio-scsi-pci -device scsi-hd,drive=d'; do
        rm -f "$work/serial"
        until_text 'booted from virtio' 1 end -M pc -drive if=none,id=d,file="$work/disk",format=raw -device $devices ||
            { why="$devices: $why"; return 1; }
    done
    rm -f "$work/serial"
    until_text 'booted from virtio' 1 end -M pc -drive if=virtio,file="$work/disk",format=raw
}

# Started without a terminal and with VNC; the screen's text is in $work/screen.txt at each SIGUSR1.
begin() {
    rm -f "$work/screen.txt" "$work/screen.png" "$work/vnc"
    "$latimer" -M pc -m 512 -display none -vnc unix:"$work/vnc" -serial file:"$work/serial" "$@" </dev/null \
        2>"$work/stderr" &
    pid=$!
    # When there is a socket, signals are watched.
    until [ -e "$work/vnc" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
}
# Until the text $1 is in file $2.
appears() {
    n=0
    until grep -aq "$1" "$2" 2>/dev/null; do
        n=$((n + 1))
        kill -0 $pid 2>/dev/null && [ $n -lt "$timeout" ] || { why="no '$1' in $(basename "$2")"; return 1; }
        [ "$2" != "$work/screen.txt" ] || kill -USR1 $pid
        sleep 1
    done
}
client() { python3 "$here/../vnc/vnc.py" unix:"$work/vnc" "$@" || { why="VNC: $*"; return 1; }; }
# The guest has been told to power off.
gone() {
    code=0
    wait $pid || code=$?
    [ $code = 0 ] || { why="exit code $code"; return 1; }
}
firmware_screen() {
    [ -e /usr/share/seabios/vgabios-stdvga.bin ] || [ -e /usr/share/qemu/vgabios-stdvga.bin ] || return 77
    begin -nic none -screendump "$work/screen.txt"
    appears 'No bootable device' "$work/screen.txt" && grep -q 'SeaBIOS (version' "$work/screen.txt" ||
        why=${why:-no version}
    # With a screen nothing is said on the serial port.
    [ ! -s "$work/serial" ] || why="the firmware writes on the serial port"
    end $pid
    wait $pid 2>/dev/null
    [ -z "$why" ]
}
vgacon() {
    begin "$@" -append "console=tty0" -screendump "$work/screen.txt"
    appears 'busybox shell' "$work/screen.txt" && appears '/ #' "$work/screen.txt" &&
        client sleep 1 type 'echo "Typed: $((6*7))" | tee /dev/ttyS0; cat /proc/fb
' && appears 'Typed: 42' "$work/serial" && appears '^Typed: 42' "$work/screen.txt" &&
        client type 'poweroff -f
' && gone && return
    end $pid 2>/dev/null
    wait $pid 2>/dev/null
    return 1
}
bochs() {
    begin "$@" -append "console=ttyS0 console=tty0" -screendump "$work/screen.png"
    appears 'bochs-drmdrmfb frame buffer' "$work/serial" && client wait-size 1280x800 60 sleep 3 type \
        'hexdump -C -n 8 /dev/input/mice >/dev/ttyS0 & cat /proc/fb >/dev/ttyS0
' sleep 2 move 100 100 move 140 90 press 1 release 1 && appears '0 bochs-drm' "$work/serial" &&
        appears '^00000000  08 28 0a 09 00 00 08 00' "$work/serial" &&
        client type "printf '\\033[44;1mBLUE\\033[0m '
" wait-colours 3 30 && client type 'poweroff -f
' && gone && png_size=$(od -A n -t x1 -j 16 -N 8 "$work/screen.png" | tr -d ' \n') &&
        { [ "$png_size" = 0000050000000320 ] || { why="the screendump's size: $png_size"; false; }; } && return
    end $pid 2>/dev/null
    wait $pid 2>/dev/null
    return 1
}

# In the order they need each other.
ata_modules="scsi_common scsi_mod libata ATA crc64 crct10dif_common crct10dif_generic crc64-rocksoft
    crc64_rocksoft_generic crc-t10dif t10-pi sd_mod cdrom sr_mod"
md5() { md5sum | cut -c1-32; }

# A 1 MiB qcow2 image of random bytes whose third cluster of 64 KiB is nowhere: a disk of which a part cannot be read.
bad_disk() {
    head -c 1048576 /dev/urandom >"$work/bad.raw" && "$latimer" image convert -O qcow2 "$work/bad.raw" "$1" &&
        perl -e 'open my $f, "+<", $ARGV[0] or die; my $b; seek $f, 40, 0; read $f, $b, 8; seek $f, unpack("Q>", $b), 0;
            read $f, $b, 8; seek $f, (unpack("Q>", $b) & 0x00fffffffffffe00) + 16, 0;
            print $f pack("Q>", 1 << 63 | 0x70200)' "$1"
}

# $1: the kernel's mode of transfer for the disk, $2: for the CD drive; $3: modules of the controller; $4: more for the
# kernel's command line; $5: a word that it writes, too; then the machine. DISK and CD among that are the files.
ide() {
    line="console=ttyS0 panic=-1 $4" disk_mode=$1 cd_mode=$2 word=$5
    initramfs=$(sh "$here/guest.sh" initramfs "$kernel_name" $(echo "$ata_modules" | sed "s/ATA/$3/")) || return 77
    shift 5
    perl -e 'my $x = 1; for (1 .. 4 << 20) { $x = ($x * 1103515245 + 12345) & 0x7fffffff; print pack("V", $x) }' >"$work/disk"
    head -c 5000000 "$work/disk" | tail -c 3000320 >"$work/cd"
    disk=$(md5 <"$work/disk") cd=$(md5 <"$work/cd")
    cp "$work/disk" "$work/want"
    dd if="$work/disk" of="$work/want" bs=1M seek=8 count=8 conv=notrunc 2>/dev/null
    dd if="$work/disk" of="$work/want" bs=1536 seek=11 skip=3 count=100 conv=notrunc 2>/dev/null
    written=$(md5 <"$work/want")
    boot 'guest: done' 0 -no-reboot -kernel "$kernel" -initrd "$initramfs" -append "$line do=ide" "$@" || return
    for word in 'ide: LATIMER HARDDISK *, 32768 sectors' 'ide: serial *BOOTCASE' "ide: dev1.0 .*$disk_mode" \
        "ide: dev[23].0 .*$cd_mode" "ide: disk $disk" "ide: cd $cd" "ide: written $written" 'ide: ejected' \
        'ide: loaded' "$word"; do
        grep -aq "$word" "$work/serial" || { why="the guest did not write '$word'"; return 1; }
    done
    ! grep -a 'ide: trouble' "$work/serial" >"$work/why" || { why=$(cat "$work/why"); return 1; }
    # On the host: the same but for what was discarded.
    for half in "head -c 1048576" "tail -c +2097153"; do
        [ "$($half "$work/disk" | md5)" = "$($half "$work/want" | md5)" ] || { why="the image differs"; return 1; }
    done
}

ide_pc() {
    mode=$1 more=$2 word=$3
    ide "$mode" "$mode" ata_piix "$more" "$word" -M pc -cdrom "$work/cd" \
        -drive file="$work/disk",format=raw,discard=unmap,serial=BOOTCASE
}
# NCQ, and what it makes of an error: the log says which command it was, and others are not hurt.
ahci_error() {
    bad=$(head -c 262144 "$work/bad.raw" | tail -c 65536 | md5)
    for word in 'ide: depth 32' 'ide: bad: dd: .*error' 'ide: bad: ata5.00: failed command: READ FPDMA QUEUED' \
        "ide: other $bad" "ide: again $bad"; do
        grep -aq "$word" "$work/serial" || { why="the guest did not write '$word'"; return 1; }
    done
}
ahci() {
    bad_disk "$work/bad" &&
        ide XFER_UDMA_5 '' 'libahci ahci' '' discarded -M q35 -cdrom "$work/cd" \
            -drive file="$work/disk",format=raw,discard=unmap,serial=BOOTCASE \
            -drive if=none,id=bad,file="$work/bad",format=qcow2 -device ide-hd,drive=bad,bus=ide.4 && ahci_error
}
ahci_pc() {
    bad_disk "$work/bad" &&
        ide XFER_UDMA_5 '' 'libahci ahci' '' discarded -M pc -device ahci,id=sata \
            -drive if=none,id=hd,file="$work/disk",format=raw,discard=unmap -device ide-hd,drive=hd,bus=sata.0,serial=BOOTCASE \
            -drive if=none,id=cd,file="$work/cd",format=raw,media=cdrom -device ide-cd,drive=cd,bus=sata.2 \
            -drive if=none,id=bad,file="$work/bad",format=qcow2 -device ide-hd,drive=bad,bus=sata.4 && ahci_error
}

# Notes the CPU seconds (user and system) of all this shell has waited for; not in a subshell: that has its own.
note_cpu() {
    times >"$work/times"
    cpu=$(awk 'END { split($1 "m" $2, t, /[ms]+/); printf "%.1f", t[1] * 60 + t[2] + t[3] * 60 + t[4] }' "$work/times")
}

try() {
    kernel_name=${1%-*} how=${1##*-}
    timeout=$patience
    case $how in *interp | check) timeout=$((6 * patience)) ;; esac
    case $how in screen | bochs) command -v python3 >/dev/null || return 77 ;; esac
    [ "$1" != firmware-screen ] || { firmware_screen; return; }
    case $how in
    seabios) firmware pc; return ;;
    seabiosq35) firmware q35; return ;;
    kill)
        why="kill.py"
        python3 "$here/../os/kill/kill.py" --latimer "$latimer" --patience "$timeout" --kills 2 >"$work/stderr" 2>&1
        return ;;
    ovmf) firmware_uefi q35; return ;;
    ovmfpc) firmware_uefi pc; return ;;
    nvme) firmware_nvme pc && firmware_nvme q35; return ;;
    pxe) pxe; return ;;
    bootindex) firmware_bootindex; return ;;
    bootdisks) firmware_bootdisks; return ;;
    smm) firmware_smm; return ;;
    grub) legacy_grub; return ;;
    virtioboot) firmware_virtio; return ;;
    usb | usbkeys)
        [ "$kernel_name" != firmware ] || { usb_firmware; return; }
        initramfs=$(BOOT_INIT=$here/usb/init sh "$here/guest.sh" initramfs "$kernel_name" $usb_modules) &&
            kernel=$(sh "$here/guest.sh" kernel "$kernel_name") || return 77
        $([ "$how" = usb ] && echo usb || echo usb_keys) -kernel "$kernel" -initrd "$initramfs"
        return ;;
    nete1000) net e1000 e1000; return ;;
    netne2k) net ne2k_pci 8390 ne2k-pci; return ;;
    netisa) net ne2k_isa,irq=5 8390p ne; return ;;
    netrtl8139) net rtl8139 mii 8139cp; return ;;
    netpcnet) net pcnet mii pcnet32; return ;;
    bridge*)
        [ "$kernel_name" != firmware ] || { bridge_firmware; return; }
        initramfs=$(BOOT_INIT=$here/bridge/init sh "$here/guest.sh" initramfs "$kernel_name" $bridge_modules) &&
            kernel=$(sh "$here/guest.sh" kernel "$kernel_name") || return 77
        bridge "$how"
        return ;;
    floppy | printer | watchdog | panic | rtc | kvmclock | sb16)
        [ "$kernel_name" != firmware ] || { legacy_firmware; return; }
        initramfs=$(BOOT_INIT=$here/legacy/init sh "$here/guest.sh" initramfs "$kernel_name" $(legacy_modules "$how")) &&
            kernel=$(sh "$here/guest.sh" kernel "$kernel_name") || return 77
        legacy "$how" "console=ttyS0 quiet panic=-1" -kernel "$kernel" -initrd "$initramfs"
        return ;;
    esac
    kernel=$(sh "$here/guest.sh" kernel "$kernel_name") || return 77
    modules= init=
    case $how in
    nvmedisk) modules="$nvme_modules $fs_modules" ;;
    bochs) modules="drm drm_kms_helper ttm drm_ttm_helper drm_vram_helper bochs psmouse" ;;
    pc | q35) modules=qemu_fw_cfg ;;
    9p) modules=$p9_modules init=$here/9p/init ;;
    virtio*) modules=$virtio_modules init=$here/virtio/init ;;
    esac
    initramfs=$(BOOT_INIT=$init sh "$here/guest.sh" initramfs "$kernel_name" $modules) || return 77
    line="console=ttyS0 quiet panic=-1"
    set -- -kernel "$kernel" -initrd "$initramfs"
    case $how in pcbutton | pcreboot) set -- -M pc "$@" ;; q35*) set -- -M q35 "$@" ;; esac
    case $how in
    pc | q35)
        printf 'from a file\n' >"$work/told"
        boot 'model name.*Latimer' 0 -M $how -no-reboot "$@" -append "console=ttyS0 panic=-1 do=info" \
            -smbios type=1,serial=S-4711,family=boots -smbios type=2,asset=A-12 -smbios type=11,value=said.so=1 \
            -fw_cfg name=opt/test/text,string=of-the-user -fw_cfg name=opt/test/file,file="$work/told" &&
            for word in 'SMBIOS 2' 'ACPI: PCI: Interrupt link LNKD configured' 'guest: dmi S-4711 boots A-12' 'guest: dmi said.so=1' \
                'guest: fw_cfg of-the-user' 'guest: fw_cfg from a file'; do
                grep -aq "$word" "$work/serial" || { why="no '$word' in the kernel's log"; return 1; }
            done &&
            ! grep -aiE 'ACPI.*(error|warning|exception)|ACPI bug|firmware bug|DMI not present' "$work/serial" >"$work/why" ||
            { why=${why:-$(cat "$work/why")}; false; } ;;
    jit) boot 'model name.*Latimer' 0 -no-reboot "$@" -append "$line do=info" ;;
    interp) boot 'model name.*Latimer' 0 -accel interp -no-reboot "$@" -append "$line do=info" ;;
    check) boot 'model name.*Latimer' 0 --check -no-reboot "$@" -append "$line do=info" &&
        { grep 'no difference' "$work/stderr" || { why='no count of compared blocks'; false; }; } ;;
    early)
        vmlinux=$(sh "$here/guest.sh" vmlinux "$kernel_name") || return 77
        until_text "$early" 1 end --check -kernel "$vmlinux" -initrd "$initramfs" \
            -append "console=ttyS0 earlyprintk=ttyS0,115200" ;;
    ide) ide_pc MW_DMA_2 '' discarded ;;
    idepio) ide_pc PIO libata.dma=0 loaded ;;
    ahci) ahci ;;
    ahcipc) ahci_pc ;;
    fork) boot 'forked 1000' 0 -no-reboot "$@" -append "$line do=fork" ;;
    reset) boot 'guest: reset' 0 -no-reboot "$@" -append "$line do=reboot" ;;
    *reboot)
        # The second boot shows that the first one's reset worked.
        until_text 'guest: reset' 2 end "$@" -append "$line do=reboot" ;;
    *button)
        until_text 'guest: waits' 1 press "$@" -append "$line do=button" &&
            [ "$code" = 0 ] || { why=${why:-exit code $code after the power button}; false; } ;;
    starved)
        # A stop is longer than the kernel waits for ticks; what it writes if they do not come is no panic yet.
        starve 'clocksource: tsc: mask' "$@" -append "console=ttyS0 panic=-1" &&
            ! grep -a 'timer not connected\|timer doesn' "$work/serial" >"$work/why" ||
            { why=${why:-$(cat "$work/why")}; false; } ;;
    nvmedisk)
        disk_guest nvme0n1 -M q35 "$@" -drive if=none,id=hd,file="$work/disk",format=raw,discard=unmap \
            -device nvme,drive=hd,serial=ABC ;;
    virtio)
        virtio_guest disable-legacy=on "$@" -chardev file,id=c,path="$work/console" -chardev file,id=p,path="$work/port" \
            -device virtio-serial-pci -device virtconsole,chardev=c -device virtserialport,chardev=p,name=org.latimer.test \
            -device virtio-rng-pci -device virtio-net-pci,mac=52:54:00:11:22:33 \
            -device virtio-balloon-pci,free-page-reporting=on && virtio_others ;;
    9p) folders "$@" ;;
    virtiolegacy) virtio_guest disable-modern=on,vectors=0 "$@" ;;
    screen) vgacon "$@" ;;
    bochs) bochs "$@" ;;
    uefi | uefiahci)
        case $how in *ahci) uefi_disk=ide-hd,bus=ide.1,bootindex=0 ;; *) uefi_disk=nvme ;; esac
        ovmf=$(sh "$here/guest.sh" ovmf) || return 77
        cp "$ovmf/OVMF_VARS_4M.fd" "$work/vars" && chmod u+w "$work/vars" &&
            uefi q35 'model name.*Latimer' "fs0:\\VMLINUZ.EFI initrd=\\INITRD.IMG console=ttyS0 panic=-1 do=info" \
                "VMLINUZ.EFI@$kernel" "INITRD.IMG@$initramfs" &&
            for word in 'efi: EFI v2' 'ACPI: MCFG' 'PCI: MMCONFIG at .* reserved in E820'; do
                grep -aq "$word" "$work/serial" || { why="no '$word' in the kernel's log"; return 1; }
            done &&
            ! grep -aiE 'ACPI.*(error|warning|exception)|ACPI bug|firmware bug' "$work/serial" >"$work/why" ||
            { why=${why:-$(cat "$work/why")}; false; } ;;
    own) installer jit ;;
    owninterp) installer interp ;;
    *) why="no such case"; false ;;
    esac
}

[ "${1-}" != list ] || { echo $all | tr ' ' '\n'; exit; }
[ $# -gt 0 ] || set -- $all
[ "$1" != quick ] || set -- $quick
for case in "$@"; do
    why= start=$(date +%s)
    note_cpu
    before=$cpu
    rm -f "$work/serial" "$work/stderr"
    try "$case"
    result=$?
    note_cpu
    took="$(($(date +%s) - start)) s, CPU $(echo "$cpu $before" | awk '{ printf "%.1f", $1 - $2 }') s"
    case $result in
    0) passed=$((passed + 1)); echo "PASS: boot $case ($took)" ;;
    77) skipped=$((skipped + 1)); echo "SKIP: boot $case: its kernel or firmware cannot be had" ;;
    *)
        failed=$((failed + 1)); echo "FAIL: boot $case: $why ($took)"
        tail -n 15 "$work/serial" "$work/stderr" 2>/dev/null | sed 's/^/    /'
        ;;
    esac
done
echo "# PASS: $passed"
echo "# FAIL: $failed"
echo "# SKIP: $skipped"
[ $failed = 0 ]
