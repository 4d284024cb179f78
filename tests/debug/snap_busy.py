#!/usr/bin/env python3
"""snap_busy.py - a Linux guest all of whose devices are busy, saved and loaded at random moments, here and in another Latimer.

  snap_busy.py [--latimer COMMAND] guest|hosts [CASE...]

Three sound cards play, a floppy disk, USB, NVMe and SATA disks are written and compared, a network connection and a virtio console carry
data, bytes come in on a serial port and a virtio stream, a tablet is moved and a VNC client looks on. CYCLES: how often (20 by default);
SEED repeats the moments. guest: part of make check-snap.

hosts: it goes to the Latimer of another kind of host, which OTHER names, and back (make check-snap-hosts; CYCLES: 4 by default, which has
all ways). An emulator may run that one, with a processor 50 times slower than here and time as fast as here: no driver gives its device up,
so all kinds of work go on there, too. What takes longer is a file from the network, where the guest's own patience is at an end first.
"""
import functools, hashlib, http.server, os, random, re, socket, struct, subprocess, sys, threading, time

import machine as machines_module
from machine import HERE, SLOW, Qmp, check, command, connect, machine, main, path, until
from fuzz_snap import same as same_machine
from snap import BOOT, content, hmp, image

MODULES = """crc-itu-t crc64 crct10dif_common crct10dif_generic crc64-rocksoft crc-t10dif t10-pi scsi_common scsi_mod sd_mod libata libahci ahci
 nvme-core nvme floppy usb-common usbcore uhci-hcd xhci-hcd xhci-pci usb-storage hid hid-generic usbhid evdev virtio virtio_ring
 virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console e1000 soundcore snd snd-timer snd-pcm snd-seq-device snd-rawmidi
 snd-hwdep snd-opl3-lib snd-mpu401-uart snd-sb-common snd-sb16-csp snd-sb16-dsp snd-sb16 ac97_bus snd-ac97-codec snd-intel8x0 ledtrig-audio
 snd-intel-sdw-acpi snd-intel-dspcfg snd-hda-core snd-hda-codec snd-hda-codec-generic snd-hda-intel snd-mixer-oss snd-pcm-oss""".split()
SB16 = {"isapnp": "0", "port": "0x220", "irq": "5", "dma8": "1", "dma16": "5", "mpu_port": "0x330", "fm_port": "0x388"}
# What goes on in the guest (busy/init): each says so from time to time, or that something is wrong.
KINDS = ("floppy", "sata", "nvme", "usb", "usb3", "dsp", "dsp1", "dsp2", "console", "tablet", "net", "serial", "stream")

def served():
    """A web server with one file of 300 KB: its port and the file's MD5."""
    os.mkdir(path("www"))
    data = random.Random(1).randbytes(300000)
    with open(path("www/file"), "wb") as f:
        f.write(data)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *unused):
            pass

        def handle(self):
            try:
                super().handle()
            except OSError:
                pass                            # the guest's end went when it was loaded

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=path("www")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], hashlib.md5(data).hexdigest()


def watch_by_vnc(where):
    """A VNC client that asks for one picture after the other until the server goes."""
    def client():
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(where)
            s.recv(12)
            s.sendall(b"RFB 003.008\n")
            s.recv(16)
            s.sendall(b"\1\1")                  # no authentication, shared
            while True:
                s.sendall(struct.pack(">BBHHHH", 3, 1, 0, 0, 640, 400))
                if not s.recv(1 << 20):
                    return
                time.sleep(0.01)
        except OSError:
            return
    threading.Thread(target=client, daemon=True).start()


def has_vnc():
    """Not every build has: that for hosts of another kind need not."""
    return "vnc=" in subprocess.run([*command(), "-display", "help"], check=True, capture_output=True, text=True).stdout


def feed(write):
    """Gives one line after the other until nobody takes them any more."""
    def sender():
        try:
            while True:
                write(b"what is typed\n" * 4)
                time.sleep(0.01)
        except OSError:
            return
    threading.Thread(target=sender, daemon=True).start()


class Busy:
    """One Latimer with all these devices."""

    n = 0

    def __init__(self, guest, words, *more):
        Busy.n += 1
        self.at = path("busy%d" % Busy.n)
        options = ["-M", "pc", "-m", "128", "-kernel", guest[0], "-initrd", guest[1], "-append", "console=ttyS0 quiet " +
                   words + " " + " ".join("snd-sb16.%s=%s" % p for p in SB16.items()), "-serial", "stdio", "-fda", path("fd.img")]
        for card in "sb16", "AC97", "intel-hda":
            options += ["-audiodev", "wav,id=%s,path=%s" % (card, self.at + card), "-device", card + ("" if card == "intel-hda" else ",audiodev=" + card)]
        options += ["-device", "hda-duplex,audiodev=intel-hda"]
        for name in "sata", "nvme", "usb", "usb3":
            options += ["-drive", "if=none,id=%s,file=%s,format=%s" % (name, path(name), "qcow2" if name in ("sata", "usb") else "raw")]
        options += ["-device", "ahci,id=ahci", "-device", "ide-hd,drive=sata,bus=ahci.0", "-device", "nvme,serial=1,drive=nvme", "-usb", "-device",
                    "usb-storage,bus=usb-bus.0,drive=usb", "-device", "qemu-xhci,id=x", "-device", "usb-storage,bus=x.0,drive=usb3", "-device",
                    "usb-tablet,bus=usb-bus.0", "-device", "virtio-serial-pci", "-chardev", "file,id=c,path=" + self.at + "console",
                    "-device", "virtconsole,chardev=c", "-device", "virtio-serial-pci,id=streams", "-chardev", "socket,id=s,path=%s.s,server=on,"
                    "wait=off" % self.at, "-device", "virtserialport,bus=streams.0,chardev=s", "-nic", "user,model=e1000"]
        seen = has_vnc()
        if seen:
            options += ["-vnc", "unix:%s.vnc" % self.at]
        self.m = machine("-qmp", "unix:%s,server,nowait" % self.at, *options, *more, stdin=subprocess.PIPE)
        self.q = Qmp(self.at)
        if seen:
            watch_by_vnc(self.at + ".vnc")
        feed(functools.partial(os.write, self.m.p.stdin.fileno()))
        feed(connect(self.at + ".s").sendall)

    def moves(self):
        for _ in range(20):
            self.q.cmd("input-send-event", events=[{"type": "abs", "data": {"axis": "x", "value": random.randrange(32768)}},
                                                   {"type": "abs", "data": {"axis": "y", "value": random.randrange(32768)}}])

    def goes_on(self, seconds=60):
        """All kinds of work do, and nothing was wrong so far."""
        left, end = set(KINDS), time.monotonic() + seconds * SLOW
        while left:
            check(time.monotonic() < end, "does not go on: %s" % sorted(left))
            self.moves()
            found = self.m.expect(r"(GOES|BAD) (\w+)[^\n]*\n", seconds)
            check(found.group(1) == b"GOES", "wrong: " + found.group(0).decode())
            left.discard(found.group(2).decode())

    def end(self):
        self.q.cmd("quit")
        self.m.ends(0)
        wrong = re.search(rb"BAD \w+[^\n]*", self.m.out)
        check(not wrong, "wrong: %s" % (wrong and wrong.group(0).decode()))


def prepare():
    """What Busy wants: kernel and initramfs, images, and a file that the host serves."""
    sh = lambda *a: subprocess.run(["sh", BOOT + "/guest.sh", *a], check=True, capture_output=True, text=True).stdout.strip()
    os.environ["BOOT_INIT"] = HERE + "/busy/init"
    guest = sh("kernel", "686"), sh("initramfs", "686", *MODULES)
    for name, form in (("sata", "qcow2"), ("nvme", "raw"), ("usb", "qcow2"), ("usb3", "raw")):
        image(name, "16M", form)
    with open(path("fd.img"), "wb") as f:
        f.write(bytes(1474560))
    return guest, "file=%d,%s" % served()


def sent(b, *what):
    """The Busy(*what) that this one was sent to."""
    where = "unix:%s.to" % b.at
    to = Busy(*what, "-incoming", where)
    b.q.cmd("migrate", uri=where)
    until(lambda: b.q.cmd("query-migrate")["status"] not in ("setup", "active", "device"), "it is still under way", 120)
    check(b.q.cmd("query-migrate")["status"] == "completed", str(b.q.cmd("query-migrate")))
    b.end()
    return to


def carried(b, what, *more):
    """The Busy(*more) that loads what this one, which ends, has saved; it stands still, and is the same machine."""
    b.q.cmd("stop")
    hmp(b.q, "savevm " + path("one"))
    b.end()
    b = Busy(*more, "-S", "-loadvm", path("one"))
    hmp(b.q, "savevm " + path("two"))
    same_machine(content(path("one")), content(path("two")), what)
    return b


def guest_busy():
    """Saved, loaded, saved: the same bytes; and all work goes on, here, in a new process and in one it was sent to."""
    guest = prepare()
    random.seed(int(os.environ.get("SEED", "1")))
    b = Busy(*guest)
    b.goes_on(180)
    for n in range(int(os.environ.get("CYCLES", "20"))):
        b.moves()
        time.sleep(random.random() * 0.5)
        b.q.cmd("stop")
        hmp(b.q, "savevm " + path("one"))
        if n % 2:                               # what is done meanwhile never was
            b.q.cmd("cont")
            b.moves()
            time.sleep(random.random() * 0.5)
            b.q.cmd("stop")
        hmp(b.q, "loadvm " + path("one"))
        hmp(b.q, "savevm " + path("two"))
        same_machine(content(path("one")), content(path("two")), "cycle %d: saved, loaded, saved" % n)
        if n % 4 == 3:
            b = carried(b, "cycle %d: loaded by another process, saved" % n, *guest)
        b.q.cmd("cont")
        if n % 4 == 2:
            b = sent(b, *guest)
        if n % 4 > 1:
            b.goes_on()
    b.end()


def hosts_busy():
    """It goes to the Latimer of another kind of host and back, by a file and by a socket: it is the same machine, and all work goes on."""
    commands = machines_module.latimer, os.environ["OTHER"]
    kernel, words = prepare()
    guest = kernel, words + " patience=30"
    random.seed(int(os.environ.get("SEED", "1")))
    b = Busy(*guest)
    b.goes_on(180)
    try:
        for n in range(2 * int(os.environ.get("CYCLES", "4"))):
            time.sleep(random.random() * 0.5 * SLOW)
            machines_module.latimer = commands[not n & 1]
            if n // 2 >> (n & 1) & 1:           # there in every second cycle, back in the third and fourth
                b = sent(b, *guest)
            else:
                b = carried(b, "loaded by %s, saved" % machines_module.latimer, *guest)
                b.q.cmd("cont")
            b.goes_on()
        b.end()
    finally:
        machines_module.latimer = commands[0]


if __name__ == "__main__":
    sys.exit(main(__doc__, "snap_busy.py", ["guest", "hosts"], globals()))
