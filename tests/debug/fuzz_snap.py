"""fuzz_snap.py - rounds of fuzz.py: snapshot files that are damaged, and such that only look right (debug/snap_file.h)."""
import ctypes
import ctypes.util
import time
import zlib

from rsp import Trouble

HEAD = 12                       # magic, version
TAIL = 1 + 8 + 4                # END, length, checksum
END, STATE, EXTENTS = 0, 1, 2
LAST = (1 << 64) - 1
NUMBERS = (0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x40000, 0x40001, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 40,
           (1 << 63) - 1, 1 << 63, LAST)
zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")      # Latimer needs it, so it is there
zstd.ZSTD_compress.restype = zstd.ZSTD_decompress.restype = zstd.ZSTD_compressBound.restype = ctypes.c_size_t
zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
zstd.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]


def pack(data):
    buf = ctypes.create_string_buffer(zstd.ZSTD_compressBound(len(data)))
    n = zstd.ZSTD_compress(buf, len(buf), data, len(data), 1)
    return buf.raw[:n]


def unpack(frame, size):
    buf = ctypes.create_string_buffer(max(1, size))
    if zstd.ZSTD_decompress(buf, size, frame, len(frame)) != size:
        raise Trouble("no frame of %d bytes: %s..." % (size, frame[:20].hex()))
    return buf.raw[:size]


def num(data, at, width):
    return int.from_bytes(data[at:at + width], "little")


class Section:
    """states: [(0, length, frame)]; extents: [(offset, length, frame)], the last with offset LAST."""

    def __init__(self, kind, name, whole, parts):
        self.kind, self.name, self.whole, self.parts = kind, name, whole, parts

    def copy(self):
        return Section(self.kind, self.name, self.whole, list(self.parts))

    def bytes(self):
        out = bytes((self.kind, len(self.name))) + self.name
        if self.kind == EXTENTS:
            out += self.whole.to_bytes(8, "little")
        for off, length, frame in self.parts:
            if self.kind == EXTENTS:
                out += off.to_bytes(8, "little")
                if off == LAST:
                    continue
            out += length.to_bytes(4, "little") + len(frame).to_bytes(4, "little") + frame
        return out


def parse(data):
    at, sections = HEAD, []
    while data[at] != END:
        kind, n = data[at], data[at + 1]
        name, whole, parts = data[at + 2:at + 2 + n], 0, []
        at += 2 + n
        if kind == EXTENTS:
            whole, at = num(data, at, 8), at + 8
        while True:
            off = 0
            if kind == EXTENTS:
                off, at = num(data, at, 8), at + 8
            if off == LAST:
                parts.append((LAST, 0, b""))
                break
            length, packed = num(data, at, 4), num(data, at + 4, 4)
            parts.append((off, length, data[at + 8:at + 8 + packed]))
            at += 8 + packed
            if kind == STATE:
                break
        sections.append(Section(kind, name, whole, parts))
    return sections


def sealed(body):
    """With the end that is right for it."""
    body += bytes((END,))
    return body + len(body).to_bytes(8, "little") + zlib.crc32(body).to_bytes(4, "little")


def join(head, sections):
    return head + b"".join(s.bytes() for s in sections)


def same(one, two, what):
    """Are they the same machine? If not: what differs, and the first number that does."""
    if one == two:
        return
    a, b = parse(one), parse(two)
    wrong = ["other sections"] if [s.name for s in a] != [s.name for s in b] else []
    for x, y in zip(a, b):
        if x.bytes() != y.bytes():
            wrong.append(x.name.decode("latin-1") + difference(x, y))
    raise Trouble("%s, it is another machine: %s" % (what, ", ".join(wrong)))


def difference(x, y):
    if x.kind != STATE or y.kind != STATE:
        return " at " + ", ".join("%x" % p[0] for p in x.parts if p not in y.parts)
    x, y = (unpack(s.parts[0][2], s.parts[0][1]) for s in (x, y))
    at = next((n for n in range(min(len(x), len(y))) if x[n] != y[n]), min(len(x), len(y)))
    return " at byte %d, behind %r: %s, %s" % (at, x[max(0, at - 24):at], x[at:at + 8].hex(), y[at:at + 8].hex())


def flips(rng, data):
    b = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        b[rng.randrange(len(b))] ^= 1 << rng.randrange(8)
    return bytes(b)


# ---- damage that the checksum tells ----

def plain(rng, good):
    what = rng.randrange(4)
    if what == 0:
        return good[:rng.randrange(len(good))]
    if what == 1:
        return flips(rng, good)
    if what == 2:
        a, b = sorted(rng.randrange(len(good)) for _ in range(2))
        return good[:a] + good[b:]
    return good + rng.randbytes(rng.randrange(1, 40))


# ---- damage that it does not ----

def bytes_wrong(rng, good):
    """Numbers, names and frames, wherever they are."""
    b = bytearray(good[:-TAIL])
    for _ in range(rng.choice((1, 1, 2, 8))):
        width = rng.choice((1, 1, 2, 4, 8))
        at = rng.randrange(len(b) - 8)
        b[at:at + width] = (rng.choice(NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, "little")
    return sealed(bytes(b))


def parts_wrong(rng, good):
    """Lengths, offsets and frames of sections: exchanged, repeated, left out, too large."""
    sections = [s.copy() for s in parse(good)]
    for _ in range(rng.choice((1, 1, 2))):
        n = rng.randrange(len(sections))
        s, what = sections[n], rng.randrange(10)
        p = rng.randrange(len(s.parts))
        off, length, frame = s.parts[p]
        other = rng.choice(sections)
        if what == 0:
            sections.insert(rng.randrange(len(sections)), s)
        elif what == 1 and len(sections) > 1:
            del sections[n]
        elif what == 2:
            s.parts[p] = off, rng.choice(NUMBERS) & 0xffffffff, frame
        elif what == 3 and s.kind == EXTENTS:
            s.parts[p] = rng.choice(NUMBERS), length, frame
        elif what == 4:
            s.parts[p] = off, length, rng.choice(other.parts)[2]
        elif what == 5:
            s.parts.insert(rng.randrange(p + 1), s.parts[p])
        elif what == 6:
            s.whole = rng.choice(NUMBERS)
        elif what == 7:
            s.name = rng.choice((b"", b"x" * 255, other.name, s.name[:-1], b"\0" + s.name))
        elif what == 8:
            s.kind = rng.choice((STATE, EXTENTS, 3, 255))
        elif frame:
            s.parts[p] = off, length, rng.choice((b"", frame[:-1], frame + b"\0", frame * 2, flips(rng, frame)))
    return sealed(join(good[:HEAD], sections))


def state_wrong(rng, good):
    """States with other numbers in them, of which only the one who gets them can tell that they make no sense."""
    sections = [s.copy() for s in parse(good)]
    states = [s for s in sections if s.kind == STATE and s.parts[0][1]]
    for _ in range(rng.choice((1, 1, 3))):
        s = rng.choice(states)
        _, length, frame = s.parts[0]
        state = bytearray(unpack(frame, length))
        for _ in range(rng.choice((1, 4, 30))):
            width = rng.choice((1, 1, 2, 4, 8))
            at = rng.randrange(max(1, len(state) - width))
            state[at:at + width] = (rng.choice(NUMBERS + (rng.getrandbits(64),)) & (1 << 8 * width) - 1).to_bytes(width, "little")
        if rng.randrange(6) == 0:
            del state[rng.randrange(len(state)):]
        elif rng.randrange(6) == 0:
            state += rng.randbytes(9)
        s.parts[0] = 0, len(state), pack(bytes(state))
    return sealed(join(good[:HEAD], sections))


def read_name(state, at):
    end = at + 1 + state[at]
    return state[at + 1:end].decode("latin-1"), end


def tables(state):
    """What has a state table (base/state.h): [(name, [(field, width, count, where its first element is)])]; [] if none has."""
    found, at = [], 12 if state.startswith(b"LATCHIPS") else 0
    try:
        while at < len(state):
            name, at = read_name(state, at)
            _, at = read_name(state, at)
            n, at, fields = num(state, at, 2), at + 2, []
            for _ in range(n):
                field, at = read_name(state, at)
                width, count = num(state, at, 2), num(state, at + 2, 2)
                fields.append((field, width, count, at + 4))
                at += 4 + width * count
            found.append((name, fields))
    except IndexError:
        return []
    return found if at == len(state) else []


def fields_wrong(rng, good):
    """One chip, processor or clock with other numbers in its fields; returns its name, too."""
    sections = [s.copy() for s in parse(good)]
    states = [(s, unpack(s.parts[0][2], s.parts[0][1])) for s in sections if s.kind == STATE and s.parts[0][1]]
    states = [(s, state) for s, state in states if tables(state)]
    s, state = rng.choice(states)
    name, fields = rng.choice([t for t in tables(state) if t[1]])
    state = bytearray(state)
    for _ in range(rng.choice((1, 1, 1, 3, 12))):
        _, width, count, at = rng.choice(fields)
        at += rng.randrange(count) * width
        old = num(state, at, width)
        val = rng.choice(NUMBERS + (rng.getrandbits(64), rng.randrange(64), old + 1, old - 1,
                                    old ^ 1 << rng.randrange(8 * width)))
        state[at:at + width] = (val & (1 << 8 * width) - 1).to_bytes(width, "little")
    s.parts[0] = 0, len(state), pack(bytes(state))
    return sealed(join(good[:HEAD], sections)), name


def round(target, rng):
    """What is refused changes nothing; what is not runs, and is looked at, and hurts nobody but the guest."""
    if sealed(join(target.base[:HEAD], parse(target.base))) != target.base:
        raise Trouble("what is made here has not the form of what Latimer makes: nothing would be looked at behind that")
    target.q.cmd("stop")
    n = rng.randrange(1, 12)
    changed = False
    for _ in range(n):
        make = rng.choice((plain, bytes_wrong, parts_wrong, state_wrong, fields_wrong, fields_wrong))
        bad, name = fields_wrong(rng, target.base) if make is fields_wrong else (make(rng, target.base), "")
        if changed:
            target.restore()
        with open(target.path("bad"), "wb") as f:
            f.write(bad)
        target.save("before")
        said = target.load("bad")
        if said:
            target.save("after")
            same(target.content("before"), target.content("after"), "%s refused with '%s'" % (make.__name__, said.strip()))
            if len(said.strip()) < 20 or name not in said:
                raise Trouble("%s: that is no clear message: '%s'%s" % (make.__name__, said.strip(),
                                                                                       name and ", not of " + name))
        elif make is plain and bad != target.base:
            raise Trouble("a damaged file was loaded")
        changed = not said
        if changed:
            for item in ("registers", "lapic", "ioapic", "pic", "pci", "usb", "mtree", "tlb"):
                target.q.hmp("info " + item)
            target.q.ask("cont")
            time.sleep(0.02)
            target.q.cmd("stop")
    return n
