/*
 * elf.c - ELF executables for x86 (System V ABI, chapters 4 and 5).
 */
#include <string.h>

#include "main/elf.h"

#define MACHINE_386    3
#define MACHINE_X86_64 62

bool elf_is(const uint8_t *data, size_t len)
{
    return len >= 4 && memcmp(data, "\177ELF", 4) == 0;
}

const char *elf_open(struct elf *e, const uint8_t *data, size_t len)
{
    unsigned machine;
    uint64_t phoff;

    *e = (struct elf){ .data = data, .len = len };
    if (!elf_is(data, len))
        return "it is not an ELF file";
    if (len < 52)
        return "the ELF header is cut off";
    e->is64 = data[4] == 2;
    if (data[5] != 1 || (data[4] != 1 && data[4] != 2))
        return "it is not a little-endian ELF file";
    if (e->is64 && len < 64)
        return "the ELF header is cut off";
    machine = le16(data + 18);
    if (machine != MACHINE_386 && machine != MACHINE_X86_64)
        return "it is an ELF file for another processor";
    if (le16(data + 16) != 2 && le16(data + 16) != 3)
        return "it is an ELF file but no executable";
    e->entry = e->is64 ? le64(data + 24) : le32(data + 24);
    phoff = e->is64 ? le64(data + 32) : le32(data + 28);
    e->phentsize = le16(data + (e->is64 ? 54 : 42));
    e->phnum = le16(data + (e->is64 ? 56 : 44));
    if (e->phnum && e->phentsize < (e->is64 ? 56u : 32u))
        return "its program headers are too small";
    if (phoff > len || (uint64_t)e->phnum * e->phentsize > len - phoff)
        return "its program headers lie outside the file (is it cut off?)";
    e->phoff = phoff;
    return NULL;
}

const char *elf_segment(const struct elf *e, unsigned n, struct elf_seg *s)
{
    const uint8_t *p = e->data + e->phoff + n * e->phentsize;

    s->type = le32(p);
    if (e->is64) {
        s->flags = le32(p + 4);
        s->offset = le64(p + 8);
        s->vaddr = le64(p + 16);
        s->paddr = le64(p + 24);
        s->filesz = le64(p + 32);
        s->memsz = le64(p + 40);
    } else {
        s->flags = le32(p + 24);
        s->offset = le32(p + 4);
        s->vaddr = le32(p + 8);
        s->paddr = le32(p + 12);
        s->filesz = le32(p + 16);
        s->memsz = le32(p + 20);
    }
    if (s->type != ELF_PT_LOAD && s->type != ELF_PT_NOTE)
        return NULL;
    if (s->offset > e->len || s->filesz > e->len - s->offset)
        return "a segment lies outside the file (is it cut off?)";
    if (s->type == ELF_PT_LOAD && (s->filesz > s->memsz || s->paddr + s->memsz < s->paddr))
        return "a segment has nonsensical sizes";
    return NULL;
}

const uint8_t *elf_note(const struct elf *e, const char *name, uint32_t type, size_t *len)
{
    size_t want = strlen(name) + 1;

    for (unsigned i = 0; i < e->phnum; i++) {
        struct elf_seg s;
        const uint8_t *p;
        uint64_t left;

        if (elf_segment(e, i, &s) || s.type != ELF_PT_NOTE)
            continue;
        p = e->data + s.offset;
        left = s.filesz;
        while (left >= 12) {
            uint64_t namesz = le32(p), descsz = le32(p + 4);
            uint64_t name_pad = (namesz + 3) & ~3ull, size = 12 + name_pad + ((descsz + 3) & ~3ull);

            /* The last description may go without its padding. */
            if (12 + name_pad + descsz > left)
                break;
            if (le32(p + 8) == type && namesz == want && memcmp(p + 12, name, want) == 0) {
                *len = descsz;
                return p + 12 + name_pad;
            }
            if (size >= left)
                break;
            p += size;
            left -= size;
        }
    }
    return NULL;
}
