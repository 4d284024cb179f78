#!/bin/sh
# mkdisk.sh - builds a raw, bootable Debian disk image out of Debian packages.
#
# The image is an ordinary installation: stock kernel and initramfs, systemd,
# a getty on the first serial port, sshd, python3 and gcc.  One image boots both
# from a legacy BIOS (GRUB in the MBR gap) and from UEFI (GRUB on an EFI system
# partition), so it serves every machine model and disk controller.
#
# No loop device, mount or network block device is needed to write the image;
# root is, because the packages are configured in a chroot.
#
#   usage: mkdisk.sh [options] IMAGE
#     -a ARCH     amd64 (default) or i386
#     -f FLAVOUR  kernel flavour; default amd64, or 686-pae for i386
#                 (others: rt-amd64 cloud-amd64 686 rt-686-pae)
#     -p PROFILE  minimal (default) | x11 (Xorg, twm, xterm) | xfce
#     -i LIST     further packages, comma separated
#     -m MIB      image size; default 3072, 4096 for x11, 6144 for xfce
#     -s SUITE    default: the newest Debian release in this machine's apt sources
#     -k ARGS     further kernel arguments
#     -o DIR      also copy vmlinuz and initrd.img to DIR (direct kernel boot)
#     -w DIR      where to unpack (needs about twice the image's contents)
#
# Log in as root, password root.  Where packages come from is read from this
# machine's own apt configuration; run `apt-get update' first.
set -eu

die() { echo "mkdisk: $*" >&2; exit 1; }
usage() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2; exit "${1:-2}"; }

arch=amd64 flavour= profile=minimal more= mib= suite= kargs= bootdir= workbase=${TMPDIR:-/tmp}
while getopts a:f:p:i:m:s:k:o:w:h opt; do
    case $opt in
    a) arch=$OPTARG ;;      f) flavour=$OPTARG ;;
    p) profile=$OPTARG ;;   i) more=$OPTARG ;;
    m) mib=$OPTARG ;;       s) suite=$OPTARG ;;
    k) kargs=$OPTARG ;;     o) bootdir=$OPTARG ;;
    w) workbase=$OPTARG ;;  h) usage 0 ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
image=$1

[ "$(id -u)" -eq 0 ] || die "must run as root"
for tool in mmdebstrap mke2fs sfdisk mkfs.vfat mcopy dd od; do
    PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null ||
        die "$tool is missing (apt-get install mmdebstrap e2fsprogs fdisk dosfstools mtools)"
done
PATH=$PATH:/usr/sbin:/sbin

case $arch in
amd64) : "${flavour:=amd64}"; efitarget=x86_64-efi; efiname=BOOTX64.EFI; efipkg=grub-efi-amd64-bin ;;
i386)  : "${flavour:=686-pae}"; efitarget=i386-efi; efiname=BOOTIA32.EFI; efipkg=grub-efi-ia32-bin ;;
*) die "unknown architecture $arch" ;;
esac

base=systemd-sysv,udev,dbus,kmod,initramfs-tools,zstd,iproute2,iputils-ping,ifupdown
base=$base,isc-dhcp-client,openssh-server,python3-minimal,python3,gcc,libc6-dev,make
base=$base,procps,less,grub-common,grub-pc-bin,$efipkg,linux-image-$flavour
x11=xserver-xorg-core,xserver-xorg-video-fbdev,xserver-xorg-video-vesa
x11=$x11,xserver-xorg-input-libinput,x11-xserver-utils,x11-apps,xinit,xauth,twm,xterm,xfonts-base
case $profile in
minimal) pkgs=$base ; : "${mib:=3072}" ;;
x11)     pkgs=$base,$x11 ; : "${mib:=4096}" ;;
xfce)    pkgs=$base,$x11,xfce4,xfce4-terminal,lightdm,lightdm-gtk-greeter,fonts-dejavu-core
         : "${mib:=6144}" ;;
*) die "unknown profile $profile" ;;
esac
[ -z "$more" ] || pkgs=$pkgs,$more

# --- where packages come from: what apt on this machine already uses -------
host=$(dpkg --print-architecture)
# indextargets lists only indexes apt has fetched.  Where apt follows the guest's
# architecture too, its own list says best which sources really carry it.
listed() { apt-get indextargets --format '$(ARCHITECTURE)' 'Created-By: Packages' | grep -qx "$1"; }
index=$host
! listed "$arch" || index=$arch
targets() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' "Architecture: $index" | sort -u
}
if [ -z "$suite" ]; then
    # a plain release has no dash in its codename; -updates and -security do
    suite=$(targets | awk '$3 !~ /-/ { print $3 }' | sort -u | tail -n 1)
fi
[ -n "$suite" ] || die "no Debian release among this machine's apt sources"
sources=$(targets | awk -v s="$suite" \
    '($3 == s || index($3, s "-") == 1) && $4 == "main" { print "deb", $1, $2, $4 }' | sort -u)
[ -n "$sources" ] || die "no apt source for $suite"

work=$(mktemp -d "$workbase/mkdisk.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
root=$work/root
echo "mkdisk: $suite $arch, kernel $flavour, profile $profile" >&2

# an amd64 kernel runs i386 programs, so that pair needs no emulator check
skip=
[ "$arch" != i386 ] || [ "$host" != amd64 ] || skip=--skip=check/qemu
printf '%s\n' "$sources" | mmdebstrap --quiet --mode=root --variant=important $skip \
    --architectures="$arch" --include="$pkgs" \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$root" -

# --- configuration ----------------------------------------------------------
kcmd="root=LABEL=guest-root ro console=tty0 console=ttyS0,115200${kargs:+ $kargs}"
echo guest > "$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tguest\n' > "$root/etc/hosts"
printf 'LABEL=guest-root / ext4 errors=remount-ro 0 1\n' > "$root/etc/fstab"
echo root:root | chroot "$root" chpasswd
mkdir -p "$root/etc/ssh/sshd_config.d" "$root/etc/systemd/network" "$root/boot/grub"
echo 'PermitRootLogin yes' > "$root/etc/ssh/sshd_config.d/guest.conf"
printf 'auto lo\niface lo inet loopback\n' > "$root/etc/network/interfaces"
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n' > "$root/etc/systemd/network/guest.network"
chroot "$root" systemctl --quiet enable systemd-networkd.service
chroot "$root" systemctl --quiet disable systemd-networkd-wait-online.service 2>/dev/null || :
: > "$root/etc/machine-id"
case $profile in
x11)  # a display server on tty7 without a login manager
    cat > "$root/etc/systemd/system/desktop.service" <<'UNIT'
[Unit]
Description=X server with twm and xterm
After=systemd-user-sessions.service
Conflicts=getty@tty7.service
[Service]
WorkingDirectory=/root
Environment=HOME=/root
TTYPath=/dev/tty7
StandardInput=tty
StandardOutput=journal
ExecStart=/usr/bin/xinit /root/.xsession -- /usr/bin/X :0 vt7 -nolisten tcp
[Install]
WantedBy=multi-user.target
UNIT
    cat > "$root/root/.xsession" <<'XSESSION'
#!/bin/sh
xsetroot -solid steelblue
xlogo -geometry 150x150-10+10 &
xterm -geometry 80x24+30+60 &
xeyes -geometry 150x100-10-10 &
echo X-READY > /dev/ttyS0
exec twm
XSESSION
    chmod 755 "$root/root/.xsession"
    {   echo RandomPlacement; echo NoGrabServer   # only the core "fixed" font is there
        for font in Title Resize Menu Icon IconManager; do echo "${font}Font \"fixed\""; done
        echo 'Button1 = : title : f.move'
    } > "$root/root/.twmrc"
    chroot "$root" systemctl --quiet enable desktop.service ;;
xfce)
    chroot "$root" useradd -m -s /bin/bash user
    echo user:user | chroot "$root" chpasswd
    mkdir -p "$root/etc/lightdm/lightdm.conf.d" "$root/home/user/.config/autostart"
    printf '[Seat:*]\nautologin-user=user\n' > "$root/etc/lightdm/lightdm.conf.d/guest.conf"
    printf '[Desktop Entry]\nType=Application\nName=ready\nExec=/usr/local/bin/desktop-ready\n' \
        > "$root/home/user/.config/autostart/ready.desktop"
    printf '#!/bin/sh\nlogger -t desktop XFCE-READY\necho XFCE-READY > /dev/ttyS0\n' \
        > "$root/usr/local/bin/desktop-ready"
    chmod 755 "$root/usr/local/bin/desktop-ready"
    chroot "$root" usermod -a -G dialout,tty user
    chroot "$root" chown -R user:user /home/user ;;
esac

cat > "$root/boot/grub/grub.cfg" <<GRUB
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
menuentry "Debian $suite $arch" {
    linux /vmlinuz $kcmd
    initrd /initrd.img
}
GRUB

# --- boot loaders, made by the guest's own grub ------------------------------
mods="part_msdos ext2 normal configfile linux echo ls cat search search_label serial terminal reboot halt test"
mkdir -p "$root/tmp/mk"
echo 'search --no-floppy --label guest-root --set root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg' > "$root/tmp/mk/early.cfg"
chroot "$root" grub-mkimage -O i386-pc -c /tmp/mk/early.cfg -p /boot/grub \
    -o /tmp/mk/core.img biosdisk $mods
chroot "$root" grub-mkimage -O $efitarget -c /tmp/mk/early.cfg -p /boot/grub \
    -o /tmp/mk/boot.efi fat efi_gop $mods
cp "$root/usr/lib/grub/i386-pc/boot.img" "$work/boot.img"
mv "$root/tmp/mk/core.img" "$root/tmp/mk/boot.efi" "$work/"
rm -rf "$root/tmp/mk" "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb \
    "$root"/var/lib/apt/lists/*_* "$root"/etc/resolv.conf
if [ -n "$bootdir" ]; then
    mkdir -p "$bootdir"
    cp -L "$root/vmlinuz" "$root/initrd.img" "$bootdir/"
fi

# --- the image: MBR, 1 MiB gap with GRUB, 32 MiB ESP, the rest ext4 ----------
esp_mib=32
core_sectors=$((($(wc -c < "$work/core.img") + 511) / 512))
[ "$core_sectors" -lt 2047 ] || die "GRUB's core image does not fit before the first partition"
rm -f "$image"
truncate -s "${mib}M" "$image"
sfdisk -q "$image" <<PARTS
label: dos
label-id: 0x47554553
start=1MiB, size=${esp_mib}MiB, type=ef
start=$((1 + esp_mib))MiB, type=83, bootable
PARTS
# boot.img loads the sector after it, and grub-mkimage has put the length of the
# rest into that one: written back to back they need no patching.  Its last 72
# bytes belong to the partition table.
dd if="$work/boot.img" of="$image" bs=1 count=440 conv=notrunc status=none
dd if="$work/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none

truncate -s "${esp_mib}M" "$work/esp.img"
mkfs.vfat -n ESP -i 47554553 "$work/esp.img" >/dev/null
mmd -i "$work/esp.img" ::/EFI ::/EFI/BOOT
mcopy -i "$work/esp.img" "$work/boot.efi" "::/EFI/BOOT/$efiname"
dd if="$work/esp.img" of="$image" bs=1M seek=1 conv=notrunc,sparse status=none

mke2fs -q -t ext4 -L guest-root -U 6d6b6469-736b-4000-8000-000000000001 \
    -E "offset=$(((1 + esp_mib) * 1048576)),hash_seed=6d6b6469-736b-4000-8000-000000000002,lazy_itable_init=0" \
    -O ^orphan_file -d "$root" "$image" "$((mib - 1 - esp_mib - 1))M" 2>/dev/null ||
mke2fs -q -t ext4 -L guest-root -E "offset=$(((1 + esp_mib) * 1048576))" \
    -d "$root" "$image" "$((mib - 1 - esp_mib - 1))M"
echo "mkdisk: $image: $(du -m "$image" | cut -f1) MiB used of $mib MiB" >&2
