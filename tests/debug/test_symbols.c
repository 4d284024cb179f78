/*
 * test_symbols.c - names of guest addresses: tables, files (ELF, System.map), a kernel's kallsyms in every form, and
 * flame graphs. What a file or a guest says may be damaged or meant badly: damaged in every way that a generator of
 * random numbers finds, it must do no harm (the builds with ASan look).
 */
#ifndef _GNU_SOURCE             /* dl_iterate_phdr */
#define _GNU_SOURCE
#endif
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/symbols.h"
#include "debug/flame.h"
#include "debug/kallsyms.h"
#include "debug/symfile.h"
#include "tests/run_suite.h"

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static void add(struct symtab *t, uint64_t addr, uint64_t size, const char *name, bool global)
{
    symtab_add(t, addr, size, name, strlen(name), SYMBOL_CODE, global);
}

static void is_at(struct symbols *s, uint64_t addr, const char *label)
{
    char buf[SYMBOL_NAME];

    ck_assert_str_eq(symbols_label(s, NULL, addr, buf, sizeof(buf)), label);
}

/* ---- tables ---- */

START_TEST(lookups)
{
    struct symbols *s = symbols_new();
    struct symtab *t = symtab_new("one"), *u = symtab_new("two");
    uint64_t at;

    add(t, 0x2000, 0, "beta", true);
    add(t, 0x1000, 0x100, "alpha", true);
    add(t, 0x1000, 0, "__alias", false);
    add(t, 0xfffffffffffffff0, 0, "last", true);
    symtab_finish(t);
    add(u, 0x1000, 0x5000, "beneath", true);
    add(u, 0x2000, 0, "beta", true);
    symtab_finish(u);
    symbols_add(s, t, false);
    symbols_add(s, u, false);
    is_at(s, 0xfff, "");
    is_at(s, 0x1000, " <alpha>");
    is_at(s, 0x10ff, " <alpha+0xff>");
    is_at(s, 0x1100, " <beneath+0x100>");       /* its size ends it, and the next table is asked */
    is_at(s, 0x2fff, " <beta+0xfff>");          /* without a size up to the next */
    is_at(s, 0xffffffffffffffff, " <last+0xf>");
    ck_assert(symbols_find(s, NULL, "__alias", &at) && at == 0x1000);
    ck_assert(!symbols_find(s, NULL, "gamma", &at));
    symbols_drop(s, t);
    is_at(s, 0x2010, " <beta+0x10>");
    is_at(NULL, 0x2010, "");
    symbols_free(s);
}
END_TEST

/* A kernel's table is sorted but for what is at one address, others are in any order: the same names win in both. */
START_TEST(order)
{
    static const struct { uint64_t addr; const char *name; bool global; } sym[] = {
        { 0x1000, "first", true }, { 0x1000, "__first", true }, { 0x2000, "_local", false }, { 0x2000, "local", false },
        { 0x3000, "hidden", false }, { 0x3000, "shown", true }, { 0x3000, "__shown", true }, { 0x4000, "end", true },
    };
    const unsigned n = sizeof(sym) / sizeof(sym[0]);

    for (unsigned turn = 0; turn < n; turn++) {
        struct symbols *s = symbols_new();
        struct symtab *t = symtab_new("table");

        for (unsigned i = 0; i < n; i++)
            add(t, sym[(i + turn) % n].addr, 0, sym[(i + turn) % n].name, sym[(i + turn) % n].global);
        symtab_finish(t);
        symbols_add(s, t, false);
        is_at(s, 0x1fff, " <first+0xfff>");
        is_at(s, 0x2000, " <local>");
        is_at(s, 0x3010, " <shown+0x10>");
        is_at(s, 0x4000, " <end>");
        symbols_free(s);
    }
}
END_TEST

static bool by_64k(void *arg, const struct symtab *t, uint64_t *by)
{
    *by = (uint64_t)-0x10000;
    return true;
}

START_TEST(slides)
{
    struct symbols *s = symbols_new();
    struct symtab *t = symtab_new("moves"), *u = symtab_new("stays");
    uint64_t at;

    add(t, 0x20000, 16, "moved", true);
    symtab_finish(t);
    add(u, 0x30000, 16, "still", true);
    symtab_finish(u);
    symbols_add(s, t, true);
    symbols_add(s, u, false);
    symbols_slide_all(s, by_64k, NULL);
    is_at(s, 0x10004, " <moved+0x4>");
    is_at(s, 0x20004, "");
    is_at(s, 0x30004, " <still+0x4>");
    ck_assert(symbols_find(s, NULL, "moved", &at) && at == 0x10000);
    symbols_free(s);
}
END_TEST

/* ---- files ---- */

static char file[] = "/tmp/latimer-symbols-XXXXXX";

static void write_file(const void *data, size_t len)
{
    FILE *f = fopen(file, "w");

    ck_assert(f && (!len || fwrite(data, len, 1, f) == 1));
    fclose(f);
}

static struct symtab *read_file(enum symfile_place place, uint64_t value, const char *wrong)
{
    char err[512] = "";
    struct symtab *t = symfile_read(file, place, value, err, sizeof(err));

    ck_assert_msg(!t == !!wrong, "%s", err);
    if (wrong)
        ck_assert_msg(strstr(err, wrong) && strstr(err, file), "%s", err);
    return t;
}

START_TEST(system_map)
{
    static const char map[] = "0000000000000000 A fixed\nffffffff81000000 T _text\nffffffff81000100 t inner\t[module]\n"
                              "ffffffff82000000 D data\n                 U outside\n";
    static const char note[] = "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n";
    struct symtab *t;
    uint64_t at;

    write_file(map, sizeof(map) - 1);
    t = read_file(SYMFILE_AS_IS, 0, NULL);
    ck_assert_uint_eq(symtab_count(t), 3);
    ck_assert(symtab_find(t, "inner", &at) && at == 0xffffffff81000100);
    symtab_free(t);
    t = read_file(SYMFILE_OFFSET, 0x1000, NULL);
    ck_assert(symtab_find(t, "data", &at) && at == 0xffffffff82001000);
    symtab_free(t);
    read_file(SYMFILE_BASE, 0x1000, "offset=");
    write_file(note, sizeof(note) - 1);
    symtab_free(read_file(SYMFILE_AS_IS, 0, NULL));
    write_file("#!/bin/sh\necho hello\n", 21);
    read_file(SYMFILE_AS_IS, 0, "neither an ELF file nor");
    write_file("", 0);
    read_file(SYMFILE_AS_IS, 0, "neither");
}
END_TEST

/* A file of three sections and a program header; 32: i386, an executable or, `type`, something else. */
struct made {
    uint8_t b[2048];
    size_t len;
};

static struct made make_elf32(unsigned type, unsigned machine)
{
    static const char strings[] = "\0main\0helper\0.text\0.symtab\0.strtab\0";
    struct made m = { .len = sizeof(m.b) };
    Elf32_Ehdr h = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = (Elf32_Half)type,
                     .e_machine = (Elf32_Half)machine, .e_version = 1, .e_phoff = 64, .e_shoff = 1024, .e_ehsize = 52,
                     .e_phentsize = 32, .e_phnum = 1, .e_shentsize = 40, .e_shnum = 4, .e_shstrndx = 3 };
    Elf32_Phdr p = { .p_type = PT_LOAD, .p_vaddr = 0x08048000, .p_filesz = 512, .p_memsz = 512, .p_flags = 5 };
    Elf32_Sym y[] = { { 0 },
                      { .st_name = 1, .st_value = 0x08048100, .st_size = 32, .st_shndx = 1,
                        .st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC) },
                      { .st_name = 6, .st_value = 0x08048120, .st_size = 0, .st_shndx = 1,
                        .st_info = ELF32_ST_INFO(STB_LOCAL, STT_FUNC) } };
    Elf32_Shdr s[] = { { 0 },
                       { .sh_name = 13, .sh_type = SHT_PROGBITS, .sh_addr = 0x08048100, .sh_offset = 256, .sh_size = 64 },
                       { .sh_name = 19, .sh_type = SHT_SYMTAB, .sh_offset = 512, .sh_size = sizeof(y), .sh_entsize = 16,
                         .sh_link = 3, .sh_addralign = 4 },
                       { .sh_name = 27, .sh_type = SHT_STRTAB, .sh_offset = 768, .sh_size = sizeof(strings) } };

    memset(m.b, 0, sizeof(m.b));
    memcpy(m.b, &h, sizeof(h));
    memcpy(m.b + 64, &p, sizeof(p));
    memcpy(m.b + 512, y, sizeof(y));
    memcpy(m.b + 768, strings, sizeof(strings));
    memcpy(m.b + 1024, s, sizeof(s));
    return m;
}

START_TEST(elf32)
{
    struct made m = make_elf32(ET_EXEC, EM_386);
    struct symtab *t;
    uint64_t at;

    write_file(m.b, m.len);
    t = read_file(SYMFILE_AS_IS, 0, NULL);
    ck_assert_uint_eq(symtab_count(t), 2);
    ck_assert(symtab_find(t, "helper", &at) && at == 0x08048120);
    symtab_free(t);
    t = read_file(SYMFILE_BASE, 0x10000000, NULL);
    ck_assert(symtab_find(t, "main", &at) && at == 0x10000100);
    symtab_free(t);
    m = make_elf32(ET_REL, EM_386);
    write_file(m.b, m.len);
    read_file(SYMFILE_AS_IS, 0, ",base=");
    symtab_free(read_file(SYMFILE_BASE, 0x10000000, NULL));
    m = make_elf32(ET_EXEC, EM_ARM);
    write_file(m.b, m.len);
    read_file(SYMFILE_AS_IS, 0, "another processor");
    m = make_elf32(ET_EXEC, EM_386);
    m.b[1024 + 2 * 40 + 4] = SHT_NOTE;
    write_file(m.b, m.len);
    read_file(SYMFILE_AS_IS, 0, "no symbols");
}
END_TEST

#ifdef __x86_64__
static int first_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    *(uint64_t *)arg = info->dlpi_addr;
    return 1;
}

/* The linker's word for what the compiler made of this file. */
START_TEST(elf64_own)
{
    char err[512] = "";
    uint64_t base = 0, at;
    struct symtab *t;

    dl_iterate_phdr(first_object, &base);
    t = symfile_read("/proc/self/exe", SYMFILE_OFFSET, base, err, sizeof(err));
    ck_assert_msg(t != NULL, "%s", err);
    ck_assert(symtab_find(t, "symfile_read", &at) && at == (uint64_t)(uintptr_t)symfile_read);
    ck_assert(symtab_find(t, "is_at", &at) && at == (uint64_t)(uintptr_t)is_at);
    symtab_free(t);
}
END_TEST
#endif

START_TEST(elf_damage)
{
    struct made good = make_elf32(ET_EXEC, EM_386);
    char err[512];

    for (unsigned i = 0; i < 3000; i++) {
        struct made m = good;

        for (unsigned n = random_below(4); n--;) {
            static const uint16_t parts[] = { 0, 64, 512, 768, 1024 };
            unsigned at = parts[random_below(5)] + random_below(160);

            m.b[at] = random_below(2) ? 0xff : (uint8_t)random_below(256);
        }
        write_file(m.b, random_below(3) ? m.len : random_below((uint32_t)m.len));
        symtab_free(symfile_read(file, (enum symfile_place)random_below(3), 0x1000, err, sizeof(err)));
    }
}
END_TEST

/* ---- kallsyms ---- */

enum form { OFFSETS_BEFORE, OFFSETS_BEHIND, WORDS };
struct kernel {
    uint8_t *b;
    size_t len, room;
};

static void put(struct kernel *k, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        k->b[k->len++] = (uint8_t)(v >> 8 * i);
}

static void align(struct kernel *k, unsigned to)
{
    while (k->len % to)
        k->b[k->len++] = 0;
}

#define SYMS 5000u
#define PERCPU 20u              /* the first so many */

static uint64_t nth_address(unsigned i, unsigned word)
{
    return i < PERCPU ? i * 16 : (word == 8 ? 0xffffffff9a000000 : 0xc1000000) + (i - PERCPU) * 64ull;
}

#define NAME_ROOM 1024u
#define LONGEST 4000u           /* this one's name is cut off */
#define LONG_TOKEN "_with_a_name_that_is_as_long_as_those_of"

static void nth_name(unsigned i, char to[NAME_ROOM])
{
    size_t size = NAME_ROOM;

    snprintf(to, size, "%c%s_function_%u%s", i < PERCPU ? 'A' : i % 3 ? 't' : 'T', i % 2 ? "sys" : "do", i,
             i % 500 == 250 ? LONG_TOKEN "_generics_in_other_languages_than_c_which_go_on_and_on_"
                              "and_on_until_more_than_a_hundred_and_twenty_seven_bytes_are_reached" : "");
    for (unsigned n = 0; i == LONGEST && n < 15; n++)
        strcat(to, LONG_TOKEN);
}

static void put_addresses(struct kernel *k, enum form form, unsigned word, bool percpu)
{
    uint64_t base = nth_address(PERCPU, word);

    for (unsigned i = 0; i < SYMS; i++) {
        uint64_t a = nth_address(i, word);

        if (form == WORDS)
            put(k, a, word);
        else
            put(k, !percpu ? a - base : i < PERCPU ? a : (uint64_t)-1 - (a - base), 4);
    }
    align(k, word);
    if (form != WORDS)
        put(k, base, word);
}

static void compress(char *name, const char *token, char number)
{
    for (char *cut; (cut = strstr(name, token)); ) {
        *cut = number;
        memmove(cut + 1, cut + strlen(token), strlen(cut + strlen(token)) + 1);
    }
}

/*
 * What scripts/kallsyms.c would make of SYMS symbols, in its order for each form; tokens are the single characters,
 * "_function_" and LONG_TOKEN.
 */
static struct kernel make_kernel(enum form form, unsigned word, bool percpu)
{
    struct kernel k = { .b = calloc(1, 1 << 20) };
    size_t names, index[256], tokens;
    uint32_t markers[SYMS / 256 + 1];

    while (k.len < 4096)        /* something else before it */
        put(&k, k.len * 0x9e3779b1, 4);
    if (form != OFFSETS_BEHIND)
        put_addresses(&k, form, word, percpu);
    put(&k, SYMS, 4);
    align(&k, word);
    names = k.len;
    for (unsigned i = 0; i < SYMS; i++) {
        char name[NAME_ROOM];
        size_t n;

        nth_name(i, name);
        compress(name, "_function_", 1);
        compress(name, LONG_TOKEN, 2);
        n = strlen(name);
        if (i % 256 == 0)
            markers[i / 256] = (uint32_t)(k.len - names);
        if (n < 128)
            put(&k, n, 1);
        else
            put(&k, (n & 0x7f) | 0x80 | n >> 7 << 8, 2);
        memcpy(k.b + k.len, name, n);
        k.len += n;
    }
    align(&k, word);
    for (unsigned i = 0; i < (SYMS + 255) / 256; i++)
        put(&k, markers[i], 4);
    align(&k, word);
    tokens = k.len;
    for (unsigned i = 0; i < 256; i++) {
        index[i] = k.len - tokens;
        if (i == 1 || i == 2)
            k.len += (size_t)sprintf((char *)k.b + k.len, "%s", i == 1 ? "_function_" : LONG_TOKEN) + 1;
        else
            put(&k, i > ' ' && i < 127 ? i : '?', 2);
    }
    align(&k, word);
    for (unsigned i = 0; i < 256; i++)
        put(&k, index[i], 2);
    if (form == OFFSETS_BEHIND)
        put_addresses(&k, form, word, percpu);
    put(&k, 0, 8);
    return k;
}

static bool parse(const struct kernel *k, unsigned word, struct kallsyms *out)
{
    for (size_t at = 0; (at = kallsyms_candidate(k->b, k->len, at)) < k->len; at += 4)
        if (kallsyms_parse(k->b, k->len, at, word, out))
            return true;
    return false;
}

START_TEST(kallsyms_forms)
{
    static const struct { enum form form; unsigned word; bool percpu; } forms[] = {
        { OFFSETS_BEFORE, 8, true }, { OFFSETS_BEHIND, 8, true }, { WORDS, 8, true },
        { OFFSETS_BEFORE, 4, true }, { OFFSETS_BEHIND, 4, true }, { WORDS, 4, true }, { OFFSETS_BEFORE, 4, false },
    };
    struct kernel k = make_kernel(forms[_i].form, forms[_i].word, forms[_i].percpu);
    struct symtab *t, *percpu = symtab_new("percpu");
    struct kallsyms y;
    uint64_t at;

    ck_assert(parse(&k, forms[_i].word, &y));
    ck_assert_uint_eq(y.count, SYMS);
    t = kallsyms_read(k.b, &y, forms[_i].word, percpu);
    ck_assert_uint_eq(symtab_count(t), SYMS - PERCPU);
    ck_assert_uint_eq(symtab_count(percpu), PERCPU);
    for (unsigned i = 0; i < SYMS; i += i == LONGEST - 3 ? 3 : 7) {
        char name[NAME_ROOM];

        nth_name(i, name);
        if (i == LONGEST)
            name[SYMBOL_NAME] = 0;
        ck_assert_msg(symtab_find(i < PERCPU ? percpu : t, name + 1, &at), "%s", name);
        ck_assert_uint_eq(at, nth_address(i, forms[_i].word));
    }
    symtab_free(t);
    symtab_free(percpu);
    free(k.b);
}
END_TEST

/* Wherever it is, and whatever looks like the beginning of an index before it. */
START_TEST(kallsyms_anywhere)
{
    struct kernel k = make_kernel(OFFSETS_BEHIND, 8, true);
    struct kallsyms y;
    size_t at, len = KALLSYMS_INDEX;
    uint8_t *b;

    ck_assert(parse(&k, 8, &y));
    for (unsigned before = 0; before < 256; before += 4)
        for (unsigned behind = 0; behind < 80; behind += 5) {
            b = malloc(before + len + behind);  /* exactly: reading behind it is seen */
            for (unsigned i = 0; i < before + len + behind; i += 4)
                memcpy(b + i, "\0\0\5\0", before + len + behind - i < 4 ? before + len + behind - i : 4);
            memcpy(b + before, k.b + y.index, len);
            at = kallsyms_candidate(b, before + len + behind, 0);
            ck_assert_uint_eq(at, before);
            at = kallsyms_candidate(b, before + len + behind, before + 4);
            ck_assert_uint_eq(at, before + len + behind);
            ck_assert_uint_eq(kallsyms_candidate(b, before + len - 1, 0), before + len - 1);
            free(b);
        }
    free(k.b);
}
END_TEST

START_TEST(kallsyms_damage)
{
    struct kernel good = make_kernel((enum form)_i, 8, true);
    unsigned parsed = 0;

    for (unsigned i = 0; i < 300; i++) {
        struct kernel k = { .b = NULL, .len = random_below(4) ? good.len : good.len - random_below(8000) };
        struct kallsyms y;

        k.b = malloc(k.len);            /* exactly: reading behind it is seen */
        memcpy(k.b, good.b, k.len);
        for (unsigned n = random_below(4); n--;)
            k.b[random_below(8) ? k.len - 1 - random_below(4000) : random_below((uint32_t)k.len)] =
                (uint8_t)random_below(256);
        if (parse(&k, 8, &y)) {
            symtab_free(kallsyms_read(k.b, &y, 8, NULL));
            parsed++;
        }
        free(k.b);
    }
    ck_assert(parsed && parsed < 300);
    free(good.b);
}
END_TEST

/* ---- flame graphs ---- */

static const char *const deep[] = { "shell", "main", "run<x>", "sys_read_[k]" };
static const char *const flat[] = { "shell", "main" };
static const char *const other[] = { "a;b", "start" };

START_TEST(flames)
{
    struct flame *f = flame_new();
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    flame_add(f, deep, 4, 60);
    flame_add(f, flat, 2, 25);
    flame_add(f, deep, 4, 5);
    flame_add(f, other, 2, 10);
    ck_assert_uint_eq(flame_total(f), 100);
    flame_folded(f, to);
    fclose(to);
    ck_assert_str_eq(text, "a:b;start 10\nshell;main 25\nshell;main;run<x>;sys_read_[k] 65\n");
    free(text);
    to = open_memstream(&text, &len);
    flame_svg(f, "t & u", "samples", to);
    fclose(to);
    ck_assert(strstr(text, "run&lt;x&gt; (65 samples, 65.00 %)") && strstr(text, "t &amp; u") && strstr(text, "</svg>"));
    ck_assert(!strstr(text, "run<x>"));
    free(text);
    flame_free(f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("symbols");
    TCase *t = tcase_create("symbols");
    int failed, fd = mkstemp(file);

    if (fd < 0)
        return 1;
    close(fd);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, lookups);
    tcase_add_test(t, order);
    tcase_add_test(t, slides);
    tcase_add_test(t, system_map);
    tcase_add_test(t, elf32);
#ifdef __x86_64__
    tcase_add_test(t, elf64_own);
#endif
    tcase_add_test(t, elf_damage);
    tcase_add_loop_test(t, kallsyms_forms, 0, 7);
    tcase_add_test(t, kallsyms_anywhere);
    tcase_add_loop_test(t, kallsyms_damage, 0, 3);
    tcase_add_test(t, flames);
    suite_add_tcase(s, t);
    failed = run_suite(s);
    unlink(file);
    return failed;
}
