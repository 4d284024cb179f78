"""fuzz_gdb.py - rounds of fuzz.py: debuggers that talk nonsense, break off, or do not wait for answers."""
import re, select

from machine import SLOW

ADDRESSES = (0, 0x600, 0x1000, 0x3000, 0x3008, 0x7c00, 0x10000, 0xffff0, 0x1ffffe, 0x3ffff0, 0x400000, 0xfee00000,
             0x7fffffffffff, 0x800000000000, 0xffff800000000000, 0xfffffffffffffff0, 1 << 64, 1 << 70)
LENGTHS = (0, 1, 2, 8, 0x10, 0xfff, 0x1000, 0x1ff8, 0x2000, 0x3ff0, 0x4000, 0x10000, 0x7fffffff, 0xffffffff,
           0xffffffffffffffff, 1 << 80)
THREADS = ("", ":1", ":-1", ":0", ":2", ":p1.1", ":p-1.-1", ":ffffffffffffffff", ":x", ":1:1", ":p1")
MONITOR = ("help", "why", "dis", "dis 0 5000", "dis fffffffffffffff0 10", "walk 3000", "walk ffffffffffffffff", "catch",
           "catch pf", "catch io 0-ffff", "catch msr 0-ffffffff", "catch 100", "catch triple", "nocatch", "nocatch pf",
           "realmode on", "realmode off", "sstep irq on", "sstep timer off", "sstep", "reset", "info registers", "info mtree",
           "info tlb", "x/1000000gx 0", "xp/99999999i 0", "p 1/0", "stop", "cont", "x/s $rip", "info jit", "walk",
           "p (((((1")
PLAIN = ("?", "g", "s", "!", "qC", "qfThreadInfo", "qsThreadInfo", "qAttached", "qOffsets", "vCont?", "QStartNoAckMode",
         "qSupported:multiprocess+;swbreak+;xmlRegisters=i386", "QNonStop:1", "QNonStop:0", "vStopped", "vAttach;1", "vRun;61",
         "vCtrlC", "QThreadEvents:1", "Qqemu.PhyMemMode:1", "Qqemu.PhyMemMode:0", "Qqemu.sstep=0x7", "qqemu.sstepbits", "R00",
         "bc", "bs", "t", "i", "QPassSignals:e;10", "qSearch:memory:0;ffffffff;00", "qCRC:0,ffffffff", "vFile:open:2f,0,0",
         "QDisableRandomization:1", "D;1")
FORBIDDEN = (b"$k", b"$vKill")          # it may end the machine, and would


def number(rng, many):
    n = rng.choice(many)
    return "%x" % max(0, n + rng.choice((0, 0, 0, -1, 1, rng.randrange(64))))


def data(rng):
    return rng.randbytes(rng.choice((0, 1, 2, 8, 16, 100, 4000, 8191)))


def memory(rng):
    return "m%s,%s" % (number(rng, ADDRESSES), number(rng, LENGTHS))


def write(rng):
    """M or X, mostly with as much data as its length says."""
    d = data(rng)
    n = "%x" % len(d) if rng.randrange(3) else number(rng, LENGTHS)
    head = "%s,%s:" % (number(rng, ADDRESSES), n)
    if rng.randrange(2):
        return "M" + head + d.hex()[rng.randrange(2) * rng.randrange(2):]
    escaped = b"".join(bytes((0x7d, b ^ 0x20)) if b in b"#$}*" else bytes((b,)) for b in d)
    return b"X" + head.encode() + escaped + rng.choice((b"", b"", b"}"))


def register(rng):
    if rng.randrange(3) == 0:
        return "p%x" % rng.randrange(0x100)
    return "P%x=%s" % (rng.randrange(0x60), rng.randbytes(rng.choice((0, 1, 4, 8, 8, 8, 10, 16, 17, 300))).hex())


def registers(rng):
    return "G" + rng.randbytes(rng.choice((0, 1, 100, 600, 700, 800, 8000))).hex()


def point(rng):
    length = number(rng, LENGTHS[:8] if rng.randrange(2) else LENGTHS)
    return "%s%d,%s,%s%s" % (rng.choice("ZZZz"), rng.randrange(6), number(rng, ADDRESSES), length,
                             rng.choice(("", "", ";X3,220027", ";cmds:0,X1,0")))


def points(rng):
    """A thousand and more at once."""
    start, step, kind = rng.choice(ADDRESSES), rng.choice((1, 3, 64, 4096, 1 << 21)), rng.choice("01234")
    return ["Z%s,%x,1" % (kind, (start + n * step) & (1 << 64) - 1) for n in range(rng.choice((10, 1200)))]


def resume(rng):
    if rng.randrange(3) == 0:
        at = number(rng, ADDRESSES)
        return rng.choice("cCsS") + rng.choice(("", "5", "05", at, "05;" + at, ";"))
    stretch = "r%s,%s" % (number(rng, ADDRESSES), number(rng, ADDRESSES))
    actions = rng.choices(("s", "c", "S05", "C05", stretch, "t", "q"), k=rng.choice((1, 1, 2, 40)))
    return "vCont;" + ";".join(a + rng.choice(THREADS) for a in actions)


def xfer(rng):
    return "qXfer:%s:read:%s:%s,%s" % (rng.choice(("features", "memory-map", "threads", "auxv", "")),
                                      rng.choice(("target.xml", "", "64bit-core.xml", "../../etc/passwd", "x" * 300)),
                                      number(rng, LENGTHS), number(rng, LENGTHS))


def command(rng):
    line = bytearray(rng.choice(MONITOR).encode())
    if rng.randrange(4) == 0:
        line[rng.randrange(len(line)):] = rng.choice((b"", b"\0", b"A" * 4000, b" -1", b"\xff\xfe"))
    return "qRcmd," + line.hex()[rng.randrange(12) == 0:]


def thread(rng):
    return rng.choice(("Hg", "Hc", "H", "T", "qThreadExtraInfo,")) + rng.choice(THREADS).lstrip(":")


def plain(rng):
    return rng.choice(PLAIN)


GRAMMAR = (memory, memory, write, write, register, register, registers, point, point, points, resume, resume, xfer, command,
           command, thread, plain, plain)


def damaged(rng, body):
    b = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 6))):
        at = rng.randrange(len(b) + 1)
        what = rng.randrange(5)
        if what == 0 and b:
            b[at % len(b)] = rng.randrange(256)
        elif what == 1:
            b[at:at] = rng.choice((b"f" * 16, b",", b";", b":", b"-", b"}", b"*", b"*\x7e", b"0" * 40, b"\0", b"=", b"p1."))
        elif what == 2:
            del b[at:at + rng.randrange(1, 9)]
        elif what == 3:
            b[at:at] = b[:rng.randrange(40)]
        else:
            b[at:at] = rng.randbytes(5)
    return bytes(b)


def kills(sent):
    """Is there such a packet anywhere? It may begin within what damage made of one, and its letters may be escaped."""
    plain = re.sub(rb"(?s)}(.)", lambda m: bytes((m[1][0] ^ 0x20,)), sent)
    return any(kill in sent or kill in plain for kill in FORBIDDEN)


def frames(rng):
    """Packets that end as they should, or not."""
    made = rng.choice(GRAMMAR)(rng)
    for body in made if isinstance(made, list) else [made]:
        body = body if isinstance(body, bytes) else body.encode()
        if rng.randrange(3) == 0:
            body = damaged(rng, body)
        if kills(b"$" + body):
            continue
        total = sum(body) & 255
        if rng.randrange(20) == 0:
            yield rng.choice((b"$" + body, b"$" + body + b"#", b"$" + body + b"#%02x" % (total ^ 1), b"$" + body + b"#zz",
                              b"$" * 50 + body + b"#%02x" % total, b"%" + body + b"#%02x" % total,
                              rng.randbytes(60).replace(b"k", b"j"), b"$#00", b"#" * 9, b"-" * 40, b"+" * 9,
                              b"$" + b"m" * rng.choice((0x3fff, 0x4000, 0x4001, 300000)) + b"#00"))
        else:
            yield b"$" + body + b"#%02x" % total


def drain(line):
    while select.select([line.sock], [], [], 0)[0]:
        if not line.sock.recv(1 << 16):
            raise OSError("closed")


def round(target, rng):
    """Two or three debuggers, each with some packets; the last one vanishes, or says goodbye. How much was sent."""
    sent = 0
    for _ in range(rng.choice((1, 2, 3))):
        line = target.line()
        line.sock.settimeout(20 * SLOW)
        acks, split = rng.randrange(4), rng.randrange(6) == 0
        try:
            for _ in range(rng.randrange(1, 60)):
                for frame in frames(rng):
                    if rng.randrange(200) == 0:             # in the middle of a packet, and never heard of again
                        line.raw(frame[:rng.randrange(len(frame) + 1)])
                        raise OSError("gone")
                    for piece in [frame[n:n + 1] for n in range(len(frame))] if split and len(frame) < 80 else [frame]:
                        line.raw(piece)
                    sent += 1
                    if acks:
                        line.raw(b"+" if acks < 3 else rng.choice((b"+", b"-", b"")))
                    if rng.randrange(12) == 0:
                        line.raw(b"\3" * rng.choice((1, 1, 30)))
                    drain(line)
            if rng.randrange(2):
                line.raw(b"$D#44")
        except (ConnectionError, OSError) as e:
            if isinstance(e, TimeoutError):
                raise
        line.close()
    return sent
