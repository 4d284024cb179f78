/*
 * unwind.c - see unwind.h. Facts: System V ABI; Linux' arch/x86/include/asm/orc_types.h, ptrace.h (struct pt_regs), and
 * frame.h (ENCODE_FRAME_POINTER: a frame pointer that is marked points to the registers an interrupt saved).
 *
 * Every step goes up the stack, or to another one by a table's word, and there are UNWIND_MAX of them at most, so no
 * stack, however damaged, keeps the walk busy.
 */
#include "debug/unwind.h"

#include <string.h>

#include "frontend/help.h"
#include "hw/machine.h"

#define FRAME_MAX ((uint64_t)1 << 20)   /* bytes of a function's frame */

/* One page is remembered: a walk stays within a few. */
struct memory {
    struct cpu *c;
    uint64_t page;
    const uint8_t *host;        /* NULL: no page yet */
};

struct state {
    struct memory mem;
    uint64_t ip, sp, bp;
    uint64_t dx, di, r10, r13;  /* valid: `regs` */
    unsigned word;              /* bytes of a stack's slot */
    bool user, regs;
    bool exact;                 /* ip is where it was interrupted, and no return address */
};

static bool read_bytes(struct memory *m, uint64_t lin, void *to, unsigned len)
{
    uint64_t pa, run;

    if ((lin ^ (lin + len - 1)) & PAGE_MASK)
        return mmu_debug_read(m->c, lin, to, len);
    if (!m->host || m->page != (lin & PAGE_MASK)) {
        m->host = NULL;
        if (!mmu_debug_translate(m->c, lin & PAGE_MASK, &pa))
            return false;
        m->host = phys_host(m->c->m->phys, pa, false, &run);
        if (m->host && run < PAGE_SIZE)
            m->host = NULL;
        if (!m->host)
            return false;
        m->page = lin & PAGE_MASK;
    }
    memcpy(to, m->host + (lin & ~PAGE_MASK), len);
    return true;
}

static bool read_slot(struct state *s, uint64_t lin, uint64_t *v)
{
    *v = 0;
    return read_bytes(&s->mem, s->word == 4 ? (uint32_t)lin : lin, v, s->word);
}

/* Is there a call in front of this return address? (E8, FF /2, with any of its operands.) */
static bool behind_call(struct state *s, uint64_t ret)
{
    uint8_t b[7];

    if (!read_bytes(&s->mem, ret - 7, b, 7)) {
        memset(b, 0, sizeof(b));
        if (!read_bytes(&s->mem, ret - 5, b + 2, 5))
            return false;
    }
    if (b[2] == 0xe8)
        return true;
    for (unsigned n = 2; n <= 7; n++)
        if (b[7 - n] == 0xff && (b[8 - n] & 0x38) == 0x10)
            return true;
    return false;
}

/* ---- registers that an interrupt or system call saved ---- */

/* A 64-bit kernel's 32-bit program (Linux' __USER32_CS). */
static void entered_from(struct state *s, uint64_t cs)
{
    s->user = (cs & 3) == 3;
    if (s->word == 8 && (cs & 0xffff) == 0x23) {
        s->word = 4;
        s->sp = (uint32_t)s->sp;
        s->bp = (uint32_t)s->bp;
    }
}

/* Slots of struct pt_regs, from its start. */
struct layout {
    unsigned r13, bp, r10, dx, di, ip, cs, sp;
};
static const struct layout layout64 = { 2, 4, 7, 12, 14, 16, 17, 19 };
static const struct layout layout32 = { 0, 5, 0, 2, 4, 12, 13, 15 };

static bool from_regs(struct state *s, uint64_t at)
{
    const struct layout *l = s->word == 8 ? &layout64 : &layout32;
    uint64_t cs;
    struct state n = *s;

    if (!read_slot(&n, at + l->ip * s->word, &n.ip) || !read_slot(&n, at + l->cs * s->word, &cs) ||
        !read_slot(&n, at + l->bp * s->word, &n.bp) || !read_slot(&n, at + l->dx * s->word, &n.dx) ||
        !read_slot(&n, at + l->di * s->word, &n.di))
        return false;
    /* i386 before Linux 5.x saved no stack pointer of its own. */
    if (s->word == 4 && (cs & 3) != 3)
        n.sp = at + l->sp * s->word;
    else if (!read_slot(&n, at + l->sp * s->word, &n.sp))
        return false;
    if (s->word == 8 && (!read_slot(&n, at + l->r10 * 8, &n.r10) || !read_slot(&n, at + l->r13 * 8, &n.r13)))
        return false;
    n.regs = n.exact = true;
    entered_from(&n, cs);
    *s = n;
    return true;
}

/* What the processor pushed, and nothing else. */
static bool from_iret(struct state *s, uint64_t at)
{
    uint64_t cs;
    struct state n = *s;

    if (!read_slot(&n, at, &n.ip) || !read_slot(&n, at + 8, &cs) || !read_slot(&n, at + 24, &n.sp))
        return false;
    n.exact = true;
    entered_from(&n, cs);
    *s = n;
    return true;
}

/* ---- ORC ---- */

static bool orc_register(const struct state *s, unsigned reg, uint64_t *v)
{
    switch (reg) {
    case ORC_SP:
    case ORC_SP_INDIRECT:
        *v = s->sp;
        return true;
    case ORC_BP:
    case ORC_BP_INDIRECT:
        *v = s->bp;
        return true;
    case ORC_DX: *v = s->dx; break;
    case ORC_DI: *v = s->di; break;
    case ORC_R10: *v = s->r10; break;
    case ORC_R13: *v = s->r13; break;
    default:
        return false;
    }
    return s->regs;
}

static bool step_orc(struct state *s, const struct linux_guest *g)
{
    struct orc o;
    struct state n = *s;
    uint64_t sp, off;

    if (!linux_guest_orc(g, s->exact ? s->ip : s->ip - 1, &o) || !orc_register(s, o.sp_reg, &sp))
        return false;
    off = (uint64_t)(int64_t)o.sp_offset;
    if (o.sp_reg == ORC_SP_INDIRECT) {
        if (!read_slot(&n, sp, &sp))
            return false;
        sp += off;
    } else {
        sp += off;
        if (o.sp_reg == ORC_BP_INDIRECT && !read_slot(&n, sp, &sp))
            return false;
    }
    off = (uint64_t)(int64_t)o.bp_offset;
    if (o.type == ORC_REGS)
        return from_regs(s, sp);
    if (o.type == ORC_REGS_PARTIAL)
        return from_iret(s, sp);
    if (!read_slot(&n, sp - 8, &n.ip) || !n.ip)
        return false;
    if ((o.bp_reg == ORC_PREV_SP && !read_slot(&n, sp + off, &n.bp)) ||
        (o.bp_reg == ORC_BP && !read_slot(&n, s->bp + off, &n.bp)))
        return false;
    n.sp = sp;
    n.regs = n.exact = false;
    *s = n;
    return true;
}

/* ---- frame pointers ---- */

/* Is there, in front of ret, a direct call of the function that begins at `to`? */
static bool calls(struct state *s, uint64_t ret, uint64_t to)
{
    uint8_t b[5];
    int32_t by;

    if (!read_bytes(&s->mem, ret - 5, b, 5) || b[0] != 0xe8)
        return false;
    memcpy(&by, b + 1, 4);
    ret += (uint64_t)(int64_t)by;
    return (s->word == 4 ? (uint32_t)ret : ret) == to;
}

/*
 * A function that was interrupted before it had a frame, or never makes one (leaves): its return address is on top of
 * the stack, or beneath the caller's frame pointer that was just pushed. Only what called this very function counts.
 */
static bool step_frameless(struct state *s)
{
    uint64_t start, slot[2];
    bool pushed;

    if (!s->exact || !symbols_start(s->mem.c->m->symbols, s->ip, &start) || !read_slot(s, s->sp, &slot[0]) ||
        !read_slot(s, s->sp + s->word, &slot[1]))
        return false;
    pushed = slot[0] == s->bp && calls(s, slot[1], start);
    if (!pushed && !calls(s, slot[0], start))
        return false;
    s->ip = slot[pushed];
    s->sp += (pushed + 1) * s->word;
    s->regs = s->exact = false;
    return true;
}

static bool step_fp(struct state *s)
{
    struct state n = *s;
    uint64_t mark = s->word == 8 ? 1 : 0x80000000;

    if (step_frameless(s))
        return true;
    if (!s->user && s->word == 8 && (s->bp & mark))
        return from_regs(s, s->bp & ~mark);
    if (!s->user && s->word == 4 && (s->sp & mark) && s->bp && !(s->bp & mark))
        return from_regs(s, s->bp | mark);
    if (s->bp < s->sp || s->bp - s->sp > FRAME_MAX || s->bp & (s->word - 1) || !read_slot(&n, s->bp, &n.bp) ||
        !read_slot(&n, s->bp + s->word, &n.ip) || !behind_call(&n, n.ip))
        return false;
    n.sp = s->bp + 2 * s->word;
    n.regs = n.exact = false;
    *s = n;
    return true;
}

/* ---- the walk ---- */

/* To the caller; false: there is none, or it is not known. */
static bool step(struct state *s, const struct linux_guest *g)
{
    return g && !s->user && s->word == 8 && linux_guest_has_orc(g) ? step_orc(s, g) : step_fp(s);
}

unsigned unwind(struct cpu *c, const struct linux_guest *g, enum unwind_how how, struct frame f[UNWIND_MAX])
{
    struct state s = { .mem = { .c = c }, .ip = cpu_code_lin(c, c->rip), .sp = c->r[R_SP], .bp = c->r[R_BP],
                       .dx = c->r[R_DX], .di = c->r[R_DI], .r10 = c->r[10], .r13 = c->r[13],
                       .word = cpu_64(c) ? 8 : 4, .user = cpu_pe(c) && c->cpl == 3, .regs = true, .exact = true };
    unsigned n = 0;
    bool flat = (c->mode & M_FLAT_CS) && (c->mode & M_CODE) != M_CODE16;

    if (s.word == 4)
        s.sp = (uint32_t)s.sp, s.bp = (uint32_t)s.bp;
    do {
        f[n++] = (struct frame){ s.exact ? s.ip : s.ip - 1, s.user };
    } while (n < UNWIND_MAX && flat && how != UNWIND_OFF && step(&s, how == UNWIND_AUTO ? g : NULL) && s.ip >= PAGE_SIZE);
    return n;
}
