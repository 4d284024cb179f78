/*
 * test_sys_code.c - the system family from bytes to effect: every row lifts to
 * IR the verifier accepts, before and after the passes, in every mode it exists
 * in; and small programs run through decoder, lifter, interpreter and delivery.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/lift.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"
#include "translator/interp.h"

#define CODE 0x30000u

/* ---- every row ---- */

/* The shortest encoding of a row: memory operand [rBX] or registers 0, as it wants. */
static unsigned encode(const struct x86_row *r, uint8_t *b)
{
    static const uint8_t pfx[] = { [PFX_66] = 0x66, [PFX_F3] = 0xf3, [PFX_F2] = 0xf2 };
    bool mem = !(r->ext & EXT_RR) && (r->ext & EXT_MEM || strchr(r->operands, 'M'));
    unsigned n = 0, reg = r->ext & 0x100 ? r->ext & 7 : 0;

    if (pfx[r->pfx])
        b[n++] = pfx[r->pfx];
    if (r->map != MAP_1)
        b[n++] = 0x0f;
    if (r->map == MAP_0F38)
        b[n++] = 0x38;
    b[n++] = r->opcode;
    b[n++] = (uint8_t)(mem ? reg << 3 | 7 : 0xc0 | reg << 3 | (r->ext & 0x800 ? r->ext >> 4 & 7 : 0));
    memset(b + n, 0, 12);
    return n + 12;
}

START_TEST(test_rows)
{
    static const struct { enum sys_mode mode; bool user, v86; uint8_t exists; } at[] = {
        { REAL, false, false, MODE_R }, { PROT, false, false, MODE_P }, { PROT, true, false, MODE_P },
        { PROT, true, true, MODE_R }, { LONG, false, false, MODE_64 }, { LONG, true, false, MODE_64 },
    };
    struct sys_env *e = sys_new(at[_i].mode);
    struct lift_options o = { .max_insns = 1, .max_branches = 1 };
    struct ir_block b;
    unsigned rows = 0;

    ir_init(&b);
    if (at[_i].v86)
        sys_v86(e, 0);
    else if (at[_i].user)
        sys_ring3(e);
    if (at[_i].mode != REAL && !at[_i].v86)
        e->c->rip = CODE;
    for (unsigned k = X86_MOV_EV_SW; k <= X86_STAC; k++) {
        const struct x86_row *r = &x86_rows[k];
        uint64_t lin = e->c->mode & M_FLAT_CS ? e->c->rip : e->c->seg[SEG_CS].base + e->c->rip;
        uint8_t code[32];
        struct insn i;

        if (!(r->modes & at[_i].exists) || r->skip)
            continue;
        memcpy(e->ram + lin, code, encode(r, code));
        ck_assert_msg(decode(&i, code, 15, e->c->mode, e->c->model->feats) == DECODE_OK && i.row == r,
                      "%s %s: decoded as %s", r->name, r->operands, i.row ? i.row->name : "nothing");
        for (unsigned extra = 0; extra < 4; extra++) {
            uint32_t mode = e->c->mode | (extra & 1 ? M_TF : 0) | (extra & 2 ? M_ONE | M_NOSHARE : 0);
            const char *bad;

            ck_assert(lift_block(e->c, &b, mode, &o));
            bad = ir_verify(&b);
            if (bad)
                ir_print(stderr, &b);
            ck_assert_msg(!bad, "%s %s: %s", r->name, r->operands, bad);
            ir_optimize(&b, &(struct opt_options){ .verify = true });
            bad = ir_verify(&b);
            ck_assert_msg(!bad, "%s %s, optimized: %s", r->name, r->operands, bad);
        }
        rows++;
    }
    ck_assert_uint_gt(rows, 60);
    ir_free(&b);
    sys_free(e);
}
END_TEST

/* ---- programs ---- */

static void run(struct sys_env *e, unsigned max_insns, uint64_t stop)
{
    struct lift_options o = { .max_insns = max_insns, .max_branches = 4 };
    struct cpu *c = e->c;
    struct ir_block b;

    ir_init(&b);
    for (unsigned n = 0; !c->halted && c->rip != stop; n++) {
        unsigned exit;

        ck_assert_uint_lt(n, 1000);
        ck_assert(lift_block(c, &b, c->mode, &o));
        ck_assert_ptr_null(ir_verify(&b));
        ir_optimize(&b, &(struct opt_options){ .verify = true });
        c->pc_page = b.flat ? c->rip & PAGE_MASK : 0;
        if (interp_run(c, &b, &exit) == WHY_FAULT) {
            ck_assert_msg(c->fault.vector == EXC_BP || c->fault.vector == EXC_DB, "fault %u(%x) at %llx",
                          c->fault.vector, c->fault.code, (unsigned long long)c->rip);
            ck_assert(!cpu_deliver_fault(c));
        }
    }
    ir_free(&b);
}

/*
 *    mov %cr0,%rax; mov %rax,%cr0; mov %cr4,%rax; or $0x10200,%rax; mov %rax,%cr4
 *    pushfq; cli; sti; nop; popfq; sgdt 0x90000; lgdt 0x90000; str %eax; mov %eax,0x90100
 *    mov $0x10,%ecx; lar %cx,%ebx; setz 0x90104; mov %ebx,0x90108; lsl %cx,%edx; mov %edx,0x9010c
 *    mov $0xc0000102,%ecx; mov $0x1234,%eax; xor %edx,%edx; wrmsr; swapgs; rdgsbase %rsi
 *    mov %rsi,0x90110; mov $0x5678,%edi; wrfsbase %rdi; rdmsr; mov %eax,0x90118; mov %ds,%ax
 *    mov %ax,%ds; mov %ax,%fs; push %fs; pop %gs; mov %gs,0x9011c; int3; mov %ebp,0x90120
 *    in $0x80,%al; out %al,$0x80; mov $0x81,%dx; in (%dx),%eax; mov %eax,0x90124
 *    stac; pushfq; pop 0x90128; clac; pushfq; pop 0x90130; mov $1,%eax; cpuid; mov %eax,0x90138
 *    rdtsc; rdtscp; rdrand %rax; setc 0x90140; smsw %ax; mov %ax,0x90144; invlpg (%rbx); verw %cx
 *    setz 0x90146; mov %dr7,%rax; mov %rax,%dr7; mov %rax,0x90148
 *    lea 1f(%rip),%rax; push $8; push %rax; lretq
 * 1: mov %ss,%eax; push %rax; lea -8(%rsp),%rdx; push %rdx; pushfq; push $8; lea 2f(%rip),%rax
 *    push %rax; iretq
 * 2: mov $0x7fff,%eax; mov %eax,0x90150; clts; wbinvd; mov %cr8,%rax; mov $7,%eax; mov %rax,%cr8
 *    mov %cr8,%rbx; mov %ebx,0x90154; hlt
 */
static const uint8_t long_code[] = {
    0x0f, 0x20, 0xc0, 0x0f, 0x22, 0xc0, 0x0f, 0x20, 0xe0, 0x48, 0x0d, 0x00, 0x02, 0x01, 0x00, 0x0f,
    0x22, 0xe0, 0x9c, 0xfa, 0xfb, 0x90, 0x9d, 0x0f, 0x01, 0x04, 0x25, 0x00, 0x00, 0x09, 0x00, 0x0f,
    0x01, 0x14, 0x25, 0x00, 0x00, 0x09, 0x00, 0x0f, 0x00, 0xc8, 0x89, 0x04, 0x25, 0x00, 0x01, 0x09,
    0x00, 0xb9, 0x10, 0x00, 0x00, 0x00, 0x0f, 0x02, 0xd9, 0x0f, 0x94, 0x04, 0x25, 0x04, 0x01, 0x09,
    0x00, 0x89, 0x1c, 0x25, 0x08, 0x01, 0x09, 0x00, 0x0f, 0x03, 0xd1, 0x89, 0x14, 0x25, 0x0c, 0x01,
    0x09, 0x00, 0xb9, 0x02, 0x01, 0x00, 0xc0, 0xb8, 0x34, 0x12, 0x00, 0x00, 0x31, 0xd2, 0x0f, 0x30,
    0x0f, 0x01, 0xf8, 0xf3, 0x48, 0x0f, 0xae, 0xce, 0x48, 0x89, 0x34, 0x25, 0x10, 0x01, 0x09, 0x00,
    0xbf, 0x78, 0x56, 0x00, 0x00, 0xf3, 0x48, 0x0f, 0xae, 0xd7, 0x0f, 0x32, 0x89, 0x04, 0x25, 0x18,
    0x01, 0x09, 0x00, 0x66, 0x8c, 0xd8, 0x8e, 0xd8, 0x8e, 0xe0, 0x0f, 0xa0, 0x0f, 0xa9, 0x8c, 0x2c,
    0x25, 0x1c, 0x01, 0x09, 0x00, 0xcc, 0x89, 0x2c, 0x25, 0x20, 0x01, 0x09, 0x00, 0xe4, 0x80, 0xe6,
    0x80, 0x66, 0xba, 0x81, 0x00, 0xed, 0x89, 0x04, 0x25, 0x24, 0x01, 0x09, 0x00, 0x0f, 0x01, 0xcb,
    0x9c, 0x8f, 0x04, 0x25, 0x28, 0x01, 0x09, 0x00, 0x0f, 0x01, 0xca, 0x9c, 0x8f, 0x04, 0x25, 0x30,
    0x01, 0x09, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0xa2, 0x89, 0x04, 0x25, 0x38, 0x01, 0x09,
    0x00, 0x0f, 0x31, 0x0f, 0x01, 0xf9, 0x48, 0x0f, 0xc7, 0xf0, 0x0f, 0x92, 0x04, 0x25, 0x40, 0x01,
    0x09, 0x00, 0x66, 0x0f, 0x01, 0xe0, 0x66, 0x89, 0x04, 0x25, 0x44, 0x01, 0x09, 0x00, 0x0f, 0x01,
    0x3b, 0x0f, 0x00, 0xe9, 0x0f, 0x94, 0x04, 0x25, 0x46, 0x01, 0x09, 0x00, 0x0f, 0x21, 0xf8, 0x0f,
    0x23, 0xf8, 0x48, 0x89, 0x04, 0x25, 0x48, 0x01, 0x09, 0x00, 0x48, 0x8d, 0x05, 0x05, 0x00, 0x00,
    0x00, 0x6a, 0x08, 0x50, 0x48, 0xcb, 0x8c, 0xd0, 0x50, 0x48, 0x8d, 0x54, 0x24, 0xf8, 0x52, 0x9c,
    0x6a, 0x08, 0x48, 0x8d, 0x05, 0x03, 0x00, 0x00, 0x00, 0x50, 0x48, 0xcf, 0xb8, 0xff, 0x7f, 0x00,
    0x00, 0x89, 0x04, 0x25, 0x50, 0x01, 0x09, 0x00, 0x0f, 0x06, 0x0f, 0x09, 0x44, 0x0f, 0x20, 0xc0,
    0xb8, 0x07, 0x00, 0x00, 0x00, 0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc3, 0x89, 0x1c, 0x25,
    0x54, 0x01, 0x09, 0x00, 0xf4,
};

static const struct { uint32_t at, v; } long_results[] = {
    { 0x90100, G_TSS }, { 0x90104, 1 }, { 0x90108, 0xc09300 }, { 0x9010c, 0xffffffff }, { 0x90110, 0x1234 },
    { 0x90118, 0 }, { 0x9011c, G_DATA0 }, { 0x90120, 0x1111 }, { 0x90124, 0xffffffff },
    { 0x90128, FL_AC | 0x46 }, { 0x90130, 0x46 }, { 0x90138, 0x806f8 }, { 0x90140, 1 }, { 0x90148, 0x400 },
    { 0x90150, 0x7fff }, { 0x90154, 7 },
};

static const unsigned lengths[] = { 1, 3, 64 };

START_TEST(test_long)
{
    static const uint8_t handler[] = { 0xbd, 0x11, 0x11, 0, 0, 0x48, 0xcf };    /* mov $0x1111,%ebp; iretq */
    struct sys_env *e = sys_new(LONG);
    struct cpu *c = e->c;

    memcpy(e->ram + CODE, long_code, sizeof(long_code));
    memcpy(e->ram + S_HANDLER + 16 * 3, handler, sizeof(handler));
    run(e, lengths[_i], ~0ull);
    ck_assert_uint_eq(c->rip, CODE + sizeof(long_code));
    for (unsigned i = 0; i < sizeof(long_results) / sizeof(long_results[0]); i++)
        ck_assert_msg(sys_peek(e, long_results[i].at, 4) == long_results[i].v, "%x: %llx, expected %x",
                      long_results[i].at, (unsigned long long)sys_peek(e, long_results[i].at, 4),
                      long_results[i].v);
    ck_assert_uint_eq(c->seg[SEG_FS].base, 0);          /* the MOV to FS came later */
    ck_assert_uint_eq(c->gdt.base, S_GDT);
    ck_assert_uint_eq(c->gdt.limit, G_END - 1);
    sys_free(e);
}
END_TEST

/*
 *    mov $0x4000,%ax; mov %ax,%ds; mov %ax,%ss; mov $0x800,%sp; pushf; cli; popf; push %ds; pop %es
 *    mov %es,0x10; movw $0x55,0x100; movw $0x1234,0x102; les 0x100,%bx; mov %es,0x12; int $0x21
 *    mov %cx,0x14; lcall $0x3000,$3f; mov %dx,0x16; smsw %ax; mov %ax,0x18; mov $4,%cx
 *    mov $0x200,%di; push %ds; pop %es; mov $0x99,%dx; rep insb; mov %di,0x1a; ljmp $0x3000,$4f
 * 3: mov $0x7777,%dx; lret
 * 4: hlt
 */
static const uint8_t real_code[] = {
    0xb8, 0x00, 0x40, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x08, 0x9c, 0xfa, 0x9d, 0x1e, 0x07, 0x8c,
    0x06, 0x10, 0x00, 0xc7, 0x06, 0x00, 0x01, 0x55, 0x00, 0xc7, 0x06, 0x02, 0x01, 0x34, 0x12, 0xc4,
    0x1e, 0x00, 0x01, 0x8c, 0x06, 0x12, 0x00, 0xcd, 0x21, 0x89, 0x0e, 0x14, 0x00, 0x9a, 0x52, 0x00,
    0x00, 0x30, 0x89, 0x16, 0x16, 0x00, 0x0f, 0x01, 0xe0, 0xa3, 0x18, 0x00, 0xb9, 0x04, 0x00, 0xbf,
    0x00, 0x02, 0x1e, 0x07, 0xba, 0x99, 0x00, 0xf3, 0x6c, 0x89, 0x3e, 0x1a, 0x00, 0xea, 0x56, 0x00,
    0x00, 0x30, 0xba, 0x77, 0x77, 0xcb, 0xf4,
};

START_TEST(test_real)
{
    static const uint8_t handler[] = { 0xb9, 0x22, 0x22, 0xcf };        /* mov $0x2222,%cx; iret */
    static const uint16_t want[] = { 0x4000, 0x1234, 0x2222, 0x7777, 0x0010, 0x0204 };
    struct sys_env *e = sys_new(REAL);

    sys_poke(e, 0x21 * 4, 4, 0x20000000);
    memcpy(e->ram + 0x20000, handler, sizeof(handler));
    memcpy(e->ram + CODE, real_code, sizeof(real_code));
    e->c->rip = 0;
    run(e, lengths[_i], ~0ull);
    for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ck_assert_msg(sys_peek(e, 0x40010 + 2 * i, 2) == want[i], "word %u: %x, expected %x", i,
                      (unsigned)sys_peek(e, 0x40010 + 2 * i, 2), want[i]);
    ck_assert_uint_eq(sys_peek(e, 0x40200, 4), 0xffffffff);
    ck_assert_uint_eq(e->c->r[R_SP], 0x800);
    sys_free(e);
}
END_TEST

/*
 * What is read field by field wraps at 64 KiB between the fields (so do processors of today, with
 * 16-bit addresses): mov $0xfffe,%bx; les (%bx),%cx; mov $0x1000,%dx; bound %dx,(%bx); lgdt (%bx);
 * ljmp *(%bx).  One field that reaches beyond faults: mov (%bx),%eax.
 */
START_TEST(test_wrap)
{
    static const uint8_t code[] = { 0xbb, 0xfe, 0xff, 0xc4, 0x0f, 0xba, 0x00, 0x10, 0x62, 0x17, 0x0f, 0x01, 0x17,
                                    0xff, 0x2f };
    static const uint8_t there[] = { 0x66, 0x8b, 0x07, 0xf4 };
    struct sys_env *e = sys_new(REAL);
    struct cpu *c = e->c;
    struct ir_block b;
    struct lift_options o = { .max_insns = 1, .max_branches = 1 };
    unsigned exit;

    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + 0x30200, there, sizeof(there));
    sys_poke(e, 0xfffe, 2, 0x200);
    sys_poke(e, 0, 4, 0x3000);
    c->rip = 0;
    run(e, lengths[_i], 0x200);
    ck_assert_uint_eq(c->seg[SEG_CS].sel, 0x3000);
    ck_assert_uint_eq(c->seg[SEG_ES].sel, 0x3000);
    ck_assert_uint_eq(c->r[R_CX], 0x200);
    ck_assert_uint_eq(c->gdt.limit, 0x200);
    ck_assert_uint_eq(c->gdt.base, 0x3000);
    ir_init(&b);
    ck_assert(lift_block(c, &b, c->mode, &o));
    ck_assert_int_eq(interp_run(c, &b, &exit), WHY_FAULT);
    ck_assert_uint_eq(c->fault.vector, EXC_GP);
    ir_free(&b);
    sys_free(e);
}
END_TEST

/* nop; nop; hlt under TF: a trap behind each, with RIP there. */
START_TEST(test_single_step)
{
    static const uint8_t code[] = { 0x90, 0x90, 0x90, 0xf4 };
    static const uint8_t handler[] = { 0x48, 0xff, 0xc5, 0x48, 0x8b, 0x04, 0x24, 0x48, 0xcf };
    /* inc %rbp; mov (%rsp),%rax; iretq */
    struct sys_env *e = sys_new(LONG);
    struct cpu *c = e->c;

    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(e->ram + S_HANDLER + 16 * EXC_DB, handler, sizeof(handler));
    c->eflags |= FL_TF;
    cpu_update_mode(c);
    run(e, 8, CODE + 3);
    ck_assert_uint_eq(c->r[R_BP], 3);
    ck_assert_uint_eq(c->r[R_AX], CODE + 3);
    ck_assert(c->dr[6] & 0x4000);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sys_code");
    TCase *t = tcase_create("sys_code");

    decode_init();
    tcase_add_loop_test(t, test_rows, 0, 6);
    tcase_add_loop_test(t, test_long, 0, 3);
    tcase_add_loop_test(t, test_real, 0, 3);
    tcase_add_loop_test(t, test_wrap, 0, 3);
    tcase_add_test(t, test_single_step);
    suite_add_tcase(s, t);
    return run_suite(s);
}
