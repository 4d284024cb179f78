"""guest.py - an emulator under test: its serial console, its CPU time, how it ends."""
import os
import re
import shutil
import select
import signal
import subprocess
import time


class Failed(Exception):
    """A milestone was not reached."""


def linux(work, init, modules, *programs, files=()):
    """Debian's kernel and an initramfs with busybox, an /init, modules, programs in /bin, which are C sources, and more
    as tests/boot/mkcpio.pl wants it said.

    CalledProcessError: something cannot be had.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    boot = os.path.join(here, "../boot")
    script = ["sh", os.path.join(boot, "guest.sh")]
    small = subprocess.run([*script, "initramfs", "amd64", *modules], check=True, text=True, stdout=subprocess.PIPE,
                           env=dict(os.environ, BOOT_INIT=init)).stdout.strip()
    kernel = subprocess.run([*script, "kernel", "amd64"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    specs = ["dir bin", *files]
    for source in programs:
        name = os.path.basename(source)[:-2]
        program = os.path.join(work, name)
        subprocess.run([os.environ.get("GUEST_CC", "gcc"), "-m64", "-O2", "-Wall", "-static", "-o", program, source],
                       check=True)
        specs.append(f"file bin/{name} {program} 755")
    more, initrd = os.path.join(work, "more"), os.path.join(work, "initrd")
    subprocess.run(["perl", os.path.join(boot, "mkcpio.pl"), more, *specs], check=True)
    with open(initrd, "wb") as out:
        for path in (small, more):
            with open(path, "rb") as f:
                shutil.copyfileobj(f, out)
    return kernel, initrd


class Guest:
    """A running emulator whose first serial port is its standard input and output."""

    def __init__(self, argv, log, patience):
        self.log = open(log, "wb")
        self.patience = patience
        self.out = b""
        self.seen = 0
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        os.set_blocking(self.process.stdout.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()

    def cpu(self):
        """Seconds of user and system time so far."""
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read(self, wait):
        ready, _, _ = select.select([self.process.stdout], [], [], wait)
        data = self.process.stdout.read() if ready else b""
        if data:
            self.out += data
            self.log.write(data)
            self.log.flush()
        return data

    def drain(self, seconds):
        """Takes what the console shows for so long: a guest whose console nobody reads waits."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.process.poll() is None:
            if not self._read(left):
                time.sleep(min(left, 0.05))

    def expect(self, pattern, patience=None):
        """Waits until the console shows the pattern behind what was seen before; returns the match."""
        end = time.monotonic() + (patience or self.patience)
        while True:
            match = re.search(pattern.encode(), self.out[self.seen:])
            if match:
                self.seen += match.end()
                return match
            if time.monotonic() > end:
                raise Failed(f"the console did not show '{pattern}'")
            if not self._read(0.2) and self.process.poll() is not None:
                raise Failed(f"the emulator ended with code {self.process.returncode} before '{pattern}'")

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def login(self, user="root", password="root"):
        self.expect("login: ")
        self.send(user + "\r")
        self.expect("assword: ")
        self.send(password + "\r")
        self.expect(r"[#\$] ")

    def run(self, command, patience=None):
        """One command of a shell at its prompt; returns what it printed. It must succeed."""
        self.send(command + "; echo status=$?=\r")
        text = self.expect(r"(?s)(.*?)status=(\d+)=", patience)
        if text.group(2) != b"0":
            raise Failed(f"'{command}' ended with {text.group(2).decode()}: {text.group(1).decode(errors='replace')}")
        self.expect(r"[#\$] ")
        return text.group(1).decode(errors="replace").split("\n", 1)[-1].strip()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, code=0, patience=None):
        """The emulator must end by itself, with that code."""
        end = time.monotonic() + (patience or self.patience)
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise Failed("the emulator did not end")
            self._read(0.2)
        while self._read(0):
            pass
        if self.process.returncode != code:
            raise Failed(f"the emulator ended with code {self.process.returncode} instead of {code}")
