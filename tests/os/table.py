"""table.py - the page with the CPU times of os.py's cases beside QEMU's (docs/os.md): rows of cases that ran are written anew,
the others stay."""
import os

HEAD = """# Unmodified systems: CPU time beside QEMU's

Seconds of CPU time, user and system, from the start of the emulator to the case's milestone, which its function in `tests/os`
names where it sets `run.cpu`; QEMU is `qemu-system-x86_64 -accel tcg` with the same options, right after on the same machine.
Written by `make os-table`, which runs all cases (`OS=debian-ide` picks); rows of cases it has not measured stay as they are.
memtest86+ waits, by the clock and without halting, for most of its pass (the bit fade test): that row says little of speed. SeaBIOS's row
has ten starts.

| case | latimer | qemu | ratio |
|---|---:|---:|---:|
"""


def read(path):
    """The rows of the page by case; none where there is no page yet."""
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        lines = [line for line in f if line.startswith("| ") and not line.startswith("| case ")]
    return {line.split("|")[1].strip(): line for line in lines}


def update(path, rows, cases):
    """Puts rows (case, seconds, seconds of QEMU) into the page, in the order of `cases`; those that are gone go."""
    lines = read(path)
    for name, mine, other in rows:
        lines[name] = f"| {name} | {mine:.1f} | {other:.1f} | {mine / other:.2f} |\n"
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(HEAD + "".join(lines[name] for name in cases if name in lines))
    os.rename(path + ".new", path)
