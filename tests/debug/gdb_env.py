"""gdb_env.py - what the cases of gdb.py share: guests to be debugged and debuggers' scripts. `work` is their folder."""
import atexit
import base64
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

from rsp import Machine, Trouble

here = os.path.dirname(os.path.abspath(__file__))
work = tempfile.mkdtemp(prefix="latimer-gdb.")
atexit.register(shutil.rmtree, work, ignore_errors=True)
ENGINES = [["-accel", "interp"], ["-accel", "jit"], ["--check"]]


class Skip(Exception):
    pass


def same(what, got, want):
    if got != want:
        raise Trouble("%s: got %r, not %r" % (what, got, want))


def check(what, ok):
    if not ok:
        raise Trouble(what)


# ---- the boot sector (guest.S) ----

def guest():
    """Labels of the boot sector, which is made once: its disk is work/disk."""
    if guest.labels:
        return guest.labels
    gcc = shutil.which("x86_64-linux-gnu-gcc") or shutil.which("gcc")
    elf = os.path.join(work, "guest.elf")
    made = gcc and subprocess.run([gcc, "-m64", "-nostdlib", "-no-pie", "-Wl,-Ttext=0x7c00", "-Wl,--build-id=none",
                                   "-Wl,-N", "-o", elf, os.path.join(here, "guest.S")], stderr=subprocess.DEVNULL)
    if not made or made.returncode:
        raise Skip("no compiler for x86-64 here")
    prefix = gcc[:-3] if gcc.endswith("-gnu-gcc") else ""
    image = os.path.join(work, "disk")
    subprocess.run([(prefix or "") + "objcopy", "-O", "binary", "-j", ".text", elf, image], check=True)
    with open(image, "ab") as f:
        f.write(bytes(1 << 20))
    text = subprocess.run([(prefix or "") + "nm", elf], stdout=subprocess.PIPE, check=True, text=True).stdout
    guest.labels = {n: int(a, 16) for a, _, n in (x.split() for x in text.splitlines())}
    guest.elf = elf
    return guest.labels


guest.labels = None


def booted(*args, to="ready", end="-no-reboot", **kw):
    """The boot sector's machine, at a label."""
    labels = guest()
    m = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % work, "-snapshot", end, *args, **kw)
    try:
        line = m.line()
        at = labels[to]
        line.ok("Z1,%x,1" % at)
        check("stops at " + to, line.go("c").startswith("T05"))
        same("rip at " + to, line.reg("rip"), at)
        line.ok("z1,%x,1" % at)
    except BaseException:
        m.end()
        raise
    return m, line, labels


def guest_disk():
    guest()
    return work


def running_cpu_time(m):
    """CPU time in s a machine's process has used."""
    with open("/proc/%d/stat" % m.proc.pid) as f:
        utime, stime = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(utime) + int(stime)) / os.sysconf("SC_CLK_TCK")


# ---- a Debian kernel ----

def kernel():
    """Paths of a Debian kernel, an initramfs for it and an ELF file with its symbols."""
    if kernel.paths:
        return kernel.paths
    sh = os.path.join(here, "..", "boot", "guest.sh")

    def ask(*args):
        r = subprocess.run(["sh", sh] + list(args), stdout=subprocess.PIPE, text=True,
                           env=dict(os.environ, BOOT_INIT=os.path.join(here, "kinit")))
        if r.returncode:
            raise Skip("there is no Debian kernel: " + " ".join(args))
        return r.stdout.strip()

    image, initrd = ask("kernel", "amd64"), ask("initramfs", "amd64")
    latimer = os.environ.get("LATIMER", "./latimer").split()
    r = subprocess.run(latimer + ["-kernel", image, "-initrd", initrd, "-display", "none", "-net", "none", "-serial", "stdio",
                                  "-no-reboot", "-append", "console=ttyS0 quiet nokaslr panic=-1 do=symbols"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=300)
    found = re.search(r"guest: symbols\s(.*)guest: end", r.stdout.replace("\r", ""), re.S)
    check("no symbols: " + r.stdout[-2000:], found)
    names, elf = os.path.join(work, "kallsyms"), os.path.join(work, "kernel.elf")
    with open(names, "wb") as f:
        f.write(gzip.decompress(base64.b64decode(found.group(1))))
    subprocess.run([sys.executable, os.path.join(here, "symbols.py"), names, elf], check=True)
    kernel.paths = image, initrd, elf
    kernel.names = names
    return kernel.paths


kernel.paths = None
LINUX = ["-append", "console=ttyS0 quiet nokaslr panic=-1", "-no-reboot", "-m", "512"]


# ---- the debuggers themselves ----

def run_gdb(m, commands, timeout=120, program="gdb"):
    if not shutil.which(program):
        raise Skip("%s is not installed" % program)
    script = os.path.join(work, "commands")
    with open(script, "w") as f:
        f.write("set pagination off\nset confirm off\n" + commands.replace("@PATH@", m.path))
    m.listens()
    r = subprocess.run([program, "-nx", "-q", "-batch", "-x", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       stdin=subprocess.DEVNULL, text=True, timeout=timeout)
    return r.stdout


def expect(text, *patterns):
    at = 0
    for p in patterns:
        found = re.search(p, text[at:])
        if not found:
            raise Trouble("'%s' is not in what was said, in this order:\n%s" % (p, text))
        at += found.end()
