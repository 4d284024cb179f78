/*
 * vga_env.h - a VGA with 4 MiB, its memory also at LFB, a cable that counts, and modes as the BIOS sets them.
 */
#ifndef TESTS_DEV_VGA_ENV_H
#define TESTS_DEV_VGA_ENV_H

#include <check.h>

#include "hw/video/vga_int.h"
#include "tests/dev/chipset_env.h"

#define LFB 0xfd000000u
#define MS  1000000ull

extern struct env *e;
extern struct vga *v;
extern struct display cable;
extern unsigned resizes, damages;
extern struct hurt { unsigned x0, y0, x1, y1; } hurt;   /* around all damage since look() */
extern uint64_t seed;

uint32_t rnd(void);
void vga_setup(void);
void vga_teardown(void);
void out(unsigned port, unsigned val);
unsigned in(unsigned port);
void reg(unsigned port, unsigned index, unsigned val);  /* behind an index */
unsigned get(unsigned port, unsigned index);
void attr(unsigned index, unsigned val);
void vbe(unsigned index, unsigned val);
unsigned vbe_get(unsigned index);
void poke(unsigned off, unsigned val);                  /* in the window */
unsigned peek(unsigned off);

struct mode {
    uint8_t misc, seq[5], cr[25], gc[9], ac[21];
};
extern const struct mode mode3, mode1, mode4, mode6, mode0d, mode12, mode13;
/* Colour i of the DAC gets rgb(i) as well. */
void set_mode(const struct mode *);
uint32_t rgb(unsigned i);
const struct surface *look(void);
uint32_t dot(const struct surface *, unsigned x, unsigned y);
/* Not an assertion for each dot: check notes the place of each one in a file. */
void ck_dot(const struct surface *, unsigned x, unsigned y, unsigned colour);
/* The first `len` bytes of each plane at random. */
void fill(unsigned len);
unsigned plane(unsigned p, unsigned n);

#endif
