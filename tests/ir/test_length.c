/*
 * test_length.c - how many host instructions the sequences that run most take.
 *
 * A golden test: a change that makes one of them longer must be meant.  What is
 * counted is the straight way of one block (a hit), without the test of `attn` at
 * its entry.
 */
#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/run_suite.h"
#include "translator/backend.h"

#define CODE_BYTES (2u << 20)
#define ENTRY 2                 /* instructions of a block's entry */

static struct backend *be;
static uint8_t *code;
static struct ir_block b;
static struct host_block out;

static void begin(void)
{
    if (!be) {
        code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert(code != MAP_FAILED);
        be = backend_new(code, 0, &(struct backend_config){ backend_host_features(), false });
        ir_init(&b);
    }
    ir_reset(&b);
    b.mode = M_CODE64 | M_FLAT_CS | M_FLAT_DS;
    b.flat = true;
    ir_emit(&b, IR_MARK, TY_NONE, 2, 0, 0, 0, 0);
}

static ir_ref get(unsigned g)
{
    return ir_emit(&b, IR_GET, TY_I64, 0, 0, 0, 0, SLOT_R(g));
}

/* Instructions of the block's straight way behind its entry. */
static unsigned length(void)
{
    uint8_t *at = code + BACKEND_THUNK_BYTES;
    csh cs;
    cs_insn *in;
    ck_assert(ir_verify(&b) == NULL);
    opt_needs(&b);
    backend_emit(be, &b, at, at + backend_bound(&b), &out);
    ck_assert_int_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
    size_t n = cs_disasm(cs, at, out.size, (uint64_t)(uintptr_t)at, 0, &in);
    for (size_t k = 0; k < n; k++)
        fprintf(stderr, "  %s %s\n", in[k].mnemonic, in[k].op_str);
    cs_free(in, n);
    cs_close(&cs);
    ck_assert_uint_gt(n, ENTRY);
    return (unsigned)n - ENTRY;
}

/* jmp rax: one copy of rax, then the jump cache. */
START_TEST(test_indirect)
{
    begin();
    ir_emit(&b, IR_EXIT_IND, TY_NONE, 0, get(R_AX), 0, 0, 0);
    ck_assert_uint_eq(length(), 1 + 9);
}
END_TEST

/* A load off rbx: the TLB. */
START_TEST(test_probe)
{
    begin();
    ir_ref v = ir_emit(&b, IR_LD, TY_I64, MMU_USER << MEM_IDX_SHIFT, get(R_BX), 0, 0, 0);
    ir_emit(&b, IR_PUT, TY_I64, 0, v, 0, 0, SLOT_R(R_AX));
    ir_emit(&b, IR_EXIT, TY_NONE, 0, 0, 0, 0, 4);
    ck_assert_uint_eq(length(), 9 + 1);
}
END_TEST

/* The same off rsp: the page remembered for the stack. */
START_TEST(test_stack)
{
    begin();
    ir_ref v = ir_emit(&b, IR_LD, TY_I64, MMU_USER << MEM_IDX_SHIFT, get(R_SP), 0, 0, 16);
    ir_emit(&b, IR_PUT, TY_I64, 0, v, 0, 0, SLOT_R(R_AX));
    ir_emit(&b, IR_EXIT, TY_NONE, 0, 0, 0, 0, 4);
    ck_assert_uint_eq(length(), 6 + 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("length");
    TCase *tc = tcase_create("length");

    tcase_add_test(tc, test_indirect);
    tcase_add_test(tc, test_probe);
    tcase_add_test(tc, test_stack);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
