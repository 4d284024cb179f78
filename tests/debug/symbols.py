#!/usr/bin/env python3
"""symbols.py KALLSYMS OUT.elf - an ELF file with nothing but the symbols of /proc/kallsyms, for gdb's `file`.

Distributions' kernels come without symbols, and know their own: read /proc/kallsyms as root in the guest
(kptr_restrict 0), started with nokaslr, so that they are where they will be the next time.
"""
import struct
import sys


def main():
    syms = []
    for line in open(sys.argv[1]):
        part = line.split()
        if len(part) == 3 and int(part[0], 16) >> 32:
            syms.append((int(part[0], 16), part[1] in "tTwW", part[2]))
    syms.sort()
    low, high = syms[0][0], syms[-1][0] + 4096
    strings = bytearray(b"\0")
    table = bytearray(24)
    for i, (at, code, name) in enumerate(syms):
        size = syms[i + 1][0] - at if i + 1 < len(syms) else 16
        table += struct.pack("<IBBHQQ", len(strings), 0x10 | (2 if code else 1), 0, 1, at, min(size, 1 << 20))
        strings += name.encode() + b"\0"
    names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at_table = 64
    at_strings = at_table + len(table)
    at_names = at_strings + len(strings)
    at_headers = (at_names + len(names) + 7) & ~7
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, low, 0, at_headers, 0, 64, 0, 0, 64, 5, 4)

    def section(name, kind, flags, addr, off, size, link=0, info=0, entry=0):
        return struct.pack("<IIQQQQIIQQ", names.index(name.encode() + b"\0"), kind, flags, addr, off, size, link, info, 8,
                           entry)

    headers = bytes(64) + section(".text", 8, 6, low, 64, high - low)
    headers += section(".symtab", 2, 0, 0, at_table, len(table), 3, 1, 24)
    headers += section(".strtab", 3, 0, 0, at_strings, len(strings))
    headers += section(".shstrtab", 3, 0, 0, at_names, len(names))
    with open(sys.argv[2], "wb") as f:
        f.write(head + table + strings + names)
        f.write(bytes(at_headers - at_names - len(names)) + headers)


main()
