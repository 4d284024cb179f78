/*
 * gdb_cmd.c - the debugger's packets (GDB manual, appendix E).
 *
 * A packet is answered with what it asks for, "OK", "Enn", or nothing where the request is not known. Packets
 * that let the guest run are answered when it stops: g->waiting. All numbers in packets are checked where
 * they are used; one that is malformed is an error, and changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "debug/gdb_priv.h"
#include "frontend/help_sys.h"
#include "hw/clock.h"
#include "softmmu/softmmu.h"

/* What is left of the packet. */
struct in {
    const uint8_t *p, *end;
};

static int peek(const struct in *i)
{
    return i->p < i->end ? *i->p : -1;
}

static bool take(struct in *i, char c)
{
    if (peek(i) != (uint8_t)c)
        return false;
    i->p++;
    return true;
}

static bool word(struct in *i, const char *w)
{
    size_t n = strlen(w);

    if ((size_t)(i->end - i->p) < n || memcmp(i->p, w, n))
        return false;
    i->p += n;
    return true;
}

static int digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
           c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* At least one digit, at most 64 bits. */
static bool number(struct in *i, uint64_t *v)
{
    unsigned n = 0;

    for (*v = 0; digit(peek(i)) >= 0; n++, i->p++) {
        if (*v >> 60)
            return false;
        *v = *v << 4 | (unsigned)digit(*i->p);
    }
    return n != 0;
}

static bool two_digits(struct in *i, uint8_t *b)
{
    if (i->end - i->p < 2 || digit(i->p[0]) < 0 || digit(i->p[1]) < 0)
        return false;
    *b = (uint8_t)(digit(i->p[0]) << 4 | digit(i->p[1]));
    i->p += 2;
    return true;
}

static void ok(struct gdb *g)
{
    text_add(&g->reply, "OK");
}

static void error(struct gdb *g, int e)
{
    text_add(&g->reply, "E%02x", e);
}

static void answer(struct gdb *g, int e)
{
    if (e)
        error(g, e);
    else
        ok(g);
}

/* ---- stopping ---- */

static int signal_of(unsigned vector)
{
    switch (vector) {
    case EXC_DE: case EXC_MF: case EXC_XM: case EXC_OF:
        return SIG_FPE;
    case EXC_UD: case EXC_NM:
        return SIG_ILL;
    case EXC_AC:
        return SIG_BUS;
    case EXC_TS: case EXC_NP: case EXC_SS: case EXC_GP: case EXC_PF: case EXC_DF: case EXC_BR:
        return SIG_SEGV;
    default:
        return SIG_TRAP;
    }
}

static void stop_reply(struct gdb *g)
{
    const struct debug_stop *s = NULL;
    unsigned cpu = g->cpu_g;
    int sig = g->interrupted || control_state(g->m->control) == RUN_PAUSED ? SIG_INT : SIG_TRAP;
    uint64_t lin;

    for (unsigned i = g->m->ncpu; i-- > 0;)
        if (g->cpu[i].stop.event) {
            s = &g->cpu[i].stop;
            cpu = i;
        }
    if (s)
        sig = s->event == DEBUG_FAULT ? signal_of(s->number) : s->event == DEBUG_TRIPLE ? SIG_SEGV : SIG_TRAP;
    text_add(&g->reply, "T%02xthread:%x;", sig, cpu + 1);
    if (!s)
        return;
    lin = g->m->cpu[cpu]->seg[SEG_CS].base * !cpu_64(g->m->cpu[cpu]) + s->rip;
    if (s->event == DEBUG_WATCH)
        text_add(&g->reply, "%swatch:%llx;", s->on_read && s->on_write ? "a" : s->on_read ? "r" : "",
                 (unsigned long long)s->lin);
    if (s->event == DEBUG_BREAK && g->hwbreak && gdb_point_at(g, POINT_HW, lin) &&
        !gdb_point_at(g, POINT_SW, lin))
        text_add(&g->reply, "hwbreak:;");
    else if (s->event == DEBUG_BREAK && g->swbreak)
        text_add(&g->reply, "swbreak:;");
}

static void tell(struct gdb *g, struct cpu *c)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return;
    gdb_tell_stop(g, c, f);
    if (fclose(f) == 0 && len)
        gdb_console(g, text);
    free(text);
}

void gdb_stopped(struct gdb *g)
{
    if (g->clock_held)
        clock_hold(g->m->clock, g->clock_held = false);
    for (unsigned i = 0; i < g->m->ncpu; i++)
        g->cpu[i].go = DEBUG_RUN;
    if (!g->waiting)
        return;
    for (unsigned i = 0; i < g->m->ncpu; i++)
        if (g->cpu[i].stop.event) {
            g->cpu_g = g->cpu_c = i;
            tell(g, g->m->cpu[i]);
        }
    g->waiting = false;
    g->reply.n = 0;
    stop_reply(g);
    g->interrupted = false;
    gdb_send(g);
    g->reply.n = 0;
}

/* ---- going on ---- */

void gdb_going(struct gdb *g)
{
    gdb_points_apply(g);
    for (unsigned i = 0; i < g->m->ncpu; i++) {
        struct cpu_debug *d = &g->cpu[i];
        enum debug_event e = d->stop.event;

        /* What it stands on stopped it already. */
        d->alone = (e == DEBUG_BREAK || e == DEBUG_MSR || e == DEBUG_IO) && g->m->cpu[i]->rip == d->stop.rip;
        if (e == DEBUG_TRIPLE)
            machine_request_stop(g->m, STOP_TRIPLE, 0);
        d->stop.event = DEBUG_NONE;
    }
}

/* The vCPU's way: 'c' or 's', or steps in [from, to). */
static void set_way(struct gdb *g, unsigned cpu, char way, uint64_t from, uint64_t to)
{
    struct cpu_debug *d = &g->cpu[cpu];

    d->go = way == 'c' || way == 'C' ? DEBUG_RUN : DEBUG_STEPS;
    d->from = from;
    d->to = to;
    d->hold_interrupts = g->sstep & SSTEP_NOIRQ;
}

static void go(struct gdb *g)
{
    bool steps = false;

    for (unsigned i = 0; i < g->m->ncpu; i++)
        steps |= g->cpu[i].go == DEBUG_STEPS && !g->m->cpu[i]->halted;
    if (steps && (g->sstep & SSTEP_NOTIMER))
        clock_hold(g->m->clock, g->clock_held = true);
    g->waiting = true;
    g->reply.n = 0;
    gdb_cont(g);
}

/* "c", "s", "C sig", "S sig", with an optional address. */
static bool go_simple(struct gdb *g, char way, struct in *i)
{
    struct cpu *c = g->m->cpu[g->cpu_c];
    uint64_t sig, at;

    if ((way == 'C' || way == 'S') && !number(i, &sig))
        return false;
    if (peek(i) >= 0) {
        if (way == 'C' || way == 'S')
            take(i, ';');
        if (!number(i, &at) || (cpu_64(c) ? !canonical(at) : at >> 32))
            return false;
        c->rip = at;
    }
    for (unsigned n = 0; n < g->m->ncpu; n++)
        set_way(g, n, n == g->cpu_c ? way : 'c', 0, 0);
    go(g);
    return true;
}

/* Thread numbers are one more than vCPU numbers; 0 and -1: any, all. */
static bool thread(struct in *i, const struct gdb *g, int *cpu)
{
    uint64_t n;

    if (take(i, 'p')) {                 /* multiprocess: p1.N */
        if (!number(i, &n) || (take(i, '.') && peek(i) < 0))
            return false;
    }
    if (take(i, '-')) {
        *cpu = -1;
        return take(i, '1');
    }
    if (!number(i, &n) || n > g->m->ncpu)
        return false;
    *cpu = (int)n - 1;
    return true;
}

static bool vcont(struct gdb *g, struct in *i)
{
    struct { char way; uint64_t from, to; } what[64] = { { 0, 0, 0 } };
    unsigned ncpu = g->m->ncpu;

    while (take(i, ';')) {
        int way = peek(i), cpu = -1;
        uint64_t from = 0, to = 0, sig;

        if (way < 0 || !strchr("csCStr", way))
            return false;
        i->p++;
        if ((way == 'C' || way == 'S') && !number(i, &sig))
            return false;
        if (way == 'r' && (!number(i, &from) || !take(i, ',') || !number(i, &to)))
            return false;
        if (take(i, ':') && !thread(i, g, &cpu))
            return false;
        /* The leftmost action that fits counts. */
        for (unsigned n = 0; n < ncpu && n < 64; n++)
            if (!what[n].way && (cpu < 0 || (unsigned)cpu == n)) {
                what[n].way = (char)way;
                what[n].from = from;
                what[n].to = to;
            }
    }
    if (peek(i) >= 0 || !what[0].way)
        return false;
    for (unsigned n = 0; n < ncpu && n < 64; n++) {
        if (what[n].way == 't') {       /* it stands still already */
            stop_reply(g);
            return true;
        }
        set_way(g, n, what[n].way ? what[n].way : 'c', what[n].from, what[n].to);
    }
    go(g);
    return true;
}

/* ---- registers ---- */

static void read_all(struct gdb *g)
{
    uint8_t buf[16];

    for (unsigned n = 0; n < g->nreg; n++) {
        gdb_reg_read(g, g->m->cpu[g->cpu_g], &g->reg[n], buf);
        for (unsigned k = 0; k < g->reg[n].bytes; k++)
            text_byte(&g->reply, buf[k]);
    }
}

static bool get_bytes(struct in *i, uint8_t *buf, unsigned len)
{
    for (unsigned k = 0; k < len; k++)
        if (!two_digits(i, &buf[k]))
            return false;
    return true;
}

/* All or, where the packet ends early, the first ones. */
static void write_all(struct gdb *g, struct in *i)
{
    struct in first = *i;
    uint8_t buf[16];
    bool good = true;
    unsigned n = 0;

    for (; n < g->nreg && peek(&first) >= 0; n++)
        if (!get_bytes(&first, buf, g->reg[n].bytes)) {
            error(g, ERR_BAD);
            return;
        }
    if (peek(&first) >= 0) {
        error(g, ERR_BAD);
        return;
    }
    for (unsigned k = 0; k < n; k++) {
        get_bytes(i, buf, g->reg[k].bytes);
        good &= gdb_reg_write(g, g->m->cpu[g->cpu_g], &g->reg[k], buf);
    }
    answer(g, good ? ERR_NONE : ERR_BAD);
}

static void one_reg(struct gdb *g, struct in *i, bool write)
{
    struct cpu *c = g->m->cpu[g->cpu_g];
    uint8_t buf[16];
    uint64_t n;

    if (!number(i, &n) || n >= g->nreg || (write && (!take(i, '=') || !get_bytes(i, buf, g->reg[n].bytes))) ||
        peek(i) >= 0) {
        error(g, ERR_BAD);
    } else if (write) {
        answer(g, gdb_reg_write(g, c, &g->reg[n], buf) ? ERR_NONE : ERR_BAD);
    } else {
        gdb_reg_read(g, c, &g->reg[n], buf);
        for (unsigned k = 0; k < g->reg[n].bytes; k++)
            text_byte(&g->reply, buf[k]);
    }
}

/* ---- memory ---- */

static void read_memory(struct gdb *g, struct in *i)
{
    uint8_t buf[GDB_PACKET / 2];
    uint64_t addr, len;
    unsigned n;

    if (!number(i, &addr) || !take(i, ',') || !number(i, &len) || peek(i) >= 0) {
        error(g, ERR_BAD);
        return;
    }
    if (len > sizeof(buf))
        len = sizeof(buf);
    n = gdb_memory(g, g->m->cpu[g->cpu_g], addr, buf, (unsigned)len, false);
    if (!n && len)
        error(g, ERR_FAULT);
    for (unsigned k = 0; k < n; k++)
        text_byte(&g->reply, buf[k]);
}

static void write_memory(struct gdb *g, struct in *i, bool binary)
{
    uint8_t buf[GDB_PACKET];
    uint64_t addr, len;

    if (!number(i, &addr) || !take(i, ',') || !number(i, &len) || !take(i, ':') || len > sizeof(buf) ||
        (uint64_t)(i->end - i->p) != (binary ? len : 2 * len)) {
        error(g, ERR_BAD);
        return;
    }
    if (binary)
        memcpy(buf, i->p, len);
    else if (!get_bytes(i, buf, (unsigned)len)) {
        error(g, ERR_BAD);
        return;
    }
    answer(g, gdb_memory(g, g->m->cpu[g->cpu_g], addr, buf, (unsigned)len, true) == len ? ERR_NONE :
           ERR_FAULT);
}

static void point(struct gdb *g, struct in *i, bool insert)
{
    int kind = peek(i) - '0';
    uint64_t addr, len;

    if (kind < 0 || kind >= POINT_KINDS)
        return;                         /* not known */
    i->p++;
    /*
     * Conditions and commands (;X...) are the debugger's own business: it was not told that they are
     * understood.
     */
    if (!take(i, ',') || !number(i, &addr) || !take(i, ',') || !number(i, &len) || peek(i) >= 0) {
        error(g, ERR_BAD);
        return;
    }
    answer(g, insert ? gdb_point_add(g, (enum gdb_point_kind)kind, addr, len)
                     : gdb_point_remove(g, (enum gdb_point_kind)kind, addr, len));
}

/* ---- queries ---- */

/* offset,length of an object. */
static void transfer(struct gdb *g, struct in *i, const char *object, size_t size)
{
    uint64_t off, len;

    if (!number(i, &off) || !take(i, ',') || !number(i, &len) || peek(i) >= 0 || off > size) {
        error(g, ERR_BAD);
        return;
    }
    if (len > GDB_PACKET / 2)
        len = GDB_PACKET / 2;           /* should every byte need to be escaped */
    text_add(&g->reply, off + len >= size ? "l" : "m");
    for (size_t k = off; k < size && k < off + len; k++) {
        char c = object[k];

        if (c == '#' || c == '$' || c == '}' || c == '*') {
            text_add(&g->reply, "}");
            c ^= 0x20;
        }
        text_raw(&g->reply, &c, 1);
    }
}

/*
 * Debuggers keep to this map, and the addresses they use are linear: what is behind one depends on the
 * guest's page tables, and breakpoints need no writable memory. So all of it is memory.
 */
static const char memory_map[] =
    "<?xml version=\"1.0\"?>\n<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
    "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n"
    "<memory-map><memory type=\"ram\" start=\"0x0\" length=\"0x8000000000000000\"/>"
    "<memory type=\"ram\" start=\"0x8000000000000000\" length=\"0x8000000000000000\"/></memory-map>\n";

/* lldb's, whose expressions need to know where nothing is. */
static void memory_region(struct gdb *g, struct in *i)
{
    struct gdb_region r;
    uint64_t addr;

    if (!number(i, &addr) || peek(i) >= 0 || !gdb_region(g, g->m->cpu[g->cpu_g], addr, &r)) {
        error(g, ERR_BAD);
        return;
    }
    text_add(&g->reply, "start:%llx;size:%llx;", (unsigned long long)r.first,
             (unsigned long long)(r.last - r.first + 1));
    if (r.mapped)
        text_add(&g->reply, "permissions:r%s%s;", r.writable ? "w" : "", r.exec ? "x" : "");
}

static void hex_text(struct gdb *g, const char *s)
{
    for (; *s; s++)
        text_byte(&g->reply, (uint8_t)*s);
}

#define MONITOR_MAX (1u << 20)   /* the line's queue holds four times that: two digits a character, and more */

static void monitor(struct gdb *g, struct in *i)
{
    char line[1024], *text = NULL;
    size_t len = 0;
    unsigned n = 0;
    FILE *f;

    while (n < sizeof(line) - 1 && two_digits(i, (uint8_t *)&line[n]))
        n++;
    line[n] = 0;
    if (peek(i) >= 0 || !(f = open_memstream(&text, &len))) {
        error(g, ERR_BAD);
        return;
    }
    gdb_monitor(g, line, f);
    fclose(f);
    if (len > MONITOR_MAX)
        text[MONITOR_MAX] = 0;
    if (g->connected && len)            /* lldb shows only this in words, and not what is in the reply */
        gdb_console(g, text);
    if (g->connected && len > MONITOR_MAX)
        gdb_console(g, "\n(the rest is left out)\n");
    ok(g);
    free(text);
}

static void supported(struct gdb *g, struct in *i)
{
    char line[GDB_PACKET + 1], *rest, *w;

    memcpy(line, i->p, (size_t)(i->end - i->p));
    line[i->end - i->p] = 0;
    g->swbreak = g->hwbreak = false;
    for (w = strtok_r(line, ":;", &rest); w; w = strtok_r(NULL, ";", &rest)) {
        g->swbreak |= strcmp(w, "swbreak+") == 0;
        g->hwbreak |= strcmp(w, "hwbreak+") == 0;
    }
    text_add(&g->reply, "PacketSize=%x;qXfer:features:read+;qXfer:memory-map:read+;QStartNoAckMode+;"
             "vContSupported+;swbreak+;hwbreak+", GDB_PACKET);
}

static void query(struct gdb *g, struct in *i)
{
    int cpu;

    if (word(i, "Supported")) {
        supported(g, i);
    } else if (word(i, "Xfer:features:read:target.xml:")) {
        transfer(g, i, g->xml, g->xml_len);
    } else if (word(i, "Xfer:features:read:")) {
        error(g, 0);
    } else if (word(i, "Xfer:memory-map:read::")) {
        transfer(g, i, memory_map, sizeof(memory_map) - 1);
    } else if (word(i, "fThreadInfo")) {
        for (unsigned n = 0; n < g->m->ncpu; n++)
            text_add(&g->reply, "%c%x", n ? ',' : 'm', n + 1);
    } else if (word(i, "sThreadInfo")) {
        text_add(&g->reply, "l");
    } else if (word(i, "ThreadExtraInfo,")) {
        char text[64];

        if (!thread(i, g, &cpu) || cpu < 0) {
            error(g, ERR_BAD);
            return;
        }
        snprintf(text, sizeof(text), "CPU#%d [%s]", cpu, g->m->cpu[cpu]->stopped ?
                 "waits for a start-up IPI" :
                 g->m->cpu[cpu]->halted ? "halted" : "running");
        hex_text(g, text);
    } else if (word(i, "Attached")) {
        text_add(&g->reply, "1");       /* so that leaving detaches, and does not kill */
    } else if (word(i, "Rcmd,")) {
        monitor(g, i);
    } else if (word(i, "MemoryRegionInfo:")) {
        memory_region(g, i);
    } else if (word(i, "Symbol::")) {
        ok(g);
    } else if (word(i, "qemu.PhyMemMode")) {
        text_add(&g->reply, "%d", g->phys);
    } else if (word(i, "qemu.sstepbits")) {
        text_add(&g->reply, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", SSTEP_ENABLE, SSTEP_NOIRQ, SSTEP_NOTIMER);
    } else if (word(i, "qemu.sstep")) {
        text_add(&g->reply, "0x%x", g->sstep);
    } else if (word(i, "C") && peek(i) < 0) {
        text_add(&g->reply, "QC%x", g->cpu_g + 1);
    }
}

static void set(struct gdb *g, struct in *i)
{
    uint64_t v;

    if (word(i, "StartNoAckMode") && peek(i) < 0) {
        g->ack_next_off = true;
        ok(g);
    } else if (word(i, "qemu.PhyMemMode:")) {
        bool good = number(i, &v) && v <= 1 && peek(i) < 0;

        if (good)
            g->phys = v;
        answer(g, good ? ERR_NONE : ERR_BAD);
    } else if (word(i, "qemu.sstep=")) {
        (void)word(i, "0x");
        if (!number(i, &v) || v > (SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER) || peek(i) >= 0) {
            error(g, ERR_BAD);
            return;
        }
        g->sstep = (unsigned)v;
        ok(g);
    }
}

static void set_thread(struct gdb *g, struct in *i)
{
    int what = peek(i), cpu;

    if (what != 'g' && what != 'c') {
        error(g, ERR_BAD);
        return;
    }
    i->p++;
    if (!thread(i, g, &cpu) || peek(i) >= 0) {
        error(g, ERR_BAD);
        return;
    }
    if (cpu >= 0)
        *(what == 'g' ? &g->cpu_g : &g->cpu_c) = (unsigned)cpu;
    ok(g);
}

static void long_packet(struct gdb *g, struct in *i)
{
    if (word(i, "Cont?")) {
        text_add(&g->reply, "vCont;c;C;s;S;t;r");
    } else if (word(i, "Cont")) {
        if (!vcont(g, i))
            error(g, ERR_BAD);
    } else if (word(i, "Kill")) {
        ok(g);
        gdb_send(g);
        g->reply.n = 0;
        machine_request_stop(g->m, STOP_QUIT, 0);
    }
}

void gdb_packet(struct gdb *g, uint8_t *body, unsigned len)
{
    struct in in = { body + 1, body + len }, *i = &in;
    int cpu;

    g->reply.n = 0;
    g->reply.full = false;
    if (!len) {
        gdb_send(g);
        return;
    }
    switch (body[0]) {
    case '?':
        stop_reply(g);
        break;
    case '!':
        ok(g);
        break;
    case 'c': case 's': case 'C': case 'S':
        if (!go_simple(g, (char)body[0], i))
            error(g, ERR_BAD);
        break;
    case 'D':
        ok(g);
        gdb_send(g);
        gdb_detach(g, true);
        return;
    case 'g':
        read_all(g);
        break;
    case 'G':
        write_all(g, i);
        break;
    case 'H':
        set_thread(g, i);
        break;
    case 'T':
        answer(g, thread(i, g, &cpu) && peek(i) < 0 ? ERR_NONE : ERR_BAD);
        break;
    case 'k':
        g->killed = true;
        machine_request_stop(g->m, STOP_QUIT, 0);
        return;
    case 'm':
        read_memory(g, i);
        break;
    case 'M': case 'X':
        write_memory(g, i, body[0] == 'X');
        break;
    case 'p': case 'P':
        one_reg(g, i, body[0] == 'P');
        break;
    case 'q':
        query(g, i);
        break;
    case 'Q':
        set(g, i);
        break;
    case 'R':
        gdb_monitor(g, "reset", NULL);
        return;
    case 'v':
        long_packet(g, i);
        break;
    case 'z': case 'Z':
        point(g, i, body[0] == 'Z');
        break;
    }
    if (g->waiting || !g->connected)
        return;
    if (g->reply.full) {
        g->reply.n = 0;
        error(g, ERR_SIZE);
    }
    gdb_send(g);
}
