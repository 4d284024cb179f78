"""desktops.py - cases of os.py: systems that are seen and used by screen, keyboard and mouse."""
import base64
import os

from guest import Failed
from media import DISK_TOOLS, boot_files, medium, mkdisk, package_files

# Where the pointer is, and the inner window of the one xterm: x, y, width, height.
LOOK = """
from ctypes import *
x = CDLL("libX11.so.6")
p, w = c_void_p, c_ulong
x.XOpenDisplay.restype = p
x.XDefaultRootWindow.argtypes, x.XDefaultRootWindow.restype = [p], w
d = x.XOpenDisplay(b":0")
root = x.XDefaultRootWindow(d)
class Hint(Structure):
    _fields_ = [("name", c_char_p), ("kind", c_char_p)]
def find(win):
    h, r, up, kids, n = Hint(), w(), w(), POINTER(w)(), c_uint()
    if x.XGetClassHint(p(d), w(win), byref(h)) and h.kind == b"XTerm":
        return win
    x.XQueryTree(p(d), w(win), byref(r), byref(up), byref(kids), byref(n))
    return next(filter(None, (find(kids[i]) for i in range(n.value))), 0)
r, c, i, m = w(), w(), [c_int() for _ in range(6)], [c_uint() for _ in range(4)]
x.XQueryPointer(p(d), w(root), byref(r), byref(c), *[byref(v) for v in i[:4]], byref(m[0]))
win = find(root)
x.XGetGeometry(p(d), w(win), byref(r), byref(i[2]), byref(i[3]), *[byref(v) for v in m])
x.XTranslateCoordinates(p(d), w(win), w(root), 0, 0, byref(i[4]), byref(i[5]), byref(c))
print("seen", i[0].value, i[1].value, i[4].value, i[5].value, m[0].value, m[1].value)
"""


def x11_disk():
    return medium("x11.img", lambda path: mkdisk(path, "-p", "x11"), *DISK_TOOLS)


class Desktop:
    """An X server that is used by VNC and looked at from a shell on the serial port."""

    def __init__(self, g, v):
        self.g, self.v = g, v
        self.x, self.y = v.w // 2, v.h // 2     # where the client's pointer is
        g.run(f"echo {base64.b64encode(LOOK.encode()).decode()} | base64 -d >/look.py")

    def look(self):
        """The pointer's place, and the xterm's."""
        self.v.look(0.5)
        text = self.g.run("python3 /look.py")
        words = text[text.find("seen"):].split()
        if len(words) != 7:
            raise Failed(f"the X server cannot be asked: {text}")
        seen = [int(word) for word in words[1:]]
        return seen[:2], seen[2:]

    def point(self, x, y):
        """Moves the mouse until the guest's pointer is there: what a mouse counts, the guest may scale."""
        for _ in range(40):
            (at_x, at_y), _ = self.look()
            if abs(at_x - x) <= 3 and abs(at_y - y) <= 3:
                return
            # A pointer at the client's edge has no way to go on: small steps, from the middle.
            for _ in range(4):
                self.x = min(max(self.x + (x - at_x) // 4, 0), self.v.w - 1)
                self.y = min(max(self.y + (y - at_y) // 4, 0), self.v.h - 1)
                self.v.move(self.x, self.y)
            if abs(at_x - x) < 4 or abs(at_y - y) < 4:
                self.x = min(max(self.x + (x > at_x) - (x < at_x), 0), self.v.w - 1)
                self.y = min(max(self.y + (y > at_y) - (y < at_y), 0), self.v.h - 1)
                self.v.move(self.x, self.y)
        raise Failed(f"the pointer does not come to {x}, {y}, but to {at_x}, {at_y}")


def x11(run, *args):
    """X, twm and xterm on the Debian disk: typing into the xterm, moving its window with the mouse."""
    with run.guest("-drive", f"file={x11_disk()},format=raw,if=virtio", "-snapshot", "-nic", "none", "-vnc",
                   "unix:" + run.short("vnc"), *args, memory="1024") as g:
        v = run.vnc(g)
        g.expect("X-READY")
        if not v.wait(60, lambda: v.w >= 800 and v.colours() > 8):
            raise Failed(f"no desktop: the screen has {v.w}x{v.h} and {v.colours()} colours")
        run.cpu = g.cpu()
        g.send("\r")
        g.login()
        desk = Desktop(g, v)
        # The window manager gives the keyboard to where the pointer is.
        _, (x, y, w, h) = desk.look()
        desk.point(x + w // 2, y + h // 2)
        before = bytes(v.pixels)
        for c in "echo typed-$((6*7)) >/dev/ttyS0\n":
            v.type(c)
            v.look(0.3)     # a guest on a busy host is slow, and its keyboard's buffer short
        g.expect("typed-42")
        g.send("\r")
        g.expect(r"[#\$] ")
        v.look(1)
        if sum(a != b for a, b in zip(before, v.pixels)) < 500:
            raise Failed("what is typed is not seen")
        # Its title is above it.
        desk.point(x + w // 2, y - 8)
        before = bytes(v.pixels)
        v.button(1, True)
        # The server answers nobody else meanwhile; a mouse's way may be scaled.
        for step in range(1, 26):
            v.move(desk.x + 6 * step, desk.y + 4 * step)
        v.look(2)
        v.button(1, False)
        _, now = desk.look()
        if now[0] - x < 50 or now[1] - y < 30 or now[2:] != [w, h]:
            raise Failed(f"the window was at {x}, {y} and is at {now[0]}, {now[1]}")
        v.look(1)
        if sum(a != b for a, b in zip(before, v.pixels)) < 10000:
            raise Failed("the window's move is not seen")
        v.png(run.path("desktop.png"))


def case_x11(run):
    """With the PS/2 mouse."""
    x11(run)


def case_x11_tablet(run):
    """With a USB tablet."""
    x11(run, "-usb", "-device", "usb-tablet")


# ---- Debian's installer ----

def installer_graphical(run, arch):
    """Debian's graphical installer to its list of languages, in a framebuffer, by keyboard and mouse."""
    folder = os.path.join(package_files("debian-installer-12-netboot-" + arch),
                          f"usr/lib/debian-installer/images/12/{arch}/gtk/debian-installer/{arch}")
    with run.guest("-vnc", "unix:" + run.short("vnc"), "-kernel", os.path.join(folder, "linux"), "-initrd",
                   os.path.join(folder, "initrd.gz"), "-append", "vga=788", memory="1024") as g:
        v = run.vnc(g)

        def shown():
            return v.w >= 800 and v.h >= 600 and v.colours() > 500

        def must(what, seconds, done):
            if not v.wait(seconds, done):
                raise Failed(f"{what}: the screen has {v.w}x{v.h} and {v.colours()} colours")

        must("no list of languages", 300, shown)
        run.cpu = g.cpu()
        v.look(5)
        v.png(run.path("languages.png"))
        for what, act in (("a key", lambda: v.key("down")),
                          ("the mouse", lambda: (v.move(v.w // 8, v.h // 3), v.button(1, True),
                                                 v.button(1, False)))):
            before = bytes(v.pixels)
            act()
            must(f"{what} changed nothing", 30, lambda old=before: bytes(v.pixels) != old)
            v.look(2)
        before = bytes(v.pixels)
        v.key("ret")
        must("the list does not go away", 60,
             lambda: sum(a != b for a, b in zip(before[::64], v.pixels[::64])) > 2000)


def installer_text(run, arch):
    """Debian's installer in text mode to its list of languages, by keyboard, and one question further."""
    name = "installer-" + arch
    with run.guest("-vnc", "unix:" + run.short("vnc"), "-kernel", boot_files("kernel", name), "-initrd",
                   boot_files("initrd", name), "-append", "fb=false nomodeset", memory="1024",
                   text=True) as g:
        v = run.vnc(g)
        run.wait_screen(g, r"(?s)Select a language.*English", 400)
        run.cpu = g.cpu()
        for _ in range(30):
            v.key("ret")
            g.drain(2)
            if "location" in run.screen(g):
                break
        run.wait_screen(g, r"(?s)Select your location.*United States", 60)


def case_installer_graphical(run):
    installer_graphical(run, "amd64")


def case_installer_graphical_i386(run):
    installer_graphical(run, "i386")


def case_installer_text(run):
    installer_text(run, "amd64")


def case_installer_text_i386(run):
    installer_text(run, "i386")
