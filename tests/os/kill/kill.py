#!/usr/bin/env python3
"""kill.py - a guest that syncs all the time, and SIGKILL at random moments (make check-kill).

    kill.py [--kills N] [--seed N] [--latimer PROGRAM] [--only BUS[,CACHE]] [--keep]

The guest (init, writer.c) writes to a raw and a qcow2 image on the same kind of controller, records to a partition
and files to an ext4, and says on the serial port what fsync() has returned for. Kills go round the buses (BUSES) and
cache modes (CACHES); a moment is a number of reports and a delay behind it, both by the seed. After each:

  - every sector of the records is what the last synced operation on it wrote, or one that had not been reported yet
  - qemu-img check finds no error in the qcow2 image; lost clusters are counted (docs/design.md, Disk images)
  - e2fsck replays the journal and then finds nothing; all files that were reported are there, byte for byte

The guest goes on with the same images in the next round of the same kind.  Exit status: 0, 1 (something was lost;
the images are kept and named), 77 (something the test needs is missing).
"""
import argparse
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from guest import linux     # noqa: E402
SECTOR, SLOT, KEPT = 512, 128, 100          # as in writer.c
P1, P2, END = 1, 17, 81                     # MiB: the partitions' places
MIB = 1 << 20
AHEAD = 64              # operations the guest may be ahead of its last report
MASK = (1 << 64) - 1
MODULES = ("scsi_common scsi_mod crct10dif_common crct10dif_generic crc64 crc64-rocksoft crc64_rocksoft_generic "
           "crc-t10dif t10-pi sd_mod libata ata_piix nvme-core nvme virtio virtio_ring virtio_pci_modern_dev "
           "virtio_pci_legacy_dev virtio_pci virtio_blk virtio_scsi crc16 crc32c_generic mbcache jbd2 ext4").split()
BUSES = {               # what comes before the drives, a drive's device, the guest's names of disks
    "virtio-blk": ([], "virtio-blk-pci,drive={0}", "vd?"),
    "nvme": ([], "nvme,drive={0},serial={0}", "nvme?n1"),
    "ide": ([], None, "sd?"),
    "virtio-scsi": (["-device", "virtio-scsi-pci"], "scsi-hd,drive={0}", "sd?"),
}
CACHES = ("writeback", "writethrough", "none")


class Lost(Exception):
    """What the images lack."""


class Missing(Exception):
    """What the test needs and does not have."""


def mix(x):
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ x >> 27) * 0x94d049bb133111eb) & MASK
    return x ^ x >> 31


def fill(n, sector, key):
    words = [n, sector]
    for _ in range(2, SECTOR // 8):
        words.append(mix(words[-1] ^ key ^ (n << 20 & MASK) ^ sector))
    return struct.pack("<64Q", *words)


def operation(n, key, slots):
    """First sector, number of sectors, "discard", "zero" or "write"; whether a sync follows."""
    r = mix(key ^ n)
    slot, how = r % slots, r >> 40 & 15
    count = 1 + (r >> 20 & 31) if r >> 16 & 7 else SLOT
    first = (r >> 26 & 127) % (SLOT - count + 1)
    if how < 2:
        return slot * SLOT, SLOT, "zero" if how else "discard"
    return slot * SLOT + first, count, "write"


def tool(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not path:
        raise Missing(f"{name} is not installed")
    return path


def run(*argv, ok=(0,)):
    r = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    if r.returncode not in ok:
        raise Lost(f"{' '.join(argv)} ended with {r.returncode}: {(r.stdout + r.stderr)[-1500:]}")
    return r


def blank(path, place):
    """A raw image with a partition table, zeros, and a file system. Its signature says which disk it is."""
    table = bytearray(512)
    table[440] = ord(str(place))
    for i, (start, end) in enumerate(((P1, P2), (P2, END))):
        table[446 + 16 * i:462 + 16 * i] = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff",
                                                       start * 2048, (end - start) * 2048)
    table[510:] = b"\x55\xaa"
    with open(path, "wb") as f:
        f.write(table)
        f.truncate(END * MIB)
    run(tool("mke2fs"), "-q", "-t", "ext4", "-b", "4096", "-J", "size=4", "-E", f"offset={P2 * MIB},lazy_itable_init=0",
        path, f"{(END - P2)}M")


class Disk:
    """One image, and what it must hold."""

    def __init__(self, place, fmt, work, seed):
        self.place, self.format = place, fmt
        self.path = os.path.join(work, f"{place}.{fmt}")
        key = mix(seed * 2 + place & MASK)
        self.keys = {"R": key, "F": key ^ MASK}
        self.first = {"R": 1, "F": 1}           # what this round begins with
        self.synced = {"R": 0, "F": 0}          # the last that was reported
        self.files = []                         # all that were
        self.records = bytes((P2 - P1) * MIB)   # as the last round left them
        self.leaks = 0
        raw = self.path if fmt == "raw" else self.path + ".raw"
        blank(raw, place)
        if fmt != "raw":
            run(tool("qemu-img"), "convert", "-O", fmt, raw, self.path)
            os.remove(raw)

    def check(self):
        raw = self.path
        if self.format != "raw":
            r = run(tool("qemu-img"), "check", self.path, ok=(0, 3))
            leaks = re.search(r"(\d+) leaked clusters", r.stdout)
            self.leaks = int(leaks.group(1)) if leaks else 0
            raw = self.path + ".raw"
            run(tool("qemu-img"), "convert", "-O", "raw", self.path, raw)
        with open(raw, "rb") as f:
            f.seek(P1 * MIB)
            records = f.read((P2 - P1) * MIB)
            files = f.read((END - P2) * MIB)
        self.check_records(records)
        self.check_files(files)
        if raw != self.path:
            os.remove(raw)
        # The next round begins behind everything that may have been begun.
        for kind in "RF":
            self.first[kind] = max(self.first[kind], self.synced[kind] + AHEAD)

    def check_records(self, data):
        may = {}                # sector: what may be in it; None: what was before
        for n in range(self.first["R"], max(self.first["R"], self.synced["R"] + 1) + AHEAD):
            first, count, what = operation(n, self.keys["R"], len(data) // (SLOT * SECTOR))
            for sector in range(first, first + count):
                if n <= self.synced["R"]:
                    may[sector] = {(what, n)}
                else:
                    may.setdefault(sector, {None}).add((what, n))
        for sector in range(len(data) // SECTOR):
            there = data[sector * SECTOR:(sector + 1) * SECTOR]
            before = self.records[sector * SECTOR:(sector + 1) * SECTOR]
            states = may.get(sector, {None})
            n = struct.unpack_from("<Q", there)[0]
            if not (None in states and there == before or
                    ("write", n) in states and there == fill(n, sector, self.keys["R"]) or
                    there.count(0) == SECTOR and any(s and s[0] != "write" for s in states) or
                    any(s and s[0] == "discard" for s in states)):
                raise Lost(f"sector {sector} of the records should hold one of {states} (None: what was there before: "
                           f"{before[:16].hex()}), and begins with {there[:32].hex()}")
        self.records = data

    def check_files(self, data):
        part, dump = self.path + ".part", self.path + ".files"
        with open(part, "wb") as f:
            f.write(data)
        run(tool("e2fsck"), "-p", "-E", "journal_only", part)
        run(tool("e2fsck"), "-fn", part)
        shutil.rmtree(dump, ignore_errors=True)
        os.mkdir(dump)
        run(tool("debugfs"), "-R", f"rdump / {dump}", part)
        # What is older may have been removed by now.
        self.files = [n for n in self.files if n > self.synced["F"] + AHEAD - KEPT]
        for n in self.files:
            count = 1 + mix(self.keys["F"] ^ n) % SLOT
            try:
                with open(f"{dump}/f{n}", "rb") as f:
                    got = f.read()
            except FileNotFoundError:
                raise Lost(f"file f{n} was synced and is not there (the last one was f{self.synced['F']})") from None
            if got != b"".join(fill(n, i, self.keys["F"]) for i in range(count)):
                raise Lost(f"file f{n} has other contents than were synced")
        shutil.rmtree(dump)
        os.remove(part)


def read_reports(disks, text, done):
    """Notes the reports in text behind position done; returns how far it got."""
    for match in re.compile(rb"@([RFE])([^@\n]*)@\r?\n").finditer(text, done):
        done = match.end()
        if match.group(1) == b"E":
            raise Lost(f"the guest could not go on: {match.group(2).decode(errors='replace')}")
        kind = match.group(1).decode()
        place, n = match.group(2).split()
        disks[int(place)].synced[kind] = int(n)
        if kind == "F":
            disks[int(place)].files.append(int(n))
    return done


def one_kill(a, rnd, bus, cache, disks, guest):
    """Starts the guest, kills it; returns the number of reports until then."""
    before, device, names = BUSES[bus]
    argv = [a.latimer, "-M", "pc", "-m", "256", "-nographic", "-nic", "none", "-kernel", guest[0], "-initrd", guest[1], *before]
    line = f"console=ttyS0,115200 quiet panic=-1 seed={a.seed}"
    for d in disks:
        opts = f"file={d.path},format={d.format},cache={cache},discard=unmap"
        argv += ["-drive", opts + (f",if=ide,index={d.place}" if not device else f",if=none,id=d{d.place}")]
        if device:
            argv += ["-device", device.format(f"d{d.place}")]
        line += f" disk={names},{d.first['R']},{d.first['F']}"
    # Mostly while it writes, at times while it boots and mounts.
    goal = 0 if rnd.random() < 0.1 else rnd.randrange(1, 600)
    delay = rnd.random() * (4 if not goal else 0.05)
    text, done, count, deadline = b"", 0, 0, None
    with open(a.log, "ab") as log, subprocess.Popen([*argv, "-append", line], stdin=subprocess.DEVNULL,
                                                    stdout=subprocess.PIPE, stderr=log) as p:
        try:
            end = time.monotonic() + a.patience
            while True:
                now = time.monotonic()
                if deadline is None and count >= goal:
                    deadline = now + delay
                if deadline is not None and now >= deadline:
                    break
                if now > end:
                    raise Lost(f"the guest made only {count} reports in {a.patience} s: {text[-600:]!r}")
                wait = 0.2 if deadline is None else min(0.2, deadline - now)
                if select.select([p.stdout], [], [], wait)[0]:
                    data = os.read(p.stdout.fileno(), 1 << 16)
                    if not data:
                        raise Lost(f"latimer ended by itself with code {p.wait()} (see {a.log}): {text[-600:]!r}")
                    log.write(data)
                    text += data
                    done = read_reports(disks, text, done)
                    count = text.count(b"@\n") + text.count(b"@\r\n")
        finally:
            p.send_signal(signal.SIGKILL)
        text += p.stdout.read()
        read_reports(disks, text, done)
    return count


def main():
    parser = argparse.ArgumentParser(description="SIGKILL under a guest that syncs: nothing synced may be lost.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--latimer", default=os.environ.get("LATIMER", os.path.join(HERE, "../../../latimer")))
    parser.add_argument("--only", metavar="BUS[,CACHE]", default="", help=f"of {', '.join(BUSES)}; {', '.join(CACHES)}")
    parser.add_argument("--patience", type=int, default=300, help="seconds for one round")
    parser.add_argument("--keep", action="store_true", help="keep images and log")
    a = parser.parse_args()
    kinds = [(bus, cache) for cache in CACHES for bus in BUSES
             if not a.only or bus == a.only.split(",")[0] and cache in (a.only.split(",") + [cache])[1]]
    if not kinds:
        parser.error(f"there is nothing like '{a.only}'")
    work = tempfile.mkdtemp(prefix="latimer-kill.", dir=os.environ.get("TMPDIR", "/var/tmp"))
    a.log = os.path.join(work, "log")
    rnd, images, failed = random.Random(a.seed), {}, None
    rnd.shuffle(kinds)          # so that a few kills are others each time
    print(f"kill: {a.kills} kills, --seed {a.seed}", flush=True)
    try:
        try:
            guest = linux(work, os.path.join(HERE, "init"), MODULES, os.path.join(HERE, "writer.c"))
        except (OSError, subprocess.CalledProcessError) as e:
            raise Missing(f"the guest cannot be made: {e}") from e
        for i in range(a.kills):
            bus, cache = kinds[i % len(kinds)]
            if (bus, cache) not in images:
                folder = os.path.join(work, f"{bus}-{cache}")
                os.mkdir(folder)
                images[bus, cache] = [Disk(0, "raw", folder, a.seed), Disk(1, "qcow2", folder, a.seed)]
            disks = images[bus, cache]
            failed = f"kill {i + 1}, {bus}, cache={cache}"
            count = one_kill(a, rnd, bus, cache, disks, guest)
            for d in disks:
                failed = f"kill {i + 1}, {bus}, cache={cache}, {d.format}"
                d.check()
            print(f"kill {i + 1}: {bus}, cache={cache}: nothing lost after {count} reports"
                  + (f"; {disks[1].leaks} clusters leaked" if disks[1].leaks else ""), flush=True)
    except Missing as e:
        print(f"SKIP: kill: {e}")
        return 77
    except Lost as e:
        a.keep = True
        print(f"FAIL: {failed}: {e}\n(--seed {a.seed}; images and log in {work})")
        return 1
    finally:
        if not a.keep:
            shutil.rmtree(work)
    print(f"PASS: kill: {a.kills} kills, nothing lost")
    return 0


sys.exit(main())
