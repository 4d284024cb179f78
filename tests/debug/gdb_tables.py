"""gdb_tables.py - a case of gdb.py: what the monitor says of page tables, beside QEMU's own answer for the same tables."""
import bisect
import os
import random
import re
import shutil
import subprocess

from gdb_env import Skip, check, same, work
from rsp import Line, Machine

PRESENT, WRITE, USER, LARGE, GLOBAL, NX = 1, 2, 4, 0x80, 0x100, 1 << 63
POOL = 0x100000                                 # where tables are; the first is the root
QEMU_REGS = {"cr0": 27, "cr3": 29, "cr4": 30, "efer": 32}      # in g's order


class Format:
    """A paging format: entry size, entries that count in each level from the root, at which levels pages may be; the bits of
    CR0, CR4 and EFER that choose it."""

    def __init__(self, name, size, entries, large, cr4, efer=0):
        self.name, self.size, self.entries, self.large, self.cr4, self.efer = name, size, entries, large, cr4, efer

    def shift(self, depth):
        bits = 10 if self.size == 4 else 9
        return 12 + bits * (len(self.entries) - 1 - depth)

    def has_rights(self, depth):
        return not (self.entries[0] == 4 and depth == 0)        # PAE's first level has none


FORMATS = [Format("32-bit", 4, [1024, 1024], [], 0), Format("32-bit, PSE", 4, [1024, 1024], [0], 0x10),
           Format("PAE", 8, [4, 512, 512], [1], 0x20), Format("PAE, NX", 8, [4, 512, 512], [1], 0xa0, 0x800),
           Format("4-level", 8, [512] * 4, [1, 2], 0x20, 0x100), Format("4-level, NX", 8, [512] * 4, [1, 2], 0xa0, 0x900)]


def entries_of(rng, n, leaves):
    """Indices that are present: some alone, in the last level runs, and often those beside the borders."""
    chosen = {rng.randrange(n) for _ in range(3)}
    for _ in range(2 if leaves else 0):
        at = rng.randrange(n)
        chosen.update(range(at, min(n, at + rng.randrange(2, 6))))
    chosen.update(i for i in (0, n // 2 - 1, n // 2, n - 1) if rng.random() < 0.3)
    return sorted(chosen)


def tables(rng, f):
    """Contents of the pool."""
    pool, depth_of, n = [bytearray(4096)], [0], 0
    while n < len(pool):
        depth, table = depth_of[n], pool[n]
        last = depth == len(f.entries) - 1
        for i in entries_of(rng, f.entries[depth], last):
            flags = PRESENT
            if f.has_rights(depth):
                flags |= rng.choice((WRITE, USER, WRITE | USER, WRITE | USER, 0)) | rng.choice((0, 0x20)) | rng.choice((0, 0, 8, 16, 24))
                flags |= NX if f.efer & 0x800 and rng.random() < 0.3 else 0
            if last or depth in f.large and rng.random() < 0.4:
                flags |= rng.choice((0, 0x40)) | rng.choice((0, GLOBAL)) | (0 if last else LARGE)
                frame = rng.randrange(1 << 32) & ~((1 << f.shift(depth)) - 1)
            else:
                shared = [k for k in range(n + 1, len(pool)) if depth_of[k] == depth + 1 and rng.random() < 0.05]
                if not shared:
                    shared = [len(pool)]
                    pool.append(bytearray(4096))
                    depth_of.append(depth + 1)
                frame = POOL + 4096 * shared[0]
            table[i * f.size:(i + 1) * f.size] = (frame | flags).to_bytes(f.size, "little")
        n += 1
    return b"".join(pool)


def executable(f, pool, lin):
    """By all levels' entries: the oracle QEMU is not, which shows the last one's bit."""
    table, depth = POOL, 0
    while True:
        i = lin >> f.shift(depth) & f.entries[depth] - 1
        at = table - POOL + i * f.size
        e = int.from_bytes(pool[at:at + f.size], "little")
        if e & NX:
            return False
        if depth == len(f.entries) - 1 or depth in f.large and e & LARGE:
            return True
        table, depth = e & 0xfffff000, depth + 1


class Qemu:
    """Its debugger's connection, with what Line has for Latimer's."""

    def __init__(self):
        if not shutil.which("qemu-system-x86_64"):
            raise Skip("qemu-system-x86_64 is not installed")
        path = os.path.join(work, "qemu")
        self.proc = subprocess.Popen(["qemu-system-x86_64", "-M", "pc", "-cpu", "max", "-accel", "tcg", "-m", "64", "-S", "-display",
                                      "none", "-nic", "none", "-serial", "null", "-monitor", "none", "-gdb", "unix:%s,server,nowait" % path],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.line = Line(path)
        self.line.ack = False                   # it says much, and reads nothing meanwhile; and takes a packet for the last one's ack
        self.line.ask("qXfer:features:read:target.xml:0,800")   # without, it lets no single register be written
        self.line.regs = {name: (n, 0, 8) for name, n in QEMU_REGS.items()}

    def end(self):
        self.proc.kill()
        self.proc.wait()


def paging(line, f, pool):
    for name, value in (("cr0", 0x10), ("cr4", 0), ("efer", 0)):
        same("write " + name, line.set(name, value), "OK")
    line.ok("Qqemu.PhyMemMode:1")
    for at in range(0, len(pool), 1024):
        line.write(POOL + at, pool[at:at + 1024])
    line.ok("Qqemu.PhyMemMode:0")
    for name, value in (("cr3", POOL), ("cr4", f.cr4), ("efer", f.efer), ("cr0", 0x80000011)):
        same("write %s for %s" % (name, f.name), line.set(name, value), "OK")


def pages(said):
    """`info tlb` as {linear address: (physical address, flags)}."""
    found = re.findall(r"([0-9a-f]{16}): ([0-9a-f]{16}) (\S{9})", said)
    return {int(lin, 16): (int(pa, 16), flags) for lin, pa, flags in found}


def ranges(said):
    """`info mem` as [(from, bytes, rights)], those that differ only in a right that QEMU does not tell as one."""
    all_ = []
    for lin, size, rights in re.findall(r"([0-9a-f]{16})-[0-9a-f]{16} ([0-9a-f]{16}) ([-urwx]{3,4})", said):
        lin, size = int(lin, 16), int(size, 16)
        if len(rights) == 4 and all_ and all_[-1][2] == rights[:3] and all_[-1][0] + all_[-1][1] == lin:
            all_[-1] = all_[-1][0], all_[-1][1] + size, rights[:3]
        else:
            all_.append((lin, size, rights[:3]))
    return all_


def case_tables():
    """info tlb and info mem beside QEMU's, for random page tables of every format."""
    qemu = Qemu()
    m = Machine(work, "-M", "pc", "-cpu", "max", "-m", "64")
    try:
        line = m.line()
        for n, f in enumerate(FORMATS * 3):
            pool = tables(random.Random(n), f)
            for side in line, qemu.line:
                paging(side, f, pool)
            ours, theirs = pages(line.monitor("info tlb")), pages(qemu.line.monitor("info tlb"))
            what = "%s, tables %d" % (f.name, n)
            same(what + ": addresses", sorted(ours), sorted(theirs))
            check(what + ": pages", len(ours) > 8)
            mem = ranges(qemu.line.monitor("info mem"))
            starts = [start for start, _, _ in mem]
            for lin, (pa, flags) in ours.items():
                pa_too, flags_too = theirs[lin]
                # Rights are those of all levels here, and there the entry's.
                same("%s: %x" % (what, lin), (pa, flags[1:7]), (pa_too & ~NX, flags_too[1:7]))
                start, size, rights = mem[bisect.bisect(starts, lin) - 1]
                check("%s: %x is in a range" % (what, lin), start <= lin < start + size)
                same("%s: rights of %x" % (what, lin), (flags[7] == "U", flags[8] == "W"), (rights[0] == "u", rights[2] == "w"))
                same("%s: %x is executable" % (what, lin), flags[0] != "X", executable(f, pool, lin))
            same(what + ": ranges", ranges(line.monitor("info mem")), mem)
    finally:
        m.end()
        qemu.end()
