"""loaders.py - cases of os.py: boot loaders and small systems from CDs and floppy disks, without UEFI."""
import gzip
import os
import shutil
import subprocess

from guest import Failed
from media import boot_files, debian_disk, medium, package_files


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def grub_rescue(path):
    """A CD whose GRUB talks on the serial port."""
    tree = path + ".d"
    write(os.path.join(tree, "boot/grub/grub.cfg"),
          "serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\necho rescued\n")
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", path, tree], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(tree)


def grub_floppy(path):
    """GRUB's boot sector and its core behind it, no file system."""
    config, core = path + ".cfg", path + ".core"
    write(config, "serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\necho rescued\n")
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", config, "-o", core, "biosdisk",
                    "part_msdos", "ext2", "normal", "serial", "terminal", "echo", "ls", "hexdump", "chain"], check=True)
    with open(path, "wb") as f:
        for name, size in (("/usr/lib/grub/i386-pc/boot.img", 512), (core, -1)):
            with open(name, "rb") as part:
                f.write(part.read(size))
        f.truncate(1440 * 1024)
    os.remove(config)
    os.remove(core)


def isolinux(path):
    """A CD with a menu: the second entry is Linux with a shell."""
    tree = path + ".d"
    modules = os.path.join(package_files("syslinux-common"), "usr/lib/syslinux/modules/bios")
    write(os.path.join(tree, "isolinux/isolinux.cfg"), """UI menu.c32
MENU TITLE Systems on this CD
LABEL first
  MENU LABEL Start again
  COM32 reboot.c32
LABEL linux
  MENU LABEL Linux
  LINUX /linux
  INITRD /initrd
  APPEND console=ttyS0 quiet panic=-1
""")
    for name in ("ldlinux", "menu", "libutil", "reboot"):
        shutil.copy(os.path.join(modules, name + ".c32"), os.path.join(tree, "isolinux"))
    shutil.copy(os.path.join(package_files("isolinux"), "usr/lib/ISOLINUX/isolinux.bin"), os.path.join(tree, "isolinux"))
    shutil.copy(boot_files("kernel", "amd64"), os.path.join(tree, "linux"))
    shutil.copy(boot_files("initramfs", "amd64"), os.path.join(tree, "initrd"))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-b", "isolinux/isolinux.bin", "-c",
                    "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-R", tree],
                   check=True, stderr=subprocess.DEVNULL)
    shutil.rmtree(tree)


def case_grub_cd(run):
    """GRUB's rescue CD to its prompt (El Torito without emulation)."""
    iso = medium("grub.iso", grub_rescue, "grub-mkrescue", "xorriso", "mformat")
    with run.guest("-cdrom", iso, "-boot", "d", patience=120) as g:
        g.expect("rescued")
        run.cpu = g.cpu()
        g.expect("grub> ")
        g.send("ls\r")
        g.expect(r"\(cd0?\)")


def case_grub_floppy(run):
    """GRUB from a floppy disk: it reads back what it came from, and starts what is on the hard disk."""
    image = medium("grub-floppy.img", grub_floppy, "grub-mkimage")
    with open(image, "rb") as f:
        f.seek(36 * 512)            # the second cylinder
        want = " ".join(f"{byte:02x}" for byte in f.read(8))
    with run.guest("-drive", f"if=floppy,format=raw,file={image}", "-drive", f"format=raw,file={debian_disk()}", "-snapshot",
                   "-boot", "a", patience=120) as g:
        g.expect("rescued")
        run.cpu = g.cpu()
        g.expect("grub> ")
        g.send("ls\r")
        g.expect(r"\(hd0\) .*\(fd0\)")
        g.send("hexdump (fd0)36+1\r")
        g.expect(want)
        g.send("root=hd0\r")
        g.send("chainloader +1\r")
        g.send("boot\r")
        g.expect("Debian")


def case_isolinux(run):
    """ISOLINUX's menu by keyboard; Linux from the CD to a shell."""
    iso = medium("isolinux.iso", isolinux, "xorriso")
    with run.guest("-cdrom", iso, "-boot", "d", "-vnc", "unix:" + run.short("vnc"), patience=120,
                   text=True) as g:
        v = run.vnc(g)
        run.wait_screen(g, r"(?s)Systems on this CD.*Start again.*Linux", 60)
        v.key("down")
        v.key("ret")
        g.expect("built-in shell")
        run.cpu = g.cpu()
        g.expect("# ")
        g.run("test -x /init")


def case_memtest(run):
    """memtest86+ from its CD: a pass without errors."""
    iso = os.path.join(package_files("memtest86+"), "usr/lib/memtest86+/memtest86+x64.iso")
    with run.guest("-cdrom", iso, "-boot", "d", memory="64", text=True) as g:
        run.wait_screen(g, r"Pass:\s+[1-9]\d*\s+Errors: 0\b", 600)
        run.cpu = g.cpu()


def xen(path):
    """A CD whose GRUB starts Xen by multiboot 2, and Linux with a shell as its first domain."""
    tree = path + ".d"
    write(os.path.join(tree, "boot/grub/grub.cfg"), """serial --unit=0 --speed=115200
terminal_output serial
multiboot2 /xen console=com1 com1=115200,8n1 dom0_mem=256M noreboot
module2 /linux console=hvc0 quiet panic=-1
module2 /initrd
boot
""")
    with gzip.open(os.path.join(package_files("xen-hypervisor-4.17-amd64"), "boot/xen-4.17-amd64.gz")) as f, \
            open(os.path.join(tree, "xen"), "wb") as to:
        shutil.copyfileobj(f, to)
    shutil.copy(boot_files("kernel", "amd64"), os.path.join(tree, "linux"))
    shutil.copy(boot_files("initramfs", "amd64"), os.path.join(tree, "initrd"))
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", path, tree], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(tree)


def case_xen(run):
    """Xen, and Linux as its first domain to a shell that does something."""
    iso = medium("xen.iso", xen, "grub-mkrescue", "xorriso", "mformat")
    with run.guest("-cdrom", iso, "-boot", "d", "-nic", "none", patience=300) as g:
        g.expect(r"\(XEN\) Xen version 4\.17")
        g.expect("built-in shell")
        run.cpu = g.cpu()
        g.expect("# ")
        if "xen" not in g.run("cat /sys/hypervisor/type"):
            raise Failed("Linux does not run on Xen")
        g.run("for i in 1 2 3 4 5 6 7 8 9 10; do busybox true || exit; done")
