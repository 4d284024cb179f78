#!/usr/bin/env python3
"""idle.py - what a guest costs that does nothing, and how fast it wakes (make bench-idle).

    idle.py [--latimer PROGRAM] [--only WORD] [--no-qemu] [--seconds N] [--first]

CPU: user and system time of the process over N seconds (10), as a share of one host processor, of a Debian kernel at
a shell and of a Debian disk at its login, by kinds of display and network. Wake: a 10 ms sleep by the guest's clock
(late by how much, median, 99 %, most), and by the host's clock the round trip of a byte on the serial port and of a UDP
packet (median, 99 %), each 20 ms after the last, so that the guest sleeps. "There" is the packet's way from the host's
program to the guest's, so an upper bound of what the wake-up itself takes: clocks are compared by the fastest round
trip, of which each way is taken to be half. The bars: 2 %, and 1 ms of median and 99 %; QEMU (TCG) beside. Exit status: 1 if Latimer misses a bar.
"""
import argparse
import os
import shutil
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../tests/os"), os.path.join(HERE, "../tests/vnc")]
from guest import Failed, Guest, linux      # noqa: E402
from vnc import Vnc                         # noqa: E402
CACHE = os.path.join(os.environ.get("LATIMER_CACHE", os.path.expanduser("~/.cache/latimer")), "os")
CPU_BAR, WAKE_BAR = 2.0, 1000               # %, us
PINGS = 200


def cpu_seconds(pid):
    """CPU time of a process with all its threads, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def percentiles(values):
    values = sorted(values)
    return values[len(values) // 2], values[len(values) * 99 // 100]


class Bench:
    def __init__(self, a, work):
        self.a, self.work = a, work
        self.kernel, self.initrd = linux(work, os.path.join(HERE, "idle/init"), ["failover", "net_failover", "virtio",
                                         "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci",
                                         "virtio_net", "e1000"], os.path.join(HERE, "idle/wake.c"))

    def start(self, emulator, board, args, disk=False):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        base = ["qemu-system-x86_64", "-accel", "tcg"] if emulator == "qemu" else [self.a.latimer]
        argv = [*base, "-M", board, "-m", "512", "-serial", "stdio", *args]
        if disk:
            argv += ["-snapshot", "-drive", f"file={CACHE}/debian.img,format=raw"]
        else:
            argv += ["-kernel", self.kernel, "-initrd", self.initrd, "-append", "console=ttyS0,115200 quiet panic=-1"]
        return Guest(argv, os.path.join(self.work, "log"), 300)

    def idle(self, g, settle):
        """Share of a processor, in %, after a while in which the guest comes to rest."""
        end = time.monotonic() + settle
        while time.monotonic() < end:
            g._read(0.2)
        if self.a.first:
            for pid in [os.getpid(), *map(int, os.listdir(f"/proc/{g.process.pid}/task"))]:
                os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
        cpu, start = cpu_seconds(g.process.pid), time.monotonic()
        time.sleep(self.a.seconds)
        return 100 * (cpu_seconds(g.process.pid) - cpu) / (time.monotonic() - start)

    # ---- rows: each gives a dictionary of what it measured ----

    def shell(self, emulator, board, args, client=None):
        with self.start(emulator, board, args) as g:
            g.expect("# ")
            viewer = None
            if client:
                viewer = Vnc("unix:" + client)
                viewer.look(2)
            cpu = self.idle(g, 5)
            del viewer
        return {"cpu": cpu}

    def vnc(self, emulator, board, with_client):
        path = os.path.join(self.work, "vnc")
        if os.path.exists(path):
            os.remove(path)
        return self.shell(emulator, board, ["-nic", "none", "-vnc", "unix:" + path], path if with_client else None)

    def login(self, emulator):
        with self.start(emulator, "pc", ["-display", "none"], disk=True) as g:
            g.expect("login: ")
            return {"cpu": self.idle(g, 30)}

    def wake(self, emulator, nic):
        port = free_port()
        net = ["-display", "none", "-netdev", f"user,id=n0,hostfwd=udp:127.0.0.1:{port}-:7", "-device", f"{nic},netdev=n0"]
        with self.start(emulator, "pc", net) as g:
            g.expect("# ")
            cpu = self.idle(g, 5)
            g.send("wake timer 500\r")
            g.expect("begin")
            began = time.monotonic()
            m = g.expect(r"late: (-?\d+) (-?\d+) (-?\d+) took (\d+)\n")
            drift = (time.monotonic() - began) / (int(m.group(4)) / 1e9) - 1
            late = [int(m.group(i)) for i in (1, 2, 3)]
            serial = self.serial(g)
            g.expect("# ")
            g.send("wake udp 7\r")
            g.expect("ready")
            udp, there = self.udp(port)
        return {"cpu": cpu, "timer": late, "drift": drift, "serial": serial, "udp": udp, "there": there}

    def serial(self, g):
        g.send("wake serial\r")
        g.expect("ready")
        took = []
        for _ in range(PINGS):
            time.sleep(0.02)
            start = time.monotonic()
            g.send("x")
            g.expect("x", 5)
            took.append((time.monotonic() - start) * 1e6)
        g.send("Z")
        return percentiles(took)

    def udp(self, port):
        """Round trips, and what of them was before the guest's program had the packet."""
        took, ahead = [], []            # ahead: the guest's clock when it had it, less the host's when it was sent
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            for i in range(PINGS + 10):     # the first ones need ARP
                time.sleep(0.02)
                start = time.monotonic()
                ping = b"ping %d" % i
                s.sendto(ping, ("127.0.0.1", port))
                try:
                    while (back := s.recv(100))[:-8] != ping:
                        pass
                except TimeoutError:
                    if i >= 10:
                        raise Failed("a packet did not come back") from None
                    continue
                if i >= 10:
                    took.append((time.monotonic() - start) * 1e6)
                    ahead.append(int.from_bytes(back[-8:], "little") / 1e3 - start * 1e6)
        least = min(took)
        offset = ahead[took.index(least)] - least / 2
        there = [a - offset for a in ahead]
        # On a busy host the guest's clock falls behind, and catches up: then the two cannot be compared.
        together = all(0 <= there[i] <= took[i] for i in range(len(took)))
        return percentiles(took), percentiles(there) if together else None


ROWS = {
    "shell, pc, no display": lambda b, e: b.shell(e, "pc", ["-display", "none", "-nic", "none"]),
    "shell, q35, no display": lambda b, e: b.shell(e, "q35", ["-display", "none", "-nic", "none"]),
    "shell, VNC, no client": lambda b, e: b.vnc(e, "pc", False),
    "shell, VNC, idle client": lambda b, e: b.vnc(e, "pc", True),
    "shell, e1000": lambda b, e: b.wake(e, "e1000"),
    "shell, virtio-net": lambda b, e: b.wake(e, "virtio-net-pci"),
    "Debian at login, IDE": lambda b, e: b.login(e),
}


def show(name, emulator, r):
    """A line of the table; whether bars are met."""
    text, met = f"{r['cpu']:5.2f} %", r["cpu"] <= CPU_BAR
    if "timer" in r:
        text += (f"  timer {r['timer'][0]} {r['timer'][1]} {r['timer'][2]} us (clock {100 * r['drift']:+.1f} %)"
                 f"  serial {r['serial'][0]:.0f} {r['serial'][1]:.0f} us  udp {r['udp'][0]:.0f} {r['udp'][1]:.0f} us"
                 + (f"  there {r['there'][0]:.0f} {r['there'][1]:.0f} us" if r["there"] else "  there unknown"))
        met &= all(v <= WAKE_BAR for v in (*r["timer"][:2], *r["serial"], *r["udp"], *(r["there"] or ())))
    print(f"{name:25} {emulator:8} {text}{'' if met else '  over'}", flush=True)
    return met


def main():
    p = argparse.ArgumentParser(description="CPU time of idle guests, and how fast they wake.")
    p.add_argument("--latimer", default=os.environ.get("LATIMER", os.path.join(HERE, "../latimer")))
    p.add_argument("--only", default="", metavar="WORD", help="rows whose name has this word")
    p.add_argument("--no-qemu", action="store_true")
    p.add_argument("--seconds", type=float, default=10)
    p.add_argument("--first", action="store_true",
                   help="measure before all else that runs on this host: in real time (SCHED_FIFO; root)")
    a = p.parse_args()
    emulators = ["latimer"] + (["qemu"] if shutil.which("qemu-system-x86_64") and not a.no_qemu else [])
    missed = 0
    with tempfile.TemporaryDirectory() as work:
        b = Bench(a, work)
        for name, row in ROWS.items():
            if a.only not in name:
                continue
            if "Debian" in name and not os.path.exists(f"{CACHE}/debian.img"):
                print(f"{name}: skipped: make check-os OS=debian-ide makes the disk")
                continue
            for emulator in emulators:
                try:
                    missed += not show(name, emulator, row(b, emulator)) and emulator == "latimer"
                except (Failed, OSError) as e:
                    print(f"{name:25} {emulator:8} {e}", flush=True)
                    missed += emulator == "latimer"
    return missed > 0


sys.exit(main())
