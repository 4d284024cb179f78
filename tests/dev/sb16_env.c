/* sb16_env.c - see sb16_env.h. */
#include "tests/dev/sb16_env.h"

#include <check.h>
#include <stddef.h>

struct bus_env *b;
struct audio_env *a;

static struct irq isa_irq(struct machine *m, unsigned irq, unsigned source)
{
    return env_line((struct env *)((char *)m - offsetof(struct env, m)), (int)irq);
}

void sb16_setup(const char *version, unsigned rate)
{
    b = bus_env_new();
    a = audio_env_new(rate);
    b->plugs.isa_irq = isa_irq;
    b->plugs.dma = dma8237_new(b->e->chips, b->e->ports, b->e->phys);
    out(0xd6, 0xc0);            /* channel 4 cascades */
    out(0xd4, 0);
    bus_env_plug(b, "sb16", "version", version, "audiodev", &a->audio, NULL);
    for (uint8_t reg = 0x30; reg < 0x36; reg++)
        mixer(reg, 0xf8);
    ck_assert(dsp_reset());
}

void sb16_teardown(void)
{
    env_check_state(b->e);
    bus_env_free(b);
    audio_env_free(a);
}

void dsp(uint8_t val)
{
    for (unsigned i = 0; in(SB + 0xc) & 0x80; i++) {
        ck_assert_uint_lt(i, 100);
        pass(1000);
    }
    out(SB + 0xc, val);
}

uint8_t dsp_answer(void)
{
    for (unsigned i = 0; !(in(SB + 0xe) & 0x80); i++) {
        ck_assert_uint_lt(i, 100);
        pass(1000);
    }
    return in(SB + 0xa);
}

bool dsp_reset(void)
{
    out(SB + 6, 1);
    pass(3000);
    out(SB + 6, 0);
    for (unsigned i = 0; i < 100; i++, pass(1000))
        if (in(SB + 0xe) & 0x80)
            return in(SB + 0xa) == 0xaa;
    return false;
}

void mixer(uint8_t reg, uint8_t val)
{
    out(SB + 4, reg);
    out(SB + 5, val);
}

uint8_t mixer_get(uint8_t reg)
{
    out(SB + 4, reg);
    return in(SB + 5);
}

void dma_program(unsigned ch, uint32_t at, unsigned len, uint8_t mode)
{
    static const uint8_t page[8] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
    unsigned wide = ch >> 2, n = ch & 3, base = wide ? 0xc0 : 0, count = (len >> wide) - 1;
    uint16_t addr = (uint16_t)(at >> wide);

    out(wide ? 0xd4 : 0x0a, 4 | n);
    out(wide ? 0xd8 : 0x0c, 0);
    out(wide ? 0xd6 : 0x0b, mode | n);
    out(base + (2 * n << wide), addr);
    out(base + (2 * n << wide), addr >> 8);
    out(base + ((2 * n + 1) << wide), count);
    out(base + ((2 * n + 1) << wide), count >> 8);
    out(page[ch], at >> 16);
    out(wide ? 0xd4 : 0x0a, n);
}
