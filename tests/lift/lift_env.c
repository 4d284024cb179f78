/*
 * lift_env.c - see lift_env.h.
 */
#include "tests/lift/lift_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_seg(struct seg *s, uint16_t sel, uint64_t base, uint64_t limit, unsigned attr)
{
    s->sel = sel;
    s->base = base;
    s->limit = (uint32_t)limit;
    s->attr = (uint16_t)attr;
    s->fast_r = s->fast_w = limit + 1;
}

struct lift_env *env_new(uint32_t code)
{
    struct lift_env *e = calloc(1, sizeof(*e));
    struct cpu *c = aligned_alloc(64, (sizeof(struct cpu) + 63) & ~(size_t)63);
    unsigned db = code == M_CODE32 ? SEG_DB : code == M_CODE64 ? SEG_L : 0;

    memset(c, 0, sizeof(*c));
    decode_init();
    ir_init(&e->b);
    e->c = c;
    e->m.phys = phys_new(NULL);
    e->ram = phys_ram_alloc(e->m.phys, ENV_RAM);
    phys_map_ram(e->m.phys, 0, ENV_RAM, e->ram, false, "ram");
    c->m = &e->m;
    for (unsigned s = 0; s <= SEG_GS; s++) {
        if (code == M_CODE16)
            set_seg(&c->seg[s], (s == SEG_CS ? ENV_CODE : ENV_DATA) >> 4,
                    s == SEG_CS ? ENV_CODE : ENV_DATA, 0xffff, 0x93);
        else
            set_seg(&c->seg[s], 8, 0, 0xffffffff, (s == SEG_CS ? 0x9b : 0x93) | db | SEG_G);
    }
    c->mode = code | MMU_KERNEL_NOSMAP << M_MMU_SHIFT;
    if (code != M_CODE16) {
        c->cr0 = CR0_PE;
        c->mode |= M_PE | M_FLAT_CS | M_FLAT_DS | M_SS32;
    }
    if (code == M_CODE64)
        c->mode |= M_LMA;
    c->a20 = 1;
    mmu_init(c);
    phys_set_a20(e->m.phys, true);
    e->opt = (struct lift_options){ .max_insns = 64, .max_branches = 8 };
    c->r[R_SP] = code == M_CODE16 ? 0x8000 : ENV_STACK;
    return e;
}

void env_free(struct lift_env *e)
{
    mmu_free(e->c);
    phys_free(e->m.phys);
    ir_free(&e->b);
    free(e->c);
    free(e);
}

void env_code(struct lift_env *e, const void *bytes, unsigned len)
{
    memcpy(e->ram + ENV_CODE, bytes, len);
    memset(e->ram + ENV_CODE + len, 0xf4, 16);
    e->c->rip = (e->c->mode & M_CODE) == M_CODE16 ? 0 : ENV_CODE;
}

bool env_lift(struct lift_env *e)
{
    struct cpu *c = e->c;
    const char *bad;

    e->opt.raw = !e->optimize;
    if (!lift_block(c, &e->b, c->mode | e->extra_mode, &e->opt))
        return false;
    c->pc_page = e->b.flat ? c->rip & PAGE_MASK : 0;
    bad = ir_verify(&e->b);
    if (bad) {
        ir_print(stderr, &e->b);
        fprintf(stderr, "%s\n", bad);
        abort();
    }
    if (e->optimize)
        ir_optimize(&e->b, &(struct opt_options){ .verify = true });
    return true;
}

bool env_run(struct lift_env *e, uint64_t stop)
{
    unsigned exit_index;

    uint64_t start = e->c->rip;

    for (e->blocks = 0; e->c->rip != stop; e->blocks++) {
        if (e->blocks == 10000)
            abort();
        if (e->step && e->c->rip != start)
            e->opt.max_insns = 1;       /* left in the middle: do not run past the end */
        /* What shared probes cannot do is done by an instruction alone, as the run loop does it. */
        e->extra_mode = e->blocks && e->why == WHY_SLOW ? M_ONE | M_NOSHARE : 0;
        if (!env_lift(e))
            return true;
        e->why = interp_run(e->c, &e->b, &exit_index);
        if (e->why == WHY_FAULT)
            return true;
    }
    return false;
}

bool env_exec(struct lift_env *e, const void *bytes, unsigned len, unsigned insns)
{
    unsigned max = e->opt.max_insns;
    bool r;

    env_code(e, bytes, len);
    e->opt.max_insns = insns;
    e->step = true;
    r = env_run(e, e->c->rip + len);
    e->opt.max_insns = max;
    e->step = false;
    return r;
}

unsigned env_count(const struct lift_env *e, enum ir_op op)
{
    unsigned n = 0;

    for (unsigned k = 0; k < e->b.n; k++)
        n += e->b.ins[k].op == op;
    return n;
}
