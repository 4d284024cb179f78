#!/usr/bin/env python3
"""libvirt.py - unmodified libvirt with Latimer as its emulator, by its embedded driver: no daemon, no privilege.

  libvirt.py [--latimer COMMAND] quick [CASE...]
"""
import glob, os, shutil, subprocess, sys, tempfile
import xml.etree.ElementTree as xml

from machine import SLOW, WORK, Failed, check, command, main, path, same


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
        self.as_user = []
        if os.getuid() == 0:
            if not shutil.which("setpriv"):
                raise Missing("there is no setpriv (install util-linux)")
            self.as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chmod(WORK, 0o711)
        # The path of a unix socket is short.
        self.root = tempfile.mkdtemp(prefix="lv-", dir=WORK)
        self.exe = shutil.copy(command()[0], path("latimer"))
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
    # Features are the guest's, not the host's: none that -cpu refuses.
    model = caps.find("cpu/mode[@name='host-model']")
    features = {f.get("name"): f.get("policy") for f in model.findall("feature")}
    wanted = [n for n, p in features.items() if p == "require"]
    check("sse4.2" in wanted and "smep" in wanted, str(features))
    p = subprocess.run([lv.exe, "-M", "none", "-display", "none", "-monitor", "stdio", "-cpu", model.findtext("model") + "".join(",+" + n for n in wanted)],
                       input="quit\n", capture_output=True, text=True, timeout=60 * SLOW)
    same((p.returncode, p.stderr), (0, ""))


if __name__ == "__main__":
    sys.exit(main(__doc__, "libvirt.py", ["quick"], globals()))
