#!/usr/bin/env python3
"""qmp_schema.py - QMP's answers as QEMU's own schema has them, where QEMU is installed; types and objects.

  qmp_schema.py [--latimer COMMAND] quick [CASE...]

What the schema says of a machine without any device holds for ours: which members an answer must have and may have, and of
what type they are. Events are checked the same way.
"""
import shutil, socket, subprocess, sys, time

from machine import SLOW, Daemon, Qmp, check, command, connect, machine, main, path, same


class Schema:
    """Of query-qmp-schema."""
    def __init__(self, entities):
        self.types = {e["name"]: e for e in entities}

    def wrong(self, val, name, where):
        """What is wrong with a value of that type; None: nothing."""
        t = self.types[name]
        return getattr(self, t["meta-type"])(val, t, where)

    def builtin(self, val, t, where):
        kind = {"string": str, "int": int, "number": (int, float), "boolean": bool, "object": dict, "array": list}.get(t["json-type"])
        if kind and (not isinstance(val, kind) or (isinstance(val, bool) and kind is not bool)):
            return "%s: %r is no %s" % (where, val, t["json-type"])

    def enum(self, val, t, where):
        if val not in t["values"]:
            return "%s: %r is none of %s" % (where, val, t["values"])

    def array(self, val, t, where):
        if not isinstance(val, list):
            return "%s: %r is no array" % (where, val)
        return next(filter(None, (self.wrong(x, t["element-type"], "%s[%d]" % (where, i)) for i, x in enumerate(val))), None)

    def alternate(self, val, t, where):
        if all(self.wrong(val, m["type"], where) for m in t["members"]):
            return "%s: %r is none of its types" % (where, val)

    def members(self, val, t):
        all = {m["name"]: m for m in t["members"]}
        for v in t.get("variants", []):
            if v["case"] == val.get(t["tag"]):
                all.update(self.members(val, self.types[v["type"]]))
        return all

    def object(self, val, t, where):
        if not isinstance(val, dict):
            return "%s: %r is no object" % (where, val)
        members = self.members(val, t)
        for name in sorted(set(val) - set(members)):
            return "%s.%s: there is no such member" % (where, name)
        for name, m in sorted(members.items()):
            if name not in val and "default" not in m:
                return "%s.%s is missing" % (where, name)
            if name in val:
                why = self.wrong(val[name], m["type"], where + "." + name)
                if why:
                    return why


def qemu_schema():
    """None: there is no QEMU here."""
    if not shutil.which("qemu-system-x86_64"):
        return None
    p = subprocess.Popen(["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-qmp",
                          "unix:%s,server=on,wait=off" % path("qemu")], stdin=subprocess.DEVNULL)
    try:
        theirs = Qmp(path("qemu"))
        schema = Schema(theirs.cmd("query-qmp-schema"))
        theirs.cmd("quit")
    finally:
        p.wait(30)
    return schema


def quick_schema():
    """Every question that QEMU has, too, answered as its schema wants it; and events."""
    schema = qemu_schema()
    if not schema:
        print("  skipped: there is no qemu-system-x86_64")
        return
    commands = {n: t for n, t in schema.types.items() if t["meta-type"] == "command"}
    subprocess.run([*command(), "image", "create", "-q", "-f", "qcow2", path("d.qcow2"), "16M"], check=True)
    displays = subprocess.run([*command(), "-display", "help"], stdout=subprocess.PIPE, text=True).stdout.split()
    vnc = ("-vnc", "unix:" + path("vnc")) if "vnc=ADDRESS" in displays else ()      # a build may have none
    m = machine("-M", "pc", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("s"), "-drive", "if=virtio,id=d0,file=" +
                path("d.qcow2"), "-usb", "-device", "usb-tablet,id=tab", "-device", "virtio-balloon-pci", "-nic", "user",
                "-device", "i6300esb,id=wd", *vnc)
    q = Qmp(path("s"))
    why = schema.wrong(q.greeting["QMP"]["version"], commands["query-version"]["ret-type"], "greeting")
    check(not why, why)
    version = q.cmd("query-version")["qemu"]
    check((version["major"], version["minor"]) == (7, 2), "another version than the schema's: %s" % version)
    ours = [c["name"] for c in q.cmd("query-commands")]
    asked = 0
    arguments = {"query-cpu-model-expansion": {"type": "full", "model": {"name": "max"}}}
    q.cmd("snapshot-save", job_id="j", tag="t", vmstate="d0", devices=["d0"])
    for name in sorted(set(ours) & set(commands)):
        # As they are when this is asked of machines that have no processors to plug in.
        if not name.startswith("query-") or name in ("query-qmp-schema", "query-hotpluggable-cpus"):
            continue
        why = schema.wrong(q.cmd(name, **arguments.get(name, {})), commands[name]["ret-type"], name)
        check(not why, why)
        asked += 1
    check(asked > 25, "only %d questions were asked" % asked)
    for name, how in (("qom-list-types", {}), ("qom-list", {"path": "/machine/peripheral/tab"}),
                      ("qom-list-properties", {"typename": "e1000"}), ("device-list-properties", {"typename": "virtio-blk-pci"})):
        why = schema.wrong(q.cmd(name, **how), commands[name]["ret-type"], name)
        check(not why, why)
    q.cmd("dump-guest-memory", paging=False, protocol="file:" + path("core"))
    for e in q.events:
        why = schema.wrong(e.get("data", {}), schema.types[e["event"]]["arg-type"], e["event"])
        check(not why, why)
    q.event("DUMP_COMPLETED")
    q.cmd("stop")
    q.cmd("cont")
    q.cmd("system_reset")
    q.event("STOP")
    q.cmd("quit")
    q.event("SHUTDOWN")
    m.ends(0)


def quick_vnc():
    """Where the VNC server listens, and who is connected, as the clients see themselves."""
    displays = subprocess.run([*command(), "-display", "help"], stdout=subprocess.PIPE, text=True).stdout.split()
    if "vnc=ADDRESS" not in displays:
        print("  skipped: this build has no VNC server")
        return
    with socket.socket() as s:          # a port that is free
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    port += 5900 if port < 5900 else 0
    for address, server in ((("127.0.0.1", port), {"host": "127.0.0.1", "service": str(port), "family": "ipv4"}),
                            (path("rfb"), {"host": "", "service": path("rfb"), "family": "unix"})):
        where = "unix:" + address if isinstance(address, str) else "127.0.0.1:%d" % (port - 5900)
        m = machine("-S", "-M", "pc", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("v"), "-vnc", where)
        q = Qmp(path("v"))

        def clients(n):
            """When there are so many: one is told of RFB a moment before it counts."""
            end = time.monotonic() + 20 * SLOW
            while len(q.cmd("query-vnc")["clients"]) != n and time.monotonic() < end:
                time.sleep(0.02)
            return sorted(q.cmd("query-vnc")["clients"], key=lambda c: c["service"])

        same(q.cmd("query-vnc"), {"enabled": True, "auth": "none", "clients": [], **server})
        here = []
        for _ in range(2):
            here.append(connect(address))
            same(here[-1].recv(12), b"RFB 003.008\n")
        me = [s.getsockname() for s in here]
        wanted = [{"host": "", "service": "", "family": "unix", "websocket": False} if isinstance(address, str) else
                  {"host": a[0], "service": str(a[1]), "family": "ipv4", "websocket": False} for a in me]
        same(clients(2), sorted(wanted, key=lambda c: c["service"]))
        servers = q.cmd("query-vnc-servers")
        same([{k: servers[0][k] for k in ("id", "auth", "server")}],
             [{"id": "default", "auth": "none", "server": [{"auth": "none", "websocket": False, **server}]}])
        same(sorted(servers[0]["clients"], key=lambda c: c["service"]), clients(2))
        here.pop().close()
        same(clients(1), wanted[:1])
        q.cmd("quit")
        m.ends(0)


def quick_types():
    """Types, objects, options: what clients look through before they use a machine."""
    m = machine("-S", "-M", "q35", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("t"), "-netdev", "user,id=n", "-device",
                "e1000,netdev=n,id=nic,mac=52:54:00:00:00:01,bootindex=3", "-device", "usb-ehci", "-cpu", "max,-sse3",
                "-device", "i6300esb,addr=7.1", "-watchdog-action", "none")
    q = Qmp(path("t"))
    names = lambda what: [t["name"] for t in what]
    types = {t["name"]: t for t in q.cmd("qom-list-types")}
    check(types["e1000"]["parent"] == "pci-device" and types["pci-device"]["abstract"], str(types["e1000"]))
    for t in types.values():
        check("parent" not in t or t["parent"] in types, "no parent: %s" % t)
    usb = names(q.cmd("qom-list-types", implements="usb-device", abstract=False))
    check("usb-tablet" in usb and "e1000" not in usb and "usb-device" not in usb, str(usb))
    check("pc-machine" in names(q.cmd("qom-list-types", implements="machine")), "no machines")
    same(q.cmd("qom-get", path="/machine", property="type"), "q35-machine")
    check({"name": "nic", "type": "child<e1000>"} in q.cmd("qom-list", path="/machine/peripheral"), "nic is not there")
    dog = [o["name"] for o in q.cmd("qom-list", path="/machine/peripheral-anon") if o["type"] == "child<i6300esb>"]
    for name, val in (("mac", "52:54:00:00:00:01"), ("netdev", "n"), ("bootindex", 3), ("type", "e1000")):
        same(q.cmd("qom-get", path="/machine/peripheral/nic", property=name), val)
    same(q.cmd("qom-get", path="/machine/peripheral-anon/" + dog[0], property="addr"), "07.1")
    q.error("qom-get", path="/machine/peripheral/nic", property="x", desc="Property 'e1000.x' not found")
    q.error("qom-get", "DeviceNotFound", path="/machine/peripheral/x", property="type", desc="not found")
    q.error("qom-list", "DeviceNotFound", path="", desc="not found")
    # Every property that is listed has a value; every type its list.
    for place in q.cmd("query-cpus-fast")[0]["qom-path"], "/machine/peripheral/nic", "/machine/peripheral-anon/device[0]":
        for p in q.cmd("qom-list", path=place):
            q.cmd("qom-get", path=place, property=p["name"])
    for t in types.values():
        q.cmd("qom-list-properties", typename=t["name"])
    q.error("qom-list-properties", "DeviceNotFound", typename="x-machine", desc="not found")
    # Processors: this one has no SSE3.
    cpu = q.cmd("query-cpus-fast")[0]["qom-path"]
    same([q.cmd("qom-get", path=cpu, property=f) for f in ("sse3", "pni", "sse2")], [False, False, True])
    full = q.cmd("query-cpu-model-expansion", type="full", model={"name": "max", "props": {"sse2": False}})["model"]["props"]
    check(full["sse3"] and not full["sse2"], str(full))
    check(full["vendor"] == "GenuineIntel" and full["family"] == 6, str(full))
    # What libvirt calls the best there is; and all that was answered may be told again, as it does.
    host = q.cmd("query-cpu-model-expansion", type="static", model={"name": "host"})["model"]
    same(host["name"], "max")
    same(q.cmd("query-cpu-model-expansion", type="full", model=host)["model"], host)
    q.error("query-cpu-model-expansion", type="full", model={"name": "max", "props": {"vendor": "AuthenticAMD"}}, desc="cannot be another")
    q.error("query-cpu-model-expansion", type="full", model={"name": "max", "props": {"sse2": 1}}, desc="expected: boolean")
    q.error("query-cpu-model-expansion", type="full", model={"name": "x"}, desc="'x' not found")
    q.error("query-cpu-model-expansion", type="full", model={"name": "max", "props": {"avx512f": True}}, desc="not implemented")
    q.error("query-cpu-model-expansion", type="full", model={"name": "max", "props": {"sse2,-sse": True}}, desc="sse2,-sse")
    # Options, by their usage.
    boot = q.cmd("query-command-line-options", option="boot")
    check({"name": "menu", "type": "boolean"} in boot[0]["parameters"] and {"name": "order", "type": "string"} in
          boot[0]["parameters"], str(boot))
    check({"drive", "netdev", "machine", "M"} <= {o["option"] for o in q.cmd("query-command-line-options")}, "options are missing")
    q.error("query-command-line-options", option="none", desc="invalid option name")
    # What a watchdog does can be said later.
    q.cmd("watchdog-set-action", action="pause")
    q.error("watchdog-set-action", action="bite", desc="use reset")
    q.cmd("set-action", panic="pause", reboot="shutdown")
    q.error("set-action", shutdown="x", desc="use poweroff or pause")
    check("use reset" in q.hmp("watchdog_action bite") and q.hmp("watchdog_action reset") == "", "watchdog_action")
    q.cmd("cont")
    q.cmd("system_reset")       # -no-reboot by now
    m.ends(0)


# What libvirt 9.0 asks of a machine that it starts as quick_none() does, as it was seen to; then what other clients ask of one.
LIBVIRT = [("query-version", {}), ("query-target", {}), ("query-qmp-schema", {}), ("query-commands", {}), ("query-kvm", {}),
           ("qom-list-types", {})]
LIBVIRT += [("device-list-properties", {"typename": t}) for t in (
    "virtio-blk-pci", "virtio-net-pci", "virtio-scsi-pci", "scsi-hd", "ide-hd", "usb-storage", "VGA", "virtio-balloon-pci",
    "pcie-root-port")]
LIBVIRT += [("qom-list-properties", {"typename": "max-x86_64-cpu"}), ("query-machines", {}),
            ("qom-list-properties", {"typename": "none-machine"}), ("query-cpu-definitions", {}),
            ("query-command-line-options", {}), ("query-migrate-capabilities", {}),
            ("query-cpu-model-expansion", {"type": "static", "model": {"name": "max"}}),
            ("query-cpu-model-expansion", {"type": "full", "model": {"name": "max", "props": {"sse3": False}}})]


def quick_none():
    """-machine none: nothing but QMP's answers, as libvirt asks for them; and all that is done to a machine without anything."""
    schema = qemu_schema()
    Daemon("-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=tcg" if engine() else "none", "-qmp",
           "unix:%s,server=on,wait=off" % path("none"), pidfile=path("none.pid"))
    q = Qmp(path("none"))
    for name, how in LIBVIRT:
        answer = q.cmd(name, **how)
        why = schema and schema.wrong(answer, schema.types[name]["ret-type"], name)
        check(not why, why)
    none = [m for m in q.cmd("query-machines") if m["name"] == "none"]
    check(len(none) == 1 and "default-cpu-type" not in none[0], str(none))
    check(("tcg-accel" in [t["name"] for t in q.cmd("qom-list-types", implements="accel")]) == engine(), "another engine")
    same(q.cmd("query-cpus-fast"), [])
    same(q.cmd("query-pci"), [])
    same(q.cmd("query-memory-size-summary")["base-memory"], 0)
    same(q.cmd("qom-get", path="/machine", property="type"), "none-machine")
    # Every command, none of which finds what it is about; it can be run, reset, switched off and saved all the same.
    for line in q.hmp("help info").splitlines():
        if line.startswith("info "):
            q.hmp("info " + line.split()[1])
    for line in ("x/4xb 0", "xp/4xb 0", "i/b 0x60", "nmi", "why", "sum 0 16", "cpu 0", "sendkey a", "gva2gpa 0",
                 "mouse_move 1 1", "info registers -a", "print $eax", "balloon 100", "screendump " + path("no"),
                 "profile start " + path("p"), "profile stop", "boot_set c", "mouse_set 0"):
        q.hmp(line)
    check("no processor" in q.hmp("gdbserver tcp::1"), q.hmp("gdbserver tcp::1"))
    q.error("memsave", val=0, size=1, filename=path("no"), desc="0 processors")
    q.error("dump-guest-memory", paging=False, protocol="file:" + path("no"), desc="no memory")
    q.cmd("cont")
    q.event("RESUME")
    for _ in range(3):
        q.cmd("system_reset")
        q.event("RESET")
        q.cmd("query-pci")      # stands still: the reset is over
    q.cmd("system_powerdown")
    q.event("POWERDOWN")
    same(q.hmp("savevm " + path("none.snap")), "")
    same(q.hmp("loadvm " + path("none.snap")), "")
    check(q.cmd("query-status")["running"], "it does not run")
    q.cmd("quit")
    q.event("SHUTDOWN")
    # With memory, and somebody to look at it.
    m = machine("-M", "none", "-m", "16", "-qmp", "unix:%s,server,nowait" % path("none2"), "-no-shutdown")
    q = Qmp(path("none2"))
    same(q.cmd("query-memory-size-summary")["base-memory"], 16 << 20)
    check("0000000000ffffff" in q.hmp("info mtree"), q.hmp("info mtree"))
    q.cmd("pmemsave", val=0, size=16 << 20, filename=path("zeros"))
    check(not any(open(path("zeros"), "rb").read()), "memory is not zero")
    # Nothing there could obey a power button: the first signal is the end, and libvirt waits ten seconds for it.
    m.p.terminate()
    q.event("SHUTDOWN", guest=False, reason="host-signal")
    m.ends(128 + 15)
    for why, *options in (("has no processor to run it", "-kernel", "x"), ("no PCI bus", "-device", "e1000"),
                          ("no ISA bus", "-device", "sb16"), ("no processor that could", "-s"), ("no PCI bus", "-vga", "std"),
                          ("no USB bus", "-device", "usb-tablet"), ("no firmware", "-bios", "x"), ("no IDE controller", "-hda", "x")):
        p = subprocess.run([*command(), "-display", "none", "-M", "none", *options], stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=60)
        check(p.returncode == 2 and why in p.stderr, "%s: %d: %s" % (options, p.returncode, p.stderr))


def engine():
    """Is there a code generator?"""
    return "jit " in subprocess.run([*command(), "-accel", "help"], stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(__doc__, "qmp_schema.py", ["quick"], globals()))
