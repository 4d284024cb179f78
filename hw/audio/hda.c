/*
 * hda.c - Intel High Definition Audio controllers of the ICH6 and ICH9 (High Definition Audio Specification
 * 1.0a, chapters 3 and 4; Intel 82801FB data sheet 301473).
 *
 * Four streams in, four out. A stream's frames are due at the rate its format says, on the virtual clock;
 * what is due is moved when a timer fires, and before any register is accessed. Commands in the CORB are
 * carried out when software says that there are new ones: codecs take no time. Invariants: part < 64, bytes
 * of a frame that is not whole; a stream moves if its pace has a rate.
 */
#include "hw/audio/hda.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/pci.h"

#define STEP_MS 10              /* that are moved at once, at most */
#define CHUNK 4096              /* bytes */
#define FRAME_MAX 64            /* bytes: 16 channels of 32 bits */
#define RATE_MIN (44100u / 8)
#define STREAMS_IN 4
#define STREAMS 8
#define SD_AT 0x80u
#define SD_LEN 0x20u
#define REGS_END (SD_AT + STREAMS * SD_LEN)
#define BAR_LEN 0x4000
#define RING 256u               /* entries of CORB and RIRB */
#define EMPTY_MAX 256           /* buffers without length that are passed at once */

enum { GCAP = 0x00, VMIN = 0x02, VMAJ = 0x03, OUTPAY = 0x04, INPAY = 0x06, GCTL = 0x08, WAKEEN = 0x0c,
       STATESTS = 0x0e,
       GSTS = 0x10, INTCTL = 0x20, INTSTS = 0x24, WALCLK = 0x30, SSYNC = 0x38, CORBLBASE = 0x40,
       CORBUBASE = 0x44,
       CORBWP = 0x48, CORBRP = 0x4a, CORBCTL = 0x4c, CORBSTS = 0x4d, CORBSIZE = 0x4e, RIRBLBASE = 0x50,
       RIRBUBASE = 0x54,
       RIRBWP = 0x58, RINTCNT = 0x5a, RIRBCTL = 0x5c, RIRBSTS = 0x5d, RIRBSIZE = 0x5e, ICOI = 0x60,
       ICII = 0x64,
       ICIS = 0x68, DPLBASE = 0x70, DPUBASE = 0x74 };
/* of a stream */
enum { SD_CTL = 0x00, SD_STS = 0x03, SD_LPIB = 0x04, SD_CBL = 0x08, SD_LVI = 0x0c, SD_FIFOS = 0x10,
       SD_FMT = 0x12,
       SD_BDPL = 0x18, SD_BDPU = 0x1c };
enum { CTL_SRST = 1, CTL_RUN = 2, CTL_IOCE = 4, CTL_FEIE = 8, CTL_DEIE = 0x10 };
enum { STS_BCIS = 4, STS_FIFOE = 8, STS_DESE = 0x10, STS_READY = 0x20,
       STS_ALL = STS_BCIS | STS_FIFOE | STS_DESE };
#define CRST 1u
#define CORB_RUN 2u
#define RIRB_INT 1u
#define RIRB_DMA 2u
#define RINTFL 1u
#define POINTER_RESET 0x8000u
#define ICB 1u
#define IRV 2u
#define INT_GLOBAL (1u << 31)
#define INT_CONTROLLER (1u << 30)
#define DP_ENABLE 1u

/* What there is, what it is after reset, and which bits software writes (1 to clear: ones). */
static const struct reg { uint8_t off, size; uint32_t init, write, ones; } regs[] = {
    { GCAP, 2, 0x4401, 0, 0 }, { VMAJ, 1, 1, 0, 0 }, { OUTPAY, 2, 0x3c, 0, 0 }, { INPAY, 2, 0x1d, 0, 0 },
    { GCTL, 4, 0, 0x101, 0 }, { WAKEEN, 2, 0, 0x7fff, 0 }, { STATESTS, 2, 0, 0, 0x7fff }, { GSTS, 2, 0, 0,
                                                                                            2 },
    { INTCTL, 4, 0, 0xc00000ff, 0 }, { SSYNC, 4, 0, 0xff, 0 },
    { CORBLBASE, 4, 0, 0xffffff80, 0 }, { CORBUBASE, 4, 0, 0xffffffff, 0 }, { CORBWP, 2, 0, 0xff, 0 },
    { CORBRP, 2, 0, 0, 0 }, { CORBCTL, 1, 0, 3, 0 }, { CORBSTS, 1, 0, 0, 1 }, { CORBSIZE, 1, 0x42, 0, 0 },
    { RIRBLBASE, 4, 0, 0xffffff80, 0 }, { RIRBUBASE, 4, 0, 0xffffffff, 0 }, { RIRBWP, 2, 0, 0, 0 },
    { RINTCNT, 2, 0, 0xff, 0 }, { RIRBCTL, 1, 0, 7, 0 }, { RIRBSTS, 1, 0, 0, 5 }, { RIRBSIZE, 1, 0x42, 0, 0 },
    { ICOI, 4, 0, 0xffffffff, 0 }, { ICIS, 2, 0, 0, IRV }, { DPLBASE, 4, 0, 0xffffff81, 0 }, { DPUBASE, 4, 0,
        0xffffffff, 0 },
};
static const struct reg sd_regs[] = {
    { SD_CTL, 3, 0, 0xff001f, 0 }, { SD_STS, 1, STS_READY, 0, STS_ALL }, { SD_CBL, 4, 0, 0xffffffff, 0 },
    { SD_LVI, 2, 0, 0xff, 0 }, { SD_FIFOS, 2, 0xbf, 0, 0 }, { SD_FMT, 2, 0, 0x7f7f, 0 },
    { SD_BDPL, 4, 0, 0xffffff80, 0 }, { SD_BDPU, 4, 0, 0xffffffff, 0 },
};

struct stream {
    struct audio_pace pace;
    uint64_t addr;              /* of the buffer it is in */
    uint32_t left, flags;       /* bytes of it, and its descriptor's */
    uint8_t index;              /* of the next descriptor */
    uint8_t part;
    uint8_t frame[FRAME_MAX];
};

struct hda {
    struct pci_dev *pci;
    struct clock *clock;
    struct timer timer;
    struct hda_bus bus;
    char bus_name[64];
    uint8_t reg[REGS_END];
    uint64_t reset_at;          /* of the link: zero of WALCLK */
    uint8_t responses;          /* since RINTFL was set or counted anew */
    uint32_t told;              /* what interrupts were sent for */
    struct stream s[STREAMS];
};

#define STREAM(i)                                                                                            \
    FIELD(struct hda, s[i].pace.start), FIELD(struct hda, s[i].pace.done), FIELD(struct hda, s[i].pace.rate), \
    FIELD(struct hda, s[i].addr), FIELD(struct hda, s[i].left), FIELD(struct hda, s[i].flags),               \
    FIELD(struct hda, s[i].index), FIELD_MAX(struct hda, s[i].part, FRAME_MAX - 1), FIELD_ARRAY(struct hda, s[i].frame)

static const struct field hda_state[] = {
    FIELD_ARRAY(struct hda, reg), FIELD(struct hda, reset_at), FIELD(struct hda, responses),
    FIELD(struct hda, told),
    STREAM(0), STREAM(1), STREAM(2), STREAM(3), STREAM(4), STREAM(5), STREAM(6), STREAM(7), FIELD_END
};

static uint32_t get(const struct hda *h, unsigned off, unsigned size)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)h->reg[off + i] << 8 * i;
    return v;
}

static void set(struct hda *h, unsigned off, unsigned size, uint32_t v)
{
    for (unsigned i = 0; i < size; i++)
        h->reg[off + i] = v >> 8 * i;
}

static uint64_t base(const struct hda *h, unsigned low)
{
    return get(h, low, 4) | (uint64_t)get(h, low + 4, 4) << 32;
}

static unsigned sd(unsigned n)
{
    return SD_AT + n * SD_LEN;
}

/* ---- interrupts ---- */

static uint32_t intsts(const struct hda *h)
{
    uint32_t v = 0;

    for (unsigned n = 0; n < STREAMS; n++) {
        unsigned sts = h->reg[sd(n) + SD_STS], ctl = h->reg[sd(n) + SD_CTL];

        /* The enables of CTL lie as the bits of STS do. */
        if (sts & ctl & STS_ALL)
            v |= 1u << n;
    }
    if ((h->reg[RIRBSTS] & RINTFL && h->reg[RIRBCTL] & RIRB_INT) || get(h, STATESTS, 2) & get(h, WAKEEN, 2))
        v |= INT_CONTROLLER;
    return v & get(h, INTCTL, 4) & ~INT_GLOBAL ? v | INT_GLOBAL : v;
}

static void update_irq(struct hda *h)
{
    uint32_t now = intsts(h) & get(h, INTCTL, 4);
    bool level = now & INT_GLOBAL;

    if (level && now & ~h->told)
        pci_msi_send(h->pci, 0);
    h->told = level ? now : 0;
    pci_irq(h->pci, level);
}

/* ---- commands ---- */

static bool command(struct hda *h, uint32_t verb, uint32_t *response)
{
    struct hda_codec *c = verb >> 28 < HDA_CODECS ? h->bus.codec[verb >> 28] : NULL;

    if (c)
        *response = c->ops->verb(c, verb & 0x0fffffff);
    return c;
}

static void respond(struct hda *h, unsigned cad, uint32_t response)
{
    unsigned wp = (h->reg[RIRBWP] + 1) % RING;
    uint8_t b[8] = { response, response >> 8, response >> 16, response >> 24, cad };

    if (!(h->reg[RIRBCTL] & RIRB_DMA))
        return;
    pci_dma_write(h->pci, base(h, RIRBLBASE) + 8 * wp, b, 8);
    h->reg[RIRBWP] = wp;
    h->responses++;
    if (h->responses == h->reg[RINTCNT]) {      /* 0: 256 */
        h->responses = 0;
        h->reg[RIRBSTS] |= RINTFL;
    }
}

static void run_corb(struct hda *h)
{
    bool some = false;

    while (h->reg[CORBCTL] & CORB_RUN && h->reg[CORBRP] != h->reg[CORBWP]) {
        unsigned rp = (h->reg[CORBRP] + 1) % RING;
        uint32_t verb, response;
        uint8_t b[4];

        if (!pci_dma_read(h->pci, base(h, CORBLBASE) + 4 * rp, b, 4)) {
            h->reg[CORBSTS] |= 1;               /* memory error */
            h->reg[CORBCTL] &= ~CORB_RUN;
            return;
        }
        h->reg[CORBRP] = rp;
        verb = b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
        if (command(h, verb, &response)) {
            respond(h, verb >> 28, response);
            some = true;
        }
    }
    if (some && h->responses) {                 /* the last ones, when there are no more */
        h->responses = 0;
        h->reg[RIRBSTS] |= RINTFL;
    }
}

static void immediate(struct hda *h)
{
    uint32_t response = 0;

    if (command(h, get(h, ICOI, 4), &response)) {
        set(h, ICII, 4, response);
        h->reg[ICIS] |= IRV;
    }
}

/* ---- streams ---- */

static struct audio_format format_of(const struct hda *h, unsigned n)
{
    unsigned f = get(h, sd(n) + SD_FMT, 2), mult = f >> 11 & 7, bits = f >> 4 & 7;

    return (struct audio_format){
        .rate = (f & 0x4000 ? 44100 : 48000) * (mult < 4 ? mult + 1 : 1) / ((f >> 8 & 7) + 1),
        .channels = (f & 15) + 1,
        .sample = bits == 0 ? SAMPLE_U8 : bits == 1 ? SAMPLE_S16 : SAMPLE_S32
    };
}

static unsigned tag(const struct hda *h, unsigned n)
{
    return h->reg[sd(n) + SD_CTL + 2] >> 4;
}

static bool fetch(struct hda *h, unsigned n)
{
    struct stream *s = &h->s[n];
    uint8_t b[16];

    if (!pci_dma_read(h->pci, base(h, sd(n) + SD_BDPL) + 16 * s->index, b, 16)) {
        h->reg[sd(n) + SD_STS] |= STS_DESE;
        h->reg[sd(n) + SD_CTL] &= ~CTL_RUN;
        return false;
    }
    s->addr = 0;
    for (unsigned i = 0; i < 8; i++)
        s->addr |= (uint64_t)b[i] << 8 * i;
    s->left = b[8] | b[9] << 8 | b[10] << 16 | (uint32_t)b[11] << 24;
    s->flags = b[12];
    s->index = s->index == h->reg[sd(n) + SD_LVI] ? 0 : s->index + 1;
    return true;
}

static void stop(struct hda *h, unsigned n)
{
    h->s[n].pace.rate = 0;
    for (unsigned c = 0; n >= STREAMS_IN && c < HDA_CODECS; c++)
        if (h->bus.codec[c])
            h->bus.codec[c]->ops->stopped(h->bus.codec[c], tag(h, n));
}

/* Whole frames go to every codec that wants them; what is left over waits for its other part. */
static void play(struct hda *h, unsigned n, const struct audio_format *f, const uint8_t *data,
                 unsigned frames)
{
    for (unsigned c = 0; c < HDA_CODECS; c++)
        if (h->bus.codec[c])
            h->bus.codec[c]->ops->play(h->bus.codec[c], tag(h, n), f, data, frames);
}

static void play_bytes(struct hda *h, unsigned n, const uint8_t *data, unsigned len)
{
    struct audio_format f = format_of(h, n);
    struct stream *s = &h->s[n];
    unsigned bytes = audio_frame_bytes(&f), k;

    if (s->part >= bytes)
        s->part = 0;            /* the format was changed meanwhile */
    if (s->part) {
        k = bytes - s->part < len ? bytes - s->part : len;
        memcpy(s->frame + s->part, data, k);
        s->part += k;
        data += k;
        len -= k;
        if (s->part < bytes)
            return;
        play(h, n, &f, s->frame, 1);
    }
    play(h, n, &f, data, len / bytes);
    s->part = len % bytes;
    memcpy(s->frame, data + len - s->part, s->part);
}

static void record_frame(struct hda *h, unsigned n, const struct audio_format *f, uint8_t *to,
                         unsigned frames)
{
    memset(to, f->sample == SAMPLE_U8 ? 0x80 : 0, frames * audio_frame_bytes(f));
    for (unsigned c = 0; c < HDA_CODECS; c++)
        if (h->bus.codec[c] && h->bus.codec[c]->ops->record(h->bus.codec[c], tag(h, n), f, to, frames))
            return;
}

/* `part` counts what is left of a frame in s->frame, at its end. */
static void record_bytes(struct hda *h, unsigned n, uint8_t *to, unsigned len)
{
    struct audio_format f = format_of(h, n);
    struct stream *s = &h->s[n];
    unsigned bytes = audio_frame_bytes(&f), k;

    if (s->part >= bytes)
        s->part = 0;
    k = s->part < len ? s->part : len;
    memcpy(to, s->frame + bytes - s->part, k);
    s->part -= k;
    to += k;
    len -= k;
    record_frame(h, n, &f, to, len / bytes);
    to += len - len % bytes;
    len %= bytes;
    if (len) {
        record_frame(h, n, &f, s->frame, 1);
        memcpy(to, s->frame, len);
        s->part = bytes - len;
    }
}

/* Moves up to `len` bytes of the buffer; how many. */
static unsigned move(struct hda *h, unsigned n, uint64_t len)
{
    struct stream *s = &h->s[n];
    uint32_t lpib = get(h, sd(n) + SD_LPIB, 4), cbl = get(h, sd(n) + SD_CBL, 4);
    uint8_t buf[CHUNK];

    len = len < s->left ? len : s->left;
    len = len < CHUNK ? len : CHUNK;
    if (n >= STREAMS_IN) {
        if (!pci_dma_read(h->pci, s->addr, buf, len))
            memset(buf, 0, len);
        play_bytes(h, n, buf, len);
    } else {
        record_bytes(h, n, buf, len);
        pci_dma_write(h->pci, s->addr, buf, len);
    }
    s->addr += len;
    s->left -= len;
    lpib += len;
    if (cbl && lpib >= cbl)
        lpib %= cbl;
    set(h, sd(n) + SD_LPIB, 4, lpib);
    return len;
}

static void advance(struct hda *h, unsigned n)
{
    struct audio_format f = format_of(h, n);
    struct stream *s = &h->s[n];
    unsigned bytes = audio_frame_bytes(&f), due = audio_pace_due(&s->pace, clock_now(h->clock)), empty = 0;
    uint64_t left = (uint64_t)due * bytes;

    audio_pace_took(&s->pace, due);
    while (left && empty < EMPTY_MAX) {
        unsigned k = move(h, n, left);

        left -= k;
        empty = k ? 0 : empty + 1;
        if (s->left)
            continue;
        if (s->flags & 1)
            h->reg[sd(n) + SD_STS] |= STS_BCIS;
        if (!fetch(h, n)) {
            stop(h, n);
            return;
        }
    }
    if (empty == EMPTY_MAX)
        log_msg(LOG_GUEST, "hda: all buffers of stream %u are empty", n);
    if (get(h, DPLBASE, 4) & DP_ENABLE)
        pci_dma_write(h->pci, (base(h, DPLBASE) & ~0x7full) + 8 * n, h->reg + sd(n) + SD_LPIB, 4);
}

/* For the next end of a buffer. */
static void arm(struct hda *h)
{
    uint64_t next = UINT64_MAX;

    for (unsigned n = 0; n < STREAMS; n++) {
        const struct stream *s = &h->s[n];

        if (s->pace.rate) {
            struct audio_format f = format_of(h, n);
            unsigned bytes = audio_frame_bytes(&f), step = s->pace.rate * STEP_MS / 1000;
            unsigned left = s->left / bytes + (s->left % bytes != 0);
            uint64_t at = audio_pace_when(&s->pace, left < step ? (left ? left : 1) : step);

            next = at < next ? at : next;
        }
    }
    if (next == UINT64_MAX)
        timer_cancel(&h->timer);
    else
        timer_set(&h->timer, next);
}

static void catch_up(struct hda *h)
{
    for (unsigned n = 0; n < STREAMS; n++)
        if (h->s[n].pace.rate)
            advance(h, n);
    arm(h);
    update_irq(h);
}

static void fire(void *dev)
{
    catch_up(dev);
}

/* ---- registers ---- */

static void init_regs(struct hda *h, const struct reg *r, unsigned n, unsigned at)
{
    for (unsigned i = 0; i < n; i++)
        set(h, at + r[i].off, r[i].size, r[i].init);
}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void reset_stream(struct hda *h, unsigned n)
{
    stop(h, n);
    memset(h->reg + sd(n), 0, SD_LEN);
    init_regs(h, sd_regs, COUNT(sd_regs), sd(n));
    h->s[n] = (struct stream){ 0 };
}

/* The link's reset: everything but what wakes the system. */
static void reset_link(struct hda *h)
{
    uint32_t wake = get(h, WAKEEN, 2);

    for (unsigned n = 0; n < STREAMS; n++)
        reset_stream(h, n);
    memset(h->reg, 0, SD_AT);
    init_regs(h, regs, COUNT(regs), 0);
    set(h, WAKEEN, 2, wake);
    h->responses = 0;
    h->told = 0;
    for (unsigned c = 0; c < HDA_CODECS; c++)
        if (h->bus.codec[c])
            h->bus.codec[c]->ops->reset(h->bus.codec[c]);
}

static void gctl_written(struct hda *h, uint32_t was)
{
    uint32_t now = get(h, GCTL, 4), present = 0;

    if (was & CRST && !(now & CRST)) {
        reset_link(h);
    } else if (!(was & CRST) && now & CRST) {
        h->reset_at = clock_now(h->clock);
        for (unsigned c = 0; c < HDA_CODECS; c++)
            present |= h->bus.codec[c] ? 1u << c : 0;
        set(h, STATESTS, 2, present);
    }
}

static void ctl_written(struct hda *h, unsigned n, unsigned was)
{
    unsigned now = h->reg[sd(n) + SD_CTL];
    struct audio_format f = format_of(h, n);

    if (now & CTL_SRST) {
        reset_stream(h, n);
        h->reg[sd(n) + SD_CTL] = CTL_SRST;
    } else if (now & CTL_RUN && !(was & CTL_RUN)) {
        if (!h->s[n].left && !fetch(h, n))
            return;
        audio_pace_start(&h->s[n].pace, clock_now(h->clock), f.rate);
    } else if (!(now & CTL_RUN) && was & CTL_RUN) {
        stop(h, n);
    }
}

static uint8_t read_byte(struct hda *h, unsigned off)
{
    if (off >= INTSTS && off < INTSTS + 4)
        return intsts(h) >> 8 * (off - INTSTS);
    if (off >= WALCLK && off < WALCLK + 4) {
        uint64_t ns = clock_now(h->clock) - h->reset_at;

        return h->reg[GCTL] & CRST ? (ns / 1000 * 24 + ns % 1000 * 24 / 1000) >> 8 * (off - WALCLK) : 0;
    }
    return h->reg[off];
}

/* Writes the bits of one register; mask: of the bytes that are written. */
static void write_reg(struct hda *h, const struct reg *r, unsigned at, uint32_t val, uint32_t mask)
{
    uint32_t was = get(h, at, r->size), write = r->write & mask;

    set(h, at, r->size, (was & ~write & ~(val & mask & r->ones)) | (val & write));
    if (at >= SD_AT) {
        unsigned n = (at - SD_AT) / SD_LEN;

        if (r->off == SD_CTL && mask & 0xff)
            ctl_written(h, n, was);
        return;
    }
    switch (at) {
    case GCTL:
        gctl_written(h, was);
        break;
    case CORBWP: case CORBCTL:
        run_corb(h);
        break;
    case CORBRP:                /* the reset bit stays until software takes it back */
        if (mask & POINTER_RESET)
            set(h, CORBRP, 2, val & POINTER_RESET ? POINTER_RESET : get(h, CORBRP, 2) & 0xff);
        break;
    case RIRBWP:
        if (val & mask & POINTER_RESET)
            set(h, RIRBWP, 2, 0);
        break;
    case RINTCNT:
        h->responses = 0;
        break;
    case ICIS:
        if (val & mask & ICB)
            immediate(h);
        break;
    }
}

static void write_regs(struct hda *h, const struct reg *r, unsigned n, unsigned base_at, unsigned at,
                       unsigned size,
                       uint64_t val)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t v = 0, mask = 0;

        for (unsigned b = 0; b < r[i].size; b++) {
            unsigned k = base_at + r[i].off + b - at;   /* wraps for bytes before `at` */

            if (k >= size)
                continue;
            v |= (uint32_t)(val >> 8 * k & 0xff) << 8 * b;
            mask |= 0xffu << 8 * b;
        }
        if (mask)
            write_reg(h, &r[i], base_at + r[i].off, v, mask);
    }
}

static uint64_t hda_read(void *dev, uint64_t off, unsigned size)
{
    struct hda *h = dev;
    uint64_t v = 0;

    catch_up(h);
    for (unsigned i = 0; i < size && off + i < REGS_END; i++)
        v |= (uint64_t)read_byte(h, off + i) << 8 * i;
    return v;
}

static void hda_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct hda *h = dev;

    catch_up(h);
    /* In reset all but GCTL and WAKEEN stand still. */
    if (!(h->reg[GCTL] & CRST) && off > STATESTS)
        return;
    if (off < SD_AT)
        write_regs(h, regs, COUNT(regs), 0, off, size, val);
    else if (off < REGS_END)
        write_regs(h, sd_regs, COUNT(sd_regs), sd((off - SD_AT) / SD_LEN), off, size, val);
    catch_up(h);
}

static const struct io_ops hda_ops = { hda_read, hda_write, 1 | 2 | 4, LOG_DEV_HDA };

static void hda_reset(void *dev)
{
    struct hda *h = dev;

    reset_link(h);
    set(h, WAKEEN, 2, 0);
    h->reset_at = 0;
    catch_up(h);
}

static const char *hda_check(const void *dev)
{
    const struct hda *h = dev;
    const char *why = NULL;

    for (unsigned n = 0; n < STREAMS && !why; n++)
        why = audio_pace_check(&h->s[n].pace, RATE_MIN, AUDIO_RATE_MAX);
    return why;
}

static void hda_loaded(void *dev)
{
    struct hda *h = dev;

    h->reg[CORBRP + 1] &= POINTER_RESET >> 8;
    arm(h);
    update_irq(h);
}

static const struct chip hda_chip = {
    "hda", sizeof(struct hda), hda_reset, hda_state, hda_loaded, .check = hda_check
};

struct hda_props {
    struct plug_common common;
    bool msi;
};
static const struct hda_props defaults = { .msi = true };
static const struct prop props[] = {
    { "msi", PROP_BOOL, offsetof(struct hda_props, msi), 0, 0, "message-signalled interrupts" }, PROP_END
};

static void make(struct plug_env *env, const struct hda_props *p, uint16_t device, uint8_t revision)
{
    const struct pci_ident id = { .vendor = 0x8086, .device = device, .class = 0x040300, .revision = revision,
                                  .subvendor = 0x1af4, .subdevice = 0x1100, .pin = 1 };
    struct pci_dev *pci = pci_add(env->pci, p->common.name, p->common.slot, p->common.fn, &id);
    struct hda *h = chip_new(env->m->chips, &hda_chip, p->common.name);
    unsigned n = 0;

    h->pci = pci;
    h->clock = env->m->clock;
    timer_init(&h->timer, h->clock, fire, h);
    pci_config_init(pci, 0x40, 1, 1, 0);        /* HDCTL: the link is for HDA */
    if (p->msi)
        pci_msi_init(pci, 1);
    pci_bar(pci, 0, BAR_LEN, 0, &hda_ops, h);
    h->bus.chips = env->m->chips;
    if (p->common.id)
        snprintf(h->bus_name, sizeof(h->bus_name), "%s.0", p->common.id);
    while (!p->common.id && (snprintf(h->bus_name, sizeof(h->bus_name), "hda.%u", n++), plug_bus_find(env,
        h->bus_name)))
        ;
    plug_bus_add(env, "HDA", h->bus_name, &h->bus);
    hda_reset(h);
}

static void make_ich6(struct plug_env *env, void *bus, const void *p)
{
    make(env, p, 0x2668, 1);
}

static void make_ich9(struct plug_env *env, void *bus, const void *p)
{
    make(env, p, 0x293e, 3);
}

const struct plug intel_hda_plug = {
    "intel-hda", "Intel HD audio controller (ICH6)", "PCI", sizeof(struct hda_props), &defaults, props,
    make_ich6
};
const struct plug ich9_hda_plug = {
    "ich9-intel-hda", "Intel HD audio controller (ICH9)", "PCI", sizeof(struct hda_props), &defaults, props,
    make_ich9
};
