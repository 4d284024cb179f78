#!/usr/bin/env python3
"""migrate.py - machines that go from one Latimer to another while they run.

  migrate.py [--latimer COMMAND] quick|guest [CASE...]

quick: what needs no guest but the firmware and a boot sector (make check). guest: a Linux guest that computes and writes to its
disks while it goes from one to the next; what comes out in the end must be what comes out without (make check-snap; CYCLES: how
often, 20 by default).
"""
import os, random, re, socket, struct, subprocess, sys, time

from machine import SLOW, Qmp, check, command, connect, machine, main, path, same
from snap import EVERYTHING, WORK, content, linux_options, hmp, image

# Counts in ebx, at 600h and in the first words of 128 pages, all of which it compares each time: 'X' if one is not right.
# What else is in these pages no compressor makes shorter, so to send them takes as long as the bandwidth says: no pass is over
# before a busy host lets the guest run.
SECTOR = bytes.fromhex(
    "fa31c08ed88ed0bc007c 6631db"
    "fc ba0010 8ec2 bf0400 b9ff03 6669c00d661900 66055ff36e3c 66ab e2ef 81c20001 81fa0090 72dd"
    "ba0010 8ec2 2666891e0000 81c20001 81fa0090 72ee"
    "ba0010 8ec2 2666391e0000 7519 2666ff060000 81c20001 81fa0090 72e6"
    "6643 66891e0006 ebda"
    "b058 e6e9 f4 ebfd")


class Side:
    n = 0

    def __init__(self, *options, **more):
        Side.n += 1
        at = path("q%d" % Side.n)
        self.m = machine("-qmp", "unix:%s,server,nowait" % at, *options, **more)
        self.q = Qmp(at)
        self.q.cmd("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])

    def status(self):
        return self.q.cmd("query-status")["status"]

    def until(self, *states):
        """The end of a migration."""
        while True:
            s = self.q.event("MIGRATION", seconds=60)["data"]["status"]
            if s in ("completed", "failed", "cancelled"):
                check(s in states, "migration %s: %s" % (s, self.q.cmd("query-migrate")))
                return self.q.cmd("query-migrate")

    def runs(self):
        self.q.event("RESUME")
        check(self.status() == "running", self.status())


def go(a, b, uri, **more):
    a.q.cmd("migrate", uri=uri, **more)
    s = a.until("completed")
    check(a.status() == "postmigrate", "the one that sent is " + a.status())
    b.until("completed")
    return s


def quick_ways():
    """By each way there is, the machine is the same on the other side, to the byte."""
    raw = image("w.raw", "1M", "raw")
    options = [*EVERYTHING, "-drive", "format=raw,snapshot=on,file=" + raw]
    for n, bus in enumerate(("virtio", "scsi", "ide")):
        options += ["-drive", "if=%s,format=raw,file=%s" % (bus, image("shared%d.raw" % n, "1M", "raw"))]
    for n, (to, frm) in enumerate([("unix:" + path("s"), "unix:" + path("s")), ("tcp:127.0.0.1:%d", "tcp:127.0.0.1:%d"),
                                   ("exec:cat >" + path("x"), "exec:cat " + path("x")), ("file:" + path("f"), "file:" + path("f"))]):
        port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
        to, frm = (w.replace("%d", str(port)) for w in (to, frm))
        late = not frm.startswith(("unix", "tcp"))
        a = Side(*options)
        b = Side(*options, "-incoming", "defer")
        check(b.status() == "inmigrate", b.status())
        b.q.cmd("system_reset")
        check(b.status() == "inmigrate", b.status())
        check("under way" in b.q.hmp("savevm " + path("no")), "saved before it was there")
        if not late:
            hmp(b.q, "migrate_incoming " + frm)
        a.q.cmd("stop")
        hmp(a.q, "savevm " + path("a"))
        if late:
            a.q.cmd("migrate", uri=to)
            a.until("completed")
            hmp(b.q, "migrate_incoming " + frm)
            b.until("completed")
        else:
            go(a, b, to)
        check(b.status() == "paused", "%s: it stood there and is %s here" % (to, b.status()))
        hmp(b.q, "savevm " + path("b"))
        check(content(path("a")) == content(path("b")), to + ": another machine")
        for side in (a, b):
            side.q.cmd("quit")
            side.m.ends(0)


def counter(side):
    said = side.q.hmp("xp/1uw 0x600")
    return int(said.split()[-1])


def quick_live():
    """Pages that a guest writes all the time are right at each stop of a journey."""
    boot = path("boot.img")
    with open(boot, "wb") as f:
        f.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa" + bytes(512 * 100))
    options = ["-M", "pc", "-m", "32", "-serial", "null", "-nic", "none", "-drive", "format=raw,file=" + boot]
    options += ["-debugcon", "file:" + path("e9")]
    a = Side(*options)
    end = time.monotonic() + 30 * SLOW
    while counter(a) < 1000 or counter(a) > 1 << 30:
        check(time.monotonic() < end, "the boot sector does not count")
        time.sleep(0.1)
    for n in range(3):
        uri = "unix:" + path("live%d" % n)
        b = Side(*options, "-incoming", uri)
        # No pass is short enough at first: pages are sent again and again, and no faster than a slow guest writes them.
        a.q.cmd("migrate-set-parameters", downtime_limit=0, max_bandwidth=int((4 << 20) / SLOW))
        a.q.cmd("migrate", uri=uri)
        while a.q.event("MIGRATION_PASS", seconds=60)["data"]["pass"] < 5:
            pass
        there = a.q.cmd("query-migrate")
        check(there["status"] == "active" and there["ram"]["dirty-pages-rate"], str(there))
        a.q.error("migrate", uri=uri, desc="under way already")
        check("under way" in a.q.hmp("savevm " + path("no")), "saved while it goes")
        a.q.cmd("migrate-set-parameters", downtime_limit=2000)
        s = a.until("completed")
        check(s["ram"]["dirty-sync-count"] >= 5, str(s))
        b.until("completed")
        b.runs()
        was = counter(b)
        end = time.monotonic() + 30 * SLOW
        while counter(b) < was + 100:
            check(time.monotonic() < end, "it does not count there: %d, %d" % (was, counter(b)))
            time.sleep(0.05)
        with open(path("e9"), "rb") as f:
            check(b"X" not in f.read(), "a page was not the one that was written last")
        # The image is the other side's now, and comes back when that has gone.
        check("cont" in a.q.hmp("savevm " + path("no")), "saved what has gone")
        for _ in range(2):
            a.q.error("cont", desc="in use")
            check(a.status() == "postmigrate", a.status())
            a.q.cmd("system_reset")     # is no way round that
        same(b.q.cmd("query-migrate"), {"status": "completed"})
        if n == 1:
            b.q.cmd("quit")
            b.m.ends(0)
            a.q.cmd("cont")
            check(a.status() == "running", a.status())
            continue
        a.q.cmd("quit")
        a.m.ends(0)
        a = b


def quick_offers():
    """A disk that is still the other side's offers the guest what it will when it is ours: features were taken up."""
    options = [*SMALL, "-drive", "if=virtio,format=raw,file=" + image("offers.raw", "1M", "raw")]
    a = Side(*options)
    end = time.monotonic() + 30 * SLOW
    while True:                                 # until the firmware has given it a place
        found = re.search(r"virtio-blk-pci.*?command ...7.*?BAR0: I/O of \d+ bytes at (0x\w+)", a.q.hmp("info pci"), re.S)
        if found:
            break
        check(time.monotonic() < end, a.q.hmp("info pci"))
        time.sleep(0.05)
    look = "i/xw " + found.group(1)
    offered = a.q.hmp(look)
    check("0xffffffff" not in offered and int(offered.split()[-1], 16) & 1 << 13, "no discard: " + offered)
    b = Side(*options, "-incoming", "unix:" + path("offers"))
    go(a, b, "unix:" + path("offers"))
    same(b.q.hmp(look), offered)


SMALL = ["-M", "pc", "-m", "32", "-serial", "null", "-nic", "none"]


def quick_announced():
    """Switches hear where the machine is now: five RARP requests of each card's address, in a second."""
    chips = ("e1000", "rtl8139", "pcnet", "ne2k_pci", "ne2k_isa", "virtio-net-pci")
    options, dumps, wanted = ["-M", "pc", "-m", "16", "-serial", "null"], [], {}
    for n, chip in enumerate(chips):
        mac = bytes.fromhex("525400aabb%02x" % n)
        options += ["-netdev", "user,id=n%d" % n, "-device", "%s,netdev=n%d,mac=%s" % (chip, n, mac.hex(":"))]
        dumps += ["-object", "filter-dump,id=d%d,netdev=n%d,file=%s" % (n, n, path("pcap%d" % n))]
        wanted[path("pcap%d" % n)] = b"\xff" * 6 + mac + bytes.fromhex("8035 0001 0800 0604 0003") + (mac + bytes(4)) * 2 + bytes(18)
    a = Side(*options)
    b = Side(*options, *dumps, "-incoming", "unix:" + path("an"))
    go(a, b, "unix:" + path("an"))
    b.runs()
    end = time.monotonic() + 20 * SLOW
    for dump, frame in wanted.items():
        while content(dump).count(frame) < 5:
            check(time.monotonic() < end, "%s: the network heard %s" % (dump, content(dump).hex()))
            time.sleep(0.1)
    hmp(b.q, "set_link n0 off")
    hmp(b.q, "announce_self")           # that network does not hear it
    b.q.cmd("quit")
    b.m.ends(0)
    same(content(path("pcap0")).count(wanted[path("pcap0")]), 5)


def quick_refused():
    """What cannot be taken leaves both sides as they were, and says why."""
    uri = "unix:" + path("r")
    disk = image("r.qcow2", "8M")
    options = [*SMALL, "-hda", disk]
    a = Side(*options)
    b = Side("-M", "pc", "-m", "33", *SMALL[4:], "-hda", disk, "-incoming", uri)
    a.q.cmd("migrate", uri=uri)
    check("memory=32 MiB there, memory=33 MiB here" in a.until("failed")["error-desc"], str(a.q.cmd("query-migrate")))
    check(a.status() == "running" and b.status() == "inmigrate", a.status() + b.status())
    b.q.cmd("quit")
    b.m.ends(0)
    # One that has another disk finds out at the end: the first one takes its own back.
    b = Side(*SMALL, "-hda", image("other.qcow2", "9M"), "-incoming", uri)
    a.q.cmd("migrate", uri=uri)
    check("another medium" in a.until("failed")["error-desc"], str(a.q.cmd("query-migrate")))
    check(a.status() == "running" and b.status() == "inmigrate", a.status() + b.status())
    p = subprocess.run([*command(), "-display", "none", "-hda", disk], capture_output=True, text=True, timeout=60 * SLOW)
    check(p.returncode == 3 and "in use" in p.stderr, "the image is not locked: %s" % p.stderr)
    b.q.cmd("quit")
    b.m.ends(0)
    for wrong, why in (("unix:" + path("nobody"), "cannot connect"), ("exec:exit 3", "Broken pipe|exit code 3"),
                       ("exec:head -c 100000 >/dev/null; exit 3", "Broken pipe|exit code 3"),
                       ("file:/nowhere/x", "No such file"), ("fd:77", "no such descriptor")):
        a.q.cmd("migrate", uri=wrong)
        s = a.until("failed")
        check(re.search(why, s["error-desc"]), "%s: %s" % (wrong, s))
        check(a.status() == "running", a.status())
    a.q.error("migrate", uri="http://x", desc="use tcp:")
    hmp(a.q, "migrate_set_parameter downtime-limit 2000001", "0 to 2000000")
    hmp(a.q, "migrate_incoming tcp::1", "has run already")


def quick_hostile():
    """Streams that end early, or were tampered with."""
    a = Side(*SMALL)
    a.q.cmd("migrate", uri="file:" + path("good"))
    a.until("completed")
    a.q.cmd("quit")
    a.m.ends(0)
    good = content(path("good"))
    uri = path("h")
    b = Side(*SMALL, "-incoming", "unix:" + uri, "-S")
    half = len(good) // 2
    rng = random.Random(int(os.environ.get("SEED", "1")))

    def meddled():
        bad = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(min(len(bad), rng.choice((64, 1000, 1 << 30))))] = rng.choice((0, 255, 1, 128, rng.randrange(256)))
        return bytes(bad) if bytes(bad) != good else good[:-1]

    for n, bad in enumerate([meddled() for _ in range(60)] + [b"", b"GET / HTTP/1.0\r\n\r\n", good[:half], good[:-1], good + b"x", good[:4] + b"\xff" + good[5:],
                             good[:half] + bytes([good[half] ^ 1]) + good[half + 1:],
                             good[:8] + b"\x09" + good[9:], good[:12] + b"\x02\x04ram0" + struct.pack("<Q", 1 << 62),
                             good[:12] + b"\x01\x01x" + b"\xff" * 8, good[:12] + b"\x02\x01x" + b"\xff" * 8 + bytes(8) + b"\xff" * 8,
                             good[:-4] + b"0000"]):
        s = connect(uri)
        try:
            s.sendall(bad)
            s.shutdown(socket.SHUT_WR)
            said = s.makefile("rb").read()
        except OSError:
            said = b""                          # refused in the middle of it
        b.until("failed")
        check(said.startswith(b"no: ") or not said, "bad stream %d: %r" % (n, said))
        check(b.status() == "inmigrate", b.status())
        s.close()
    s = connect(uri)
    s.sendall(good)
    s.shutdown(socket.SHUT_WR)
    check(s.makefile("rb").read() == b"ok\n", "the good one was not taken")
    b.until("completed")
    check(b.status() == "paused", b.status())
    with open(path("bad"), "wb") as f:
        f.write(good[:half])
    m = machine(*SMALL, "-incoming", "file:" + path("bad"))
    check("truncated" in m.ends(3), "-incoming of half a file")
    check("use tcp:" in machine(*SMALL, "-incoming", "nowhere").ends(2), "-incoming nowhere")


def quick_cancel():
    """A migration that is broken off, on a monitor that waits for it."""
    sink = socket.create_server(("127.0.0.1", 0))
    at = path("mon")
    a = Side(*SMALL, "-monitor", "unix:%s,server,nowait" % at)
    mon = connect(at)
    mon.settimeout(0.5)
    a.q.cmd("migrate-set-parameters", max_bandwidth=100)
    mon.sendall(b"migrate tcp:127.0.0.1:%d\ninfo status\n" % sink.getsockname()[1])
    there = sink.accept()[0]                    # never read
    said = b""
    for _ in range(4):
        try:
            said += mon.recv(4096)
        except socket.timeout:
            pass
    check(b"running" not in said, "it does not wait: %r" % said)
    a.q.cmd("migrate_cancel")
    a.until("cancelled")
    mon.settimeout(20 * SLOW)
    while b"running" not in said:
        said += mon.recv(4096)
    check(a.status() == "running", a.status())
    # All was sent, and nobody says whether it could be used: then it stands, whatever is wanted.
    a.q.cmd("migrate-set-parameters", max_bandwidth=0)
    a.q.cmd("migrate", uri="tcp:127.0.0.1:%d" % sink.getsockname()[1])
    mute = sink.accept()[0]
    while mute.recv(65536):
        pass
    a.q.cmd("migrate_cancel")
    check("did not say" in a.until("failed")["error-desc"], str(a.q.cmd("query-migrate")))
    check(a.status() == "postmigrate", a.status())
    a.q.cmd("cont")
    check(a.status() == "running", a.status())
    mute.close()
    there.close()
    a.q.cmd("quit")
    a.m.ends(0)
    a = Side(*SMALL)                            # and one that ends meanwhile
    a.q.cmd("migrate-set-parameters", max_bandwidth=100)
    a.q.cmd("migrate", uri="tcp:127.0.0.1:%d" % sink.getsockname()[1])
    there = sink.accept()[0]
    a.q.cmd("quit")
    a.m.ends(0)


def quick_disks():
    """-b takes the disks along: the other side has images of its own."""
    a = Side(*SMALL, "-hda", image("b1.qcow2", "8M"), "-drive", "if=virtio,format=raw,file=" + image("b2.raw", "4M", "raw"))
    with open(path("b2.raw"), "r+b") as f:
        f.write(b"latimer" * 5000)
    b = Side(*SMALL, "-hda", image("c1.qcow2", "8M"), "-drive", "if=virtio,format=raw,file=" + image("c2.raw", "4M", "raw"),
             "-incoming", "unix:" + path("disks"))
    go(a, b, "unix:" + path("disks"), blk=True)
    b.runs()
    for side in (a, b):
        side.q.cmd("quit")
        side.m.ends(0)
    check(content(path("b2.raw")) == content(path("c2.raw")), "another disk")
    subprocess.run([*command(), "image", "check", "-q", path("c1.qcow2")], check=True)


# ---- with Debian's kernel ----


def journey(stops):
    options = linux_options("m")
    a = Side(*options, stdin=subprocess.PIPE)
    a.m.expect("/ # ", 180)
    a.m.type("cat >/w.sh <<'EOF'\n" + WORK + "EOF\n")
    a.m.type("sh /w.sh\n")
    time.sleep(2)
    downtime = []
    for n in range(stops):
        uri = "unix:" + path("j%d" % n)
        b = Side(*options, "-incoming", uri, stdin=subprocess.PIPE)
        downtime.append(go(a, b, uri)["downtime"])
        b.m.out = a.m.out
        a.q.cmd("quit")
        a.m.ends(0)
        check(b"FINAL" not in b.m.out, "the work was done before the journey was: %d" % n)
        a = b
    found = a.m.expect(r"(?s)(BAD|FINAL) ([0-9a-f]+)\s", 1200)
    check(found.group(1) == b"FINAL", "a disk read other bytes than were written: " + str(found.group(0)))
    if stops:
        print("migrate.py: %d journeys, downtime %d ms in the middle, %d ms at most" %
              (stops, sorted(downtime)[stops // 2], max(downtime)))
    a.q.cmd("quit")
    a.m.ends(0)
    return found.group(2)


def guest_cycles():
    stops = int(os.environ.get("CYCLES", "20"))
    same(journey(stops), journey(0))


if __name__ == "__main__":
    sys.exit(main(__doc__, "migrate.py", ["quick", "guest"], globals()))
