/*
 * opl3.c - YM3812 (OPL2) and YMF262 (OPL3), FM synthesisers: registers, timers, and when frames are made
 * (application manuals of both chips). The sound is opl3_synth.c.
 *
 *   +0  status; which register of the first half    +1  its data
 *   +2  which register of the second half           +3  its data: as +1. The YM3812 has the first two ports only.
 *
 * Frames are made at 49716 Hz of virtual time: what is due is made before a register changes, and by a timer while
 * something sounds. Nothing is made while all envelopes are at their end. The timers count without host timers: an
 * overflow is noticed when status is read. Invariants: index < 200h; level <= 511; stage < STAGES.
 */
#include "hw/audio/opl3_int.h"

#include <string.h>

#include "base/log.h"
#include "hw/plug.h"

#define CHUNK 256u              /* frames that are made at once */
#define STEP 480u               /* the timer comes as often */
#define LINGER (OPL3_RATE / 4)
#define SECOND 1000000000ull

enum { STATUS_IRQ = 0x80, STATUS_T1 = 0x40, STATUS_T2 = 0x20, STATUS_OPL2 = 0x06 };
enum { CTL_START1 = 0x01, CTL_START2 = 0x02, CTL_CLEAR = 0x80 };

static const struct audio_format format = { OPL3_RATE, 2, SAMPLE_S16 };

/* ---- frames ---- */

static void make_frames(struct opl3 *o, unsigned due)
{
    while (due && o->pace.rate) {
        unsigned n = due < CHUNK ? due : CHUNK;
        uint8_t buf[4 * CHUNK];

        for (unsigned i = 0; i < n; i++) {
            int16_t f[2];

            opl3_frame(o, f);
            for (unsigned c = 0; c < 2; c++) {
                buf[4 * i + 2 * c] = f[c];
                buf[4 * i + 2 * c + 1] = f[c] >> 8;
            }
        }
        audio_write(&o->voice, buf, n);
        audio_pace_took(&o->pace, n);
        due -= n;
        o->idle = opl3_is_silent(o) ? o->idle + n : 0;
        if (o->idle >= LINGER) {
            o->pace.rate = 0;
            audio_stop(&o->voice);
        }
    }
}

void opl3_catch_up(struct opl3 *o)
{
    make_frames(o, audio_pace_due(&o->pace, clock_now(o->clock)));
}

static void arm(struct opl3 *o)
{
    if (o->pace.rate)
        timer_set(&o->timer, audio_pace_when(&o->pace, STEP));
    else
        timer_cancel(&o->timer);
}

static void fire(void *dev)
{
    struct opl3 *o = dev;

    opl3_catch_up(o);
    arm(o);
}

/* ---- timers ---- */

/* Timer 1 counts every fourth frame, timer 2 every sixteenth, up from what its register has. */
static uint64_t period(const struct opl3 *o, unsigned t)
{
    return (256u - o->regs[2 + t]) * (t ? 16 : 4) * SECOND / OPL3_RATE;
}

static void timers_catch_up(struct opl3 *o)
{
    static const uint8_t flag[2] = { STATUS_T1, STATUS_T2 };
    uint64_t now = clock_now(o->clock);

    for (unsigned t = 0; t < 2; t++) {
        if (o->overflow[t] > now)
            continue;
        if (!(o->regs[4] & flag[t]))            /* not masked */
            o->status |= flag[t] | STATUS_IRQ;
        o->overflow[t] += ((now - o->overflow[t]) / period(o, t) + 1) * period(o, t);
    }
}

static void control_timers(struct opl3 *o, uint8_t val)
{
    if (val & CTL_CLEAR) {      /* the other bits are not looked at */
        o->status = 0;
        return;
    }
    for (unsigned t = 0; t < 2; t++) {
        bool on = val & (t ? CTL_START2 : CTL_START1);

        if (!on)
            o->overflow[t] = UINT64_MAX;
        else if (o->overflow[t] == UINT64_MAX)
            o->overflow[t] = clock_now(o->clock) + period(o, t);
    }
    o->regs[4] = val;
}

/* ---- registers ---- */

static void write_reg(struct opl3 *o, unsigned reg, uint8_t val)
{
    opl3_catch_up(o);
    timers_catch_up(o);
    if (reg == 4) {
        control_timers(o, val);
        return;
    }
    if (reg == 8 && val & 0x80)
        log_msg(LOG_UNIMP, "opl3: composite speech mode (register 08h, bit 7)");
    if ((reg == 1 || reg == 0x101) && val & 0x1f)
        log_msg(LOG_UNIMP, "opl3: test register %03x: %02x", reg, val);
    o->regs[reg] = val;
    opl3_update(o);
    if (!o->pace.rate && !opl3_is_silent(o)) {
        o->idle = 0;
        audio_pace_start(&o->pace, clock_now(o->clock), OPL3_RATE);
        audio_start(&o->voice, &format);
    }
    arm(o);
}

static uint64_t opl3_read(void *dev, uint64_t off, unsigned size)
{
    struct opl3 *o = dev;

    if (o->kind == OPL2 && off)
        return 0xff;
    timers_catch_up(o);
    return off & 1 ? 0 : o->status | (o->kind == OPL2 ? STATUS_OPL2 : 0);
}

/* The second half is there once bit 0 of its register 05h is set, which alone can be reached before. */
static void opl3_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct opl3 *o = dev;

    if (off & 1)
        write_reg(o, o->index, val);
    else
        o->index = (val & 0xff) | (off == 2 && o->kind == OPL3 && (opl3_is_new(o) || val == 5) ? 0x100 : 0);
}

static const struct io_ops opl3_ops = { opl3_read, opl3_write, 1, LOG_DEV_OPL3 };

/* ---- the chip ---- */

static void opl3_reset(void *dev)
{
    struct opl3 *o = dev;

    audio_stop(&o->voice);
    o->pace = (struct audio_pace){ 0 };
    memset(o->regs, 0, sizeof(o->regs));
    memset(o->phase, 0, sizeof(o->phase));
    memset(o->stage, STAGE_OFF, sizeof(o->stage));
    memset(o->keyed, 0, sizeof(o->keyed));
    memset(o->out, 0, sizeof(o->out));
    memset(o->before, 0, sizeof(o->before));
    for (unsigned n = 0; n < OPL3_SLOTS; n++)
        o->level[n] = OPL3_SILENT;
    o->index = o->status = o->count = o->idle = 0;
    o->noise = 1;
    o->overflow[0] = o->overflow[1] = UINT64_MAX;
    opl3_update(o);
    arm(o);
}

static const char *opl3_check(const void *dev)
{
    return audio_pace_check(&((const struct opl3 *)dev)->pace, OPL3_RATE, OPL3_RATE);
}

static void opl3_loaded(void *dev)
{
    struct opl3 *o = dev;

    audio_stop(&o->voice);
    o->noise = (o->noise & 0x7fffff) ? o->noise & 0x7fffff : 1;
    for (unsigned n = 0; n < OPL3_SLOTS; n++) {
        o->keyed[n] = o->keyed[n] != 0;
    }
    opl3_update(o);
    if (o->pace.rate) {
        o->pace.rate = OPL3_RATE;
        audio_start(&o->voice, &format);
    }
    arm(o);
}

static void opl3_free(void *dev)
{
    audio_voice_free(&((struct opl3 *)dev)->voice);
}

static const struct field opl3_state[] = {
    FIELD(struct opl3, pace.start), FIELD(struct opl3, pace.done), FIELD(struct opl3, pace.rate),
    FIELD(struct opl3, idle), FIELD_ARRAY(struct opl3, regs), FIELD_MAX(struct opl3, index, 0x1ff),
    FIELD(struct opl3, status),
    FIELD_ARRAY(struct opl3, overflow), FIELD_ARRAY(struct opl3, phase),
    FIELD_ARRAY_MAX(struct opl3, level, OPL3_SILENT),
    FIELD_ARRAY_MAX(struct opl3, stage, STAGES - 1), FIELD_ARRAY(struct opl3, keyed), FIELD_ARRAY(struct opl3, out),
    FIELD_ARRAY(struct opl3, before), FIELD(struct opl3, count), FIELD(struct opl3, noise), FIELD_END
};

static const struct chip opl3_chip = {
    "opl3", sizeof(struct opl3), opl3_reset, opl3_state, opl3_loaded, opl3_free, .check = opl3_check
};

struct opl3 *opl3_new(struct chip_list *chips, const char *name, enum opl3_kind kind, struct clock *clock,
                      struct audio *audio)
{
    struct opl3 *o = chip_new(chips, &opl3_chip, name);

    opl3_tables();
    o->kind = kind;
    o->clock = clock;
    timer_init(&o->timer, clock, fire, o);
    audio_voice_init(&o->voice, audio);
    opl3_reset(o);
    return o;
}

void opl3_map(struct opl3 *o, struct ports *ports, uint16_t base, unsigned len, const char *name)
{
    ports_map(ports, base, len, &opl3_ops, o, name);
}

void opl3_volume(struct opl3 *o, uint32_t left, uint32_t right)
{
    audio_volume(&o->voice, left, right);
}

/* ---- a card with nothing else ---- */

struct adlib_props {
    struct plug_common common;
    struct audio *audio;
    uint64_t iobase;
    bool opl3;
};

static void make_adlib(struct plug_env *env, void *bus, const void *props)
{
    const struct adlib_props *p = props;
    struct machine *m = env->m;

    opl3_map(opl3_new(m->chips, p->common.name, p->opl3 ? OPL3 : OPL2, m->clock, p->audio), m->ports,
             (uint16_t)p->iobase, p->opl3 ? 4 : 2, p->common.name);
}

static const struct prop adlib_prop[] = {
    { "audiodev", PROP_AUDIODEV, offsetof(struct adlib_props, audio), 0, 0,
      "where its sound goes (-audiodev); none: nowhere" },
    { "iobase", PROP_NUMBER, offsetof(struct adlib_props, iobase), 0x100, 0xfff0, "its first port" },
    { "opl3", PROP_BOOL, offsetof(struct adlib_props, opl3), 0, 0, "a YMF262 (OPL3) instead of the YM3812" },
    PROP_END
};

const struct plug adlib_plug = {
    "adlib", "AdLib: FM synthesiser YM3812 (OPL2)", "ISA", sizeof(struct adlib_props),
    &(const struct adlib_props){ .iobase = 0x388 }, adlib_prop, make_adlib
};
