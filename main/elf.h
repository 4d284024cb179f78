/*
 * elf.h - reading x86 ELF executables, 32 and 64 bit, from untrusted bytes.
 *
 * Invariant: every offset in a struct elf or elf_seg lies inside the file, and paddr + memsz does
 * not wrap.
 */
#ifndef MAIN_ELF_H
#define MAIN_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf {
    const uint8_t *data;
    size_t len;
    bool is64;
    uint64_t entry;
    unsigned phnum;
    size_t phoff, phentsize;
};

struct elf_seg {
    uint32_t type, flags;       /* ELF_PT_*, ELF_PF_* */
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

#define ELF_PT_LOAD 1
#define ELF_PT_NOTE 4
#define ELF_PF_X 1

bool elf_is(const uint8_t *data, size_t len);
/* Each returns NULL or what is wrong. */
const char *elf_open(struct elf *, const uint8_t *data, size_t len);
const char *elf_segment(const struct elf *, unsigned n, struct elf_seg *);
/* Find a note in a PT_NOTE segment; its description, or NULL. */
const uint8_t *elf_note(const struct elf *, const char *name, uint32_t type, size_t *len);

static inline uint16_t le16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}
static inline uint32_t le32(const uint8_t *p)
{
    return le16(p) | (uint32_t)le16(p + 2) << 16;
}
static inline uint64_t le64(const uint8_t *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}
static inline void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = v >> (8 * i);
}

#endif
