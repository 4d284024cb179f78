#!/usr/bin/env python3
"""net.py - how fast a guest is on a user network, beside QEMU (make bench-net).

    net.py [--latimer PROGRAM] [--rounds N] [--only NIC[,ROW]] [--first]

A Debian kernel with busybox and Debian's dropbear (an ssh server), by virtio-net and e1000: 100 MB from an HTTP server on
this host and 100 MB to it; 60 files of mixed sizes by four connections that stay open, as apt-get update fetches them;
logins by ssh, and a stream through ssh's cipher each way. Nothing leaves this host. The emulators take turns, each round
in the other order. A row has the medians of the rounds: the host's time, and the emulator's CPU time. The bar: no slower
than QEMU (TCG). Exit status: 1 if Latimer is slower in a row.
"""
import argparse
import http.server
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/os"))
from guest import Failed, Guest, linux      # noqa: E402
MODULES = "failover net_failover virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_net e1000"
NICS = {"virtio-net": "virtio-net-pci", "e1000": "e1000"}
BULK = 100_000_000
SMALL = [200 + (i * 7919) % 3000 if i % 3 else 20_000 * (1 + i % 10) for i in range(57)] + [2_000_000] * 3
LOGINS, STREAM = 5, 32 << 20
DROPBEAR = ("usr/sbin/dropbear", "usr/bin/dropbearkey")


def cpu_seconds(pid):
    """CPU time of a process with all its threads, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def libraries(tree, programs):
    """Paths of what the programs are linked with, in a folder with Debian's packages."""
    found, todo = {}, list(programs)
    while todo:
        with open(todo.pop(), "rb") as f:
            names = set(re.findall(rb"lib\w+\.so\.\d+", f.read()))
        for name in map(bytes.decode, names):
            for folder in ("lib", "usr/lib"):
                path = f"{tree}/{folder}/x86_64-linux-gnu/{name}"
                if name not in found and os.path.exists(path):
                    found[name] = path
                    todo.append(path)
    return found.values()


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /N: N bytes. POST: takes what comes."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    block = bytes(range(256)) * 4096

    def log_message(self, *unused):
        pass

    def do_GET(self):       # noqa: N802
        left = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left:
            left -= self.wfile.write(self.block[:left])

    def do_POST(self):      # noqa: N802
        left = int(self.headers["Content-Length"])
        while left and (data := self.rfile.read1(min(left, 1 << 18))):
            left -= len(data)
        if not left:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()


class Bench:
    def __init__(self, a, work):
        self.a, self.work = a, work
        self.key = os.path.join(work, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.kernel, self.initrd = linux(work, os.path.join(HERE, "traffic/init"), MODULES.split(),
                                         os.path.join(HERE, "traffic/fetch.c"), files=self.ssh_server())
        if a.first:                     # before any thread is made: all of them inherit it, and all programs
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ssh_server(self):
        """What dropbear needs, as mkcpio.pl wants it said."""
        tree = subprocess.run(["sh", os.path.join(HERE, "../tests/boot/guest.sh"), "tree", "dropbear-bin:amd64"], check=True,
                              text=True, stdout=subprocess.PIPE).stdout.strip()
        passwd = os.path.join(self.work, "passwd")
        with open(passwd, "w", encoding="ascii") as f:
            f.write("root:x:0:0:root:/root:/bin/sh\n")
        loader = "lib64/ld-linux-x86-64.so.2"
        specs = ["dir etc", "dir root", "dir root/.ssh", "dir usr", "dir usr/bin", "dir usr/sbin", "dir lib", "dir lib64",
                 "dir lib/x86_64-linux-gnu", f"file etc/passwd {passwd} 644", f"file root/.ssh/authorized_keys {self.key}.pub 600",
                 f"file {loader} {tree}/{loader} 755", *(f"file {p} {tree}/{p} 755" for p in DROPBEAR)]
        return specs + [f"file lib/x86_64-linux-gnu/{os.path.basename(lib)} {lib} 644"
                        for lib in libraries(tree, [os.path.join(tree, p) for p in DROPBEAR])]

    def start(self, emulator, nic):
        self.ssh_port = free_port()
        base = ["qemu-system-x86_64", "-accel", "tcg"] if emulator == "qemu" else [self.a.latimer]
        net = f"user,id=n,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        return Guest([*base, "-M", "pc", "-m", "512", "-display", "none", "-serial", "stdio", "-netdev", net,
                      "-device", f"{NICS[nic]},netdev=n", "-kernel", self.kernel, "-initrd", self.initrd,
                      "-append", "console=ttyS0,115200 quiet panic=-1"], os.path.join(self.work, "log"), 300)

    def fetch(self, g, args, total):
        g.send(f"fetch {args.format(port=self.server.server_address[1])}\r")
        said = g.expect(r"fetch: ([^\n]*)\n").group(1).decode(errors="replace")
        if said.strip() != f"{total} bytes":
            raise Failed(f"fetch {args[:20]}: {said}")
        g.expect("# ")

    def ssh(self, command, **streams):
        argv = ["ssh", "-F", "none", "-i", self.key, "-p", str(self.ssh_port), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "root@127.0.0.1", command]
        with open(os.path.join(self.work, "ssh"), "w+b") as err:
            if subprocess.run(argv, stderr=err, check=False, timeout=300, **streams).returncode:
                err.seek(0)
                raise Failed(f"ssh: {err.read().decode(errors='replace').strip()}")

    def logins(self):
        for _ in range(LOGINS):
            self.ssh("true", stdin=subprocess.DEVNULL)

    def from_guest(self):
        out = os.path.join(self.work, "stream")
        with open(out, "wb") as f:
            self.ssh(f"dd if=/dev/zero bs=64k count={STREAM >> 16} 2>/dev/null", stdin=subprocess.DEVNULL, stdout=f)
        if os.path.getsize(out) != STREAM:
            raise Failed(f"{os.path.getsize(out)} of {STREAM} bytes came through ssh")

    def to_guest(self):
        with open(os.path.join(self.work, "stream"), "rb") as f:    # what from_guest() made
            self.ssh(f"[ $(wc -c) = {STREAM} ]", stdin=f)

    def measure(self, emulator, nic):
        """Seconds of time and of CPU time by row."""
        got = {}
        with self.start(emulator, nic) as g:
            g.expect("# ")
            self.ssh("true", stdin=subprocess.DEVNULL)  # the server is there, and its code translated
            for name, row in ROWS.items():
                if self.a.row and self.a.row not in name and not (name == FROM and self.a.row in TO):
                    continue
                cpu, begin = cpu_seconds(g.process.pid), time.monotonic()
                row(self, g)
                got[name] = time.monotonic() - begin, cpu_seconds(g.process.pid) - cpu
        return got


FROM, TO = "32 MiB by ssh from guest", "32 MiB by ssh to guest"
ROWS = {
    "100 MB to guest": lambda b, g: b.fetch(g, f"get {{port}} 1 {BULK}", BULK),
    "100 MB from guest": lambda b, g: b.fetch(g, f"put {{port}} {BULK}", BULK),
    "60 files to guest": lambda b, g: b.fetch(g, f"get {{port}} 4 {' '.join(map(str, SMALL))}", sum(SMALL)),
    f"{LOGINS} logins by ssh": lambda b, g: b.logins(),
    FROM: lambda b, g: b.from_guest(),
    TO: lambda b, g: b.to_guest(),
}


def main():
    p = argparse.ArgumentParser(description="Throughput of a user network, beside QEMU.")
    p.add_argument("--latimer", default=os.environ.get("LATIMER", os.path.join(HERE, "../latimer")))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default="", metavar="NIC[,ROW]", help="a network card, rows whose name has this word")
    p.add_argument("--first", action="store_true",
                   help="measure before all else that runs on this host: in real time (SCHED_RR; root)")
    a = p.parse_args()
    only, a.row = (a.only + ",").split(",")[:2]
    slower = 0
    with tempfile.TemporaryDirectory() as work:
        b = Bench(a, work)
        for nic in NICS:
            if only not in ("", nic):
                continue
            got = {"latimer": [], "qemu": []}
            for r in range(a.rounds):
                for emulator in list(got)[::-1 if r & 1 else 1]:
                    got[emulator].append(b.measure(emulator, nic))
            for row in got["qemu"][0]:
                (ours, our_cpu), (theirs, their_cpu) = (
                    [statistics.median(m[row][i] for m in got[e]) for i in (0, 1)] for e in got)
                slower += ours > theirs
                print(f"{nic:10} {row:25} {ours:6.2f} s, CPU {our_cpu:6.2f} s; QEMU {theirs:6.2f} s, CPU {their_cpu:6.2f} s: "
                      f"speed {theirs / ours:5.2f}, CPU {our_cpu / their_cpu:5.2f}{'  slower' if ours > theirs else ''}",
                      flush=True)
    return slower > 0


sys.exit(main())
