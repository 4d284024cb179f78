#!/usr/bin/env python3
"""disk.py - how fast a guest reads and writes its disks, beside QEMU (make bench-disk).

    disk.py [--latimer PROGRAM] [--rounds N] [--seconds N] [--only BUS[,FORMAT]]

A Debian kernel does direct requests of 128 KiB (in order) and 4 KiB (anywhere), one or 32 at a time, for some seconds each
(disk/load.c), on a raw and a qcow2 image of 256 MiB that are full and in the host's cache, by virtio-blk, NVMe and
IDE. The emulators take turns, each round in the other order; the time is the host's. A row has the medians of the
rounds in MiB/s. The bar: what QEMU has. Exit status: 1 if Latimer is slower in a row.

QEMU 7.2 translates barriers to nothing while it has one processor, and its NVMe guest then loses an interrupt within
seconds and waits half a minute: for NVMe it gets a second processor, which the kernel does not start.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/os"))
from guest import Failed, Guest, linux      # noqa: E402
SIZE = 256 << 20
MODULES = ("scsi_common scsi_mod crct10dif_common crct10dif_generic crc64 crc64-rocksoft crc64_rocksoft_generic "
           "crc-t10dif t10-pi sd_mod libata ata_piix nvme-core nvme virtio virtio_ring virtio_pci_modern_dev "
           "virtio_pci_legacy_dev virtio_pci virtio_blk").split()
BUSES = {               # options for a drive with id d, the guest's name of it
    "virtio-blk": (["-device", "virtio-blk-pci,drive=d"], "vda"),
    "nvme": (["-device", "nvme,drive=d,serial=1"], "nvme0n1"),
    "ide": (None, "sda"),
}
ROW = re.compile(r"load: /dev/\S+ (read|write) (\d+) (\d+): (\d+) bytes (\d+) ns end")


def start(a, emulator, guest, bus, path, fmt):
    options, device = BUSES[bus]
    drive = f"file={path},format={fmt},"
    base = ["qemu-system-x86_64", "-accel", "tcg"] if emulator == "qemu" else [a.latimer]
    if emulator == "qemu" and bus == "nvme":
        base += ["-smp", "2"]
    argv = [*base, "-M", "pc", "-m", "512", "-display", "none", "-serial", "stdio", "-nic", "none"]
    argv += ["-drive", drive + "if=ide"] if bus == "ide" else ["-drive", drive + "if=none,id=d", *options]
    return Guest([*argv, "-kernel", guest[0], "-initrd", guest[1], "-append",
                  f"console=ttyS0,115200 quiet panic=-1 maxcpus=1 load={device} seconds={a.seconds}"], a.log, 600)


def measure(a, emulator, guest, bus, path, fmt):
    """MiB/s by (operation, bytes, depth)."""
    got = {}
    with start(a, emulator, guest, bus, path, fmt) as g:
        for _ in range(8):
            g.expect("load: begin")
            begin = time.monotonic()
            m = g.expect(r"load: ([^\n]*)\n")
            took = time.monotonic() - begin
            row = ROW.match(m.group(0).decode(errors="replace"))
            if not row:
                raise Failed(m.group(0).decode(errors="replace"))
            op, size, depth, done, _ = row.groups()
            got[op, int(size), int(depth)] = int(done) / took / (1 << 20)
        g.expect("guest: done")
    return got


def tail(log):
    with open(log, errors="replace") as f:
        return f.read()[-2000:]


def main():
    p = argparse.ArgumentParser(description="Throughput of disks, beside QEMU.")
    p.add_argument("--latimer", default=os.environ.get("LATIMER", os.path.join(HERE, "../latimer")))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=int, default=2)
    p.add_argument("--only", default="", metavar="BUS[,FORMAT]")
    a = p.parse_args()
    only = (a.only + ",").split(",")
    slower = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as work:
        a.log = os.path.join(work, "log")
        guest = linux(work, os.path.join(HERE, "disk/init"), MODULES, os.path.join(HERE, "disk/load.c"))
        raw, qcow2 = os.path.join(work, "raw"), os.path.join(work, "qcow2")
        with open(raw, "wb") as f:
            for i in range(SIZE >> 20):
                f.write(bytes([1 + i % 255]) * (1 << 20))
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, qcow2], check=True)
        for bus in BUSES:
            for path, fmt in ((raw, "raw"), (qcow2, "qcow2")):
                if only[0] not in ("", bus) or only[1] not in ("", fmt):
                    continue
                got = {"latimer": [], "qemu": []}
                for r in range(a.rounds):
                    for emulator in list(got)[::-1 if r & 1 else 1]:
                        try:
                            got[emulator].append(measure(a, emulator, guest, bus, path, fmt))
                        except Failed as e:
                            sys.exit(f"disk.py: {emulator}, {bus}, {fmt}, round {r}: {e}\n{tail(a.log)}")
                for key in got["qemu"][0]:
                    ours, theirs = (statistics.median(m[key] for m in got[e]) for e in got)
                    slower += ours < theirs
                    print(f"{bus:10} {fmt:5} {key[0]:5} {key[1] >> 10:3} KiB, {key[2]:2} at a time: {ours:8.1f} MiB/s, QEMU "
                          f"{theirs:8.1f}: {ours / theirs:5.2f}{'  slower' if ours < theirs else ''}", flush=True)
    return slower > 0


sys.exit(main())
