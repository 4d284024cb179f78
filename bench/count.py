#!/usr/bin/env python3
"""count.py - host instructions that translated code executes for each guest instruction, counted exactly.

  count.py                          all rows, by $LATIMER: it runs a build whose code generator counts
  count.py --arm build/arm/latimer  a build for AArch64 hosts, by qemu-aarch64
  count.py -w boot,k_bits,gzip      some rows
  count.py -k DIR                   keep what -d count printed (DIR/ROW.log: the blocks responsible) and
                                    the guest's console (DIR/ROW.console)

Rows are starts of the guests of make bench (guest/build.sh) with -d count: the boot of the tiny one to its
shell, kernels, real programs.  A start of the large guest that runs nothing is taken off a workload, so the
noise of its boot, about 0.1 % of 6 billion guest instructions, is in each row.  Not counted: what runs out of
line (a TLB miss, an exit not yet linked, a division by C) and C (helpers, the run loop).

"loops" are the ways through the hottest blocks of user code that access no memory.  Exit status: 0 if every
bar is met, 1 if one is missed or a start failed, 2 if this cannot be measured here.
"""
import argparse
import os
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench                    # noqa: E402

LOOPS = ("k_int", "k_div", "k_bits", "k_flags")         # all hot blocks of k_branch access memory
INT = ("k_int", "k_branch", "k_div", "k_bits", "k_flags")
REAL = ("gzip", "python", "perl", "luajit", "ossl_sha", "shell")
BAR_LOOPS = 2.0                 # integer loops without memory access, each kernel's
BAR_MEMORY = 3.5                # the boot; real programs together
SCALE = 10                      # kernels do a tenth of their work
M_CPL, CPL3 = 0xc, 0xc          # of a block's mode (frontend/cpu.h)
NO_WAY = 0, 0


def has_memory(text):
    """Does an instruction, as -d count prints it, access memory?"""
    op = text.split()[0]
    return ("[" in text and op not in ("lea", "nop")) or bool(re.match("push|pop|call|ret|leave|enter|iret", op))


def loops(text):
    """(host, guest) instructions executed on ways without memory access, in the blocks of user code shown."""
    host = guest = 0
    for block in text.split("\n\n")[1:]:
        mode = re.search(r"^mode ([0-9a-f]+), ", block, re.M)
        if not mode or int(mode.group(1), 16) & M_CPL != CPL3:
            continue
        behind = block[mode.end():]
        insns = re.findall(r"^   +[0-9a-f]+  (\S.*)$", behind[:behind.find("\ncode ")], re.M)
        for way in re.findall(r"^(?:way|end) of (\d+) guest instructions: (\d+) of the host's, (\d+) times",
                              block, re.M):
            g, h, n = map(int, way)
            if g <= len(insns) and not any(has_memory(i) for i in insns[:g]):
                host, guest = host + h * n, guest + g * n
    return host, guest


class Row:
    """One start: (host, guest) instructions of all and of its loops; problem: why there are none."""

    def __init__(self, args, name):
        self.problem, self.all, self.loops = None, NO_WAY, NO_WAY
        if args.cannot:
            return
        log = os.path.join(args.keep, name + ".log")
        words = {"mem": str(args.mem), "kernel": args.kernel,
                 "initrd": os.path.join(args.guest, "boot.cpio.gz" if name == "boot" else "bench.cpio"),
                 "append": "console=ttyS0 quiet panic=-1 scale=%d" % args.scale
                 + ("" if name == "boot" else " bench=" + name)}
        argv = args.command + ["-d", "count", "-D", log] + [w.format(**words) for w in bench.LINE]
        with open(os.path.join(args.keep, name + ".console"), "wb") as console:
            start = bench.Start(argv, args.mem * bench.MIB, console)
        self.problem = start.problem or ("it failed: " + start.code[name]
                                         if start.code.get(name, "code=0") != "code=0" else None)
        text = ""
        if os.path.exists(log):
            with open(log) as f:
                text = f.read()
        m = re.search(r"(\d+) guest instructions executed in translated code, by (\d+) host", text)
        if m:
            self.all = int(m.group(2)), int(m.group(1))
            self.loops = loops(text)
        elif "nothing was counted" in text:
            args.cannot = text.strip()
        elif not self.problem:
            self.problem = "-d count wrote nothing to " + log
        print("count.py: %s: %s" % (name, args.cannot or self.problem or "counted"), file=sys.stderr,
              flush=True)


def less(a, b):
    return a[0] - b[0], a[1] - b[1]


def show(rows, names):
    """The tables; True: all bars are met."""
    ok, total = True, NO_WAY

    def line(what, counted, bar):
        nonlocal ok
        host, guest = counted
        each = host / guest if guest > 0 else None
        met = bench.verdict(each, bar)
        ok &= bar is None or (each is not None and each <= bar)
        bench.row([what, "%.0f" % (guest / 1e6), "%.2f" % each if each is not None else "-",
                   "%.1f" % bar if bar else "-", met])

    bench.head("executed in translated code",
               ["guest instructions, millions", "host for each", "at most", "met"])
    if "boot" in names:
        line("boot", rows["boot"].all, BAR_MEMORY)
    for n in names:
        if n == "boot":
            continue
        fine = not (rows[n].problem or rows["nothing"].problem)
        own = less(rows[n].all, rows["nothing"].all) if fine else NO_WAY
        line(n, own, None)
        if n in LOOPS:
            line(n + ": loops without memory access", rows[n].loops, BAR_LOOPS)
        if n in REAL:
            total = total[0] + own[0], total[1] + own[1]
    if set(REAL) <= set(names):
        line("real programs together", total, BAR_MEMORY)
    return ok


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--arm", metavar="LATIMER", help="a build for AArch64 hosts, run by " + bench.ARM)
    ap.add_argument("-w", "--rows", metavar="LIST", default=",".join(("boot",) + INT + REAL),
                    help="which (default: %(default)s)")
    ap.add_argument("-s", "--scale", type=int, default=SCALE, metavar="N",
                    help="kernels do an Nth of their work (default %(default)s)")
    ap.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                    help="starts at the same time (default: as many as there are processors)")
    ap.add_argument("-m", "--mem", type=int, default=1024, help="the guest's memory in MiB (default 1024)")
    ap.add_argument("-k", "--keep", metavar="DIR", help="keep what -d count printed there")
    args = ap.parse_args()
    names = args.rows.split(",")
    for n in names:
        if n not in ("boot",) + INT + REAL:
            ap.error("no row '%s': boot %s" % (n, " ".join(INT + REAL)))
    if args.arm and not shutil.which(bench.ARM):
        ap.error("%s is not installed: apt-get install qemu-user-static" % bench.ARM)
    args.command = [bench.ARM, args.arm] if args.arm else [os.environ.get("LATIMER") or ap.error(
        "give --arm, or in $LATIMER the program")]
    guest_sh = os.path.join(bench.HERE, "..", "tests", "boot", "guest.sh")
    args.cannot = None          # why nothing can be counted
    args.guest = bench.output_of("sh", os.path.join(bench.HERE, "guest", "build.sh"))
    args.kernel = bench.output_of("sh", guest_sh, "kernel", "amd64")
    with tempfile.TemporaryDirectory() as scratch:
        args.keep = args.keep or scratch
        os.makedirs(args.keep, exist_ok=True)
        starts = names + ["nothing"] * any(n != "boot" for n in names)
        with ThreadPoolExecutor(max(1, args.jobs)) as pool:
            rows = dict(zip(starts, pool.map(lambda n: Row(args, n), starts)))
    if args.cannot:
        print("count.py: %s: give a build for AArch64 hosts by --arm" % args.cannot, file=sys.stderr)
        sys.exit(2)
    ok = show(rows, names)
    for n in starts:
        if rows[n].problem:
            print("problem: %s: %s" % (n, rows[n].problem))
            ok = False
    print("no bar was missed" if ok else "a bar was missed or a start failed: see above")
    sys.exit(0 if ok else 1)


main()
