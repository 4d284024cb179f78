#!/bin/sh
# badimage.sh - files that are no images, and images of odd kinds, given to every option that takes one: refused with
# a message and exit code 3, or taken as QEMU takes them; and no file changed by it.
set -u
. "${srcdir:-.}/tests/cli/lib.sh"

guest exit b021e6f4f4                           # mov al,21h; out 0f4h,al; hlt
# reads sector 1 of the first disk by PIO; exits with the sum of its bytes 487 and 488
guest tail 66baf201b001ee42b001ee42b000ee42ee42b0e0ee42b020eeeca88075fb66baf001bf00001900b900010000666de2fca0e70119000205e8011900e6f4f4
# writes "A" to all of the first disk's first sector by PIO; exit code 67, or 69 if the disk does not take it
guest wdisk "66baf601b0e0eeb2f2b001eeb2f3b000eeb2f4eeb2f5eeb2f7b030eeeca80974fbb2f0b90001000066b8414166efe2fcb2f7eca88075fb24010421e6f4f4"
quiet="-M pc -nic none -device isa-debug-exit"
run="$quiet -kernel $work/exit"

size() { head -c "$2" /dev/zero >"$work/$1"; }
size none 0
size part 1000
size cd 3072
size flash 1048576
size odd 100000
size big 4194304
perl -e 'print "all work and no play\n" x 60' >"$work/text"
mkdir "$work/dir"
mkfifo "$work/fifo"
ln -s nowhere "$work/dangling"
ln -s loop "$work/loop"
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die' "$work/sock"
"$latimer" image create -q -f qcow2 "$work/whole.qcow2" 10M
head -c 50 "$work/whole.qcow2" >"$work/cut50"
head -c 1000 "$work/whole.qcow2" >"$work/cut1000"
before=$(cat "$work"/none "$work"/part "$work"/text "$work"/cut* "$work"/whole.qcow2 | cksum)

# ---- each kind of file, with each option that takes an image of a disk ----

# disks CODE TEXT FILE [OPTION...]: given as a disk of every kind, with and without permission to write
disks() {
    want=$1 text=$2 file=$work/$3
    for as in -hda -cdrom -fda; do
        expect "$want" "$text" $run $as "$file"
    done
    expect "$want" "$text" $run -drive if=virtio,file="$file"
    expect "$want" "$text" $run -drive file="$file",readonly=on
    expect "$want" "$text" $run -drive if=none,id=d,file="$file",snapshot=on -device nvme,drive=d
    expect "$want" "$text" $run -drive if=pflash,file="$file"
}
disks 3 'it is a directory, not a disk image' dir
disks 3 'neither a file nor a block device' fifo
disks 3 'a socket, or a device that is not there' sock
disks 3 'No such file or directory' dangling
disks 3 'Too many levels of symbolic links' loop
disks 3 'truncated: not even a qcow2 header' cut50
disks 3 'truncated: its L1 table lies behind the end of the file' cut1000
for node in null zero; do
    expect 3 'neither a file nor a block device' $run -hda /dev/$node
    expect 3 'neither a file nor a block device' $run -cdrom /dev/$node
done

# ---- sizes: what can be read is, and a word is said ----

expect 67 'note: -hda: .*none is empty.*image create' $run -hda "$work/none"
expect 67 'note: -cdrom: .*none is empty' $run -cdrom "$work/none"
expect 67 'note: -fda: .*none is empty' $run -fda "$work/none"
for disk in virtio-blk-pci nvme scsi-hd usb-storage; do
    expect 67 'note: -drive: .*none is empty' $run -usb -device virtio-scsi-pci -drive if=none,id=d,file="$work/none" \
        -device $disk,drive=d
done
expect 67 'note: -hda: .*part has 1000 bytes, and a disk sectors of 512' $run -hda "$work/part"
expect 67 'note: -hda: .*text has 1260 bytes' $run -hda "$work/text"
expect 67 'note: -cdrom: .*cd has 3072 bytes, and a CD blocks of 2048: the last 1024' $run -cdrom "$work/cd"
expect 67 '' $run -fda "$work/odd"
expect 3 'at most 3932160.*-hda' $run -fda "$work/big"
expect 3 'pflash0: 0 bytes: .*multiple of 4 KiB' $run -drive if=pflash,format=raw,file="$work/none"
expect 3 'pflash0: .* bytes: .*multiple of 4 KiB' $run -drive if=pflash,format=raw,file="$work/odd"
holds 'images that were only looked at are what they were' \
    '[ "$(cat "$work"/none "$work"/part "$work"/text "$work"/cut* "$work"/whole.qcow2 | cksum)" = "$before" ]'
# a file that ends within a sector: its last byte is there, zeros follow, and a write makes the sector whole
perl -e 'print "B" x 999, "A"' >"$work/tail.img"
expect 131 '' $quiet -kernel "$work/tail" -drive file="$work/tail.img",format=raw
expect 131 '' $quiet -kernel "$work/tail" -drive file="$work/tail.img",format=raw,readonly=on
expect 131 '' $quiet -kernel "$work/tail" -drive file="$work/tail.img",format=raw,snapshot=on
size short 300
expect 67 '' $quiet -kernel "$work/wdisk" -drive file="$work/short",format=raw
holds 'a sector that was written is whole in the file' '[ "$(tr -d "\n" <"$work/short")" = "$(perl -e "print q(A) x 512")" ]'

# ---- files that are loaded ----

loads() {       # CODE TEXT FILE: as kernel, initial ramdisk, firmware, option ROM and file of the firmware's
    expect "$1" "$2" $quiet -kernel "$3"
    expect "$1" "$2" $run -initrd "$3"
    expect "$1" "$2" $quiet -bios "$3"
    expect "$1" "$2" $run -device e1000,romfile="$3"
}
loads 3 'Is a directory' "$work/dir"
loads 3 'the file is empty' "$work/none"
loads 3 'neither a file, a pipe nor a block device' /dev/zero
loads 3 'No such device or address' "$work/sock"
loads 3 'o such file' "$work/dangling"
loads 3 'Too many levels\|no such file' "$work/loop"
expect 3 'no kernel' $quiet -kernel "$work/text"
expect 3 'no kernel' $quiet -kernel "$work/whole.qcow2"
expect 3 'multiple of 64 KiB' $quiet -bios "$work/text"
expect 3 'longer than' $run -fw_cfg opt/x,file=/dev/zero
expect 3 'Is a directory' $run -fw_cfg opt/x,file="$work/dir"
expect 3 'longer than' $run -smbios type=11,path=/dev/zero
expect 2 '/dev/zero, line 1' $run -trace events=/dev/zero
for file in dir fifo; do
    expect 3 "$file is no file" $run -loadvm "$work/$file"
done
expect 3 'none: not a snapshot' $run -loadvm "$work/none"
expect 3 'text: not a snapshot' $run -loadvm "$work/text"
expect 3 '/dev/zero is no file' $run -loadvm /dev/zero

# ---- no permission ----

if [ "$(id -u)" = 0 ]; then
    skip 'files that may not be read' 'root may read everything'
else
    chmod 0 "$work/flash"
    disks 3 'Permission denied' flash
    loads 3 'Permission denied' "$work/flash"
fi

finish
