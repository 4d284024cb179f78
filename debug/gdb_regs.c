/*
 * gdb_regs.c - the registers a debugger sees, and the description it gets of them (target.xml).
 *
 * One description for the whole session, by what the processor can do and not by its mode: a guest that
 * changes mode changes no packet's size. The order within the features org.gnu.gdb.i386.* is GDB's; what it
 * has no names for is in a feature of our own. A write goes through the same functions as the guest's own
 * instruction would, so that mode, mappings and watchpoints follow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/gdb_priv.h"
#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"
#include "translator/backend_hooks.h"

enum kind {
    K_GPR, K_PC, K_FLAGS, K_SEL, K_ST, K_X87, K_XMM, K_MXCSR, K_BASE, K_LIMIT, K_KERNEL_GS, K_CR, K_XCR0,
        K_EFER, K_DR,
    K_TABLE_BASE, K_TABLE_LIMIT
};
enum { X87_CTRL, X87_STAT, X87_TAG, X87_ISEG, X87_IOFF, X87_OSEG, X87_OOFF, X87_OP };

#define CORE "org.gnu.gdb.i386.core"
#define SSE "org.gnu.gdb.i386.sse"
#define SEGMENTS "org.gnu.gdb.i386.segments"
#define SYSTEM "org.latimer.i386.system"

static void add(struct gdb *g, const char *feature, const char *name, unsigned bytes, const char *type,
                enum kind kind,
                unsigned n)
{
    if (g->nreg == GDB_REGS)
        die(EXIT_CODE_HOST, "internal error: more registers than GDB_REGS");
    g->reg[g->nreg++] = (struct gdb_reg){ name, type, feature, bytes, (uint8_t)kind, (uint8_t)n };
}

static void add_all(struct gdb *g, bool lm)
{
    static const char *const r64[16] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9",
                                         "r10",
                                         "r11", "r12", "r13", "r14", "r15" };
    static const uint8_t order64[8] = { R_AX, R_BX, R_CX, R_DX, R_SI, R_DI, R_BP, R_SP };
    static const char *const r32[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
    static const char *const sel[6] = { "cs", "ss", "ds", "es", "fs", "gs" };
    static const uint8_t segs[6] = { SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS };
    static const char *const st[8] = { "st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7" };
    static const char *const x87[8] = { "fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop" };
    static const char *const xmm[16] = { "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                                         "xmm8", "xmm9",
                                         "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" };
    static const char *const base[8] = { "es_base", "cs_base", "ss_base", "ds_base", "fs_base", "gs_base",
                                         "ldtr_base",
                                         "tr_base" };
    static const char *const limit[8] = { "es_limit", "cs_limit", "ss_limit", "ds_limit", "fs_limit",
                                          "gs_limit",
                                          "ldtr_limit", "tr_limit" };
    static const char *const dr[8] = { "dr0", "dr1", "dr2", "dr3", NULL, NULL, "dr6", "dr7" };
    unsigned word = lm ? 8 : 4;
    const char *data = lm ? "int64" : "int32", *code = lm ? "code_ptr" : "code_ptr", *ptr = "data_ptr";
    const char *plain = lm ? "uint64" : "uint32";

    for (unsigned i = 0; i < (lm ? 16u : 8u); i++) {
        unsigned n = lm && i < 8 ? order64[i] : i;

        add(g, CORE, lm ? r64[i] : r32[i], word, n == R_SP || n == R_BP ? ptr : data, K_GPR, n);
    }
    add(g, CORE, lm ? "rip" : "eip", word, code, K_PC, 0);
    add(g, CORE, "eflags", 4, "i386_eflags", K_FLAGS, 0);
    for (unsigned i = 0; i < 6; i++)
        add(g, CORE, sel[i], 4, "int32", K_SEL, segs[i]);
    for (unsigned i = 0; i < 8; i++)
        add(g, CORE, st[i], 10, "i387_ext", K_ST, i);
    for (unsigned i = 0; i < 8; i++)
        add(g, CORE, x87[i], 4, "int", K_X87, i);
    for (unsigned i = 0; i < (lm ? 16u : 8u); i++)
        add(g, SSE, xmm[i], 16, "vec128", K_XMM, i);
    add(g, SSE, "mxcsr", 4, "i386_mxcsr", K_MXCSR, 0);
    if (lm) {
        add(g, SEGMENTS, "fs_base", 8, "int64", K_BASE, SEG_FS);
        add(g, SEGMENTS, "gs_base", 8, "int64", K_BASE, SEG_GS);
        add(g, SYSTEM, "k_gs_base", 8, "int64", K_KERNEL_GS, 0);
    }
    for (unsigned i = 0; i < SEG_COUNT; i++)
        if (!lm || (i != SEG_FS && i != SEG_GS))
            add(g, SYSTEM, base[i], word, plain, K_BASE, i);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        add(g, SYSTEM, limit[i], 4, "uint32", K_LIMIT, i);
    add(g, SYSTEM, "ldtr", 4, "uint32", K_SEL, SEG_LDTR);
    add(g, SYSTEM, "tr", 4, "uint32", K_SEL, SEG_TR);
    add(g, SYSTEM, "gdtr_base", word, plain, K_TABLE_BASE, 0);
    add(g, SYSTEM, "gdtr_limit", 4, "uint32", K_TABLE_LIMIT, 0);
    add(g, SYSTEM, "idtr_base", word, plain, K_TABLE_BASE, 1);
    add(g, SYSTEM, "idtr_limit", 4, "uint32", K_TABLE_LIMIT, 1);
    add(g, SYSTEM, "cr0", word, lm ? "cr0_64" : "cr0_32", K_CR, 0);
    add(g, SYSTEM, "cr2", word, plain, K_CR, 2);
    add(g, SYSTEM, "cr3", word, plain, K_CR, 3);
    add(g, SYSTEM, "cr4", word, lm ? "cr4_64" : "cr4_32", K_CR, 4);
    if (lm)
        add(g, SYSTEM, "cr8", 8, plain, K_CR, 8);
    add(g, SYSTEM, "xcr0", 8, "uint64", K_XCR0, 0);
    add(g, SYSTEM, "efer", 8, "efer", K_EFER, 0);
    for (unsigned i = 0; i < 8; i++)
        if (dr[i])
            add(g, SYSTEM, dr[i], word, plain, K_DR, i);
}

/* ---- the description ---- */

struct bit {
    uint8_t at;
    const char *name;
};
static const struct bit eflags_bits[] = {
    { 0, "CF" }, { 2, "PF" }, { 4, "AF" }, { 6, "ZF" }, { 7, "SF" }, { 8, "TF" }, { 9, "IF" }, { 10, "DF" },
    { 11, "OF" }, { 14, "NT" }, { 16, "RF" }, { 17, "VM" }, { 18, "AC" }, { 19, "VIF" }, { 20, "VIP" },
        { 21, "ID" },
    { 0, NULL },
};
static const struct bit mxcsr_bits[] = {
    { 0, "IE" }, { 1, "DE" }, { 2, "ZE" }, { 3, "OE" }, { 4, "UE" }, { 5, "PE" }, { 6, "DAZ" }, { 7, "IM" },
    { 8, "DM" }, { 9, "ZM" }, { 10, "OM" }, { 11, "UM" }, { 12, "PM" }, { 15, "FZ" }, { 0, NULL },
};
static const struct bit cr0_bits[] = {
    { 0, "PE" }, { 1, "MP" }, { 2, "EM" }, { 3, "TS" }, { 4, "ET" }, { 5, "NE" }, { 16, "WP" }, { 18, "AM" },
    { 29, "NW" }, { 30, "CD" }, { 31, "PG" }, { 0, NULL },
};
static const struct bit cr4_bits[] = {
    { 0, "VME" }, { 1, "PVI" }, { 2, "TSD" }, { 3, "DE" }, { 4, "PSE" }, { 5, "PAE" }, { 6, "MCE" },
        { 7, "PGE" },
    { 8, "PCE" }, { 9, "OSFXSR" }, { 10, "OSXMMEXCPT" }, { 11, "UMIP" }, { 16, "FSGSBASE" }, { 17, "PCIDE" },
    { 18, "OSXSAVE" }, { 20, "SMEP" }, { 21, "SMAP" }, { 0, NULL },
};
static const struct bit efer_bits[] = { { 0, "SCE" }, { 8, "LME" }, { 10, "LMA" }, { 11, "NXE" },
                                        { 0, NULL } };

static void flags_type(FILE *f, const char *id, unsigned bytes, const struct bit *b)
{
    fprintf(f, "<flags id=\"%s\" size=\"%u\">", id, bytes);
    for (; b->name; b++)
        fprintf(f, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", b->name, b->at, b->at);
    fprintf(f, "</flags>\n");
}

static void types(FILE *f, const char *feature, bool lm)
{
    static const struct { const char *id, *of; unsigned n; } vec[] = {
        { "v4f", "ieee_single", 4 }, { "v2d", "ieee_double", 2 }, { "v16i8", "int8", 16 },
            { "v8i16", "int16", 8 },
        { "v4i32", "int32", 4 }, { "v2i64", "int64", 2 },
    };
    static const char *const part[] = { "v4_float", "v2_double", "v16_int8", "v8_int16", "v4_int32",
                                        "v2_int64" };

    if (strcmp(feature, CORE) == 0)
        flags_type(f, "i386_eflags", 4, eflags_bits);
    if (strcmp(feature, SSE) == 0) {
        for (unsigned i = 0; i < 6; i++)
            fprintf(f, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>", vec[i].id, vec[i].of, vec[i].n);
        fprintf(f, "<union id=\"vec128\">");
        for (unsigned i = 0; i < 6; i++)
            fprintf(f, "<field name=\"%s\" type=\"%s\"/>", part[i], vec[i].id);
        fprintf(f, "<field name=\"uint128\" type=\"uint128\"/></union>\n");
        flags_type(f, "i386_mxcsr", 4, mxcsr_bits);
    }
    if (strcmp(feature, SYSTEM) == 0) {
        flags_type(f, lm ? "cr0_64" : "cr0_32", lm ? 8 : 4, cr0_bits);
        flags_type(f, lm ? "cr4_64" : "cr4_32", lm ? 8 : 4, cr4_bits);
        flags_type(f, "efer", 8, efer_bits);
    }
}

/* gdb knows these by their names; lldb lists registers by them. */
static const char *group_of(enum kind kind)
{
    return kind == K_X87 || kind == K_ST ? " group=\"float\"" :
           kind == K_XMM || kind == K_MXCSR ? " group=\"vector\"" : "";
}

void gdb_regs_init(struct gdb *g)
{
    const struct cpu *c = g->m->cpu[0];
    bool lm = !c->model || model_has(c->model, FEAT_LM);
    const char *feature = "";
    FILE *f = open_memstream(&g->xml, &g->xml_len);

    if (!f)
        die(EXIT_CODE_HOST, "out of memory for the debugger");
    add_all(g, lm);
    fprintf(f, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
            "<architecture>%s</architecture>\n", lm ? "i386:x86-64" : "i386");
    for (unsigned i = 0; i < g->nreg; i++) {
        const struct gdb_reg *r = &g->reg[i];

        if (strcmp(r->feature, feature)) {
            fprintf(f, "%s<feature name=\"%s\">\n", *feature ? "</feature>\n" : "", r->feature);
            feature = r->feature;
            types(f, feature, lm);
        }
        fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"%s/>\n", r->name, 8 * r->bytes,
                r->type, i, group_of((enum kind)r->kind));
    }
    fprintf(f, "</feature>\n</target>\n");
    if (fclose(f) != 0)
        die(EXIT_CODE_HOST, "out of memory for the debugger");
}

/* ---- reading ---- */

static uint64_t le(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n && i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void put_le(uint8_t *p, unsigned n, uint64_t v)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = i < 8 ? (uint8_t)(v >> (8 * i)) : 0;
}

/* `monitor realmode on`: code and stack addresses are shown as linear ones where segments are paragraphs. */
static uint64_t shown_base(const struct gdb *g, const struct cpu *c, unsigned seg)
{
    return g->real_linear && (!cpu_pe(c) || cpu_vm(c)) ? c->seg[seg].base : 0;
}

static uint64_t x87_value(const struct cpu *c, unsigned n)
{
    switch (n) {
    case X87_CTRL: return c->fpu.cw;
    case X87_STAT: return c->fpu.sw;
    case X87_TAG:  return x87_full_tag(&c->fpu);
    case X87_ISEG: return c->fpu.cs;
    case X87_IOFF: return x87_ip(c);
    case X87_OSEG: return c->fpu.ds;
    case X87_OOFF: return c->fpu.dp;
    default:       return c->fpu.op;
    }
}

static uint64_t *cr_field(struct cpu *c, unsigned n)
{
    return n == 0 ? &c->cr0 : n == 2 ? &c->cr2 : n == 3 ? &c->cr3 : &c->cr4;
}

static struct f80 *st_reg(struct cpu *c, unsigned n)
{
    return &c->fpu.r[((c->fpu.sw >> 11) + n) & 7];
}

static uint64_t value(struct gdb *g, struct cpu *c, const struct gdb_reg *r)
{
    switch ((enum kind)r->kind) {
    case K_GPR:         return c->r[r->n] + (r->n == R_SP ? shown_base(g, c, SEG_SS) : 0);
    case K_PC:          return c->rip + shown_base(g, c, SEG_CS);
    case K_FLAGS:       return cpu_eflags(c);
    case K_SEL:         return c->seg[r->n].sel;
    case K_X87:         return x87_value(c, r->n);
    case K_MXCSR:       return c->mxcsr;
    case K_BASE:        return c->seg[r->n].base;
    case K_LIMIT:       return c->seg[r->n].limit;
    case K_KERNEL_GS:   return c->kernel_gs_base;
    case K_CR:          return r->n == 8 ? help_get_cr8(c) : *cr_field(c, r->n);
    case K_XCR0:        return c->xcr0;
    case K_EFER:        return c->efer;
    case K_DR:          return c->dr[r->n];
    case K_TABLE_BASE:  return r->n ? c->idt.base : c->gdt.base;
    case K_TABLE_LIMIT: return r->n ? c->idt.limit : c->gdt.limit;
    case K_ST: case K_XMM:
        break;
    }
    return 0;
}

void gdb_reg_read(struct gdb *g, struct cpu *c, const struct gdb_reg *r, uint8_t *buf)
{
    if (r->kind == K_ST) {
        put_le(buf, 8, st_reg(c, r->n)->sig);
        put_le(buf + 8, 2, st_reg(c, r->n)->se);
    } else if (r->kind == K_XMM) {
        put_le(buf, 8, c->x[r->n].q[0]);
        put_le(buf + 8, 8, c->x[r->n].q[1]);
    } else {
        put_le(buf, r->bytes, value(g, c, r));
    }
}

/* ---- writing ---- */

/* As a far return would: the descriptor's rights are those of the selector, and long mode has no 64-bit code with D set. */
static bool write_cs(struct cpu *c, uint16_t sel)
{
    unsigned rpl = sel & 3, dpl;
    struct desc d;

    if (desc_fetch(c, sel, &d) != DESC_OK || !desc_code(&d) || !desc_p(&d))
        return false;
    dpl = desc_dpl(&d);
    if (desc_conforming(&d) ? dpl > rpl : dpl != rpl)
        return false;
    if (cpu_lma(c) && (d.hi >> 21 & 3) == 3)
        return false;
    seg_set_cs(c, sel, &d, rpl);
    if (!cpu_64(c))
        c->rip = (uint32_t)c->rip;
    return true;
}

static bool write_selector(struct cpu *c, unsigned seg, uint16_t sel)
{
    if (seg == SEG_LDTR)
        return !help_lldt(c, sel);
    if (seg == SEG_TR) {
        return !help_ltr(c, sel);
    } else if (!cpu_pe(c) || cpu_vm(c)) {
        seg_set_real(c, seg, sel);
    } else if (seg != SEG_CS) {
        if (help_load_seg(c, seg | LOAD_SEG_FAR, sel))
            return false;
    } else if (!write_cs(c, sel)) {
        return false;
    }
    cpu_update_mode(c);
    return true;
}

/* Only long mode has addresses beyond 32 bits, and only some bases reach them. */
static bool base_fits(const struct cpu *c, bool wide, uint64_t v)
{
    return cpu_lma(c) && wide ? canonical(v) : !(v >> 32);
}

static bool write_base(struct cpu *c, unsigned seg, uint64_t v)
{
    if (!base_fits(c, seg == SEG_FS || seg == SEG_GS || seg >= SEG_LDTR, v))
        return false;
    c->seg[seg].base = v;
    seg_update(c, seg);
    cpu_update_mode(c);
    return true;
}

static bool write_x87(struct cpu *c, unsigned n, uint64_t v)
{
    switch (n) {
    case X87_CTRL: c->fpu.cw = (uint16_t)v; break;
    case X87_STAT: c->fpu.sw = (uint16_t)v; break;
    case X87_TAG:  x87_set_full_tag(&c->fpu, (uint16_t)v); break;
    case X87_ISEG: c->fpu.cs = (uint16_t)v; break;
    case X87_IOFF: x87_set_ip(c, (x87_ip(c) & ~(uint64_t)0xffffffff) | (uint32_t)v); break;
    case X87_OSEG: c->fpu.ds = (uint16_t)v; break;
    case X87_OOFF: c->fpu.dp = (c->fpu.dp & ~(uint64_t)0xffffffff) | (uint32_t)v; break;
    default:       c->fpu.op = v & 0x7ff; break;
    }
    backend_fp_changed(c);
    cpu_update_mode(c);
    return true;
}

static bool write_dr(struct cpu *c, unsigned n, uint64_t v)
{
    uint64_t was = c->dr[7];
    bool bad;

    c->dr[7] &= ~(uint64_t)(1u << 13);          /* GD is for the guest */
    bad = help_mov_to_dr(c, n, v);
    if (n != 7)
        c->dr[7] = was;
    return !bad;
}

static bool write_value(struct gdb *g, struct cpu *c, const struct gdb_reg *r, uint64_t v)
{
    switch ((enum kind)r->kind) {
    case K_GPR:
        c->r[r->n] = v - (r->n == R_SP ? shown_base(g, c, SEG_SS) : 0);
        return true;
    case K_PC:
        v -= shown_base(g, c, SEG_CS);
        if (cpu_64(c) ? !canonical(v) : v >> 32)
            return false;
        c->rip = v;
        return true;
    case K_FLAGS:
        /* VM comes and goes with segment registers and CPL: no write of the flags alone does that. */
        if ((v ^ c->eflags) & FL_VM)
            return false;
        cpu_set_eflags(c, (uint32_t)v & 0x3f7fd5);
        cpu_update_mode(c);
        cpu_if_changed(c);
        return true;
    case K_SEL:
        return v <= 0xffff && write_selector(c, r->n, (uint16_t)v);
    case K_X87:
        return write_x87(c, r->n, v);
    case K_MXCSR:
        if (v >> 16)
            return false;
        c->mxcsr = (uint32_t)v;
        backend_fp_changed(c);
        cpu_update_mode(c);
        return true;
    case K_BASE:
        return write_base(c, r->n, v);
    case K_LIMIT:
        c->seg[r->n].limit = (uint32_t)v;
        seg_update(c, r->n);
        cpu_update_mode(c);
        return true;
    case K_KERNEL_GS:
        if (!canonical(v))
            return false;
        c->kernel_gs_base = v;
        return true;
    case K_CR:
        return !cr_write(c, r->n, v);
    case K_XCR0:
        if (!(v & 1) || (v & ~(uint64_t)3))
            return false;
        c->xcr0 = v;
        cpu_update_mode(c);
        return true;
    case K_EFER:
        return !help_wrmsr(c, 0xc0000080, v);
    case K_DR:
        return write_dr(c, r->n, v);
    case K_TABLE_BASE:
    case K_TABLE_LIMIT:
        if (r->kind == K_TABLE_BASE && !base_fits(c, true, v))
            return false;
        if (r->kind == K_TABLE_LIMIT && v > 0xffff)
            return false;
        return !help_load_dt(c, r->n, r->kind == K_TABLE_BASE ? v : r->n ? c->idt.base : c->gdt.base,
                             r->kind == K_TABLE_LIMIT ? v : r->n ? c->idt.limit : c->gdt.limit);
    case K_ST: case K_XMM:
        break;
    }
    return false;
}

bool gdb_reg_write(struct gdb *g, struct cpu *c, const struct gdb_reg *r, const uint8_t *buf)
{
    /* one may be pending, and what is read on the way may be watched */
    struct fault fault = c->fault;
    struct debug_stop stop = c->debug->stop;
    uint8_t now[16];
    bool ok = true;

    gdb_reg_read(g, c, r, now);
    if (memcmp(now, buf, r->bytes) == 0)
        return true;
    if (r->kind == K_ST) {
        st_reg(c, r->n)->sig = le(buf, 8);
        st_reg(c, r->n)->se = (uint16_t)le(buf + 8, 2);
    } else if (r->kind == K_XMM) {
        c->x[r->n].q[0] = le(buf, 8);
        c->x[r->n].q[1] = le(buf + 8, 8);
    } else {
        ok = write_value(g, c, r, le(buf, r->bytes));
    }
    c->fault = fault;
    c->debug->stop = stop;
    return ok;
}
