"""fuzz_monitor.py - rounds of fuzz.py: monitors and QMP that are told nonsense, made from the tables of their commands."""
import json
import os
import re
import select

from machine import HERE, SLOW, connect

# What ends the machine or its door for debuggers (with their beginnings, which a tab completes), ports of the host, and
# files outside fuzz.py's folder.
FORBIDDEN = re.compile(rb"quit|(?<!\w)qu?i?(?!\w)|gdb|(?<!\w)gd?(?!\w)|hostfwd|(?<![xpio])/")
ENDS = (b"\n", b"\n", b"\r\n", b"\t", b"\r")
WORDS = ("", "0", "1", "-1", "0x7fffffffffffffff", "18446744073709551616", "99999999999999999999999", "$rip", "$cs_base+$pc",
         "1/0", "((((", "1<<70", "a" * 300, "a" * 9000, "%s%n", "\\", "'", '"', "file", "on", "off", "none", "base", "ide0", "all",
         "\0", "\xe4", "/x", "/1000000000xb", "/0i", "/3i", "ctrl-alt-delete", "a-b-c-d-e-f-g-h-i", "-f", "-a", ".",
         "int,exec", "1 2 3 4 5")
VALUES = (None, True, False, 0, 1, -1, 1 << 31, (1 << 63) - 1, -(1 << 63), 1 << 64, 1e300, 0.5, "", "x", "x" * 70000,
          "\u0000", "\ud800", [], [[]], {}, {"type": "key"}, [{"type": "qcode", "data": "a"}], [{"type": "number", "data": 1 << 40}],
          [{"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "ret"}}}],
          [{"type": "abs", "data": {"axis": "x", "value": 1 << 62}}], [{"type": "btn", "data": {"down": 1, "button": "left"}}] * 500)

RIGHT = {"s": WORDS, "i": (0, 1, 4096, 1 << 40, -1), "b": (True, False), "l": VALUES[-7:], "o": ({}, {"x": 1}),
         "a": VALUES}


# What object-add takes beside its row ("*"). Nothing is taken from the host at once: sizes are what they are.
OBJECT = {"qom-type": ("memory-backend-ram", "memory-backend-memfd", "memory-backend-file", "secret", "rng-builtin", "filter-dump"),
          "id": ("a", "b", "c", "pc.ram", "-", ""), "size": (0, 1, 4096, 5000, 1 << 21, 1 << 40, -1), "share": (True, False), "dump": (True, False),
          "mem-path": ("/dev/null", "/dev/full", "/", "/none/such", ""), "readonly": (True, False), "align": (0, 3, 1 << 30, 1 << 62), "seal": (True, False),
          "hugetlb": (True, False), "hugetlbsize": (0, 1, 1 << 21, 1 << 50), "policy": ("bind", "default", "x"), "host-nodes": ([0], [127], [128], [-1], ["x"], []),
          "data": ("x", "=", "A" * 99), "format": ("raw", "base64", "x"), "keyid": ("a",)}


def table(name, what):
    with open(os.path.join(HERE, "../../debug", name)) as f:
        return re.findall(what, f.read(), re.M)


QMP = [(name, args.split()) for name, args in table("qmp.def", r'^CMD\(\w+, "([\w-]+)", \w+, "([^"]*)"\)')]
HMP = [names.split()[0] for names in table("hmp.def", r'^CMD\(\w+, "([^"]+)"')]
HMP += ["info " + name for name in table("hmp.def", r'^INFO\(\w+, "([^"]+)"')]


def hmp(rng):
    words = rng.choices(WORDS, k=rng.choice((0, 0, 1, 2, 3, 30)))
    return (rng.choice(HMP) + " " * rng.choice((0, 1, 1, 1, 50)) + " ".join(words)).replace(" /", "/")


def arguments(rng, described):
    made = {}
    for one in described:
        if one == "*":
            for name in rng.sample(sorted(OBJECT), rng.randrange(len(OBJECT))) + ["qom-type", "id", "size"]:
                made[name] = rng.choice(OBJECT[name] if rng.randrange(8) else VALUES)
            continue
        name, kind = one.rstrip("?").split(":")
        if rng.randrange(5):
            made[name] = rng.choice(RIGHT[kind] if rng.randrange(4) else VALUES)
    if rng.randrange(10) == 0:
        made[rng.choice(("x", "id", ""))] = rng.choice(VALUES)
    if "command-line" in made and isinstance(made["command-line"], str):
        made["command-line"] = hmp(rng)
    return made


def qmp(rng):
    name, described = rng.choice(QMP)
    message = {"execute": name}
    if described or rng.randrange(4) == 0:
        message["arguments"] = arguments(rng, described) if rng.randrange(8) else rng.choice(VALUES)
    if rng.randrange(2):
        message["id"] = rng.choice(VALUES)
    if rng.randrange(20) == 0:
        message[rng.choice(("exec-oob", "execute", "control", "execute "))] = rng.choice(VALUES)
    text = json.dumps(message, ensure_ascii=rng.randrange(2) == 0).encode("utf-8", "surrogatepass")
    return text.replace(b'"', b"'") if rng.randrange(30) == 0 else text


def damaged(rng, text):
    b = bytearray(text)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 3))):
        at = rng.randrange(len(b) + 1)
        what = rng.randrange(4)
        if what == 0 and b:
            b[at % len(b)] = rng.randrange(256)
        elif what == 1:
            b[at:at] = rng.choice((b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u", b"\\ud800", b":", b",", b"\xff", b"[" * 2000,
                                   b"9" * 400, b"\0", b"1e999", b"\x1b[A", b"\x7f" * 20, b"\t"))
        elif what == 2:
            del b[at:at + rng.randrange(1, 9)]
        else:
            b[at:at] = rng.randbytes(4)
    return bytes(b)


def drain(s):
    while select.select([s], [], [], 0)[0]:
        if not s.recv(1 << 16):
            raise ConnectionError("closed")


def round(target, rng):
    """Some clients of both kinds; each vanishes at any moment. How much was sent."""
    sent = 0
    for _ in range(rng.choice((1, 2, 4))):
        kind = rng.choice(("qmp", "hmp"))
        s = connect(target.victims[kind])
        try:
            if kind == "qmp" and rng.randrange(8):
                s.sendall(b'{"execute":"qmp_capabilities"}')
            reads = rng.randrange(6) != 0
            for _ in range(rng.randrange(1, 80)):
                text = qmp(rng) if kind == "qmp" else hmp(rng).encode("latin-1") + rng.choice(ENDS)
                text = damaged(rng, text)
                if FORBIDDEN.search(text):
                    continue
                s.settimeout(20 * SLOW if reads else 0.2)
                s.sendall(text)
                sent += 1
                if reads:
                    drain(s)
        except TimeoutError:
            if reads:
                raise
        except (ConnectionError, BrokenPipeError):
            pass
        s.close()
    return sent
