#!/usr/bin/env python3
"""diskerror.py FOLDER SHIM COMMAND...: a boot sector that reads its disk (by being booted) and writes to it, on a host that fails
while the test wants it to (tests/cli/host_shim.c). COMMAND runs Latimer or QEMU."""
import json, os, socket, subprocess, sys

folder, shim, *command = sys.argv[1:]
image, bad, sock = (os.path.join(folder, name) for name in ("disk", "bad", "qmp"))
failed = cases = 0

# xor ax,ax; mov es,ax; mov ax,301h; mov bx,7c00h; mov cx,2; mov dx,80h; int 13h; mov al,ah; out 0f4h,al; hlt
SECTOR = bytes.fromhex("31c08ec0b80103bb007cb90200ba8000cd1388e0e6f4f4")
WRITTEN, REFUSED = 1, 0x0c << 1 | 1     # exit codes: BIOS's AH 0 and 0ch (media type not found, as SeaBIOS has it)


class Machine:
    def __init__(self, fault, *args):
        with open(image, "wb") as f:
            f.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa" + b"\0" * (1 << 20))
        if not os.path.exists(bad):
            os.link(image, bad)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sock)
        listener.listen(1)
        env = dict(os.environ, LD_PRELOAD=os.path.abspath(shim), **{fault: bad})
        self.p = subprocess.Popen([*command, "-M", "pc", "-m", "16", "-display", "none", "-serial", "none", "-nic", "none", "-boot", "c",
                                   "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-qmp", "unix:" + sock, *args], env=env,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listener.settimeout(20)
        self.s = listener.accept()[0]
        listener.close()
        os.unlink(sock)
        self.s.settimeout(20)
        self.f = self.s.makefile("rw")
        self.events = []
        json.loads(self.f.readline())
        self.do("qmp_capabilities")

    def message(self):
        try:
            line = self.f.readline()
        except ConnectionResetError:
            line = None
        return json.loads(line) if line else {"event": "END"}

    def do(self, name, **args):
        self.f.write(json.dumps({"execute": name, "arguments": args}) + "\n")
        self.f.flush()
        while True:
            m = self.message()
            if "event" not in m:
                return m["return"]
            self.events.append(m)
            if m["event"] == "END":
                return None

    def wait(self, *names):
        """The first event with one of these names."""
        while True:
            for n, e in enumerate(self.events):
                if e["event"] in names:
                    return self.events.pop(n)
            self.events.append(self.message())

    def status(self):
        block = [b for b in self.do("query-block") if b["device"] == "d"][0]
        return self.do("query-status")["status"], block.get("io-status")

    def end(self):
        """Its exit code."""
        try:
            return self.p.wait(20)
        finally:
            self.p.kill()
            self.s.close()


def check(what, got, want):
    global failed, cases
    cases += 1
    if got != want:
        failed += 1
        print("FAIL: %s: %s instead of %s" % (what, got, want))


def error(m):
    d = m.wait("BLOCK_IO_ERROR", "END").get("data", {})
    return d.get("device"), d.get("operation"), d.get("action"), d.get("nospace")


def mended():
    if os.path.exists(bad):
        os.unlink(bad)


def stops(name, fault, read, *args):
    """The machine stops, again if nothing has changed, and goes on as if nothing had been."""
    m = Machine(fault, *args)
    full = fault == "HOST_FULL"
    for again in range(2):
        check(name + ": event", error(m), ("d", "read" if read else "write", "stop", full))
        m.wait("STOP", "END")
        check(name + ": status", m.status(), ("io-error", "nospace" if full else "failed"))
        if again:
            mended()
        m.do("cont")
    m.wait("RESUME", "END")
    check(name + ": goes on", m.end(), WRITTEN)
    with open(image, "rb") as f:
        f.seek(512)
        check(name + ": what was written", f.read(len(SECTOR)) == SECTOR, True)


def goes_on(name, fault, action, code, *args):
    """The guest is told, or not; it cannot boot (None) or says what it was told."""
    m = Machine(fault, *args)
    got = error(m)
    check(name + ": event", got[2], action)
    if code is None:
        check(name + ": status", m.status()[0], "running")
        m.do("quit")
        m.p.wait(20)
    else:
        check(name + ": what the guest was told", m.end(), code)
    check(name + ": no stop", [e for e in m.events if e["event"] == "STOP"], [])
    mended()


DEVICES = {"ide": ["-device", "ide-hd,drive=d"], "virtio": ["-device", "virtio-blk-pci,drive=d"],
           "scsi": ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=d"]}


def disk(device, drive="", own=""):
    return ["-drive", "if=none,id=d,format=raw,file=%s%s" % (image, drive), *DEVICES[device][:-1], DEVICES[device][-1] + own]


for device in DEVICES:
    stops(device + " rerror=stop", "HOST_BAD_READS", True, *disk(device, ",rerror=stop"))
    stops(device + " werror=stop", "HOST_BAD_WRITES", False, *disk(device, ",werror=stop"))
stops("of the device: rerror=stop", "HOST_BAD_READS", True, *disk("virtio", ",rerror=report", ",rerror=stop"))
stops("of the device: werror=stop", "HOST_BAD_WRITES", False, *disk("ide", ",werror=ignore", ",werror=stop"))
stops("full", "HOST_FULL", False, *disk("ide"))
stops("full, werror=stop", "HOST_FULL", False, *disk("virtio", ",werror=stop"))
goes_on("usual reads", "HOST_BAD_READS", "report", None, *disk("ide"))
goes_on("usual writes", "HOST_BAD_WRITES", "report", REFUSED, *disk("ide"))
goes_on("werror=report, full", "HOST_FULL", "report", REFUSED, *disk("virtio", ",werror=report"))
goes_on("werror=ignore", "HOST_BAD_WRITES", "ignore", WRITTEN, *disk("scsi", ",werror=ignore"))
goes_on("rerror=ignore", "HOST_BAD_READS", "ignore", None, *disk("ide", ",rerror=ignore"))
print("diskerror: %d checks, %d failed" % (cases, failed))
sys.exit(failed != 0)
