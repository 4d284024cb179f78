# bridge.sh - boot.sh's cases for PCI bridges and PCI Express ports; read by it.
#
# bridgepc (PCI bridges on machine pc), bridgeq35 (root ports, a switch, bridges to PCI on machine q35): the kernel
# enumerates them, reads and writes disks and loads a file by network chips behind them, by MSI and by pins;
# firmware-bridge (SeaBIOS starts the disk it is told of, behind two of each kind, on each kind of controller), amd64-bridgeuefi (UEFI firmware
# enumerates, starts the kernel from a disk behind a root port, and that keeps what it finds).

bridge_cases="firmware-bridge amd64-bridgepc amd64-bridgeq35 amd64-bridgeuefi"
bridge_modules="virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover net_failover
    virtio_net crc64 crc64-rocksoft crc64_rocksoft_generic crct10dif_common crct10dif_generic crc-t10dif t10-pi
    nvme-core nvme e1000"

# What is the same on both boards: drives a, b and c, networks n1 and n2; $work/file is to be fetched.
bridge_ends() {
    for image in a b c; do head -c 8388608 /dev/urandom >"$work/$image" && cp "$work/$image" "$work/$image.before"; done
    mkdir -p "$work/tftp"
    head -c 100000 /dev/urandom >"$work/tftp/file"
}
bridge_pc() {
    echo "-device pci-bridge,id=b1,chassis_nr=1,addr=5 -device pci-bridge,id=b2,chassis_nr=2,bus=b1,addr=2
        -device nvme,drive=a,bus=b1 -device virtio-net-pci,bus=b2,netdev=n1 -device virtio-blk-pci,drive=b,bus=b1,addr=5
        -device e1000,bus=b2,addr=1f,netdev=n2 -device nvme,drive=c,bus=b2"
}
bridge_q35() {
    echo "-device pcie-root-port,id=rp1,slot=1,chassis=1,addr=3.0,multifunction=on -device ioh3420,id=rp2,slot=2,addr=3.1
        -device pcie-root-port,id=rp3,slot=3 -device pcie-root-port,id=rp4,slot=4 -device nvme,drive=a,bus=rp1
        -device virtio-net-pci,bus=rp2,netdev=n1 -device pcie-pci-bridge,id=pb,bus=rp3
        -device virtio-blk-pci,drive=b,bus=pb,addr=5 -device i82801b11-bridge,id=dmi
        -device pci-bridge,id=br,bus=dmi,chassis_nr=1,addr=1 -device e1000,bus=br,addr=3,netdev=n2
        -device x3130-upstream,id=up,bus=rp4 -device xio3130-downstream,id=d1,bus=up,slot=7
        -device xio3130-downstream,id=d2,bus=up,slot=8 -device nvme,drive=c,bus=d2"
}

# bridge_check PLACE:IMAGE...: each disk was read whole and written to, and both chips have fetched the file.
bridge_check() {
    got=$(sha256sum <"$work/tftp/file" | cut -d ' ' -f 1)
    for pair; do
        sum=$(sha256sum <"$work/${pair##*/}.before" | cut -d ' ' -f 1)
        grep -aq "guest: 0000:${pair%/*} reads $sum" "$work/serial" || { why="${pair%/*} does not read as its image"; return 1; }
        { head -c 4194304 "$work/${pair##*/}.before" | tail -c 2097152
            tail -c 6291456 "$work/${pair##*/}.before"; } | cmp -s - "$work/${pair##*/}" ||
            { why="what was written by ${pair%/*} is not in the image"; return 1; }
    done
    [ "$(grep -ac "guest: .* got $got" "$work/serial")" = 2 ] || { why="a network chip did not fetch the file"; return 1; }
    ! grep -a 'guest: trouble' "$work/serial" >"$work/why" || { why=$(cat "$work/why"); return 1; }
}

# bridge HOW ARGS...: HOW of the list above
bridge() {
    how=$1
    shift
    bridge_ends
    set -- "$@" -drive if=none,id=a,file="$work/a",format=raw -drive if=none,id=b,file="$work/b",format=raw \
        -drive if=none,id=c,file="$work/c",format=raw -netdev user,id=n1,tftp="$work/tftp" \
        -netdev user,id=n2,tftp="$work/tftp"
    case $how in
    bridgepc)
        boot 'guest: done' 0 -M pc -no-reboot "$@" $(bridge_pc) -kernel "$kernel" -initrd "$initramfs" \
            -append "console=ttyS0 quiet panic=-1 disks=3" && bridge_check 01:00.0/a 01:05.0/b 02:01.0/c ;;
    bridgeq35)
        boot 'guest: done' 0 -M q35 -no-reboot "$@" $(bridge_q35) -kernel "$kernel" -initrd "$initramfs" \
            -append "console=ttyS0 quiet panic=-1 disks=3" && bridge_check 03:00.0/a 02:05.0/b 08:00.0/c ;;
    bridgeuefi)
        ovmf=$(sh "$here/guest.sh" ovmf) || return 77
        cp "$ovmf/OVMF_VARS_4M.fd" "$work/vars" && chmod u+w "$work/vars" &&
            perl "$here/fatdisk.pl" "$work/esp" "STARTUP.NSH=@echo -off
fs0:\\VMLINUZ.EFI initrd=\\INITRD.IMG console=ttyS0 quiet panic=-1 disks=4
" "VMLINUZ.EFI@$kernel" "INITRD.IMG@$initramfs" &&
            boot 'guest: done' 0 -M q35 -no-reboot -drive if=pflash,format=raw,readonly=on,file="$ovmf/OVMF_CODE_4M.fd" \
                -drive if=pflash,format=raw,file="$work/vars" "$@" $(bridge_q35) \
                -drive if=none,id=esp,format=raw,file="$work/esp" -device pcie-root-port,id=rp9,slot=9 \
                -device nvme,drive=esp,bus=rp9,bootindex=0 && bridge_check 03:00.0/a 02:05.0/b 08:00.0/c ;;
    esac
}

# bridge_order BRIDGES FAR: the lower bootindex is behind two bridges, on a controller FAR, the other is nearer.
bridge_order() {
    for order in '1 2 far' '2 1 near'; do
        set -- "$1" "$2" $order
        rm -f "$work/serial"
        until_text "booted the $5 disk" 1 end $1 -nic none -drive if=none,id=f,file="$work/far",format=raw \
            -drive if=none,id=n,file="$work/near",format=raw -device $2,bootindex="$3" \
            -device virtio-blk-pci,drive=n,bus=b1,bootindex="$4" || { why="$1 -device $2: $why"; return 1; }
    done
}
bridge_firmware() {
    have_seabios || return 77
    perl "$here/bootdisk.pl" "$work/far" 3000 "booted the far disk" &&
        perl "$here/bootdisk.pl" "$work/near" 3000 "booted the near disk" || return 1
    pc='-M pc -device pci-bridge,id=b1,addr=5 -device pci-bridge,id=b2,bus=b1,addr=2'
    for bridges in "$pc" '-M q35 -device pcie-root-port,id=b1,addr=5 -device pcie-root-port,id=b2,slot=2' \
        '-M q35 -device i82801b11-bridge,id=b1 -device pci-bridge,id=b2,bus=b1'; do
        bridge_order "$bridges" nvme,drive=f,bus=b2 || return 1
    done
    for far in 'ahci,id=c,bus=b2,addr=3 -device ide-hd,bus=c.2,drive=f' \
        'virtio-scsi-pci,id=c,bus=b2,addr=4.0 -device scsi-hd,bus=c.0,scsi-id=3,lun=1,drive=f' \
        'usb-ehci,id=c,bus=b2 -device usb-storage,bus=c.0,drive=f' \
        'qemu-xhci,id=c,bus=b2 -device usb-storage,bus=c.0,port=2,drive=f'; do
        bridge_order "$pc" "$far" || return 1
    done
}
