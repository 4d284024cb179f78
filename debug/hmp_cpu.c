/*
 * hmp_cpu.c - processors and their page tables, as the human monitor shows them.
 */
#include "debug/hmp_int.h"

#include "debug/control.h"
#include "frontend/debug.h"
#include "frontend/fault_story.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "translator/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES 65536u           /* that a listing looks at */

static bool no_cpu(struct hmp *h)
{
    if (!h->c)
        hmp_fail(h, "there is no processor");
    return !h->c;
}

void hmp_cpu(struct hmp *h)
{
    if (h->arg[0].n >= h->m->ncpu)
        hmp_fail(h, "there is no processor %" PRIu64 ": they are numbered from 0 to %u", h->arg[0].n,
                 h->m->ncpu ? h->m->ncpu - 1 : 0);
    else
        h->m->monitor_cpu = (unsigned)h->arg[0].n;
}

static const char *mode_name(const struct cpu *c)
{
    return c->smm  ? "system management" :
        !cpu_pe(c) ? "real" :
        cpu_vm(c)  ? "virtual-8086" :
        cpu_64(c)  ? "64-bit" :
        cpu_lma(c) ? "compatibility" :
                     "protected";
}

static const char *doing(const struct cpu *c)
{
    static const char *const halts[] = { [HALT_NONE] = "runs",
                                         [HALT_HLT] = "halted",
                                         [HALT_MWAIT] = "waits (MWAIT)",
                                         [HALT_FREEZE] = "waits for an interrupt before an x87 instruction" };

    return c->stopped ? "waits for its start-up IPI" : halts[c->halted < 4 ? c->halted : 0];
}

void info_cpus(struct hmp *h)
{
    char label[SYMBOL_NAME];

    for (unsigned i = 0; i < h->m->ncpu; i++) {
        struct cpu *c = h->m->cpu[i];

        hmp_say(h, "%c CPU #%u: pc=0x%016" PRIx64 " %s mode, CPL %u, %s%s\n", c == h->c ? '*' : ' ', i,
                cpu_code_lin(c, c->rip), mode_name(c), c->cpl, doing(c),
                symbols_label(h->m->symbols, c, cpu_code_lin(c, c->rip), label, sizeof(label)));
    }
}

/* ---- registers ---- */

static void general(struct hmp *h, struct cpu *c)
{
    static const char *const names64[] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                           "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15" };
    static const uint8_t order[] = { R_AX, R_BX, R_CX, R_DX, R_SI, R_DI, R_BP, R_SP };
    static const struct { uint32_t bit; char letter;
    } flags[] = { { FL_DF, 'D' }, { FL_OF, 'O' }, { FL_SF, 'S' }, { FL_ZF, 'Z' },
                  { FL_AF, 'A' }, { FL_PF, 'P' }, { FL_CF, 'C' } };
    bool wide = cpu_lma(c);
    uint32_t fl = cpu_eflags(c);
    char text[8], label[SYMBOL_NAME];

    for (unsigned i = 0; i < (wide ? 16 : 8); i++) {
        unsigned n = i < 8 ? order[i] : i;

        if (wide)
            hmp_say(h, "%s=%016" PRIx64 "%c", names64[n], c->r[n], i % 4 == 3 ? '\n' : ' ');
        else
            hmp_say(h, "E%s=%08x%c", names64[n] + 1, (uint32_t)c->r[n], i % 4 == 3 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < 7; i++)
        text[i] = fl & flags[i].bit ? flags[i].letter : '-';
    text[7] = 0;
    hmp_say(h, wide ? "RIP=%016" PRIx64 : "EIP=%08" PRIx64, wide ? c->rip : (uint32_t)c->rip);
    hmp_say(h, wide ? " RFL=%08x" : " EFL=%08x", fl);
    hmp_say(h, " [%s] CPL=%u II=%u A20=%u SMM=%u HLT=%u%s\n", text, c->cpl, c->inhibit ? 1 : 0, c->a20, c->smm,
            c->halted ? 1 : 0, symbols_label(h->m->symbols, c, cpu_code_lin(c, c->rip), label, sizeof(label)));
}

static void segments(struct hmp *h, const struct cpu *c)
{
    static const char *const names[SEG_COUNT] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR" };
    int w = cpu_lma(c) ? 16 : 8;

    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct seg *s = &c->seg[i];

        hmp_say(h, "%-3s=%04x %0*" PRIx64 " %08x %04x DPL=%u %s%s%s%s\n", names[i], s->sel, w, s->base,
                s->limit, s->attr, (s->attr & SEG_DPL) >> 5,
                !(s->attr & SEG_P)     ? "not present" :
                    !(s->attr & SEG_S) ? "system" :
                    s->attr & 8        ? "code" :
                                         "data",
                s->attr & SEG_S ? s->attr & 2 ? s->attr & 8 ? " readable" : " writable" : "" : "",
                s->attr & SEG_L      ? " 64-bit" :
                    s->attr & SEG_DB ? " 32-bit" :
                                       "",
                s->attr & SEG_G ? " pages" : "");
    }
    hmp_say(h, "GDT=     %0*" PRIx64 " %08x\n", w, c->gdt.base, c->gdt.limit);
    hmp_say(h, "IDT=     %0*" PRIx64 " %08x\n", w, c->idt.base, c->idt.limit);
}

static void vectors(struct hmp *h, const struct cpu *c)
{
    hmp_say(h, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", c->fpu.cw, c->fpu.sw, c->fpu.sw >> 11 & 7,
            c->fpu.tag & 0xff, c->mxcsr);
    for (unsigned i = 0; i < 8; i++)
        hmp_say(h, "FPR%u=%016" PRIx64 " %04x%c", i, c->fpu.r[i].sig, c->fpu.r[i].se, i % 2 ? '\n' : ' ');
    for (unsigned i = 0; i < (cpu_lma(c) ? 16 : 8); i++)
        hmp_say(h, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i, c->x[i].q[1], c->x[i].q[0],
                i % 2 ? '\n' : ' ');
}

static void show(struct hmp *h, struct cpu *c)
{
    bool wide = cpu_lma(c);

    hmp_say(h, "CPU#%u (%s mode)\n", c->index, mode_name(c));
    general(h, c);
    segments(h, c);
    hmp_say(h, "CR0=%08x CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08x CR8=%x\n", (uint32_t)c->cr0,
            wide ? 16 : 8, c->cr2, wide ? 16 : 8, c->cr3, (uint32_t)c->cr4, (unsigned)c->cr8);
    hmp_say(h,
            "DR0=%016" PRIx64 " DR1=%016" PRIx64 " DR2=%016" PRIx64 " DR3=%016" PRIx64 "\nDR6=%016" PRIx64
            " DR7=%016" PRIx64 "\n",
            c->dr[0], c->dr[1], c->dr[2], c->dr[3], c->dr[6], c->dr[7]);
    hmp_say(h, "EFER=%016" PRIx64 "\n", c->efer);
    vectors(h, c);
}

void info_registers(struct hmp *h)
{
    if (no_cpu(h))
        return;
    if (!hmp_flag(h, 'a')) {
        show(h, h->c);
        return;
    }
    for (unsigned i = 0; i < h->m->ncpu; i++) {
        if (i)
            hmp_say(h, "\n");
        show(h, h->m->cpu[i]);
    }
}

/* ---- symbols ---- */

void info_symbol(struct hmp *h)
{
    struct symbol_at at;
    uint64_t addr = h->arg[0].n;

    if (!symbols_lookup(h->m->symbols, h->c, addr, &at))
        hmp_fail(h, "no symbol is at 0x%" PRIx64 ": 'info symbols' shows where symbols are from", addr);
    else if (addr == at.start)
        hmp_say(h, "%s in %s, %" PRIu64 " bytes\n", at.name, at.table, at.size);
    else
        hmp_say(h, "%s+0x%" PRIx64 " in %s, of %" PRIu64 " bytes\n", at.name, addr - at.start, at.table, at.size);
}

void info_address(struct hmp *h)
{
    uint64_t addr;

    if (symbols_find(h->m->symbols, h->c, h->arg[0].s, &addr))
        hmp_say(h, "%s is at 0x%" PRIx64 "\n", h->arg[0].s, addr);
    else
        hmp_fail(h, "there is no symbol '%.200s': 'info symbols' shows where symbols are from", h->arg[0].s);
}

static void say_line(void *arg, const char *line)
{
    struct hmp *h = arg;

    hmp_say(h, "%s\n", line);
}

void info_symbols(struct hmp *h)
{
    struct symbol_at at;

    symbols_lookup(h->m->symbols, h->c, 0, &at);        /* brings them up to date */
    symbols_list(h->m->symbols, say_line, h);
}

/* ---- page tables ---- */

static void end_listing(struct hmp *h, enum mmu_listing how)
{
    if (how == MMU_LIST_NO_PAGING)
        hmp_say(h, "paging is off\n");
    else if (how == MMU_LIST_CUT)
        hmp_say(h, "(more than %u tables: the rest is left out)\n", TABLES);
}

static bool tlb_line(void *arg, const struct mmu_page *p)
{
    struct hmp *h = arg;
    char bits[10] = "---------";

    /* As they stand in the entry, from bit 63 and 8 down; rights are those of all levels. */
    if (!p->exec)
        bits[0] = 'X';
    if (p->entry & 0x100)
        bits[1] = 'G';
    if (p->shift > PAGE_BITS)
        bits[2] = 'P';
    if (p->entry & 0x40)
        bits[3] = 'D';
    if (p->entry & 0x20)
        bits[4] = 'A';
    if (p->entry & 0x10)
        bits[5] = 'C';
    if (p->entry & 0x08)
        bits[6] = 'T';
    if (p->user)
        bits[7] = 'U';
    if (p->writable)
        bits[8] = 'W';
    hmp_say(h, "%016" PRIx64 ": %016" PRIx64 " %s\n", p->lin, p->pa, bits);
    return true;
}

void info_tlb(struct hmp *h)
{
    if (!no_cpu(h))
        end_listing(h, mmu_list(h->c, TABLES, tlb_line, h));
}

struct range {
    struct hmp *h;
    uint64_t from, to;          /* to: its last byte */
    bool user, writable, exec, any;
};

static void end_range(struct range *r)
{
    if (r->any)
        hmp_say(r->h, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %c%c%c%c\n", r->from, r->to + 1,
                r->to - r->from + 1, r->user ? 'u' : '-', 'r', r->writable ? 'w' : '-', r->exec ? 'x' : '-');
}

static bool mem_page(void *arg, const struct mmu_page *p)
{
    struct range *r = arg;
    uint64_t last = p->lin + (((uint64_t)1 << p->shift) - 1);

    if (r->any && p->lin == r->to + 1 && r->user == p->user && r->writable == p->writable &&
        r->exec == p->exec) {
        r->to = last;
        return true;
    }
    end_range(r);
    *r = (struct range){ r->h, p->lin, last, p->user, p->writable, p->exec, true };
    return true;
}

void info_mem(struct hmp *h)
{
    struct range r = { .h = h };
    enum mmu_listing how;

    if (no_cpu(h))
        return;
    how = mmu_list(h->c, TABLES, mem_page, &r);
    end_range(&r);
    end_listing(h, how);
}

void hmp_gva2gpa(struct hmp *h)
{
    char walk[1024];

    if (no_cpu(h))
        return;
    mmu_explain(h->c, h->arg[0].n, walk, sizeof(walk));
    hmp_say(h, "%s", walk);
}

/* ---- the story of a fault ---- */

void hmp_why(struct hmp *h)
{
    enum debug_event event = DEBUG_NONE;
    char *text = NULL;
    size_t len = 0;
    FILE *f;

    if (no_cpu(h))
        return;
    if (h->c->debug)
        event = h->c->debug->stop.event;
    f = open_memstream(&text, &len);
    if (!f) {
        hmp_fail(h, "out of memory");
        return;
    }
    if (h->m->stop == STOP_TRIPLE || event == DEBUG_TRIPLE)
        fault_story(h->c, f);
    else if (event == DEBUG_FAULT)
        fault_story_now(h->c, f);
    else
        fault_story_last(h->c, f);
    fclose(f);
    h->out->put(h->out->arg, text, len);
    free(text);
}

/* ---- the translator ---- */

void info_jit(struct hmp *h)
{
    for (unsigned i = 0; i < h->m->ncpu; i++) {
        struct cpu *c = h->m->cpu[i];
        const struct exec_stats *t = exec_stats(c);
        const struct mmu_stats *u = mmu_stats(c);

#define LINE(text, value) hmp_say(h, "  %-44s %12" PRIu64 "\n", text, (uint64_t)(value))
        hmp_say(h, "CPU #%u\n", i);
        LINE("blocks translated", t->blocks);
        LINE("guest instructions in them", t->insns);
        LINE("host bytes in them", t->host_bytes);
        LINE("blocks put together from stencils", t->copied);
        LINE("guest instructions in those", t->copied_insns);
        LINE("stencils, and forms of instructions", t->stencils);
        LINE("blocks invalidated", t->invalidated);
        LINE("regions of code memory reused", t->flushes);
        LINE("blocks looked up", t->lookups);
        LINE("blocks linked", t->links);
        LINE("instructions run alone", t->slow);
        LINE("blocks compared in lock-step", t->checked);
        LINE("TLB: misses filled", u->fills);
        LINE("TLB: page walks", u->walks);
        LINE("TLB: flushes", u->flushes);
        LINE("TLB: accesses to devices, code pages and the like", u->specials);
#undef LINE
        if (t->code_mem)
            hmp_say(h, "  code memory: %s\n", t->code_mem);
    }
}
