/*
 * ac97.c - AC97: the audio controller of Intel's 82801AA (data sheet 290655, chapter 13) with a codec like
 * SigmaTel's STAC9700 (Audio Codec '97, revision 2.3): two channels out, two in, a microphone; variable
 * rates.
 *
 * Each of the three DMA engines walks a ring of 32 buffer descriptors at its codec rate; what is due is
 * moved when a timer fires, and before any register of the controller is read or written, so that positions
 * are exact. Invariants: civ, lvi, piv < 32; an engine runs if its pace has a rate.
 */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "hw/audio_if.h"
#include "hw/pci.h"
#include "hw/plug.h"

#define STEP_MS 10              /* that are moved at once, at most */
#define CHUNK 2048              /* bytes, of whole frames */
#define DESCRIPTORS 32u
#define RATE 48000u
#define RATE_MIN 4000u

enum { PI, PO, MC, ENGINES };

/* registers of an engine, and global ones */
enum { BDBAR = 0x00, CIV = 0x04, LVI = 0x05, SR = 0x06, PICB = 0x08, PIV = 0x0a, CR = 0x0b,
       GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34, NABM_LEN = 0x40, NAM_LEN = 0x100 };
enum { SR_DCH = 1, SR_CELV = 2, SR_LVBCI = 4, SR_BCIS = 8, SR_FIFOE = 0x10,
       SR_CLEAR = SR_LVBCI | SR_BCIS | SR_FIFOE };
enum { CR_RUN = 1, CR_RESET = 2, CR_LVBIE = 4, CR_FEIE = 8, CR_IOCE = 0x10, CR_ALL = 0x1f };
#define CNT_ALL 0x3fu
#define CNT_COLD 2u             /* 0: the codec is held in reset */
#define CNT_WARM 4u
#define STA_READY 0x100u
#define STA_RCS 0x8000u
#define BD_IOC 0x80000000u

/* codec registers */
enum { RESET = 0x00, MASTER = 0x02, HEADPHONE = 0x04, MONO = 0x06, BEEP = 0x0a, PHONE = 0x0c, MIC = 0x0e,
       LINE = 0x10, CD = 0x12,
       VIDEO = 0x14, AUX = 0x16, PCM = 0x18, SELECT = 0x1a, GAIN = 0x1c, GENERAL = 0x20, CONTROL_3D = 0x22,
       POWER = 0x26, EXTENDED_ID = 0x28, EXTENDED = 0x2a, DAC_RATE = 0x2c, ADC_RATE = 0x32, MIC_RATE = 0x34,
       VENDOR1 = 0x7c, VENDOR2 = 0x7e };
#define MUTE 0x8000u
#define VRA 1u
#define VRM 8u

struct engine {
    uint32_t bdbar, addr, flags;        /* of the buffer it is in */
    uint16_t sr, picb;
    uint8_t civ, lvi, piv, cr;
    struct audio_pace pace;
};

struct ac97 {
    struct pci_dev *pci;
    struct clock *clock;
    struct timer timer;
    struct audio *audio;
    struct audio_voice voice;
    uint32_t glob_cnt;
    uint8_t cas;
    uint16_t nam[NAM_LEN / 2];
    struct engine e[ENGINES];
};

#define ENGINE(i)                                                                                            \
    FIELD(struct ac97, e[i].bdbar), FIELD(struct ac97, e[i].addr), FIELD(struct ac97, e[i].flags),           \
    FIELD(struct ac97, e[i].sr), FIELD(struct ac97, e[i].picb), FIELD_MAX(struct ac97, e[i].civ, DESCRIPTORS - 1),    \
    FIELD_MAX(struct ac97, e[i].lvi, DESCRIPTORS - 1), FIELD_MAX(struct ac97, e[i].piv, DESCRIPTORS - 1),    \
    FIELD(struct ac97, e[i].cr),                                                                             \
    FIELD(struct ac97, e[i].pace.start), FIELD(struct ac97, e[i].pace.done),                             \
    FIELD(struct ac97, e[i].pace.rate)

static const struct field ac97_state[] = {
    FIELD(struct ac97, glob_cnt), FIELD(struct ac97, cas), FIELD_ARRAY(struct ac97, nam), ENGINE(PI),
    ENGINE(PO), ENGINE(MC),
    FIELD_END
};

/* ---- codec ---- */

/* Factor of `steps` of 1.5 dB less. */
static double attenuation(int steps)
{
    return pow(10, -1.5 * steps / 20);
}

static void set_volume(struct ac97 *s)
{
    uint16_t master = s->nam[MASTER / 2], pcm = s->nam[PCM / 2];
    uint32_t v[2];

    for (unsigned c = 0; c < 2; c++) {
        unsigned shift = c ? 0 : 8;
        int steps = (master >> shift & 0x1f) + (pcm >> shift & 0x1f) - 8;

        v[c] = (master | pcm) & MUTE ? 0 : steps ? (uint32_t)lrint(attenuation(steps) * AUDIO_UNITY) : AUDIO_UNITY;
    }
    audio_volume(&s->voice, v[0], v[1]);
}

static void codec_reset(struct ac97 *s)
{
    static const struct { uint8_t reg; uint16_t val; } init[] = {
        { RESET, 0x6940 }, { MASTER, MUTE }, { HEADPHONE, MUTE }, { MONO, MUTE }, { PHONE, MUTE | 8 },
        { MIC, MUTE | 8 }, { LINE, MUTE | 0x808 }, { CD, MUTE | 0x808 }, { VIDEO, MUTE | 0x808 },
        { AUX, MUTE | 0x808 }, { PCM, MUTE | 0x808 }, { GAIN, MUTE }, { POWER, 0xf }, { EXTENDED_ID,
                                                                                        VRA | VRM },
        { DAC_RATE, RATE }, { ADC_RATE, RATE }, { MIC_RATE, RATE }, { VENDOR1, 0x8384 }, { VENDOR2, 0x7600 }
    };

    memset(s->nam, 0, sizeof(s->nam));
    for (unsigned i = 0; i < sizeof(init) / sizeof(init[0]); i++)
        s->nam[init[i].reg / 2] = init[i].val;
    set_volume(s);
}

/* Five bits a channel; a sixth that is set stands for the most, as the standard wants. */
static uint16_t five_bits(uint16_t val)
{
    uint16_t v = val & 0x9f1f;

    return v | (val & 0x2000 ? 0x1f00 : 0) | (val & 0x20 ? 0x1f : 0);
}

static uint16_t codec_value(const struct ac97 *s, unsigned reg, uint16_t val)
{
    switch (reg) {
    case MASTER: case HEADPHONE: return five_bits(val);
    case MONO: return five_bits(val) & 0x801f;
    case BEEP: return val & 0x801e;
    case PHONE: return val & 0x801f;
    case MIC: return val & 0x805f;
    case LINE: case CD: case VIDEO: case AUX: case PCM: return val & 0x9f1f;
    case SELECT: return val & 0x0707;
    case GAIN: return val & 0x8f0f;
    case GENERAL: return val & 0x8380;
    case CONTROL_3D: return val & 3;
    case POWER: return (val & 0xff00) | 0xf;
    case EXTENDED: return val & (VRA | VRM);
    case DAC_RATE: case ADC_RATE:
        return !(s->nam[EXTENDED / 2] & VRA) || val > RATE ? RATE : val < RATE_MIN ? RATE_MIN : val;
    case MIC_RATE:
        return !(s->nam[EXTENDED / 2] & VRM) || val > RATE ? RATE : val < RATE_MIN ? RATE_MIN : val;
    }
    return s->nam[reg / 2];     /* read-only, or not there: 0 */
}

/* ---- engines ---- */

static const struct { uint8_t rate_reg, channels; } kinds[ENGINES] = {
    [PI] = { ADC_RATE, 2 }, [PO] = { DAC_RATE, 2 }, [MC] = { MIC_RATE, 1 }
};

static struct audio_format format_of(const struct ac97 *s, unsigned n)
{
    return (struct audio_format){ s->nam[kinds[n].rate_reg / 2], kinds[n].channels, SAMPLE_S16 };
}

static uint32_t glob_sta(const struct ac97 *s)
{
    static const uint32_t bit[ENGINES] = { [PI] = 1u << 5, [PO] = 1u << 6, [MC] = 1u << 7 };
    uint32_t sta = s->glob_cnt & CNT_COLD ? STA_READY : 0;

    for (unsigned n = 0; n < ENGINES; n++) {
        const struct engine *e = &s->e[n];

        if ((e->sr & SR_LVBCI && e->cr & CR_LVBIE) || (e->sr & SR_BCIS && e->cr & CR_IOCE) ||
            (e->sr & SR_FIFOE && e->cr & CR_FEIE))
            sta |= bit[n];
    }
    return sta;
}

static void update_irq(struct ac97 *s)
{
    pci_irq(s->pci, glob_sta(s) & 0xe0);
}

/* The buffer that comes next. */
static bool fetch(struct ac97 *s, struct engine *e)
{
    uint8_t b[8];

    if (!pci_dma_read(s->pci, e->bdbar + 8 * e->piv, b, 8)) {
        e->sr |= SR_FIFOE;
        e->flags = e->addr = e->picb = 0;
        return false;
    }
    e->addr = (b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24) & ~1u;
    e->flags = (uint32_t)b[7] << 24;
    e->picb = b[4] | b[5] << 8;
    e->civ = e->piv;
    e->piv = (e->piv + 1) % DESCRIPTORS;
    return true;
}

static void halt(struct ac97 *s, unsigned n)
{
    s->e[n].sr |= SR_DCH;
    s->e[n].pace.rate = 0;
    if (n == PO)
        audio_stop(&s->voice);
}

static void run(struct ac97 *s, unsigned n)
{
    struct engine *e = &s->e[n];
    struct audio_format f = format_of(s, n);

    e->sr &= ~(SR_DCH | SR_CELV);
    audio_pace_start(&e->pace, clock_now(s->clock), f.rate);
    if (n == PO)
        audio_start(&s->voice, &f);
    if (!fetch(s, e))
        halt(s, n);
}

static void buffer_end(struct ac97 *s, unsigned n)
{
    struct engine *e = &s->e[n];

    if (e->flags & BD_IOC)
        e->sr |= SR_BCIS;
    if (e->civ == e->lvi) {
        e->sr |= SR_LVBCI | SR_CELV;
        halt(s, n);
    } else if (!fetch(s, e)) {
        halt(s, n);
    }
}

/* Moves up to `frames`; how many. */
static unsigned move(struct ac97 *s, unsigned n, unsigned frames)
{
    struct engine *e = &s->e[n];
    struct audio_format f = format_of(s, n);
    unsigned bytes = 2 * f.channels, max = e->picb / f.channels;
    uint8_t buf[CHUNK];

    frames = frames < max ? frames : max;
    frames = frames < CHUNK / bytes ? frames : CHUNK / bytes;
    if (n == PO) {
        if (!pci_dma_read(s->pci, e->addr, buf, frames * bytes))
            memset(buf, 0, frames * bytes);
        audio_write(&s->voice, buf, frames);
    } else {
        audio_read(s->audio, &f, buf, frames);
        pci_dma_write(s->pci, e->addr, buf, frames * bytes);
    }
    e->addr += frames * bytes;
    e->picb -= frames * f.channels;
    return frames;
}

static void advance(struct ac97 *s, unsigned n)
{
    struct engine *e = &s->e[n];
    unsigned due = audio_pace_due(&e->pace, clock_now(s->clock)), empty = 0;

    while (due && e->pace.rate && empty < DESCRIPTORS) {
        unsigned k = move(s, n, due);

        due -= k;
        audio_pace_took(&e->pace, k);
        if (e->picb < kinds[n].channels) {      /* a half frame at the end counts for none */
            empty = k ? 0 : empty + 1;
            e->picb = 0;
            buffer_end(s, n);
        }
    }
    if (empty == DESCRIPTORS) {                 /* a ring of nothing: no time passes in it */
        log_msg(LOG_GUEST, "ac97: all buffer descriptors are empty");
        audio_pace_took(&e->pace, due);
    }
}

/* For the next end of a buffer. */
static void arm(struct ac97 *s)
{
    uint64_t next = UINT64_MAX;

    for (unsigned n = 0; n < ENGINES; n++) {
        const struct engine *e = &s->e[n];

        if (e->pace.rate) {
            unsigned left = e->picb / kinds[n].channels, step = e->pace.rate * STEP_MS / 1000;
            uint64_t at = audio_pace_when(&e->pace, left < step ? (left ? left : 1) : step);

            next = at < next ? at : next;
        }
    }
    if (next == UINT64_MAX)
        timer_cancel(&s->timer);
    else
        timer_set(&s->timer, next);
}

static void catch_up(struct ac97 *s)
{
    for (unsigned n = 0; n < ENGINES; n++)
        if (s->e[n].pace.rate)
            advance(s, n);
    arm(s);
    update_irq(s);
}

static void fire(void *dev)
{
    catch_up(dev);
}

/* ---- registers ---- */

static uint64_t nam_read(void *dev, uint64_t off, unsigned size)
{
    struct ac97 *s = dev;

    s->cas = 0;
    return s->glob_cnt & CNT_COLD ? s->nam[off / 2] : 0xffff;
}

static void nam_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ac97 *s = dev;
    unsigned reg = off & ~1u;

    s->cas = 0;
    if (!(s->glob_cnt & CNT_COLD))
        return;                 /* the codec is in reset */
    catch_up(s);
    if (reg == RESET)
        codec_reset(s);
    else
        s->nam[reg / 2] = codec_value(s, reg, val);
    if (reg == EXTENDED) {      /* rates go back where they are fixed */
        for (unsigned n = 0; n < ENGINES; n++)
            s->nam[kinds[n].rate_reg / 2] = codec_value(s, kinds[n].rate_reg, s->nam[kinds[n].rate_reg / 2]);
    }
    set_volume(s);
    for (unsigned n = 0; n < ENGINES; n++) {    /* a rate that changes while it runs */
        struct engine *e = &s->e[n];
        struct audio_format f = format_of(s, n);

        if (!e->pace.rate || e->pace.rate == f.rate)
            continue;
        audio_pace_start(&e->pace, clock_now(s->clock), f.rate);
        if (n == PO)
            audio_start(&s->voice, &f);
    }
    catch_up(s);
}

static void engine_reset(struct ac97 *s, unsigned n)
{
    if (n == PO)
        audio_stop(&s->voice);
    s->e[n] = (struct engine){ .sr = SR_DCH, .cr = s->e[n].cr & (CR_LVBIE | CR_FEIE | CR_IOCE) };
}

static void cr_write(struct ac97 *s, unsigned n, uint8_t val)
{
    struct engine *e = &s->e[n];

    if (val & CR_RESET) {
        e->cr &= ~CR_RUN;
        engine_reset(s, n);
        e->cr = 0;
        return;
    }
    if (val & CR_RUN && !(e->cr & CR_RUN)) {
        e->cr = val & CR_ALL;
        if (e->picb && !(e->sr & SR_CELV)) {    /* paused: goes on where it was */
            struct audio_format f = format_of(s, n);

            e->sr &= ~SR_DCH;
            audio_pace_start(&e->pace, clock_now(s->clock), f.rate);
            if (n == PO)
                audio_start(&s->voice, &f);
        } else {
            run(s, n);
        }
    } else if (!(val & CR_RUN) && e->cr & CR_RUN) {
        halt(s, n);
    }
    e->cr = val & CR_ALL;
}

static void lvi_write(struct ac97 *s, unsigned n, uint8_t val)
{
    struct engine *e = &s->e[n];

    e->lvi = val % DESCRIPTORS;
    if (e->cr & CR_RUN && e->sr & SR_CELV)
        run(s, n);
}

static uint8_t nabm_byte(struct ac97 *s, unsigned off)
{
    const struct engine *e = &s->e[off / 16 % ENGINES];

    if (off >= GLOB_CNT && off < GLOB_CNT + 4)
        return s->glob_cnt >> 8 * (off - GLOB_CNT);
    if (off >= GLOB_STA && off < GLOB_STA + 4)
        return glob_sta(s) >> 8 * (off - GLOB_STA);
    if (off == CAS) {           /* reading takes the semaphore, an access to the codec gives it back */
        uint8_t was = s->cas;

        s->cas = 1;
        return was;
    }
    if (off >= GLOB_CNT)
        return 0;
    switch (off & 15) {
    case BDBAR: case BDBAR + 1: case BDBAR + 2: case BDBAR + 3: return e->bdbar >> 8 * (off & 3);
    case CIV: return e->civ;
    case LVI: return e->lvi;
    case SR: return e->sr;
    case PICB: return e->picb;
    case PICB + 1: return e->picb >> 8;
    case PIV: return e->piv;
    case CR: return e->cr;
    }
    return 0;
}

static uint64_t nabm_read(void *dev, uint64_t off, unsigned size)
{
    struct ac97 *s = dev;
    uint64_t v = 0;

    catch_up(s);
    for (unsigned i = 0; i < size && off + i < NABM_LEN; i++)
        v |= (uint64_t)nabm_byte(s, off + i) << 8 * i;
    return v;
}

static void glob_cnt_write(struct ac97 *s, uint32_t val)
{
    if (!(val & CNT_COLD) && s->glob_cnt & CNT_COLD) {
        for (unsigned n = 0; n < ENGINES; n++)
            engine_reset(s, n);
        codec_reset(s);
    }
    s->glob_cnt = val & CNT_ALL & ~CNT_WARM;    /* a warm reset is over at once */
}

static void nabm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ac97 *s = dev;

    catch_up(s);
    for (unsigned i = 0; i < size && off + i < NABM_LEN; i++, val >>= 8) {
        unsigned at = off + i, n = at / 16, shift = 8 * (at & 3);
        struct engine *e = &s->e[n % ENGINES];

        if (at == GLOB_CNT)
            glob_cnt_write(s, val);             /* all that is there is in the lowest byte */
        else if (at == CAS)
            s->cas = val & 1;
        if (at >= GLOB_CNT)
            continue;
        switch (at & 15) {
        case BDBAR: case BDBAR + 1: case BDBAR + 2: case BDBAR + 3:
            e->bdbar = ((e->bdbar & ~(0xffu << shift)) | (uint32_t)(val & 0xff) << shift) & ~7u;
            break;
        case LVI:
            lvi_write(s, n, val);
            break;
        case SR:
            e->sr &= ~(val & SR_CLEAR);
            break;
        case CR:
            cr_write(s, n, val);
            break;
        }
    }
    catch_up(s);
}

static const struct io_ops nam_ops = { nam_read, nam_write, 2, LOG_DEV_AC97 };
static const struct io_ops nabm_ops = { nabm_read, nabm_write, 1 | 2 | 4, LOG_DEV_AC97 };

static void ac97_reset(void *dev)
{
    struct ac97 *s = dev;

    for (unsigned n = 0; n < ENGINES; n++) {
        s->e[n].cr = 0;
        engine_reset(s, n);
    }
    s->glob_cnt = s->cas = 0;
    codec_reset(s);
    catch_up(s);
}

static const char *ac97_check(const void *dev)
{
    const struct ac97 *s = dev;
    const char *why = NULL;

    for (unsigned n = 0; n < ENGINES && !why; n++) {
        unsigned rate = s->nam[kinds[n].rate_reg / 2];

        if (rate < RATE_MIN || rate > RATE)
            return "the mixer has a rate that the codec has not";
        rate = format_of(s, n).rate;
        why = audio_pace_check(&s->e[n].pace, rate, rate);
    }
    return why;
}

static void ac97_loaded(void *dev)
{
    struct ac97 *s = dev;

    audio_stop(&s->voice);
    if (s->e[PO].pace.rate) {
        struct audio_format f = format_of(s, PO);

        audio_start(&s->voice, &f);
    }
    set_volume(s);
    arm(s);
    update_irq(s);
}

static void ac97_free(void *dev)
{
    audio_voice_free(&((struct ac97 *)dev)->voice);
}

static const struct chip ac97_chip = { "ac97", sizeof(struct ac97), ac97_reset, ac97_state, ac97_loaded,
                                       ac97_free, .check = ac97_check };

struct ac97_props {
    struct plug_common common;
    struct audio *audio;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x2415, .class = 0x040100, .revision = 1,
                                         .subvendor = 0x8086, .subdevice = 0, .pin = 1 };
    const struct ac97_props *p = props;
    struct ac97 *s;

    s = chip_new(env->m->chips, &ac97_chip, p->common.name);
    s->pci = pci_add(env->pci, p->common.name, p->common.slot, p->common.fn, &id);
    s->clock = env->m->clock;
    s->audio = p->audio;
    timer_init(&s->timer, s->clock, fire, s);
    audio_voice_init(&s->voice, s->audio);
    pci_bar(s->pci, 0, NAM_LEN, PCI_BAR_IO, &nam_ops, s);
    pci_bar(s->pci, 1, NABM_LEN, PCI_BAR_IO, &nabm_ops, s);
    ac97_reset(s);
}

static const struct prop ac97_prop[] = {
    { "audiodev", PROP_AUDIODEV, offsetof(struct ac97_props, audio), 0, 0,
      "where its sound goes (-audiodev); none: nowhere" },
    PROP_END
};

const struct plug ac97_plug = { "AC97", "Intel 82801AA sound (AC'97)", "PCI", sizeof(struct ac97_props), NULL,
                                ac97_prop, make };
