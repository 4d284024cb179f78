#!/usr/bin/env python3
"""fuzz.py - hostile debuggers, monitors and snapshots of a machine that runs (make fuzz-debug).

  fuzz.py [--seed N] [--seconds N] [--round N] [gdb|monitor|snap...]

Rounds follow each other until the time is over; what a round sends depends on the seed and its number alone, and
`--seed S --round N` sends it again. (How far the guest has come meanwhile does not, and of that snapshots are made: when a
round fails the files are kept, `bad` is the last one loaded.) After each round the machine must be right: a snapshot taken before all of them is
loaded, saved again and must have the same bytes; a new debugger reads what it writes, steps, stops at a breakpoint, and
finds memory as it was; the guest runs on. LATIMER: the program (default ./latimer), with arguments if need be.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import fuzz_gdb             # noqa: E402
import fuzz_monitor         # noqa: E402
import fuzz_snap            # noqa: E402
import gdb                  # noqa: E402
from machine import SLOW, WORK, Failed, Qmp, connect   # noqa: E402
from rsp import Line, Trouble           # noqa: E402

KINDS = {"gdb": fuzz_gdb.round, "monitor": fuzz_monitor.round, "snap": fuzz_snap.round}
COUNTER, CODE, CANARY, CANARY_LEN = 0x3800, 0x3000, 0x40000, 0x4000
COUNT = bytes.fromhex("48ff042500380000" "ebf6")        # 1: incq COUNTER; jmp 1b


def check(ok, what):
    if not ok:
        raise Trouble(what)


class Target:
    """A machine whose guest counts, in long mode; all its doors; and what it must be like after each round."""

    def __init__(self, work):
        self.work = work
        self.canary = random.Random(0).randbytes(CANARY_LEN)
        doors = [os.path.join(work, name) for name in ("qmp", "victim", "hmp")]
        self.victims = {"qmp": doors[1], "hmp": doors[2]}
        qmp, victim, hmp = ("unix:%s,server,nowait" % door for door in doors)
        self.m, line, _ = gdb.booted("-m", "16", "-qmp", qmp, "-qmp", victim, "-monitor", hmp, "-usb", "-device", "usb-tablet",
                                     end="-no-shutdown")
        self.proc = self.m.proc
        self.q = Qmp(doors[0])
        line.write(CODE, COUNT)
        for at in range(0, CANARY_LEN, 0x1000):
            line.write(CANARY + at, self.canary[at:at + 0x1000])
        line.set("rip", CODE)
        line.ok("D")
        line.close()
        self.q.cmd("stop")
        self.save("base")
        self.base = self.content("base")

    def path(self, name):
        return os.path.join(self.work, name)

    def content(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def save(self, name):
        said = self.q.hmp("savevm " + self.path(name))
        check(not said, "savevm: " + said)

    def load(self, name):
        """What the monitor says: nothing when it was loaded."""
        return self.q.hmp("loadvm " + self.path(name))

    def line(self):
        return Line(self.m.path, timeout=20 * SLOW)

    def settle(self):
        """Clients that left may have sent what is yet to be read, and lets the guest run; the next is served after them."""
        for door in self.victims.values():
            s = connect(door)
            check(s.recv(1), "a new client of a monitor hears nothing")
            s.close()
        line = self.line()
        check(line.ask("?").startswith(("T", "W")), "a new debugger hears nothing of the guest")
        line.ok("D")
        line.close()

    def restore(self):
        self.q.events.clear()
        self.q.cmd("stop")
        said = self.load("base")
        check(not said, "loadvm of the good snapshot: " + said)

    def verify(self):
        self.settle()
        self.restore()
        self.save("again")
        fuzz_snap.same(self.base, self.content("again"), "loaded and saved again")
        self.q.cmd("cont")
        line = self.line()
        try:
            line.learn()
            check(line.ask("?").startswith("T"), "a new debugger does not stop the guest")
            for name, value in (("rax", 0x123456789abcdef), ("xmm3", 7 << 100), ("cr2", 0xfffff),
                                ("st2", 0x3fff << 64 | 1 << 63)):
                check(line.set(name, value) == "OK" and line.reg(name) == value, "another value in " + name)
            got = b"".join(line.mem(CANARY + at, 0x1000) for at in range(0, CANARY_LEN, 0x1000))
            check(got == self.canary and line.mem(CODE, len(COUNT)) == COUNT, "other bytes in memory")
            line.set("rip", CODE)
            before = int.from_bytes(line.mem(COUNTER, 8), "little")
            check(line.go("vCont;s:1").startswith("T05") and line.reg("rip") == CODE + 8, "a step goes elsewhere")
            check(int.from_bytes(line.mem(COUNTER, 8), "little") == before + 1, "a step does something else")
            line.ok("Z1,%x,1" % CODE)
            check(line.go("c").startswith("T05") and line.reg("rip") == CODE, "a breakpoint does not stop it")
            line.ok("D")
        finally:
            line.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--round", type=int)
    ap.add_argument("kinds", nargs="*", help=", ".join(KINDS))
    args = ap.parse_args()
    kinds = args.kinds or list(KINDS)
    if not set(kinds) <= set(KINDS):
        ap.error("kinds are " + ", ".join(KINDS))
    print("fuzz.py: seed %d, %s" % (args.seed, ", ".join(kinds)))
    command = os.environ.get("LATIMER", "./latimer").split()
    command[0] = os.path.abspath(command[0]) if os.path.exists(command[0]) else command[0]
    os.environ["LATIMER"] = " ".join(command)
    work = gdb.work = tempfile.mkdtemp(prefix="latimer-fuzz.")
    home = os.getcwd()
    os.mkdir(os.path.join(work, "here"))
    os.chdir(os.path.join(work, "here"))            # files that monitors are told to write are written here
    target, counts, keep = None, {k: [0, 0] for k in kinds}, False
    end = time.monotonic() + args.seconds
    number = 0 if args.round is None else args.round
    kind = ""
    try:
        target = Target(work)
        while True:
            kind = kinds[number % len(kinds)]
            counts[kind][0] += 1
            counts[kind][1] += KINDS[kind](target, random.Random("%d %d" % (args.seed, number)))
            target.verify()
            number += 1
            if args.round is not None or (number >= len(kinds) and time.monotonic() > end):
                break
        target.q.cmd("quit")
        check(target.proc.wait(20 * SLOW) == 0, "exit code %d" % target.proc.returncode)
    except gdb.Skip as e:
        print("fuzz.py: skipped: %s" % e)
        return 77
    except (Trouble, Failed, OSError, ValueError) as e:
        print("fuzz.py: FAILED: --seed %d --round %d %s (%s): %s: %s" % (args.seed, number, " ".join(kinds), kind,
                                                                       type(e).__name__, e))
        keep = True
        print("fuzz.py: files are kept in " + work)
        if target:
            print("fuzz.py: latimer's exit code: %s; it said: %s" % (target.proc.poll(), target.m.said()[-6000:]))
        return 1
    finally:
        if target:
            target.m.end()
        os.chdir(home)
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(WORK, ignore_errors=True)
    print("fuzz.py: " + ", ".join("%s: %d rounds, %d inputs" % (k, *n) for k, n in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
