/*
 * gdb_monitor.c - `monitor` of the debugger: commands of our own, with words for people.
 */
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "debug/gdb_priv.h"
#include "debug/hmp.h"
#include "frontend/fault_story.h"
#include "frontend/help_sys.h"
#include "softmmu/softmmu.h"

/* Names of vectors, as their mnemonics without the #. */
static const struct { const char *name; uint8_t vector; } vectors[] = {
    { "de", EXC_DE }, { "db", EXC_DB }, { "nmi", EXC_NMI }, { "bp", EXC_BP }, { "of", EXC_OF },
        { "br", EXC_BR },
    { "ud", EXC_UD }, { "nm", EXC_NM }, { "df", EXC_DF }, { "ts", EXC_TS }, { "np", EXC_NP },
        { "ss", EXC_SS },
    { "gp", EXC_GP }, { "pf", EXC_PF }, { "mf", EXC_MF }, { "ac", EXC_AC }, { "mc", EXC_MC },
        { "xm", EXC_XM },
};

const char *gdb_vector_name(unsigned vector)
{
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        if (vectors[i].vector == vector)
            return vectors[i].name;
    return NULL;
}

void gdb_tell_stop(struct gdb *g, struct cpu *c, FILE *f)
{
    const struct debug_stop *s = &g->cpu[c->index].stop;

    switch (s->event) {
    case DEBUG_FAULT:
        fault_story_now(c, f);
        break;
    case DEBUG_TRIPLE:
        fault_story(c, f);
        break;
    case DEBUG_INTERRUPT:
        fprintf(f, "CPU %u took vector %02x; this is its handler's first instruction.\n", c->index,
                s->number);
        break;
    case DEBUG_RESET:
        fprintf(f, "The machine was reset.\n");
        break;
    case DEBUG_MSR:
        fprintf(f, "CPU %u is about to %s MSR %x.\n", c->index, s->write ? "write" : "read", s->number);
        break;
    case DEBUG_IO:
        fprintf(f, "CPU %u is about to %s port %x.\n", c->index, s->write ? "write to" : "read", s->number);
        break;
    case DEBUG_NONE: case DEBUG_BREAK: case DEBUG_STEP: case DEBUG_WATCH:
        break;
    }
}

/* ---- catch ---- */

static void show_ranges(FILE *f, const char *what, const struct debug_range *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (r[i].first == 0 && r[i].last == UINT32_MAX)
            fprintf(f, "  %s\n", what);
        else if (r[i].first == r[i].last)
            fprintf(f, "  %s %x\n", what, r[i].first);
        else
            fprintf(f, "  %s %x-%x\n", what, r[i].first, r[i].last);
    }
}

static void show_caught(const struct gdb *g, FILE *f)
{
    const struct debug_points *p = &g->points;
    bool any = p->catch.triple || p->catch.reset || p->catch.nmsr || p->catch.nio;

    for (unsigned v = 0; v < 256; v++) {
        if (!(p->catch.vector[v / 64] >> v % 64 & 1))
            continue;
        any = true;
        if (gdb_vector_name(v))
            fprintf(f, "  %s\n", gdb_vector_name(v));
        else
            fprintf(f, "  %02x\n", v);
    }
    if (p->catch.triple)
        fprintf(f, "  triple\n");
    if (p->catch.reset)
        fprintf(f, "  reset\n");
    show_ranges(f, "msr", p->catch.msr, p->catch.nmsr);
    show_ranges(f, "io", p->catch.io, p->catch.nio);
    if (!any)
        fprintf(f, "  nothing\n");
}

/* Hexadecimal, with or without 0x; the whole word. */
static bool hex(const char *s, uint64_t max, uint64_t *v)
{
    char *end;

    if (!s || !*s || *s == '-' || *s == '+')
        return false;
    *v = strtoull(s, &end, 16);
    return !*end && *v <= max;
}

/* N or N-M; NULL: all. */
static bool range(const char *s, uint32_t max, struct debug_range *r)
{
    char text[64], *dash;
    uint64_t a, b;

    *r = (struct debug_range){ 0, UINT32_MAX };
    if (!s)
        return true;
    if (snprintf(text, sizeof(text), "%s", s) >= (int)sizeof(text))
        return false;
    dash = strchr(text, '-');
    if (dash)
        *dash = 0;
    if (!hex(text, max, &a) || !hex(dash ? dash + 1 : text, max, &b) || b < a)
        return false;
    *r = (struct debug_range){ (uint32_t)a, (uint32_t)b };
    return true;
}

static void change_range(struct debug_range *list, unsigned *n, const struct debug_range *r, bool on, FILE *f)
{
    unsigned k = 0;

    for (unsigned i = 0; i < *n; i++)           /* without those that r contains */
        if (list[i].first < r->first || list[i].last > r->last)
            list[k++] = list[i];
    *n = k;
    if (!on)
        return;
    if (*n == DEBUG_RANGES)
        fprintf(f, "No more than %u ranges: take one away first.\n", DEBUG_RANGES);
    else
        list[(*n)++] = *r;
}

static void mon_catch(struct gdb *g, char **arg, FILE *f, bool on)
{
    struct debug_points *p = &g->points;
    bool io = arg[0] && strcasecmp(arg[0], "io") == 0, msr = arg[0] && strcasecmp(arg[0], "msr") == 0;
    struct debug_range r;
    uint64_t v = 256;

    if (arg[0] && arg[1 + (io || msr)]) {
        fprintf(f, "One thing at a time: '%s' is too much.\n", arg[1 + (io || msr)]);
        return;
    }
    if (!arg[0]) {
        if (!on)
            memset(&p->catch, 0, sizeof(p->catch));
        fprintf(f, "Caught:\n");
        show_caught(g, f);
        return;
    }
    if (strcasecmp(arg[0], "triple") == 0) {
        p->catch.triple = on;
        return;
    }
    if (strcasecmp(arg[0], "reset") == 0) {
        p->catch.reset = on;
        return;
    }
    if (io || msr) {
        if (!range(arg[1], io ? 0xffff : UINT32_MAX, &r))
            fprintf(f, "'%s' is no %s: use a hexadecimal number, or two with - between.\n", arg[1], io ?
                    "port" : "MSR");
        else if (io)
            change_range(p->catch.io, &p->catch.nio, &r, on, f);
        else
            change_range(p->catch.msr, &p->catch.nmsr, &r, on, f);
        return;
    }
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        if (strcasecmp(arg[0] + (arg[0][0] == '#'), vectors[i].name) == 0)
            v = vectors[i].vector;
    if (v == 256 && !hex(arg[0], 255, &v)) {
        fprintf(f, "'%s' is nothing that can be caught: use pf, gp, df or another exception, a vector's "
            "hexadecimal "
                "number, triple, reset, msr [N[-M]] or io [N[-M]].\n", arg[0]);
        return;
    }
    if (on)
        p->catch.vector[v / 64] |= (uint64_t)1 << v % 64;
    else
        p->catch.vector[v / 64] &= ~((uint64_t)1 << v % 64);
}

static void cmd_catch(struct gdb *g, char **arg, FILE *f)
{
    mon_catch(g, arg, f, true);
}

static void cmd_nocatch(struct gdb *g, char **arg, FILE *f)
{
    mon_catch(g, arg, f, false);
}

/* ---- the others ---- */

static void cmd_realmode(struct gdb *g, char **arg, FILE *f)
{
    if (arg[0] && strcmp(arg[0], "on") && strcmp(arg[0], "off")) {
        fprintf(f, "Use: realmode on, realmode off\n");
        return;
    }
    if (arg[0])
        g->real_linear = strcmp(arg[0], "on") == 0;
    fprintf(f, "In real and virtual-8086 mode the registers rip and rsp are shown %s.\n", g->real_linear ?
            "as linear addresses (CS base + IP, SS base + SP)" : "as they are (offsets in CS and SS)");
}

static void cmd_sstep(struct gdb *g, char **arg, FILE *f)
{
    static const struct { const char *name, *what; unsigned bit; } rows[] = {
        { "irq", "interrupts are taken while stepping", SSTEP_NOIRQ },
        { "timer", "time passes while stepping", SSTEP_NOTIMER },
    };

    if (arg[0]) {
        unsigned i = strcmp(arg[0], rows[0].name) != 0;
        bool on = arg[1] && strcmp(arg[1], "on") == 0;

        if (strcmp(arg[0], rows[i].name) || !arg[1] || (!on && strcmp(arg[1], "off"))) {
            fprintf(f, "Use: sstep irq on, sstep irq off, sstep timer on, sstep timer off\n");
            return;
        }
        g->sstep = on ? g->sstep & ~rows[i].bit : g->sstep | rows[i].bit;
    }
    for (unsigned i = 0; i < 2; i++)
        fprintf(f, "sstep %-5s %-3s (%s)\n", rows[i].name, g->sstep & rows[i].bit ? "off" : "on",
                rows[i].what);
}

static void cmd_reset(struct gdb *g, char **arg, FILE *f)
{
    (void)arg;
    machine_request_stop(g->m, STOP_RESET, 0);
    control_stop(g->m->control, RUN_DEBUG);
    if (f && g->m->cfg.no_reboot)
        fprintf(f, "With -no-reboot this ends the machine.\n");
    else if (f)
        fprintf(f, "The machine was reset.\n");
}

static void cmd_why(struct gdb *g, char **arg, FILE *f)
{
    (void)arg;
    fprintf(f, "The machine is in state %s.\n", control_state_name(control_state(g->m->control)));
    for (unsigned i = 0; i < g->m->ncpu; i++) {
        static const char *const text[] = { [DEBUG_BREAK] = "stands before an instruction with a breakpoint",
                                            [DEBUG_STEP] = "has stepped",
                                                [DEBUG_WATCH] = "accessed what is watched" };
        const struct debug_stop *s = &g->cpu[i].stop;

        if (s->event && s->event <= DEBUG_WATCH)
            fprintf(f, "CPU %u %s.\n", i, text[s->event]);
        if (s->event == DEBUG_WATCH)
            fprintf(f, "  at %llx\n", (unsigned long long)s->lin);
        gdb_tell_stop(g, g->m->cpu[i], f);
        if (!s->event)
            fault_story_last(g->m->cpu[i], f);
        if (g->m->cpu[i]->halted)
            fprintf(f, "CPU %u waits for an interrupt%s.\n", i, g->m->cpu[i]->eflags & FL_IF ? "" :
                    ", and IF is 0: only an NMI, SMI or reset ends that");
    }
}

/* Code as the vCPU's mode has it, whatever the debugger takes it for. */
static void cmd_dis(struct gdb *g, char **arg, FILE *f)
{
    struct cpu *c = g->m->cpu[g->cpu_g];
    uint32_t code = c->mode & M_CODE;
    uint64_t base = cpu_64(c) ? 0 : c->seg[SEG_CS].base, at = c->rip, n = 10;
    cs_insn *in;
    csh h;

    if ((arg[0] && !hex(arg[0], UINT64_MAX, &at)) || (arg[0] && arg[1] && (!hex(arg[1], 0x200, &n)))) {
        fprintf(f, "Use: dis [OFFSET-IN-CS [COUNT]], hexadecimal\n");
        return;
    }
    if (cs_open(CS_ARCH_X86, code == M_CODE64 ? CS_MODE_64 : code == M_CODE32 ? CS_MODE_32 : CS_MODE_16,
                &h) != CS_ERR_OK)
        return;
    in = cs_malloc(h);
    for (; n; n--) {
        uint8_t b[15];
        uint64_t lin = cpu_64(c) ? at : (uint32_t)(base + at), where = at;
        const uint8_t *p = b;
        size_t len;

        if (code != M_CODE64 && at > c->seg[SEG_CS].limit)
            break;
        len = gdb_memory(g, c, lin, b, sizeof(b), false);
        fprintf(f, "%s %04x:%0*llx", at == c->rip ? "=>" : "  ", c->seg[SEG_CS].sel, code == M_CODE64 ? 16 :
                code == M_CODE32 ? 8 : 4, (unsigned long long)at);
        if (!in || !cs_disasm_iter(h, &p, &len, &where, in)) {
            fprintf(f, "  %s\n", len ? "(not an instruction)" : "(cannot be read)");
            break;
        }
        fprintf(f, "  %s %s\n", in->mnemonic, in->op_str);
        at += in->size;
    }
    if (in)
        cs_free(in, 1);
    cs_close(&h);
}

static void cmd_walk(struct gdb *g, char **arg, FILE *f)
{
    char text[1024];
    uint64_t lin;

    if (!hex(arg[0], UINT64_MAX, &lin)) {
        fprintf(f, "Use: walk LINEAR-ADDRESS, hexadecimal\n");
        return;
    }
    mmu_explain(g->m->cpu[g->cpu_g], lin, text, sizeof(text));
    fprintf(f, "%s", text);
}

static void cmd_help(struct gdb *g, char **arg, FILE *f);
static void to_file(void *f, const char *s, size_t n);

static const struct command {
    const char *name, *args, *what;
    void (*run)(struct gdb *, char **arg, FILE *f);
} commands[] = {
    { "help", "", "this list", cmd_help },
    { "catch", "[pf|gp|df|...|VECTOR|triple|reset|msr [N[-M]]|io [N[-M]]]",
      "stop there; exceptions before they are delivered; alone: what is caught", cmd_catch },
    { "nocatch", "[the same]", "do not; alone: nothing at all", cmd_nocatch },
    { "why", "", "why the machine stands still, with an exception's story", cmd_why },
    { "dis", "[OFFSET [COUNT]]", "code at CS:RIP or CS:OFFSET as the processor's mode has it (16, 32, 64 "
        "bits)", cmd_dis },
    { "walk", "ADDRESS", "the page walk of a linear address", cmd_walk },
    { "realmode", "[on|off]", "show rip and rsp as linear addresses in real mode, so that x/i $pc, "
        "backtraces and "
      "breakpoints agree", cmd_realmode },
    { "sstep", "[irq|timer on|off]", "whether single steps take interrupts and let time pass", cmd_sstep },
    { "reset", "", "reset the machine; it stands at the reset vector", cmd_reset },
};

static void cmd_help(struct gdb *g, char **arg, FILE *f)
{
    if (arg[0]) {
        char line[256];

        snprintf(line, sizeof(line), "help %s", arg[0]);
        hmp_run_on(g->m, g->cpu_g, line, &(struct text){ to_file, f });
        return;
    }
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(f, "%s%s%s\n    %s\n", commands[i].name, commands[i].args[0] ? " " : "", commands[i].args,
                commands[i].what);
    fprintf(f, "Numbers of these are hexadecimal. The monitor's commands are there, too (docs/monitor.md): help COMMAND, "
            "help info.\n");
}

static void to_file(void *f, const char *s, size_t n)
{
    fwrite(s, 1, n, f);
}

void gdb_monitor(struct gdb *g, const char *line, FILE *f)
{
    char text[1024], *arg[5] = { NULL }, *rest;
    unsigned n = 0;

    snprintf(text, sizeof(text), "%s", line);
    for (char *w = strtok_r(text, " \t\r\n", &rest); w && n < 4; w = strtok_r(NULL, " \t\r\n", &rest))
        arg[n++] = w;
    if (!n)
        return;
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(arg[0], commands[i].name) == 0) {
            commands[i].run(g, arg + 1, f);
            return;
        }
    hmp_run_on(g->m, g->cpu_g, line, &(struct text){ to_file, f });
}
