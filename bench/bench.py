#!/usr/bin/env python3
"""bench.py - Latimer against native code and, where it is installed, Debian's qemu-system-x86_64 (TCG).

Each emulator boots the guest of guest/build.sh with the same memory and runs the same workloads; natively
they run in a chroot of the guest's tree. Rounds are interleaved and the order turns. Measured is CPU time,
user and system:

  emulators   of the process with all its threads, by its CPU clock (nanoseconds), when the guest's markers
              arrive on its serial port
  native      of the processes, by wait4 (microseconds); short workloads are repeated to last half a second,
              and what running nothing costs is taken off
  boot        from the start to the shell of a tiny guest
  memory      at that point: the peak of resident memory less the resident part of guest RAM
  translation what latimer -d stats says of that boot; and what code costs that runs for the first time,
              each instruction, beside code that has run (kern_fresh.c): that can be asked of any emulator

A row is the medians of the rounds and their spread, (max - min) / median. Every result the guest prints must
be what it is natively. Exit status: 0 if all bars that were measured are met and all results right, else 1.

  bench.py                          everything, three rounds
  bench.py -w int,python -n 5       some sets or workloads
  bench.py -w boot,fresh            boot, memory, translation
  bench.py -a old=/tmp/latimer -e native,latimer,old -w quick
  bench.py -o r.json; bench.py --show r.json
  bench.py --arm build/arm/latimer  builds for AArch64 hosts, Latimer's and Debian's QEMU's, both by qemu-aarch64
"""
import argparse
import json
import math
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK = 8               # workloads for one start of an emulator
NATIVE_SECONDS = 0.5    # shorter workloads are repeated
NATIVE_TIMES = 100      # at most so often
START_SECONDS = 900     # a start that takes longer has failed
MIB = 1 << 20

# ---- what is wanted

GROUPS = (              # set of guest/workloads.sh, what it is, at most so many times native
    ("int", "integer", 2.5),
    ("fp", "FP, SIMD, x87", 4),
    ("flow", "calls, interpreter loops", 4),
    ("mem", "memory", 4),
    ("smc", "self-modifying code", 60),
    ("sys", "system calls, faults, fork, exec", 6),
    ("real", "real programs", 6),
    ("all", "all rows", 6),
)
FIGURES = (             # name, what it is, unit, at most (None: no bar)
    ("boot", "boot to shell, of QEMU's CPU time", "", 0.6),
    ("translation", "translation in that boot, CPU time per guest instruction", "ns", None),
    ("memory", "peak memory beyond the guest's touched RAM", "MiB", 80),
)

ARM_GROUPS = (          # set, what it is, at most so many times QEMU
    ("int", "integer", 0.5),
    ("sse", "double and SSE", 0.2),
)
ARM_BOOT = 0.7          # boot to shell, of QEMU's CPU time

FRESH = (               # name, workload, what is taken off, at most ns an instruction
    ("new code, arithmetic", "k_fresh_alu", "k_fresh_none", 250),
    ("new code, loads", "k_fresh_ld", "k_fresh_nold", 250),
)
FRESH_INSNS = 8 * 4096 * 17     # instructions in one: workloads.sh, kern_fresh.c

# ---- who is measured

LINE = ["-m", "{mem}", "-nographic", "-no-reboot", "-kernel", "{kernel}", "-initrd", "{initrd}",
        "-append", "{append}"]
QEMU_LINE = ["-accel", "tcg", "-cpu", "max"] + LINE
EMULATORS = {
    "latimer": [os.environ.get("LATIMER", os.path.join(HERE, "..", "latimer"))] + LINE,
    "qemu": ["qemu-system-x86_64"] + QEMU_LINE,
}
ARM = "qemu-aarch64-static"             # runs the builds for AArch64


def arm_emulators(latimer, guest_sh):
    """Latimer's and Debian's QEMU's build for AArch64 hosts, with the libraries of the latter."""
    tree = output_of("sh", guest_sh, "tree", "qemu-system-x86:arm64")
    qemu = [ARM, "-L", tree, tree + "/usr/bin/qemu-system-x86_64"]
    for data in ("seabios", "qemu"):
        qemu += ["-L", tree + "/usr/share/" + data]
    return {"latimer": [ARM, "-L", tree, latimer] + LINE, "qemu": qemu + QEMU_LINE}


def cpu_seconds(pid):
    """CPU time of a process, threads that have ended included (its CPU clock: clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_beyond_ram(pid, ram):
    """Peak resident MiB less the resident part of guest RAM: the mappings in a row large enough for it."""
    with open("/proc/%d/status" % pid) as f:
        peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) << 10
    runs = []           # [start, end, resident bytes] of adjacent writable mappings
    with open("/proc/%d/smaps" % pid) as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            if head:
                start, end = int(head.group(1), 16), int(head.group(2), 16)
                if not runs or runs[-1][1] != start or not head.group(3).startswith("rw"):
                    runs.append([start, end, 0])
                runs[-1][1] = end
            elif line.startswith("Rss:"):
                runs[-1][2] += int(line.split()[1]) << 10
    large = [r for r in runs if r[1] - r[0] >= ram]
    if len(large) != 1:
        return None
    return (peak - large[0][2]) / MIB


class Start:
    """One start of an emulator: what its guest's markers said and when."""

    def __init__(self, argv, ram, log):
        self.cpu, self.code, self.sum, self.begin = {}, {}, {}, {}
        self.ready = self.memory = self.problem = None
        self.ram = ram
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = p.pid
        end, rest, done = time.monotonic() + START_SECONDS, b"", False
        try:
            while not self.problem:
                if time.monotonic() > end:
                    self.problem = "not done after %d s" % START_SECONDS
                elif select.select([p.stdout], [], [], 1)[0]:
                    data = os.read(p.stdout.fileno(), 1 << 16)
                    if not data:
                        break
                    if log:
                        log.write(data)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        done |= self.line(line.decode("latin-1"))
            if not self.problem and not done:
                self.problem = "ended early, exit status %d" % p.wait()
        finally:
            if self.problem and p.poll() is None:
                os.killpg(p.pid, signal.SIGKILL)
            p.stdout.close()
            p.wait()

    def line(self, text):
        """True: the guest has done all."""
        if "Kernel panic" in text:
            self.problem = "the guest's kernel panicked"
        m = re.search(r"@@(READY|DONE|BEGIN|END|SUM)\s*(\S*)\s*(\S*)", text)
        if not m:
            return False
        kind, name, rest = m.groups()
        if kind == "READY":
            self.ready = cpu_seconds(self.pid)
            self.memory = memory_beyond_ram(self.pid, self.ram)
        elif kind == "BEGIN":
            self.begin[name] = cpu_seconds(self.pid)
        elif kind == "END" and name in self.begin:
            self.cpu[name] = cpu_seconds(self.pid) - self.begin[name]
            self.code[name] = rest
        elif kind == "SUM":
            self.sum[name] = rest
        return kind == "DONE"


def emulate(who, args, names, log):
    """Boot with these workloads; without any: the tiny guest."""
    append = "console=ttyS0 quiet panic=-1 scale=%d" % args.scale
    sub = {"mem": str(args.mem), "kernel": args.kernel,
           "initrd": os.path.join(args.guest, "bench.cpio" if names else "boot.cpio.gz"),
           "append": append + (" bench=" + ",".join(names) if names else "")}
    argv = [word.format(**sub) for word in args.emulators[who]]
    stats = None
    if not names and who != "qemu":
        stats = os.path.join(args.guest, "stats.%d" % os.getpid())
        argv += ["-d", "stats", "-D", stats]
    start = Start(argv, args.mem * MIB, log)
    start.translation = None
    if stats and os.path.exists(stats):
        with open(stats) as f:
            m = re.search(r"translation took (\d+) ns", f.read())
        start.translation = float(m.group(1)) if m else None
        os.unlink(stats)
    return start


def native(args, name, times):
    """Run a workload in the guest's tree, in name spaces of its own: (CPU seconds, exit code, result)."""
    root = os.path.join(args.guest, "root")
    script = ("mount -t proc proc proc && mount -t tmpfs tmp tmp && mount --rbind /dev dev && "
              "exec chroot . /usr/bin/busybox sh -c 'PATH=/usr/bin; export PATH; . /bench/workloads.sh; "
              "measure \"%s*%d\"'" % (name, times))
    spaces = ["unshare", "-m", "-p", "-f"] if os.geteuid() == 0 else ["unshare", "-r", "-m", "-p", "-f"]
    p = subprocess.Popen(spaces + ["sh", "-c", script], cwd=root, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = p.stdout.read().decode("latin-1")
    p.stdout.close()
    _, status, use = os.wait4(p.pid, 0)
    p.returncode = status
    code, result = re.search(r"@@END \S+ (\S+)", text), re.search(r"@@SUM \S+ (\S+)", text)
    if not code or not result:
        sys.exit("bench.py: %s does not run natively (chroot needs root or user name spaces):\n%s"
                 % (name, text))
    return use.ru_utime + use.ru_stime, code.group(1), result.group(1)


class Native:
    """Native runs: how often each workload is repeated, and what running nothing costs."""

    def __init__(self, args, names):
        self.args = args
        self.nothing = statistics.median(native(args, "nothing", 1)[0] for _ in range(5))
        self.times = {}
        for n in names:
            seconds = max(native(args, n, 1)[0] - self.nothing, 1e-4)
            self.times[n] = max(1, min(NATIVE_TIMES, math.ceil(NATIVE_SECONDS / seconds)))

    def run(self, name):
        cpu, code, result = native(self.args, name, self.times[name])
        return (cpu - self.nothing) / self.times[name], code, result


# ---- measuring

def sets():
    """The set_NAME="..." lines of workloads.sh, expanded."""
    out = {}
    with open(os.path.join(HERE, "guest", "workloads.sh")) as f:
        for name, words in re.findall(r'^set_(\w+)="(.*)"', f.read(), re.M):
            out[name] = [x for w in words.split() for x in (out[w[5:]] if w.startswith("$set_") else [w])]
    return out


def chosen(words):
    """The workloads asked for; the first is True if the boot is, too."""
    table, names, boot = sets(), [], False
    for w in words.split(","):
        boot |= w in ("all", "boot")
        if w != "boot" and w not in table and w not in table["all"]:
            sys.exit("bench.py: no workload or set '%s': boot, %s, or one of: %s" % (
                w, ", ".join(table), " ".join(table["all"])))
        for n in table.get(w, [w] if w != "boot" else []):
            if n not in names:
                names.append(n)
    return boot, names


def run_all(args):
    boot, names = chosen(args.workloads)
    who = args.who
    data = {"who": who, "names": names, "rounds": args.rounds, "mem": args.mem, "arm": bool(args.arm),
            "cpu": {w: {} for w in who}, "sum": {w: {} for w in who}, "problems": []}
    for figure in ("ready", "translation", "memory"):
        data[figure] = {w: [] for w in who}
    log = open(args.log, "ab") if args.log else None
    bare = Native(args, names) if "native" in who and names else None

    def record(w, name, cpu, code, result):
        if code != "code=0":
            data["problems"].append("%s: %s failed (%s)" % (w, name, code))
        else:
            data["cpu"][w].setdefault(name, []).append(cpu)
            data["sum"][w].setdefault(name, []).append(result)

    def one(w, part):
        begun = time.monotonic()
        if w == "native":
            for n in part:
                record(w, n, *bare.run(n))
        else:
            s = emulate(w, args, part, log)
            if s.problem:
                data["problems"].append("%s: %s: %s" % (w, " ".join(part) or "boot", s.problem))
            for n in part:
                if n in s.cpu:
                    record(w, n, s.cpu[n], s.code[n], s.sum.get(n))
            if not part and not s.problem:
                for figure in ("ready", "translation", "memory"):
                    if getattr(s, figure) is not None:
                        data[figure][w].append(getattr(s, figure))
        print("bench.py: %s %s: %.1f s" % (w, " ".join(part) or "boot", time.monotonic() - begun),
              file=sys.stderr, flush=True)

    fresh = [n for n in names if n in sets()["fresh"]]          # compared with each other: one start for all
    rest = [n for n in names if n not in fresh]
    parts = [[]] * boot + [rest[i:i + CHUNK] for i in range(0, len(rest), CHUNK)] + [fresh] * bool(fresh)
    for round_ in range(args.rounds):
        for i, part in enumerate(parts):
            turn = (round_ + i) % len(who)
            for w in who[turn:] + who[:turn]:
                if part or w != "native":
                    one(w, part)
            if args.output:
                save(data, args.output)
    if log:
        log.close()
    return data


def save(data, path):
    with open(path + ".new", "w") as f:
        json.dump(data, f, indent=1)
    os.replace(path + ".new", path)


# ---- judging and printing

def wrong_results(data):
    """{(who, name)}: results that differ from the native ones, or without those from the first emulator's."""
    wrong = set()
    for n in data["names"]:
        good = None
        for w in sorted(data["who"], key=lambda w: w != "native"):
            for s in data["sum"][w].get(n, []):
                good = good or s
                if s != good:
                    wrong.add((w, n))
    return wrong


def extent(values):
    return "%s to %s" % (number(min(values)), number(max(values))) if values else "-"


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def number(v):
    if v is None:
        return "-"
    return "%.*f" % (3 if v < 1 else 2 if v < 100 else 1 if v < 1000 else 0, v)


def spread(values):
    return "%.0f %%" % (100 * (max(values) - min(values)) / statistics.median(values)) if values else "-"


def row(cells):
    print("| " + " | ".join(cells) + " |")


def head(first, cells):
    row([first] + cells)
    print("|---|" + "---:|" * len(cells))


def times(data, who, w, names):
    """The geometric mean over names of w's CPU time / the median of `who`, for each round; [] if any misses."""
    base = {n: statistics.median(data["cpu"][who][n]) for n in names if data["cpu"][who].get(n)}
    rounds = min((len(data["cpu"][w].get(n, [])) for n in names), default=0)
    if len(base) < len(names):
        return []
    return [geometric_mean([data["cpu"][w][n][r] / base[n] for n in names]) for r in range(rounds)]


def show_rows(data, wrong):
    emulators = [w for w in data["who"] if w != "native"]
    med = {w: {n: statistics.median(v) for n, v in data["cpu"][w].items() if v} for w in data["who"]}
    base = med.get("native", {})
    head("CPU s", ["native", "spread"] * bool(base)
         + [c for w in emulators for c in (w, "spread", "x native")])
    for n in data["names"]:
        cells = [n + (" (WRONG RESULT: %s)" % ", ".join(w for w in data["who"] if (w, n) in wrong)
                      if any(x == n for _, x in wrong) else "")]
        for w in ["native"] * bool(base) + emulators:
            values = data["cpu"][w].get(n, [])
            cells += [number(med[w].get(n)), spread(values)]
            if w != "native":
                cells += [number(med[w][n] / base[n] if n in base and n in med[w] else None)]
        row(cells)
    print()


def show_bars(data, subject, title, rows):
    """rows: (what, {emulator: its value in each round}, at most). True: no bar is missed."""
    emulators, ok = [w for w in data["who"] if w != "native"], True
    if not rows:
        return ok
    head(title, [c for w in emulators for c in (w, "rounds")] + ["at most", "met"])
    for what, rounds, bar in rows:
        middle = {w: statistics.median(v) if v else None for w, v in rounds.items()}
        value = middle[subject]
        ok &= value is None or value <= bar
        row([what] + [c for w in emulators for c in (number(middle[w]), extent(rounds[w]))]
            + [number(bar), verdict(value, bar)])
    print()
    return ok


def show_groups(data, subject):
    table = sets()
    return show_bars(data, subject, "geometric mean, x native", [
        (what, {w: times(data, "native", w, table[name]) for w in data["who"] if w != "native"}, bar)
        for name, what, bar in GROUPS if set(table[name]) <= set(data["names"])])


def show_arm(data, subject):
    """What is wanted of a build for AArch64, beside QEMU's."""
    table, rows = sets(), []
    if "qemu" not in data["who"]:
        return True
    if data["ready"]["qemu"]:
        base = statistics.median(data["ready"]["qemu"])
        rows.append(("boot to shell", {w: [v / base for v in data["ready"][w]] for w in data["who"]}, ARM_BOOT))
    rows += [(what, {w: times(data, "qemu", w, table[name]) for w in data["who"]}, bar)
             for name, what, bar in ARM_GROUPS if set(table[name]) <= set(data["names"])]
    return show_bars(data, subject, "x QEMU for AArch64", rows)


def show_fresh(data, subject):
    """Translation of new code."""
    def rounds(w, full, base):
        pairs = zip(data["cpu"][w].get(full, []), data["cpu"][w].get(base, []))
        return [(a - b) / FRESH_INSNS * 1e9 for a, b in pairs]

    return show_bars(data, subject, "translation, ns of CPU time per guest instruction", [
        (what, {w: rounds(w, full, base) for w in data["who"] if w != "native"}, bar)
        for what, full, base, bar in FRESH if {full, base} <= set(data["names"])])


def verdict(value, bar):
    return "-" if bar is None else "not measured" if value is None else "yes" if value <= bar else "**no**"


def show_figures(data, subject):
    ok, values = True, {}
    if not data["ready"].get(subject):
        return ok
    head("boot, CPU s", ["median", "least", "most"])
    for w in data["who"]:
        v = data["ready"][w]
        if v:
            row([w, number(statistics.median(v)), number(min(v)), number(max(v))])
    print()
    ready = {w: statistics.median(v) for w, v in data["ready"].items() if v}
    values["boot"] = ([a / b for a, b in zip(data["ready"][subject], data["ready"]["qemu"])]
                      if "qemu" in ready else [])
    values["translation"], values["memory"] = data["translation"][subject], data["memory"][subject]
    head("figure", [subject, "rounds", "at most", "met"])
    for name, what, unit, bar in FIGURES:
        v = values[name]
        middle = statistics.median(v) if v else None
        ok &= bar is None or middle is None or middle <= bar
        row([what, "%s %s" % (number(middle), unit), extent(v), "%s %s" % (number(bar), unit) if bar else "-",
             verdict(middle, bar)])
    print()
    return ok


def show(data):
    """Print everything; True: all bars are met, all results right."""
    subject = "latimer" if "latimer" in data["who"] else [w for w in data["who"] if w != "native"][0]
    wrong, ok = wrong_results(data), True
    print("CPU seconds, medians of %d rounds, %d MiB of memory\n" % (data["rounds"], data["mem"]))
    if data["names"]:
        show_rows(data, wrong)
        if "native" in data["who"]:
            ok &= show_groups(data, subject)
    if data.get("arm"):
        ok &= show_arm(data, subject)
    else:
        ok &= show_fresh(data, subject)
        ok &= show_figures(data, subject)
    for w, n in sorted(wrong):
        print("wrong result: %s in %s" % (n, w))
    for p in sorted(set(data["problems"])):
        print("problem: " + p)
    ok &= not wrong and not data["problems"]
    print("no bar was missed, all results are right" if ok else
          "a bar was missed or a result is wrong: see above")
    return ok


# ---- the command line

def output_of(*argv):
    p = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if p.returncode:
        sys.exit("bench.py: %s failed" % " ".join(argv))
    return p.stdout.strip()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-e", "--emulators", dest="who", metavar="LIST",
                    help="who runs (default: native,latimer, and qemu where it is installed)")
    ap.add_argument("-a", "--add", action="append", default=[], metavar="NAME=PROGRAM",
                    help="another Latimer to name in -e")
    ap.add_argument("--arm", metavar="LATIMER",
                    help="compare this build for AArch64 hosts with QEMU's (default then: -w boot,int,sse)")
    ap.add_argument("-w", "--workloads", metavar="LIST",
                    help="workloads or sets (default: all,fresh): all, fresh, quick, boot, sse, %s"
                    % ", ".join(g[0] for g in GROUPS[:-1]))
    ap.add_argument("-s", "--scale", type=int, default=1, metavar="N",
                    help="kernels do an Nth of their work; what they start with, a second or so, stays the same")
    ap.add_argument("-n", "--rounds", type=int, default=3)
    ap.add_argument("-m", "--mem", type=int, default=1024, help="the guest's memory in MiB (default 1024)")
    ap.add_argument("-o", "--output", metavar="FILE", help="write what was measured as JSON, also as it goes")
    ap.add_argument("--log", metavar="FILE", help="append what the guests print")
    ap.add_argument("--show", metavar="FILE", help="print what an earlier run wrote with -o, and stop")
    args = ap.parse_args()
    if args.show:
        with open(args.show) as f:
            sys.exit(0 if show(json.load(f)) else 1)
    guest_sh = os.path.join(HERE, "..", "tests", "boot", "guest.sh")
    args.workloads = args.workloads or ("boot,int,sse" if args.arm else "all,fresh")
    args.emulators = arm_emulators(args.arm, guest_sh) if args.arm else dict(EMULATORS)
    for a in args.add:
        name, _, program = a.partition("=")
        args.emulators[name] = [ARM] * bool(args.arm) + [program] + LINE
    have_qemu = shutil.which(args.emulators["qemu"][0])
    args.who = (args.who or ("latimer" if args.arm else "native,latimer") + (",qemu" if have_qemu else "")).split(",")
    if "native" in args.who and args.scale != 1:
        ap.error("native runs do all of the work: with -s, leave them out by -e")
    for w in args.who:
        if w != "native" and w not in args.emulators:
            ap.error("no emulator '%s': native, %s" % (w, ", ".join(args.emulators)))
    if args.who == ["native"]:
        ap.error("give an emulator to compare with native")
    chosen(args.workloads)
    args.guest = output_of("sh", os.path.join(HERE, "guest", "build.sh"))
    args.kernel = output_of("sh", guest_sh, "kernel", "amd64")
    data = run_all(args)
    if args.output:
        save(data, args.output)
    ok = show(data)
    if not have_qemu:
        print("%s is not installed: nothing to compare with" % args.emulators["qemu"][0])
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
