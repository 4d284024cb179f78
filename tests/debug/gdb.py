#!/usr/bin/env python3
"""gdb.py [CASE...] - the debugger's connection: by packets, and by gdb and lldb themselves.

Without arguments those cases that take seconds and need no Debian kernel; `list` lists all, `all` runs all.
LATIMER: the program (default ./latimer), with arguments if need be.
Each case is a function case_NAME, here or in gdb_debuggers.py, gdb_spaces.py, gdb_tables.py; SLOW are not run by default.
"""
import os
import re
import shutil
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gdb_debuggers import *                 # noqa: E402, F403 - cases
from gdb_spaces import *                    # noqa: E402, F403
from gdb_tables import *                    # noqa: E402, F403
from gdb_env import ENGINES, Skip, booted, check, guest, guest_disk, same, work     # noqa: E402
from rsp import Line, Machine, Trouble      # noqa: E402

SLOW = ["lockstep", "linux", "lldb", "bars"]


def case_modes():
    """From the reset vector through protected to long mode in one session, every packet of one size."""
    for engine in ENGINES:
        labels = guest()
        m = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % work, "-snapshot", *engine)
        try:
            line = m.line()
            r = line.all()
            same("reset vector", (r["cs"], r["cs_base"], r["rip"]), (0xf000, 0xffff0000, 0xfff0))
            check("first step", line.go("s").startswith("T05"))
            same("cs_base behind the far jump", line.reg("cs_base"), 0xf0000)
            # In ROM, by its linear address.
            line.monitor("realmode on")
            at = line.reg("rip")
            same("rip as linear address", at >> 16, 0xf)
            line.go("s")
            line.ok("Z0,%x,1" % (line.reg("rip")))
            line.monitor("realmode off")
            for name, want in (("_start", (0, 0)), ("prot", (1, 0)), ("long", (0x80000001, 0x500)),
                               ("ready", (0x80000001, 0x500))):
                line.ok("Z0,%x,1" % labels[name])
                while True:
                    reply = line.go("c")
                    if line.reg("rip") == labels[name]:
                        break
                check("reply " + reply, reply.startswith("T05thread:1;"))
                same("cr0, efer at " + name, (line.reg("cr0") & 0x80000001, line.reg("efer")), want)
                line.g()
                line.ok("z0,%x,1" % labels[name])
            # Memory is as it was: nothing was written for the breakpoints.
            with open(os.path.join(work, "disk"), "rb") as f:
                same("boot sector in memory", line.mem(0x7c00, 512), f.read(512))
        finally:
            m.end()


def case_steps():
    """Steps: iterations of a repeated instruction, the FPU, a range, and registers that are written."""
    for engine in ENGINES:
        m, line, labels = booted(*engine)
        try:
            while line.reg("rcx") != 16 or line.reg("rip") != labels["strings"] + 15:
                line.go("s")
            for left in range(15, -1, -1):
                line.go("vCont;s:1")
                same("rcx while stepping REP MOVSB", line.reg("rcx"), left)
            line.go("s")                        # the first one that follows
            line.go("vCont;r%x,%x:1" % (labels["strings"], labels["hotloop"]))
            same("end of the range", line.reg("rip"), labels["hotloop"])
            same("st0 is pi", line.reg("st0"), 0x4000c90fdaa22168c235)
            same("fstat", line.reg("fstat") >> 11 & 7, 6)
            same("xmm1", line.reg("xmm1"), line.reg("rsp"))
            same("count", line.reg("rcx"), 100000000)
            for name, value in (("rax", 0x123456789abcdef), ("xmm15", 5 << 100), ("mxcsr", 0x3f80), ("st3", 0x3fff << 64 | 1 << 63),
                                ("cr3", 0x10000), ("fs_base", 0x1234567800), ("k_gs_base", 77), ("dr0", 0x5000),
                                ("eflags", 0xad7), ("fctrl", 0x27f), ("cr2", 0xffffffffff)):
                same("write " + name, line.set(name, value), "OK")
                same(name, line.reg(name), value)
            for name, value in (("rip", 1 << 60), ("cr4", 1 << 40), ("efer", 1 << 62), ("cr0", 0x80000000), ("fs_base", 1 << 50),
                                ("mxcsr", 1 << 20), ("cs", 0x4444), ("cs", 0x1b), ("eflags", 0x20002), ("es_base", 1 << 40),
                                ("gdtr_base", 1 << 50)):
                old = line.reg(name)
                check("%s takes %x" % (name, value), line.set(name, value).startswith("E"))
                same(name + " as before", line.reg(name), old)
            # 32-bit code has no upper half of RIP.
            line.set("rip", 0x7fff00000000 + labels["hotloop"])
            same("32-bit code", line.set("cs", 8), "OK")
            same("rip in 32-bit code", line.reg("rip"), labels["hotloop"])
            same("64-bit code", line.set("cs", 24), "OK")
            # A step takes the write along.
            line.set("rcx", 3)
            line.set("rip", labels["hotloop"])
            line.go("s")
            same("what was stored", line.mem(0x1800, 4), b"\3\0\0\0")
            g = line.ask("g")
            line.ok("G" + g)
            same("g behind G", line.ask("g"), g)
        finally:
            m.end()


def translated(line):
    return int(re.search(r"blocks translated +(\d+)", line.monitor("info jit")).group(1))


def case_breakpoints():
    """Breakpoints in a hot loop: exact, at two linear addresses of one page, hundreds that do not hit."""
    for engine in ENGINES:
        m, line, labels = booted(*engine)
        try:
            line.set("rip", labels["hotloop"])
            line.write(0x600, (1000).to_bytes(4, "little"))
            line.set("rcx", 1000)
            line.set("rdx", 500)
            for n in range(500):
                line.ok("Z0,%x,1" % (0x8000 + 3 * n))
            line.ok("Z0,%x,1" % labels["wrote"])
            same("reply", line.go("c"), "T05thread:1;")
            same("rip", line.reg("rip"), labels["wrote"])
            same("round", line.reg("rcx"), 500)
            # The same code 2 MiB higher up: another linear address, without the breakpoint, and with one.
            line.set("rcx", 1000)
            line.set("rip", labels["hotloop"] + 0x200000)
            line.ok("Z0,%x,1" % (labels["after"] + 0x200000))
            line.go("c")
            same("rip in the alias", line.reg("rip"), labels["after"] + 0x200000)
            line.ok("Z1,%x,1" % (labels["wrote"] + 0x200000))
            line.ok("z0,%x,1" % labels["wrote"])
            for round in range(3):
                for base, want in ((0x200000, labels["wrote"] + 0x200000), (0, labels["after"])):
                    line.ok("Z0,%x,1" % labels["after"])
                    line.set("rcx", 1000)
                    line.set("rip", labels["hotloop"] + base)
                    line.go("c")
                    same("rip, round %d, base %x" % (round, base), line.reg("rip"), want)
            # Flags are exact where nothing would look at them: behind DEC, before the CMP of the next round.
            line.set("rcx", 7)
            line.set("rip", labels["wrote"])
            line.ok("Z0,%x,1" % labels["hotloop"])
            line.go("c")
            same("flags in the loop", line.reg("eflags") & 0x8d5, 0x04 if bin(6).count("1") % 2 == 0 else 0)
            line.ok("z0,%x,1" % labels["hotloop"])

            def made():
                """Blocks translated until the loop is over."""
                before = translated(line)
                line.set("rcx", 1000)
                line.set("rip", labels["hotloop"])
                line.go("c")
                same("rip", line.reg("rip"), labels["after"])
                return translated(line) - before

            made()
            usual = made()
            for packet in "Z0,19200,1", "z0,19200,1":
                line.ok(packet)
                same("blocks made when breakpoints of another page change", made(), usual)
            line.ok("Z0,%x,1" % (labels["after"] + 1))
            check("blocks made when its own change: as many as usual", made() > usual or engine == ENGINES[0])
        finally:
            m.end()


def case_watch():
    """Watchpoints: one write among 10^6 (the interpreters) or 10^8, reads, any length, behind the access."""
    counts = [n // (10 if os.environ.get("EMULATOR") else 1) for n in (1000000, 100000000, 100000)]
    for engine, count in zip(ENGINES, counts):
        m, line, labels = booted(*engine)
        try:
            line.write(0x600, count.to_bytes(4, "little"))
            line.ok("Z2,1008,8")
            same("reply", line.go("c", 300), "T05thread:1;watch:1008;")
            same("rip behind the store", line.reg("rip"), labels["wrote"])
            same("round", line.reg("rcx"), count // 2)
            same("value", line.mem(0x1008, 8), (0x1234).to_bytes(8, "little"))
            line.ok("z2,1008,8")
            # 6 bytes in the middle of what REP MOVSB writes, and what it reads.
            line.set("rip", labels["strings"])
            line.ok("Z2,1804,6")
            line.ok("Z3,184a,3")
            hits = [line.go("c") for _ in range(9)]
            same("hits", hits, ["T05thread:1;watch:%x;" % (0x1804 + n) for n in range(6)] +
                 ["T05thread:1;rwatch:%x;" % (0x184a + n) for n in range(3)])
            same("left of REP MOVSB", line.reg("rcx"), 16 - 13)
            line.ok("z2,1804,6")
            line.ok("z3,184a,3")
            # A range over many pages, any access.
            line.ok("Z4,1000,3000")
            same("any access", line.go("c"), "T05thread:1;awatch:184d;")
            line.ok("z4,1000,3000")
            line.ok("Z1,%x,1" % labels["after"])
            line.go("c", 300)
            same("goes on to the end", line.reg("rip"), labels["after"])
            same("dr6 and dr7 are the guest's", (line.reg("dr6"), line.reg("dr7")), (0xffff0ff0, 0x400))
        finally:
            m.end()


def case_catch():
    """Ports, MSRs, exceptions before their delivery, the double fault, the triple fault, resets."""
    for engine in ENGINES:
        m, line, labels = booted(*engine)
        try:
            line.set("rip", labels["after"])
            for what in ("io 80", "msr 277", "ud", "#DF", "triple"):
                same("catch " + what, line.monitor("catch " + what), "")
            check("list", "msr 277" in line.monitor("catch") and "triple" in line.monitor("catch"))
            check("nonsense", "nothing that can be caught" in line.monitor("catch quux"))
            for wrong, said in (("catch pf gp", "'gp' is too much"), ("catch io 5 6", "'6' is too much"), ("catch io 10000", "no port"), ("catch msr 5-3", "no MSR"),
                                ("sstep irq maybe", "Use: sstep"), ("sstep foo on", "Use: sstep")):
                check(wrong, said in line.monitor(wrong))
            check("nothing caught by mistake", "pf" not in line.monitor("catch") and "timer off" in line.monitor("sstep"))
            line.go("c")
            same("rip at OUT", line.reg("rip"), labels["after"])
            check("said", "about to write to port 80" in line.console)
            line.go("c")
            same("rip at RDMSR", line.reg("rip"), labels["idle"] - 2)
            line.send("c")
            time.sleep(0.2)
            line.raw(b"\3")
            same("Ctrl-C in a tight loop", line.wait(5)[:3], "T02")
            same("rip", line.reg("rip"), labels["idle"])
            line.set("rip", labels["beyond"])
            line.console = ""
            same("signal of #UD", line.go("c")[:3], "T04")
            same("rip of #UD", line.reg("rip"), labels["beyond"])
            check("story", "#UD invalid opcode" in line.console and "ud2" in line.console)
            line.console = ""
            same("signal of #DF", line.go("c")[:3], "T0b")
            check("story of #DF", "#DF double fault" in line.console)
            line.console = ""
            line.go("c")
            check("story of the triple fault", "Triple fault" in line.console)
            check("why", "Triple fault" in line.monitor("why"))
            same("and it ends", line.go("c"), "W0a")
        finally:
            m.end()
    m, line, labels = booted()
    try:
        line.monitor("catch reset")
    finally:
        m.end()
    m = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % guest_disk(), "-snapshot")
    try:
        line = m.line()
        line.monitor("catch reset")
        line.ok("Z1,%x,1" % guest()["ready"])
        line.go("c")
        line.set("rip", guest()["beyond"])
        same("reset by triple fault is caught", line.go("c")[:3], "T05")
        same("at the reset vector", (line.reg("cs_base"), line.reg("rip")), (0xffff0000, 0xfff0))
        line.go("s")
        line.monitor("reset")
        same("after monitor reset", (line.reg("cs_base"), line.reg("rip")), (0xffff0000, 0xfff0))
        # Ctrl-C at any time of resets that follow each other
        line.monitor("nocatch reset")
        line.ok("z1,%x,1" % guest()["ready"])
        for n in range(10):
            line.send("c")
            time.sleep(0.01 * n)
            line.raw(b"\3")
            same("Ctrl-C", line.wait(5)[:3], "T02")
            line.monitor("reset")
    finally:
        m.end()


def case_why():
    """The last exception a guest took that went on, told on demand; interrupts do not make it forgotten."""
    for engine in ENGINES:
        m, line, labels = booted(*engine)
        try:
            line.set("rip", labels["idle"])
            line.send("c")
            time.sleep(0.1)
            line.raw(b"\3")
            line.wait()
            check("none yet", "has taken no exception" in line.monitor("why"))
            handler = labels["idle"]
            line.write(0x5000 + 16 * 14, struct.pack("<HHHHQ", handler & 0xffff, 24, 0x8e00, handler >> 16, 0))
            line.set("idtr_base", 0x5000)
            line.set("idtr_limit", 0xfff)
            line.write(0x9000, bytes.fromhex("c7042508005000") + bytes(4))     # mov dword ptr [500008h], 0
            line.set("rip", 0x9000)
            line.send("c")
            time.sleep(0.1)
            line.raw(b"\3")
            line.wait()
            same("in the handler", line.reg("rip"), handler)
            said = line.monitor("why")
            for part in "paused", "#PF page fault, code 2, at 0018:9000", "500008", "mov dword ptr", "NOT PRESENT":
                check("'%s' in: %s" % (part, said), part in said)
        finally:
            m.end()


def case_memory():
    """Memory: partial reads, physical, devices, ROM, binary writes."""
    m, line, labels = booted()
    try:
        same("unmapped", line.ask("m400000,10"), "E0e")
        same("partial: up to the end of what is mapped", len(line.mem(0x3ffff0, 0x40)), 16)
        check("not canonical", line.ask("m8000000000000000,4").startswith("E"))
        line.ok(b"X1800,4:\1}\3}\4\xff")       # escaped # and $
        same("written", line.mem(0x1800, 4), b"\1#$\xff")
        check("length and data differ", line.ask("M1800,4:0000").startswith("E"))
        same("PhyMemMode", line.ask("qqemu.PhyMemMode"), "0")
        line.ok("Qqemu.PhyMemMode:1")
        same("PhyMemMode", line.ask("qqemu.PhyMemMode"), "1")
        line.mem(0x400000, 16)
        same("local APIC's version register", line.mem(0xfee00030, 1), b"\x14")
        rom = line.mem(0xffff0, 5)
        same("ROM, the far jump", rom[0], 0xea)
        line.ok("Mffff1,1:%02x" % (rom[1] ^ 1))
        same("ROM, changed", line.mem(0xffff1, 1)[0], rom[1] ^ 1)
        line.ok("Qqemu.PhyMemMode:0")
        # Code that is changed runs changed.
        line.set("rip", labels["idle"])
        line.send("c")
        time.sleep(0.1)
        line.raw(b"\3")
        line.wait()
        line.write(labels["idle"], b"\x0f\x0b")
        line.monitor("catch ud")
        same("changed code", line.go("c")[:3], "T04")
        line.write(labels["idle"], b"\xf4\xf4")        # HLT
        line.send("c")
        time.sleep(0.2)
        line.raw(b"\3")
        same("Ctrl-C in HLT", line.wait(2)[:3], "T02")
        check("why", "waits for an interrupt" in line.monitor("why"))
    finally:
        m.end()


def case_clients():
    """Clients come and go, one vanishes in the middle of a packet: breakpoints are gone, the guest goes on."""
    m, line, labels = booted("-no-shutdown")
    try:
        line.ok("QStartNoAckMode")
        line.ack = False
        line.write(0x600, (4000000000).to_bytes(4, "little"))
        line.set("rip", labels["ready"])
        line.ok("Z0,%x,1" % labels["hotloop"])
        line.go("c")
        second = Line(m.path)
        try:
            second.ask("?")
            raise Trouble("a second debugger was let in")
        except (Trouble, OSError) as e:
            check(str(e), "was let in" not in str(e))
        rcx = line.reg("rcx")
        line.raw(b"$Z0,12345")
        line.close()
        time.sleep(0.3)
        line = m.line()
        same("stopped on attach", line.ask("?")[:1], "T")
        check("the guest went on", line.reg("rcx") < rcx)
        check("it is in the loop", labels["hotloop"] <= line.reg("rip") < labels["after"])
        line.ok("D")
        line.close()
        for n in range(20):
            line = m.line()
            line.ok("Z0,%x,1" % labels["hotloop"])
            line.go("c")
            same("breakpoint of client %d" % n, line.reg("rip"), labels["hotloop"])
            if n % 2:
                line.ok("D")
            elif n % 3:
                line.send("c")
            line.close()
        line = m.line()
        line.send("k")
        same("killed", m.proc.wait(10), 0)
    finally:
        m.end()


def case_stdio():
    """-gdb stdio: ends with the debugger that began it, whatever that did; one that never spoke leaves the guest alone."""
    guest()
    argv = os.environ.get("LATIMER", "./latimer").split() + ["-M", "pc", "-nic", "none", "-display", "none", "-serial", "null", "-monitor",
                                                             "none", "-S", "-snapshot", "-gdb", "stdio",
                                                             "-drive", "file=%s/disk,format=raw,if=ide" % work]
    for said in b"+$?#3f", b"+$?#3f+$D#44+", b"+$c#63", b"$m0,":
        r = subprocess.run(argv, input=said, stdout=subprocess.PIPE, timeout=60)
        same("exit code after %r" % said, r.returncode, 0)
        check("an answer to %r: %r" % (said, r.stdout), b"$T05" in r.stdout or b"?" not in said)
    alone = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        alone.wait(1)
        raise Trouble("without a debugger it ended: %d" % alone.returncode)
    except subprocess.TimeoutExpired:
        pass
    finally:
        alone.kill()
        alone.wait()
    if not shutil.which("gdb"):
        return
    for last in "detach", "disconnect", "kill", "print no_such_symbol", "":
        script = os.path.join(work, "pipe")
        with open(script, "w") as f:
            f.write("set confirm off\ntarget remote | exec %s\ninfo registers rip\n%s\n" % (" ".join(argv), last))
        r = subprocess.run(["gdb", "-nx", "-batch", "-x", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                           stderr=subprocess.STDOUT, timeout=60)
        check("gdb, then '%s': %s" % (last, r.stdout), "0xfff0" in r.stdout)


def case_packets():
    """What debuggers ask at first, and packets that are wrong."""
    m, line, labels = booted()
    try:
        check("qSupported", "PacketSize=4000" in line.ask("qSupported:swbreak+;hwbreak+;xmlRegisters=i386"))
        same("threads", (line.ask("qfThreadInfo"), line.ask("qsThreadInfo"), line.ask("qC")), ("m1", "l", "QC1"))
        # gdb says it again after two seconds, of a Latimer that it has just begun, and wants one answer
        line.raw(b"$qSupported:swbreak+#%02x" % (sum(b"qSupported:swbreak+") & 255) * 3)
        check("one answer", "PacketSize" in line.receive())
        same("the next answer", line.ask("qC"), "QC1")
        check("asked anew", "PacketSize" in line.ask("qSupported:swbreak+;hwbreak+"))
        check("thread's name", b"CPU#0" in bytes.fromhex(line.ask("qThreadExtraInfo,1")))
        same("attached", line.ask("qAttached"), "1")
        same("sstep", (line.ask("qqemu.sstepbits"), line.ask("qqemu.sstep")), ("ENABLE=1,NOIRQ=2,NOTIMER=4", "0x7"))
        line.ok("Qqemu.sstep=0x5")
        same("sstep", line.ask("qqemu.sstep"), "0x5")
        check("memory map", "memory-map" in line.ask("qXfer:memory-map:read::0,800"))
        check("the monitor's commands", "paused (debug)" in line.monitor("info status"))
        check("a command there is not", "unknown command" in line.monitor("frobnicate"))
        for p in ("T1", "Hg0", "Hg1", "Hc-1", "Hgp1.1", "!"):
            line.ok(p)
        for p in ("T2", "Hg2", "Hx1", "m", "m1", "m1,", "mx,1", "m11111111111111111,1", "M1,1:", "M1,2:00", "Mg", "p", "pfff",
                  "P0", "P0=", "P0=1", "P%x=00" % 200, "G1", "G" + "0" * 16000, "Z0", "Z0,", "Z0,1", "Z2,1,0", "Z2,ffffffffffffffff,2",
                  "z0,9999,1", "vCont", "vCont;", "vCont;q", "vCont;r1,:1", "vCont;c:5", "c8000000000000000", "Cx", "s-1", "X1,5:1",
                  "qRcmd,1", "qXfer:features:read:target.xml:", "qXfer:features:read:target.xml:ffffff,10", "Qqemu.sstep=f",
                  "Qqemu.PhyMemMode:2", "qThreadExtraInfo,9"):
            r = line.ask(p)
            check("%s was answered with '%s'" % (p[:40], r), r.startswith("E"))
        for p in ("vFile:open:00", "qFoo", "Qbar", "x", "vMustReplyEmpty", "Z9,1,1", "jThreadsInfo", "\0", "_M10,1"):
            same("answer to " + p, line.ask(p), "")
        line.raw(b"$g#00")
        same("bad checksum", line.byte(5), b"-")
        line.raw(b"$gg" + b"x" * 100000 + b"#%02x" % ((2 * 0x67 + 100000 * 0x78) & 255))
        same("a long one", (line.byte(5), line.receive()), (b"+", "E5a"))
        same("swbreak", [line.ok("Z0,%x,1" % labels["hotloop"]), line.go("c")][1], "T05thread:1;swbreak:;")
        line.ok("z0,%x,1" % labels["hotloop"])
        line.ok("Z1,%x,1" % labels["hotloop"])
        same("hwbreak", line.go("c"), "T05thread:1;hwbreak:;")
        check("monitor", "realmode" in line.monitor("help"))
        same("what is mapped", [line.ask("qMemoryRegionInfo:%x" % a) for a in (0, 0x3fffff, 0x400000, 1 << 63)],
             ["start:0;size:400000;permissions:rwx;"] * 2 + ["start:400000;size:ffffffffffbfffff;"] * 2)
        check("the last byte", line.ask("qMemoryRegionInfo:ffffffffffffffff").startswith("E"))
        # Answers that no packet holds, and one that the line's queue would not.
        same("32,000 bytes", len(line.monitor("xp /32000xb 0").split("0x")), 32001)
        check("too much", line.monitor("xp /300000xb 0").endswith("(the rest is left out)\n"))
        # Let go by a monitor, it stands still again before the debugger is answered.
        line.write(0x600, b"\xff\xff\xff\xff")
        line.set("rip", labels["ready"])
        line.ok("z1,%x,1" % labels["hotloop"])
        line.monitor("cont")
        same("still", line.reg("rcx"), line.reg("rcx"))
        check("paused", "paused" in line.monitor("info status"))
        check("dis", "mov" in line.monitor("dis"))
        check("walk", "PML4E" in line.monitor("walk 7c00"))
    finally:
        m.end()


def case_lockstep():
    """10,000 instructions from the reset vector, every register compared with the interpreter's."""
    guest()
    a = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % work, "-snapshot", "-accel", "jit,hot=0")
    b = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % work, "-snapshot", "-accel", "interp")
    try:
        lines = [m.line() for m in (a, b)]
        for line in lines:
            line.ok("QStartNoAckMode")
            line.ack = False
        for n in range(10000):
            for line in lines:
                line.send("vCont;s:1")
            same("reply at step %d" % n, *[line.wait() for line in lines])
            for line in lines:
                line.send("g")
            one, two = [line.receive() for line in lines]
            if one != two:
                x, y = [line.all() for line in lines]
                raise Trouble("step %d: %s" % (n, ["%s %x %x" % (k, x[k], y[k]) for k in x if x[k] != y[k]]))
    finally:
        a.end()
        b.end()


def main():
    cases = {n[5:].replace("_", "-"): f for n, f in sorted(globals().items()) if n.startswith("case_")}
    names = sys.argv[1:]
    if names == ["list"]:
        for n, f in cases.items():
            print("%-12s %s%s" % (n, f.__doc__.split("\n")[0], " (not by default)" if n in SLOW else ""))
        return 0
    if not names:
        names = [n for n in cases if n not in SLOW]
    elif names == ["all"]:
        names = list(cases)
    latimer = os.environ.get("LATIMER", "./latimer").split()
    if "no jit" in subprocess.run(latimer + ["-accel", "help"], stdout=subprocess.PIPE, text=True).stdout:
        del ENGINES[1:]
    failed = skipped = 0
    for n in names:
        start = time.monotonic()
        try:
            cases[n]()
            print("PASS %s (%.1f s)" % (n, time.monotonic() - start))
        except Skip as e:
            skipped += 1
            print("SKIP %s: %s" % (n, e))
        except Exception as e:
            failed += 1
            print("FAIL %s: %s: %s" % (n, type(e).__name__, e))
            log = os.path.join(work, "out%d" % Machine.number)
            if os.path.exists(log) and os.path.getsize(log):
                print("  the last Latimer said: " + open(log).read()[-2000:])
            if not isinstance(e, Trouble):
                import traceback
                traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    return 1 if failed else 77 if skipped == len(names) else 0


if __name__ == "__main__":
    sys.exit(main())
