/* sb16_env.h - a Sound Blaster 16 with its interrupt lines and DMA controllers, and a small driver for tests. */
#ifndef TESTS_DEV_SB16_ENV_H
#define TESTS_DEV_SB16_ENV_H

#include "hw/dma8237.h"
#include "tests/dev/audio_env.h"
#include "tests/dev/bus_env.h"

#define SB 0x220
#define MS 1000000ull

extern struct bus_env *b;
extern struct audio_env *a;

/* `version` as the property; the outside takes `rate` frames. Volumes are at their highest. */
void sb16_setup(const char *version, unsigned rate);
void sb16_teardown(void);

static inline uint8_t in(uint16_t port) { return (uint8_t)ports_read(b->e->ports, port, 1); }
static inline void out(uint16_t port, uint8_t v) { ports_write(b->e->ports, port, v, 1); }
static inline void pass(uint64_t ns) { clock_advance(b->e->clock, ns); }
/* Waits, as drivers do. */
void dsp(uint8_t val);
uint8_t dsp_answer(void);
/* Returns whether AAh came. */
bool dsp_reset(void);
void mixer(uint8_t reg, uint8_t val);
uint8_t mixer_get(uint8_t reg);
/* Channel `ch` of the DMA controllers: `len` bytes at `at`, with the 8237A's mode bits. */
void dma_program(unsigned ch, uint32_t at, unsigned len, uint8_t mode);

enum { DMA_READ = 0x48, DMA_WRITE = 0x44, DMA_AUTO = 0x10 };

#endif
