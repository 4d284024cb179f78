# usb.sh - boot.sh's cases for USB; read by it.
#
# firmware-usb (SeaBIOS starts the boot sector of a disk behind each kind of controller, and behind hubs, by bootindex),
# amd64-usb (Linux reads and writes disks of full, high and super speed behind each kind of controller and behind hubs; the
# host looks at the images), amd64-usbkeys (keys, a tablet's button and wheel, by VNC).

usb_cases="firmware-usb amd64-usb amd64-usbkeys"
# In the order they need each other.
usb_modules="usb-common usbcore uhci-hcd ehci-hcd ehci-pci xhci-hcd xhci-pci scsi_common scsi_mod crc64 crct10dif_common
    crct10dif_generic crc64-rocksoft crc-t10dif t10-pi sd_mod cdrom sr_mod usb-storage hid hid-generic usbhid evdev"

usb_firmware() {
    have_seabios || return 77
    perl "$here/bootdisk.pl" "$work/disk" 3000 "booted from USB" && perl "$here/bootdisk.pl" "$work/other" 3000 "not this" ||
        return 1
    for devices in 'pc -usb -device usb-storage,drive=d,bootindex=1' \
        'q35 -usb -device usb-storage,drive=d,bootindex=1' \
        'pc -device usb-ehci -device usb-storage,drive=d,bootindex=1' \
        'q35 -device qemu-xhci -device usb-storage,drive=d,bootindex=1' \
        'q35 -usb -device usb-hub -device usb-storage,port=1.2,drive=d,bootindex=1' \
        'pc -usb -device usb-hub -device usb-storage,port=1.2,drive=d,bootindex=1' \
        'pc -device qemu-xhci -device usb-hub,port=2 -device usb-storage,port=2.5,drive=d,bootindex=1'; do
        rm -f "$work/serial"
        until_text 'booted from USB' 1 end -nic none -drive if=none,id=o,file="$work/other",format=raw \
            -drive if=none,id=d,file="$work/disk",format=raw -M $devices -device virtio-blk-pci,drive=o,bootindex=2 ||
            { why="$devices: $why"; return 1; }
    done
}

# usb ARGS...: for Latimer
usb() {
    for image in full high hub super xhub cd; do
        size=12
        [ $image != full ] || size=2
        head -c $((size << 20)) /dev/urandom >"$work/$image"
        cp "$work/$image" "$work/$image.0"
        set -- "$@" -drive "if=none,id=$image,file=$work/$image,format=raw,serial=5E$image$([ $image != cd ] || echo ,media=cdrom)"
    done
    boot 'guest: done' 0 -M q35 -no-reboot "$@" -append "console=ttyS0 quiet panic=-1 disks=6" -d guest,unimp \
        -usb -device usb-storage,bus=usb.0,port=1,drive=high \
        -device usb-hub,bus=usb.0,port=2 -device usb-storage,bus=usb.0,port=2.1,drive=hub \
        -device usb-kbd,bus=usb.0,port=2.2,usb_version=1,serial=4B1 -device usb-mouse,bus=usb.0,port=3,usb_version=1 \
        -device ich9-usb-uhci1,id=old -device usb-storage,bus=old.0,drive=full \
        -device qemu-xhci,id=x -device usb-storage,bus=x.0,port=1,drive=super -device usb-hub,bus=x.0,port=2 \
        -device usb-storage,bus=x.0,port=2.3,drive=xhub -device usb-tablet,bus=x.0,port=2.4,usb_version=1 \
        -device usb-storage,bus=x.0,port=3,drive=cd || return 1
    for disk in full:12 high:480 hub:480 super:5000 xhub:480 cd:5000; do
        image=${disk%:*} name="5E${disk%:*} at ${disk#*:}"
        grep -aq "guest: $name has $(sum <"$work/$image.0")" "$work/serial" ||
            { why="$name: it read something else"; return 1; }
        [ $image != cd ] || continue
        grep -aq "guest: $name same" "$work/serial" || { why="$name: it wrote something else"; return 1; }
        grep -aq "guest: $name now $(sum <"$work/$image")" "$work/serial" ||
            { why="$name: what it wrote is not in the image"; return 1; }
        cmp -s "$work/$image" "$work/$image.0" && { why="$name: nothing was written"; return 1; }
    done
    for word in 'Keyboard' 'Mouse' 'Tablet'; do
        grep -aq "guest: input .*Latimer USB $word" "$work/serial" || { why="no $word"; return 1; }
    done
    if grep -a 'guest: complains' "$work/serial"; then why="the drivers complain"; return 1; fi
}

# Keys of a USB keyboard behind two hubs, and buttons and the wheel of a tablet: typed and moved by VNC.
usb_keys() {
    begin "$@" -M q35 -append "console=tty0 console=ttyS0 quiet panic=-1 disks=0 do=keys" -usb \
        -device usb-hub,bus=usb.0,port=1 -device usb-hub,bus=usb.0,port=1.4 \
        -device usb-kbd,bus=usb.0,port=1.4.2,usb_version=1 -device qemu-xhci,id=x -device usb-tablet,bus=x.0
    appears 'guest: types' "$work/serial" && client sleep 1 type 'Hello USB {42}
' && appears 'guest: read Hello USB {42}' "$work/serial" && client move 100 100 press 1 release 1 click 4 &&
        appears 'guest: pointed' "$work/serial" && appears 'guest: done' "$work/serial" && gone && return
    end $pid 2>/dev/null
    wait $pid 2>/dev/null
    return 1
}
