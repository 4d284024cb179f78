/*
 * fuzz_known.c - code that once went wrong, found by the fuzzer and reduced: run
 * first, as one round each.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"

static const struct known {
    const char *what;
    enum fuzz_mode mode;
    unsigned cpl;
    uint8_t code[24];
    struct { uint8_t reg; uint64_t val; } r[2];
    uint32_t mxcsr;
} known[] = {
    { "16-bit address sums wrap at 64 KiB (PUSH DS, SP = 0)", FM_REAL, 0, { 0x1e, 0xf4 }, { { R_SP, 0 } }, 0 },
    { "POPCNT r16 leaves rubbish above (popcnt cx, ax; movzx edx, cx)", FM_LONG, 0,
      { 0x66, 0xf3, 0x0f, 0xb8, 0xc8, 0x0f, 0xb7, 0xd1, 0xf4 }, { { R_AX, ~0ull } }, 0 },
    { "TZCNT r16 leaves rubbish above (tzcnt cx, ax; movzx edx, cx)", FM_LONG, 0,
      { 0x66, 0xf3, 0x0f, 0xbc, 0xc8, 0x0f, 0xb7, 0xd1, 0x85, 0xc0, 0xf4 }, { { R_AX, 0x100 } }, 0 },
    { "MOVSX r16 from AH is not zero-extended (movsx cx, ah; movzx edx, cx)", FM_P32, 0,
      { 0x66, 0x0f, 0xbe, 0xcc, 0x0f, 0xb7, 0xd1, 0xf4 }, { { R_AX, 0x8000 } }, 0 },
    { "aligned operand one byte into page 0 against an empty TLB entry (minpd xmm6, [r10])", FM_LONG, 3,
      { 0x66, 0x41, 0x0f, 0x5d, 0x32, 0xcd, 0x80 }, { { R_10, 0x21 } }, 0 },
    { "flags over an SSE instruction with unmasked exceptions (cmp dx, -1; cvtpi2ps xmm3, mm4)", FM_P32, 0,
      { 0x66, 0x83, 0xfa, 0xff, 0x0f, 0x2a, 0xdc, 0xf4 }, { { R_DX, 0 } }, 0x1d00 },
    { "sticky MXCSR flags over a helper (divps xmm1, xmm5; pcmpestrm xmm1, xmm2, e9h)", FM_LONG, 0,
      { 0x0f, 0x5e, 0xcd, 0x66, 0x0f, 0x3a, 0x60, 0xca, 0xe9, 0xf4 }, { { R_AX, 4 } }, 0x1f80 },
    { "a jump to a page offset of 2 GiB or more (jmp +7fffffffh)", FM_LONG, 0,
      { 0xe9, 0xff, 0xff, 0xff, 0x7f }, { { R_AX, 0 } }, 0 },
    { "a store replaces what overwrites the flags (cmp eax, 1; mov word [rip], 9090h; xor edx, edx; pushfq; pop rbx)",
      FM_LONG, 0, { 0x83, 0xf8, 0x01, 0x66, 0xc7, 0x05, 0, 0, 0, 0, 0x90, 0x90, 0x31, 0xd2, 0x9c, 0x5b, 0xf4 },
      { { R_AX, 0 } }, 0 },
    { "both factors are the product's register at an offset (sub rdx, 100h; imul rdx, rdx)", FM_LONG, 0,
      { 0x48, 0x81, 0xea, 0x00, 0x01, 0x00, 0x00, 0x48, 0x0f, 0xaf, 0xd2, 0xf4 }, { { R_DX, 0x1234567 } }, 0 },
};

bool fuzz_known(unsigned n, struct fuzz_case *k, struct fuzz_start *s, const char **what)
{
    struct hw_rng r = { n };
    const struct known *w = &known[n];
    uint64_t seed = w->mode;

    if (n >= sizeof(known) / sizeof(known[0]))
        return false;
    /* The first seed that gives a plain case of that mode. */
    do {
        fuzz_make_case(k, seed);
        seed += FM_COUNT;
    } while (k->cpl != w->cpl || (k->cr0 & (CR0_TS | CR0_EM)) || !(k->cr4 & CR4_OSFXSR) ||
             !(k->cr4 & CR4_OSXMMEXCPT) || (k->cr4 & CR4_SMAP));
    k->seed = 0;
    k->nunits = 1;
    k->unit[0] = (struct fuzz_unit){ FZ_CODE, sizeof(w->code) };
    memcpy(k->image + FZ_CODE, w->code, sizeof(w->code));
    k->start[0] = 0;
    k->nstarts = 1;
    fuzz_make_start(&r, k, s);
    s->rip = k->code - k->cs_base;
    s->eflags = FL_1 | (k->mode == FM_V86 ? FL_VM : 0);
    s->intr = false;
    for (unsigned i = 0; i < 6; i++)
        s->sel[i] = i == SEG_CS ? k->cs : i == SEG_SS ? k->ss : k->ds;
    for (unsigned i = 0; i < 2; i++)
        if (i == 0 || w->r[i].val)
            s->r[w->r[i].reg] = w->r[i].val;
    s->fx.mxcsr = w->mxcsr ? w->mxcsr : 0x1f80;
    s->fx.fcw = 0x37f;
    s->fx.fsw = 0;
    for (unsigned i = 0; i < 4; i++) {
        s->fx.x[1].f[i] = 1;
        s->fx.x[5].f[i] = 3;
    }
    *what = w->what;
    return true;
}
