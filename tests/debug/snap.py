#!/usr/bin/env python3
"""snap.py - machines that are saved and loaded.

  snap.py [--latimer COMMAND] quick|hosts|guest [CASE...]

quick: what needs no guest but the firmware (make check). guest: a Linux guest that computes and writes to its disks while it
is saved and loaded at random moments; what comes out in the end must be what comes out without (make check-snap; CYCLES: how
often, 200 by default; SEED repeats the moments). hosts: the same machine in the Latimer of another kind of host, which OTHER names.
"""
import os, random, re, socket, subprocess, sys, threading, time, zlib

import machine as machines_module
from fuzz_snap import same as same_machine
from machine import HERE, SLOW, Qmp, check, command, connect, machine, main, path, same

BOOT = os.path.join(HERE, "../boot")


def image(name, size="64M", form="qcow2"):
    subprocess.run([*command(), "image", "create", "-q", "-f", form, path(name), size], check=True)
    return path(name)


def hmp(q, line, wrong=None):
    """A command that says nothing when all is well."""
    said = q.hmp(line)
    check(re.search(wrong, said) if wrong else not said, "%s: %s" % (line, said))


def content(name):
    with open(name, "rb") as f:
        return f.read()


def start(*options, **more):
    m = machine("-qmp", "unix:%s,server,nowait" % path("q"), "-nic", "none", *options, **more)
    return m, Qmp(path("q"))


# ---- without a guest ----

EVERYTHING = ["-machine", "q35", "-m", "64", "-serial", "null", "-usb", "-device", "usb-tablet", "-device", "qemu-xhci", "-device",
              "virtio-rng-pci", "-device", "virtio-balloon-pci", "-device", "intel-hda", "-device", "AC97", "-device", "sb16", "-device", "i6300esb",
              "-device", "virtio-scsi-pci", "-nic", "user,model=e1000", "-nic", "user,model=virtio-net-pci"]


def quick_same():
    """Save, load, save gives the same bytes; a machine started with -loadvm is the one that was saved."""
    drives = ["-drive", "if=virtio,format=qcow2,id=d0,file=" + image("a.qcow2"), "-drive",
              "if=ide,format=raw,file=" + image("a.raw", "1M", "raw")]
    m, q = start(*EVERYTHING, *drives)
    time.sleep(0.7 * SLOW)
    q.cmd("stop")
    hmp(q, "savevm " + path("1"))
    registers = q.hmp("info registers")
    q.cmd("system_reset")
    check(q.hmp("info registers") != registers, "it was not reset")
    hmp(q, "loadvm " + path("1"))
    check(q.hmp("info registers") == registers, "other registers after loading")
    hmp(q, "savevm " + path("2"))
    check(content(path("1")) == content(path("2")), "save, load, save: other bytes")
    check(not q.cmd("query-status")["running"], "it runs")
    hmp(q, "savevm tag1")
    check("tag1" in q.hmp("info snapshots"), q.hmp("info snapshots"))
    for name in "with blanks", "\u00fcn\u00ef \u20ac", "7":
        hmp(q, "savevm " + name)
        check(" %s, " % name in q.hmp("info snapshots"), q.hmp("info snapshots"))
        hmp(q, "delvm " + name)
    q.cmd("quit")
    m.ends(0)
    for where in path("1"), "tag1":
        m, q = start(*EVERYTHING, *drives, "-S", "-loadvm", where)
        check(q.hmp("info registers") == registers, "-loadvm %s: other registers" % where)
        hmp(q, "savevm " + path("3"))
        check(content(path("1")) == content(path("3")), "-loadvm %s, save: other bytes" % where)
        hmp(q, "delvm tag1")
        check("tag1" not in q.hmp("info snapshots"), "it is still there")
        hmp(q, "savevm tag1")
        q.cmd("quit")
        m.ends(0)


def quick_jobs():
    """Snapshots as QMP's jobs."""
    m, q = start("-machine", "pc", "-m", "64", "-serial", "null", "-hda", image("j1.qcow2"), "-drive", "if=virtio,id=two,file=" +
                 image("j2.qcow2"), "-hdc", image("j3.raw", "1M", "raw"))
    both = {"vmstate": "ide0", "devices": ["ide0", "two"]}
    q.error("snapshot-save", job_id="a", tag="t", vmstate="ide0", devices=["ide0"], desc="must name 'two'")
    q.error("snapshot-save", job_id="a", tag="t", vmstate="two", devices=["ide0", "two"], desc="must be 'ide0'")
    q.error("snapshot-save", job_id="a", tag="t", vmstate="ide0", devices=["ide0", "two", "ide2"], desc="has no snapshots")
    q.error("snapshot-save", job_id="a", tag="./t", desc="no '/'", **both)
    q.cmd("snapshot-save", job_id="a", tag="t", **both)
    for status in ("created", "running", "concluded"):
        q.event("JOB_STATUS_CHANGE", id="a", status=status)
    q.error("snapshot-load", job_id="a", tag="t", desc="already in use", **both)
    q.cmd("snapshot-load", job_id="b", tag="t", **both)
    q.cmd("snapshot-load", job_id="c", tag="none", **both)
    q.cmd("snapshot-delete", job_id="d", tag="t", devices=["ide0", "two"])
    jobs = {j["id"]: j for j in q.cmd("query-jobs")}
    check(sorted(jobs) == ["a", "b", "c", "d"] and "no image has" in jobs["c"].pop("error"), str(jobs))
    check(all(j["status"] == "concluded" and "error" not in j for j in jobs.values()), str(jobs))
    q.error("job-dismiss", id="e", desc="not found")
    q.events = []
    q.cmd("job-dismiss", id="a")
    q.event("JOB_STATUS_CHANGE", id="a", status="null")
    check([j["id"] for j in q.cmd("query-jobs")] == ["b", "c", "d"], str(q.cmd("query-jobs")))


def quick_refused():
    """What cannot be saved or loaded says why, and the machine goes on."""
    m, q = start("-machine", "pc", "-m", "64", "-serial", "null", "-drive", "format=raw,file=" + image("r.raw", "1M", "raw"))
    hmp(q, "savevm name", "no drive has a qcow2 image.*\\./name")
    hmp(q, "loadvm name", "no image has a snapshot 'name'")
    hmp(q, "delvm name", "no image has a snapshot 'name'")
    hmp(q, "savevm /nowhere/x", "cannot write /nowhere/x: No such file")
    hmp(q, "loadvm /nowhere/x", "cannot open /nowhere/x: No such file")
    hmp(q, "savevm " + path("good"))
    good = content(path("good"))
    half = len(good) // 2
    for n, bad in enumerate([good[:-1], good[:100], b"", good + b"x", good[:half] + bytes([good[half] ^ 1]) + good[half + 1:],
                             b"LATSNAP\n" + b"\xff" * 4 + good[12:]]):
        with open(path("bad"), "wb") as f:
            f.write(bad)
        hmp(q, "loadvm " + path("bad"), "truncated|damaged|another version|not a snapshot")
        check(q.cmd("query-status")["running"], "stopped by bad snapshot %d" % n)
    # Damage that only decompressing finds: the machine is what it was, memory too. On a slow host the firmware may have
    # written nothing yet: then the first frame is a chip's.
    frame = good.find(b"\x28\xb5\x2f\xfd", good.index(b"\x02\x04ram0"))
    frame = 4 + (frame if frame >= 0 else good.index(b"\x28\xb5\x2f\xfd", good.index(b"\x01\x05chips")))
    bad = good[:frame] + bytes([good[frame] ^ 0x55]) + good[frame + 1:-4]
    with open(path("bad2"), "wb") as f:
        f.write(bad + zlib.crc32(bad[:-8]).to_bytes(4, "little"))
    q.cmd("stop")
    hmp(q, "savevm " + path("before"))
    hmp(q, "loadvm " + path("bad2"), "damaged: (an extent of memory|a section) cannot be decompressed")
    hmp(q, "savevm " + path("after"))
    check(content(path("before")) == content(path("after")), "a damaged snapshot changed the machine")
    q.cmd("quit")
    m.ends(0)
    m, q = start("-machine", "pc", "-m", "65", "-serial", "null", "-drive", "format=raw,file=" + path("r.raw"))
    hmp(q, "loadvm " + path("good"), "memory=64 MiB there, memory=65 MiB here")
    q.cmd("quit")
    m.ends(0)
    # What differs is named.
    for options, what in ((["-device", "virtio-rng-pci,id=rng"], r"virtio-rng-pci/rng \(virtio-rng\) is here and not there"),
                          (["-vga", "none"], r"VGA#0 \(pci-dev\) is there and not here"), (["-cpu", "max,-sse3"], "pni=on there, pni=off here"),
                          (["-no-hpet"], "hpet=on there, hpet=off here"), (["-machine", "q35"], "board=pc there, board=q35 here")):
        m, q = start("-machine", "pc", "-m", "64", "-serial", "null", "-drive", "format=raw,file=" + path("r.raw"), *options)
        hmp(q, "loadvm " + path("good"), what)
        check(q.cmd("query-status")["running"], "it does not go on")
        q.cmd("quit")
        m.ends(0)
    m, q = start("-machine", "pc", "-m", "64", "-serial", "null", "-drive", "format=raw,file=" + image("r2.raw", "2M", "raw"))
    hmp(q, "loadvm " + path("good"), "another medium: 1048576 bytes there, 2097152 bytes here")
    q.cmd("quit")
    m.ends(0)
    m = machine("-machine", "pc", "-m", "64", "-loadvm", path("bad"))
    check("another version" in m.ends(3), "-loadvm of a bad file")


def quick_still():
    """While a machine stands still nothing comes into it by its network; it waits until the machine runs."""
    here, there = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for s in here, there:
        s.bind(("127.0.0.1", 0))
    to = there.getsockname()
    there.close()
    m, q = start("-M", "pc", "-m", "16", "-S", "-serial", "null", "-netdev", "socket,id=n,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d" %
                 (here.getsockname()[1], to[1]), "-device", "ne2k_isa,netdev=n,iobase=0x300")

    def packets():
        """The page its next packet goes to."""
        hmp(q, "o /b 0x300 0x62")
        page = int(q.hmp("i /b 0x307").split()[-1], 16)
        hmp(q, "o /b 0x300 0x22")
        return page

    # Pages 46h to 7fh are the ring, the next packet goes to 47h; it takes all there are, and is started
    for port, value in (0x0, 0x21), (0xe, 0x48), (0x1, 0x46), (0x2, 0x80), (0x3, 0x46), (0xc, 0x1c), (0xd, 0), (0x0, 0x61), (0x7, 0x47), (0x0, 0x22):
        hmp(q, "o /b %#x %#x" % (0x300 + port, value))
    same(packets(), 0x47)
    hmp(q, "savevm " + path("still1"))
    for _ in range(3):
        here.sendto(b"\xff" * 6 + b"\2\0\0\0\0\1\x88\xb5" + bytes(50), to)
    time.sleep(0.3)
    same(packets(), 0x47)
    hmp(q, "savevm " + path("still2"))
    check(content(path("still1")) == content(path("still2")), "it was changed while it stood still")
    q.cmd("cont")
    end = time.monotonic() + 20 * SLOW
    while packets() != 0x4a:
        check(time.monotonic() < end, "what came meanwhile is lost: %#x" % packets())
        time.sleep(0.05)
    q.cmd("quit")
    m.ends(0)
    here.close()


# ---- between kinds of hosts ----

def hosts_same():
    """What one saved the other loads, and saves as the same bytes; and it goes on there."""
    commands = machines_module.latimer, os.environ["OTHER"]
    drives = []
    for n, (bus, form) in enumerate((("virtio", "qcow2"), ("ide", "raw"), ("scsi", "raw"))):
        drives += ["-drive", "if=%s,format=%s,file=%s" % (bus, form, image("host%d" % n, "4M", form))]
    drives += ["-drive", "if=none,id=n,format=raw,file=" + image("nvme.raw", "4M", "raw"), "-device", "nvme,serial=1,drive=n", "-drive",
               "if=none,id=u,format=raw,file=" + image("usb.raw", "4M", "raw"), "-device", "usb-storage,drive=u", "-device", "virtio-serial-pci",
               "-device", "virtio-keyboard-pci", "-fda", image("fd.raw", "1440K", "raw")]
    try:
        for one, two in (commands, commands[::-1]):
            machines_module.latimer = one
            m, q = start(*EVERYTHING, *drives)
            time.sleep(1.5 * SLOW)
            q.cmd("stop")
            hmp(q, "savevm " + path("saved"))
            registers = q.hmp("info registers")
            q.cmd("quit")
            m.ends(0)
            machines_module.latimer = two
            m, q = start(*EVERYTHING, *drives, "-S", "-loadvm", path("saved"))
            same(q.hmp("info registers"), registers)
            hmp(q, "savevm " + path("again"))
            same_machine(content(path("saved")), content(path("again")), "saved by %s, loaded by %s, saved" % (one, two))
            q.cmd("cont")
            time.sleep(0.5 * SLOW)
            check(q.cmd("query-status")["running"], "it does not go on")
            q.cmd("quit")
            m.ends(0)
    finally:
        machines_module.latimer = commands[0]


class Port:
    """COM1, read by the monitor."""
    def __init__(self, q):
        self.q = q

    def takes(self, n, seconds=20):
        """The next n bytes that come in."""
        got, end = b"", time.monotonic() + seconds * SLOW
        read = lambda port: int(self.q.hmp("i /b %#x" % port).split()[-1], 16)
        while len(got) < n:
            check(time.monotonic() < end, "%d bytes, and then none: %r" % (len(got), got))
            if read(0x3fd) & 1:
                got += bytes([read(0x3f8)])
        return got


def quick_streams():
    """While a machine stands still no byte comes into its serial port and its console; they come when it runs, and all of them."""
    m, q = start("-M", "pc", "-m", "16", "-S", "-serial", "unix:%s,server,nowait" % path("com"), "-chardev",
                 "socket,id=c,path=%s,server=on,wait=off" % path("con"), "-device", "virtio-serial-pci", "-device", "virtconsole,chardev=c")
    data = bytes(range(256))
    com, con = connect(path("com")), connect(path("con"))
    sends = threading.Event()

    def feed():
        for n in range(0, len(data), 8):        # 32 pieces: more, and a host may let us wait
            com.sendall(data[n:n + 8])
            con.sendall(data[n:n + 8])
            if n == 32:
                sends.set()
            time.sleep(0.03)

    for round in range(2):                      # before it has ever run; then stopped by the monitor
        hmp(q, "savevm " + path("first"))
        sender = threading.Thread(target=feed)
        sender.start()
        sends.wait()
        hmp(q, "savevm " + path("second"))
        hmp(q, "loadvm " + path("first"))
        sender.join()
        hmp(q, "savevm " + path("third"))
        for name in "second", "third":
            check(content(path("first")) == content(path(name)), "round %d: the %s is another machine" % (round, name))
        q.cmd("cont")
        same(Port(q).takes(len(data)), data)
        q.cmd("stop")
    q.cmd("quit")
    m.ends(0)


def quick_shared():
    """A monitor behind the serial port's stream is there while the machine stands still; what was typed to the port waits."""
    m, q = start("-M", "pc", "-m", "16", "-S", "-serial", "mon:stdio", stdin=subprocess.PIPE)
    m.type("first\1cinfo status\n")
    m.expect(r"paused")
    m.type("\1c, and second\1ccont\n")
    same(Port(q).takes(17), b"first, and second")
    m.type("stop\n\1c")
    while q.cmd("query-status")["status"] != "paused":
        time.sleep(0.05)
    m.type("third\1cinfo status\n")
    m.expect(r"paused")
    same(int(q.hmp("i /b 0x3fd").split()[-1], 16) & 1, 0)
    m.type("cont\n")
    same(Port(q).takes(5), b"third")
    m.type("quit\n")
    m.ends(0)


# ---- with Debian's kernel ----

WORK = r'''n=0; sum=start
while [ $n -lt 400 ]; do
 n=$((n+1)); sum=$(echo $sum $n | md5sum | cut -c1-32)
 for d in vda vdb; do
  yes $sum$d | head -c 150000 >/t; dd if=/t of=/dev/$d bs=4096 seek=$((n*7%12000)) conv=fsync 2>/dev/null
  x=$(dd if=/dev/$d bs=4096 skip=$((n*7%12000)) count=30 iflag=direct 2>/dev/null | md5sum); y=$(head -c 122880 /t | md5sum)
  [ "$x" = "$y" ] || echo "B""AD $n $d"
 done
 sum=$(awk "BEGIN{x=1.5; for(i=0;i<3000;i++) x=x*1.0001+0.3/x; printf \"%.12f $sum\", x}" | md5sum | cut -c1-32)
done
echo FI""NAL $sum
'''


def linux_options(name):
    """A guest that has two disks, and its shell on standard input and output."""
    guest = lambda *a: subprocess.run(["sh", BOOT + "/guest.sh", *a], check=True, capture_output=True, text=True).stdout.strip()
    kernel = guest("kernel", "amd64")
    initrd = guest("initramfs", "amd64", "virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
                   "virtio_blk")
    return ["-machine", "pc", "-m", "256", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet", "-serial",
            "stdio", "-nic", "none", "-drive", "if=virtio,format=qcow2,file=" + image(name + ".qcow2"), "-drive",
            "if=virtio,format=raw,file=" + image(name + ".raw", "64M", "raw")]


def result(cycles, where=None):
    m, q = start(*linux_options("w"), stdin=subprocess.PIPE)
    m.expect("/ # ", 180)
    m.type("cat >/w.sh <<'EOF'\n" + WORK + "EOF\n")
    m.type("sh /w.sh\n")
    time.sleep(2)
    saved = loaded = 0.0
    for _ in range(cycles):
        time.sleep(random.random() * 0.3)
        t = time.monotonic()
        hmp(q, "savevm " + where)
        saved += time.monotonic() - t
        if random.random() < 0.7:               # what is done meanwhile never was
            time.sleep(random.random() * 0.2)
        t = time.monotonic()
        hmp(q, "loadvm " + where)
        loaded += time.monotonic() - t
        check(b"FINAL" not in m.out, "the work was done before the cycles were: %d" % cycles)
    found = m.expect(r"(?s)(BAD|FINAL) ([0-9a-f]+)\s", 1200)
    check(found.group(1) == b"FINAL", "a disk read other bytes than were written: " + str(found.group(0)))
    if cycles:
        print("snap.py: %d cycles, save %.2f s, load %.2f s each" % (cycles, saved / cycles, loaded / cycles))
    q.cmd("quit")
    m.ends(0)
    return found.group(2)


def guest_cycles():
    cycles = int(os.environ.get("CYCLES", "200"))
    random.seed(int(os.environ.get("SEED", "1")))
    wanted = result(0)
    check(result(cycles // 2, "tag") == wanted, "another result, saved in the images")
    check(subprocess.run(["qemu-img", "check", "-q", path("w.qcow2")], check=False).returncode == 0, "qemu-img check")
    check(result(cycles - cycles // 2, path("file")) == wanted, "another result, saved in a file")


if __name__ == "__main__":
    sys.exit(main(__doc__, "snap.py", ["quick", "hosts", "guest"], globals()))
