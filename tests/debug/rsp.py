"""The debugger's side of the GDB remote serial protocol, and Latimers to talk to, for tests/debug/gdb.py."""
import os
import re
import select
import signal
import socket
import subprocess
import time


class Trouble(Exception):
    pass


class Line:
    """A connection; packets in, packets out."""

    def __init__(self, path, timeout=180):
        self.timeout = timeout
        self.sock = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 20
        while True:
            try:
                self.sock.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.buf = b""
        self.ack = True
        self.console = ""

    def close(self):
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def byte(self, timeout):
        if not self.buf:
            if not select.select([self.sock], [], [], timeout)[0]:
                raise Trouble("no answer in %s s" % timeout)
            self.buf = self.sock.recv(65536)
            if not self.buf:
                raise Trouble("the connection was closed")
        b, self.buf = self.buf[:1], self.buf[1:]
        return b

    def send(self, body):
        if isinstance(body, str):
            body = body.encode("latin-1")
        self.raw(b"$" + body + b"#%02x" % (sum(body) & 255))
        if self.ack:
            while True:
                b = self.byte(self.timeout)
                if b == b"+":
                    return
                if b == b"-":
                    raise Trouble("the packet was refused")

    def receive(self, timeout=None):
        timeout = timeout or self.timeout
        while self.byte(timeout) != b"$":
            pass
        body = b""
        while True:
            b = self.byte(timeout)
            if b == b"#":
                break
            body += b
        got = int(self.byte(timeout) + self.byte(timeout), 16)
        if got != sum(body) & 255:
            raise Trouble("bad checksum")
        if self.ack:
            try:
                self.raw(b"+")
            except OSError:
                pass                    # it was the last
        return body.decode("latin-1")

    def ask(self, body):
        self.send(body)
        return self.receive()

    def wait(self, timeout=None):
        """The next stop reply; what is said before goes to self.console."""
        while True:
            r = self.receive(timeout)
            if not (r.startswith("O") and r != "OK"):
                return r
            self.console += bytes.fromhex(r[1:]).decode()

    def go(self, body, timeout=None):
        self.send(body)
        return self.wait(timeout)

    def ok(self, body):
        r = self.ask(body)
        if r != "OK":
            raise Trouble("%s was answered with '%s'" % (body[:60], r))

    def monitor(self, text):
        said, self.console = self.console, ""
        r = self.go("qRcmd," + text.encode().hex())
        if r != "OK":
            raise Trouble("monitor %s was answered with '%s'" % (text, r))
        text, self.console = self.console, said
        return text

    def xml(self):
        text, off = "", 0
        while True:
            r = self.ask("qXfer:features:read:target.xml:%x,7f0" % off)
            text += r[1:]
            off += len(r) - 1
            if r[0] == "l":
                return text

    def learn(self):
        """Registers: name to (number, offset in g, bytes)."""
        self.regs = {}
        off = 0
        for name, bits, num in re.findall(r'<reg name="(\w+)" bitsize="(\d+)"[^>]*regnum="(\d+)"', self.xml()):
            self.regs[name] = (int(num), off, int(bits) // 8)
            off += int(bits) // 8
        self.g_size = off

    def g(self):
        r = bytes.fromhex(self.ask("g"))
        if len(r) != self.g_size:
            raise Trouble("g has %d bytes, the description %d" % (len(r), self.g_size))
        return r

    def all(self):
        g = self.g()
        return {n: int.from_bytes(g[o:o + b], "little") for n, (_, o, b) in self.regs.items()}

    def reg(self, name):
        num, _, _ = self.regs[name]
        return int.from_bytes(bytes.fromhex(self.ask("p%x" % num)), "little")

    def set(self, name, v):
        num, _, size = self.regs[name]
        return self.ask("P%x=%s" % (num, v.to_bytes(size, "little").hex()))

    def mem(self, addr, n):
        r = self.ask("m%x,%x" % (addr, n))
        return None if r.startswith("E") else bytes.fromhex(r)

    def write(self, addr, data):
        self.ok("M%x,%x:%s" % (addr, len(data), data.hex()))


class Machine:
    """A Latimer with -gdb and -S."""

    number = 0

    def __init__(self, work, *args, stopped=True, unix=True):
        Machine.number += 1
        self.path = os.path.join(work, "gdb%d" % Machine.number)
        self.log = os.path.join(work, "out%d" % Machine.number)
        latimer = os.environ.get("LATIMER", "./latimer").split()
        line = latimer + ["-display", "none", "-serial", "null", "-net", "none", "-gdb", "unix:" + self.path]
        line += ["-S"] if stopped else []
        # Where tests run in the background SIGINT is ignored, and Latimer would ignore it, too: end() needs it.
        self.proc = subprocess.Popen(line + list(args), stdin=subprocess.DEVNULL, stdout=open(self.log, "w"),
                                     stderr=subprocess.STDOUT,
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def listens(self):
        """Debuggers do not wait for a socket that is not there yet, as Line does."""
        end = time.monotonic() + 60
        while not os.path.exists(self.path):
            if self.proc.poll() is not None or time.monotonic() > end:
                raise Trouble("nobody listens: " + self.said())
            time.sleep(0.05)

    def line(self, **kw):
        line = Line(self.path, **kw)
        line.learn()
        return line

    def end(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        return self.proc.returncode

    def said(self):
        return open(self.log).read()
