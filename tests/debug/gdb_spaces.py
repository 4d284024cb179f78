"""gdb_spaces.py - cases of gdb.py: one linear address in several address spaces and in pages that change under a debugger, by page
tables, DMA and loaded snapshots; watchpoints at pages' borders; what is left when a debugger goes."""
import os
import re
import struct
import time

from gdb_env import ENGINES, Skip, booted, check, running_cpu_time, same, work
from rsp import Machine, Trouble

USER_CODE = 0x400000                            # what the address spaces have different pages at
DATA = 0x401000
SPACES = 0x20000, 0x28000                       # page tables: four pages each
PAGES = 0x30000, 0x31000, 0x32000               # for USER_CODE
DATAS = 0x34000, 0x35000                        # for DATA
INC = bytes.fromhex("48ffc0 48ffc0 c3")         # inc rax; inc rax; ret
ADD = bytes.fromhex("81c301000000 c3")          # add ebx, 1; ret: another instruction's middle is where INC's second one begins
SECOND, RET = USER_CODE + 3, USER_CODE + 6

# rdi, rsi: CR3 of two address spaces, rbp: USER_CODE
SWITCH = 0x9000
SWITCHER = bytes.fromhex("0f22df ffd5 0f22de ffd5 ffc1 ebf2")       # mov cr3, rdi; call rbp; mov cr3, rsi; call rbp; inc ecx; jmp
STORER = bytes.fromhex("893c2500180000 ffc9 75f5 890b ebf1")        # mov [1800h], edi; dec ecx; jnz; mov [rbx], ecx; jmp
# r8: where USER_CODE's entry is; r9, r10: entries it has in turn
REMAP = 0x9100
REMAPPER = bytes.fromhex("ffd5 4d8908 0f017d00 4d87d1 ffc1 ebf0")   # call rbp; mov [r8], r9; invlpg [rbp]; xchg r9, r10; inc ecx; jmp


GDT = 0x7d00
SEGMENTS = struct.pack("<4Q", 0, 0, 0x00cf93000000ffff, 0x00af9b000000ffff)


def bare(*args):
    """A machine whose processor the debugger has put into long mode, in the first of two address spaces: no firmware has run."""
    m = Machine(work, "-M", "pc", *args)
    try:
        line = m.line()
        line.write(GDT, SEGMENTS)
        address_spaces(line)
        for name, value in (("gdtr_base", GDT), ("gdtr_limit", len(SEGMENTS) - 1), ("cr4", 0x620), ("efer", 0x100), ("cr0", 0x80000011),
                            ("cs", 24), ("ss", 16), ("ds", 16), ("es", 16), ("eflags", 2)):
            same("write " + name, line.set(name, value), "OK")
    except BaseException:
        m.end()
        raise
    return m, line


def address_spaces(line):
    """Two, which have the first 2 MiB in common, and of which the first is chosen; registers for SWITCHER and REMAPPER."""
    line.ok("Qqemu.PhyMemMode:1")
    for root, code, data in zip(SPACES, PAGES, DATAS):
        for at in range(0, 0x4000, 0x1000):
            line.write(root + at, bytes(0x1000))
        for at, entry in ((root, root + 0x1003), (root + 0x1000, root + 0x2003), (root + 0x2000, 0x83), (root + 0x2010, root + 0x3003),
                          (root + 0x3000, code | 3), (root + 0x3008, data | 3), (root + 0x3010, DATAS[0] | 3)):
            line.write(at, entry.to_bytes(8, "little"))
    for at, code in ((PAGES[0], INC), (PAGES[1], ADD), (PAGES[2], INC), (SWITCH, SWITCHER), (REMAP, REMAPPER)):
        line.write(at, code)
    line.ok("Qqemu.PhyMemMode:0")
    for name, value in (("rdi", SPACES[0]), ("rsi", SPACES[1]), ("cr3", SPACES[0]), ("rbp", USER_CODE), ("rsp", 0x7c00), ("rax", 0),
                        ("rbx", 0), ("rcx", 0), ("r8", SPACES[0] + 0x3000), ("r9", PAGES[2] | 3), ("r10", PAGES[0] | 3)):
        same("write " + name, line.set(name, value), "OK")


def run_a_while(line, seconds=0.1):
    line.send("c")
    time.sleep(seconds)
    line.raw(b"\3")
    reply = line.wait(20)
    same("stopped by Ctrl-C", reply[:3], "T02")


def hits(line, count, *names):
    """Values of registers at the next stops, each of which is a breakpoint's."""
    found = []
    for _ in range(count):
        same("stop reply", line.go("c", 20)[:12], "T05thread:1;")
        found.append(tuple(line.reg(n) for n in names))
    return found


def case_spaces():
    """Breakpoints at one linear address where two address spaces have different code: each hits where an instruction begins."""
    for engine in ENGINES:
        m, line = bare(*engine)
        try:
            line.set("rip", SWITCH)
            run_a_while(line)                   # both are translated, and one goes to the other
            for kind in "01":
                line.ok("Z%s,%x,1" % (kind, SECOND))
                found = hits(line, 6, "rip", "cr3")
                same("only where it is an instruction", found, [(SECOND, SPACES[0])] * 6)
                rounds = line.reg("rcx")
                hits(line, 1, "rip")
                same("once in each round", line.reg("rcx"), rounds + 1)
                line.ok("Z%s,%x,1" % (kind, USER_CODE))
                line.ok("z%s,%x,1" % (kind, SECOND))
                found = hits(line, 6, "rip", "cr3")
                same("in both, in turn", found, [(USER_CODE, SPACES[1 - n % 2]) for n in range(6)])
                line.ok("z%s,%x,1" % (kind, USER_CODE))
                line.ok("Z%s,%x,1" % (kind, RET))
                hits(line, 2, "rip")
                while line.reg("cr3") != SPACES[1]:
                    hits(line, 1, "rip")
                n = line.reg("rcx") + 1
                same("all was executed once", (line.reg("rax"), line.reg("rbx")), (2 * n, n))
                same("code of each", line.mem(USER_CODE, 7), ADD)
                line.ok("z%s,%x,1" % (kind, RET))
            # Steps from one address space into the other
            line.set("rip", SWITCH)
            line.set("cr3", SPACES[1])
            where = [line.go("s") and line.reg("rip") for _ in range(9)]
            same("steps", where, [SWITCH + 3, USER_CODE, SECOND, RET, SWITCH + 5, SWITCH + 8, USER_CODE, RET, SWITCH + 10])
            # A watchpoint is linear: in both, whatever they have there; another way to the same memory is none.
            line.write(PAGES[0], bytes.fromhex("c7042500104000 01000000 c3"))      # mov dword [401000h], 1; ret
            line.write(PAGES[1], bytes.fromhex("c7042500104000 02000000 c70425002040 0003000000 c3"))    # and [402000h]
            line.set("rip", SWITCH)
            line.ok("Z2,%x,4" % DATA)
            for n in range(6):
                same("watched in both", line.go("c", 20), "T05thread:1;watch:%x;" % DATA)
                same("in turn", (line.reg("cr3"), line.mem(DATA, 1)), (SPACES[n % 2], bytes([1 + n % 2])))
            line.ok("z2,%x,4" % DATA)
            line.ok("Z2,402000,4")
            same("the other way", line.go("c", 20), "T05thread:1;watch:402000;")
            same("in the second", line.reg("cr3"), SPACES[1])
        finally:
            m.end()


def case_remapped():
    """Breakpoints in a page that the guest maps elsewhere, copies, takes away and gives back."""
    for engine in ENGINES:
        m, line = bare(*engine)
        try:
            line.set("rip", REMAP)
            run_a_while(line)
            address_spaces(line)
            line.set("rip", REMAP)
            line.ok("Z0,%x,1" % SECOND)
            same("in the page and its copy", [n for n, in hits(line, 7, "rcx")], list(range(7)))
            # The copy is written to, and is another program then
            line.write(PAGES[2], ADD)
            found = [n for n, in hits(line, 4, "rcx")]
            same("where it is an instruction", [b - a for a, b in zip(found, found[1:])], [2] * 3)
            line.write(PAGES[2], INC)
            hits(line, 1, "rip")
            n = line.reg("rcx")
            same("and again in both", [k for k, in hits(line, 4, "rcx")], [n + 1 + k for k in range(4)])
            # Not there every second time: the guest's handler, here the debugger, brings it back
            here = line.reg("r9"), line.reg("r10")
            line.set("r9" if here[0] == PAGES[2] | 3 else "r10", 0)
            line.monitor("catch pf")
            faults = 0
            for _ in range(8):
                reply = line.go("c", 20)
                if reply.startswith("T0b"):
                    faults += 1
                    same("fault at", (line.reg("rip"), line.mem(USER_CODE, 1)), (USER_CODE, None))
                    line.write(line.reg("r8"), (PAGES[2] | 3).to_bytes(8, "little"))
                else:
                    same("breakpoint", (reply, line.reg("rip")), ("T05thread:1;", SECOND))
            check("faults: %d" % faults, 2 <= faults <= 4)
        finally:
            m.end()


class Ide:
    """The second disk of the board's first IDE channel, by bus-master DMA, from the debugger: ports by the monitor."""

    PRD = 0x8800
    base = 0xc000

    def __init__(self, line):
        self.line = line
        for at, value in ((0x20, self.base), (4, 5), (0x40, 0x80008000)):      # where it is, master, both channels decoded
            self.out(0xcf8, 0x80000900 | at, "w")       # 00:01.1, the PIIX3's IDE
            self.out(0xcfc, value, "w")

    def out(self, port, value, size="b"):
        same("o", self.line.monitor("o /%s %#x %#x" % (size, port, value)), "")

    def read(self, sector, to):
        """Begins to read one sector to a physical address."""
        self.line.write(self.PRD, to.to_bytes(4, "little") + (0x80000000 | 512).to_bytes(4, "little"))
        self.out(self.base, 0)
        self.out(self.base + 2, 6)
        self.out(self.base + 4, self.PRD, "w")
        for port, value in ((0x1f6, 0xf0), (0x3f6, 2), (0x1f2, 1), (0x1f3, sector), (0x1f4, 0), (0x1f5, 0), (0x1f7, 0xc8)):
            self.out(port, value)
        self.out(self.base, 9)

    def done(self):
        """The guest runs until it is."""
        for _ in range(50):
            run_a_while(self.line, 0.02)
            status = int(self.line.monitor("i /b %#x" % (self.base + 2)).split()[-1], 16)
            if not status & 1:
                return check("an error of DMA", not status & 2)
        raise Trouble("the transfer does not end: %x" % status)


def case_dma():
    """A disk's DMA into watched pages, which is no access of the processor's, and into code with breakpoints."""
    disk = os.path.join(work, "second")
    with open(disk, "wb") as f:
        f.write(b"\x5a" * 512 + ADD.ljust(512, b"\x90") + INC.ljust(512, b"\x90") + bytes(512 * 200))
    for engine in ENGINES:
        m, line = bare(*engine, "-snapshot", "-drive", "file=%s,format=raw,if=ide,index=1" % disk)
        try:
            ide = Ide(line)
            line.write(0x9200, STORER)
            line.set("rbx", 0x1008)
            line.set("rip", 0x9200)
            line.set("rcx", 0x7fffffff)
            line.ok("Z2,1000,100")
            line.ok("Z3,1100,80")
            ide.read(0, 0x1000)
            ide.done()
            same("what was read", line.mem(0x1000, 512), b"\x5a" * 512)
            line.set("rcx", 10)
            same("the processor's", line.go("c", 20), "T05thread:1;watch:1008;")
            same("its value", line.mem(0x1008, 4), bytes(4))
            line.ok("z2,1000,100")
            line.ok("z3,1100,80")
            # Code that DMA brings is what runs, breakpoints are where they were
            address_spaces(line)
            line.set("r9", PAGES[0] | 3)
            line.set("rip", REMAP)
            line.ok("Z0,%x,1" % SECOND)
            hits(line, 3, "rip")
            line.ok("z0,%x,1" % SECOND)
            line.set("rip", RET)                # which both have
            ide.read(1, PAGES[0])
            ide.done()
            line.ok("Z0,%x,1" % SECOND)
            same("what is there", line.mem(USER_CODE, 7), ADD)
            run_a_while(line)                   # it does not hit: there is no instruction
            check("it ran", line.reg("rbx") > 0)
            line.ok("Z0,%x,1" % RET)
            same("another breakpoint", hits(line, 3, "rip"), [(RET,)] * 3)
            line.ok("z0,%x,1" % RET)
            line.ok("z0,%x,1" % SECOND)
            ide.read(2, PAGES[0])
            ide.done()
            line.ok("Z0,%x,1" % SECOND)
            same("where it was", hits(line, 3, "rip"), [(SECOND,)] * 3)
        finally:
            m.end()


def case_borders():
    """Accesses and watchpoints across a page's border, also where the pages are not neighbours in memory."""
    for engine in ENGINES:
        m, line = bare(*engine)
        try:
            border = DATA + 0x1000              # DATAS[1] is behind DATAS[0] in the second space only
            for cr3 in SPACES:
                line.set("cr3", cr3)
                line.set("rbx", border - 4)
                # mov [rbx], rax; mov rdx, [rbx]; movups [rbx], xmm0; add qword [rbx], 1; fxsave [rbx - 252]; jmp
                line.write(0x9200, bytes.fromhex("488903 488b13 0f1103 48830301 0fae8304ffffff ebea"))
                behind = {"store": 0x9203, "load": 0x9206, "vector": 0x9209, "add": 0x920d, "fxsave": 0x9214}
                for at, length, touched in ((border, 1, "store vector add fxsave"), (border - 1, 1, "store vector add fxsave"),
                                            (border - 1, 2, "store vector add fxsave"), (border + 4, 4, "vector fxsave"),
                                            (border - 8, 4, "fxsave"), (border - 0x800, 0x1000, "store vector add fxsave"),
                                            (border + 8, 100, "vector fxsave")):
                    line.set("rip", 0x9200)
                    line.ok("Z2,%x,%x" % (at, length))
                    for what in touched.split() * 2:
                        reply = line.go("c", 20)
                        hit = re.fullmatch("T05thread:1;watch:([0-9a-f]+);", reply)
                        check("%s of %x, %x bytes: %s" % (what, at, length, reply), hit and at <= int(hit.group(1), 16) < at + length)
                        same("%s of %x, %x bytes: stopped behind" % (what, at, length), line.reg("rip"), behind[what])
                    line.ok("z2,%x,%x" % (at, length))
                line.set("rip", 0x9200)
                line.ok("Z3,%x,1" % border)
                for what in "load", "add", "load":
                    same("read across", (line.go("c", 20), line.reg("rip")), ("T05thread:1;rwatch:%x;" % border, behind[what]))
                line.ok("z3,%x,1" % border)
        finally:
            m.end()


def case_snapshots():
    """A snapshot saved and loaded by `monitor` while breakpoints and watchpoints are set: they stay, nothing of them is saved."""
    for engine in ENGINES:
        m, line, labels = booted(*engine)
        one, two = (os.path.join(work, n) for n in ("snap1", "snap2"))
        try:
            line.write(0x600, (1000).to_bytes(4, "little"))
            line.ok("Z0,%x,1" % labels["wrote"])
            same("savevm", line.monitor("savevm " + one), "")
            saved = line.ask("g")
            line.ok("Z2,1008,8")
            hits(line, 2, "rip")                # the watchpoint's, the breakpoint's
            same("loadvm", line.monitor("loadvm " + one), "")
            same("registers", line.ask("g"), saved)
            same("memory", line.mem(0x1008, 8), bytes(8))
            same("saved again", line.monitor("savevm " + two), "")
            with open(one, "rb") as a, open(two, "rb") as b:
                check("the same bytes", a.read() == b.read())
            same("the watchpoint", (line.go("c", 20), line.reg("rcx")), ("T05thread:1;watch:1008;", 500))
            line.ok("z2,1008,8")
            same("loadvm", line.monitor("loadvm " + one), "")
            line.write(0x600, (2000).to_bytes(4, "little"))
            same("the breakpoint", hits(line, 1, "rip", "rcx"), [(labels["wrote"], 1000)])
            # Gone when loaded, although it was set when saved; and one that was set since
            line.ok("z0,%x,1" % labels["wrote"])
            line.ok("Z1,%x,1" % labels["after"])
            same("loadvm", line.monitor("loadvm " + one), "")
            same("only the new one", hits(line, 1, "rip"), [(labels["after"],)])
            # Saved behind a stop: what is loaded goes on from there
            same("savevm", line.monitor("savevm " + one), "")
            line.go("s")
            same("loadvm", line.monitor("loadvm " + one), "")
            same("where it stood", line.reg("rip"), labels["after"])
            line.go("s")
            same("one step", line.reg("rip"), labels["after"] + 2)
        finally:
            m.end()


def case_detached():
    """A debugger that goes, its watchpoint on a hot page: the page is as fast as before."""
    if len(ENGINES) < 2:
        raise Skip("no code generator")
    for engine in ENGINES[1:2]:                 # translated code alone has something to lose
        m, line = bare(*engine)
        try:
            line.write(0x9200, STORER)
            line.set("rip", 0x9200)
            line.set("rbx", 0x2008)

            def speed():
                """Rounds a second of CPU time, the best of some: other programs can only make it slower."""
                best = 0
                for _ in range(3):
                    line.set("rcx", 0xfffffff0)
                    start = running_cpu_time(m)
                    run_a_while(line, 0.1)
                    best = max(best, (0xfffffff0 - line.reg("rcx")) / max(0.01, running_cpu_time(m) - start))
                return best

            run_a_while(line)                   # translated
            before = speed()
            for leave in "D", None:
                line.ok("Z2,1810,8")
                watched = speed()
                if leave:
                    line.ok(leave)
                line.close()
                line = m.line()
                after = speed()
                told = "%.3g rounds a second, watched %.3g, then %.3g" % (before, watched, after)
                check("it is as fast as before: " + told, after > before / 2)
                check("it was slower: " + told, watched < before / 2)
        finally:
            m.end()
