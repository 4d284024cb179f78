#!/usr/bin/env python3
"""profile.py quick|guest|cost [CASE...] - the profiler and symbols, with guests whose times are known.

quick: a small kernel, for make check. guest: Debian's kernel, which is fetched (make check-profile). cost: what profiling
a boot costs in CPU time, runs with and without it in turn (make check-profile, too).
"""
import os, re, resource, shutil, statistics, subprocess, sys, time, xml.etree.ElementTree as xml
from machine import HERE, SLOW, Qmp, check, machine, main, path

BOOT = os.path.join(HERE, "..", "boot")


def build(name, *flags):
    """tests/debug/profile.c; the compiler of a host of another kind is another."""
    gcc = shutil.which("x86_64-linux-gnu-gcc") or shutil.which("gcc")
    out = path(name)
    made = gcc and subprocess.run([gcc, "-O1", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-fno-omit-frame-pointer",
                                   "-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
                                   "-Wl,--build-id=none", "-o", out, os.path.join(HERE, "profile.c"), *flags],
                                  stderr=subprocess.DEVNULL).returncode == 0
    if not made:
        print("profile.py: skipped: no compiler for x86")
        sys.exit(77)
    return out


def kernel():
    return build("kernel.elf", "-m32", "-Wl,-m,elf_i386", "-Wl,-N", "-Wl,-Ttext-segment=0x100000", "-Wl,--section-start=.head=0x100000",
                 "-Wl,-Ttext=0x101000")


class Folded:
    def __init__(self, name):
        self.stacks = {}
        for line in open(name + ".folded"):
            stack, n = line.rsplit(" ", 1)
            self.stacks[stack] = int(n)
        self.total = sum(self.stacks.values())
        svg = xml.parse(name + ".svg").getroot()
        check(svg.tag.endswith("svg"), "no SVG but %s" % svg.tag)
        titles = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}title")]
        check("all (%d samples, 100.00 %%)" % self.total in titles, "the picture is another's: %s" % titles[:3])

    def share(self, pattern, within=""):
        """The part of samples whose stack matches, of those that match `within`."""
        all = sum(n for s, n in self.stacks.items() if re.search(within, s))
        check(all, "no samples of %s" % within)
        return sum(n for s, n in self.stacks.items() if re.search(within, s) and re.search(pattern, s)) / all

    def about(self, share, low, high):
        check(low <= share <= high, "%.3f is not %.2f to %.2f of %s" % (share, low, high, sorted(
            self.stacks.items(), key=lambda x: -x[1])[:8]))


def samples(q, n):
    """Wait until so many were taken: the host may be busy."""
    end = time.monotonic() + 60 * SLOW
    while int(re.search(r"(\d+) samples", q.hmp("profile info")).group(1)) < n:
        check(time.monotonic() < end, "no %d samples: %s" % (n, q.hmp("profile info")))
        time.sleep(0.1)


def bare(*options):
    elf = kernel()
    m = machine("-kernel", elf, "-m", "16", "-serial", "null", "-symbols", elf, "-profile", path("bare") + ",freq=500",
                "-qmp", "unix:%s,server,nowait" % path("q"), *options)
    q = Qmp(path("q"))
    samples(q, 400)
    text = q.hmp("profile stop")
    check(text == "", text)
    f = Folded(path("bare"))
    top = "no paging;_start_[k];run_[k];work_[k];"
    f.about(f.share(re.escape(top + "heavy_[k]")), 0.65, 0.85)
    f.about(f.share(re.escape(top + "light_[k]")), 0.15, 0.35)
    check("stopped; wrote" in q.hmp("profile info"), q.hmp("profile info"))
    check(q.hmp("profile start %s 2000" % path("often")) == "", "not started")
    wakes_nobody(m, 2000)
    check(q.hmp("profile stop") == "", "not stopped")
    # Once more, by the monitor, into other files; and what it says of names.
    check("does not run" in q.hmp("profile stop"), "stopped twice")
    check("cannot write" in q.hmp("profile start /no/such/place"), "it wrote where there is nothing")
    check("has not run" in q.hmp("profile info"), "it says that it wrote what it could not: " + q.hmp("profile info"))
    check(q.hmp("profile start %s 200" % path("again")) == "", "not started")
    check("runs already" in q.hmp("profile start %s" % path("again")), "started twice")
    at = int(re.search("0x[0-9a-f]+", q.hmp("info address work")).group(), 16)
    check(q.hmp("info symbol work+4").startswith("work+0x4 in kernel.elf"), q.hmp("info symbol work+4"))
    check(q.hmp("p work+1").strip() == "0x%x" % (at + 1), q.hmp("p work+1"))
    check("<heavy>" in q.hmp("x/20i work") and q.hmp("x/20i work").startswith("work:"), q.hmp("x/20i work"))
    check("has not shut down, and has taken no exception" in q.hmp("why"), q.hmp("why"))
    check("no symbol" in q.hmp("x/1i nonsense"), q.hmp("x/1i nonsense"))
    check(re.search(r"<(heavy|light|work|run)(\+0x[0-9a-f]+)?>", q.hmp("info cpus")), q.hmp("info cpus"))
    samples(q, 5)
    q.cmd("quit")
    m.ends(0)
    Folded(path("again"))


def quick_jit():
    bare()


def quick_interp():
    bare("-accel", "interp")


def switches(m):
    """How often the process's threads have gone to sleep."""
    tasks = "/proc/%d/task" % m.p.pid
    return sum(int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", open("%s/%s/status" % (tasks, t)).read()).group(1))
               for t in os.listdir(tasks))


def wakes_nobody(m, hz):
    """A second of ticks, in which threads sleep as they would without."""
    slept, began = switches(m), time.monotonic()
    time.sleep(1)
    slept, took = switches(m) - slept, time.monotonic() - began
    check(slept < hz * took / 4, "%d sleeps in %.2f s" % (slept, took))


def quick_halted():
    """Halts count as they are long, also while they last, and ticks do not wake the vCPU."""
    hz = 2000
    m = machine("-m", "16", "-boot", "order=n", "-nic", "none", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("h"))
    q = Qmp(path("h"))
    end = time.monotonic() + 60 * SLOW

    def halted():
        return int(re.search(r"(\d+) of halts", q.hmp("profile info")).group(1))

    check(q.hmp("profile start %s %d" % (path("halted"), hz)) == "", "not started")
    while halted() < 500:       # the firmware has found nothing to boot
        check(time.monotonic() < end, "it does not halt: " + q.hmp("profile info"))
    n, began = halted(), time.monotonic()
    wakes_nobody(m, hz)
    n, took = halted() - n, time.monotonic() - began
    check(0.5 * hz * took < n < 1.1 * hz * took, "%d periods of halts in %.2f s" % (n, took))
    check(q.hmp("profile stop") == "", "not stopped")
    n = halted()
    check(n == Folded(path("halted")).stacks["[idle]"] == halted(), "halts are counted when it has stopped")
    q.cmd("quit")
    m.ends(0)


def guest(name, kind):
    return subprocess.run(["sh", os.path.join(BOOT, "guest.sh"), kind, name], stdout=subprocess.PIPE, check=True,
                          text=True).stdout.strip()


def initramfs(spin):
    out = path("initramfs")
    subprocess.run(["perl", os.path.join(BOOT, "mkcpio.pl"), out, "dir bin", "dir dev", "dir proc", "dir root",
                    "link bin/sh busybox", "link bin/dd busybox", "node dev/console 5 1", "node dev/null 1 3", "file bin/busybox %s 755" % guest("amd64", "busybox"),
                    "file root/spin %s 755" % spin, "file init %s 755" % os.path.join(HERE, "profile_init")], check=True)
    return out


def debian(*options):
    spin = build("spin", "-DPROGRAM", "-m64")
    m = machine("-m", "512", "-nographic", "-kernel", guest("amd64", "kernel"), "-initrd", initramfs(spin), "-append",
                "console=ttyS0 quiet", "-symbols", spin, *options)
    m.expect("spun", 300)
    m.ends(0, 120)


def guest_debian():
    """A kernel without frame pointers and symbols, moved by KASLR."""
    name = path("debian")
    debian("-profile", name + ",freq=499")
    f = Folded(name)
    f.about(f.share(r"^spin;_start;work;heavy", r"^spin;_start;work;"), 0.65, 0.85)
    f.about(f.share(r"^spin;_start;work;", r"^spin;"), 0.9, 1)
    f.about(f.share(r"do_syscall_64_\[k\];.*ksys_read_\[k\];vfs_read_\[k\];read_zero_\[k\]", r"^dd;"), 0.2, 1)
    f.about(f.share(r";(entry_SYSCALL_64|asm_)\w*_\[k\]", r"^dd;.*_\[k\]"), 0.8, 1)
    f.about(f.share(r"^\[idle\]") * f.total / 499, 1.6, 6)
    # Nearly all that the kernel does has a name and leads back to where it began.
    f.about(f.share(r"0x\w+xxx_\[k\]$", r"^(?!cr3|no paging|real mode).*_\[k\]"), 0, 0.1)
    f.about(f.share(r";(entry_|asm_|ret_from_fork|secondary_startup)\w*_\[k\]", r"^(?!cr3|no paging|real mode).*_\[k\]"), 0.9, 1)


def guest_frame_pointers():
    """The same without the kernel's tables: the innermost function at least, and programs as before."""
    name = path("fp")
    debian("-profile", name + ",freq=99,stack=fp")
    f = Folded(name)
    f.about(f.share(r"^spin;_start;work;heavy", r"^spin;_start;work;"), 0.6, 0.9)
    f.about(f.share(r"read_zero_\[k\]$", r"^dd;"), 0.2, 1)


def faster_half(times):
    """Their mean. A busy host makes runs longer, never shorter, and the least of them is one run's luck."""
    return statistics.mean(sorted(times)[:(len(times) + 1) // 2])


def host_tick():
    """CPU time in s of a tick for which nothing is done."""
    program = path("host")
    subprocess.run([os.environ.get("CC", "cc"), "-O1", "-o", program, os.path.join(HERE, "profile_host.c")], check=True)
    used = {"0": [], "999": []}
    for _ in range(5):
        for hz in used:
            used[hz].append([float(x) for x in subprocess.run([program, hz], stdout=subprocess.PIPE, check=True).stdout.split()])
    return (min(t for t, n in used["999"]) - min(t for t, n in used["0"])) / min(n for t, n in used["999"])


def cost_debian():
    """CPU time of the same guest in turn, without, with the 99 samples a second of who asks for no rate, and with 999."""
    used = {"without": [], "99 Hz": [], "999 Hz": []}
    for _ in range(20):
        for how, times in used.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            debian(*([] if how == "without" else ["-profile", path("cost") + (",freq=999" if how == "999 Hz" else "")]))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    base = faster_half(used["without"])
    more = {how: 100 * (faster_half(times) / base - 1) for how, times in used.items()}
    for how, times in used.items():
        print("  %-8s %6.3f s of CPU time (%+.1f %%); least %.2f, median %.2f" % (how, faster_half(times), more[how], min(times),
                                                                              statistics.median(times)))
    print("  of the %.1f %% with 999 Hz the host's timers and signals take %.1f %%" % (more["999 Hz"], 99900 * host_tick()))
    check(more["99 Hz"] < 3, "it costs more than 3 %")


sys.exit(main(__doc__, "profile.py", ["quick", "guest", "cost"], globals()))
