# seabios.sh - read by scripts whose guests need the firmware: is there a SeaBIOS where Latimer looks for one?
have_seabios() {
    [ -e /usr/share/seabios/bios-256k.bin ] || [ -e /usr/share/qemu/bios-256k.bin ]
}
