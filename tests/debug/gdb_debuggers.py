"""gdb_debuggers.py - cases of gdb.py with gdb and lldb themselves, on a boot sector and a Debian kernel, and what they cost."""
import os
import random
import re
import shutil
import subprocess

from gdb_env import LINUX, Skip, booted, check, expect, guest, kernel, run_gdb, running_cpu_time, same, work
from rsp import Machine


def case_gdb():
    """gdb: a boot sector from F000:FFF0 to long mode, a watched variable."""
    guest()
    m = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % work, "-snapshot", "-no-reboot")
    try:
        text = run_gdb(m, """
file %s
target remote @PATH@
print/x $cs_base + $pc
stepi
break _start
continue
break prot
continue
print/x $cr0
break long
continue
print $efer
break ready
continue
delete
watch *(long *) 0x1008
continue
print $ecx
x/2i $pc
info threads
detach
""" % guest.elf)
        expect(text, r"\$1 = 0xfffffff0", r"Breakpoint 1, 0x0*7c00 in _start", r"Breakpoint 2, .*prot", r"\$2 = 0x.*1",
               r"Breakpoint 3, .*long", r"LME LMA", r"Breakpoint 4, .*ready", r"Hardware watchpoint 5", r"Old value = 0",
               r"New value = 4660", r"wrote", r"\$4 = 50000000", r"CPU#0")
        check("packets of one size", "too long" not in text)
    finally:
        m.end()


def case_linux():
    """gdb on a Debian kernel: start_kernel, a system call, a watched variable, with each engine."""
    image, initrd, elf = kernel()
    for engine in (["-accel", "jit"], ["-accel", "interp"]):
        m = Machine(work, "-kernel", image, "-initrd", initrd, *LINUX, *engine)
        try:
            text = run_gdb(m, """
file %s
target remote @PATH@
break start_kernel
continue
stepi 100
delete
break __x64_sys_execve
continue
bt 3
delete
watch *(unsigned long *) &jiffies_64
continue
delete
break __x64_sys_exit_group
continue
continue
monitor catch pf
continue
monitor nocatch
info registers cr3
detach
""" % elf, 300)
            expect(text, r"Breakpoint 1, .* start_kernel \(\)", r"Breakpoint 2, .*__x64_sys_execve", r"do_syscall_64",
                   r"Hardware watchpoint 3", r"New value", r"Breakpoint 4, .*__x64_sys_exit_group",
                   r"Breakpoint 4, .*__x64_sys_exit_group", r"#PF page fault", r"SIGSEGV", r"cr3", r"detached")
            same("the guest goes on to its end", m.proc.wait(300), 0)
        finally:
            m.end()


def case_lldb():
    """lldb: registers, a breakpoint, a watchpoint, steps."""
    if not shutil.which("lldb"):
        raise Skip("lldb is not installed")
    labels = guest()
    m = Machine(work, "-drive", "file=%s/disk,format=raw,if=ide" % work, "-snapshot", "-no-reboot")
    try:
        script = os.path.join(work, "lldb")
        with open(script, "w") as f:
            f.write("process connect unix-connect://%s\nregister read rip cr0\nbreakpoint set -H -a %#x\ncontinue\n"
                    "register read rip efer\nthread step-inst\nregister read rip\nwatchpoint set expression -w write -s 8 -- 0x1008\n"
                    "continue\nregister read rip rcx\nregister read --set 2\nexpression $rsp + 1\nmemory region 0x7c00\n"
                    "memory region 0x400000\nprocess plugin packet monitor info status\nprocess detach\n"
                    "process connect unix-connect://%s\nprocess kill\nquit\n" % (m.path, labels["ready"], m.path))
        r = subprocess.run(["lldb", "--no-lldbinit", "--batch", "-s", script], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=120)
        expect(r.stdout, r"rip = 0x0*fff0", r"rip = 0x0*%x" % labels["ready"], r"efer = 0x0*500",
               r"rip = 0x0*%x" % labels["strings"], r"rip = 0x0*%x" % labels["wrote"], r"rcx = 0x0*%x" % 50000000,
               r"xmm15 = ", r"\(unsigned long\) \$\d = 31745", r"0x0*-0x0*400000\) rwx", r"0x0*400000-0xf*\) ---",
               r"VM status: paused \(debug\)", r"exited with status = 0")
        check("no assertion of lldb's", "Assertion" not in r.stdout)
        same("killed", m.proc.wait(10), 0)
    finally:
        m.end()


# ---- what it costs ----

def cpu_time(m):
    _, _, usage = os.wait4(m.proc.pid, 0)
    m.proc.returncode = 0
    return usage.ru_utime


def boot_cost(breaks, *args):
    """CPU time of a boot, breakpoints that hit (each is taken away), and what -d said."""
    image, initrd, _ = kernel()
    m = Machine(work, "-kernel", image, "-initrd", initrd, *LINUX, *args)
    hit = []
    line = m.line(timeout=300)
    line.ok("QStartNoAckMode")
    line.ack = False
    for at in breaks:
        line.ok("Z0,%x,1" % at)
    while line.go("c", 300)[0] == "T":
        at = line.reg("rip")
        line.ok("z0,%x,1" % at)
        hit.append(at)
    line.close()
    return cpu_time(m), hit, m.said()


def case_bars():
    """1,000 breakpoints that do not hit: at most 5 %; a write watchpoint on a hot page: at most 10 times slower."""
    kernel()
    text = [int(x.split()[0], 16) for x in open(kernel.names) if x.split()[1] in "tT"]
    init = [x for x in open(kernel.names) if x.split()[2] == "_sinittext"]
    text = [x for x in text if x < int(init[0].split()[0], 16)]
    breaks = sorted(random.Random(2).sample(sorted(set(text)), 2400))
    hit = set(boot_cost(breaks)[1])
    breaks = [x for x in breaks if x not in hit][:1000]
    # A host's load shows in times, and not in what was executed: where the code generator can count that, it is the bar's measure.
    counts, times = [], []
    for set_ in ([], breaks):
        _, hit, said = boot_cost(set_, "-d", "count,stats")
        check("hits: %s" % hit, len(hit) < 5)           # a boot may come by where the one before did not
        found = [re.search(p, said) for p in (r"host instructions: ([0-9.]+) each", r"(\d+) lookups", r"CPU \d+: (\d+) blocks of")]
        counts.append([float(f.group(1)) if f else None for f in found])
    print("  boot and 200 programs: %s host instructions a guest instruction, %d lookups, %d blocks" % tuple(counts[0]))
    print("  with 1,000 breakpoints: %s, %d, %d" % tuple(counts[1]))
    for _ in range(int(os.environ.get("ROUNDS", "5"))):
        times.append((boot_cost([])[0], boot_cost(breaks)[0]))
    print("  CPU time in s, without and with: " + ", ".join("%.2f %.2f" % t for t in times))
    if counts[0][0]:
        cost = counts[1][0] / counts[0][0]
    else:
        cost = min(b for _, b in times) / min(a for a, _ in times)
    print("  1,000 breakpoints: %.3f times" % cost)

    def loop(watch):
        m, line, labels = booted()
        try:
            line.ok("Z1,%x,1" % labels["after"])
            if watch:
                line.ok("Z2,1010,8")
            start = running_cpu_time(m)
            line.go("c", 300)
            return running_cpu_time(m) - start
        finally:
            m.end()

    pairs = [(loop(False), loop(True)) for _ in range(5)]
    c, d = min(x for x, _ in pairs), min(x for _, x in pairs)
    print("  10^8 writes to a page: %.2f s, watched elsewhere in the page %.2f s: %.1f times" % (c, d, d / c))
    for one, two in zip(*counts):
        check("1,000 breakpoints cost too much: %s" % counts, one is None or two < 1.05 * one)
    check("1,000 breakpoints cost too much: %.3f times" % cost, cost < 1.05)
    check("a watched page is %.1f times slower" % (d / c), d / c < 10)
