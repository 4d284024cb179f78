#!/usr/bin/env python3
"""os.py - unmodified systems from their own media (make check-os).

    os.py [--list] [--beside] [--table FILE] [--latimer PROGRAM] [--log DIR] [CASE...]

Without cases: all. --beside runs each case that measures on qemu-system-x86_64 (TCG), too, right after, and the table
shows both; --table does the same and puts the table's rows into that page (docs/os.md). Media are made of Debian packages in ~/.cache/latimer/os (LATIMER_CACHE names another folder) and kept.
A case is skipped, with its reason, where its medium cannot be made. LOG_DIR keeps each guest's console.
"""
import argparse
import os
import shutil
import sys
import time

import desktops
import disks
import firmware
import loaders
import table
from guest import Failed
from run import HERE, QEMU, Run, Skipped

CASES = {name[5:].replace("_", "-"): fn for module in (disks, loaders, firmware, desktops)
         for name, fn in list(vars(module).items()) if name.startswith("case_")}


# ---- running ----

def run_one(name, program, qemu, log):
    """PASS, FAIL or SKIP, why, and the seconds of CPU time to the milestone that counts."""
    run = Run(name, program, qemu, log)
    start = time.monotonic()
    try:
        CASES[name](run)
        result, why = "PASS", ""
    except Failed as e:
        result, why = "FAIL", str(e)
    except Skipped as e:
        result, why = "SKIP", str(e)
    for entry in os.listdir(run.work):          # images are large
        if entry.endswith((".img", ".qcow2")):
            os.remove(run.path(entry))
    who = " (QEMU)" if qemu else ""
    cpu = f", CPU {run.cpu:.1f} s" if run.cpu is not None else ""
    print(f"{result}: os {name}{who} ({time.monotonic() - start:.0f} s{cpu}){': ' + why if why else ''}", flush=True)
    return result, run.cpu


def main():
    parser = argparse.ArgumentParser(description="Boots unmodified systems from their own media.")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--beside", action="store_true", help="run QEMU beside, and show a table")
    parser.add_argument("--table", metavar="FILE", help="the same, and put what was measured into a page")
    parser.add_argument("--latimer", default=os.path.join(HERE, "../../latimer"), help="the program")
    parser.add_argument("--log", default="check-os.log.d", metavar="DIR", help="where consoles are kept")
    a = parser.parse_args()
    if a.list:
        print("\n".join(CASES))
        return 0
    unknown = [c for c in a.cases if c not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]}: --list names them")
    a.beside |= a.table is not None
    if a.beside and not shutil.which(QEMU[0]):
        parser.error(f"{QEMU[0]} is not installed")
    count = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    rows = []
    for name in a.cases or CASES:
        result, cpu = run_one(name, a.latimer, False, a.log)
        count[result] += 1
        if a.beside and result == "PASS" and cpu is not None:
            other = run_one(name, a.latimer, True, a.log)
            if other[0] == "PASS":
                rows.append((name, cpu, other[1]))
    if rows:
        print("\n| CPU s | latimer | qemu | ratio |\n|---|---:|---:|---:|")
        for name, mine, other in rows:
            print(f"| {name} | {mine:.1f} | {other:.1f} | {mine / other:.2f} |")
    if a.table:
        table.update(a.table, rows, CASES)
    print(f"{count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
    return 1 if count["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
