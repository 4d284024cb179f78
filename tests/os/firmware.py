"""firmware.py - cases of os.py: firmware and what it starts, and boots by the network."""
import os
import shutil
import subprocess
import time
import zlib

from disks import check_root
from guest import Failed
from loaders import write
from media import boot_files, debian_disk, medium, package_files


# ---- SeaBIOS ----

def contents(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def case_seabios(run):
    """SeaBIOS until it looks for something to boot, behind its banner; the seconds are those of ten starts."""
    log, run.cpu = run.path("bios"), 0
    for _ in range(10):
        write(log, "")
        with run.guest("-nic", "none", "-chardev", f"file,id=bios,path={log}", "-device", "isa-debugcon,iobase=0x402,chardev=bios",
                       memory="256") as g:
            end = time.monotonic() + 60
            while "Booting from" not in (said := contents(log)):
                if time.monotonic() > end or g.process.poll() is not None:
                    raise Failed(f"SeaBIOS boots nothing: {said[-300:]}")
                g.drain(0.01)
            run.cpu += g.cpu()
        if "SeaBIOS (version" not in said:
            raise Failed(f"no banner: {said[:300]}")


# ---- the network ----

def served(run):
    """A folder for TFTP: a script of iPXE's that starts Linux."""
    folder = run.path("tftp")
    write(os.path.join(folder, "script.ipxe"), "#!ipxe\necho latimer: ${net0/ip} from ${net0/next-server}\n"
          "kernel linux console=ttyS0 quiet panic=-1 initrd=initrd\ninitrd initrd\nboot\n")
    shutil.copy(boot_files("kernel", "amd64"), os.path.join(folder, "linux"))
    shutil.copy(boot_files("initramfs", "amd64"), os.path.join(folder, "initrd"))
    return folder


def ipxe(run, model, *args):
    """iPXE gets an address and a script by DHCP, the script's kernel and initial ramdisk by TFTP; a shell."""
    with run.guest("-netdev", f"user,id=n,tftp={served(run)},bootfile=script.ipxe", "-device", f"{model},netdev=n",
                   *args, patience=200, text=bool(args)) as g:
        if args:
            # iPXE as such writes to the screen alone.
            run.wait_screen(g, r"latimer: 10\.0\.2\.15 from 10\.0\.2\.2", 100, 0.5)
        g.expect("built-in shell")
        run.cpu = g.cpu()
        g.expect("# ")
        g.run("test -x /init")


def case_ipxe_e1000(run):
    """The card's option ROM, started by SeaBIOS."""
    ipxe(run, "e1000,bootindex=1")


def case_ipxe_rtl8139(run):
    """The same."""
    ipxe(run, "rtl8139,bootindex=1")


def case_ipxe_virtio(run):
    """The same."""
    ipxe(run, "virtio-net-pci,bootindex=1")


def case_ipxe_ne2k(run):
    """The same."""
    ipxe(run, "ne2k_pci,bootindex=1")


def case_ipxe_pcnet(run):
    """The same."""
    ipxe(run, "pcnet,bootindex=1")


def case_ipxe_cd(run):
    """iPXE from its own CD, with its own driver."""
    ipxe(run, "e1000,romfile=", "-cdrom", os.path.join(package_files("ipxe"), "usr/lib/ipxe/ipxe.iso"), "-boot", "d")


# ---- U-Boot ----

def u_boot(run, build, *args):
    """Its prompt; a file by DHCP and TFTP."""
    rom = os.path.join(package_files("u-boot-qemu"), "usr/lib/u-boot", build, "u-boot.rom")
    data = bytes(range(256)) * 1000
    os.makedirs(run.path("tftp"))
    with open(run.path("tftp/data"), "wb") as f:
        f.write(data)
    with run.guest("-bios", rom, "-nic", f"user,model=e1000,tftp={run.path('tftp')}", *args, patience=60) as g:
        g.expect("Hit any key")
        run.cpu = g.cpu()
        g.send(" ")
        g.expect("=> ")
        g.send("setenv autoload no; dhcp\r")
        g.expect("bound to address 10.0.2.15")
        g.expect("=> ")
        g.send("tftpboot 0x2000000 10.0.2.2:data\r")
        g.expect(f"Bytes transferred = {len(data)}")
        g.expect("=> ")
        g.send(f"crc32 0x2000000 {len(data):x}\r")
        g.expect(f"==> {zlib.crc32(data):08x}")


def case_u_boot(run):
    """The 32-bit build, without a video card: it runs the card's BIOS within limits of 64 KiB, which that exceeds."""
    u_boot(run, "qemu-x86", "-vga", "none")


def case_u_boot_64(run):
    """The 64-bit build."""
    u_boot(run, "qemu-x86_64")


# ---- UEFI ----

# A variable of nobody else's: the firmware writes its own ones anew at each start.
VARIABLE = "/sys/firmware/efi/efivars/LatimerTest-01234567-89ab-cdef-0123-456789abcdef"


def efi_guest(run, *args, machine="q35", **more):
    """A guest with UEFI firmware and variables of its own, which stay from one to the next."""
    folder, variables = boot_files("ovmf"), run.path("vars.img")
    if not os.path.exists(variables):
        shutil.copyfile(os.path.join(folder, "OVMF_VARS_4M.fd"), variables)
    return run.guest("-drive", f"if=pflash,format=raw,readonly=on,file={folder}/OVMF_CODE_4M.fd", "-drive",
                     f"if=pflash,format=raw,file={variables}", *args, machine=machine, **more)


def grub_efi(path):
    """
    A CD whose GRUB is started by UEFI firmware; it has memtest86+ as well. GRUB has the firmware's console, which is on the
    serial port: were it to drive the port itself, the firmware would still read there, and each would lose what the other takes.
    """
    tree = path + ".d"
    write(os.path.join(tree, "boot/grub/grub.cfg"), "insmod all_video\necho rescued on $grub_platform\n")
    shutil.copy(os.path.join(package_files("memtest86+"), "boot/memtest86+x64.efi"), os.path.join(tree, "memtest.efi"))
    subprocess.run(["grub-mkrescue", "-d", os.path.join(package_files("grub-efi-amd64-bin"), "usr/lib/grub/x86_64-efi"), "-o",
                    path, tree], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(tree)


def efi_cd():
    return medium("grub-efi-video.iso", grub_efi, "grub-mkrescue", "xorriso", "mformat")


def scsi_cd(path):
    return ("-device", "virtio-scsi-pci", "-drive", f"file={path},media=cdrom,if=none,id=cd", "-device", "scsi-cd,drive=cd")


def rescued_by_uefi(run, *args, **more):
    with efi_guest(run, *args, "-nic", "none", patience=200, **more) as g:
        g.expect("rescued on efi")
        run.cpu = g.cpu()
        g.expect("grub> ")
        g.send("ls\r")
        g.expect(r"\(cd0\)")


def case_grub_cd_uefi(run):
    """GRUB's rescue CD by UEFI, from machine pc's IDE drive: it does not wait where there is none."""
    rescued_by_uefi(run, "-cdrom", efi_cd(), machine="pc")
    if run.cpu > 20:
        raise Failed(f"the firmware has waited for drives that are not there: {run.cpu:.0f} s")


def case_grub_cd_uefi_scsi(run):
    """The same from a SCSI drive of machine q35."""
    rescued_by_uefi(run, *scsi_cd(efi_cd()))


def case_ovmf_shell(run):
    """UEFI firmware's shell: it comes where there is nothing to boot, keeps a variable over a new start, powers off."""
    for start in ("first", "second"):
        with efi_guest(run, "-nic", "none", patience=200) as g:
            g.expect("UEFI Interactive Shell")
            run.cpu = g.cpu()
            g.send("\x1b")
            g.expect("Shell> ")
            if start == "first":
                g.send("setvar latimer -guid 6d6b6469-736b-4000-8000-000000000001 -nv -bs =0x4b657074\r")
                g.expect("Shell> ")
            else:
                g.send("setvar latimer -guid 6d6b6469-736b-4000-8000-000000000001\r")
                g.expect("74 70 65 4B")       # a number, its low byte first
                g.expect("Shell> ")
            g.send("reset -s\r")
            g.wait()


def case_debian_uefi(run):
    """The Debian disk by UEFI on machine q35: GRUB, login; a variable that Linux sets is there at the next start."""
    image = run.copy(debian_disk())
    disk = ("-drive", f"file={image},format=raw,if=virtio", "-nic", "none")
    with efi_guest(run, *disk) as g:
        g.expect("GRUB")
        g.expect("login: ")
        run.cpu = g.cpu()
        g.seen -= len("login: ")
        g.login()
        g.run("test -d /sys/firmware/efi/efivars")
        # Attributes, then the value.
        g.run(rf"printf '\7\0\0\0\1\0' >{VARIABLE}")
        g.send("poweroff\r")
        g.wait()
    check_root(run, image)
    with efi_guest(run, *disk) as g:
        g.expect("login: ")
        g.seen -= len("login: ")
        g.login()
        if "01 00" not in g.run(f"od -An -tx1 -j4 {VARIABLE}"):
            raise Failed("the firmware has not kept its variable")
        g.send("poweroff\r")
        g.wait()


def case_memtest_uefi(run):
    """memtest86+ by UEFI: it draws its screen (the seconds are until then), and a pass ends without errors."""
    with efi_guest(run, "-cdrom", efi_cd(), "-nic", "none", "-vnc", "unix:" + run.short("vnc"), machine="pc",
                   memory="128", patience=200) as g:
        v = run.vnc(g)
        g.expect("grub> ")
        g.send("linux /memtest.efi console=ttyS0,115200\r")
        g.expect("grub> ")
        g.send("boot\r")
        g.expect(r"Memtest86\+")
        g.expect("Status: Testing")
        if not v.wait(60, lambda: v.colours() > 2 and v.w >= 640):
            raise Failed(f"no picture: {v.w}x{v.h}, {v.colours()} colours")
        run.cpu = g.cpu()
        v.png(run.path("memtest.png"))
        g.expect(r"Pass:\s+[1-9]\d*\s+Errors: 0\b", 1500)
