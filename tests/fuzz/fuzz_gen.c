/*
 * fuzz_gen.c - random cases for the fuzzer: tables, page tables, and code in
 * chunks that jump to each other; random registers to begin with.
 *
 * Instructions are made field by field from the rows of x86.def and then decoded
 * with our own decoder, so that their lengths (for the minimiser) are known;
 * some chunks are plain random bytes.  Backward jumps count down a word in
 * memory, so that nearly every round ends.
 */
#include <string.h>

#include "frontend/decode_tab.h"
#include "tests/fuzz/fuzz.h"

#define CHUNK 112               /* bytes a chunk has */

struct gen {
    struct hw_rng r;
    struct fuzz_case *k;
    uint32_t at, end;           /* where the next instruction goes: offset in the code area */
    uint32_t chunk[16];
    unsigned nchunks;
};

static bool one_in(struct hw_rng *r, unsigned n)
{
    return hw_below(r, n) == 0;
}

static void poke(struct fuzz_case *k, uint32_t pa, unsigned size, uint64_t v)
{
    for (unsigned n = 0; n < size; n++)
        k->image[pa + n] = (uint8_t)(v >> (8 * n));
}

/* ---- tables ---- */

static void make_tables(struct fuzz_case *k)
{
    bool lm = k->efer & EFER_LMA;

    for (unsigned sel = 8; sel < FS_END; sel += 8)
        poke(k, FZ_GDT + sel, 8, fuzz_descriptor(sel, lm));
    k->image[FZ_GDT + FS_TSS + 5] |= 2;
    for (unsigned v = 0; v < 256; v++) {
        uint32_t h = FZ_HANDLER + 16 * v, dpl = v == 3 || v == 4 || v >= 0x80 ? 3 : 0;
        uint64_t gate = h | (uint64_t)(lm ? FS_CODE64_0 : FS_CODE0) << 16 | (uint64_t)(0x8000 | dpl << 13) << 32;

        gate |= (uint64_t)(k->gate16 ? 6 : 14) << 40;
        if (k->mode == FM_REAL)
            poke(k, 4 * v, 4, h);
        else
            poke(k, FZ_IDT + v * (lm ? 16 : 8), 8, gate);
        poke(k, h, 2, 0xfef4);          /* HLT */
    }
    poke(k, FZ_TSS + 4, lm ? 8 : 4, FZ_STACK0);
    if (!lm)
        poke(k, FZ_TSS + 8, 2, FS_DATA0);
    poke(k, FZ_TSS + 0x66, 2, 0x88);
    memset(k->image + FZ_TSS + 0x88, 0xff, 0x20);
}

/* Single-stepping: the handler of #DB may go on. */
static void make_step(struct gen *g)
{
    struct fuzz_case *k = g->k;
    uint32_t h = FZ_HANDLER + 16;

    if (one_in(&g->r, 2))
        poke(k, h, 2, k->mode == FM_REAL ? 0xcf : k->gate16 ? 0xcf66 : k->efer & EFER_LMA ? 0xcf48 : 0xcf);
}

static void make_pages(struct gen *g)
{
    struct fuzz_case *k = g->k;
    unsigned size = k->paging == PG_32 ? 4 : 8;
    uint32_t table = FZ_TABLES;
    uint64_t user = k->cpl == 3 ? 4 : 0, nx = k->efer & EFER_NXE ? (uint64_t)1 << 63 : 0;

    if (k->paging == PG_LONG) {
        poke(k, table, 8, (table + 0x1000) | 7);
        poke(k, table + 511 * 8, 8, (table + 0x1000) | 7);
        table += 0x1000;
        poke(k, table, 8, (table + 0x1000) | 7);
        table += 0x1000;
    } else if (k->paging == PG_PAE) {
        poke(k, table, 8, (table + 0x1000) | 1);
        table += 0x1000;
    }
    poke(k, table, size, (table + 0x1000) | 7);
    table += 0x1000;
    for (unsigned p = 0; p < 0xc0; p++) {
        uint64_t pa = (uint64_t)p << 12, e = 0x63;
        bool code = pa >= FZ_CODE && pa < FZ_CODE + FZ_CODE_SIZE;

        if (pa >= FZ_ALIAS) {
            pa = hw_below(&g->r, 0x62) << 12;
            if (pa < FZ_CODE)
                pa = (hw_below(&g->r, 8) << 12) + FZ_CODE;
        }
        e |= pa;
        if (pa >= FZ_TABLES && pa < FZ_TABLES + 0x5000)
            e = 0;                      /* page tables must not be changed without a flush */
        if (pa >= FZ_CODE)
            e |= user;
        if ((pa > FZ_DATA && pa != FZ_STACK - 0x1000 && pa != FZ_STACK) || (code && pa > FZ_CODE + 0x4000)) {
            if (one_in(&g->r, 12))
                e &= ~(uint64_t)1;
            if (one_in(&g->r, 10))
                e &= ~(uint64_t)2;
            if (one_in(&g->r, 12))
                e ^= 4;
            if (one_in(&g->r, 12))
                e &= ~(uint64_t)0x40;   /* clean */
            if (one_in(&g->r, 12))
                e |= nx;
        }
        poke(k, table + p * size, size, e);
    }
}

/* ---- addresses ---- */

/* A linear address that is likely a good one. */
static uint64_t address(struct hw_rng *r, const struct fuzz_case *k)
{
    uint64_t a;

    switch (hw_below(r, 24)) {
    case 0: case 1:
        a = FZ_CODE + hw_below(r, 0x1200);
        break;
    case 2:
        a = FZ_MMIO + hw_below(r, 0x2100) - 0x80;
        break;
    case 3:
        a = FZ_ALIAS + hw_below(r, 0x40000);
        break;
    case 4:
        a = (FZ_DATA + hw_below(r, FZ_DATA_SIZE)) | 0xff8;      /* near a page's end */
        a += hw_below(r, 9);
        break;
    case 5:
        return hw_value(r);
    default:
        a = FZ_DATA + (one_in(r, 2) ? hw_below(r, 0x400) : hw_below(r, FZ_DATA_SIZE));
        break;
    }
    if (one_in(r, 2))
        a &= ~(uint64_t)15;
    if (k->code > FZ_CODE && one_in(r, 2))
        a |= k->code - FZ_CODE;
    return a;
}

/* ---- instructions ---- */

/* Put n bytes down as one unit. */
static void unit(struct gen *g, const uint8_t *b, unsigned n)
{
    struct fuzz_case *k = g->k;

    if (g->at + n > FZ_CODE_SIZE)
        return;
    memcpy(k->image + FZ_CODE + g->at, b, n);
    if (k->nunits < FZ_UNITS)
        k->unit[k->nunits++] = (struct fuzz_unit){ FZ_CODE + g->at, (uint8_t)n };
    g->at += n;
}

/* Rows left to the code below (control flow), and those that end a round at once. */
/*
 * The x87's transcendental functions may differ in the last bit between the
 * interpreter and a host, and outside their range in more; tests/x87 looks at them.
 */
static bool inexact(const struct x86_row *row)
{
    static const char *const name[] = { "f2xm1", "fyl2x", "fyl2xp1", "fptan", "fpatan", "fsin", "fcos", "fsincos" };

    for (unsigned n = 0; n < sizeof(name) / sizeof(name[0]); n++)
        if (!strcmp(row->name, name[n]))
            return true;
    return false;
}

static bool usable(struct gen *g, const struct x86_row *row)
{
    struct fuzz_case *k = g->k;
    unsigned mode = (k->decode_mode & M_CODE) == M_CODE64 ? MODE_64 :
                    !(k->decode_mode & M_PE) || (k->decode_mode & M_VM) ? MODE_R : MODE_P;

    if (strchr(row->operands, 'J') || inexact(row))
        return false;
    if (!(row->modes & mode) || !strcmp(row->name, "hlt"))
        return one_in(&g->r, 300);
    if (row->skip || (row->attrs & AT_END) || ((row->attrs & AT_CPL0) && k->cpl) || !strncmp(row->name, "int", 3) ||
        (mode != MODE_R && strstr(row->operands, "Sw")) || strchr(row->operands, 'p'))
        return one_in(&g->r, 60);
    if (row->attrs & AT_CPL0)
        return one_in(&g->r, 8);
    if (row->attrs & (AT_X87 | AT_MMX | AT_SSE))
        return one_in(&g->r, 3);
    return true;
}

static unsigned put(uint8_t *b, unsigned n, uint64_t v, unsigned bytes)
{
    for (unsigned k = 0; k < bytes; k++)
        b[n++] = (uint8_t)(v >> (8 * k));
    return n;
}

/* ModRM, SIB and displacement; *disp and *size: where an absolute or RIP-relative displacement lies. */
static unsigned modrm(struct gen *g, uint8_t *b, unsigned n, const struct x86_row *row, unsigned addrsize, unsigned *disp)
{
    struct hw_rng *r = &g->r;
    unsigned mod = one_in(r, 2) ? 3 : (unsigned)hw_below(r, 3), reg = (unsigned)hw_below(r, 8);
    unsigned rm = (unsigned)hw_below(r, 8), bytes;
    uint64_t small = hw_below(r, 128) - 64;

    if (row->ext & 0x100)
        reg = row->ext & 7;
    if (row->ext & EXT_MEM)
        mod = (unsigned)hw_below(r, 3);
    if (row->ext & EXT_RR)
        mod = 3;
    if (row->ext & 0x800)
        rm = row->ext >> 4 & 7;
    b[n++] = (uint8_t)(mod << 6 | reg << 3 | rm);
    if (mod == 3)
        return n;
    bytes = mod == 1 ? 1 : mod == 2 ? (addrsize == 2 ? 2 : 4) : 0;
    if (addrsize == 2) {
        if (mod == 0 && rm == 6) {
            *disp = n;
            bytes = 2;
        }
    } else if (rm == 4) {
        unsigned sib = (unsigned)hw_rand(r) & 0xff;

        if (one_in(r, 2))
            sib = 0x20 | (sib & 7);     /* no index */
        b[n++] = (uint8_t)sib;
        if ((sib & 7) == 5 && mod == 0) {
            *disp = n;
            bytes = 4;
        }
    } else if (mod == 0 && rm == 5) {
        *disp = n;
        bytes = 4;
    }
    return put(b, n, small, bytes);
}

static bool random_insn(struct gen *g)
{
    struct hw_rng *r = &g->r;
    struct fuzz_case *k = g->k;
    const struct x86_row *row = &x86_rows[hw_below(r, X86_COUNT)];
    bool w64 = (k->decode_mode & M_CODE) == M_CODE64, has_modrm = decode_tables.row[row - x86_rows].modrm;
    unsigned n = 0, disp = 0, op = row->opcode, rex = w64 && !one_in(r, 4) ? 0x40 | ((unsigned)hw_rand(r) & 15) : 0;
    unsigned addrsize = w64 ? 8 : (k->decode_mode & M_CODE) == M_CODE32 ? 4 : 2;
    static const uint8_t segs[6] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    uint8_t b[40];
    struct insn i;

    if (!usable(g, row))
        return false;
    if (one_in(r, 16)) {
        b[n++] = 0x67;
        addrsize = addrsize == 4 ? 2 : 4;
    }
    if (one_in(r, 14))
        b[n++] = segs[hw_below(r, 6)];
    if ((row->attrs & AT_LOCK) ? one_in(r, 4) : one_in(r, 400))
        b[n++] = 0xf0;
    if (row->pfx == PFX_66 || (row->pfx == PFX_ANY && one_in(r, 4)))
        b[n++] = 0x66;
    if (row->pfx == PFX_F2 || row->pfx == PFX_F3)
        b[n++] = row->pfx == PFX_F2 ? 0xf2 : 0xf3;
    else if ((row->attrs & AT_REP) ? one_in(r, 2) : one_in(r, 200))
        b[n++] = one_in(r, 3) ? 0xf2 : 0xf3;
    if (w64 && (row->ext & EXT_W1))
        rex |= 0x48;
    if (row->ext & EXT_W0)
        rex &= ~8u;
    if (rex)
        b[n++] = (uint8_t)rex;
    if (row->map != MAP_1)
        b[n++] = 0x0f;
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        b[n++] = row->map == MAP_0F38 ? 0x38 : 0x3a;
    if (row->attrs & AT_CC)
        op |= (unsigned)hw_rand(r) & 15;
    if (row->attrs & AT_OREG)
        op |= (unsigned)hw_rand(r) & 7;
    b[n++] = (uint8_t)op;
    if (has_modrm)
        n = modrm(g, b, n, row, addrsize, &disp);
    else if (strchr(row->operands, 'O'))
        disp = n, n += addrsize;
    n = put(b, n, hw_value(r), 8);
    n = put(b, n, hw_value(r), 8);
    if (decode(&i, b, n < 15 ? n : 15, k->decode_mode, NULL) != DECODE_OK || i.row != row)
        return false;
    if (disp) {
        bool moffs = !has_modrm;
        uint64_t to = address(r, k);

        if (i.base == BASE_IP)
            to -= k->code + g->at + i.len;
        else if (!w64)
            to -= k->ds_base;
        put(b, disp, to, moffs ? addrsize : addrsize == 2 ? 2 : 4);
    }
    unit(g, b, i.len);
    return true;
}

static unsigned opsize_native(const struct gen *g)
{
    unsigned m = g->k->decode_mode & M_CODE;
    return m == M_CODE64 ? 8 : m == M_CODE32 ? 4 : 2;
}

/* mov reg, imm of the native size. */
static void load_imm(struct gen *g, unsigned reg, uint64_t v)
{
    uint8_t b[10];
    unsigned n = 0, size = opsize_native(g);

    if (size == 8)
        b[n++] = (uint8_t)(0x48 | reg >> 3);
    b[n++] = (uint8_t)(0xb8 | (reg & 7));
    unit(g, b, put(b, n, v, size));
}

/* EIP (offset in CS) of an offset in the code area. */
static uint64_t eip(const struct gen *g, uint32_t off)
{
    return g->k->code + off - g->k->cs_base;
}

/* A near jump (opcode; two bytes if > ff) with a 16- or 32-bit displacement. */
static void jump(struct gen *g, unsigned op, uint32_t to)
{
    uint8_t b[8];
    unsigned n = 0, size = opsize_native(g) == 2 ? 2 : 4;

    if (op > 0xff)
        b[n++] = (uint8_t)(op >> 8);
    b[n++] = (uint8_t)op;
    n = put(b, n, to - (g->at + n + size), size);
    unit(g, b, n);
}

static void jump_short(struct gen *g, unsigned op, uint32_t to)
{
    uint8_t b[2] = { (uint8_t)op, (uint8_t)(to - (g->at + 2)) };
    unit(g, b, 2);
}

/* sub word [counter], 1; jns to: at most so many times round. */
static void jump_back(struct gen *g, uint32_t to)
{
    uint8_t b[12];
    unsigned n = 0, size = opsize_native(g);

    if (size != 2)
        b[n++] = 0x66;
    b[n++] = 0x83;
    if (size == 8) {
        b[n++] = 0x2c;
        b[n++] = 0x25;
    } else {
        b[n++] = size == 2 ? 0x2e : 0x2d;
    }
    n = put(b, n, FZ_COUNTER - g->k->ds_base, size == 2 ? 2 : 4);
    b[n++] = 1;
    unit(g, b, n);
    jump(g, 0x0f89, to);
}

static uint32_t pick(struct gen *g)
{
    return g->chunk[hw_below(&g->r, g->nchunks)];
}

static void stop(struct gen *g)
{
    static const uint8_t hlt[1] = { 0xf4 }, sys[2] = { 0xcd, 0x80 };

    if (g->k->cpl || one_in(&g->r, 4))
        unit(g, sys, 2);
    else
        unit(g, hlt, 1);
}

/* Go to a chunk: forward freely, backward counted. */
static void go(struct gen *g, uint32_t to)
{
    if (to <= g->at) {
        jump_back(g, to);
        return;
    }
    switch (hw_below(&g->r, 6)) {
    case 0: {                           /* indirect */
        uint8_t b[3] = { 0xff, 0xe0 };
        unsigned reg = (unsigned)hw_below(&g->r, 4);
        load_imm(g, reg, eip(g, to));
        b[1] |= (uint8_t)reg;
        unit(g, b, 2);
        break;
    }
    case 1: {                           /* return */
        static const uint8_t b[2] = { 0x50, 0xc3 };
        load_imm(g, R_AX, eip(g, to));
        unit(g, b, 1);
        unit(g, b + 1, 1);
        break;
    }
    case 2:
        jump(g, 0xe8, to);              /* call */
        break;
    default:
        jump(g, 0xe9, to);
        break;
    }
}

/* A store into code, most likely into an instruction that runs soon. */
static void store_code(struct gen *g)
{
    uint8_t b[16];
    unsigned n = 0, size = opsize_native(g);
    uint32_t off = one_in(&g->r, 2) ? g->at + 8 + (uint32_t)hw_below(&g->r, 24) : pick(g) + (uint32_t)hw_below(&g->r, 40);

    b[n++] = 0xc6;                      /* mov byte [off], imm */
    if (size == 8) {
        b[n++] = 0x04;
        b[n++] = 0x25;
    } else {
        b[n++] = size == 2 ? 0x06 : 0x05;
    }
    /* In segmented modes this reaches data unless DS covers code. */
    n = put(b, n, FZ_CODE + off - g->k->ds_base, size == 2 ? 2 : 4);
    b[n++] = one_in(&g->r, 2) ? 0x90 : (uint8_t)hw_rand(&g->r);
    unit(g, b, n);
}

static void make_chunk(struct gen *g, uint32_t at)
{
    struct hw_rng *r = &g->r;
    bool noise = one_in(r, 10);

    g->at = at;
    g->end = at + CHUNK - 36;
    while (g->at < g->end) {
        uint8_t b[15];
        struct insn i;

        if (noise) {
            for (unsigned n = 0; n < 15; n++)
                b[n] = (uint8_t)hw_rand(r);
            if (decode(&i, b, 15, g->k->decode_mode, NULL) == DECODE_OK ? !i.row->skip && !inexact(i.row) :
                                                                 one_in(r, 20))
                unit(g, b, i.len && i.len <= 15 ? i.len : 1);
            continue;
        }
        switch (hw_below(r, 24)) {
        case 0: {
            static const uint8_t use[10] = { 0, 1, 2, 3, 5, 6, 7, 8, 10, 13 };
            unsigned reg = use[hw_below(r, opsize_native(g) == 8 ? 10 : 7)];
            load_imm(g, reg, address(r, g->k) - (opsize_native(g) == 8 ? 0 : g->k->ds_base));
            break;
        }
        case 1:
            if (one_in(r, 4))
                load_imm(g, R_SP, FZ_STACK - g->k->ss_base - 8 * hw_below(r, 64));
            break;
        case 2:                         /* over the next few instructions, maybe into one */
            jump_short(g, 0x70 | (unsigned)hw_below(r, 16), g->at + 2 + (uint32_t)hw_below(r, 20));
            break;
        case 3: {
            uint32_t to = pick(g);
            if (to > g->at)
                jump(g, 0x0f80 | (unsigned)hw_below(r, 16), to);
            break;
        }
        case 4:
            if (one_in(r, 3))
                store_code(g);
            break;
        default:
            random_insn(g);
            break;
        }
    }
    switch (hw_below(r, 4)) {
    case 0:
        break;
    case 1:
        go(g, pick(g));
        break;
    default:
        go(g, pick(g));
        if (one_in(r, 2))
            go(g, pick(g));
        break;
    }
    stop(g);
}

static void make_code(struct gen *g)
{
    struct fuzz_case *k = g->k;
    /* Somewhere near a page's end, so that blocks and links cross it. */
    uint32_t base = 0x1000 * (1 + (uint32_t)hw_below(&g->r, 2)) - (uint32_t)hw_below(&g->r, 900);

    g->nchunks = 3 + (unsigned)hw_below(&g->r, 9);
    for (unsigned n = 0; n < g->nchunks; n++)
        g->chunk[n] = base + n * CHUNK + (one_in(&g->r, 6) && n + 1 < g->nchunks ? 0x1000 * (uint32_t)hw_below(&g->r, 3) : 0);
    memset(k->image + FZ_CODE, 0xf4, FZ_CODE_SIZE);
    for (unsigned n = 0; n < g->nchunks; n++)
        make_chunk(g, g->chunk[n]);
    k->nstarts = g->nchunks;
    memcpy(k->start, g->chunk, sizeof(g->chunk));
}

/* ---- the case ---- */

static void make_mode(struct gen *g)
{
    struct fuzz_case *k = g->k;
    struct hw_rng *r = &g->r;
    static const uint16_t seg[FM_COUNT][2][2] = {       /* CS, data by CPL 0 and 3 */
        [FM_P16] = { { FS_CODE16_0, FS_DATA16_0 }, { FS_CODE16_3, FS_DATA16_3 } },
        [FM_P32] = { { FS_CODE0, FS_DATA0 }, { FS_CODE3, FS_DATA3 } },
        [FM_SEG32] = { { FS_CODES_0, FS_DATAS_0 }, { FS_CODES_3, FS_DATAS_3 } },
        [FM_COMPAT] = { { FS_CODE0, FS_DATA0 }, { FS_CODE3, FS_DATA3 } },
        [FM_LONG] = { { FS_CODE64_0, FS_DATA0 }, { FS_CODE64_3, FS_DATA3 } },
    };

    k->mode = (enum fuzz_mode)(k->seed % FM_COUNT);
    k->cpl = k->mode == FM_V86 || (k->mode != FM_REAL && one_in(r, 2)) ? 3 : 0;
    k->cr0 = CR0_ET | CR0_NE | CR0_MP | (k->mode == FM_REAL ? 0 : CR0_PE) | (one_in(r, 2) ? CR0_AM : 0);
    k->cr4 = CR4_OSFXSR | (one_in(r, 8) ? 0 : CR4_OSXMMEXCPT) | (one_in(r, 2) ? CR4_OSXSAVE : 0) |
             (one_in(r, 2) ? CR4_FSGSBASE : 0);
    if (one_in(r, 12))
        k->cr0 |= one_in(r, 2) ? CR0_TS : CR0_EM;
    if (one_in(r, 12))
        k->cr4 ^= one_in(r, 2) ? CR4_OSFXSR : CR4_TSD;
    if (one_in(r, 6))
        k->cr4 |= one_in(r, 2) ? CR4_UMIP : k->mode == FM_V86 ? CR4_VME : CR4_PVI;
    if (k->mode >= FM_COMPAT)
        k->paging = PG_LONG;
    else if (k->mode != FM_REAL)
        k->paging = (enum fuzz_paging)hw_below(r, 3);
    if (k->paging != PG_NONE) {
        k->cr0 |= CR0_PG | (one_in(r, 3) ? 0 : CR0_WP);
        k->cr3 = FZ_TABLES;
        if (one_in(r, 2))
            k->efer |= EFER_NXE;
        if (one_in(r, 4))
            k->cr4 |= CR4_SMAP;
        if (one_in(r, 6))
            k->cr4 |= CR4_SMEP;
    }
    if (k->paging >= PG_PAE)
        k->cr4 |= CR4_PAE;
    if (k->paging == PG_LONG)
        k->efer |= EFER_LME | EFER_LMA | (one_in(r, 2) ? EFER_SCE : 0);
    k->gate16 = k->mode != FM_REAL && k->paging != PG_LONG && k->mode == FM_P16 && one_in(r, 2);
    k->decode_mode = (k->mode == FM_LONG ? M_CODE64 : k->mode == FM_REAL || k->mode == FM_V86 || k->mode == FM_P16 ?
                      M_CODE16 : M_CODE32) | (k->mode == FM_REAL ? 0 : M_PE) | (k->mode == FM_V86 ? M_VM : 0) |
                     (k->paging == PG_LONG ? M_LMA : 0);
    k->code = FZ_CODE;
    if (k->mode == FM_LONG && one_in(r, 3))
        k->code |= 0xffffff8000000000u;
    if (k->mode == FM_REAL || k->mode == FM_V86) {
        k->cs = FZ_CODE >> 4;
        k->ds = one_in(r, 6) ? FZ_CODE >> 4 : FZ_DATA >> 4;
        k->ss = (FZ_STACK >> 4) - 0x400;
        k->ds_base = k->ds << 4;
        k->ss_base = (uint32_t)k->ss << 4;
    } else {
        k->cs = seg[k->mode][k->cpl == 3][0] | (k->cpl ? 3 : 0);
        k->ds = k->ss = seg[k->mode][k->cpl == 3][1] | (k->cpl ? 3 : 0);
        k->ds_base = k->ss_base = k->mode == FM_P16 ? FZ_DATA : k->mode == FM_SEG32 ? 0x20000 : 0;
    }
    k->cs_base = k->mode == FM_REAL || k->mode == FM_V86 || k->mode == FM_P16 ? FZ_CODE : k->mode == FM_SEG32 ? 0x10000 : 0;
}

void fuzz_make_case(struct fuzz_case *k, uint64_t seed)
{
    struct gen g = { .r = { seed }, .k = k };

    memset(k, 0, sizeof(*k));
    k->seed = seed;
    make_mode(&g);
    make_tables(k);
    make_step(&g);
    if (k->paging != PG_NONE)
        make_pages(&g);
    for (unsigned n = 0; n < FZ_DATA_SIZE; n += HW_DATA_SIZE)
        hw_fill_data(&g.r, k->image + FZ_DATA + n);
    make_code(&g);
}

/* ---- the round ---- */

static void make_segments(struct hw_rng *r, const struct fuzz_case *k, struct fuzz_start *s)
{
    static const uint16_t other[] = { FS_DATA16_3, FS_DATAS_3, FS_DOWN, FS_RO, FS_DATA3, FS_CODE3 };

    for (unsigned n = 0; n < 6; n++)
        s->sel[n] = n == SEG_CS ? k->cs : n == SEG_SS ? k->ss : k->ds;
    if (k->mode == FM_REAL || k->mode == FM_V86) {
        s->sel[SEG_FS] = FZ_CODE >> 4;
        s->sel[SEG_GS] = FZ_MMIO >> 4;
        if (one_in(r, 6))
            s->sel[hw_below(r, 2) ? SEG_ES : SEG_DS] = (uint16_t)(0x2000 + hw_below(r, 0x4000));
    } else if (k->mode != FM_LONG) {
        for (unsigned n = 0; n < 6; n++)
            if (n != SEG_CS && n != SEG_SS && one_in(r, 12))
                s->sel[n] = one_in(r, 3) ? 0 : other[hw_below(r, 6)] | (k->cpl ? 3 : 0);
    }
}

void fuzz_make_start(struct hw_rng *r, const struct fuzz_case *k, struct fuzz_start *s)
{
    bool w64 = k->mode == FM_LONG;

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 16; n++) {
        bool base = n == R_BX || n == R_BP || n == R_SI || n == R_DI || n > R_SP;
        if (!one_in(r, base ? 5 : 2))
            s->r[n] = address(r, k) - (w64 ? 0 : k->ds_base);
        else if (one_in(r, 2))
            s->r[n] = hw_below(r, 64);
        else
            s->r[n] = hw_value(r);
    }
    if (!one_in(r, 4))
        s->r[R_CX] = hw_below(r, 40);
    s->r[R_SP] = FZ_STACK - k->ss_base - 8 * hw_below(r, 64);
    if (one_in(r, 20))
        s->r[R_SP] = address(r, k) - k->ss_base;
    if (k->decode_mode == M_CODE16 && one_in(r, 8))
        s->r[R_SP] = hw_below(r, 8);            /* wraps */
    s->rip = k->code + k->start[hw_below(r, k->nstarts)] - k->cs_base;
    if (one_in(r, 16))
        s->rip += hw_below(r, 40);              /* perhaps into an instruction */
    s->eflags = FL_1 | (hw_rand(r) & (FL_ARITH | (one_in(r, 2) ? FL_DF : 0) | FL_AC));
    s->eflags |= one_in(r, 2) ? FL_IF : 0;
    if (one_in(r, 3))
        s->eflags |= hw_rand(r) & (FL_IOPL | FL_NT | FL_ID);
    if (one_in(r, 24))
        s->eflags |= FL_TF;
    if (k->mode == FM_V86)
        s->eflags |= FL_VM | (one_in(r, 2) ? FL_IOPL : 0);
    s->intr = one_in(r, 16);
    make_segments(r, k, s);
    hw_fp_state(r, &s->fx);
}
