#!/usr/bin/env python3
"""net.py - a Debian kernel with a network chip and user networking, both ways.

    net.py [--size BYTES] [--qemu] [--times] MODEL MODULE...

The guest gets an address by DHCP, fetches a file of random bytes from a server on this host's loopback interface, and
gives it back through a forwarded port; what arrived must be what left, each time. MODEL may have properties, with commas. LATIMER: the program; GUEST: the
kernel of guest.sh (amd64); --qemu: the same with QEMU, to compare; --times: how long the transfers took.
"""
import argparse, hashlib, http.server, os, random, re, socket, subprocess, sys, tempfile, threading, time, urllib.request

here = os.path.dirname(os.path.abspath(__file__))


def guest(*args, **env):
    p = subprocess.run(["sh", here + "/guest.sh", *args], stdout=subprocess.PIPE, env={**os.environ, **env})
    if p.returncode:
        sys.exit(77)
    return p.stdout.decode().strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *args):
        pass


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--size", type=int, default=3000001)
    p.add_argument("--qemu", action="store_true")
    p.add_argument("--times", action="store_true")
    p.add_argument("--memory", default="512")
    p.add_argument("--timeout", type=int, default=300)
    p.add_argument("model")
    p.add_argument("module", nargs="*")
    a = p.parse_args()
    kernel_name = os.environ.get("GUEST", "amd64")
    content = random.Random(a.size).randbytes(a.size)
    want = hashlib.sha256(content).hexdigest()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content = content
    threading.Thread(target=server.serve_forever, daemon=True).start()
    initramfs = guest("initramfs", kernel_name, *a.module, BOOT_INIT=here + "/net/init")
    kernel = guest("kernel", kernel_name)
    web, word = free_port(), free_port()
    with tempfile.TemporaryDirectory() as work:
        serial, pcap = work + "/serial", work + "/pcap"
        user = f"user,id=n0,hostfwd=tcp:127.0.0.1:{web}-:80,hostfwd=tcp:127.0.0.1:{word}-:81"
        nic = ["-netdev", user, "-device", a.model + ",netdev=n0"] if "," in a.model else \
            ["-nic", user + ",model=" + a.model]
        command = ["qemu-system-x86_64", "-accel", "tcg", "-display", "none"] if a.qemu else \
            [os.environ.get("LATIMER", here + "/../../latimer"), "-M", "pc", "-nographic"]
        command += ["-m", a.memory, "-no-reboot", "-serial", "file:" + serial, "-kernel", kernel, "-initrd", initramfs,
                    "-append", f"console=ttyS0 quiet panic=-1 port={server.server_port}", *nic]
        if not a.times:
            command += ["-object", "filter-dump,id=d0,netdev=n0,file=" + pcap]
        run = subprocess.Popen(command, stdin=subprocess.DEVNULL)

        def text():
            with open(serial, "rb") as f:
                return f.read().decode(errors="replace")

        def fail(why):
            run.kill()
            run.wait()
            print(text()[-3000:] if os.path.exists(serial) else "")
            print(f"FAIL: net {a.model}: {why}")
            sys.exit(1)

        end = time.time() + a.timeout
        while not os.path.exists(serial) or "guest: serves" not in text():
            if run.poll() is not None:
                fail(f"it left with {run.returncode}")
            if time.time() > end:
                fail("the guest did not come to serve the file")
            time.sleep(0.2)
        got = re.search(r"guest: sum (\w+)", text())
        if not got or got[1] != want:
            fail("what the guest has fetched is not what was sent")
        if "guest: address 10.0.2.15 router 10.0.2.2 dns 10.0.2.3" not in text():
            fail("no address by DHCP")
        if not re.search(r"2 packets received", text()):
            fail("no answer to ping")
        start = time.time()
        back = urllib.request.urlopen(f"http://127.0.0.1:{web}/file", timeout=a.timeout).read()
        took = time.time() - start
        if back != content:
            fail("what came back from the guest is not what was sent")
        with socket.create_connection(("127.0.0.1", word)) as s:
            s.sendall(b"all is well\n")
        try:
            run.wait(60)
        except subprocess.TimeoutExpired:
            fail("the guest did not power off")
        if "guest: host says all is well" not in text():
            fail("the second forwarded port brought nothing")
        if a.times:
            span = re.search(r"guest: fetched from ([\d.]+) to ([\d.]+)", text())
            secs = float(span[2]) - float(span[1])
            print(f"{'qemu' if a.qemu else 'latimer'} {a.model}: to the guest {a.size / secs / 1e6:.1f} MB/s ({secs:.2f} s), "
                  f"from the guest {a.size / took / 1e6:.1f} MB/s ({took:.2f} s)")
        else:
            with open(pcap, "rb") as f:
                data = f.read()
            at, seen = 24, 0
            while at + 16 <= len(data):         # whole records to the end, and at least the file twice
                n = int.from_bytes(data[at + 8:at + 12], "little")
                at, seen = at + 16 + n, seen + n
            if data[:4] != b"\xd4\xc3\xb2\xa1" or at != len(data) or seen < 2 * a.size:
                fail(f"the capture has {seen} bytes in frames, and ends at {len(data)}, not {at}")
        print(re.search(r"guest: .* on .*", text())[0])


main()
