"""run.py - one case of os.py on one emulator: what it starts, sees and measures."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from guest import Failed, Guest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../vnc"))
from vnc import Vnc     # noqa: E402
QEMU = ["qemu-system-x86_64", "-accel", "tcg"]


class Skipped(Exception):
    """What is missing, in words."""


class Run:
    """One case on one emulator: its scratch folder and what it measured."""

    def __init__(self, name, program, qemu, log):
        self.name, self.program, self.qemu = name, program, qemu
        self.work = os.path.join(log, name + ("-qemu" if qemu else ""))
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        self.cpu = None

    def path(self, name):
        return os.path.join(self.work, name)

    def guest(self, *args, patience=600, machine="pc", memory="512", text=False):
        """Its parts that every case has; text: screen() will be asked, and the screen has text at the end, too."""
        base = [*(QEMU if self.qemu else [self.program]), "-M", machine, "-m", memory, "-display", "none",
                "-serial", "stdio"]
        if text and self.qemu:
            base += ["-qmp", f"unix:{self.short('qmp')},server,nowait"]
        elif text:
            base += ["-screendump", self.path("screen.txt")]
        return Guest([*base, *args], self.path("console"), patience)

    def short(self, name):
        """A socket's path, which must be short."""
        path = os.path.relpath(self.path(name))
        if os.path.exists(path):
            os.remove(path)
        return path

    # ---- the screen ----

    def vnc(self, g, name="vnc"):
        """A client of the guest that has -vnc unix:NAME."""
        path = os.path.relpath(self.path(name))
        for _ in range(100):
            if os.path.exists(path):
                break
            if g.process.poll() is not None:
                raise Failed(f"the emulator ended with code {g.process.returncode}")
            time.sleep(0.1)
        v = Vnc("unix:" + path)
        v.wait(10, lambda: v.updates)
        return v

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.relpath(self.path("qmp")))
            f = s.makefile("rw")
            f.readline()
            for ask in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                f.write(json.dumps(ask) + "\n")
                f.flush()
                answer = json.loads(f.readline())
                while "event" in answer:
                    answer = json.loads(f.readline())
            if "error" in answer:
                raise Failed(f"QEMU: {answer['error']['desc']}")

    def screen(self, g):
        """The text on the screen now."""
        if self.qemu and not os.path.exists(self.path("qmp")):
            return ""                   # it has not come so far
        if self.qemu:
            # All text memory of an 80-column mode: where the screen begins in it, QEMU does not tell, and Linux moves that.
            self.qmp("pmemsave", val=0xb8000, size=0x8000, filename=os.path.abspath(self.path("text")))
            with open(self.path("text"), "rb") as f:
                text = f.read()[::2].decode("cp437")
            return "\n".join(text[i:i + 80].rstrip() for i in range(0, len(text), 80))
        path = self.path("screen.txt")
        if os.path.exists(path):
            os.remove(path)
        g.signal(signal.SIGUSR1)
        for _ in range(50):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    return f.read()
            time.sleep(0.1)
        return ""

    def wait_screen(self, g, pattern, patience, every=2.0):
        """Waits until the text on the screen matches; returns the match."""
        end = time.monotonic() + patience
        shown = ""
        while True:
            match = re.search(pattern, shown)
            if match:
                return match
            if time.monotonic() > end:
                raise Failed(f"the screen did not show '{pattern}' but: {shown[:2000]}")
            g.drain(every)              # before the first signal, too: it must not come before main()
            if g.process.poll() is not None:
                raise Failed(f"the emulator ended with code {g.process.returncode} before '{pattern}'")
            shown = self.screen(g)

    def copy(self, image):
        """A copy that may be written to."""
        to = self.path(os.path.basename(image))
        subprocess.run(["cp", "--sparse=always", image, to], check=True)
        return to
