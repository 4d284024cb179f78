/*
 * symfile.c - see symfile.h. Sources: System V ABI chapter 4 by libelf, nm(1).
 */
#include "debug/symfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- ELF ---- */

/* Where the file begins in memory, as it was linked. */
static uint64_t linked_at(Elf *e)
{
    uint64_t low = UINT64_MAX;
    size_t n = 0;
    GElf_Phdr p;

    if (elf_getphdrnum(e, &n))
        return 0;
    for (size_t i = 0; i < n && i < 65536; i++)
        if (gelf_getphdr(e, (int)i, &p) && p.p_type == PT_LOAD && p.p_vaddr < low)
            low = p.p_vaddr & ~(uint64_t)0xfff;
    return low == UINT64_MAX ? 0 : low;
}

static bool is_text(Elf *e, const GElf_Sym *s)
{
    Elf_Scn *scn = elf_getscn(e, s->st_shndx);
    GElf_Shdr h;
    size_t names;
    const char *name;

    if (!scn || !gelf_getshdr(scn, &h) || elf_getshdrstrndx(e, &names))
        return false;
    name = elf_strptr(e, names, h.sh_name);
    return name && strcmp(name, ".text") == 0;
}

static void add_symbol(Elf *e, struct symtab *t, const GElf_Sym *s, const char *name, bool relocatable, uint64_t by)
{
    unsigned type = GELF_ST_TYPE(s->st_info);
    bool code = type == STT_FUNC || type == STT_GNU_IFUNC, plain = type == STT_NOTYPE || type == STT_OBJECT;

    if ((!code && !plain) || s->st_shndx == SHN_UNDEF || (s->st_shndx >= SHN_LORESERVE && s->st_shndx != SHN_XINDEX) ||
        (type == STT_NOTYPE && (name[0] == '.' || name[0] == '$')) || (relocatable && !is_text(e, s)))
        return;
    symtab_add(t, s->st_value + by, s->st_size, name, SYMBOL_NAME, type == STT_OBJECT ? SYMBOL_DATA : SYMBOL_CODE,
               GELF_ST_BIND(s->st_info) != STB_LOCAL);
}

static void add_section(Elf *e, struct symtab *t, Elf_Scn *scn, const GElf_Shdr *h, bool relocatable, uint64_t by)
{
    Elf_Data *d = elf_getdata(scn, NULL);
    size_t each = gelf_fsize(e, ELF_T_SYM, 1, EV_CURRENT);
    GElf_Sym s;

    if (!d || !each)
        return;
    for (size_t i = 0; i < d->d_size / each && i < INT32_MAX; i++) {
        const char *name = gelf_getsym(d, (int)i, &s) ? elf_strptr(e, h->sh_link, s.st_name) : NULL;

        if (name && *name)
            add_symbol(e, t, &s, name, relocatable, by);
    }
}

static const char *read_elf(Elf *e, struct symtab *t, enum symfile_place place, uint64_t value)
{
    GElf_Ehdr eh;
    GElf_Shdr h;
    uint64_t by = place == SYMFILE_AS_IS ? 0 : value;
    bool relocatable;

    if (!gelf_getehdr(e, &eh))
        return "its ELF header is damaged";
    if (eh.e_machine != EM_386 && eh.e_machine != EM_X86_64)
        return "it is an ELF file for another processor";
    relocatable = eh.e_type == ET_REL;
    if (relocatable && place != SYMFILE_BASE)
        return "it is not linked, so it must be said where its .text is: add ,base=ADDRESS (/sys/module/NAME/sections/.text)";
    if (place == SYMFILE_BASE && !relocatable)
        by -= linked_at(e);
    /* All of .dynsym is in .symtab, if there is one. */
    for (int want = SHT_SYMTAB; !symtab_count(t); want = SHT_DYNSYM) {
        for (Elf_Scn *scn = NULL; (scn = elf_nextscn(e, scn));)
            if (gelf_getshdr(scn, &h) && (int)h.sh_type == want)
                add_section(e, t, scn, &h, relocatable, by);
        if (want == SHT_DYNSYM)
            break;
    }
    return symtab_count(t) ? NULL : "it has no symbols (stripped?): a file with debugging information has some";
}

/* ---- text ---- */

/* "ffffffff81000000 T _text", with the kernel's "\t[module]" or not. */
static const char *read_text(FILE *f, struct symtab *t, enum symfile_place place, uint64_t value)
{
    char line[1024];
    unsigned others = 0;

    if (place == SYMFILE_BASE)
        return "it does not say where it begins: use offset=, not base=";
    while (others < 100 && fgets(line, sizeof(line), f)) {
        char *end, *name;
        uint64_t at;

        errno = 0;
        at = strtoull(line, &end, 16);
        name = end == line || errno || *end != ' ' || !isalpha((unsigned char)end[1]) || end[2] != ' ' ? NULL : end + 3;
        if (!name) {
            others += *line != '\n';
            continue;
        }
        if (strchr("tTwWvVdDbBrRgGsS", end[1]))
            symtab_add(t, at + value, 0, name, strcspn(name, " \t\r\n"), strchr("tTwW", end[1]) ? SYMBOL_CODE : SYMBOL_DATA,
                       isupper((unsigned char)end[1]));
    }
    return symtab_count(t) ? NULL :
        "it is neither an ELF file nor a list of symbols as nm and System.map have it (Debian's /boot/System.map is a note "
        "that the real one is in linux-image-VERSION-dbg)";
}

/* ---- either ---- */

static const char *read_it(int fd, struct symtab *t, enum symfile_place place, uint64_t value)
{
    const char *wrong;
    struct stat st;
    Elf *e;
    FILE *f;

    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        return "it is no plain file";
    elf_version(EV_CURRENT);
    e = elf_begin(fd, ELF_C_READ, NULL);
    if (e && elf_kind(e) == ELF_K_ELF) {
        wrong = read_elf(e, t, place, value);
        elf_end(e);
        return wrong;
    }
    elf_end(e);
    fd = dup(fd);
    f = fd < 0 || lseek(fd, 0, SEEK_SET) < 0 ? NULL : fdopen(fd, "r");
    if (!f) {
        if (fd >= 0)
            close(fd);
        return strerror(errno);
    }
    wrong = read_text(f, t, place, value);
    fclose(f);
    return wrong;
}

struct symtab *symfile_read(const char *file, enum symfile_place place, uint64_t value, char *err, size_t len)
{
    const char *slash = strrchr(file, '/');
    struct symtab *t = symtab_new(slash ? slash + 1 : file);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *wrong = fd < 0 ? strerror(errno) : read_it(fd, t, place, value);

    if (fd >= 0)
        close(fd);
    if (!wrong) {
        symtab_finish(t);
        return t;
    }
    snprintf(err, len, "cannot take symbols from %s: %s", file, wrong);
    symtab_free(t);
    return NULL;
}
