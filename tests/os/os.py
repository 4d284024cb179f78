#!/usr/bin/env python3
"""os.py - unmodified systems from their own media (make check-os).

    os.py [--list] [--beside] [--latimer PROGRAM] [--log DIR] [CASE...]

Without cases: all. --beside runs each case that measures on qemu-system-x86_64 (TCG), too, right after, and the table
shows both. Media are made of Debian packages in ~/.cache/latimer/os (LATIMER_CACHE names another folder) and kept.
A case is skipped, with its reason, where its medium cannot be made. LOG_DIR keeps each guest's console.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from guest import Failed, Guest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../vnc"))
from vnc import Vnc     # noqa: E402
CACHE = os.path.join(os.environ.get("LATIMER_CACHE", os.path.expanduser("~/.cache/latimer")), "os")
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-M", "pc"]


class Skipped(Exception):
    """What is missing, in words."""


class Run:
    """One case on one emulator: its scratch folder and what it measured."""

    def __init__(self, name, program, qemu, log):
        self.name, self.program, self.qemu = name, program, qemu
        self.work = os.path.join(log, name + ("-qemu" if qemu else ""))
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        self.cpu = None

    def path(self, name):
        return os.path.join(self.work, name)

    def guest(self, *args, patience=600):
        base = QEMU if self.qemu else [self.program, "-M", "pc"]
        return Guest([*base, "-m", "512", "-display", "none", "-serial", "stdio", *args], self.path("console"),
                     patience)

    def screen(self, g):
        """The text on the screen now; the guest has -screendump FILE.txt with this run's path("screen.txt")."""
        path = self.path("screen.txt")
        if os.path.exists(path):
            os.remove(path)
        g.signal(signal.SIGUSR1)
        for _ in range(50):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    return f.read()
            time.sleep(0.1)
        return ""

    def wait_screen(self, g, pattern, patience):
        end = time.monotonic() + patience
        shown = ""
        while not re.search(pattern, shown):
            if time.monotonic() > end:
                raise Failed(f"the screen did not show '{pattern}' but: {shown[:2000]}")
            time.sleep(2)               # before the first signal, too: it must not come before main()
            if g.process.poll() is not None:
                raise Failed(f"the emulator ended with code {g.process.returncode} before '{pattern}'")
            shown = self.screen(g)

    def copy(self, image):
        """A copy that may be written to."""
        to = self.path(os.path.basename(image))
        subprocess.run(["cp", "--sparse=always", image, to], check=True)
        return to


# ---- media ----

def need(*tools):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for tool in tools:
        if not shutil.which(tool, path=path):
            raise Skipped(f"{tool} is not installed")


def medium(name, make, *tools):
    """The medium of that name in the cache, made by make(path) where it is not there yet."""
    path = os.path.join(CACHE, name)
    if os.path.exists(path):
        return path
    need(*tools)
    os.makedirs(CACHE, exist_ok=True)
    part = path + ".part"
    try:
        make(part)
    except subprocess.CalledProcessError as e:
        raise Skipped(f"{name} cannot be made: {e}") from e
    os.rename(part, path)
    return path


def debian(path):
    if os.geteuid() != 0:
        raise Skipped("only root can install a Debian into an image")
    subprocess.run(["sh", os.path.join(HERE, "mkdisk.sh"), path], check=True)


def debian_disk():
    return medium("debian.img", debian, "mmdebstrap", "mke2fs", "sfdisk", "mkfs.vfat", "mcopy")


def grub_rescue(path):
    """A CD whose GRUB talks on the serial port."""
    tree = path + ".d"
    os.makedirs(os.path.join(tree, "boot/grub"), exist_ok=True)
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w", encoding="ascii") as f:
        f.write("serial --unit=0 --speed=115200\nterminal_input serial\nterminal_output serial\necho rescued\n")
    subprocess.run(["grub-mkrescue", "-d", "/usr/lib/grub/i386-pc", "-o", path, tree], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(tree)


def package_files(package):
    """The folder with a Debian package's files; fetched where it is not there yet."""
    folder = os.path.join(CACHE, package)
    if os.path.isdir(folder):
        return folder
    need("apt-get", "dpkg-deb")
    part = folder + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    try:
        subprocess.run(["apt-get", "download", "-q", package], cwd=part, check=True, capture_output=True)
        deb = [f for f in os.listdir(part) if f.endswith(".deb")][0]
        subprocess.run(["dpkg-deb", "-x", deb, "."], cwd=part, check=True)
        os.remove(os.path.join(part, deb))
    except (subprocess.CalledProcessError, IndexError) as e:
        raise Skipped(f"package {package} cannot be had: {e}") from e
    os.rename(part, folder)
    return folder


# ---- cases ----

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


def case_grub_cd(run):
    """GRUB's rescue CD to its prompt (El Torito without emulation)."""
    iso = medium("grub.iso", grub_rescue, "grub-mkrescue", "xorriso", "mformat")
    with run.guest("-cdrom", iso, "-boot", "d", patience=120) as g:
        g.expect("rescued")
        run.cpu = g.cpu()
        g.expect("grub> ")
        g.send("ls\r")
        g.expect(r"\(cd0?\)")


def case_memtest(run):
    """memtest86+ from its CD: a pass without errors."""
    iso = os.path.join(package_files("memtest86+"), "usr/lib/memtest86+/memtest86+x64.iso")
    with run.guest("-m", "64", "-cdrom", iso, "-boot", "d", "-screendump", run.path("screen.txt")) as g:
        run.wait_screen(g, r"Pass:\s+[1-9]\d*\s+Errors: 0\b", 600)
        run.cpu = g.cpu()


def case_installer_graphical(run):
    """Debian's graphical installer to its list of languages, in a framebuffer, by keyboard and mouse."""
    folder = os.path.join(package_files("debian-installer-12-netboot-amd64"), "usr/lib/debian-installer/images/12/amd64/gtk"
                          "/debian-installer/amd64")
    socket = run.path("vnc")
    with run.guest("-m", "1024", "-vnc", "unix:" + socket, "-kernel", os.path.join(folder, "linux"), "-initrd",
                   os.path.join(folder, "initrd.gz"), "-append", "vga=788") as g:
        for _ in range(100):
            if os.path.exists(socket):
                break
            time.sleep(0.1)
        v = Vnc("unix:" + socket)

        def shown():
            return v.w >= 800 and v.h >= 600 and v.colours() > 500

        def must(what, seconds, done):
            if not v.wait(seconds, done):
                raise Failed(f"{what}: the screen has {v.w}x{v.h} and {v.colours()} colours")

        must("no list of languages", 300, shown)
        run.cpu = g.cpu()
        v.look(5)
        v.png(run.path("languages.png"))
        for what, act in (("a key", lambda: v.key("down")),
                          ("the mouse", lambda: (v.move(v.w // 8, v.h // 3), v.button(1, True),
                                                 v.button(1, False)))):
            before = bytes(v.pixels)
            act()
            must(f"{what} changed nothing", 30, lambda old=before: bytes(v.pixels) != old)
            v.look(2)
        before = bytes(v.pixels)
        v.key("ret")
        must("the list does not go away", 60, lambda: sum(a != b for a, b in zip(before[::64], v.pixels[::64])) > 2000)


CASES = {name[5:].replace("_", "-"): fn for name, fn in list(globals().items()) if name.startswith("case_")}


# ---- running ----

def run_one(name, program, qemu, log):
    """PASS, FAIL or SKIP, why, and the seconds of CPU time to the milestone that counts."""
    run = Run(name, program, qemu, log)
    start = time.monotonic()
    try:
        CASES[name](run)
        result, why = "PASS", ""
    except Failed as e:
        result, why = "FAIL", str(e)
    except Skipped as e:
        result, why = "SKIP", str(e)
    for entry in os.listdir(run.work):          # images are large
        if entry.endswith((".img", ".qcow2")):
            os.remove(run.path(entry))
    who = " (QEMU)" if qemu else ""
    cpu = f", CPU {run.cpu:.1f} s" if run.cpu is not None else ""
    print(f"{result}: os {name}{who} ({time.monotonic() - start:.0f} s{cpu}){': ' + why if why else ''}", flush=True)
    return result, run.cpu


def main():
    parser = argparse.ArgumentParser(description="Boots unmodified systems from their own media.")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--beside", action="store_true", help="run QEMU beside, and show a table")
    parser.add_argument("--latimer", default=os.path.join(HERE, "../../latimer"), help="the program")
    parser.add_argument("--log", default="check-os.log.d", metavar="DIR", help="where consoles are kept")
    a = parser.parse_args()
    if a.list:
        print("\n".join(CASES))
        return 0
    unknown = [c for c in a.cases if c not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]}: --list names them")
    if a.beside and not shutil.which(QEMU[0]):
        parser.error(f"{QEMU[0]} is not installed")
    count = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    rows = []
    for name in a.cases or CASES:
        result, cpu = run_one(name, a.latimer, False, a.log)
        count[result] += 1
        if a.beside and result == "PASS" and cpu is not None:
            other = run_one(name, a.latimer, True, a.log)
            if other[0] == "PASS":
                rows.append((name, cpu, other[1]))
    if rows:
        print("\n| CPU s | latimer | qemu | ratio |\n|---|---:|---:|---:|")
        for name, mine, other in rows:
            print(f"| {name} | {mine:.1f} | {other:.1f} | {mine / other:.2f} |")
    print(f"{count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
    return 1 if count["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
