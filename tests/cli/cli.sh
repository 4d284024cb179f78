#!/bin/sh
# cli.sh - bad input and exit codes: each case runs latimer and looks at its exit code and messages.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

guest exit b021e6f4f4                           # mov al,21h; out 0f4h,al; hlt
guest exit2 66ba0105b003eef4                    # mov dx,501h; mov al,3; out dx,al; hlt
guest exit3 a12000e0feb005e6f4                  # mov eax,[0fee00020h]; mov al,5; out 0f4h,al
guest triple 0f011d28001000cc000000000000       # lidt of a zero limit; int3
guest btf b9d9010000b80200000031d20f30b005e6f4f4 # mov ecx,1d9h; mov eax,2; xor edx,edx; wrmsr; mov al,5; out 0f4h,al
guest panic b00166ba0505eeebfe               # mov al,1; mov dx,505h; out dx,al; jmp
guest halt fbf4ebfd                             # sti; hlt; jmp
guest reset b0fee664f4                          # mov al,0feh; out 64h,al; hlt
echo "this is text, and not a kernel at all; it is only here to be refused" >"$work/text"
: >"$work/empty"
perl -e 'print "\0" x 0x202, "HdrS", "\x0f\x02", "\0" x 100' >"$work/cut"       # a bzImage's header, cut off
# An ELF file with a program header, whole and cut off: 64-bit, its note behind the header
elf() { perl -e 'print "\x7fELF\2\1\1", "\0" x 9, pack("vvVQQQVvvvvvv", 2, 62, 1, 0x100000, 64, 0, 0, 64, 56, 1, 0, 0, 0),
            pack("VVQQQQQQ", 4, 4, 120, 0, 0, 16, 16, 4), "\0" x 16'; }
elf >"$work/elf"
elf | head -c 125 >"$work/cutelf"
printf '\037\213\010\000gzip' >"$work/gz"
perl -e 'open(my $f, ">", $ARGV[0]); truncate($f, 64 << 20)' "$work/large"

# ---- information ----
expect 0 '^  -kernel FILE' --help
expect 0 '^  128+n' -h
expect 0 'Latimer version' --version
expect 0 latimer64 -cpu help
expect 0 micro -M '?'
expect 0 '^  pc ' -M help
expect 0 isa-debug-exit -device '?'
expect 0 usb-tablet -device help
expect 0 'audiodev=AUDIODEV' -device AC97,help
expect 0 wav -audiodev help
expect 0 interp -accel help
expect 0 unimp -d help
expect 0 'dev:ioapic' -d help
expect 0 '^  ide_command  ' -trace help
expect 0 '^  -jitdump' -help

# ---- wrong use ----
expect 2 "no driver 'zzz'" -audiodev zzz,id=a
expect 2 'it needs a name' -audiodev none
expect 2 "unknown property 'path'" -audiodev none,id=a,path=x
expect 2 'from 8000 to 192000' -audiodev none,id=a,out.frequency=1
expect 2 'another -audiodev' -audiodev none,id=a -audiodev none,id=a
expect 2 'use ac97, hda, sb16 or adlib' -audio none,model=x
expect 2 'the interrupts 2 (which is 9), 5, 7 and 10' -M pc -device sb16,irq=6
expect 2 'the channels 0, 1 and 3' -M pc -device sb16,dma=2
expect 2 'the channels 5, 6 and 7' -M pc -device sb16,dma16=3
expect 2 'no -audiodev with id=x' -M pc,pcspk-audiodev=x
expect 2 'no -audiodev with id=x' -M pc -device AC97,audiodev=x
expect 2 'use tablet, mouse, keyboard or disk:FILE' -usbdevice disk
expect 3 'no-such-disk' -M pc -usbdevice disk:no-such-disk
expect 2 'needs drive=ID' -M pc -usb -device usb-storage
expect 2 'no USB bus before it has that name' -M pc -device ich9-usb-uhci1,masterbus=x
expect 2 'port 6 of e.0 is not there, or has a companion' -M pc -device ich9-usb-ehci1,id=e -device ich9-usb-uhci1,masterbus=e.0,firstport=5
expect 2 'that have its speed are taken' -M pc -device usb-ehci -device usb-kbd,usb_version=1
expect 2 'has another speed' -M pc -device usb-ehci -device usb-kbd,usb_version=1,port=1
expect 2 'did you mean -kernel?' -kernal x
expect 2 'did you mean -initrd?' --intird x
expect 2 'unknown option -zzzzzzzz' -zzzzzzzz
expect 3 'disk.img' disk.img
expect 2 'needs an argument' -m
expect 2 'use tcp::PORT, tcp:HOST:PORT, unix:PATH or stdio' -M micro -kernel "$work/exit" -gdb serial
expect 2 'there can be one debugger' -s -gdb stdio
expect 2 'are used already' -M micro -kernel "$work/exit" -serial stdio -gdb stdio
expect 4 'cannot listen on unix:/nowhere/at/all: No such' -M micro -kernel "$work/exit" -gdb unix:/nowhere/at/all
expect 2 'use tcp::PORT' -M micro -kernel "$work/exit" -gdb tcp::99999           # another port, if its upper bits are cut off
expect 2 'up to 65535' -kernel "$work/exit" -serial tcp:localhost:65536
expect 67 '' -kernel "$work/exit" -device isa-debug-exit -gdb tcp:localhost:0,server=on,wait=on
[ ! -e /proc/net/if_inet6 ] || expect 67 '' -kernel "$work/exit" -device isa-debug-exit -gdb 'tcp:[::1]:0'
expect 2 'no kernel' -M micro -m 64
expect 2 'not a memory size' -m lots
expect 2 'not a memory size' -m 12x
expect 2 'too little memory' -m 1K
expect 2 'too much memory' -m 999999T
expect 2 'not a memory size' -m 99999999999999999999
expect 2 'not implemented yet' -smp 4
expect 2 'at most' -smp 100000
expect 2 'no number of processors' -smp 0
expect 2 'no number of processors' -smp many
expect 2 'unknown CPU feature' -cpu latimer64,+warp -kernel "$work/exit"
expect 2 'did you mean.*ssse3' -cpu latimer64,+sse3x -kernel "$work/exit"
expect 2 'unknown CPU model' -cpu 8086 -kernel "$work/exit"
expect 2 'no machine' -M q36
expect 2 'only q35 can do without' -M pc,smm=off
expect 2 'has no firmware: use -machine pc' -bios "$work/text" -kernel "$work/exit"
expect 3 '-bios .*: there is no such file' -M pc -bios "$work/none"
expect 3 'multiple of 64 KiB' -M pc -bios "$work/text"
expect 3 'multiple of 4 KiB' -M q35 -drive if=pflash,format=raw,file="$work/text"
expect 3 'multiple of 4 KiB' -M q35 -pflash "$work/text"
expect 2 'index=0, is missing' -M q35 -drive if=pflash,format=raw,index=1,file="$work/text"
expect 2 'has no flash memory' -M micro -kernel "$work/exit" -drive if=pflash,format=raw,file="$work/text"
expect 2 'needs a drive' -M q35 -device nvme
expect 3 'multiple of 64 KiB' -M pc -L "$work" -bios text
expect 3 'at most 16 MiB' -M pc -bios "$work/large"
expect 3 'the file is empty' -M pc -bios "$work/empty"
expect 2 'unknown engine' -accel warp
expect_jit 2 'use a number of executions' -accel jit,hot=often
expect_jit 2 'use a number of executions' -accel jit,hot=-1
expect_jit 2 'only tb-size=, hot=, tso= and host-features= are understood' -accel jit,cold=1
expect_jit 2 'use +NAME or -NAME' -accel jit,host-features=warp
expect_jit 2 "unknown host feature 'warp'" -accel jit,host-features=-warp
expect_jit 2 'use on, off or host' -accel jit,tso=maybe
# each feature there is: may be taken away, may be asked for only where it is; a typing mistake is noticed
if $jit; then
    "$latimer" -accel help | sed -n '/host-features/,$ s/^  \([^ ]*\) *\(yes\|no\) .*/\1 \2/p' >"$work/features"
    holds "-accel help lists the host's features" '[ -s "$work/features" ]'
    while read -r feature there; do
        expect 67 '' -accel "jit,host-features=-$feature,hot=0" -kernel "$work/exit" -device isa-debug-exit
        expect 2 "did you mean .*-$feature" -accel "jit,host-features=-x$feature"
        case $there in
        yes) expect 67 "uses.* $feature" -accel "jit,host-features=none,+$feature" -d stats -kernel "$work/exit" \
                 -device isa-debug-exit ;;
        no) expect 4 "lacks '$feature'" -accel "jit,host-features=all,+$feature" ;;
        esac
    done <"$work/features"
    expect 67 'uses.*: none' -accel jit,host-features=none -d stats -kernel "$work/exit" -device isa-debug-exit
    expect 67 '' -accel jit,tso=on -kernel "$work/exit" -device isa-debug-exit
fi
expect 2 'no device' -device warp-core
expect 2 'no property' -device isa-debug-exit,base=1
expect 2 'use a number' -device isa-debug-exit,iobase=0x10000
expect 2 'already belongs to' -device isa-debug-exit,iobase=0x3f8 -kernel "$work/exit"
expect 2 'unknown destination' -serial printer -kernel "$work/exit"
expect 2 'a path is missing' -serial file: -kernel "$work/exit"
expect 2 'already used' -serial stdio -serial stdio -kernel "$work/exit"
expect 2 'unknown destination' -parallel printer -kernel "$work/exit"
expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -parallel file:"$work/lpt"
expect 3 'at most 3932160.*-hda' -fda "$work/large"
expect 2 'use reset, shutdown, poweroff, pause, inject-nmi or none' -watchdog-action bite
expect 2 'panic=.*use shutdown, pause, exit-failure or none' -action panic=faint
expect 2 'unknown event' -action power=off
expect 0 'guest has panicked: the machine is switched off' -kernel "$work/panic" -device pvpanic
expect 10 'the machine ends' -kernel "$work/panic" -device pvpanic -action watchdog=none,panic=exit-failure
expect 2 'another device is there' -M pc -kernel "$work/exit" -device i6300esb,addr=5 -device pvpanic-pci,addr=5
expect 2 'serial ports' -serial none -serial none -serial none -serial none -serial none
expect 2 'unknown log item .everything.: -d help' -d everything
expect 2 'did you mean stats?' -d int,sats
expect 2 'did you mean dev:uart?' -d dev:uatr
expect 2 'no event .ide_comand.: did you mean ide_command?' -trace ide_comand
expect 2 "no event matches 'zz\*'" -trace 'zz*'
expect 2 "use \[enable=\]PATTERN, events=FILE or file=FILE" -trace colour=red
expect 3 'list of events /nowhere/x' -trace events=/nowhere/x
printf '# a comment\nio_*\n\nio_raed\n' >"$work/events"
expect 2 'events, line 4: no event .io_raed.: did you mean io_read?' -trace "events=$work/events"
expect 2 "unknown log item 'trace:zz" -d trace:zz
expect 2 'not an address range' -dfilter 0x7c00
expect 2 'not an address range' -dfilter 9..3
for range in '' , 7c00+ 0x7c00+0 0+-1 1-1, 5-9 0x7c00..0x7cff,x 0x1ffffffffffffffff+1 0xffffffffffffffff+2; do
    expect 2 'not an address range' -dfilter "$range"
done
logged="-M pc -kernel $work/exit -device isa-debug-exit -display none"
expect 67 '^block 100020' $logged -d in_asm,guest_errors -dfilter 0..15,0x100020+1
expect 67 '^block 100020' $logged -d in -dfilter 0x100023-4
holds '-dfilter leaves out the rest' "[ \$(grep -c '^block' '$work/out') = 1 ]"
expect 67 '' $logged -d in -dfilter 0x100021..0x10002f -D "$work/log-%d."
holds '-D names the process; -dfilter goes by where a block begins' "[ -f '$work'/log-[0-9]*. ] && ! grep -q '^block' '$work'/log-*."
expect 2 'needs a file' -symbols ''
expect 2 'use FILE, FILE,offset=N' -symbols a,b
expect 2 'use a number, hexadecimal' -symbols a,offset=x
expect 3 'cannot take symbols from .*missing: No such file' -symbols "$work/missing" -kernel "$work/exit"
expect 3 'neither an ELF file nor a list' -symbols /etc/passwd -kernel "$work/exit"
expect 2 'use a number from 1 to 9999' -profile x,freq=0
expect 2 'use auto, fp or off' -profile x,stack=orc
expect 2 'needs the name of the files' -profile freq=9
expect 2 'a date like' -rtc base=tomorrow
expect_jit 2 'leave out -accel interp' --check -accel interp -kernel "$work/exit"

# ---- networks ----
expect 0 e1000 -nic model=help
expect 0 'hostfwd' --help
expect 2 'use user, tap, socket, stream, dgram or none' -nic foo
expect 2 'use .*e1000' -nic user,model=foo
expect 2 'use an address like' -nic user,mac=1
expect 2 'first byte is even' -nic user,mac=01:00:00:00:00:00
expect 2 'unknown property' -nic user,foo=bar
expect 2 'use tcp:' -nic user,hostfwd=tcp:1-2
expect 2 'use on or off' -nic user,restrict=1
expect 2 'net=x' -nic user,restrict=y,net=x
expect 2 'net=x' -nic user,restrict=n,net=x
expect 2 '4 to 30 bits' -nic user,net=10.0.0.0/99
expect 2 'not an address of the guest' -nic user,net=10.1.0.0/16,host=10.2.0.1
expect 2 'nothing is left' -nic user,ipv4=off,ipv6=off
expect 2 'needs id=' -netdev user
expect 2 'two networks' -netdev user,id=a -netdev user,id=a -M pc
expect 2 'no -netdev with id=zz' -M pc -device e1000,netdev=zz
expect 2 'another device is on that network' -M pc -kernel "$work/exit" -netdev user,id=a -device e1000,netdev=a -device e1000,netdev=a
expect 2 'needs listen=' -nic socket
expect 2 'ADDRESS:PORT' -nic socket,listen=127.0.0.1:70000
expect 2 'only one of' -nic socket,listen=:1,connect=:2
expect 2 'localaddr=' -nic socket,udp=127.0.0.1:1
expect 2 'a group' -nic socket,mcast=127.0.0.1:1
expect 2 'a stream needs' -nic stream
expect 2 'needs addr.type=inet, unix or fd' -nic stream,addr.path=x
expect 2 'addr.type=unix needs addr.path=' -nic stream,addr.type=unix
expect 2 'use inet, unix or fd' -nic stream,addr.type=vsock
expect 2 'needs addr.port=' -nic stream,addr.type=inet,addr.host=127.0.0.1
expect 2 'use an address like' -nic stream,addr.type=inet,addr.host=nowhere,addr.port=1
expect 2 'does not go with addr.type=fd' -nic stream,server=on,addr.type=fd,addr.str=7
expect 2 'unknown property' -nic stream,local.type=unix
expect 2 'datagrams need' -nic dgram,local.type=unix,local.path=x
expect 2 'are to be the same' -nic dgram,local.type=unix,local.path=x,remote.type=inet,remote.host=127.0.0.1,remote.port=1
expect 2 'remote.port= and local.port=' -nic dgram,local.type=inet,local.host=127.0.0.1,remote.type=inet,remote.host=127.0.0.1,remote.port=1
expect 2 'no: scripts are not run' -nic tap,script=x
expect 67 '' -M micro -kernel "$work/exit" -nic user -device isa-debug-exit
expect 2 'no network with id=x' -M pc -object filter-dump,netdev=x,file="$work/pcap"
expect 2 'no object' -object foo
expect 3 'cannot write' -M pc -kernel "$work/exit" -nic user,id=q -object filter-dump,netdev=q,file="$work/no/such"
expect 3 'romfile=nope' -M pc -kernel "$work/exit" -device e1000,romfile=nope
expect 4 'cannot connect to 127.0.0.1:1: ' -M pc -kernel "$work/exit" -nic socket,connect=127.0.0.1:1
expect 4 "cannot connect to $work/no: No such file" -M pc -kernel "$work/exit" -nic "stream,addr.type=unix,addr.path=$work/no"
expect 4 'descriptor 99 is no open socket' -M pc -kernel "$work/exit" -nic stream,addr.type=fd,addr.str=99
expect 4 'does not let us listen' -M pc -kernel "$work/exit" -nic user,hostfwd=tcp:127.0.0.1:38211-:1,hostfwd=tcp:127.0.0.1:38211-:2
expect 4 'must not be the router' -M pc -kernel "$work/exit" -nic user,guestfwd=tcp:10.0.2.2:53-cmd:cat
expect 67 '' -M pc -kernel "$work/exit" -nic none -device isa-debug-exit
expect 67 '' -M pc -kernel "$work/exit" -net nic,model=rtl8139 -net user -device ne2k_isa -device isa-debug-exit
expect 67 'the chip is on no network' -M pc -kernel "$work/exit" -net nic -device isa-debug-exit
for chip in e1000 ne2k_isa ne2k_pci pcnet rtl8139; do
    expect 67 '' -M pc -kernel "$work/exit" -nic user,model=$chip,id=n -object filter-dump,netdev=n,file="$work/pcap" -device isa-debug-exit
    holds 'a capture begins with its head' "[ \"\$(head -c 4 '$work/pcap' | od -An -tx1 | tr -d ' ')\" = d4c3b2a1 ]"
done
# ---- what to boot from ----
expect 2 'cannot be told of this kind of device' -M pc -device virtio-rng-pci,bootindex=1
expect 2 'bootindex=4: device e1000 has it, too' -M pc -nic none -device e1000,bootindex=4 -device rtl8139,bootindex=4
expect 2 'use a number from 0 up' -M pc -device e1000,bootindex=-1
expect 2 'at most once' -M pc -boot order=cc
expect 2 'begin with type=N' -M pc -smbios serial=1
expect 2 'begin with type=N' -M pc -smbios file=/dev/null
expect 2 "types 0 to 4, 11 and 17" -M pc -smbios type=5,x=1
expect 2 "type=1 has no 'asset': it has manufacturer=.* uuid=" -M pc -smbios type=1,asset=1
expect 2 'no UUID' -M pc -smbios type=1,uuid=12
expect 2 'use MAJOR.MINOR' -M pc -smbios type=0,release=7
expect 3 'cannot read /nowhere: No such file' -M pc -smbios type=11,path=/nowhere
expect 2 'machine micro has no firmware' -M micro -kernel /nowhere -smbios type=1,serial=1
expect 2 'needs name=NAME' -M pc -fw_cfg name=opt/x
expect 2 'needs name=NAME' -M pc -fw_cfg string=x
expect 2 'one of string= and file=' -M pc -fw_cfg name=opt/x,string=x,file=y
expect 3 'cannot read /nowhere: No such file' -M pc -fw_cfg opt/x,file=/nowhere
expect 3 'cannot read /: Is a directory' -M pc -fw_cfg opt/x,file=/
expect 2 'longer than 55 bytes' -M pc -fw_cfg name=opt/0123456789012345678901234567890123456789012345678901,string=x
expect 2 'given twice' -M pc -fw_cfg opt/x,string=x -fw_cfg opt/x,string=y
expect 2 'the machine has this file itself' -M pc -display none -fw_cfg bootorder2,string=x -fw_cfg etc/e820,string=x
expect 2 'there is no machine .pc-q35-x' -M pc-q35-x
expect 2 'unknown property .vmport' -M pc,vmport=on
expect 2 'use milliseconds' -M pc -boot menu=on,splash-time=soon
expect 3 'this is neither' -M pc -boot splash="$0"
expect 3 'no/such' -M pc -boot splash="$work/no/such"
expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -nographic -global PIIX4_PM.disable_s3=1 -global PIIX4_PM.disable_s4=on
expect 67 'no machine has that sleep state' -M pc -kernel "$work/exit" -device isa-debug-exit -nographic -global ICH9-LPC.disable_s3=0
expect 2 'on or off' -M pc -global PIIX4_PM.disable_s3=maybe

# ---- boards without a drive's controller ----
: >"$work/medium"
expect 2 'machine micro has no IDE controller: use' -M micro -kernel "$work/exit" -hda "$work/medium"
expect 2 'machine micro has no floppy controller' -M micro -kernel "$work/exit" -fda "$work/medium"

# ---- virtio, SCSI, streams with a name ----
dd if=/dev/zero of="$work/disk" bs=1024 count=1024 2>/dev/null
disk="-drive if=none,id=d,format=raw,file=$work/disk"
guest="-M pc -kernel $work/exit -device isa-debug-exit"
expect 0 'virtio-blk-pci' -device help
expect 0 'num-queues=N' -device virtio-blk-pci,help
expect 67 '' $guest -drive if=virtio,format=raw,file="$work/disk"
expect 67 '' $guest -drive if=scsi,format=raw,file="$work/disk" -drive if=scsi,media=cdrom
expect 67 '' $guest $disk -device virtio-blk-pci,drive=d,disable-legacy=on,packed=on,num-queues=4
expect 67 '' $guest $disk -device virtio-scsi-pci,id=s -device scsi-hd,drive=d,bus=s.0,lun=7 -drive if=none,id=cd,media=cdrom \
    -device scsi-cd,drive=cd
expect 67 '' $guest -device virtio-rng-pci -device virtio-net-pci -device virtio-balloon-pci -device virtio-serial-pci \
    -chardev null,id=c -device virtconsole,chardev=c -chardev file,id=f,path="$work/port" -device virtserialport,chardev=f,name=x
expect 2 'needs drive=ID' $guest -device virtio-blk-pci
expect 2 'there is no -drive with id=x' $guest -device virtio-blk-pci,drive=x
expect 2 'drive d is in use' $guest $disk -device virtio-blk-pci,drive=d -device virtio-blk-pci,drive=d
expect 2 'power of two' $guest $disk -device virtio-blk-pci,drive=d,queue-size=100
expect 2 'use a number from 1 to 16' $guest $disk -device virtio-blk-pci,drive=d,num-queues=17
expect 2 'must be off' $guest $disk -device virtio-blk-pci,drive=d,disable-legacy=on,disable-modern=on
expect 67 '' -M micro -kernel "$work/exit" -device virtio-rng-pci -device isa-debug-exit
expect 2 'another device is there' $guest -device virtio-rng-pci,addr=9 -device virtio-rng-pci,addr=9
expect 2 'there is no SCSI bus' $guest $disk -device scsi-hd,drive=d
expect 2 'no SCSI bus named t.0' $guest $disk -device virtio-scsi-pci,id=s -device scsi-hd,drive=d,bus=t.0
expect 2 'another device is there' $guest $disk -drive if=none,id=cd,media=cdrom -device virtio-scsi-pci \
    -device scsi-hd,drive=d,scsi-id=3 -device scsi-cd,drive=cd,scsi-id=3
expect 2 'has no medium' $guest -drive if=none,id=cd,media=cdrom -device virtio-blk-pci,drive=cd
expect 2 'no virtio-serial-bus bus' $guest -device virtconsole
expect 2 'ports are numbered' $guest -device virtio-serial-pci -device virtserialport,nr=0
expect 2 'there is no -chardev with id=y' $guest -device virtio-serial-pci -device virtconsole,chardev=y
expect 2 'another device has it' $guest -chardev null,id=c -device virtio-serial-pci -device virtconsole,chardev=c \
    -device virtserialport,chardev=c
expect 2 'a balloon already' $guest -device virtio-balloon-pci -device virtio-balloon-pci
expect 0 'socket' -chardev help
expect 2 'needs id=' -chardev null
expect 2 "there is no 'warp'" -chardev warp,id=c
expect 2 'two with id=c' -chardev null,id=c -chardev pty,id=c
expect 2 'needs path=PATH' -chardev file,id=c
expect 2 'needs path=PATH, fd=N, or port' -chardev socket,id=c
expect 2 'unknown property .path.' -chardev null,id=c,path=x
expect 2 'unknown property .append.' -chardev pipe,id=c,append=on
expect 2 'unknown property .path.' -chardev file,id=c,path
expect 2 'needs path=PATH' -chardev pipe,id=c
expect 2 'needs port=N' -chardev udp,id=c
expect 2 'no consoles of text' -chardev vc,id=c
expect 2 'no consoles of text' -kernel "$work/exit" -serial vc
expect 2 'use udp:HOST:PORT@HOST:PORT' -kernel "$work/exit" -serial udp:x
expect 3 'cannot write its log' -kernel "$work/exit" -chardev null,id=c,logfile="$work/no/such"
expect 4 'it is no serial port' -kernel "$work/exit" -serial /dev/null
expect 4 'cannot open the pipe' -kernel "$work/exit" -chardev pipe,id=c,path="$work/no/such"
expect 67 '' -kernel "$work/exit" -device isa-debug-exit -chardev stdio,id=c,signal=off -serial chardev:c
expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit -parallel null -parallel null -chardev null,id=a -chardev null,id=b \
    -device isa-serial,chardev=a -device pci-serial-2x,chardev1=b -debugcon null -vga none
expect 2 'has 3 parallel ports' -kernel "$work/exit" -parallel null -parallel null -parallel null -parallel null
expect 2 'needs chardev=ID' -kernel "$work/exit" -device isa-serial
expect 2 'already belongs to com1' -kernel "$work/exit" -serial null -chardev null,id=c -device isa-serial,index=0,chardev=c
expect 2 'another device has it' -kernel "$work/exit" -chardev null,id=c -device isa-serial,chardev=c -device isa-parallel,chardev=c
expect 3 'cannot write' -kernel "$work/exit" -chardev file,id=c,path="$work/no/such"
expect 4 'cannot connect to unix' -kernel "$work/exit" -chardev socket,id=c,path="$work/no/such"
expect 2 'unknown destination' -kernel "$work/exit" -serial tcp:1234
expect 2 'no -chardev with id=c' -kernel "$work/exit" -serial chardev:c
expect 2 'already used' -kernel "$work/exit" -chardev null,id=c -serial chardev:c -serial chardev:c
expect 67 '' -kernel "$work/exit" -device isa-debug-exit -chardev stdio,id=c,mux=on -serial chardev:c
expect 67 '' -kernel "$work/exit" -device isa-debug-exit -serial "unix:$work/sock,server,nowait"
holds 'its socket is gone' '[ ! -e "$work/sock" ]'

# ---- files ----
expect 3 'No such file' -kernel "$work/missing"
expect 3 'kernel' -kernel "$work/empty"
expect 3 'kernel' -kernel "$work/text"
expect 3 'kernel' -kernel "$work/cut"
expect 3 'is it cut off' -kernel "$work/cutelf"
expect 3 'bzImage' -kernel "$work/elf"
expect 3 'decompress it' -kernel "$work/gz"
expect 3 'kernel' -kernel "$work"
expect 3 'No such file' -kernel "$work/exit" -initrd "$work/missing"
expect 3 '-m' -m 32 -kernel "$work/exit" -initrd "$work/large"
expect 3 'cannot write' -kernel "$work/exit" -serial file:"$work/no/such"
expect 3 'cannot write' -D "$work/no/such" -kernel "$work/exit"

# ---- guests ----
expect 67 '' -kernel "$work/exit" -device isa-debug-exit,iobase=0xf4,iosize=0x04
expect 67 '' -M pc -kernel "$work/exit" -device isa-debug-exit
# A firmware of 64 KiB: from the reset vector to F000:0000, the same program there
perl -e 'print "\xb0\x21\xe6\xf4\xf4", "\x90" x (0xfff0 - 5), "\xea\x00\x00\x00\xf0", "\x90" x 11' >"$work/bios"
for engine in $($jit && echo jit) interp; do
    expect 67 '' -M pc -accel $engine -bios "$work/bios" -device isa-debug-exit
    expect 67 '' -M pc,accel=$engine -L "$work" -bios bios -device isa-debug-exit
done
expect 67 'firmware given by -bios does not run' -M pc -bios "$work/bios" -kernel "$work/exit" -device isa-debug-exit
expect 67 '' --kernel "$work/exit" --device isa-debug-exit -accel interp
expect_jit 67 'no difference' -kernel "$work/exit" -device isa-debug-exit --check
expect 7 '' -kernel "$work/exit2" -device isa-debug-exit,iobase=0x501,iosize=2
expect 67 'kvm' -enable-kvm -kernel "$work/exit" -device isa-debug-exit
expect 67 'kvm' -accel kvm -kernel "$work/exit" -device isa-debug-exit
expect_jit 67 '' -accel jit,hot=0 -kernel "$work/exit" -device isa-debug-exit
expect 10 'ouble fault\|riple fault' -no-reboot -kernel "$work/triple"
expect 0 '' -no-reboot -kernel "$work/reset"
expect 11 'unimp: WRMSR 1d9 (DEBUGCTL) = 2: has no effect' -d unimp -kernel "$work/btf" -device isa-debug-exit
expect 11 '^dev:isa-debug-exit: out8 00f4 <- 05' -d dev:isa-debug-exit -kernel "$work/exit3" -device isa-debug-exit
expect 11 '^dev:lapic: read32 fee00020 -> 00000000  lapic' -d dev:lapic -kernel "$work/exit3" -device isa-debug-exit
expect 11 '^dev:lapic:' -d dev -kernel "$work/exit3" -device isa-debug-exit
expect 11 '' -d dev:lapic -D "$work/log" -kernel "$work/exit3" -device isa-debug-exit
holds 'a log of dev:lapic alone' "grep -q '^dev:lapic:' '$work/log' && ! grep -qv '^dev:lapic:' '$work/log'"
# a sector read by PIO: what is known of it is what is traced, in this order
guest sector 66baf201b001ee42b005ee42b000ee42ee42b0e0ee42b020eeeca88075fb66baf001b90001000066ede2fcb021e6f4f4
expect 67 '' -M pc -kernel "$work/sector" -device isa-debug-exit -drive "file=$work/large,format=raw,id=d0" \
    -trace "ide_*,file=$work/trace" -trace 'disk_*' -trace io_write -trace -ide_status -trace machine_stop
sed -n 's/^[0-9]*\.[0-9]\{9\} //; s/[^ ]*latimer[^ ]*large\|[^ ]*\/large/large/; /0x1f7/,$p' "$work/trace" >"$work/told"
printf '%s\n' 'cpu0 io_write ide port 0x1f7 size 1 value 0x20' 'cpu0 ide_command d0 command 0x20 features 0 lba 5 count 1' \
    'cpu0 disk_submit large request 0 read offset 2560 length 512' 'disk disk_begin large request 0' \
    'X disk_done large request 0 read error 0' 'cpu0 io_write isa-debug-exit port 0xf4 size 1 value 0x21' \
    'cpu0 machine_stop reason 3 code 67' >"$work/known"
holds 'events of a sector that is read' "sed 's/^[a-z]* disk_done/X disk_done/' '$work/told' | diff '$work/known' - >&2"
expect 67 '^[0-9]*\.[0-9]\{9\} cpu0 io_write isa-debug-exit port 0xf4 size 1 value 0x21$' -d trace:io_write -kernel "$work/exit" \
    -device isa-debug-exit
expect 67 '' -trace "io_*,file=$work/trace" -trace -io_write -kernel "$work/exit" -device isa-debug-exit
holds 'events that were taken away do not come' "! grep -q io_write '$work/trace'"
expect 11 '  100025  mov al, 5$' -d in -kernel "$work/exit3" -device isa-debug-exit
expect 10 'mmu: cr3\|page of 2^12 bytes' -no-reboot -d mmu,int -kernel "$work/triple"
# one block at least is measured, and takes more than no time and less than a tenth of a second an instruction
$jit && expect 67 'took [1-9][0-9]\{0,7\} ns of CPU time an instruction' -d stats -kernel "$work/exit" -device isa-debug-exit

# ---- drives and devices ----
# writes "A" to all of the first disk's first sector by PIO; exit code 67, or 69 if the disk does not take it
guest wdisk "66baf601b0e0eeb2f2b001eeb2f3b000eeb2f4eeb2f5eeb2f7b030eeeca80974fbb2f0b90001000066b8414166efe2fcb2f7eca88075fb24010421e6f4f4"
head -c 1048576 /dev/zero >"$work/zeros"
cp "$work/zeros" "$work/d.img"
run="-M pc -kernel $work/exit -device isa-debug-exit"
expect 3 'no such file\|No such file' -hda "$work/none.img" $run
expect 3 'irectory' -hda "$work" $run
expect 3 'irectory' -cdrom "$work" $run
expect 67 '' -hda "$work/d.img" $run
expect 67 '' -drive file="$work/d.img",format=raw,if=ide,index=3,cache=none,discard=unmap,serial=S,id=x $run
expect 2 'if=warp: use ide' -drive file="$work/d.img",if=warp $run
expect 2 'index=x: use a number' -drive file="$work/d.img",index=x $run
expect 2 'places 0 to 3' -drive file="$work/d.img",index=4 $run
q35="-M q35 -kernel $work/exit -device isa-debug-exit"
expect 2 'places 0 to 5' -drive file="$work/d.img",index=6 $q35
expect 67 '' -drive file="$work/d.img",bus=5 $q35
expect 2 'ide drive 2 is already there' -drive file="$work/d.img",bus=1,unit=0 -cdrom "$work/zeros" $run
none="-drive if=none,id=hd,file=$work/d.img,format=raw"
expect 67 '' $none -device ide-hd,drive=hd,bus=ide.2,model=M,ver=V,serial=S,wwn=0x5000c50015ea71ac,physical_block_size=4096 $q35
expect 67 '' $none -device ahci,id=sata -device ide-hd,drive=hd,bus=sata.5,bootindex=0 $run
expect 67 '' $none -device ich9-ahci -device ide-hd,drive=hd,bus=ide.7 $run
expect 67 '' $none -hda "$work/zeros" -device ide-hd,drive=hd $run
expect 67 '' $none -device ide-cd,drive=hd,unit=1,bus=ide.1 $run
expect 2 'unit 0 of its bus has a device already' $none -hda "$work/zeros" -device ide-hd,drive=hd,bus=ide.0 $q35
expect 2 'unit=1: the bus has one unit' $none -device ide-hd,drive=hd,unit=1 $q35
expect 2 'no IDE bus named ide.6' $none -device ide-hd,drive=hd,bus=ide.6 $q35
expect 2 'needs drive=ID' -device ide-hd $run
expect 2 'serial=.*at most 20' $none -device ide-hd,drive=hd,serial=123456789012345678901 $run
expect 2 'logical_block_size=4096: use a number from 512 to 512' $none -device ide-hd,drive=hd,logical_block_size=4096 $run
expect 2 'must be a power of two' $none -device ide-hd,drive=hd,physical_block_size=1000 $run
expect 2 'is a CD-ROM: use ide-cd' $none,media=cdrom -device ide-hd,drive=hd $run
expect 67 '' $none -device floppy,drive=hd,unit=1,bootindex=0 $run
expect 2 'floppy drive A: there is another' $none -fda "$work/zeros" -device floppy,drive=hd $run
expect 2 'no floppy bus for it' $none -device floppy,drive=hd -M micro -kernel "$work/exit"
expect 2 'media=tape: use disk or cdrom' -drive file="$work/d.img",media=tape $run
expect 2 'format=vmdk: use raw or qcow2' -drive file="$work/d.img",format=vmdk $run
expect 3 'it is a directory' -drive file="$work" $run
for part in low high again; do
    "$latimer" image create -q -f qcow2 ${base:+-b "$base" -F qcow2} "$work/$part.qcow2" 1M >"$work/out" 2>&1 || cat "$work/out"
    base=$work/$part.qcow2
done
head -c 100 "$work/low.qcow2" >"$work/headless.qcow2"
expect 3 'truncated: its header' -drive file="$work/headless.qcow2" $run
mv "$work/again.qcow2" "$work/low.qcow2"
expect 3 'its own backing file' -drive file="$work/low.qcow2" $run
expect 3 'its own backing file' -drive file="$work/low.qcow2",readonly=on $run
expect 4 'tftp=.*/nothing: No such file or directory: it must be the folder' -nic user,tftp="$work/nothing" $run
expect 4 'tftp=.*/text: Not a directory: it must be the folder' -nic user,tftp="$work/text" $run
expect 2 'cache=hot: use writeback' -drive file="$work/d.img",cache=hot $run
expect 2 'discard=maybe: use unmap' -drive file="$work/d.img",discard=maybe $run
expect 2 'snapshot' -drive file="$work/d.img",snapshot=maybe $run
expect 2 'readonly' -drive file="$work/d.img",readonly=maybe $run
expect 2 'heads=17: use a number from 0 to 16' -drive file="$work/d.img",heads=17 $run
expect 2 'secs=64' -drive file="$work/d.img",secs=64 $run
expect 2 'cyls=65536' -drive file="$work/d.img",cyls=65536 $run
expect 2 'aio=magic: use threads' -drive file="$work/d.img",aio=magic $run
expect 2 'detect-zeroes=maybe: use off, on or unmap' -drive file="$work/d.img",detect-zeroes=maybe $run
expect 2 'discard=ignore forbids' -drive file="$work/d.img",detect-zeroes=unmap,discard=ignore $run
expect 2 'discard=ignore forbids' -blockdev driver=file,node-name=x,filename="$work/d.img",detect-zeroes=unmap,discard=ignore $run
expect 67 'copy-on-read=on: the drive is read-only' -drive if=none,id=x,file="$work/d.img",copy-on-read=on,readonly=on $run
expect 2 'werror=no: use report, ignore, enospc or stop' -drive file="$work/d.img",werror=no $run
expect 2 'rerror=enospc: use report, ignore or stop' -drive file="$work/d.img",rerror=enospc $run
expect 2 'if=floppy: werror= and rerror= are for disks' -drive file="$work/d.img",if=floppy,werror=stop $run
expect 2 'rotation_rate=5: use 1 for' -drive file="$work/d.img",if=none,id=x -device ide-hd,drive=x,rotation_rate=5 $run
expect 2 'use auto, on or off' -drive file="$work/d.img",if=none,id=x -device virtio-blk-pci,drive=x,write-cache=maybe $run
expect 2 'use auto, report, ignore, enospc or stop' -drive file="$work/d.img",if=none,id=x -device ide-hd,drive=x,werror=later $run
expect 2 "unknown property 'colour=red'" -drive file="$work/d.img",colour=red $run
expect 2 'needs file=' -drive if=ide $run
expect 2 'already there' -hda "$work/d.img" -drive file="$work/zeros",index=0 $run
expect 2 'two drives with id=x' -drive file="$work/d.img",id=x -drive file="$work/zeros",id=x $run
expect 3 'given twice' -hda "$work/d.img" -hdb "$work/d.img" $run
expect 2 'use tcp:' -incoming somewhere $run
expect 2 'leave one out' -incoming tcp::1 -loadvm x $run
expect 4 'no such descriptor' -incoming fd:99 $run
expect 3 'truncated' -incoming "exec:head -c 1 /dev/zero" $run
expect 67 '' -blockdev driver=raw,node-name=n,file.driver=file,file.filename="$work/d.img" $run
expect 67 '' -blockdev driver=file,node-name=n,filename="$work/d.img",read-only=on $run
expect 2 'needs node-name=' -blockdev driver=raw,file.filename="$work/d.img" $run
expect 2 'needs node-name=' -blockdev driver=raw,node-name=n $run
expect 67 '' -blockdev '{"driver": "raw", "node-name": "n", "read-only": true, "cache": {"direct": false},
 "file": {"driver": "file", "filename": "'"$work/d.img"'"}}' $run
expect 2 'needs node-name=' -blockdev '{"driver":"raw"}' $run
expect 2 'no JSON' -blockdev '{"driver":"raw"' $run
expect 2 "unknown property 'file.colour'" -blockdev '{"driver":"raw","node-name":"n","file":{"colour":1}}' $run
expect 2 'file: use a string' -blockdev '{"driver":"raw","node-name":"n","file":[]}' $run
expect 2 "unknown property 'colour'" -blockdev driver=raw,node-name=n,colour=red $run
node="-blockdev driver=file,node-name=f,filename=$work/d.img"
disk="-device ide-hd,drive=n"
expect 67 '' $node -blockdev driver=raw,node-name=n,file=f $disk $run
expect 67 '' $node -blockdev raw,file=f,node-name=n $disk $run
expect 67 '' -blockdev '{"driver":"file","node-name":"f","filename":"'"$work/d.img"'"}' \
    -blockdev '{"driver":"raw","node-name":"n","file":"f"}' $disk $run
expect 2 'no such node' -blockdev driver=raw,node-name=n,file=f $node $run
expect 2 'somebody else has that node' $node -blockdev driver=raw,node-name=n,file=f -blockdev driver=raw,node-name=m,file=f $run
expect 2 'on a node with driver=file' -blockdev driver=raw,node-name=f,file.filename="$work/d.img" -blockdev driver=raw,node-name=n,file=f $run
expect 2 'is the file of another' $node -blockdev driver=raw,node-name=n,file=f -device ide-hd,drive=f $run
expect 2 'leave file.filename= out' $node -blockdev driver=raw,node-name=n,file=f,file.filename=x $run
expect 3 'not a qcow2' $node -blockdev driver=qcow2,node-name=n,file=f $disk $run
expect 3 'No such file' -blockdev driver=file,node-name=f,filename="$work/none" -blockdev driver=raw,node-name=n,file=f $run
expect 2 'two can write' $node,locking=off -blockdev driver=raw,node-name=n,file=f $run
expect 67 '' -hda "$work/d.img" $node,locking=off -blockdev driver=raw,node-name=n,file=f,read-only=on -device ide-hd,drive=n,bus=ide.1 $run
expect 2 'two can write' -drive file="$work/d.img",force-share=on $run
expect 67 '' -drive file="$work/d.img",format=raw -drive file="$work/d.img",format=raw,force-share=on,readonly=on $run
expect 67 '' -drive driver=raw,file.driver=file,file.filename="$work/d.img" $run
expect 2 'file.driver=nbd' -drive file.driver=nbd,file.filename=x $run
expect 2 'driver=nbd' -blockdev driver=nbd,node-name=n,filename=x $run
holds 'nothing was written so far' "cmp -s '$work/d.img' '$work/zeros'"
write="-M pc -kernel $work/wdisk -device isa-debug-exit"
expect 67 '' -snapshot -hda "$work/d.img" $write
expect 67 '' -drive file="$work/d.img",snapshot=on $write
expect 69 '' -drive file="$work/d.img",readonly=on $write
expect 69 '' -drive file="$work/d.img",readonly=on,snapshot=on $write
holds 'snapshots and read-only drives leave the file' "cmp -s '$work/d.img' '$work/zeros'"
expect 67 '' -snapshot $node -blockdev raw,node-name=n,file=f -device ide-hd,drive=n,bus=ide.0 $write
expect 69 '' $node,read-only=on -blockdev raw,node-name=n,file=f -device ide-hd,drive=n,bus=ide.0 $write
holds 'neither do nodes' "cmp -s '$work/d.img' '$work/zeros'"
expect 67 '' $node -blockdev raw,node-name=n,file=f -device ide-hd,drive=n,bus=ide.0 $write
holds 'a sector reached the file of a node' "! cmp -s '$work/d.img' '$work/zeros'"
cp "$work/zeros" "$work/d.img"
expect 67 '' -drive file="$work/d.img",format=raw $write
holds 'the sector reached the file' \
    "head -c 512 '$work/d.img' | tr -d A | cmp -s - /dev/null && ! cmp -s '$work/d.img' '$work/zeros'"
if [ "$(id -u)" != 0 ]; then
    chmod 444 "$work/d.img"
    expect 3 'cannot be written.*readonly=on' -hda "$work/d.img" $run
    expect 67 '' -drive file="$work/d.img",readonly=on $run
    chmod 644 "$work/d.img"
else
    skip 'an image without permission to write' 'root may write everything'
fi
"$latimer" -M pc -serial none -hda "$work/d.img" -kernel "$work/halt" </dev/null >/dev/null 2>&1 &
holder=$!
sleep 1
expect 3 "process $holder\|in use\|locked" -hda "$work/d.img" $run
kill -KILL $holder
wait $holder 2>/dev/null
expect 67 '' -hda "$work/d.img" $run
expect 2 "no device 'isa-debug-exi': did you mean isa-debug-exit" -device isa-debug-exi
expect 2 "no device 'warp': .* help lists" -device warp,x=1
expect 2 "no device 'warp'" -device driver=warp
expect 67 '' -M pc -kernel "$work/exit" -device driver=isa-debug-exit
expect 2 'name comes first' -M pc -kernel "$work/exit" -device isa-debug-exit=5
expect 0 'iobase=N .*default' -device isa-debug-exit,help
expect 0 'id=, bus=, bootindex=' -device isa-debug-exit,iobase=1,help
expect 2 'bootindex=first: use a number from 0' -M pc -kernel "$work/exit" -device isa-debug-exit,bootindex=first
expect 2 'addr=99: use a slot' -M pc -kernel "$work/exit" -device isa-debug-exit,addr=99
expect 2 'another device with id=a' -M pc -kernel "$work/exit" -device isa-debug-exit,id=a \
    -device isa-debug-exit,iobase=0x600,id=a

# ---- what QEMU's users give by habit ----
run="-M pc -nic none -kernel $work/exit -device isa-debug-exit"
expect 2 "'12y' is not a memory size" $run -m 64,maxmem=12y
expect 2 'unknown property .fast.: use size=, slots= or maxmem=' $run -m 64,fast=on
expect 2 'slots=x: use a number' $run -m size=64,slots=x
expect 67 'note: -m: slots= and maxmem= have no effect' $run -m size=64M,slots=2,maxmem=1G
expect 67 '' $run -m size=64
holds 'memory alone needs no word' '! grep -q note: "$work/out"'
for opt in -no-user-config -nodefconfig -no-kvm '-cpu max,check' \
    '-cpu qemu64,enforce,-sse4.2' '-cpu max,migratable=no,vmx=off' '-rtc base=utc,clock=host,driftfix=slew' \
    '-name guest=g,process=p,debug-threads=on' -nodefaults -no-hpet -no-fd-bootchk '-M pc,hpet=on'; do
    expect 67 '' $run $opt
    holds "$opt needs no word" '! grep -q note: "$work/out"'
done
for opt in '-msg timestamp=on' '-overcommit mem-lock=off' -no-quit --show-cursor; do
    expect 67 "note: ${opt%% *} has no effect: " $run $opt
done
for opt in "-mem-path $work -mem-prealloc" '-machine pc,memory-backend=a -object memory-backend-ram,id=a,size=64M,share=on' \
    '-M pc,dump-guest-core=off,memory-backend=a -object memory-backend-memfd,id=a,size=64M -m 64'; do
    expect 67 '' $run $opt
    holds "$opt needs no word" '! grep -q note: "$work/out"'
done
expect 0 'memory-backend-file  *a file' -object help
expect 0 'mem-path  *the file' -object memory-backend-file,help
expect 2 "there is no object 'x': -object help" $run -object x,id=a
for opt in whpx:hvf:interp $($jit && echo kvm:tcg tcg,thread=multi tcg,thread=single); do      # who allows what there is needs no word
    expect 67 '' $run -accel $opt
    holds "$opt needs no word" '! grep -q note: "$work/out"'
done
for opt in hvf kvm:hvf; do
    expect 67 'note: hardware virtualization (.*) is never used' $run -accel $opt
    expect 67 'note: hardware virtualization (.*) is never used' -M pc,accel=$opt ${run#-M pc}
done
expect 2 "unknown engine 'warp'" $run -accel kvm:warp
expect_jit 2 'thread=many: use single or multi' $run -accel jit,thread=many
expect 67 'note: -rtc: driftfix=none has no effect' $run -rtc driftfix=none
expect 2 'driftfix=x: use slew or none' $run -rtc driftfix=x
expect 2 "clock=vm: the guest's time follows the host's" $run -rtc clock=vm
expect 2 "unknown CPU model 'Nehalem': there is one processor, latimer64" $run -cpu Nehalem,-vmx
expect 2 "take 'max'" $run -cpu host
while read -r opt advice; do
    expect 2 "^latimer: $opt is not there: .*$advice" $run $opt value
done <<'EOF'
-icount leave it out
-no-acpi acpi=off
-sandbox systemd-run
-runas as that user
-soundhw -audio
-localtime -rtc base=localtime
-watchdog -device NAME
-curses -display curses
-sdl -display sdl
-spice -vnc
-tb-size tb-size=MIB
-hdachs cyls=
-option-rom romfile=
EOF
guest hpet a10000d0fee6f4f4                     # mov eax,[0fed00000h]; out 0f4h,al; hlt: its revision, or nothing there
for board in micro pc q35; do
    expect 3 '' -M $board -kernel "$work/hpet" -device isa-debug-exit
    expect 255 '' -M $board,hpet=off -kernel "$work/hpet" -device isa-debug-exit
    expect 255 '' -M $board -no-hpet -kernel "$work/hpet" -device isa-debug-exit
done
# -pidfile: there while the machine is, for one machine, and gone at the end, but never somebody else's
expect 3 '-pidfile: cannot write .*such: No such file' $run -pidfile "$work/no/such"
expect 3 '-pidfile: cannot write .*Is a directory' $run -pidfile "$work"
expect 3 '-pidfile: cannot write .*no plain file' $run -pidfile /dev/null
echo 'left by one that was killed, 4711' >"$work/pid"
expect 67 '' $run -pidfile "$work/pid"
holds 'the number of the process goes with it' '[ ! -e "$work/pid" ]'
expect 3 'No such file' -M pc -kernel "$work/missing" -pidfile "$work/pid"
holds 'and when the machine cannot be made' '[ ! -e "$work/pid" ]'
"$latimer" -M pc -nic none -serial none -kernel "$work/halt" -pidfile "$work/pid" </dev/null >/dev/null 2>&1 &
holder=$!
tries=0
while ! grep -qs . "$work/pid" && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
holds 'the file has the number' '[ "$(cat "$work/pid")" = $holder ]'
expect 3 "process $holder has it" $run -pidfile "$work/pid"
holds 'another machine leaves it alone' '[ "$(cat "$work/pid")" = $holder ]'
rm "$work/pid"
echo mine >"$work/pid"
kill -HUP $holder
wait $holder 2>/dev/null
holds 'a file that came in its place stays' '[ "$(cat "$work/pid")" = mine ]'
# -daemonize: ends when the machine is there, which goes on with nobody's terminal, or with what is wrong with it
expect 0 '' -M pc -nic none -kernel "$work/halt" -daemonize -pidfile "$work/pid2"
daemon=$(cat "$work/pid2")
holds 'it goes on' 'kill -0 $daemon'
holds 'in a session of its own' '[ "$(cut -d " " -f 6 /proc/$daemon/stat)" = $daemon ]'
expect 3 "process $daemon has it" -M pc -nic none -kernel "$work/halt" -daemonize -pidfile "$work/pid2"
expect 3 'No such file' -M pc -kernel "$work/missing" -daemonize
expect 2 'not there (-daemonize)' $run -daemonize -serial stdio
kill -HUP $daemon
tries=0
while [ -e "$work/pid2" ] && [ $tries -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
holds 'and ends as others do' '[ ! -e "$work/pid2" ]'
# a floppy disk without the signature 55AAh: mov al,21h; out 0f4h,al; hlt
perl -e 'print "\xb0\x21\xe6\xf4\xf4", "\0" x (1474560 - 5)' >"$work/floppy"
floppy="-M pc -nic none -display none -device isa-debug-exit -action reboot=shutdown -boot order=a,reboot-timeout=1 -drive if=floppy,format=raw,file=$work/floppy"
if have_seabios; then
    # behind an empty disk that has a bootindex
    order="$floppy -drive file=$work/zeros,format=raw,if=none,id=e,readonly=on -device virtio-blk-pci,drive=e,bootindex=0 -no-fd-bootchk"
    expect 67 '' $order
    expect 67 '' $order -boot strict=off
    expect 0 '' $order -boot strict=on
    expect 67 '' $floppy -no-fd-bootchk -boot strict=on
    expect 67 '' $floppy -no-fd-bootchk
    expect 0 '' $floppy
else
    skip 'a floppy disk without a signature' 'there is no SeaBIOS'
fi

# ---- signals ----
signal() {              # CODE SIGNAL...
    want=$1 code=0
    shift
    n=$((n + 1))
    "$latimer" -serial none -kernel "$work/halt" </dev/null 2>"$work/out" &
    pid=$!
    sleep 1
    for s in "$@"; do
        kill -"$s" $pid
        sleep 0.3
    done
    wait $pid || code=$?
    [ "$code" = "$want" ] || { failed=$((failed + 1)); echo "FAIL: signals $*: exit code $code, wanted $want"; }
}
signal 143 TERM TERM

finish
