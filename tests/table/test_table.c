/*
 * test_table.c - x86.def against Capstone and Zydis.
 *
 * Two directions: every encoding our table accepts must be told the same by at
 * least one of the two disassemblers (both are wrong somewhere); every encoding
 * of the instruction sets the table claims that Zydis accepts must have a row.
 * What neither confirms is in exceptions[] with the reason.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/cpu.h"
#include "frontend/decode.h"
#include "tests/table/norm.h"

struct sample {
    uint8_t b[32];
    unsigned n;
};

static const char *const mode_name[NM_COUNT] = { "16", "32", "64" };

struct exception {
    int id;                     /* enum x86_id, or -1 for any */
    const char *part;           /* what differs, NULL: anything */
    const char *why;            /* with a source */
};

/* Encodings where both disassemblers say something else. */
static const struct exception exceptions[] = {
    { X86_MOVSXD, "memory size", "66 63 /r reads 16 bits: SDM vol. 2, MOVSX/MOVSXD" },
    { X86_LAR, "register", "the source is 16 bits wide: SDM vol. 2, LAR (r32's upper half is not used)" },
    { X86_LSL, "register", "as LAR" },
};

static bool excepted(const struct x86_row *row, const char *part)
{
    int id = (int)(row - x86_rows);

    for (unsigned k = 0; k < sizeof(exceptions) / sizeof(exceptions[0]); k++) {
        if (exceptions[k].id == id && (!exceptions[k].part || !strcmp(exceptions[k].part, part)))
            return true;
    }
    return false;
}

static void put(struct sample *s, unsigned b)
{
    s->b[s->n++] = (uint8_t)b;
}

static void bytes_text(char *out, const uint8_t *p, unsigned n)
{
    for (unsigned k = 0; k < n; k++)
        sprintf(out + 3 * k, "%02x ", p[k]);
}

/* Prefix sets tried with each opcode. */
static const struct { uint8_t b[3]; bool only64; } prefixes[] = {
    { { 0 }, false }, { { 0x66 }, false }, { { 0xf2 }, false }, { { 0xf3 }, false },
    { { 0x66, 0xf2 }, false }, { { 0xf3, 0x66 }, false }, { { 0x67 }, false }, { { 0x64 }, false },
    { { 0x2e }, false }, { { 0x66, 0x67 }, false }, { { 0xf0 }, false },
    { { 0x48 }, true }, { { 0x44 }, true }, { { 0x42 }, true }, { { 0x41 }, true }, { { 0x4f }, true },
    { { 0x66, 0x48 }, true }, { { 0xf3, 0x48 }, true }, { { 0xf2, 0x48 }, true }, { { 0x66, 0x41 }, true },
    { { 0x48, 0x66 }, true }, { { 0x67, 0x65, 0x4d }, true }, { { 0xf0, 0x48 }, true },
    { { 0xf3, 0x41 }, true }, { { 0xf2, 0xf3, 0x45 }, true }, { { 0x40 }, true },
};
#define NPREFIX (sizeof(prefixes) / sizeof(prefixes[0]))

/*
 * Each ModRM byte is tried with each opcode and set of prefixes; where an emulator runs this, with each seventh of them: what is
 * compared is the same on every host, but not how its compiler takes our C.
 */
static unsigned stride = 1;

static unsigned first_modrm(unsigned opcode, unsigned pfx)
{
    return (opcode + pfx) % stride;
}

static unsigned opcode_head(struct sample *s, unsigned pfx, unsigned map, unsigned opcode)
{
    s->n = 0;
    for (unsigned k = 0; k < 3 && prefixes[pfx].b[k]; k++)
        put(s, prefixes[pfx].b[k]);
    if (map != MAP_1)
        put(s, 0x0f);
    if (map == MAP_0F38 || map == MAP_0F3A)
        put(s, map == MAP_0F38 ? 0x38 : 0x3a);
    put(s, opcode);
    return s->n;
}

/* Bytes behind ModRM: SIB, displacement, immediates; signs and boundaries matter. */
static void tail(struct sample *s, unsigned variant)
{
    static const uint8_t t[6][20] = {
        { 0x24, 0x81, 0x92, 0xa3, 0xb4, 0x85, 0x96, 0x17, 0x28, 0x39, 0x4a, 0x5b, 0x6c, 0x7d, 0x0e },
        { 0x65, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x08, 0x19, 0x2a, 0x3b, 0x4c, 0x5d, 0x6e },
        { 0xc8, 0x80, 0xff, 0xff, 0x7f, 0x80, 0x00, 0x00, 0x80, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff },
        { 0x9d, 0x7f, 0x00, 0x80, 0x00, 0x7f, 0xff, 0x01, 0x80, 0x00, 0x00, 0x00, 0x80, 0x7f, 0x80 },
        { 0x25, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1 },
        { 0xe4, 0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x04, 0x00 },
    };

    memcpy(s->b + s->n, t[variant], 15);
    s->n += 15;
}

static const char *row_text(const struct x86_row *r)
{
    static char t[80];

    snprintf(t, sizeof(t), "%s %s (%s)", r->name, r->operands, r->skip ? "skipped" : "");
    return t;
}

static unsigned reported[X86_COUNT];

/* One encoding; returns 1 if neither disassembler agrees. */
static unsigned one(const struct sample *s, enum norm_mode m)
{
    struct norm us, cs, zy;
    struct insn i;
    int r = norm_ours(&us, &i, s->b, s->n, m);
    bool hc, hz;
    const char *dc, *dz;
    char hex[64] = "";

    if (r != DECODE_OK && !(i.row && i.row->skip && !i.lock))
        return 0;
    if (m == NM_16) {
        /* the same bytes in real mode: the same row if it exists there, else #UD */
        struct insn real;
        int rr = decode(&real, s->b, s->n, M_CODE16, NULL);

        ck_assert_msg(i.row->modes & MODE_R ? rr == r && real.row == i.row && real.len == i.len
                                            : rr == DECODE_UD, "row %s in real mode", row_text(i.row));
    }
    hz = norm_zydis(&zy, s->b, s->n, m);
    dz = hz ? norm_differs(&us, &zy) : "undefined";
    if (!dz)
        return 0;
    hc = norm_capstone(&cs, s->b, s->n, m);
    dc = hc ? norm_differs(&us, &cs) : "undefined";
    if (!dc || excepted(i.row, dz))
        return 0;
    if (reported[i.row - x86_rows]++ < 3) {
        bytes_text(hex, s->b, us.len);
        fprintf(stderr, "%s-bit %s: row %s: zydis: %s (%s), capstone: %s (%s)\n", mode_name[m], hex,
                row_text(i.row), dz, zy.text, dc, cs.text);
    }
    return 1;
}

START_TEST(test_rows)
{
    unsigned bad = 0;

    for (unsigned m = 0; m < NM_COUNT; m++) {
        for (unsigned map = 0; map <= MAP_0F3A; map++) {
            for (unsigned op = 0; op < 256; op++) {
                for (unsigned p = 0; p < NPREFIX; p++) {
                    struct sample s;
                    unsigned head;

                    if (prefixes[p].only64 && m != NM_64)
                        continue;
                    head = opcode_head(&s, p, map, op);
                    for (unsigned modrm = first_modrm(op, p); modrm < 256; modrm += stride) {
                        unsigned variants = modrm < 0xc0 && (modrm & 7) == 4 ? 6 : 1;

                        for (unsigned v = 0; v < variants; v++) {
                            s.n = head;
                            put(&s, modrm);
                            tail(&s, variants == 1 ? modrm % 6 : v);
                            bad += one(&s, m);
                        }
                    }
                }
            }
        }
    }
    ck_assert_msg(bad == 0, "%u encodings disagree with both disassemblers", bad);
}
END_TEST

/* Encodings Zydis accepts that we deliberately do not. */
static bool undefined_on_purpose(const struct norm *z, enum norm_mode m)
{
    /* Outside 64-bit mode only AMD has these (SDM vol. 2, SYSCALL: #UD). */
    return m != NM_64 && (!strcmp(z->name, "syscall") || !strcmp(z->name, "sysret"));
}

START_TEST(test_gaps)
{
    static char seen[4096][40];
    unsigned nseen = 0, bad = 0;

    for (unsigned m = 0; m < NM_COUNT; m++) {
        for (unsigned map = 0; map <= MAP_0F3A; map++) {
            for (unsigned op = 0; op < 256; op++) {
                for (unsigned p = 0; p < NPREFIX; p++) {
                    for (unsigned modrm = first_modrm(op, p); modrm < 256; modrm += stride) {
                        struct sample s;
                        struct norm us, zy;
                        struct insn i;
                        char hex[64], key[40];
                        unsigned k;

                        if (prefixes[p].only64 && m != NM_64)
                            continue;
                        opcode_head(&s, p, map, op);
                        put(&s, modrm);
                        tail(&s, modrm % 6);
                        if (norm_ours(&us, &i, s.b, s.n, m) == DECODE_OK || i.row)
                            continue;
                        if (!norm_zydis(&zy, s.b, s.n, m) || !norm_isa_wanted(&zy) ||
                            undefined_on_purpose(&zy, m))
                            continue;
                        snprintf(key, sizeof(key), "%s %s", mode_name[m], zy.name);
                        for (k = 0; k < nseen && strcmp(seen[k], key); k++)
                            ;
                        bad++;
                        if (k < nseen || nseen == 4096)
                            continue;
                        strcpy(seen[nseen++], key);
                        bytes_text(hex, s.b, zy.len);
                        fprintf(stderr, "%s-bit %s: no row, but Zydis says %s (%s)\n", mode_name[m], hex,
                                zy.text, norm_isa_name(&zy));
                    }
                }
            }
        }
    }
    ck_assert_msg(bad == 0, "%u encodings have no row", bad);
}
END_TEST

START_TEST(test_prefix_rules)
{
    static const struct { const char *what; uint8_t b[16]; unsigned n; uint32_t mode; int want, len; } t[] = {
        { "15 bytes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                        0x90 }, 15, 0x12, DECODE_OK, 15 },
        { "16 bytes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                        0x66, 0x90 }, 16, 0x12, DECODE_TOO_LONG, -1 },
        { "not enough", { 0x81, 0xc0, 1, 2, 3 }, 5, 0x12, DECODE_MORE, -1 },
        { "lock on register", { 0xf0, 0x01, 0xc0 }, 3, 0x12, DECODE_UD, -1 },
        { "lock on memory", { 0xf0, 0x01, 0x00 }, 3, 0x12, DECODE_OK, 3 },
        { "lock on cmp", { 0xf0, 0x39, 0x00 }, 3, 0x12, DECODE_UD, -1 },
        { "lock, memory is source", { 0xf0, 0x03, 0x00 }, 3, 0x12, DECODE_UD, -1 },
        { "push es in 64-bit mode", { 0x06 }, 1, 0x12, DECODE_UD, -1 },
        { "REX before a prefix", { 0x48, 0x66, 0xb8, 1, 2 }, 5, 0x12, DECODE_OK, 5 },
        { "66 ignored by a near jump", { 0x66, 0xe9, 1, 2, 3, 4 }, 6, 0x12, DECODE_OK, 6 },
        { "66 shortens a 32-bit jump", { 0x66, 0xe9, 1, 2 }, 4, 0x11, DECODE_OK, 4 },
        { "mov to CS", { 0x8e, 0xc8 }, 2, 0x12, DECODE_UD, -1 },
        { "mov to segment 6", { 0x8e, 0xf0 }, 2, 0x12, DECODE_UD, -1 },
    };

    for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
        struct insn i;
        int r = decode(&i, t[k].b, t[k].n, t[k].mode, NULL);

        ck_assert_msg(r == t[k].want && (t[k].len < 0 || i.len == t[k].len), "%s: result %d, length %u",
                      t[k].what, r, i.len);
    }
}
END_TEST

/* What liveness relies on. */
START_TEST(test_flags)
{
    static const struct { const char *what; uint8_t b[8]; uint32_t reads, writes; } t[] = {
        { "add eax, ecx", { 0x01, 0xc8 }, 0, FL_ARITH },
        { "adc eax, ecx", { 0x11, 0xc8 }, FL_CF, FL_ARITH },
        { "sbb eax, 1", { 0x83, 0xd8, 1 }, FL_CF, FL_ARITH },
        { "inc eax", { 0xff, 0xc0 }, 0, FL_ARITH & ~FL_CF },
        { "mov eax, ecx", { 0x89, 0xc8 }, 0, 0 },
        { "jbe", { 0x76, 0 }, FL_CF | FL_ZF, 0 },
        { "jle", { 0x0f, 0x8e, 0, 0, 0, 0 }, FL_ZF | FL_SF | FL_OF, 0 },
        { "setp al", { 0x0f, 0x9a, 0xc0 }, FL_PF, 0 },
        { "cmovs eax, ecx", { 0x0f, 0x48, 0xc1 }, FL_SF, 0 },
        { "shl eax, 3", { 0xc1, 0xe0, 3 }, 0, FL_ARITH },
        { "shl eax, 32", { 0xc1, 0xe0, 32 }, 0, 0 },
        { "shl eax, cl", { 0xd3, 0xe0 }, 0, 0 },
        { "rcl eax, 1", { 0xd1, 0xd0 }, FL_CF, FL_CF | FL_OF },
        { "bt eax, ecx", { 0x0f, 0xa3, 0xc8 }, 0, FL_CF },
        { "cmc", { 0xf5 }, FL_CF, FL_CF },
        { "sahf", { 0x9e }, 0, FL_ARITH & ~FL_OF },
        { "lahf", { 0x9f }, FL_ARITH & ~FL_OF, 0 },
        { "pushf", { 0x9c }, FL_ARITH, 0 },
        { "scasb", { 0xae }, 0, FL_ARITH },
        { "repne scasb", { 0xf2, 0xae }, 0, 0 },
        { "syscall", { 0x0f, 0x05 }, FL_ARITH, 0 },
        { "int 80h", { 0xcd, 0x80 }, FL_ARITH, 0 },
        { "ret", { 0xc3 }, FL_ARITH, 0 },
        { "jmp rel", { 0xeb, 0 }, 0, 0 },
        { "jmp rax", { 0xff, 0xe0 }, FL_ARITH, 0 },
        { "ud2", { 0x0f, 0x0b }, FL_ARITH, 0 },
        { "hlt", { 0xf4 }, FL_ARITH, 0 },
    };

    for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
        struct insn i;
        uint32_t r, w;

        ck_assert_int_eq(decode(&i, t[k].b, 8, M_CODE64 | M_PE | M_LMA, NULL), DECODE_OK);
        insn_flags(&i, &r, &w);
        ck_assert_msg(r == t[k].reads && w == t[k].writes, "%s: reads %x, writes %x", t[k].what, r, w);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("table");
    TCase *tc = tcase_create("table");
    SRunner *sr = srunner_create(s);
    int failed;

    if (getenv("EMULATOR") && *getenv("EMULATOR"))
        stride = 7;
    decode_init();
    norm_open();
    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, test_prefix_rules);
    tcase_add_test(tc, test_flags);
    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_gaps);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    norm_close();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
