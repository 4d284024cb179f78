/*
 * test_asm_arm.c - backend-aarch64/asm.h against Capstone: what each function writes reads back as
 * the instruction that was meant.
 */
#include <check.h>
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend-aarch64/asm.h"

static csh cs;
static uint8_t code[64];

static void begin(struct as *a)
{
    a->p = code;
}

/* The only instruction at the start of `code` reads as `want`. */
static void reads(const struct as *a, const char *want)
{
    char got[200];
    cs_insn *in;

    ck_assert_int_eq(a->p - code, 4);
    ck_assert_msg(cs_disasm(cs, code, 4, 0x1000, 1, &in) == 1, "no instruction: wanted %s", want);
    snprintf(got, sizeof(got), "%s%s%s", in->mnemonic, *in->op_str ? " " : "", in->op_str);
    cs_free(in, 1);
    ck_assert_str_eq(got, want);
}

#define IS(want, call) do { struct as as_, *a = &as_; begin(a); call; reads(a, want); } while (0)

START_TEST(shapes)
{
    IS("add x3, x4, x5", as_rrr(a, OP_ADD, true, 3, 4, 5));
    IS("adds w3, w4, w5", as_rrr(a, OP_ADDS, false, 3, 4, 5));
    IS("cmp x4, x5", as_rrr(a, OP_SUBS, true, H_ZR, 4, 5));
    IS("sub x3, x4, x5, asr #7", as_rrs(a, OP_SUB, true, 3, 4, 5, SH_ASR, 7));
    IS("eor w16, w15, w15, lsr #4", as_rrs(a, OP_EOR, false, 16, 15, 15, SH_LSR, 4));
    IS("and x0, x0, x9, lsr #8", as_rrs(a, OP_AND, true, 0, 0, 9, SH_LSR, 8));
    IS("mvn x2, x9", as_rrr(a, OP_ORN, true, 2, H_ZR, 9));
    IS("bic w1, w2, w3", as_rrr(a, OP_BIC, false, 1, 2, 3));
    IS("adc x1, x2, x3", as_rrr(a, OP_ADC, true, 1, 2, 3));
    IS("adcs w1, w2, w3", as_rrr(a, OP_ADCS, false, 1, 2, 3));
    IS("sbc x1, x2, x3", as_rrr(a, OP_SBC, true, 1, 2, 3));
    IS("sbcs x1, x2, x3", as_rrr(a, OP_SBCS, true, 1, 2, 3));
    IS("tst x5, x5", as_rrr(a, OP_ANDS, true, H_ZR, 5, 5));
    IS("orr w1, w2, w3", as_rrr(a, OP_ORR, false, 1, 2, 3));
    IS("mov x1, x30", as_mov(a, true, 1, 30));
    IS("lsl x1, x2, x3", as_rrr(a, OP_LSLV, true, 1, 2, 3));
    IS("lsr w1, w2, w3", as_rrr(a, OP_LSRV, false, 1, 2, 3));
    IS("asr x1, x2, x3", as_rrr(a, OP_ASRV, true, 1, 2, 3));
    IS("ror w1, w2, w3", as_rrr(a, OP_RORV, false, 1, 2, 3));
    IS("udiv x1, x2, x3", as_rrr(a, OP_UDIV, true, 1, 2, 3));
    IS("sdiv w1, w2, w3", as_rrr(a, OP_SDIV, false, 1, 2, 3));
    IS("mul x1, x2, x3", as_rrr(a, OP_MUL, true, 1, 2, 3));
    IS("umulh x1, x2, x3", as_rrr(a, OP_UMULH, false, 1, 2, 3));
    IS("smulh x1, x2, x3", as_rrr(a, OP_SMULH, false, 1, 2, 3));
    IS("msub x1, x2, x3, x4", as_msub(a, true, 1, 2, 3, 4));
    IS("eon w1, w2, w3, lsr #1", as_rrs(a, OP_EON, false, 1, 2, 3, SH_LSR, 1));
    IS("subs w1, w2, w3, uxtb", as_subs_ext(a, 1, 2, 3, 8));
    IS("cmp w2, w3, uxth", as_subs_ext(a, 31, 2, 3, 16));
    IS("rbit x1, x2", as_rr(a, OP_RBIT, true, 1, 2));
    IS("rev w1, w2", as_rr(a, OP_REV32, false, 1, 2));
    IS("rev x1, x2", as_rr(a, OP_REV64, true, 1, 2));
    IS("rev16 w1, w2", as_rr(a, OP_REV16, false, 1, 2));
    IS("clz x1, x2", as_rr(a, OP_CLZ, true, 1, 2));
    IS("ubfx w1, w2, #8, #8", as_ubfx(a, false, 1, 2, 8, 8));
    IS("sbfx x1, x2, #4, #8", as_sbfx(a, true, 1, 2, 4, 8));
    IS("sxtw x1, w2", as_sbfx(a, true, 1, 2, 0, 32));
    IS("bfi x19, x2, #8, #8", as_bfi(a, true, 19, 2, 8, 8));
    IS("bfxil x19, x2, #0, #0x10", as_bfi(a, true, 19, 2, 0, 16));
    IS("lsl w1, w2, #0x18", as_lsl(a, false, 1, 2, 24));
    IS("lsl x1, x2, #0x3f", as_lsl(a, true, 1, 2, 63));
    IS("lsr x1, x2, #0x1e", as_lsr(a, true, 1, 2, 30));
    IS("asr w1, w2, #0x1f", as_asr(a, false, 1, 2, 31));
    IS("extr x1, x2, x3, #0x3c", as_extr(a, true, 1, 2, 3, 60));
    IS("add x1, x2, #0xfff", as_rri(a, OPI_ADD, true, 1, 2, 0xfff));
    IS("sub w1, w2, #0xabc, lsl #12", as_rri(a, OPI_SUB, false, 1, 2, 0xabc000));
    IS("cmp w2, #1", as_rri(a, OPI_SUBS, false, H_ZR, 2, 1));
    IS("adds x1, x2, #5", as_rri(a, OPI_ADDS, true, 1, 2, 5));
    IS("mov sp, x16", as_rri(a, OPI_ADD, true, H_SP, 16, 0));
    IS("and x16, x0, #0xfffffffffffff000", as_logic_i(a, OPI_AND, true, 16, 0, ~(uint64_t)0xfff));
    IS("eor w1, w2, #1", as_logic_i(a, OPI_EOR, false, 1, 2, 1));
    IS("tst w16, #0x80", as_logic_i(a, OPI_ANDS, false, H_ZR, 16, 0x80));
    IS("csel x1, x2, x3, lt", as_csel(a, true, 1, 2, 3, A_LT));
    IS("cset w5, lo", as_cset(a, 5, A_CC));
    IS("cinc w1, w1, eq", as_csinc(a, false, 1, 1, 1, A_NE));
    IS("csneg x1, x2, x3, pl", as_csneg(a, true, 1, 2, 3, A_PL));
    IS("cneg x1, x2, ne", as_csneg(a, true, 1, 2, 2, A_EQ));
    IS("mrs x16, nzcv", as_mrs_nzcv(a, 16));
    IS("msr nzcv, x16", as_msr_nzcv(a, 16));
    IS("ldr x1, [x28, #0x7ff8]", as_ldst(a, OP_LDR, 3, 1, 28, 0x7ff8));
    IS("str w1, [x28, #4]", as_ldst(a, OP_STR, 2, 1, 28, 4));
    IS("ldrh w1, [x28, #2]", as_ldst(a, OP_LDR, 1, 1, 28, 2));
    IS("strb w1, [x28, #3]", as_ldst(a, OP_STR, 0, 1, 28, 3));
    IS("ldr x1, [x2, x3]", as_ldst_r(a, OP_LDR, 3, 1, 2, 3));
    IS("strh w1, [x2, x3]", as_ldst_r(a, OP_STR, 1, 1, 2, 3));
    IS("ldur w1, [x17, #-1]", as_ldst_u(a, OP_LDR, 2, 1, 17, -1));
    IS("sturh w1, [x17]", as_ldst_u(a, OP_STR, 1, 1, 17, 0));
    IS("ldp x1, x2, [x28, #0x40]", as_pair(a, OP_LDP, 1, 2, 28, 0x40));
    IS("stp x29, x30, [sp, #-0x60]!", as_pair(a, OP_STP_PRE, 29, 30, H_SP, -96));
    IS("ldp x29, x30, [sp], #0x60", as_pair(a, OP_LDP_POST, 29, 30, H_SP, 96));
    IS("ldr q16, [x28, #0x100]", as_vldst(a, false, 4, 16, 28, 0x100));
    IS("str d1, [x28, #8]", as_vldst(a, true, 3, 1, 28, 8));
    IS("ldr s1, [x2, x3]", as_vldst_r(a, false, 2, 1, 2, 3));
    IS("str q1, [x2, x3]", as_vldst_r(a, true, 4, 1, 2, 3));
    IS("ldp q16, q17, [x16, #0x20]", as_vpair(a, false, 16, 17, 16, 0x20));
    IS("stp q0, q1, [sp, #0x20]", as_vpair(a, true, 0, 1, H_SP, 0x20));
    IS("mov v1.16b, v2.16b", as_vmov(a, 1, 2));
    IS("br x17", as_jump(a, 17));
    IS("blr x16", as_call(a, 16));
    IS("ret", as_ret(a));
    IS("dmb ish", as_dmb(a));
    IS("dmb ishld", as_dmb_ld(a));
    IS("dmb ishst", as_dmb_st(a));
    IS("ldar x1, [x2]", as_order(a, OP_LDAR, 3, 1, 2));
    IS("ldarb w1, [x2]", as_order(a, OP_LDAR, 0, 1, 2));
    IS("stlrh w1, [x2]", as_order(a, OP_STLR, 1, 1, 2));
    IS("ldaxr w1, [x30]", as_order(a, OP_LDAXR, 2, 1, 30));
    IS("stlxr w16, x17, [x30]", as_stlxr(a, 3, 16, 17, 30));
    IS("stlxrb w16, w17, [x30]", as_stlxr(a, 0, 16, 17, 30));
    IS("crc32cx w1, w2, x3", as_crc32c(a, 3, 1, 2, 3));     /* what Capstone may not know: test_order.c */
}
END_TEST

START_TEST(branches)
{
    IS("b #0x1008", as_b_to(a, code + 8));
    IS("bl #0xff8", as_bl_to(a, code - 8));
    IS("b.hi #0x1010", as_patch(as_bcc(a, A_HI), code + 16));
    IS("cbz x3, #0xff0", as_patch(as_cbz(a, true, 3), code - 16));
    IS("cbnz w3, #0x1000", as_patch(as_cbnz(a, false, 3), code));
    IS("tbz w3, #0xf, #0xff0", as_patch(as_tbz(a, 3, 15), code - 16));
    IS("tbnz x3, #0x3f, #0x1010", as_patch(as_tbnz(a, 3, 63), code + 16));
    /* patched again, nothing of the old target stays */
    IS("b #0x1008", as_patch(as_b(a), code - 4); as_patch(code, code + 8));
}
END_TEST

/* What ADD, MOVZ, MOVN and MOVK in `code` make of register 1, which d is too. */
static uint64_t value(const struct as *a, uint64_t x)
{
    for (const uint8_t *p = code; p < a->p; p += 4) {
        uint32_t w;

        memcpy(&w, p, 4);
        unsigned sh = 16 * (w >> 21 & 3);
        uint64_t h = (uint64_t)(w >> 5 & 0xffff) << sh, imm = (uint64_t)(w >> 10 & 0xfff) << (w >> 22 & 1 ? 12 : 0);

        switch (w >> 23 & 0x1ff) {
        case 0x1a5: x = h; break;                                       /* movz x */
        case 0x125: x = ~h; break;                                      /* movn x */
        case 0x0a5: x = h; break;                                       /* movz w */
        case 0x0e5: x = (x & ~((uint64_t)0xffff << sh)) | h; break;     /* movk w */
        case 0x1e5: x = (x & ~((uint64_t)0xffff << sh)) | h; break;     /* movk x */
        default:
            switch (w >> 24) {
            case 0x91: x += imm; break;
            case 0xd1: x -= imm; break;
            default: ck_abort_msg("unexpected instruction %08x", w);
            }
        }
    }
    return x;
}

START_TEST(immediates)
{
    static const uint64_t odd[] = { 0, 1, ~(uint64_t)0, 0xffff, 0x10000, 0xffff0000, 0xffffffff, 0x123456789abcdef0,
                                    0xffffffff12340000, 0xffff0000ffffffff, 0x8000000000000000, 0xfffffffffffffffe };
    static const int64_t add[] = { 1, -1, 0xfff, -0xfff, 0x1000, 0xffffff, -0xffffff, 0x1001, -0x5005 };
    struct as a;

    srand(1);
    for (unsigned k = 0; k < 3000; k++) {
        uint64_t v = k < sizeof(odd) / sizeof(odd[0]) ? odd[k] :
                     ((uint64_t)rand() << 33 ^ (uint64_t)rand() << 11 ^ (uint64_t)rand()) >> (k % 64);

        begin(&a);
        as_mov_i(&a, 1, v);
        ck_assert_uint_eq(value(&a, 0x5555), v);
        ck_assert_int_le(a.p - code, 16);
        begin(&a);
        as_mov_imm32(&a, 1, 0);
        as_set_imm32(code, (uint32_t)v);
        ck_assert_uint_eq(value(&a, 0x5555), (uint32_t)v);
    }
    for (unsigned k = 0; k < sizeof(add) / sizeof(add[0]); k++) {
        begin(&a);
        as_add_i(&a, true, 1, 1, add[k], 2);
        ck_assert_uint_eq(value(&a, 0x12345678), 0x12345678 + (uint64_t)add[k]);
    }
}
END_TEST

/* Every immediate that AND can have, and none that it cannot, by Capstone's word. */
START_TEST(bitmasks)
{
    unsigned n = 0;

    for (unsigned size = 2; size <= 64; size *= 2)
        for (unsigned ones = 1; ones < size; ones++)
            for (unsigned rot = 0; rot < size; rot++, n++) {
                uint64_t m = size == 64 ? ~(uint64_t)0 : ((uint64_t)1 << size) - 1, e = ((uint64_t)1 << ones) - 1, v = 0;
                char want[64];

                if (rot)
                    e = (e >> rot | e << (size - rot)) & m;
                for (unsigned at = 0; at < 64; at += size)
                    v |= e << at;
                snprintf(want, sizeof(want), v < 10 ? "and x1, x2, #%llu" : "and x1, x2, #0x%llx", (unsigned long long)v);
                IS(want, as_logic_i(a, OPI_AND, true, 1, 2, v));
                if (size < 64) {
                    snprintf(want, sizeof(want), (uint32_t)v < 10 ? "and w1, w2, #%u" : "and w1, w2, #0x%x", (uint32_t)v);
                    IS(want, as_logic_i(a, OPI_AND, false, 1, 2, (uint32_t)v));
                }
            }
    ck_assert_uint_eq(n, 5334);
    static const uint64_t none[] = { 0, ~(uint64_t)0, 5, 0xb, 0x1234, 0xff00ff, 0x8000000000000005 };
    for (unsigned k = 0; k < sizeof(none) / sizeof(none[0]); k++)
        ck_assert_uint_eq(as_bitmask(true, none[k]), AS_NO_MASK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("asm_arm");
    TCase *t = tcase_create("asm_arm");
    SRunner *r;
    int failed;

    if (cs_open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, &cs) != CS_ERR_OK) {
        puts("SKIP: this Capstone does not know AArch64");
        return 77;
    }
    tcase_add_test(t, shapes);
    tcase_add_test(t, branches);
    tcase_add_test(t, immediates);
    tcase_add_test(t, bitmasks);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    cs_close(&cs);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
