/*
 * test_order.c - the instructions of LOCK operations, of accesses in x86's order, and of some flags, for sets
 * of host features.
 *
 * A golden test: that these are the right ones is argued in docs/aarch64.md, that they compute the right
 * values is seen by the fuzzer (make check-features).  Here each size and operation is held to the sequence
 * that was meant, also where this machine could not run it.
 */
#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend-aarch64/asm.h"
#include "tests/run_suite.h"
#include "translator/backend.h"

#define CODE_BYTES (2u << 20)

static uint8_t *code;
static struct ir_block b;
static struct host_block out;

static uint64_t features(const char *names)
{
    uint64_t set = 0;
    for (unsigned n = 0; n < backend_nfeatures; n++) {
        const char *at = strstr(names, backend_features[n].name);
        size_t len = strlen(backend_features[n].name);
        for (; at; at = strstr(at + 1, backend_features[n].name))
            if ((at == names || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
                set |= (uint64_t)1 << n;
    }
    return set;
}

static void begin(void)
{
    if (!code) {
        code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert(code != MAP_FAILED);
        ir_init(&b);
    }
    ir_reset(&b);
    b.mode = M_CODE64 | M_FLAT_CS | M_FLAT_DS;
    b.flat = true;
    ir_emit(&b, IR_MARK, TY_NONE, 2, 0, 0, 0, 0);
}

static ir_ref get(enum ir_type t, unsigned g)
{
    return ir_emit(&b, IR_GET, t, 0, 0, 0, 0, SLOT_R(g));
}

/* What Capstone may not know; % stands for the size: b, h or nothing. */
static const struct { uint32_t mask, value; const char *name; } newer[] = {
    { 0x3fffffff & ~0x3ffu, 0x38bfc000, "ldapr%" }, { 0x3fe00c00, 0x19400000, "ldapur%" },
    { 0x3fe00c00, 0x19000000, "stlur%" }, { 0x3fe0fc00, 0x38e00000, "ldaddal%" },
    { 0x3fe0fc00, 0x38e01000, "ldclral%" }, { 0x3fe0fc00, 0x38e02000, "ldeoral%" },
    { 0x3fe0fc00, 0x38e03000, "ldsetal%" }, { 0x3fe0fc00, 0x38e08000, "swpal%" },
    { 0x3fe0fc00, 0x08e0fc00, "casal%" }, { ~0u, 0xd500401f, "cfinv" }, { 0xffe07c10, 0xba000400, "rmif" },
    { 0xfffffc1f, 0x3a00080d, "setf8" }, { 0xfffffc1f, 0x3a00480d, "setf16" },
};

/* Append an instruction's name; of a barrier also its kind. */
static void name(char *to, size_t size, uint32_t word, const cs_insn *in)
{
    const char *what = in->mnemonic;
    char text[40];
    for (unsigned k = 0; k < sizeof newer / sizeof newer[0]; k++)
        if ((word & newer[k].mask) == newer[k].value) {
            static const char *const suffix[] = { "b", "h", "", "" };
            snprintf(text, sizeof text, "%.*s%s", (int)strcspn(newer[k].name, "%"), newer[k].name,
                     strchr(newer[k].name, '%') ? suffix[word >> 30] : "");
            what = text;
        }
    snprintf(to + strlen(to), size - strlen(to), "%s%s", *to ? " " : "", what);
    if (!strcmp(in->mnemonic, "dmb"))
        snprintf(to + strlen(to), size - strlen(to), "-%s", in->op_str);
}

/* The block, ended here: its straight way behind the entry's branch and its probe's, if it has one; what is
 * out of line. */
static void sequences(const char *with, bool ordered, bool probe, char *straight, char *cold, size_t size)
{
    struct backend *be = backend_new(code, 0, &(struct backend_config){ features(with), ordered });
    uint8_t *at = code + BACKEND_THUNK_BYTES;
    csh cs;
    cs_insn *in;
    unsigned branches = 0;
    bool behind = false;
    ir_emit(&b, IR_EXIT, TY_NONE, 0, 0, 0, 0, 4);
    ck_assert(ir_verify(&b) == NULL);
    opt_needs(&b);
    backend_emit(be, &b, at, at + backend_bound(&b), &out);
    ck_assert(backend_disassembler(&cs));
    cs_option(cs, CS_OPT_SKIPDATA, CS_OPT_ON);
    size_t n = cs_disasm(cs, at, out.size, (uint64_t)(uintptr_t)at, 0, &in);
    straight[0] = cold[0] = 0;
    for (size_t k = 0; k < n; k++) {
        uint32_t word;
        memcpy(&word, at + 4 * k, 4);
        if (branches < 1u + probe) {
            branches += !strcmp(in[k].mnemonic, "cbnz");
            continue;
        }
        if (!behind && !strcmp(in[k].mnemonic, "b")) {          /* the exit */
            behind = true;
            continue;
        }
        name(behind ? cold : straight, size, word, &in[k]);
    }
    cs_free(in, n);
    cs_close(&cs);
    backend_free(be);
}

/* % is the size, a word with ? in front is there for 8 and 16 bits only. */
static void expand(const char *pattern, unsigned log, char *to)
{
    for (const char *p = pattern; *p; p++) {
        if (*p == '%') {
            if (log < 2)
                *to++ = log ? 'h' : 'b';
        } else if (*p != '?') {
            *to++ = *p;
        } else if (log >= 2) {
            p += strcspn(p, " ");
        }
    }
    *to = 0;
}

enum what { LD, ST, LOAD, LOAD_FIRST, LOAD_ODD, LOAD_FAR, STORE, LDV, STV, AMO, CAS = AMO + AMO_XCHG + 1 };

static void emit(enum what what, enum ir_type t)
{
    const unsigned user = MMU_USER << MEM_IDX_SHIFT;
    unsigned disp = what == LOAD_FIRST ? 0 : what == LOAD_ODD ? 9 : what == LOAD_FAR ? 256 : 8;
    ir_ref a = get(TY_I64, R_BX), delta = 0, x = ir_emit(&b, IR_GETV, TY_V128, 0, 0, 0, 0, SLOT_X(1));
    if (what >= LOAD && what <= STORE)
        delta = ir_emit(&b, IR_PROBE, TY_I64, user | (what == STORE ? MEM_WRITE : 0), a, 0, 0, PROBE_IMM(0, 264));
    switch (what) {
    case LD:
        ir_emit(&b, IR_LD, t, user, a, 0, 0, 0);
        break;
    case ST:
        ir_emit(&b, IR_ST, t, user, a, get(t, R_CX), 0, 0);
        break;
    case LOAD: case LOAD_FIRST: case LOAD_ODD: case LOAD_FAR:     /* one nobody uses goes away */
        ir_emit(&b, IR_PUT, TY_I64, 0, ir_emit(&b, IR_LOAD, TY_I64, 0, delta, a, 0, disp), 0, 0, SLOT_R(R_AX));
        break;
    case STORE:
        ir_emit(&b, IR_STORE, t, 0, delta, a, get(t, R_CX), disp);
        break;
    case LDV:
        ir_emit(&b, IR_LDV, TY_V128, user | 16, a, 0, 0, 0);
        break;
    case STV:
        ir_emit(&b, IR_STV, TY_NONE, user | 16, a, x, 0, 0);
        break;
    case CAS:
        ir_emit(&b, IR_CAS, t, user | MEM_WRITE, a, get(t, R_CX), get(t, R_DX), 0);
        break;
    default:
        ir_emit(&b, IR_AMO, t, user | MEM_WRITE | (what - AMO), a, get(t, R_CX), 0, 0);
    }
}

#define UNALIGNED "and cbnz add eor lsr cbnz "

static const struct row {
    int what;
    bool ordered;
    uint8_t sizes;              /* bit n: of 1 << n bytes */
    const char *with, *straight, *cold;         /* cold: part of it, for operands of more than a byte */
} rows[] = {
    /* one vCPU: plain accesses */
    { LD, false, 15, "lse lrcpc lrcpc2", "ldr%", "str" },
    { ST, false, 15, "lse lrcpc lrcpc2", "str%", "str" },
    { LOAD, false, 8, "lrcpc lrcpc2", "add ldr", "str" },
    { LDV, false, 8, "", "ldr", "str" },
    { STV, false, 8, "", "str", "str" },
    /* several: in order */
    { LD, true, 15, "", "add ldar%", UNALIGNED "ldr% dmb-ishld b" },
    { LD, true, 15, "lrcpc lrcpc2", "add ldapr%", UNALIGNED "ldr% dmb-ishld b" },
    { ST, true, 15, "lrcpc lrcpc2", "add stlr%", UNALIGNED "dmb-ishst str% b" },
    { LOAD, true, 8, "", "add add and cbnz ldar", "ldur dmb-ishld b" },
    { LOAD, true, 8, "lrcpc", "add add and cbnz ldapr", "ldur dmb-ishld b" },
    { LOAD, true, 8, "lrcpc lrcpc2", "add and cbnz ldapur", "ldur dmb-ishld b" },
    { LOAD_FIRST, true, 8, "", "add and cbnz ldar", "ldur dmb-ishld b" },
    { LOAD_FIRST, true, 8, "lrcpc", "add and cbnz ldapr", "ldur dmb-ishld b" },
    { LOAD_FAR, true, 8, "lrcpc lrcpc2", "add add and cbnz ldapr", "ldur dmb-ishld b" },
    { LOAD_ODD, true, 8, "lrcpc lrcpc2", "add add and cbnz ldapr", "ldur dmb-ishld b" },
    { STORE, true, 12, "lrcpc", "add add and cbnz stlr", "dmb-ishst stur b" },
    { STORE, true, 12, "lrcpc lrcpc2", "add and cbnz stlur", "dmb-ishst stur b" },
    { STORE, true, 1, "lrcpc2", "add stlur%", "" },
    { LDV, true, 8, "lrcpc lrcpc2", "ldr dmb-ishld", "str" },
    { STV, true, 8, "lrcpc lrcpc2", "dmb-ishst str", "str" },
    /* LOCK operations */
    { AMO + AMO_ADD, true, 15, "", "add ldaxr% add stlxr% cbnz dmb-ish", "str" },
    { AMO + AMO_AND, true, 15, "", "add ldaxr% and stlxr% cbnz dmb-ish", "str" },
    { AMO + AMO_OR, true, 15, "", "add ldaxr% orr stlxr% cbnz dmb-ish", "str" },
    { AMO + AMO_XOR, true, 15, "lrcpc", "add ldaxr% eor stlxr% cbnz dmb-ish", "str" },
    { AMO + AMO_XCHG, true, 15, "lse2", "add ldaxr% stlxr% cbnz dmb-ish", "str" },
    { CAS, true, 15, "", "add ldaxr% eor ?lsl mov cbnz mov stlxr% cbnz dmb-ish", "str" },
    { AMO + AMO_ADD, true, 15, "lse", "add ldaddal%", "str" },
    { AMO + AMO_AND, true, 15, "lse", "add mvn ldclral%", "str" },
    { AMO + AMO_OR, true, 15, "lse", "add ldsetal%", "str" },
    { AMO + AMO_XOR, true, 15, "lse", "add ldeoral%", "str" },
    { AMO + AMO_XCHG, true, 15, "lse", "add swpal%", "str" },
    { AMO + AMO_ADD, true, 15, "lse lse2", "add ldaddal%", UNALIGNED "b" },
    { CAS, true, 15, "lse lse2", "add mov casal% eor ?lsl cbz dmb-ish mov casal%", UNALIGNED "b" },
};
#define ROWS ((int)(sizeof rows / sizeof rows[0]))

START_TEST(sequence)
{
    const struct row *r = &rows[_i];
    char straight[800], cold[800], want[400];
    for (unsigned log = 0; log < 4; log++) {
        if (!(r->sizes >> log & 1))
            continue;
        begin();
        emit((enum what)r->what, (enum ir_type)(TY_I8 + log));
        sequences(r->with, r->ordered, true, straight, cold, sizeof straight);
        expand(r->straight, log, want);
        ck_assert_msg(!strcmp(straight, want), "row %d, %u bytes, %s: %s, wanted %s", _i, 1u << log, r->with, straight,
                      want);
        expand(r->cold, log, want);
        if (log)
            ck_assert_msg(strstr(cold, want) != NULL, "row %d, %u bytes, %s, out of line: %s, wanted %s", _i,
                          1u << log, r->with, cold, want);
    }
}
END_TEST

/* MFENCE, and C that accesses guest memory: full barriers. */
START_TEST(barriers)
{
    char straight[800], cold[800];
    begin();
    ir_emit(&b, IR_LD, TY_I8, MMU_USER << MEM_IDX_SHIFT, get(TY_I64, R_BX), 0, 0, 0);
    ir_emit(&b, IR_FENCE, TY_NONE, 0, 0, 0, 0, 0);
    sequences("", true, true, straight, cold, sizeof straight);
    ck_assert_str_eq(straight, "add ldarb dmb-ish");
    begin();
    ir_emit(&b, IR_ST, TY_I8, MMU_USER << MEM_IDX_SHIFT, get(TY_I64, R_BX), get(TY_I8, R_CX), 0, 0);
    sequences("", true, true, straight, cold, sizeof straight);
    ck_assert_msg(strstr(cold, "str dmb-ish bl b") != NULL, "store by C: %s", cold);
}
END_TEST

/* Out of line, an access behind a shared probe calls no thunk that would tell its instruction: a mark does. */
START_TEST(marks)
{
    char straight[800], cold[800];
    uint32_t word;
    begin();
    ir_emit(&b, IR_MARK, TY_NONE, 3, 0, 0, 0, 2);
    emit(LOAD, TY_I64);
    sequences("", true, true, straight, cold, sizeof straight);
    ck_assert_uint_eq(out.nmarks, 5);
    ck_assert_int_eq(out.mark[1].pc, 2);
    ck_assert_int_eq(out.mark[2].pc, MARK_BEHIND);
    ck_assert_int_eq(out.mark[3].pc, 2);
    memcpy(&word, code + BACKEND_THUNK_BYTES + out.mark[3].off, 4);
    ck_assert_uint_eq(word >> 22, 0x3e1);       /* ldur */
    ck_assert_int_eq(out.mark[4].pc, MARK_BEHIND);
    ck_assert_uint_eq(out.mark[4].off, out.mark[3].off + 3 * 4u);
}
END_TEST

/* FLAGM: what a branch reads of 8 and 16 bits, a carry from memory, the opposite of one, INC that keeps it. */
START_TEST(flags)
{
    static const struct { const char *with, *compare[2], *test, *carry, *inc; } want[] = {
        { "", { "lsl movz cmp b.mi", "lsl movz cmp b.mi" }, "lsl tst b.eq",
          "ldr tbz bl ldr and cmp adc", "adds cset adds mrs bfi msr cset csinc mov tst b.ne" },
        { "flagm", { "sub setf8 b.mi", "sub setf16 b.mi" }, "setf8 b.eq", "ldr tbz bl ldr rmif adc",
          "adds cset adds rmif cfinv b.ls" },
    };
    char straight[800], cold[800];
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned n = 0; n < 3; n++) {      /* cmp al, 5; js; cmp ax, 5; js; test al, al; je */
            enum ir_type t = n == 1 ? TY_I16 : TY_I8;
            begin();
            ir_ref x = get(t, R_AX), y = n < 2 ? ir_emit(&b, IR_CONST, t, 0, 0, 0, 0, 5) : x;
            ir_ref v = ir_emit(&b, n < 2 ? IR_SUB : IR_AND, t, 0, x, y, 0, 0);
            ir_ref f = ir_emit(&b, IR_FLAGS, TY_FLAGS, n < 2 ? FK_SUB : FK_LOGIC, v, 0, 0, 0);
            ir_emit(&b, IR_PUTF, TY_NONE, 0, f, 0, 0, 0);
            ir_ref cc = ir_emit(&b, IR_CC, TY_I8, n < 2 ? CC_S : CC_Z, f, 0, 0, 0);
            ir_emit(&b, IR_EXIT_IF, TY_NONE, 0, cc, 0, 0, 8);
            sequences(want[k].with, false, false, straight, cold, sizeof straight);
            ck_assert_str_eq(straight, n < 2 ? want[k].compare[n] : want[k].test);
        }
        begin();                                /* adc rax, rcx, without flags */
        ir_ref old = ir_emit(&b, IR_GETF, TY_FLAGS, 0, 0, 0, 0, 0);
        ir_emit(&b, IR_PUT, TY_I64, 0, ir_emit(&b, IR_ADC, TY_I64, 0, get(TY_I64, R_AX), get(TY_I64, R_CX), old, 0), 0, 0,
                SLOT_R(R_AX));
        sequences(want[k].with, false, false, straight, cold, sizeof straight);
        ck_assert_str_eq(straight, want[k].carry);
        begin();                                /* add rax, rcx; inc rdx; jbe */
        ir_ref v = ir_emit(&b, IR_ADD, TY_I64, 0, get(TY_I64, R_AX), get(TY_I64, R_CX), 0, 0);
        ir_emit(&b, IR_PUT, TY_I64, 0, v, 0, 0, SLOT_R(R_AX));
        old = ir_emit(&b, IR_FLAGS, TY_FLAGS, FK_ADD, v, 0, 0, 0);
        v = ir_emit(&b, IR_ADD, TY_I64, 0, get(TY_I64, R_DX), ir_emit(&b, IR_CONST, TY_I64, 0, 0, 0, 0, 1), 0, 0);
        ir_emit(&b, IR_PUT, TY_I64, 0, v, 0, 0, SLOT_R(R_DX));
        ir_ref f = ir_emit(&b, IR_FLAGS, TY_FLAGS, FK_INC, v, old, 0, 0);
        ir_emit(&b, IR_EXIT_IF, TY_NONE, 0, ir_emit(&b, IR_CC, TY_I8, CC_BE, f, 0, 0, 0), 0, 0, 8);
        sequences(want[k].with, false, false, straight, cold, sizeof straight);
        ck_assert_str_eq(straight, want[k].inc);
    }
}
END_TEST

/* The assembler's word for each instruction that Capstone may not know. */
__asm__(".arch armv8.4-a\n"
        ".pushsection .rodata\n"
        "test_order_words:\n"
        "ldapr x1, [x2]\n ldaprb w1, [x2]\n ldapur x1, [x2, #-256]\n ldapurh w1, [x2, #255]\n"
        "stlur w1, [x2, #4]\n stlurb w1, [x2, #-1]\n"
        "ldaddal x3, x1, [x2]\n ldclralb w3, w1, [x2]\n ldeoralh w3, w1, [x2]\n ldsetal w3, w1, [x2]\n"
        "swpal x3, x1, [x2]\n casal w3, w1, [x2]\n casalb w3, w1, [x2]\n"
        "crc32cb w1, w2, w3\n crc32ch w1, w2, w3\n crc32cw w1, w2, w3\n crc32cx w1, w2, x3\n"
        "cfinv\n rmif x1, #63, #2\n setf8 w1\n setf16 w1\n"
        ".popsection\n"
        ".arch armv8-a\n");
extern const uint32_t test_order_words[];

START_TEST(encodings)
{
    uint32_t got[32];
    struct as as = { .p = (uint8_t *)got }, *a = &as;
    as_order(a, OP_LDAPR, 3, 1, 2);
    as_order(a, OP_LDAPR, 0, 1, 2);
    as_order_u(a, OP_LDAPUR, 3, 1, 2, -256);
    as_order_u(a, OP_LDAPUR, 1, 1, 2, 255);
    as_order_u(a, OP_STLUR, 2, 1, 2, 4);
    as_order_u(a, OP_STLUR, 0, 1, 2, -1);
    as_atomic(a, OP_LDADDAL, 3, 3, 1, 2);
    as_atomic(a, OP_LDCLRAL, 0, 3, 1, 2);
    as_atomic(a, OP_LDEORAL, 1, 3, 1, 2);
    as_atomic(a, OP_LDSETAL, 2, 3, 1, 2);
    as_atomic(a, OP_SWPAL, 3, 3, 1, 2);
    as_atomic(a, OP_CASAL, 2, 3, 1, 2);
    as_atomic(a, OP_CASAL, 0, 3, 1, 2);
    for (unsigned log = 0; log < 4; log++)
        as_crc32c(a, log, 1, 2, 3);
    as_cfinv(a);
    as_rmif(a, 1, 63, 2);
    as_setf(a, 8, 1);
    as_setf(a, 16, 1);
    for (unsigned k = 0; k < (unsigned)(a->p - (uint8_t *)got) / 4; k++)
        ck_assert_msg(got[k] == test_order_words[k], "instruction %u: %08x, the assembler's is %08x", k, got[k],
                      test_order_words[k]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("order");
    TCase *tc = tcase_create("order");

    tcase_add_loop_test(tc, sequence, 0, ROWS);
    tcase_add_test(tc, barriers);
    tcase_add_test(tc, marks);
    tcase_add_test(tc, flags);
    tcase_add_test(tc, encodings);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
