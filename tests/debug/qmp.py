#!/usr/bin/env python3
"""qmp.py - monitors and QMP of a whole machine, with nothing but Python's own library.

  qmp.py [--latimer COMMAND] quick|guest [CASE...]

quick: what needs no guest but the firmware (make check). guest: with Debian's kernel in the guest (make check-qmp):
media that are changed, keys typed into its shell, its time while the machine is stopped, resets, being switched off.
"""
import json, os, pty, re, select, shutil, signal, socket, struct, subprocess, sys, time

from rsp import Line
from machine import HERE, SLOW, Failed, Qmp, check, command, connect, machine, main, path, same

# ---- without a guest ----


def quick_start():
    """Stopped by -S, run, stopped, reset and left, and what two clients hear of it."""
    m = machine("-S", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("a"), "-qmp", "unix:%s,server,nowait" % path("b"),
                "-uuid", "550e8400-e29b-41d4-a716-446655440000", "-name", "test")
    a, b = Qmp(path("a")), Qmp(path("b"))
    check(a.greeting["QMP"]["capabilities"] == [], "capabilities are offered")
    check(a.cmd("query-status") == {"running": False, "singlestep": False, "status": "prelaunch"}, "not prelaunch")
    check(b.hmp("info status").strip() == "VM status: paused (prelaunch)", b.hmp("info status"))
    check(a.cmd("query-uuid") == {"UUID": "550e8400-e29b-41d4-a716-446655440000"} and b.hmp("info uuid").strip() ==
          "550e8400-e29b-41d4-a716-446655440000", "another UUID")
    check(a.cmd("query-name") == {"name": "test"}, "another name")
    # What management software asks of each machine at first.
    for what, wanted in (("query-target", {"arch": "x86_64"}), ("query-current-machine", {"wakeup-suspend-support": False}),
                         ("query-iothreads", []), ("query-memory-devices", []), ("query-block-jobs", [])):
        check(a.cmd(what) == wanted, what)
    check("hot-plugging" in a.ask("query-hotpluggable-cpus")["error"]["desc"], "processors can be plugged")
    # The processor is at its reset vector, and stays there.
    check("EIP=0000fff0" in a.hmp("info registers"), a.hmp("info registers"))
    time.sleep(0.3)
    check("EIP=0000fff0" in b.hmp("info registers"), b.hmp("info registers"))
    a.cmd("cont")
    b.event("RESUME")
    a.event("RESUME")
    check(b.cmd("query-status")["running"], "does not run")
    time.sleep(0.5)
    b.cmd("stop")
    a.event("STOP")
    check("EIP=0000fff0" not in a.hmp("info registers"), "nothing was executed")
    check(a.hmp("info registers") == b.hmp("info registers"), "it runs though it is stopped")
    # What a linear address holds, and a physical one, and files of them.
    a.cmd("memsave", val=0xf0000, size=65536, filename=path("lin"))
    a.cmd("pmemsave", val=0xf0000, size=65536, filename=path("phys"))
    data = open(path("phys"), "rb").read()
    check(len(data) == 65536 and data == open(path("lin"), "rb").read(), "memsave and pmemsave differ")
    check("0x%02x" % data[0xfff0] in a.hmp("xp/1xb 0xffff0"), a.hmp("xp/1xb 0xffff0"))
    check("jmp" in a.hmp("xp/1i 0xffff0"), a.hmp("xp/1i 0xffff0"))
    # A reset of a machine that is stopped leaves it so.
    a.cmd("system_reset")
    b.event("RESET", guest=False, reason="host-qmp-system-reset")
    check("EIP=0000fff0" in a.hmp("info registers"), a.hmp("info registers"))
    check(a.cmd("query-status")["status"] == "prelaunch", str(a.cmd("query-status")))
    a.cmd("cont")
    a.cmd("quit")
    b.event("SHUTDOWN", guest=False, reason="host-qmp-quit")
    m.ends(0)


def quick_questions():
    """Every question has an answer; commands and help agree with their tables."""
    disk = path("disk.img")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    m = machine("-serial", "null", "-qmp", "stdio", "-drive", "if=virtio,format=raw,id=d0,file=%s" % disk, "-usb", "-device",
                "usb-tablet", "-device", "virtio-balloon-pci", "-nic", "user,id=n0", "-device", "pci-bridge,id=b", "-netdev", "user,id=n1", "-device",
                "virtio-net-pci,bus=b,netdev=n1,id=behind", stdin=subprocess.PIPE)
    m.expect("QMP")

    def ask(name, **arguments):
        m.type(json.dumps({"execute": name, "arguments": arguments}))
        while True:
            r = json.loads(b"{" + m.expect(r"\{(.*)\r\n").group(1))
            if "event" not in r:
                return r

    m.expect("\n")
    ask("qmp_capabilities")
    commands = [c["name"] for c in ask("query-commands")["return"]]
    for name in commands:
        if name.startswith("query-"):
            # As in QEMU, for machines where no processor can be plugged.
            arguments = {"type": "full", "model": {"name": "max"}} if name == "query-cpu-model-expansion" else {}
            check(("error" if name == "query-hotpluggable-cpus" else "return") in ask(name, **arguments), name)
    blocks = {b["device"]: b for b in ask("query-block")["return"]}
    check(blocks["d0"]["inserted"]["image"]["virtual-size"] == 1 << 20 and not blocks["d0"]["removable"], str(blocks["d0"]))
    check(blocks["cd"]["removable"] and "inserted" not in blocks["cd"], str(blocks["cd"]))
    pci = ask("query-pci")["return"][0]["devices"]
    check([d for d in pci if d["id"] == {"vendor": 0x8086, "device": 0x1237, "subsystem": 0x1100, "subsystem-vendor": 0x1af4}],
          str(pci))
    schema = ask("query-qmp-schema")["return"]
    check({s["name"] for s in schema if s["meta-type"] == "command"} == set(commands), "schema and commands differ")
    check(ask("query-balloon")["return"]["actual"] == 256 << 20, "balloon")
    hmp = lambda line: ask("human-monitor-command", **{"command-line": line})["return"]
    for line in hmp("help info").splitlines():
        if line.startswith("info "):
            item = line.split()[1]
            check("unknown" not in hmp("info " + item), item)
    check("lent" not in hmp("info mem") and "paging is off" in hmp("info mem"), hmp("info mem"))
    check("usb" in hmp("info usb"), hmp("info usb"))
    check("virtio-net-pci" in hmp("info pci") and "behind" in hmp("info pci"), hmp("info pci"))
    # What streams are made of, as -chardev help says; networks' connections; memory; pointers; what is booted from.
    kinds = subprocess.run([*command(), "-chardev", "help"], stdout=subprocess.PIPE, text=True, check=True).stdout.split(":")[1].split()
    same([c["name"] for c in ask("query-chardev-backends")["return"]], kinds)
    check("n0:\n" in hmp("info usernet") and "Protocol" in hmp("info usernet"), hmp("info usernet"))
    check(re.search("ram0 .* %d " % (256 << 20), hmp("info ramblock")), hmp("info ramblock"))
    current = lambda: [line[0] for line in hmp("info mice").splitlines()]
    moves = lambda: [p["absolute"] for p in ask("query-mice")["return"] if p["current"]]
    before = current()
    check("info mice" in hmp("mouse_set 2") and current() == before and len(before) == 2, hmp("info mice"))
    for n in (0, 1, 0):
        same(hmp("mouse_set %d" % n), "")
        same(current(), ["*" if i == n else " " for i in range(2)])
        same(moves(), [n == 1])
    check("at most once" in hmp("boot_set cdd") and "at most once" in hmp("boot_set z"), hmp("boot_set z"))
    cmos = lambda i: (hmp("o/b 0x70 0x%x" % i), hmp("i/b 0x71"))[1].split()[-1]
    same(hmp("boot_set nd"), "")
    same([int(cmos(0x3d), 0), int(cmos(0x38), 0) >> 4], [0x34, 0])
    check(hmp("eject d0").startswith("Device 'd0' is not removable"), hmp("eject d0"))
    check(ask("block_resize", device="d0", size=2 << 20) == {"return": {}}, "block_resize")
    check(os.path.getsize(disk) == 2 << 20, "the image has not grown")
    check("error" in ask("block_resize", device="d0", size=1 << 20), "a disk in use has shrunk")
    # A floppy's medium: the image is opened first, what cannot be opened changes nothing.
    floppy = path("floppy.img")
    with open(floppy, "wb") as f:
        f.truncate(1474560)
    check(ask("blockdev-change-medium", id="floppy0", filename=floppy, format="raw") == {"return": {}}, "floppy")
    check("error" in ask("blockdev-change-medium", id="floppy0", filename=path("none")), "a file that is none")
    check(floppy in hmp("info block"), hmp("info block"))
    # Images by themselves, then in a drive; what is wrong with one leaves the machine as it is.
    for wrong, why in (("if=ide,id=x,file=" + disk, "use if=none"), ("if=none,id=d0,file=" + floppy, "a drive 'd0' already"),
                       ("if=none,id=x", "needs file"), ("if=none,id=x,file=" + path("none"), "No such file"),
                       ("if=none,id=x,file=%s,size=5" % floppy, "unknown property"), ("if=none,id=x,format=vmdk,file=x", "raw or qcow2"),
                       ("if=none,id=x,format=raw,file=" + disk, "in use")):
        check(why in hmp("drive_add 0 " + wrong), hmp("drive_add 0 " + wrong))
    check("error" in ask("blockdev-add", driver="raw", **{"node-name": "n", "file": {"driver": "file", "filename": [1]}}), "a list")
    iso = path("d.iso")
    with open(iso, "wb") as f:
        f.truncate(4096)
    same(hmp("drive_add 0 if=none,id=x,format=raw,readonly=on,file=" + iso), "")
    same(hmp("drive_del x"), "")
    check("not found" in hmp("drive_del x"), "there twice")
    check("belongs to a device" in hmp("drive_del d0"), hmp("drive_del d0"))
    same(ask("blockdev-add", driver="raw", **{"node-name": "n", "read-only": True, "file": {"driver": "file", "filename": iso}}),
         {"return": {}})
    same(ask("blockdev-open-tray", id="cd"), {"return": {}})
    same(ask("blockdev-insert-medium", id="cd", **{"node-name": "n"}), {"return": {}})
    same(ask("blockdev-close-tray", id="cd"), {"return": {}})
    check(re.search("cd.*d.iso", hmp("info block")), hmp("info block"))
    same(ask("blockdev-del", **{"node-name": "n"}), {"return": {}})
    # A file, and a format on it, as management software adds them; the file can be had again when that is gone.
    def node(error="", **how):
        how = {key.replace("_", "-"): how[key] for key in how}
        answer = ask("blockdev-add", **how)
        check(error in answer["error"]["desc"] if error else answer == {"return": {}}, answer)
    iso = path("e.iso")
    with open(iso, "wb") as f:
        f.truncate(4096)
    node(driver="file", node_name="f", filename=iso)
    node(driver="raw", node_name="n", file="f", read_only=True)
    node("somebody else has", driver="raw", node_name="m", file="f")
    node("driver=file", driver="raw", node_name="m", file="n")
    node("no such node", driver="raw", node_name="m", file=3)
    check("is the file of another" in ask("blockdev-del", **{"node-name": "f"})["error"]["desc"], "the file goes first")
    check("f:" not in hmp("info block") and "n: " in hmp("info block"), hmp("info block"))
    same(ask("blockdev-del", **{"node-name": "n"}), {"return": {}})
    node("not a qcow2", driver="qcow2", node_name="n", file="f")
    node(driver="raw", node_name="n", file="f", read_only=True)
    for name, how in (("blockdev-open-tray", {"id": "cd"}), ("blockdev-remove-medium", {"id": "cd"}),
                         ("blockdev-insert-medium", {"id": "cd", "node-name": "n"}), ("blockdev-close-tray", {"id": "cd"}),
                         ("blockdev-del", {"node-name": "n"}), ("blockdev-del", {"node-name": "f"})):
        same(ask(name, **how), {"return": {}})
    check(ask("screendump", filename=path("s.png")) == {"return": {}}, "screendump")
    check(open(path("s.png"), "rb").read(8) == b"\x89PNG\r\n\x1a\n", "no PNG")
    check(ask("screendump", filename=path("s.ppm")) == {"return": {}} and open(path("s.ppm"), "rb").read(3) == b"P6\n", "no PPM")
    for form, magic in ("ppm", b"P6\n"), ("png", b"\x89PN"):
        same(hmp("screendump %s -f %s" % (path("a picture"), form)), "")
        same(open(path("a picture"), "rb").read(3), magic)
    # A way to the guest, and no longer.
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
    s.close()
    check(hmp("hostfwd_add tcp:127.0.0.1:%d-:22" % port) == "", "hostfwd_add")
    connect(("127.0.0.1", port)).close()
    check("not" in hmp("hostfwd_add tcp:127.0.0.1:%d-:23" % port), "the same port twice")
    check(hmp("hostfwd_remove n0 tcp:127.0.0.1:%d" % port) == "", "hostfwd_remove")
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        raise Failed("the way is still there")
    except ConnectionRefusedError:
        pass
    m.type('{"execute": "quit"}')
    m.ends(0)


def quick_lines():
    """telnet, TCP and a serial port's stream with a monitor on it; several at once."""
    ports = []
    for _ in range(2):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        ports.append(s.getsockname()[1])
        s.close()
    subprocess.run([*command(), "image", "create", "-q", "-f", "qcow2", path("l.qcow2"), "1M"], check=True)
    m = machine("-drive", "if=virtio,id=disk0,file=" + path("l.qcow2"), "-chardev", "socket,id=c0,path=%s,server=on,wait=off,mux=on" % path("mux"), "-serial", "chardev:c0", "-mon", "c0",
                "-mon", "chardev=c0,mode=control", "-monitor", "telnet::%d,server,nowait" % ports[0], "-monitor",
                "tcp:127.0.0.1:%d,server,nowait" % ports[1])

    def until(s, what):
        data = b""
        while what not in data:
            part = s.recv(4096)
            check(part, "the connection has ended: %r" % data)
            data += part
        return data

    t, u, x = connect(("127.0.0.1", ports[0])), connect(("127.0.0.1", ports[1])), connect(path("mux"))
    check(until(t, b"(latimer) ").startswith(b"\xff\xfb\x01\xff\xfb\x03"), "no telnet")
    until(u, b"(latimer) ")
    t.sendall(b"\xff\xfd\x01\xff\xfa\x18\x00xx\xff\xf0info sta\ttus\x7f\x7f\x7f\x7f\r\0")
    until(t, b"VM status: running\r\n(latimer) ")
    u.sendall(b"info version\nprint 6*7\n")
    until(u, b"0x2a\r\n(latimer) ")
    # Names of this machine's own: drives, snapshots.
    u.sendall(b"savevm before-update\ndelvm bef\t\n")
    until(u, b"delvm before-update \r\n(latimer) ")
    u.sendall(b"info snapshots\ninfo his\t\n")
    check(b"'delvm before-update '" in until(u, b"'info history '\r\n(latimer) "), "another history")
    u.sendall(b"block_resize dis\t2M\n")
    check(b"block_resize disk0 2M\r\n(latimer) " in until(u, b"2M\r\n(latimer) "), "no drive")
    # Only this host is let in where no host was named.
    check(" 0100007F:%04X " % ports[0] in open("/proc/net/tcp").read(), "the port is open to others")
    # Ctrl-A c: the serial port, the monitor, QMP, and around.
    x.sendall(b"\x01c")
    until(x, b"(latimer) ")
    x.sendall(b"print 5\r")
    until(x, b"0x5\r\n(latimer) ")
    x.sendall(b"\x01c")
    until(x, b'{"QMP"')
    x.sendall(b'{"execute":"qmp_capabilities"}\x01c\x01c')
    until(x, b"(latimer) ")
    # Clients that come and go with a command half typed.
    for _ in range(30):
        c = connect(("127.0.0.1", ports[1])) if u is None else u
        c.sendall(b"info blo")
        c.close()
        u = None
    u = connect(("127.0.0.1", ports[1]))
    until(u, b"(latimer) ")
    u.sendall(b"quit\n")
    m.ends(0)


def quick_terminal():
    """The serial port on the terminal: Ctrl-A c, a command, Ctrl-A c, Ctrl-A x. And -monitor stdio."""
    for options, before in (([], b"\x01c"), (["-nographic", "-monitor", "stdio"], b"\x01c"), (["-monitor", "stdio"], b"")):
        pid, fd = pty.fork()
        if pid == 0:
            os.execvp(command()[0], command() + ["-machine", "pc", "-display", "none"] + options)
        data, keys, end = b"", [(b"", before), (b"(latimer) ", b"info sta\t\r"), (b"running", b"q\r")], time.monotonic() + 40 * SLOW
        while time.monotonic() < end:
            if keys and keys[0][0] in data:
                time.sleep(1 if not keys[0][0] else 0.1)
                os.write(fd, keys.pop(0)[1])
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    part = os.read(fd, 4096)
                except OSError:
                    part = b""
                if not part:
                    break
                data += part
        else:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(fd)
        check(code == 0 and b"VM status: running" in data, "%s: %d: %r" % (options, code, data[-600:]))


def quick_hostile():
    """Clients that vanish at any moment, send what is no JSON, or do not read."""
    m = machine("-serial", "null", "-qmp", "unix:%s,server,nowait" % path("h"), "-qmp", "unix:%s,server,nowait" % path("i"))
    q = Qmp(path("i"))
    for text in (b"", b"{", b'{"execute":"qmp_capabilities"}', b"\xff\xff\xff", b"[" * 100000, b"nonsense\n" * 1000, b'"' * 5000,
                 b'{"execute":"qmp_capabilities"}' + b'{"execute":"query-qmp-schema"}' * 300):
        for _ in range(5):
            s = connect(path("h"))
            try:
                s.sendall(text)
            except OSError:
                pass
            s.close()
    # One that does not read is served no further, and the others are.
    s = connect(path("h"))
    s.settimeout(2)
    sent = 0
    try:
        s.sendall(b'{"execute":"qmp_capabilities"}')
        while sent < 200 << 20:
            sent += s.send(b'{"execute":"query-qmp-schema"}' * 1000)
    except (TimeoutError, socket.timeout):
        pass
    check(sent < 50 << 20, "it takes %d bytes from one that does not read" % sent)
    check(q.cmd("query-status")["running"], "another client is not served")
    rss = int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % m.p.pid).read()).group(1))
    check(rss < 1 << 20, "%d KiB of memory are used" % rss)
    s.close()
    Qmp(path("h")).cmd("query-status")
    q.cmd("quit")
    m.ends(0)


def unnamed(name, data=b""):
    """A file that has no name any more: descriptors for reading and writing, and for reading."""
    with open(path(name), "wb") as f:
        f.write(data)
    fds = os.open(path(name), os.O_RDWR), os.open(path(name), os.O_RDONLY)
    os.unlink(path(name))
    return fds


def quick_descriptors():
    """Files that Latimer could not open by itself, given to it as descriptors."""
    options = "-serial", "null", "-nic", "none", "-qmp", "unix:%s,server,nowait" % path("f")
    m = machine("-S", *options, "-monitor", "unix:%s,server,nowait" % path("g"))
    q = Qmp(path("f"))
    for name, how in (("getfd", {"fdname": "a"}), ("add-fd", {})):
        q.error(name, desc="No file descriptor supplied via SCM_RIGHTS", **how)
    both, reads = unnamed("image", bytes(1 << 20))
    q.error("getfd", fds=[reads], fdname="1a", desc="not starting with a digit")
    q.error("add-fd", fds=[reads], fdset_id=-1, desc="non-negative")
    q.error("closefd", fdname="a", desc="'a' not found")
    # A set of one file: each use gets the one that was opened as it needs it.
    first = q.cmd("add-fd", fds=[reads], opaque="r")
    same(first["fdset-id"], 0)
    node = {"driver": "raw", "node_name": "n", "file": {"driver": "file", "filename": "/dev/fdset/0"}}
    q.error("blockdev-add", desc="Permission denied", **node)
    q.cmd("add-fd", fds=[both], fdset_id=0)
    other = q.cmd("add-fd", fds=[both], fdset_id=7, opaque="w")
    sets = q.cmd("query-fdsets")
    same([(s["fdset-id"], [f.get("opaque") for f in s["fds"]]) for s in sets], [(0, ["r", None]), (7, ["w"])])
    q.cmd("blockdev-add", **node)
    q.cmd("remove-fd", fdset_id=7, fd=other["fd"])
    q.error("remove-fd", fdset_id=7, desc="fdset-id:7' not found")
    q.error("remove-fd", fdset_id=0, fd=9999, desc="fd:9999' not found")
    q.cmd("remove-fd", fdset_id=0)
    same(q.cmd("query-fdsets"), [])
    q.cmd("block_resize", node_name="n", size=2 << 20)
    same(os.fstat(reads).st_size, 2 << 20)
    q.cmd("blockdev-del", node_name="n")
    q.error("blockdev-add", desc="No such file", **node)
    # Two at once: each command has its own.
    pipes = [os.pipe(), os.pipe()]
    for name, (_, w) in zip("ab", pipes):
        socket.send_fds(q.s, [json.dumps({"execute": "getfd", "arguments": {"fdname": name}}).encode()], [w, reads])
        os.close(w)
    for _ in pipes:
        same(q.read(), {"return": {}})
    q.cmd("closefd", fdname="b")
    same(os.read(pipes[1][0], 1), b"")
    check(not select.select([pipes[0][0]], [], [], 0)[0], "the wrong one was closed")
    q.cmd("getfd", fdname="a", fds=[both])      # in its place
    same(os.read(pipes[0][0], 1), b"")
    # What nobody uses goes with the last who knew of it.
    writes, cd = unnamed("cd", bytes(4096))
    os.close(writes)
    q.cmd("add-fd", fds=[cd], fdset_id=1)
    q.cmd("add-fd", fds=[cd], fdset_id=2)
    q.cmd("blockdev-change-medium", id="cd", filename="/dev/fdset/1", format="raw")
    q.s.close()
    q.f.close()
    q = Qmp(path("f"))
    same([s["fdset-id"] for s in q.cmd("query-fdsets")], [1])
    q.cmd("blockdev-open-tray", id="cd")
    q.cmd("blockdev-remove-medium", id="cd")
    q.cmd("blockdev-close-tray", id="cd")
    # The human monitor; then the machine goes there and comes back from there.
    h = connect(path("g"))
    stream, again = unnamed("stream")
    socket.send_fds(h, [b"getfd out\nprint 3\n"], [stream])
    data = b""
    while b"0x3" not in data:
        data += h.recv(4096)
    check(b"SCM_RIGHTS" not in data, str(data))
    q.cmd("migrate", uri="fd:out")
    for _ in range(int(200 * SLOW)):
        if q.cmd("query-migrate")["status"] == "completed":
            break
        time.sleep(0.05)
    same(q.cmd("query-migrate")["status"], "completed")
    check(os.fstat(stream).st_size > 4096, "the file has %d bytes" % os.fstat(stream).st_size)
    q.error("closefd", fdname="out", desc="not found")
    q.cmd("quit")
    m.ends(0)
    m = machine("-incoming", "defer", "-S", *options)
    q = Qmp(path("f"))
    os.lseek(again, 0, os.SEEK_SET)
    q.cmd("getfd", fdname="in", fds=[again])
    q.cmd("migrate-incoming", uri="fd:in")
    for _ in range(int(200 * SLOW)):
        if q.cmd("query-status")["status"] != "inmigrate":
            break
        time.sleep(0.05)
    check("EIP=0000fff0" in q.hmp("info registers"), q.hmp("info registers"))
    q.cmd("quit")
    m.ends(0)
    # As it starts: an image, and where a stream goes to. mov al,'A'; out E9h,al; jmp $
    log, _ = unnamed("log")
    m = machine("-M", "micro", "-kernel", multiboot("says", "b041e6e9ebfe"), *options, "-debugcon", "file:/dev/fdset/2",
                "-add-fd", "fd=%d,set=2,opaque=the log" % log, "-add-fd", "fd=%d,set=1" % both, "-drive",
                "if=virtio,format=raw,file=/dev/fdset/1", pass_fds=[log, both])
    q = Qmp(path("f"))
    same([s["fdset-id"] for s in q.cmd("query-fdsets")], [1, 2])
    for _ in range(int(200 * SLOW)):
        if os.pread(log, 2, 0) == b"A":
            break
        time.sleep(0.05)
    same(os.pread(log, 2, 0), b"A")
    q.cmd("quit")
    m.ends(0)
    for why, options in (("not started with", "fd=77,set=1"), ("not started with", "fd=1,set=1"), ("needs fd=N", "set=1"),
                         ("use a number", "fd=x,set=1")):
        p = subprocess.run([*command(), "-add-fd", options], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        check(p.returncode == 2 and why in p.stderr, p.stderr)


def quick_signals():
    """SIGTERM is the power button, a second one the end: clients hear of both."""
    m = machine("-serial", "null", "-qmp", "unix:%s,server,nowait" % path("s"))
    q = Qmp(path("s"))
    m.p.send_signal(signal.SIGTERM)
    q.event("POWERDOWN")
    m.p.send_signal(signal.SIGTERM)
    q.event("SHUTDOWN", guest=False, reason="host-signal")
    m.ends(128 + signal.SIGTERM)


def multiboot(name, code):
    """A multiboot image whose code is `code`, in hexadecimal."""
    code, start = bytes.fromhex(code), 0x100020
    with open(path(name), "wb") as f:
        f.write(struct.pack("<8I", 0x1badb002, 0x10000, -(0x1badb002 + 0x10000) & 0xffffffff, 0x100000, 0x100000,
                            start + len(code), start + len(code), start) + code)
    return path(name)


def quick_pause():
    """A guest that panics, and one whose watchdog bites, stop where that is asked for, and go on by 'cont'."""
    # mov al,1; mov dx,505h; out dx,al; jmp $
    panic = multiboot("panic", "b00166ba0505eeebfe")
    # The i6300esb in slot 5: registers at e0000000h, memory on; both stages preloaded with 1 behind the unlocking words
    # 80h and 86h, then enabled by configuration register 68h; jmp $
    bite = multiboot("bite", "66baf80cb810280080efb2fcb8000000e0efb2f8b804280080efb2fcb002ee"
                     "bb000000e031c94166c7430c800066c7430c8600890b66c7430c800066c743"
                     "0c8600894b04b2f8b868280080efb2fcb002eeebfe")
    for kernel, event, status, options in (
            (panic, "GUEST_PANICKED", "guest-panicked", ("-device", "pvpanic", "-action", "panic=pause")),
            (bite, "WATCHDOG", "watchdog", ("-device", "i6300esb,addr=5", "-watchdog-action", "pause"))):
        m = machine("-S", "-M", "pc", "-serial", "null", "-kernel", kernel, "-qmp", "unix:%s,server,nowait" % path("p"), *options)
        q = Qmp(path("p"))
        q.cmd("cont")
        q.event(event, action="pause")
        q.event("STOP")
        check(q.cmd("query-status") == {"running": False, "singlestep": False, "status": status}, str(q.cmd("query-status")))
        q.cmd("cont")
        check(q.cmd("query-status")["running"], "it does not go on")
        q.cmd("quit")
        m.ends(0)


def gdb_core(core, *asked):
    """What gdb says of a core file; None: there is no gdb."""
    if not shutil.which("gdb"):
        print("  not looked at by gdb: there is none")
        return None
    words = [w for line in asked for w in ("-ex", line)]
    return subprocess.run(["gdb", "-nx", "-batch", "-core", core, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120).stdout


def quick_dump():
    """Memory and registers in a core file, as gdb reads it; checksums."""
    # Protected mode: mov eax,12345678h; mov esp,110000h; mov [200000h],eax; jmp $
    m = machine("-S", "-M", "pc", "-m", "16", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("d"), "-kernel",
                multiboot("dump", "b878563412bc00001100a300002000ebfe"))
    q = Qmp(path("d"))
    q.cmd("cont")
    end = time.monotonic() + 20 * SLOW
    while "0x12345678" not in q.hmp("xp/1xw 0x200000"):
        check(time.monotonic() < end, "it does not write")
    q.cmd("stop")
    same(q.hmp("dump-guest-memory " + path("core")), "")
    check(re.search("EAX=12345678.*EIP=0010002f", q.hmp("info registers"), re.S), q.hmp("info registers"))
    said = gdb_core(path("core"), "print/x $eax", "print/x $esp", "print/x $eip", "x/2xw 0x1ffffc", "x/xb 0x100020")
    if said is not None:
        check(all(x in said for x in ("0x12345678", "0x110000", "0x10002f", "0x00000000\t0x12345678", "0xb8")), said)
    # A part of it; pages of zeros take no room.
    q.cmd("dump-guest-memory", paging=False, protocol="file:" + path("part"), begin=0x200000, length=0x1000)
    q.event("DUMP_COMPLETED", result={"total": 4096, "status": "completed", "completed": 4096})
    check(open(path("part"), "rb").read()[-4096:].startswith(b"\x78\x56\x34\x12"), "another part")
    check(os.stat(path("core")).st_blocks * 512 < 8 << 20 < os.path.getsize(path("core")), "it is not sparse")
    q.cmd("dump-guest-memory", paging=True, protocol="file:" + path("paging"))
    # The sum of sum(1), over the same bytes.
    q.cmd("pmemsave", val=0, size=0x90000, filename=path("low"))
    data = subprocess.run(["sum", path("low")], stdout=subprocess.PIPE, text=True).stdout
    same(q.hmp("sum 0 0x90000").split()[0], data.split()[0])
    check("not all" in q.hmp("sum 0x900000000000 1"), "a sum of nothing")
    for how, why in (({"protocol": "fd:1"}, "not found"), ({"protocol": "pipe:1"}, "must start"), ({"protocol": "file:/dev/null"}, "no regular file"),
                     ({"protocol": "file:/nowhere/x"}, "No such file"), ({"protocol": "file:" + path("x"), "format": "win-dmp"}, "elf"),
                     ({"protocol": "file:" + path("x"), "begin": 0}, "belong together"),
                     ({"protocol": "file:" + path("x"), "begin": 1 << 50, "length": 1}, "no memory from")):
        q.error("dump-guest-memory", paging=False, desc=why, **how)
    check(not os.path.exists(path("x")), "a dump that failed is there")
    q.cmd("quit")
    m.ends(0)


def quick_gdbserver():
    """A debugger for a machine that was started without one."""
    m = machine("-S", "-serial", "null", "-qmp", "unix:%s,server,nowait" % path("g"))
    q = Qmp(path("g"))
    q.cmd("cont")
    check("cannot be taken" in q.hmp("gdbserver stdio"), "stdio")
    check("use tcp::PORT" in q.hmp("gdbserver nowhere"), "nowhere")
    check("can connect" in q.hmp("gdbserver unix:" + path("first")), "it does not listen")
    check("can connect" in q.hmp("gdbserver unix:" + path("gdb")), "it does not listen elsewhere")
    check(not os.path.exists(path("first")), "the first socket is still there")
    line = Line(path("gdb"))
    check(line.ask("?").startswith("T") and not q.cmd("query-status")["running"], "connecting does not stop it")
    check("detach first" in q.hmp("gdbserver none"), "it goes away under the debugger")
    check("detach first" in line.monitor("gdbserver none"), "it goes away under the debugger that asks")
    line.ok("D")
    line.close()
    end = time.monotonic() + 20 * SLOW
    while "detach first" in q.hmp("gdbserver none"):
        check(time.monotonic() < end, "the debugger stays")
    check(not os.path.exists(path("gdb")), "the socket is still there")
    check(q.cmd("query-status")["running"], "it does not go on")
    q.cmd("quit")
    m.ends(0)


def quick_usage():
    """What is wrong on the command line is said."""
    for options, text in (
            (["-mon", "none"], "there is no -chardev with id=none"), (["-mon", "mode=control"], "needs chardev=ID"),
            (["-mon", "c,mode=x"], "mode=control"), (["-monitor", "vc"], "stdio"), (["-monitor", "nonsense"], "unknown destination"),
            (["-uuid", "12"], "no UUID"),
            (["-chardev", "null,id=c", "-serial", "chardev:c", "-mon", "c"], "mux=on"),
            (["-monitor", "stdio", "-qmp", "stdio"], "already used")):
        m = machine(*options)
        err = m.ends(2)
        check(text in err, "%s: %s" % (options, err))


def quick_client():
    """QEMU's own Python client."""
    try:
        from qemu.qmp import QMPClient
    except ImportError:
        print("  skipped: there is no Python package qemu.qmp")
        return
    import asyncio
    m = machine("-serial", "null", "-qmp", "unix:%s,server,nowait" % path("c"))

    async def work():
        connect(path("c")).close()
        q = QMPClient("test")
        await q.connect(path("c"))
        check((await q.execute("query-status"))["running"], "does not run")
        with q.listen("STOP") as listener:
            await q.execute("stop")
            await asyncio.wait_for(listener.get(), 10)
        await q.execute("quit")
        await q.disconnect()
    asyncio.run(work())
    m.ends(0)


# ---- with a guest ----

def cached(*words):
    return subprocess.run(["sh", os.path.join(HERE, "../boot/guest.sh"), *words], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


MODULES = ("scsi_common scsi_mod libata ata_piix crc64 crct10dif_common crct10dif_generic crc64-rocksoft "
           "crc64_rocksoft_generic crc-t10dif t10-pi sd_mod cdrom sr_mod floppy e1000").split()


def boot(name, *options, consoles="console=tty0 console=ttyS0"):
    """A shell on the serial port, with a CD, a floppy and a network card in the machine."""
    for letter in "abcd":
        with open(path(letter + ".iso"), "wb") as f:
            f.write(letter.upper().encode() * (2048 * (300 + ord(letter))))
        with open(path(letter + ".img"), "wb") as f:
            f.write(letter.encode() * 1474560)
    m = machine("-machine", "pc", "-kernel", cached("kernel", "amd64"), "-initrd", cached("initramfs", "amd64", *MODULES),
                "-append", consoles + " quiet", "-serial", "stdio", "-qmp",
                "unix:%s,server,nowait" % path(name), "-drive", "if=ide,index=2,media=cdrom,id=cd,file=" + path("a.iso"), "-fda", path("a.img"), *options,
                stdin=subprocess.PIPE)
    q = Qmp(path(name))
    if consoles.endswith("tty0"):
        return m, q
    m.expect(r"[~/] # ", 180)
    m.run("stty -echo -onlcr; echo 1 >/proc/sys/kernel/printk")
    return m, q


def guest_media():
    """CDs and floppies that are changed under the guest: what it sees of it, and locks."""
    m, q = boot("media")
    cd = lambda: m.run("dd if=/dev/sr0 bs=2048 count=1 2>/tmp/e | head -c 4; cat /sys/block/sr0/size; grep dd: /tmp/e")
    size = lambda letter: str(4 * (300 + ord(letter)))
    same(cd(), "AAAA" + size("a"))
    q.cmd("blockdev-change-medium", id="cd", filename=path("b.iso"))
    q.event("DEVICE_TRAY_MOVED", id="cd", tray_open=True)
    q.event("DEVICE_TRAY_MOVED", id="cd", tray_open=False)
    same(cd(), "BBBB" + size("b"))
    q.error("blockdev-change-medium", desc="No such file", id="cd", filename=path("none.iso"))
    same(cd(), "BBBB" + size("b"))
    # The guest locks the tray while it has the device open: it is asked, and force is stronger.
    m.run("exec 3</dev/sr0")
    check([b["locked"] for b in q.cmd("query-block") if b["device"] == "cd"] == [True], "not locked")
    q.error("eject", desc="is locked", device="cd")
    m.run("exec 3<&-")
    check("AAAA" not in cd() and "BBBB" in cd(), cd())
    m.run("exec 3</dev/sr0")
    q.cmd("eject", device="cd", force=True)
    m.run("exec 3<&-")
    check(m.run("dd if=/dev/sr0 bs=2048 count=1 2>&1 | grep -o 'No medium found'") == "No medium found", "there is a medium")
    # Step by step.
    q.cmd("blockdev-open-tray", id="cd")
    q.error("blockdev-insert-medium", desc="not found", id="cd", node_name="nothing")
    q.cmd("blockdev-close-tray", id="cd")
    q.hmp("change cd %s" % path("c.iso"))
    same(cd(), "CCCC" + size("c"))
    # The guest opens the tray itself.
    q.events = []
    m.run("cd /proc/sys/dev/cdrom; echo 1 >autoeject; dd if=/dev/sr0 of=/dev/null count=1; echo 0 >autoeject; cd /")
    q.event("DEVICE_TRAY_MOVED", id="cd", tray_open=True)
    check("tray open" in q.hmp("info block"), q.hmp("info block"))
    cd()                        # who opens it closes the tray; of that Linux makes an error of its own
    q.event("DEVICE_TRAY_MOVED", id="cd", tray_open=False)
    same(cd(), "CCCC" + size("c"))
    # A floppy: the disk change line says so.
    floppy = lambda: m.run("dd if=/dev/fd0 bs=512 count=1 2>/dev/null | head -c 4")
    same(floppy(), "aaaa")
    q.cmd("blockdev-change-medium", id="floppy0", filename=path("b.img"), format="raw")
    same(floppy(), "bbbb")
    q.cmd("blockdev-change-medium", id="floppy0", filename=path("c.img"), format="raw", read_only_mode="read-only")
    same(floppy(), "cccc")
    check(m.run("dd if=/dev/zero of=/dev/fd0 bs=512 count=1 2>/dev/null || echo refused") == "refused", "it was written")
    q.cmd("eject", device="floppy0")
    same(floppy(), "")
    q.cmd("quit")
    m.ends(0)


NAMES = {" ": "spc", "\n": "ret", "-": "minus", ">": "shift-dot", "/": "slash", "S": "shift-s", "!": "shift-1"}


def guest_keys():
    """Commands typed into a shell on the screen; what the screen shows."""
    m, q = boot("keys", consoles="console=ttyS0 console=tty0")

    def screen():
        q.cmd("screendump", filename=path("s.txt"))
        return open(path("s.txt")).read()

    end = time.monotonic() + 180 * SLOW
    while "/ #" not in screen():
        check(time.monotonic() < end, "no prompt on the screen: " + screen())
        time.sleep(0.5)
    for i, c in enumerate("echo typed-in! >/dev/ttyS0\n"):
        if i % 2:
            q.hmp("sendkey " + NAMES.get(c, c))
        else:
            q.cmd("send-key", keys=[{"type": "qcode", "data": k} for k in NAMES.get(c, c).split("-")], hold_time=40)
    m.expect("typed-in!")
    check("echo typed-in!" in screen(), screen())
    # Faster than any keyboard: what it has no room for waits in front of it, in order. (The last key is still held.)
    time.sleep(0.5)
    for n in range(3):
        text = "echo Typed-AT-Once-%d-aBcDeFgHiJkLmNoPqRsTuVwXyZ >/dev/ttyS0" % n
        events = []
        for c in text + "\n":
            keys = NAMES.get(c, "shift-" + c.lower() if c.isupper() else c).split("-")
            for down, order in (True, keys), (False, keys[::-1]):
                events += [{"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": k}}} for k in order]
        q.cmd("input-send-event", events=events)
        m.expect("Typed-AT-Once-%d-aBcDeFgHiJkLmNoPqRsTuVwXyZ\r?\n" % n, 30)
    q.hmp("screendump " + path("s.png"))
    check(os.path.getsize(path("s.png")) > 500, "an empty picture")
    q.cmd("quit")
    m.ends(0)


def guest_machine():
    """Memory, time, the network's cable, resets, power."""
    m, q = boot("machine", "-no-shutdown")
    check(q.cmd("query-status")["running"], "does not run")
    # The kernel's memory through its page tables.
    m.run("echo 0 >/proc/sys/kernel/kptr_restrict")
    banner = "0x" + m.run("grep ' linux_banner$' /proc/kallsyms").split()[0]
    check("Linux version" in q.hmp("x/s " + banner), q.hmp("x/s " + banner))
    pa = re.search(r"physical ([0-9a-f]+) \(RAM\)", q.hmp("gva2gpa " + banner))
    check(pa and "Linux version" in q.hmp("xp/s 0x" + pa.group(1)), q.hmp("gva2gpa " + banner))
    ranges = [[int(x, 16) for x in line.split()[0].split("-")] for line in q.hmp("info mem").splitlines()
              if re.match(r"[0-9a-f]{16}-", line)]
    check([r for r in ranges if r[0] <= int(banner, 16) < r[1]], "info mem has not what the kernel is in")
    check("RIP=ffff" in q.hmp("info registers") or "RIP=0000" in q.hmp("info registers"), q.hmp("info registers"))
    check("lapic 0:" in q.hmp("info lapic") and "APIC" in q.hmp("info ioapic"), q.hmp("info ioapic"))
    # A core file of it, at the addresses it uses itself.
    q.cmd("stop")
    same(q.hmp("dump-guest-memory -p " + path("core")), "")
    said = gdb_core(path("core"), "x/s " + banner, "print/x $rip", "print/x $cs")
    rip = re.search("RIP=0*([0-9a-f]+)", q.hmp("info registers")).group(1)
    if said is not None:
        check("Linux version" in said and "0x" + rip in said, said)
    q.cmd("cont")
    # Its time stands while it is stopped.
    up = lambda: float(m.run("cat /proc/uptime").split()[0])
    before = up()
    q.cmd("stop")
    time.sleep(3)
    q.cmd("cont")
    after = up()
    check(0 <= after - before < 2, "%.2f s of the guest's time went by" % (after - before))
    # Looking hurts nobody.
    for _ in range(50):
        q.hmp("info registers")
        q.cmd("query-pci")
    check(up() >= after, "time goes back")
    # The network's cable.
    m.run("ip link set eth0 up; sleep 1")
    check(m.run("cat /sys/class/net/eth0/carrier") == "1", "no carrier")
    name = q.hmp("info network").split(":")[0]
    q.cmd("set_link", name=name, up=False)
    check(m.run("sleep 3; cat /sys/class/net/eth0/carrier") == "0", "the cable is still in")
    q.cmd("set_link", name=name, up=True)
    check(m.run("sleep 3; cat /sys/class/net/eth0/carrier") == "1", "the cable is not in again")
    # The guest sets its clock, or so it believes.
    m.run("date -s 2030-01-01; hwclock -u -w -f /dev/rtc0")
    if m.run("[ -e /dev/rtc0 ] && echo there") == "there":
        check(q.event("RTC_CHANGE")["data"]["offset"] > 86400, "another offset")
    # A reset. The prompt that is still to come is not the next boot's.
    m.expect(r"[~/] # ")
    q.hmp("system_reset")
    q.event("RESET", guest=False)
    m.expect(r"[~/] # ", 180)
    # Switched off by the guest, and kept; switched on again.
    m.type("poweroff -f\n")
    q.event("SHUTDOWN", guest=True, reason="guest-shutdown")
    q.event("STOP")
    check(q.cmd("query-status")["status"] == "shutdown", str(q.cmd("query-status")))
    q.error("cont", desc="Reset")
    q.cmd("system_reset")
    q.event("RESET", guest=False)
    check(q.cmd("query-status")["status"] == "prelaunch", str(q.cmd("query-status")))
    q.cmd("cont")
    m.expect(r"[~/] # ", 180)
    m.type("reboot -f\n")
    q.event("RESET", guest=True, reason="guest-reset")
    m.expect(r"[~/] # ", 180)
    q.cmd("quit")
    m.ends(0)


sys.exit(main(__doc__, "qmp.py", ["quick", "guest"], globals()))
