#!/usr/bin/env python3
"""memdev.py - memory backends: a machine's memory in a file that others see, and objects of monitors.

  memdev.py [--latimer COMMAND] quick [CASE...]

What the guest writes is compared with the file as this process maps it, and what this process writes there with what the guest
has; machines are saved, loaded and sent with such memory.
"""
import mmap, os, re, resource, shutil, subprocess, sys

from machine import SLOW, Failed, Qmp, check, command, machine, main, path, same, until
from migrate import SECTOR, Side, counter, go
from qmp_schema import qemu_schema
from snap import content, hmp

MIB = 1 << 20
PC = ["-M", "pc", "-serial", "null", "-nic", "none"]


def shared(name, **more):
    """Options for 32 MiB in a file."""
    return ["-M", "pc,memory-backend=mem", "-object", "memory-backend-file,id=mem,size=32M,mem-path=%s" % path(name) +
            "".join(",%s=%s" % (k.replace("_", "-"), v) for k, v in more.items())]


def counting(*options):
    """A machine whose boot sector counts in its memory, and looks at what it has written."""
    boot = path("boot.img")
    with open(boot, "wb") as f:
        f.write(SECTOR.ljust(510, b"\0") + b"\x55\xaa" + bytes(512 * 100))
    return Side("-serial", "null", "-nic", "none", "-drive", "format=raw,snapshot=on,file=" + boot, "-debugcon", "file:" + path("e9"), *options)


class View:
    """The file as another process maps it."""
    def __init__(self, name):
        self.f = open(name, "r+b")
        self.m = mmap.mmap(self.f.fileno(), 0)

    def word(self, at):
        return int.from_bytes(self.m[at:at + 4], "little")


def same_memory(side, view):
    """What monitors see of the machine's memory, which stands still, is what is in the file."""
    side.q.cmd("pmemsave", val=MIB, size=31 * MIB, filename=path("seen"))
    check(content(path("seen")) == view.m[MIB:], "the file is not the machine's memory")
    side.q.cmd("pmemsave", val=0, size=0x9f000, filename=path("seen"))
    check(content(path("seen")) == view.m[:0x9f000], "the file is not the machine's low memory")


def quick_shared():
    """Others see the guest write while it runs, and the guest sees them; with share=off the file stays as it is."""
    a = counting(*shared("mem", share="on"))
    same(os.path.getsize(path("mem")), 32 * MIB)
    v = View(path("mem"))
    until(lambda: 1000 < v.word(0x600) < 1 << 30, "the file does not show what the guest writes")
    seen = v.word(0x600)
    until(lambda: v.word(0x600) > seen, "it stands still")
    a.q.cmd("stop")
    same(v.word(0x600), counter(a))
    same_memory(a, v)
    v.m[20 * MIB:20 * MIB + 8] = b"\1\2\3\4\5\6\7\x08"
    check("0x0807060504030201" in a.q.hmp("xp/1xg 0x1400000"), a.q.hmp("xp/1xg 0x1400000"))
    same([(d["id"], d["size"], d["share"]) for d in a.q.cmd("query-memdev")], [("mem", 32 * MIB, True)])
    # A core file has it as well.
    a.q.cmd("dump-guest-memory", paging=False, protocol="file:" + path("core"))
    check(b"\1\2\3\4\5\6\7\x08" in content(path("core")), "it is not in the core file")
    a.q.cmd("quit")
    a.m.ends(0)
    # Another machine with share=off begins with what is there, and leaves it alone.
    before = content(path("mem"))
    b = counting(*shared("mem", share="off"))
    check("0x0807060504030201" in b.q.hmp("xp/1xg 0x1400000"), "it does not begin with the file")
    until(lambda: 1000 < counter(b) < 1 << 30, "it does not count")
    b.q.cmd("stop")
    hmp(b.q, "savevm " + path("private.snap"))
    counted = counter(b)
    b.q.cmd("cont")
    until(lambda: counter(b) > counted, "it stands still")
    hmp(b.q, "loadvm " + path("private.snap"))
    check(counter(b) >= counted, "it was not loaded")
    check("0x0807060504030201" in b.q.hmp("xp/1xg 0x1400000"), "what was never written is lost in a snapshot")
    b.q.cmd("quit")
    b.m.ends(0)
    check(content(path("mem")) == before, "share=off, and it was written to")
    # That needs no right to write to it.
    os.chmod(path("mem"), 0o444)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if not as_nobody or shutil.which("setpriv"):
        os.chmod(os.path.dirname(path("mem")), 0o711)
        exe = shutil.copy(command()[-1], path("latimer")) if as_nobody else command()[-1]
        for share, code, text in (("off", 0, ""), ("on", 3, "cannot open .*mem for guest memory: Permission denied")):
            p = subprocess.run([*as_nobody, *command()[:-1], exe, "-display", "none", "-S", "-monitor", "stdio", *PC, *shared("mem", share=share)],
                               input="quit\n", capture_output=True, text=True, timeout=60 * SLOW)
            check(p.returncode == code and re.search(text, p.stderr), "%s: %d %s" % (share, p.returncode, p.stderr))


def quick_kept():
    """With share=on what one machine has written the next one has in its memory."""
    a = counting(*shared("kept", share="on"))
    until(lambda: 1000 < counter(a) < 1 << 30, "it does not count")
    a.q.cmd("stop")
    counted = counter(a)
    a.q.cmd("pmemsave", val=0, size=0x9f000, filename=path("low"))
    a.q.cmd("quit")
    a.m.ends(0)
    b = Side("-S", *PC, *shared("kept", share="on"))
    same(counter(b), counted)
    b.q.cmd("pmemsave", val=0, size=0x9f000, filename=path("seen"))
    check(content(path("seen")) == content(path("low")), "not all of it was kept")
    b.q.cmd("quit")
    b.m.ends(0)
    # Unless it is to be thrown away.
    b = Side("-S", *PC, *shared("kept", share="on", discard_data="on"))
    same(counter(b), counted)
    b.q.cmd("quit")
    b.m.ends(0)
    check(not any(content(path("kept"))), "discard-data=on, and it is there")


def quick_snapshots():
    """Loading puts what was saved into the file, where others see it; the guest goes on, and what it finds there is right."""
    for n, more in enumerate(({"share": "on"}, {"share": "on", "prealloc": "on"}, {"share": "off"})):
        name = "mem%d" % n
        a = counting(*shared(name, **more))
        v = View(path(name))
        until(lambda: 1000 < counter(a) < 1 << 30, "it does not count")
        a.q.cmd("stop")
        if more["share"] == "on":
            v.m[24 * MIB:24 * MIB + 4096] = bytes(4096)
        saved = counter(a)
        hmp(a.q, "savevm " + path("1"))
        a.q.cmd("cont")
        until(lambda: counter(a) > saved, "it stands still")
        a.q.cmd("stop")
        if more["share"] == "on":       # what was not there at the time must not stay
            v.m[24 * MIB:24 * MIB + 4096] = b"x" * 4096
        file = os.stat(path(name)).st_ino
        hmp(a.q, "loadvm " + path("1"))
        same(counter(a), saved)
        hmp(a.q, "savevm " + path("2"))
        check(content(path("1")) == content(path("2")), "save, load, save gives other bytes")
        if more["share"] == "on":
            same(v.word(0x600), saved)
            check(not any(v.m[24 * MIB:24 * MIB + 4096]), "what was there before is there still")
            same_memory(a, v)
        else:
            check(not any(v.m[:]), "share=off, and it was written to")
        same(os.stat(path(name)).st_ino, file)
        # Pages of it are sent while they are written, into another such file.
        a.q.cmd("cont")
        uri = "unix:" + path("to")
        b = counting(*shared("to%d" % n, **more), "-incoming", uri)
        go(a, b, uri)
        b.runs()
        arrived = counter(b)
        check(arrived >= saved, "it counts from %d and not %d on" % (arrived, saved))
        until(lambda: counter(b) != arrived, "it does not go on")
        if more["share"] == "on":
            w = View(path("to%d" % n))
            b.q.cmd("stop")
            same(w.word(0x600), counter(b))
            same_memory(b, w)
        check(b"X" not in content(path("e9")), "the guest found a page that it had not written so")
        for side in (a, b):
            side.q.cmd("quit")
            side.m.ends(0)


def quick_memfd():
    """A memfd is found among the process's descriptors, and keeps its size."""
    a = counting("-M", "pc,memory-backend=mem", "-object", "memory-backend-memfd,id=mem,size=32M")
    fds = "/proc/%d/fd" % a.m.p.pid
    if not os.path.isdir(fds) or len(command()) > 1:
        print("  skipped: the descriptors of a process cannot be seen")
        return
    mine = [os.path.join(fds, n) for n in os.listdir(fds) if "memfd:memory-backend-memfd" in os.readlink(os.path.join(fds, n))]
    check(mine, "there is no memfd")
    v = View(mine[0])
    until(lambda: 1000 < v.word(0x600) < 1 << 30, "it does not show what the guest writes")
    try:
        os.truncate(v.f.fileno(), MIB)
        check(False, "it can be made shorter")
    except PermissionError:
        pass
    hmp(a.q, "savevm " + path("1"))
    seen = v.word(0x600)
    until(lambda: v.word(0x600) > seen, "it stands still")
    a.q.cmd("stop")
    hmp(a.q, "loadvm " + path("1"))
    same(v.word(0x600), counter(a))
    a.q.cmd("quit")
    a.m.ends(0)


def quick_objects():
    """Backends come and go while the machine is there; QMP and the human monitor say the same of them."""
    schema = qemu_schema()
    # An emulator of the host has no mbind(2).
    policy, nodes = ("default", []) if os.environ.get("EMULATOR") else ("bind", [0])
    m = machine(*PC, "-S", "-m", "64", "-qmp", "unix:%s,server,nowait" % path("q"), "-object",
                '{"qom-type": "memory-backend-ram", "id": "j", "size": 1048576, "dump": false, "policy": "%s", "host-nodes": %s}' % (policy, nodes))
    q = Qmp(path("q"))

    def ids():
        all = q.cmd("query-memdev")
        if schema:
            why = schema.wrong(all, schema.types["query-memdev"]["ret-type"], "query-memdev")
            check(not why, why)
        said = q.hmp("info memdev")
        for d in all:
            check("memory backend: %s\n  size:  %d\n" % (d["id"], d["size"]) in said, said)
        same([p["name"] for p in q.cmd("qom-list", path="/objects")[1:]], [d["id"] for d in all])
        return [d["id"] for d in all]

    same(ids(), ["pc.ram", "j"])
    j = q.cmd("query-memdev")[1]
    same((j["dump"], j["policy"], j["host-nodes"]), (False, policy, nodes))
    same([q.cmd("qom-get", path="/objects/j", property=p) for p in ("type", "size", "dump", "policy", "host-nodes")],
         ["memory-backend-ram", MIB, False, policy, nodes])
    q.error("qom-get", path="/objects/j", property="mem-path", desc="not found")
    kinds = [t["name"] for t in q.cmd("qom-list-types", implements="memory-backend", abstract=False)]
    same(kinds, ["memory-backend-ram", "memory-backend-file", "memory-backend-memfd"])
    for kind in kinds:
        props = {p["name"] for p in q.cmd("qom-list-properties", typename=kind)}
        check({"type", "size", "share", "prealloc"} <= props and ("mem-path" in props) == (kind == "memory-backend-file"), str(props))
        if schema:
            why = schema.wrong(q.cmd("qom-list-properties", typename=kind), schema.types["qom-list-properties"]["ret-type"], kind)
            check(not why, why)
    # Each is there in full: a file of it is made, and stays.
    q.cmd("object-add", qom_type="memory-backend-file", id="f", size=MIB, mem_path=path("new"), share=True, prealloc=True)
    same(os.path.getsize(path("new")), MIB)
    check(os.stat(path("new")).st_blocks * 512 >= MIB, "prealloc=on, and it has holes")
    hmp(q, "object_add memory-backend-memfd,id=g,size=2M")
    same(ids(), ["pc.ram", "j", "f", "g"])
    q.error("object-add", qom_type="memory-backend-ram", id="f", size=MIB, desc="already")
    q.error("object-add", qom_type="iothread", id="t", desc="does not accept value 'iothread'")
    q.error("object-add", qom_type="memory-backend-ram", id="x", desc="'size' is missing")
    q.error("object-add", qom_type="memory-backend-ram", id="1x", size=MIB, desc="expects an identifier")
    q.error("object-add", qom_type="memory-backend-ram", id="x", size="1M", desc="Invalid parameter type for 'size'")
    q.error("object-add", qom_type="memory-backend-ram", id="x", size=MIB, mem_path="x", desc="'mem-path' is unexpected")
    q.error("object-add", qom_type="memory-backend-file", id="x", size=MIB, desc="'mem-path' is missing")
    q.error("object-add", qom_type="memory-backend-file", id="x", size=MIB, mem_path=path("no/such"), desc="No such file")
    q.error("object-add", qom_type="memory-backend-file", id="x", size=2 * MIB, mem_path=path("new"), desc="does not match size=2097152")
    same(os.path.getsize(path("new")), MIB)
    q.error("object-add", qom_type="memory-backend-ram", id="x", size=-1, desc="size=-1")
    q.error("object-add", qom_type="memory-backend-ram", desc="'id' is missing")
    hmp(q, "object_add memory-backend-ram,id=x,help", "'help' is unexpected")
    hmp(q, "object_add help", "qom-type")
    same(ids(), ["pc.ram", "j", "f", "g"])
    q.error("object-del", id="pc.ram", desc="is in use")
    q.error("object-del", id="x", desc="not found")
    for name in ("f", "j"):
        q.cmd("object-del", id=name)
    hmp(q, "object_del g")
    hmp(q, "object_del g", "not found")
    same(ids(), ["pc.ram"])
    check(os.path.exists(path("new")), "its file has gone")
    q.cmd("quit")
    m.ends(0)


def quick_errors():
    """What cannot be had is refused, and files are left as they were."""
    with open(path("short"), "wb") as f:
        f.write(b"something")
    os.mkfifo(path("pipe"))
    ram = "memory-backend-ram,id=a,"
    file = "memory-backend-file,id=a,size=32M,mem-path="
    missing = [os.path.join("/sys/devices/system/node", "node%d" % n) for n in (126,)]
    for code, text, *options in (
            (2, "-m: Machine memory size does not match .*33554432 bytes, and a has 67108864", "-m", "32", "-object", ram + "size=64M", "-M", "pc,memory-backend=a"),
            (2, "Memory backend 'b' not found", "-object", ram + "size=64M", "-M", "pc,memory-backend=b"),
            (2, "there is an object of id=a already", "-object", ram + "size=1M", "-object", ram + "size=1M"),
            (2, "there is an object of id=a already", "-object", ram + "size=1M", "-nic", "user,id=n", "-object", "filter-dump,id=a,netdev=n,file=" + path("p")),
            (2, "reserved for the machine's own memory", "-object", "memory-backend-ram,id=pc.ram,size=1M"),
            (2, "'size' is missing", "-object", "memory-backend-ram,id=a"), (2, "'id' is missing", "-object", "memory-backend-ram,size=1M"),
            (2, "'id' expects an identifier", "-object", "memory-backend-ram,id=a/b,size=1M"),
            (2, "'speed' is unexpected", "-object", ram + "size=1M,speed=1"), (2, "share=maybe: use on or off", "-object", ram + "size=1M,share=maybe"),
            (2, "size=big: use a number", "-object", ram + "size=big"), (2, "too little memory", "-object", ram + "size=64K", "-M", "pc,memory-backend=a"),
            (2, "not a multiple of 4 KiB", "-object", ram + "size=33554433", "-M", "pc,memory-backend=a"),
            (2, "merge=on: the host's kernel does not", "-object", ram + "size=1M,merge=on"), (2, "reserve=on: the host", "-object", ram + "size=1M,reserve=on"),
            (2, "policy=bind needs host-nodes", "-object", ram + "size=1M,policy=bind"), (2, "says nothing with policy=default", "-object", ram + "size=1M,host-nodes=0"),
            *((4, "policy=bind: the host cannot", "-object", ram + "size=1M,policy=bind,host-nodes=126") for m in missing if not os.path.exists(m)),
            (2, "Invalid parameter type for 'share', expected: boolean", "-object", '{"qom-type":"memory-backend-ram","id":"a","size":1048576,"share":"on"}'),
            (2, "'host-nodes.0.', expected: integer", "-object", '{"qom-type":"memory-backend-ram","id":"a","size":1048576,"host-nodes":["0"]}'),
            (2, "that is no JSON", "-object", '{"qom-type"'), (2, "'qom-type' is missing", "-object", '{"id":"a"}'),
            (2, "there is no object 'memory-backend-epc'", "-object", "memory-backend-epc,id=a,size=1M"),
            (2, "'mem-path' is missing", "-object", "memory-backend-file,id=a,size=1M"),
            (2, "is a folder, in which there is nothing to read", "-object", file + path("") + ",readonly=on"),
            (2, "a machine writes to its memory", "-object", file + path("short") + ",readonly=on", "-M", "pc,memory-backend=a"),
            (2, "align=3: use a power of two", "-object", file + path("none") + ",align=3"), (2, "hugetlbsize= is for hugetlb=on", "-object", "memory-backend-memfd,id=a,size=2M,hugetlbsize=2M"),
            (2, "cannot be used together", "-mem-prealloc", "-object", ram + "size=32M", "-M", "pc,memory-backend=a"),
            (3, "short has 9 bytes, and does not match size=33554432", "-object", file + path("short")), (3, "pipe: no file", "-object", file + path("pipe")),
            (3, "cannot open .*no/such for guest memory: No such file", "-object", file + path("no/such")), (3, "for guest memory: No such file", "-object", file + path("none") + ",readonly=on"),
            (3, "cannot map .* from /dev/full", "-object", file + "/dev/full"), (3, "-mem-path: cannot open", "-mem-path", path("no/such"))):
        p = subprocess.run([*command(), "-display", "none", "-serial", "null", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOW)
        check(p.returncode == code and re.search(text, p.stderr), "%s: %d: %s" % (options, p.returncode, p.stderr))
    same(content(path("short")), b"something")
    # No room for it: what was made has gone.
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, 4 * MIB))
    p = subprocess.run([*command(), "-display", "none", "-serial", "null", "-m", "2", "-object", file + path("none")], stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=60 * SLOW, preexec_fn=limit)
    check(p.returncode == 3 and "cannot be made 33554432 bytes long" in p.stderr, "%d: %s" % (p.returncode, p.stderr))
    check(not os.path.exists(path("none")), "a file was left behind")


def quick_mem_path():
    """-mem-path and -mem-prealloc: the machine's own memory is such a backend."""
    os.mkdir(path("folder"))
    for where, options in (("file", ["-mem-path", path("file"), "-mem-prealloc"]), ("folder", ["-mem-path", path("folder")]),
                           (None, ["-M", "pc,dump-guest-core=off"])):
        a = Side(*PC, "-S", "-m", "32", *options)
        own, = a.q.cmd("query-memdev")
        same((own["id"], own["size"], own["share"], own["prealloc"], own["dump"]), ("pc.ram", 32 * MIB, False, where == "file", bool(where)))
        same(a.q.cmd("qom-get", path="/objects/pc.ram", property="type"), "memory-backend-file" if where else "memory-backend-ram")
        a.q.cmd("quit")
        a.m.ends(0)
    same(os.listdir(path("folder")), [])
    same(os.path.getsize(path("file")), 32 * MIB)


if __name__ == "__main__":
    sys.exit(main(__doc__, "memdev.py", ["quick"], globals()))
