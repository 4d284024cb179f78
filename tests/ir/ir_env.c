/*
 * ir_env.c - see ir_env.h.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ir/ir_env.h"

static const char *const reg_names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

void ir_env_init(struct ir_env *e)
{
    struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    memset(e, 0, sizeof *e);
    memset(c, 0, sizeof *c);
    ir_init(&e->b);
    e->c = c;
    e->m.phys = phys_new(NULL);
    e->ram = phys_ram_alloc(e->m.phys, ENV_RAM);
    for (uint32_t pa = 0; pa < ENV_RAM; pa += PAGE_SIZE)
        phys_map_ram(e->m.phys, pa, PAGE_SIZE, e->ram + (pa ^ PAGE_SIZE), false, "ram");
    c->m = &e->m;
    pthread_mutex_init(&e->m.lock, NULL);
    c->mode = M_CODE64 | M_PE | M_LMA | M_FLAT_CS | M_FLAT_DS | MMU_KERNEL_NOSMAP << M_MMU_SHIFT;
    c->a20 = 1;
    for (unsigned s = 0; s <= SEG_GS; s++)
        c->seg[s] = (struct seg) { .attr = 0x93, .limit = 0xffff, .fast_r = 0x10000, .fast_w = 0x10000 };
    mmu_init(c);
    phys_set_a20(e->m.phys, true);
}

void ir_env_free(struct ir_env *e)
{
    mmu_free(e->c);
    phys_free(e->m.phys);
    ir_free(&e->b);
    free(e->c);
}

void ir_env_reset(struct ir_env *e)
{
    memset(e->c->r, 0, sizeof e->c->r);
    memset(e->c->x, 0, sizeof e->c->x);
    e->c->flags = 0;
    e->c->attn = 0;
    e->c->rip = 0;
    e->c->pc_page = 0x400000;
    for (unsigned k = 0; k < ENV_RAM; k++)
        e->ram[k] = (uint8_t)(k * 7);
}

static uint32_t flag_bit(char ch)
{
    static const struct { char ch; uint32_t bit; } t[] = { { 'O', FL_OF }, { 'S', FL_SF }, { 'Z', FL_ZF },
                                                           { 'A', FL_AF }, { 'P', FL_PF }, { 'C', FL_CF } };
    for (unsigned k = 0; k < 6; k++)
        if (t[k].ch == ch)
            return t[k].bit;
    return 0;
}

static const char *const why_names[] = { [WHY_NEXT] = "next", [WHY_FAULT] = "fault", [WHY_SLOW] = "slow",
                                         [WHY_ATTN] = "attn" };

/* One name=value: set it, or compare. */
static bool item(struct ir_env *e, const char *name, const char *val, bool set, enum exec_why why)
{
    struct cpu *c = e->c;
    uint64_t v = strtoull(val, NULL, 0), high = 0;
    unsigned size, n;
    char *colon = strchr(val, ':');
    if (colon) {
        high = v;
        v = strtoull(colon + 1, NULL, 0);
    }
    for (unsigned k = 0; k < 16; k++)
        if (strcmp(name, reg_names[k]) == 0) {
            if (set)
                c->r[k] = v;
            return c->r[k] == v;
        }
    if (sscanf(name, "xmm%u", &n) == 1) {
        if (set)
            c->x[n] = (union vreg) { .q = { v, high } };
        return c->x[n].q[0] == v && c->x[n].q[1] == high;
    }
    if (sscanf(name, "m%u[%i]", &size, (int *)&n) == 2) {
        uint64_t got = 0;
        if (set)
            memcpy(e->ram + (n ^ PAGE_SIZE), &v, size);
        memcpy(&got, e->ram + (n ^ PAGE_SIZE), size);
        return got == v;
    }
    if (strcmp(name, "flags") == 0) {
        uint32_t f = 0;
        for (const char *p = val; *p; p++)
            f |= flag_bit(*p);
        if (set)
            c->flags = f;
        return c->flags == f;
    }
    if (strcmp(name, "attn") == 0) {
        c->attn = (uint32_t)v;
        return true;
    }
    if (strcmp(name, "pc") == 0)
        return c->rip == v;
    if (strcmp(name, "vector") == 0)
        return c->fault.vector == v;
    if (strcmp(name, "why") == 0)
        return strcmp(why_names[why], val) == 0;
    return false;
}

const char *ir_env_run(struct ir_env *e, const char *line)
{
    static char msg[512];
    bool set = true;
    enum exec_why why = WHY_NEXT;
    unsigned exit_index;
    ir_env_reset(e);
    for (const char *p = line; *p && *p != '\n';) {
        char name[64], val[64];
        unsigned n = 0;
        while (*p == ' ')
            p++;
        if (p[0] == '-' && p[1] == '>') {
            why = interp_run(e->c, &e->b, &exit_index);
            set = false;
            p += 2;
            continue;
        }
        while (*p && *p != '=' && *p != '\n' && n < sizeof name - 1)
            name[n++] = *p++;
        name[n] = 0;
        if (*p != '=')
            break;
        p++;
        for (n = 0; *p && !isspace((unsigned char)*p) && n < sizeof val - 1;)
            val[n++] = *p++;
        val[n] = 0;
        if (!item(e, name, val, set, why)) {
            snprintf(msg, sizeof msg, "%s is not %s (pc %" PRIx64 " why %s rax %" PRIx64 " rcx %" PRIx64
                     " rdx %" PRIx64 " rsp %" PRIx64 " flags %x): %.*s", name, val, e->c->rip, why_names[why],
                     e->c->r[0], e->c->r[1], e->c->r[2], e->c->r[4], (unsigned)e->c->flags,
                     (int)strcspn(line, "\n"), line);
            return msg;
        }
    }
    return set ? "no -> in the line" : NULL;
}
