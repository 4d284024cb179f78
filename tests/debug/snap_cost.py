#!/usr/bin/env python3
"""snap_cost.py [--latimer COMMAND] cost [CASE...] - what saving and loading a Debian of 1 GiB takes, beside QEMU where that is installed.

The disk is the one of make check-os, which is made once (by root). Part of make check-snap.
"""
import os, re, shutil, statistics, subprocess, sys, time

import machine as machines_module
from machine import HERE, Qmp, check, main, machine, path
from snap import hmp

sys.path.insert(0, os.path.join(HERE, "../os"))
import media                            # noqa: E402
from run import Skipped                 # noqa: E402

ROUNDS = 5


def debian(disk, name):
    """At its login prompt, with an image of its own."""
    own = path(name + ".qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", disk, own], check=True)
    m = machine("-m", "1024", "-drive", "if=virtio,format=qcow2,file=" + own, "-serial", "stdio", "-nic", "none", "-qmp",
                "unix:%s,server,nowait" % path(name), stdin=subprocess.PIPE)
    q = Qmp(path(name))
    m.expect("login: ", 300)
    m.type("root\n")
    m.expect("Password: ")
    m.type("root\n")
    m.expect("# ")
    m.type("systemctl is-system-running --wait; echo 'it ''runs'\n")
    m.expect("it runs", 300)
    return m, q, own


def goes_on(m, n):
    m.type("echo $((%d * 3))' is it'\n" % n)
    m.expect("%d is it" % (3 * n))


def timed(q, line):
    began = time.monotonic()
    hmp(q, line)
    return time.monotonic() - began


def rounds(m, q, where):
    """Seconds, medians: to save, to load."""
    saved, loaded = [], []
    for n in range(ROUNDS):
        saved.append(timed(q, "savevm " + where))
        loaded.append(timed(q, "loadvm " + where))
        goes_on(m, n + 1000)
    return statistics.median(saved), statistics.median(loaded)


def in_image(image):
    """Bytes of machine state in an image."""
    listed = subprocess.run(["qemu-img", "info", "-U", "--output=json", image], capture_output=True, text=True, check=True).stdout
    return int(re.search(r'"vm-state-size": (\d+)', listed).group(1))


def say(who, where, saved, loaded, size):
    print("  %-7s %-8s saved in %.2f s, loaded in %.2f s, %.1f MiB" % (who, where, saved, loaded, size / 2**20))


def cost_debian():
    try:
        disk = media.debian_disk()
    except Skipped as e:
        print("snap_cost.py: skipped: " + str(e))
        return
    ours = []
    m, q, own = debian(disk, "ours")
    for where, size in (path("file"), lambda: os.path.getsize(path("file"))), ("tag", lambda: in_image(own)):
        saved, loaded = rounds(m, q, where)
        ours.append((saved, loaded, size()))
        say("Latimer", os.path.basename(where), *ours[-1])
    q.cmd("quit")
    m.ends(0)
    check(all(saved < 3 and loaded < 1 for saved, loaded, _ in ours), "it takes longer than 3 s to save or 1 s to load")
    if not shutil.which("qemu-system-x86_64"):
        print("  QEMU is not installed: sizes are not compared")
        return
    machines_module.latimer = "qemu-system-x86_64 -accel tcg"
    m, q, own = debian(disk, "qemu")
    theirs = *rounds(m, q, "tag"), in_image(own)
    say("QEMU", "tag", *theirs)
    q.cmd("quit")
    m.ends(0)
    check(all(size <= theirs[2] for _, _, size in ours), "larger than QEMU's")


if __name__ == "__main__":
    sys.exit(main(__doc__, "snap_cost.py", ["cost"], globals()))
