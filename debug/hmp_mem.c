/*
 * hmp_mem.c - memory, values and I/O ports in the human monitor.
 *
 * Memory is read as it is: devices are not touched by x and xp, since a look must change nothing. Linear
 * addresses go through the chosen processor's page tables.
 */
#include "debug/hmp_int.h"

#include "debug/action.h"
#include "debug/control.h"
#include "debug/dump.h"
#include "hw/machine.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* False: there is nothing to be read. */
static bool read_at(struct hmp *h, bool linear, uint64_t addr, void *buf, unsigned len)
{
    return (!linear || h->c) && action_read(h->m, linear ? h->c : NULL, addr, buf, len);
}

static uint64_t le(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void character(struct hmp *h, uint8_t c)
{
    static const char plain[] = "\n\r\t\\'";
    const char *at = c ? strchr(plain, c) : NULL;

    if (at)
        hmp_say(h, "'\\%c'", "nrt\\'"[at - plain]);
    else if (c >= 0x20 && c < 0x7f)
        hmp_say(h, "'%c'", c);
    else
        hmp_say(h, "'\\x%02x'", c);
}

static void value(struct hmp *h, char kind, unsigned size, uint64_t v)
{
    switch (kind) {
    case 'd':
        hmp_say(h, "%" PRId64, (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
        break;
    case 'u': hmp_say(h, "%" PRIu64, v); break;
    case 'o': hmp_say(h, "%#" PRIo64, v); break;
    case 'c': character(h, (uint8_t)v); break;
    default:  hmp_say(h, "0x%0*" PRIx64, 2 * (int)size, v); break;
    }
}

static void cannot(struct hmp *h, bool linear, uint64_t addr)
{
    hmp_fail(h, "cannot read memory at %s address 0x%" PRIx64, linear ? "linear" : "physical", addr);
}

/* ---- instructions ---- */

/* A line with the name of what begins here, and at the first instruction of what this is in. */
static void heading(struct hmp *h, uint64_t addr, bool first)
{
    struct symbol_at at;

    if (!symbols_lookup(h->m->symbols, h->c, addr, &at) || (addr != at.start && !first))
        return;
    if (addr == at.start)
        hmp_say(h, "%s:\n", at.name);
    else
        hmp_say(h, "%s+0x%" PRIx64 ":\n", at.name, addr - at.start);
}

/* The name of where a jump or call with these operands goes. */
static const char *destination(struct hmp *h, const char *operands, char *buf, size_t size)
{
    char *end;
    uint64_t to = strtoull(operands, &end, 16);

    *buf = 0;
    return strncmp(operands, "0x", 2) || *end ? buf : symbols_label(h->m->symbols, h->c, to, buf, size);
}

static void instructions(struct hmp *h, bool linear, uint64_t addr, unsigned count)
{
    char label[SYMBOL_NAME];
    bool first = true;
    uint32_t code = h->c ? h->c->mode & M_CODE : M_CODE16;
    cs_mode mode = code == M_CODE64 ? CS_MODE_64 : code == M_CODE32 ? CS_MODE_32 : CS_MODE_16;
    csh cs;

    if (cs_open(CS_ARCH_X86, mode, &cs) != CS_ERR_OK) {
        hmp_fail(h, "the disassembler does not start");
        return;
    }
    for (; count--; first = false) {
        uint8_t b[15];
        unsigned n = 0;
        cs_insn *i = NULL;

        while (n < sizeof(b) && read_at(h, linear, addr + n, b + n, 1))
            n++;
        if (!n) {
            cannot(h, linear, addr);
            break;
        }
        if (linear)
            heading(h, addr, first);
        if (cs_disasm(cs, b, n, addr, 1, &i) != 1) {
            hmp_say(h, "0x%08" PRIx64 ":  %02x                       (no instruction)\n", addr, b[0]);
            addr++;
            continue;
        }
        hmp_say(h, "0x%08" PRIx64 ":  ", addr);
        for (unsigned k = 0; k < 8 || k < i->size; k++)
            if (k < i->size)
                hmp_say(h, "%02x ", b[k]);
            else
                hmp_say(h, "   ");
        hmp_say(h, " %s%s%s%s\n", i->mnemonic, *i->op_str ? " " : "", i->op_str,
                linear ? destination(h, i->op_str, label, sizeof(label)) : "");
        addr += i->size;
        cs_free(i, 1);
    }
    cs_close(&cs);
}

/* ---- x and xp ---- */

static void strings(struct hmp *h, bool linear, uint64_t addr, unsigned count)
{
    while (count--) {
        uint8_t c = 0;

        hmp_say(h, "0x%08" PRIx64 ": \"", addr);
        for (unsigned n = 0; n < 1024; n++) {
            if (!read_at(h, linear, addr, &c, 1)) {
                hmp_say(h, "\"\n");
                cannot(h, linear, addr);
                return;
            }
            addr++;
            if (!c)
                break;
            if (c == '"' || c == '\\')
                hmp_say(h, "\\%c", c);
            else
                hmp_say(h, c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
        }
        hmp_say(h, "\"%s\n", c ? "..." : "");
    }
}

static void dump(struct hmp *h, bool linear)
{
    const struct hmp_format *f = &h->arg[0].format;
    char kind = f->kind ? f->kind : 'x';
    unsigned size = f->size ? f->size : kind == 'c' ? 1 : 4;
    unsigned columns = kind == 'c' ? 8 : kind == 'o' || size == 8 ? 2 : size == 4 ? 4 : 8;
    uint64_t addr = h->arg[1].n;

    if (kind == 'i' || kind == 's') {
        (kind == 'i' ? instructions : strings)(h, linear, addr, f->count);
        return;
    }
    for (unsigned i = 0; i < f->count; i++) {
        uint8_t b[8];

        if (!read_at(h, linear, addr, b, size)) {
            if (i % columns)
                hmp_say(h, "\n");
            cannot(h, linear, addr);
            return;
        }
        if (i % columns == 0)
            hmp_say(h, linear && h->c && (h->c->efer & EFER_LMA) ? "%016" PRIx64 ":" : "%08" PRIx64 ":",
                    addr);
        hmp_say(h, " ");
        value(h, kind, size, le(b, size));
        if (i % columns == columns - 1 || i == f->count - 1)
            hmp_say(h, "\n");
        addr += size;
    }
}

void hmp_x(struct hmp *h)
{
    dump(h, true);
}

void hmp_xp(struct hmp *h)
{
    dump(h, false);
}

void hmp_print(struct hmp *h)
{
    const struct hmp_format *f = &h->arg[0].format;
    unsigned size = f->size ? f->size : 8;
    uint64_t v = h->arg[1].n & (~(uint64_t)0 >> (64 - 8 * size));

    if (f->kind == 'i' || f->kind == 's') {
        hmp_fail(h, "a value has no format '%c': use x, d, u, o or c", f->kind);
        return;
    }
    if (!f->size && (!f->kind || f->kind == 'x'))
        hmp_say(h, "0x%" PRIx64, v);
    else
        value(h, f->kind, size, v);
    hmp_say(h, "\n");
}

/* ---- ports ---- */

static bool port(struct hmp *h, unsigned *size, uint16_t *at)
{
    *size = h->arg[0].format.size ? h->arg[0].format.size : 1;
    *at = (uint16_t)h->arg[1].n;
    if (h->arg[1].n > 0xffff)
        hmp_fail(h, "ports are 0 to 0xffff");
    else if (*size > 4)
        hmp_fail(h, "ports have 1, 2 or 4 bytes: /b, /h or /w");
    return !h->failed;
}

void hmp_i(struct hmp *h)
{
    unsigned size;
    uint16_t at;

    if (!port(h, &size, &at))
        return;
    hmp_say(h, "port%c[0x%04x] = 0x%0*x\n", size == 1 ? 'b' : size == 2 ? 'w' : 'l', at, 2 * (int)size,
            ports_read(h->m->ports, at, size));
}

void hmp_o(struct hmp *h)
{
    unsigned size;
    uint16_t at;

    if (port(h, &size, &at))
        ports_write(h->m->ports, at, (uint32_t)h->arg[2].n, size);
}

/* ---- to files ---- */

static void save(struct hmp *h, struct cpu *c)
{
    char err[512];

    if (!action_save(h->m, c, h->arg[0].n, h->arg[1].n, h->arg[2].s, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_memsave(struct hmp *h)
{
    if (h->c)
        save(h, h->c);
    else
        hmp_fail(h, "there is no processor whose linear addresses these could be");
}

void hmp_pmemsave(struct hmp *h)
{
    save(h, NULL);
}

void hmp_dump_guest_memory(struct hmp *h)
{
    struct dump d = { h->arg[0].s, -1, hmp_flag(h, 'p'), h->arg[1].n, h->arg[2].n };
    uint64_t size = 0;
    char err[512];

    if (h->arg[1].s && !h->arg[2].n)
        hmp_fail(h, "length is missing: how many bytes from there on?");
    else if (h->arg[1].s && d.paging)
        hmp_fail(h, "BEGIN and LENGTH are of physical memory: leave -p out");
    else if (!dump_write(h->m, &d, &size, err, sizeof(err)))
        hmp_fail(h, "%s", err);
}

void hmp_sum(struct hmp *h)
{
    uint64_t addr = h->arg[0].n, size = h->arg[1].n;
    uint16_t sum = 0;
    uint8_t b[4096];
    bool ok = true;

    control_hold(h->m->control);
    while (size && ok) {
        unsigned n = size < sizeof(b) ? (unsigned)size : sizeof(b);

        ok = read_at(h, false, addr, b, n);
        for (unsigned i = 0; ok && i < n; i++)
            sum = (uint16_t)((sum >> 1 | sum << 15) + b[i]);
        addr += n;
        size -= n;
    }
    control_release(h->m->control);
    if (ok)
        hmp_say(h, "%05u\n", sum);
    else
        hmp_fail(h, "not all of that is memory");
}
