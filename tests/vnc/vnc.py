#!/usr/bin/env python3
"""vnc.py - a VNC client for tests, with nothing but Python's own library (RFC 6143).

  vnc.py [--password TEXT] ADDRESS COMMAND...

ADDRESS: HOST:N, :N or unix:PATH. Commands, done in their order:

  type TEXT        its characters; a line's end is Return
  key NAME[-NAME]  keys held together, as in ctrl-alt-delete, f1, ret, or a keysym as 0xff1b
  down NAME, up NAME
  move X Y         the pointer, to a place on the screen
  press N, release N, click N    button 1 left, 2 middle, 3 right, 4 and 5 the wheel
  sleep SECONDS
  png FILE         the screen as a picture
  size             print WIDTHxHEIGHT
  colours          print how many colours the screen has
  wait-change SECONDS    until the screen changes; fails when it does not
  wait-still SECONDS     until it has not changed for so long (at most two minutes)
  wait-colours N SECONDS until it has at least N colours; fails when it does not
  wait-size WxH SECONDS
  deaf N           ask for N whole pictures, and take nothing from now on

As a module: Vnc(address, password).
"""
import os, socket, struct, sys, time, zlib

KEYS = {
    "ret": 0xff0d, "return": 0xff0d, "enter": 0xff0d, "esc": 0xff1b, "tab": 0xff09, "backspace": 0xff08,
    "spc": 0x20, "space": 0x20, "delete": 0xffff, "insert": 0xff63, "home": 0xff50, "end": 0xff57, "pgup": 0xff55,
    "pgdn": 0xff56, "left": 0xff51, "up": 0xff52, "right": 0xff53, "down": 0xff54, "shift": 0xffe1, "ctrl": 0xffe3,
    "alt": 0xffe9, "altgr": 0xfe03, "super": 0xffeb, "menu": 0xff67, "caps": 0xffe5, "num": 0xff7f, "minus": 0x2d,
    **{"f%d" % n: 0xffbd + n for n in range(1, 13)},
}

# ---- DES, for passwords: a table-driven one, slow and short (FIPS 46-3) ----
IP = [58 - 8 * j + i for i in (0, 2, 4, 6, -1, 1, 3, 5) for j in range(8)]
E = [(4 * i + j - 1) % 32 + 1 for i in range(8) for j in range(6)]
P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
       63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4]
PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55,
       30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
S = [
    "e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
    "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
    "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
    "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
    "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
    "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
    "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
    "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
]


def permute(bits, table):
    return [bits[i - 1] for i in table]


def bits_of(data):
    return [byte >> (7 - i) & 1 for byte in data for i in range(8)]


def des(key, block):
    k = permute(bits_of(key), PC1)
    c, d, rounds = k[:28], k[28:], []
    for s in SHIFTS:
        c, d = c[s:] + c[:s], d[s:] + d[:s]
        rounds.append(permute(c + d, PC2))
    b = permute(bits_of(block), IP)
    left, right = b[:32], b[32:]
    for rk in rounds:
        x = [p ^ q for p, q in zip(permute(right, E), rk)]
        out = []
        for i in range(8):
            six = x[6 * i:6 * i + 6]
            n = int(S[i][(six[0] * 2 + six[5]) * 16 + six[1] * 8 + six[2] * 4 + six[3] * 2 + six[4]], 16)
            out += [n >> (3 - j) & 1 for j in range(4)]
        left, right = right, [p ^ q for p, q in zip(left, permute(out, P))]
    both, res = right + left, [0] * 64
    for i, place in enumerate(IP):      # the final permutation is the first one's inverse
        res[place - 1] = both[i]
    return bytes(int("".join(map(str, res[8 * i:8 * i + 8])), 2) for i in range(8))


class Vnc:
    def __init__(self, address, password=None, timeout=30):
        if address.startswith("unix:"):
            self.s = socket.socket(socket.AF_UNIX)
            self.s.settimeout(timeout)
            self.s.connect(address[5:])
        else:
            host, n = address.rsplit(":", 1)
            self.s = socket.create_connection((host or "127.0.0.1", 5900 + int(n)), timeout)
        self.updates = 0
        self.gone = self.deaf = False
        self.x = self.y = self.buttons = 0
        self.hello(password)

    def get(self, n):
        data = b""
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return data

    def unpack(self, form):
        return struct.unpack(form, self.get(struct.calcsize(form)))

    def hello(self, password):
        self.get(12)
        self.s.sendall(b"RFB 003.008\n")
        kinds = self.get(self.get(1)[0])
        if not kinds:
            raise ConnectionError(self.get(self.unpack(">I")[0]).decode())
        if 1 in kinds and password is None:
            self.s.sendall(b"\1")
        elif 2 in kinds and password is not None:
            self.s.sendall(b"\2")
            # VNC takes each byte's bits in the other order.
            key = bytes(int(format(b, "08b")[::-1], 2) for b in password.encode()[:8].ljust(8, b"\0"))
            challenge = self.get(16)
            self.s.sendall(des(key, challenge[:8]) + des(key, challenge[8:]))
        else:
            raise ConnectionError("authentication: the server offers %s" % list(kinds))
        if self.unpack(">I")[0]:
            raise ConnectionError("refused: " + self.get(self.unpack(">I")[0]).decode())
        self.s.sendall(b"\1")
        self.w, self.h = self.unpack(">HH")
        self.get(16)
        self.name = self.get(self.unpack(">I")[0]).decode()
        self.pixels = bytearray(4 * self.w * self.h)
        # 32 bits, blue first; raw rectangles and changes of size
        self.s.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.s.sendall(struct.pack(">BxHii", 2, 2, 0, -223))
        self.ask(False)

    def ask(self, changes=True):
        self.s.sendall(struct.pack(">BBHHHH", 3, changes, 0, 0, self.w, self.h))

    def message(self):
        """One message of the server. True: pixels have changed."""
        kind = self.get(1)[0]
        if kind == 2:
            return False
        if kind == 3:
            self.get(3)
            self.get(self.unpack(">I")[0])
            return False
        if kind != 0:
            raise ConnectionError("message %d of the server is unknown" % kind)
        changed = False
        whole = False
        for _ in range(self.unpack(">xH")[0]):
            x, y, w, h, encoding = self.unpack(">HHHHi")
            if encoding == -223:
                self.w, self.h, whole = w, h, True
                self.pixels = bytearray(4 * w * h)
            elif encoding == 0:
                data = self.get(4 * w * h)
                for line in range(h):
                    at = 4 * ((y + line) * self.w + x)
                    new = data[4 * w * line:4 * w * (line + 1)]
                    if self.pixels[at:at + 4 * w] != new:
                        self.pixels[at:at + 4 * w] = new
                        changed = True
            else:
                raise ConnectionError("encoding %d was not asked for" % encoding)
        self.updates += 1
        self.ask(not whole)
        return changed or whole

    def look(self, seconds):
        """Take what comes for so long. True: the screen changed. A server that goes is none of our business yet."""
        if self.deaf:
            time.sleep(seconds)
            return False
        try:
            return not self.gone and self.take(seconds)
        except ConnectionError:
            self.gone = True
            return False

    def take(self, seconds):
        end, changed = time.monotonic() + seconds, False
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return changed
            before = self.s.gettimeout()
            self.s.settimeout(left)
            try:
                first = self.s.recv(1, socket.MSG_PEEK)
            except (socket.timeout, TimeoutError, BlockingIOError):
                return changed
            finally:
                self.s.settimeout(before)
            if not first:
                raise ConnectionError("the server closed the connection")
            changed |= self.message()

    def wait(self, seconds, done):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end or self.gone:
                return False
            self.look(0.1)
        return True

    def sym(self, keysym, down):
        self.s.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def keysym(self, name):
        if name.lower() in KEYS:
            return KEYS[name.lower()]
        if name.startswith("0x"):
            return int(name, 16)
        if len(name) == 1:
            return ord(name) if ord(name) < 0x100 else 0x1000000 | ord(name)
        raise SystemExit("vnc.py: there is no key %s" % name)

    def key(self, names):
        syms = [self.keysym(n) for n in (names.split("-") if len(names) > 1 else [names])]
        for s in syms:
            self.sym(s, 1)
        time.sleep(0.02)
        for s in reversed(syms):
            self.sym(s, 0)
        self.look(0.03)

    def type(self, text):
        for c in text:
            s = 0xff0d if c == "\n" else self.keysym(c)
            self.sym(s, 1)
            self.sym(s, 0)
            self.look(0)

    def pointer(self):
        self.s.sendall(struct.pack(">BBHH", 5, self.buttons, self.x, self.y))
        self.look(0.02)

    def move(self, x, y):
        self.x, self.y = x, y
        self.pointer()

    def button(self, n, down):
        self.buttons = self.buttons | 1 << (n - 1) if down else self.buttons & ~(1 << (n - 1))
        self.pointer()

    def colours(self):
        p = self.pixels
        return len({bytes(p[i:i + 3]) for i in range(0, len(p), 4)})

    def png(self, path):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        rows = b""
        for y in range(self.h):
            line = self.pixels[4 * self.w * y:4 * self.w * (y + 1)]
            rgb = bytearray(3 * self.w)
            rgb[0::3], rgb[1::3], rgb[2::3] = line[2::4], line[1::4], line[0::4]
            rows += b"\0" + bytes(rgb)
        with open(path + ".new", "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.w, self.h, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        os.rename(path + ".new", path)


def fail(what):
    print("vnc.py: " + what, file=sys.stderr)
    sys.exit(1)


def main(args):
    password = None
    if args and args[0] == "--password":
        password, args = args[1], args[2:]
    if not args:
        print(__doc__)
        sys.exit(2)
    try:
        v = Vnc(args[0], password)
    except OSError as e:
        fail("%s: %s" % (args[0], e))
    v.wait(10, lambda: v.updates)
    args = iter(args[1:])
    for command in args:
        if command == "type":
            v.type(next(args))
        elif command == "key":
            v.key(next(args))
        elif command in ("down", "up"):
            v.sym(v.keysym(next(args)), command == "down")
        elif command == "move":
            v.move(int(next(args)), int(next(args)))
        elif command in ("press", "release"):
            v.button(int(next(args)), command == "press")
        elif command == "click":
            n = int(next(args))
            v.button(n, True)
            v.button(n, False)
        elif command == "sleep":
            v.look(float(next(args)))
        elif command == "png":
            v.look(0.2)
            v.png(next(args))
        elif command == "size":
            v.look(0.2)
            print("%dx%d" % (v.w, v.h))
        elif command == "colours":
            v.look(0.2)
            print(v.colours())
        elif command == "wait-change":
            end, seconds = time.monotonic(), float(next(args))
            while not v.look(0.1):
                if time.monotonic() - end > seconds or v.gone:
                    fail("the screen did not change")
        elif command == "wait-still":
            seconds = float(next(args))
            end = time.monotonic() + 120
            while v.look(seconds):
                if time.monotonic() > end:
                    fail("the screen does not stand still")
        elif command == "wait-colours":
            n = int(next(args))
            if not v.wait(float(next(args)), lambda: v.colours() >= n):
                fail("the screen has %d colours" % v.colours())
        elif command == "wait-size":
            want = next(args)
            if not v.wait(float(next(args)), lambda: "%dx%d" % (v.w, v.h) == want):
                fail("the screen has %dx%d" % (v.w, v.h))
        elif command == "deaf":
            for _ in range(int(next(args))):
                v.ask(False)
            v.deaf = True
        else:
            fail("there is no command %s" % command)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as e:
        fail(str(e))
