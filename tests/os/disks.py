"""disks.py - cases of os.py: a Debian disk on each controller."""
import os
import subprocess

from guest import Failed
from media import debian_disk


def check_root(run, image):
    """The file system of a disk from mkdisk.sh must be clean."""
    part = run.path("root.part")
    subprocess.run(["dd", f"if={image}", f"of={part}", "bs=1M", "skip=33", "conv=sparse", "status=none"], check=True)
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    check = subprocess.run(["e2fsck", "-fn", part], capture_output=True, text=True, check=False, env={"PATH": path})
    os.remove(part)
    if check.returncode:
        raise Failed(f"e2fsck finds errors: {check.stdout[-400:]}")


def debian_on(run, args, device):
    """GRUB, kernel, systemd, login; some work on the disk; power button; a clean file system."""
    image = run.copy(debian_disk())
    with run.guest(*[a.replace("IMAGE", image) for a in args]) as g:
        g.expect("GRUB")
        g.expect("login: ")
        run.cpu = g.cpu()
        g.seen -= len("login: ")
        g.login()
        if device not in g.run("findmnt -no SOURCE /"):
            raise Failed(f"the root file system is not on {device}")
        g.run("dd if=/dev/urandom of=/a bs=64k count=160 conv=fsync 2>/dev/null; cp /a /b; sync; "
              "echo 3 >/proc/sys/vm/drop_caches; cmp /a /b")
        if run.qemu:
            g.send("poweroff\r")
        else:
            g.signal()
        g.wait()
    check_root(run, image)


def case_debian_ide(run):
    debian_on(run, ["-drive", "file=IMAGE,format=raw"], "/dev/sda2")


def case_debian_ahci(run):
    debian_on(run, ["-M", "q35", "-drive", "file=IMAGE,format=raw"], "/dev/sda2")


def case_debian_virtio(run):
    debian_on(run, ["-drive", "file=IMAGE,format=raw,if=virtio"], "/dev/vda2")


def case_debian_nvme(run):
    debian_on(run, ["-drive", "file=IMAGE,format=raw,if=none,id=disk", "-device", "nvme,drive=disk,serial=1"],
              "/dev/nvme0n1p2")


def case_debian_scsi(run):
    debian_on(run, ["-device", "virtio-scsi-pci", "-drive", "file=IMAGE,format=raw,if=none,id=disk", "-device",
                    "scsi-hd,drive=disk"], "/dev/sda2")


def case_debian_usb(run):
    debian_on(run, ["-device", "qemu-xhci", "-drive", "file=IMAGE,format=raw,if=none,id=disk", "-device",
                    "usb-storage,drive=disk"], "/dev/sda2")
