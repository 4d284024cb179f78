#!/usr/bin/env python3
"""libvirt.py - unmodified libvirt with Latimer as its emulator, by its embedded driver: no daemon, no privilege.

  libvirt.py [--latimer COMMAND] quick [CASE...]
"""
import glob, json, mmap, os, pty, re, select, shutil, socket, struct, subprocess, sys, tempfile, time, tty
import xml.etree.ElementTree as xml

from machine import SLOW, WORK, Failed, Qmp, check, command, machine, machines, main, path, same, until
from migrate import SECTOR


class Missing(Exception):
    pass


class Libvirt:
    """A folder of libvirt's own, used by nobody if we are root: its driver leaves root's rights in parts."""
    def __init__(self):
        if not shutil.which("virsh"):
            raise Missing("there is no virsh (install libvirt-clients)")
        if not glob.glob("/usr/lib*/libvirt/connection-driver/libvirt_driver_qemu.so") + \
           glob.glob("/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so"):
            raise Missing("libvirt has no driver for QEMU (install libvirt-daemon-driver-qemu)")
        if len(command()) > 1:
            raise Missing("libvirt starts a program by its path, and Latimer is run by " + command()[0])
        if "no jit" in subprocess.run([*command(), "-accel", "help"], capture_output=True, text=True).stdout:
            raise Missing("libvirt asks for -accel tcg, and this Latimer has no code generator")
        self.as_user = []
        if os.getuid() == 0:
            if not shutil.which("setpriv"):
                raise Missing("there is no setpriv (install util-linux)")
            self.as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chmod(WORK, 0o711)
        # The path of a unix socket is short.
        self.root = tempfile.mkdtemp(prefix="lv-", dir=WORK)
        self.exe = path("latimer")
        if not os.path.exists(self.exe):
            shutil.copy(command()[0], self.exe)
        if self.as_user:
            os.chown(self.root, 65534, 65534)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.root, "XDG_RUNTIME_DIR": self.root}

    def virsh(self, *words, script=None, seconds=120):
        """What it prints. script: several commands in one session, in the end of which domains that run are gone."""
        p = subprocess.run([*self.as_user, "virsh", "-q", "-c", "qemu:///embed?root=" + self.root, *words], input=script, env=self.env,
                           capture_output=True, text=True, timeout=seconds * SLOW)
        check(p.returncode == 0, "virsh %s: %d: %s%s" % (words, p.returncode, p.stdout, p.stderr))
        return p.stdout


def libvirt(case):
    """A case that says why it is skipped where it cannot run."""
    def run():
        try:
            lv = Libvirt()
        except Missing as e:
            print("  skipped: %s" % e)
            return
        case(lv)
    run.__doc__ = case.__doc__
    return run


@libvirt
def quick_capabilities(lv):
    """What libvirt makes of its questions is what there is."""
    caps = xml.fromstring(lv.virsh("domcapabilities", "--emulatorbin", lv.exe, "--virttype", "qemu"))
    same((caps.findtext("domain"), caps.findtext("arch"), caps.findtext("machine")), ("qemu", "x86_64", "pc"))
    same(caps.find("vcpu").get("max"), "1")
    values = lambda where: {v.text for v in caps.findall(where + "/value")}
    same(values("memoryBacking/enum[@name='sourceType']"), {"file", "anonymous", "memfd"})
    check({"ide", "scsi", "virtio", "usb", "sata"} <= values("devices/disk/enum[@name='bus']"), "buses are missing")
    check("vga" in values("devices/video/enum[@name='modelType']"), "there is no VGA")
    same({m.text: m.get("usable") for m in caps.findall("cpu/mode[@name='custom']/model")}, {"qemu64": "yes"})
    same(values("devices/rng/enum[@name='backendModel']"), {"random", "builtin"})
    # Features are the guest's, not the host's: none that -cpu refuses.
    model = caps.find("cpu/mode[@name='host-model']")
    features = {f.get("name"): f.get("policy") for f in model.findall("feature")}
    wanted = [n for n, p in features.items() if p == "require"]
    check("sse4.2" in wanted and "smep" in wanted, str(features))
    p = subprocess.run([lv.exe, "-M", "none", "-display", "none", "-monitor", "stdio", "-cpu", model.findtext("model") + "".join(",+" + n for n in wanted)],
                       input="quit\n", capture_output=True, text=True, timeout=60 * SLOW)
    same((p.returncode, p.stderr), (0, ""))


DOMAIN = """
<domain type='qemu'>
  <name>t</name>
  <memory unit='MiB'>64</memory>
  <memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>%(exe)s</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%(disk)s'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='scsi'/></disk>
    <controller type='scsi' model='virtio-scsi'/>
    <interface type='user'><model type='e1000'/></interface>
    %(graphics)s
    <video><model type='vga'/></video>
    <input type='tablet' bus='usb'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <serial type='file'><source path='%(root)s/serial'/></serial>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <watchdog model='i6300esb' action='reset'/>
    <panic model='isa'/>
  </devices>
</domain>
"""


class Session:
    """virsh's own shell, since domains end with the process that started them; a terminal, since it writes to pipes late."""
    def __init__(self, lv):
        self.out, end = pty.openpty()
        tty.setraw(end)
        self.p = subprocess.Popen([*lv.as_user, "virsh", "-q", "-c", "qemu:///embed?root=" + lv.root], env=lv.env, stdin=subprocess.PIPE,
                                  stdout=end, stderr=end)
        os.close(end)
        self.n = 0
        machines.append(self)

    def do(self, line, wrong=None, seconds=60):
        """What a command says; it fails, if something is to be wrong."""
        self.n += 1
        self.p.stdin.write(('%s\necho "@"%d@\n' % (line, self.n)).encode())
        self.p.stdin.flush()
        said = b""
        end = time.monotonic() + seconds * SLOW
        while b"@%d@" % self.n not in said:
            check(select.select([self.out], [], [], max(0, end - time.monotonic()))[0], "%s: no answer: %s" % (line, said.decode()))
            said += os.read(self.out, 65536)
        text = said.decode()
        check(re.search("error: .*" + wrong, text) if wrong else "error:" not in text, "%s: %s" % (line, text))
        return text

    def kill(self):
        self.p.stdin.close()
        try:
            self.p.wait(30 * SLOW)
        except subprocess.TimeoutExpired:
            self.p.kill()
        os.close(self.out)


class Domain:
    """One that is started, counts in its memory, and is gone at the end; that is a file which this process sees."""
    def __init__(self, lv):
        displays = subprocess.run([*command(), "-display", "help"], stdout=subprocess.PIPE, text=True).stdout
        disk, self.iso, xmlfile = path("disk.qcow2"), path("cd.iso"), path("t.xml")
        with open(path("disk.raw"), "wb") as f:
            f.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa" + bytes(512 * 2047))
        subprocess.run([*command(), "image", "convert", "-q", "-f", "raw", "-O", "qcow2", path("disk.raw"), disk], check=True)
        with open(self.iso, "wb") as f:
            f.truncate(1 << 20)
        with open(xmlfile, "w") as f:
            f.write(DOMAIN % {"exe": lv.exe, "disk": disk, "root": lv.root,
                              "graphics": "<graphics type='vnc' socket='%s/vnc'/>" % lv.root if "vnc=ADDRESS" in displays else ""})
        if lv.as_user:
            for name in (disk, self.iso):
                os.chown(name, 65534, 65534)
        self.root = lv.root
        self.s = Session(lv)
        self.s.do("create " + xmlfile)

    def __enter__(self):
        self.look()
        self.counts()
        return self

    def __exit__(self, *unused):
        self.s.do("destroy t", seconds=9)       # behind ten it kills

    def look(self):
        ram, = glob.glob(self.root + "/lib/qemu/ram/*/pc.ram")
        with open(ram, "rb") as f:
            self.memory = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)

    def count(self):
        return struct.unpack_from("<I", self.memory, 0x600)[0]

    def counts(self):
        """On, from where it was."""
        before = self.count()
        until(lambda: self.count() != before and 1000 < self.count() < 1 << 30, "the domain does not run")


@libvirt
def quick_domain(lv):
    """A domain is started, looked at and changed."""
    with Domain(lv) as d:
        s, iso = d.s, d.iso
        check("running" in s.do("domstate t"), "it does not run")
        s.do("suspend t")
        stands = d.count()
        time.sleep(0.3)
        same(d.count(), stands)
        check("paused" in s.do("domstate t"), "it is not paused")
        s.do("resume t")
        d.counts()
        stats = s.do("domstats --block --balloon t")
        check("block.0.name=vda" in stats and "block.0.rd.bytes=" in stats and "block.0.capacity=1048576" in stats and
              "balloon.current=65536" in stats, stats)
        check(iso not in s.do("domblklist t"), "there is a CD")
        s.do("change-media t sda %s --insert --live" % iso)
        check(iso in s.do("domblklist t"), "there is no CD")
        check(iso in s.do("qemu-monitor-command t --hmp 'info block'"), "the drive has none")
        s.do("change-media t sda --eject --live")
        check(iso not in s.do("qemu-monitor-command t --hmp 'info block'"), "it was not ejected")
        s.do("blockresize t vda 2M")
        check("2097152" in s.do("domblkinfo t vda"), "the disk has not grown")
        s.do("screenshot t %s/shot" % lv.root)
        check(os.path.getsize(lv.root + "/shot") > 1000, "there is no picture")
        s.do("send-key t KEY_LEFTCTRL KEY_C")
        s.do("setmem t 60M")
        s.do("inject-nmi t")
        s.do("dump t %s/core --memory-only" % lv.root)
        with open(lv.root + "/core", "rb") as f:
            check(f.read(4) == b"\x7fELF", "no core file")
        s.do("reset t")
        d.counts()
        # Saved, and gone; and there again, as it was.
        saved = lv.root + "/saved"
        before = d.count()
        s.do("save t " + saved)
        check("running" not in s.do("list --all"), "it is still there")
        s.do("restore " + saved)
        d.look()
        d.counts()
        check(d.count() >= before, "it began anew")


@libvirt
def quick_snapshots(lv):
    """Snapshots in the image, of a domain that runs and of one that stands still."""
    names = lambda: [line.split()[0] for line in s.do("snapshot-list t --topological").splitlines() if line.startswith(" ")]
    with Domain(lv) as d:
        s = d.s
        s.do("snapshot-create-as t one")
        first = d.count()
        d.counts()
        s.do("suspend t")
        stands = d.count()
        s.do("snapshot-create-as t two 'it stands still'")
        same(names(), ["one", "two"])
        s.do("resume t")
        d.counts()
        s.do("snapshot-revert t two")       # by another process
        d.look()
        same(d.count(), stands)
        check("paused" in s.do("domstate t"), "it is not paused")
        s.do("snapshot-revert t one --paused")
        d.look()
        check(1000 < d.count() <= first, "it is not where it was: %d, %d" % (d.count(), first))
        s.do("resume t")
        d.counts()
        s.do("snapshot-revert t one")
        d.look()
        check("running" in s.do("domstate t"), "it does not run")
        d.counts()
        check("one" in s.do("snapshot-current t --name"), "that is another one")
        s.do("snapshot-delete t two")
        same(names(), ["one"])
        check("one" in s.do("qemu-monitor-command t --hmp 'info snapshots'"), "the image has lost it")
        s.do("snapshot-delete t one")
        same(names(), [])
        check("no snapshot" in s.do("qemu-monitor-command t --hmp 'info snapshots'"), "the image has kept one")
        s.do("snapshot-revert t one", wrong="no domain snapshot")


def quick_signal():
    """SIGTERM ends a machine whose guest would not end it: libvirt waits ten seconds before it kills."""
    for n, options in enumerate((["-S"], [], ["-no-shutdown"])):
        m = machine("-M", "pc", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("s%d" % n), *options)
        q = Qmp(path("s%d" % n))
        if not options:
            q.cmd("migrate", uri="file:" + path("gone"))
            until(lambda: q.cmd("query-status")["status"] == "postmigrate", "it is not sent")
        m.p.terminate()
        q.event("SHUTDOWN", guest=False, reason="host-signal")
        m.ends(128 + 15)


def quick_random():
    """Where a device's random bytes are from."""
    m = machine("-M", "pc", "-S", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("r"), "-object", "rng-random,id=a,filename=/dev/zero",
                "-object", '{"qom-type":"rng-builtin","id":"b"}', "-device", "virtio-rng-pci,id=r,rng=a", "-device", "virtio-rng-pci,rng=b")
    q = Qmp(path("r"))
    same([(p["name"], p["type"]) for p in q.cmd("qom-list", path="/objects")[2:]], [("a", "child<rng-random>"), ("b", "child<rng-builtin>")])
    same(q.cmd("qom-get", path="/objects/a", property="filename"), "/dev/zero")
    same(q.cmd("qom-get", path="/machine/peripheral/r", property="rng"), "a")
    q.cmd("quit")
    m.ends(0)
    for code, why, *more in ((3, "No such file", "-object", "rng-random,id=a,filename=" + path("none")), (2, "'filename' is unexpected", "-object", "rng-builtin,id=a,filename=x"),
                             (2, "rng=x", "-device", "virtio-rng-pci,rng=x"), (2, "another device has rng=a", "-object", "rng-builtin,id=a", "-device",
                                                                               "virtio-rng-pci,rng=a", "-device", "virtio-rng-pci,rng=a")):
        p = subprocess.run([*command(), "-display", "none", "-serial", "null", "-M", "pc", *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW)
        check(p.returncode == code and why in p.stderr, "%s: %d: %s" % (more, p.returncode, p.stderr))


def quick_given():
    """A core file goes where a descriptor leads."""
    m = machine("-M", "pc", "-m", "64", "-S", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("g"))
    q = Qmp(path("g"))
    with open(path("core"), "wb") as f:
        check("return" in q.ask("getfd", fds=[f.fileno()], fdname="dump"), "getfd")
    q.cmd("dump-guest-memory", paging=False, protocol="fd:dump")
    whole = open(path("core"), "rb").read()
    check(whole[:4] == b"\x7fELF" and len(whole) > 60 << 20, "no core file")
    # Or into a pipe, which somebody reads.
    reads, writes = os.pipe()
    with open(path("piped"), "wb") as f:
        reader = subprocess.Popen(["cat"], stdin=reads, stdout=f)
    check("return" in q.ask("getfd", fds=[writes], fdname="dump"), "getfd")
    os.close(reads)
    os.close(writes)
    q.cmd("dump-guest-memory", paging=False, protocol="fd:dump")
    reader.wait(60 * SLOW)
    check(open(path("piped"), "rb").read() == whole, "something else came through the pipe")
    reads, writes = os.pipe()
    check("return" in q.ask("getfd", fds=[writes], fdname="dump"), "getfd")
    os.close(reads)
    os.close(writes)
    q.error("dump-guest-memory", paging=False, protocol="fd:dump", desc="Broken pipe")
    q.error("dump-guest-memory", paging=False, protocol="fd:dump", desc="not found")
    q.cmd("quit")
    m.ends(0)


def quick_sent():
    """Options and questions as libvirt sends them, without it."""
    disk = path("sent.qcow2")
    subprocess.run([*command(), "image", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
    with open(path("sent.iso"), "wb") as f:
        f.truncate(1 << 20)
    with open(path("key"), "wb") as f:
        f.write(b"secret")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path("mon"))
    listener.listen(1)
    serial = os.open(path("serial"), os.O_WRONLY | os.O_CREAT, 0o600)
    options = ["-S", "-nodefaults", "-object", "secret,id=masterKey0,format=raw,file=" + path("key"), "-object",
               '{"qom-type":"secret","id":"b","data":"c2VjcmV0","format":"base64"}',
               "-machine", "q35,usb=off,dump-guest-core=off,memory-backend=pc.ram", "-m", "64",
               "-object", '{"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864}',
               "-chardev", "socket,id=charmonitor,fd=%d,server=on,wait=off" % listener.fileno(), "-mon", "chardev=charmonitor,id=monitor,mode=control",
               "-blockdev", '{"driver":"file","filename":"%s","node-name":"libvirt-1-storage","auto-read-only":true,"discard":"unmap"}' % disk,
               "-blockdev", '{"node-name":"libvirt-1-format","read-only":false,"driver":"qcow2","file":"libvirt-1-storage","backing":null}',
               "-device", '{"driver":"virtio-blk-pci","bus":"pcie.0","addr":"0x2","drive":"libvirt-1-format","id":"virtio-disk0","bootindex":1}',
               "-device", "ide-cd,bus=ide.0,id=sata0-0-0", "-device", "virtio-scsi-pci,id=scsi0", "-device", "scsi-cd",
               "-netdev", '{"type":"user","id":"hostnet0"}', "-device", '{"driver":"e1000","netdev":"hostnet0","id":"net0"}',
               "-add-fd", "set=0,fd=%d,opaque=serial0-source" % serial, "-chardev", "file,id=charserial0,path=/dev/fdset/0,append=on",
               "-device", "isa-serial,chardev=charserial0,id=serial0,index=0", "-audiodev", '{"id":"audio1","driver":"none"}']
    displays = subprocess.run([*command(), "-display", "help"], stdout=subprocess.PIPE, text=True).stdout
    if "vnc=ADDRESS" in displays:
        options += ["-vnc", "unix:%s,password-secret=b,audiodev=audio1" % path("vnc")]
    m = machine(*options, pass_fds=[listener.fileno(), serial])
    q = Qmp(path("mon"))
    # Drives by the names of their devices; what -blockdev named is the image alone.
    names = {b["qdev"]: b for b in q.cmd("query-block")}
    same(sorted(names), ["/machine/peripheral-anon/device[0]", "/machine/peripheral/virtio-disk0/virtio-backend", "sata0-0-0"])
    same({b["device"] for b in names.values()}, {""})
    same({s["qdev"]: s.get("node-name") for s in q.cmd("query-blockstats")},
         {"/machine/peripheral/virtio-disk0/virtio-backend": "libvirt-1-format", "sata0-0-0": None, "/machine/peripheral-anon/device[0]": None})
    same([s["node-name"] for s in q.cmd("query-blockstats", query_nodes=True)], ["libvirt-1-format"])
    q.cmd("blockdev-add", driver="raw", node_name="iso", read_only=True, file={"driver": "file", "filename": path("sent.iso")})
    same(sorted(b["qdev"] for b in q.cmd("query-block")), sorted(names))
    q.cmd("blockdev-open-tray", id="sata0-0-0")
    q.event("DEVICE_TRAY_MOVED", device="", id="sata0-0-0", tray_open=True)
    q.cmd("blockdev-insert-medium", id="sata0-0-0", node_name="iso")
    q.cmd("blockdev-close-tray", id="sata0-0-0")
    names = {b["qdev"]: b for b in q.cmd("query-block")}
    same(names["sata0-0-0"]["inserted"]["file"], path("sent.iso"))
    q.cmd("eject", id="/machine/peripheral-anon/device[0]")
    # Secrets come and go, and nobody is told what they are.
    same([p["name"] for p in q.cmd("qom-list", path="/objects")], ["type", "pc.ram", "masterKey0", "b"])
    same(q.cmd("qom-get", path="/objects/b", property="type"), "secret")
    q.error("qom-get", path="/objects/b", property="data", desc="not found")
    q.cmd("object-add", qom_type="secret", id="c", data="x")
    for how, why in (({"id": "c", "data": "x"}, "already"), ({"id": "d"}, "needs one of data="), ({"id": "d", "data": "x", "file": "y"}, "one of"),
                     ({"id": "d", "file": path("no")}, "No such file"), ({"id": "d", "data": "x y", "format": "base64"}, "no base64"),
                     ({"id": "d", "data": "abc=", "format": "hex"}, "use raw or base64"), ({"id": "d", "data": "x", "keyid": "b"}, "encrypted"),
                     ({"id": "d", "data": "x", "loaded": "on"}, "'loaded' is unexpected")):
        q.error("object-add", qom_type="secret", desc=why, **how)
    q.cmd("object-del", id="c")
    q.error("object-del", id="c", desc="not found")
    q.cmd("quit")
    m.ends(0)
    for why, *more in (("not started with such a descriptor", "-chardev", "socket,id=c,fd=99"), ("not started with such a descriptor", "-chardev", "socket,id=c,fd=1"),
                       ("that is no socket", "-chardev", "socket,id=c,fd=%d" % serial), ("use server=on", "-chardev", "socket,id=c,fd=%d" % listener.fileno()),
                       ("there is no -object secret", "-vnc", "none,password-secret=x"), ("there is no -audiodev", "-vnc", "none,audiodev=x"),
                       ("an image says itself", "-blockdev", '{"driver":"qcow2","node-name":"n","file":{"driver":"file","filename":"%s"},"backing":"x"}' % disk)):
        if more[0] == "-vnc" and "vnc=ADDRESS" not in displays:
            continue
        p = subprocess.run([*command(), "-display", "none", "-nodefaults", *more], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           pass_fds=[listener.fileno(), serial], timeout=60 * SLOW)
        check(p.returncode in (2, 4) and why in p.stderr, "%s: %d: %s" % (more, p.returncode, p.stderr))


if __name__ == "__main__":
    sys.exit(main(__doc__, "libvirt.py", ["quick"], globals()))
