/*
 * floppy.c - Intel 82077AA floppy disk controller in AT mode (data sheet 290166), with the commands that
 * the 82078 added (290468): registers, command and result phases, seeks, resets.  Part ID says 82078,
 * version 90h.
 *
 * Everything takes time, and less than in a real drive (floppy_int.h): drivers see a busy controller and
 * wait for interrupts, but nobody waits for a motor. Without a medium (or with its motor off) a command
 * ends after two turns that never come; the real chip waits until it is reset.
 *
 * Invariants: cmd[] is read only when cmd_have == cmd_len, which is at most its size; a drive is in
 * `seeking` exactly while its seek_due is set; the interrupt line is irq_on or something to sense, while
 * DOR connects it.
 */
#include "hw/floppy_int.h"

#include <string.h>

#include "base/trace.h"

#define NEVER UINT64_MAX
#define RESET_NS 50000u
#define RECALIBRATE_STEPS 80

enum { MSR_RQM = 0x80, MSR_DIO = 0x40, MSR_NON_DMA = 0x20, MSR_BUSY = 0x10 };
enum { DSR_RESET = 0x80, DSR_RATE = 0x03 };
enum { ST3_PROTECTED = 0x40, ST3_READY = 0x20, ST3_TRACK0 = 0x10, ST3_TWO_SIDES = 0x08 };
enum { REG_DOR = 2, REG_TDR, REG_MSR, REG_DATA, REG_DIR = 7 };

/* ---- interrupts ---- */

static void update_irq(struct floppy *f)
{
    irq_set(&f->irq, (f->irq_on || f->sense) && (f->dor & DOR_GATE) && (f->dor & DOR_RUN));
}

void floppy_irq(struct floppy *f, bool on)
{
    f->irq_on = on;
    update_irq(f);
}

void floppy_finish(struct floppy *f, const uint8_t *result, unsigned len, bool irq)
{
    if (len)
        memcpy(f->result, result, len);
    f->result_len = len;
    f->result_at = 0;
    f->phase = len ? PHASE_RESULT : PHASE_IDLE;
    trace_floppy_result(f->cmd[0], len, f->result);
    if (irq)
        log_dev(FLOPPY, "command %02x: ST %02x %02x %02x, %u/%u/%u", f->cmd[0], result[0], result[1],
                result[2], result[3], result[4], result[5]);
    floppy_irq(f, irq);
}

/* ---- heads ---- */

static bool has_disk(const struct floppy *f, unsigned unit)
{
    return unit < FLOPPY_DRIVES && f->drive[unit].drive && f->drive[unit].drive->disk;
}

static bool has_drive(const struct floppy *f, unsigned unit)
{
    return unit < FLOPPY_DRIVES && f->drive[unit].drive;
}

unsigned floppy_step(struct floppy *f, unsigned unit, int steps)
{
    int to = f->track[unit] + steps, last = floppy_last_track(f, unit);

    if (!steps || !has_drive(f, unit))
        return steps < 0 ? -steps : steps;
    f->track[unit] = to < 0 ? 0 : to > last ? last : to;
    if (has_disk(f, unit))
        f->changed &= ~(1u << unit);    /* a step with a disk in the drive is what takes the line back */
    return steps < 0 ? -steps : steps;
}

static void arm(struct floppy *f)
{
    uint64_t due = f->reset_due;

    for (unsigned i = 0; i < FLOPPY_UNITS; i++)
        due = f->seek_due[i] < due ? f->seek_due[i] : due;
    timer_set(&f->step, due);
}

/* The heads have their last step before them, and nothing to see yet. */
static void seek_begin(struct floppy *f, unsigned unit, unsigned steps, uint8_t st0)
{
    f->seeking |= 1u << unit;
    f->sense &= ~(1u << unit);
    f->sense_st0[unit] = st0 | unit;
    f->seek_due[unit] = clock_now(f->clock) + (uint64_t)(steps + 1) * FLOPPY_STEP_NS;
    arm(f);
    update_irq(f);
}

static void step_fire(void *dev)
{
    struct floppy *f = dev;
    uint64_t now = clock_now(f->clock);

    for (unsigned i = 0; i < FLOPPY_UNITS; i++) {
        if (f->seek_due[i] > now)
            continue;
        f->seek_due[i] = NEVER;
        f->seeking &= ~(1u << i);
        f->sense |= 1u << i;
    }
    if (f->reset_due <= now) {
        f->reset_due = NEVER;
        if (!(f->config & CONFIG_NO_POLL)) {    /* all drives have become ready, as polling sees it */
            f->polled = 15;
            f->irq_on = 1;
        }
    }
    arm(f);
    update_irq(f);
}

/* ---- commands ---- */

static void quiet(struct floppy *f, const uint8_t *result, unsigned len)
{
    floppy_finish(f, result, len, false);
}

static void one(struct floppy *f, uint8_t byte)
{
    quiet(f, &byte, 1);
}

static void invalid(struct floppy *f)
{
    log_msg(LOG_GUEST, "floppy: unknown command %02x", f->cmd[0]);
    one(f, ST0_INVALID);
}

static void specify(struct floppy *f)
{
    f->specify[0] = f->cmd[1];
    f->specify[1] = f->cmd[2];
    quiet(f, NULL, 0);
}

static void sense_drive(struct floppy *f)
{
    unsigned unit = f->cmd[1] & 3;
    uint8_t st3 = ST3_READY | ST3_TWO_SIDES | (f->cmd[1] & 7);

    if (has_drive(f, unit) && !f->track[unit])
        st3 |= ST3_TRACK0;
    if (floppy_protected(f, unit))
        st3 |= ST3_PROTECTED;
    one(f, st3);
}

static void recalibrate(struct floppy *f)
{
    unsigned unit = f->cmd[1] & 3, steps = f->track[unit];
    bool found = has_drive(f, unit) && steps <= RECALIBRATE_STEPS;

    if (!found)
        steps = RECALIBRATE_STEPS;
    floppy_step(f, unit, -(int)steps);
    f->pcn[unit] = 0;
    quiet(f, NULL, 0);
    seek_begin(f, unit, steps, found ? ST0_SEEK : ST0_ABNORMAL | ST0_SEEK | ST0_EC);
}

static void seek(struct floppy *f)
{
    unsigned unit = f->cmd[1] & 3;
    unsigned steps = floppy_step(f, unit, f->cmd[2] - f->pcn[unit]);

    f->pcn[unit] = f->cmd[2];
    quiet(f, NULL, 0);
    seek_begin(f, unit, steps, ST0_SEEK | (f->cmd[1] & 4));
}

static void relative_seek(struct floppy *f)
{
    unsigned unit = f->cmd[1] & 3;
    int steps = f->cmd[0] & 0x40 ? f->cmd[2] : -(int)f->cmd[2];

    floppy_step(f, unit, steps);
    f->pcn[unit] += steps;
    quiet(f, NULL, 0);
    seek_begin(f, unit, f->cmd[2], ST0_SEEK | (f->cmd[1] & 4));
}

/* First what polling found after a reset, then seeks. */
static void sense_interrupt(struct floppy *f)
{
    uint8_t b[2], *from = f->polled ? &f->polled : &f->sense;
    unsigned unit = 0;

    if (!*from) {
        one(f, ST0_INVALID);
        return;
    }
    while (!(*from >> unit & 1))
        unit++;
    b[0] = f->polled ? ST0_POLLED | unit : f->sense_st0[unit];
    b[1] = f->pcn[unit];
    *from &= ~(1u << unit);
    irq_set(&f->irq, false);            /* another drive's is an edge of its own */
    quiet(f, b, 2);
}

static void dumpreg(struct floppy *f)
{
    uint8_t b[10] = { f->pcn[0], f->pcn[1], f->pcn[2], f->pcn[3], f->specify[0], f->specify[1], f->left,
                      f->lock << 7 | f->perpendicular, f->config, f->pretrk };

    quiet(f, b, sizeof(b));
}

static void configure(struct floppy *f)
{
    f->config = f->cmd[2] & 0x7f;
    f->pretrk = f->cmd[3];
    quiet(f, NULL, 0);
}

static void perpendicular(struct floppy *f)
{
    /* D0-D3 change only if OW says so. */
    f->perpendicular = (f->cmd[1] & 0x80 ? f->cmd[1] & 0x3c : f->perpendicular & 0x3c) | (f->cmd[1] & 3);
    quiet(f, NULL, 0);
}

static void lock(struct floppy *f)
{
    f->lock = f->cmd[0] >> 7;
    one(f, f->lock << 4);
}

static void version(struct floppy *f)
{
    one(f, 0x90);
}

static void part_id(struct floppy *f)
{
    one(f, 0x01);
}

static void powerdown(struct floppy *f)
{
    f->power = f->cmd[1] & 0x37;
    one(f, f->power);
}

static void option(struct floppy *f)
{
    f->option = f->cmd[1] & 1;
    quiet(f, NULL, 0);
}

/* Bytes come until one has its highest bit set. */
static void drive_specification(struct floppy *f)
{
    unsigned last = f->cmd_have - 1;

    if (!(f->cmd[last] & 0x80)) {
        f->drive_spec[f->cmd[last] >> 5 & 3] = f->cmd[last] & 0x1f;
        f->cmd_have = 1;
        f->cmd_len = 2;
        return;
    }
    if (f->cmd[last] & 0x40)            /* no result phase */
        quiet(f, NULL, 0);
    else
        quiet(f, f->drive_spec, sizeof(f->drive_spec));
}

/* Data rate and precompensation, option, then what DUMPREG tells and some of the inside. */
static void save(struct floppy *f)
{
    uint8_t b[16] = { (f->dsr & 0x5c) | f->rate, f->option, f->pcn[0], f->pcn[1], f->pcn[2], f->pcn[3],
                      f->specify[0], f->specify[1], f->left, f->lock << 7 | f->perpendicular, f->config,
                      f->pretrk, 0, f->power, 0, 0 };

    quiet(f, b, sizeof(b));
}

static void restore(struct floppy *f)
{
    const uint8_t *b = f->cmd + 1;

    f->dsr = b[0] & 0x5c;
    f->rate = b[0] & DSR_RATE;
    f->option = b[1] & 1;
    memcpy(f->pcn, b + 2, sizeof(f->pcn));
    memcpy(f->specify, b + 6, sizeof(f->specify));
    f->left = b[8];
    f->lock = b[9] >> 7;
    f->perpendicular = b[9] & 0x3f;
    f->config = b[10] & 0x7f;
    f->pretrk = b[11];
    f->power = b[13] & 0x37;
    quiet(f, NULL, 0);
}

/* In the first byte the bits of `mask` tell commands apart, the others are options. len counts all bytes. */
static const struct command {
    uint8_t mask, code, len;
    void (*run)(struct floppy *);       /* NULL: one of floppy_data.c's */
    enum floppy_kind kind;
} commands[] = {
    { 0x1f, 0x06, 9, NULL, FLOPPY_READ }, { 0x1f, 0x0c, 9, NULL, FLOPPY_READ_DELETED },
    { 0x1f, 0x05, 9, NULL, FLOPPY_WRITE }, { 0x1f, 0x09, 9, NULL, FLOPPY_WRITE_DELETED },
    { 0x9f, 0x02, 9, NULL, FLOPPY_READ_TRACK }, { 0x1f, 0x16, 9, NULL, FLOPPY_VERIFY },
    { 0x1f, 0x11, 9, NULL, FLOPPY_SCAN_EQUAL }, { 0x1f, 0x19, 9, NULL, FLOPPY_SCAN_LOW },
    { 0x1f, 0x1d, 9, NULL, FLOPPY_SCAN_HIGH }, { 0xbf, 0x0d, 6, NULL, FLOPPY_FORMAT },
    { 0xbf, 0x0a, 2, NULL, FLOPPY_READ_ID },
    { 0xff, 0x03, 3, specify, 0 }, { 0xff, 0x04, 2, sense_drive, 0 }, { 0xff, 0x07, 2, recalibrate, 0 },
    { 0xff, 0x08, 1, sense_interrupt, 0 }, { 0xff, 0x0e, 1, dumpreg, 0 }, { 0xff, 0x0f, 3, seek, 0 },
    { 0xbf, 0x8f, 3, relative_seek, 0 }, { 0xff, 0x10, 1, version, 0 }, { 0xff, 0x12, 2, perpendicular, 0 },
    { 0xff, 0x13, 4, configure, 0 }, { 0x7f, 0x14, 1, lock, 0 }, { 0xff, 0x17, 2, powerdown, 0 },
    { 0xff, 0x18, 1, part_id, 0 }, { 0xff, 0x2e, 1, save, 0 }, { 0xff, 0x33, 2, option, 0 },
    { 0xff, 0x4e, 17, restore, 0 }, { 0xff, 0x8e, 2, drive_specification, 0 },
};

static const struct command *command_of(uint8_t byte)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if ((byte & commands[i].mask) == commands[i].code)
            return &commands[i];
    return NULL;
}

static void run(struct floppy *f)
{
    const struct command *c = command_of(f->cmd[0]);

    trace_floppy_command(f->cmd);
    if (c->run != sense_interrupt) {    /* what was not sensed before another command is forgotten */
        f->polled = 0;
        f->irq_on = 0;
        update_irq(f);
    }
    if (c->run) {
        c->run(f);
    } else {
        f->phase = PHASE_EXECUTION;
        floppy_data_start(f, c->kind);
    }
}

static void command_byte(struct floppy *f, uint8_t val)
{
    const struct command *c;

    if (f->phase == PHASE_IDLE) {
        f->cmd[0] = val;
        f->cmd_have = 1;
        c = command_of(val);
        if (!c) {
            invalid(f);
            return;
        }
        f->cmd_len = c->len;
        f->phase = PHASE_PARAMETERS;
    } else {
        f->cmd[f->cmd_have++] = val;
    }
    if (f->cmd_have >= f->cmd_len)
        run(f);
}

/* ---- resets ---- */

/* By DOR, DSR or the reset line; rates, step times and drives' heads stay. */
static void reset_chip(struct floppy *f)
{
    floppy_data_cancel(f);
    f->phase = PHASE_IDLE;
    f->cmd_have = f->cmd_len = f->result_len = f->result_at = 0;
    f->irq_on = f->sense = f->polled = f->seeking = 0;
    for (unsigned i = 0; i < FLOPPY_UNITS; i++) {
        f->seek_due[i] = NEVER;
        f->pcn[i] = 0;
    }
    f->reset_due = NEVER;
    if (!f->lock) {
        f->config = CONFIG_NO_FIFO;
        f->pretrk = 0;
    } else {
        f->config &= CONFIG_NO_FIFO | CONFIG_THRESHOLD;
    }
    f->perpendicular &= 0x3c;           /* D0-D3 survive, GAP and WGATE do not */
    f->power = f->option = 0;
    arm(f);
    update_irq(f);
}

static void reset_over(struct floppy *f)
{
    f->reset_due = clock_now(f->clock) + RESET_NS;
    arm(f);
}

static void write_dor(struct floppy *f, uint8_t val)
{
    uint8_t old = f->dor;

    f->dor = val;
    if ((old & DOR_RUN) && !(val & DOR_RUN))
        reset_chip(f);
    else if (!(old & DOR_RUN) && (val & DOR_RUN))
        reset_over(f);
    for (unsigned i = 0; i < FLOPPY_DRIVES; i++)
        if (old & ~val & DOR_MOTOR << i)
            floppy_motor_off(f, i);
    floppy_data_gate(f);
    update_irq(f);
}

static void write_dsr(struct floppy *f, uint8_t val)
{
    f->dsr = val & ~(DSR_RESET | DSR_RATE);
    f->rate = val & DSR_RATE;
    if ((val & DSR_RESET) && (f->dor & DOR_RUN)) {
        reset_chip(f);
        reset_over(f);
    }
}

/* ---- registers ---- */

static uint8_t main_status(const struct floppy *f)
{
    uint8_t v = f->seeking;

    if (!(f->dor & DOR_RUN) || f->reset_due != NEVER)
        return 0;
    switch (f->phase) {
    case PHASE_IDLE: return v | MSR_RQM;
    case PHASE_PARAMETERS: return v | MSR_RQM | MSR_BUSY;
    case PHASE_RESULT: return v | MSR_RQM | MSR_DIO | MSR_BUSY;
    default: break;
    }
    v |= MSR_BUSY;
    if (f->specify[1] & 1)
        v |= MSR_NON_DMA;
    if (f->wait == WAIT_HOST)
        v |= MSR_RQM | (floppy_host_reads(f) ? MSR_DIO : 0);
    return v;
}

static uint8_t read_data(struct floppy *f)
{
    uint8_t val;

    if (f->phase == PHASE_EXECUTION && f->wait == WAIT_HOST && floppy_host_reads(f))
        return floppy_host_read(f);
    if (f->phase != PHASE_RESULT) {
        log_msg(LOG_GUEST, "floppy: data register read while there is nothing to read");
        return 0xff;
    }
    if (!f->result_at)
        floppy_irq(f, false);
    val = f->result[f->result_at++];
    if (f->result_at == f->result_len)
        f->phase = PHASE_IDLE;
    return val;
}

static void write_data(struct floppy *f, uint8_t val)
{
    if (!(main_status(f) & MSR_RQM) || (main_status(f) & MSR_DIO))
        log_msg(LOG_GUEST, "floppy: data register written (%02x) while it takes nothing", val);
    else if (f->phase == PHASE_EXECUTION)
        floppy_host_write(f, val);
    else
        command_byte(f, val);
}

static uint64_t floppy_read(void *dev, uint64_t off, unsigned size)
{
    struct floppy *f = dev;

    switch (off + REG_DOR) {
    case REG_DOR: return f->dor;
    case REG_TDR: return f->tdr | 0xfc;
    case REG_MSR: return main_status(f);
    default: return read_data(f);
    }
}

static void floppy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct floppy *f = dev;

    switch (off + REG_DOR) {
    case REG_DOR: write_dor(f, val); break;
    case REG_TDR: f->tdr = val & 3; break;
    case REG_MSR: write_dsr(f, val); break;
    default: write_data(f, val); break;
    }
}

/* In AT mode the chip drives bit 7 alone. */
static uint64_t dir_read(void *dev, uint64_t off, unsigned size)
{
    struct floppy *f = dev;
    unsigned unit = f->dor & DOR_SELECT;

    return 0x7f | (has_drive(f, unit) && (f->changed >> unit & 1) ? 0x80 : 0);
}

static void ccr_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    ((struct floppy *)dev)->rate = val & DSR_RATE;
}

static void floppy_reset(void *dev)
{
    struct floppy *f = dev;

    f->lock = 0;
    f->perpendicular = f->tdr = f->dsr = 0;
    f->dor = 0;
    f->rate = 2;                /* 250 kbit/s */
    f->specify[0] = f->specify[1] = 0;
    memset(f->drive_spec, 0, sizeof(f->drive_spec));
    reset_chip(f);
}

static const char *floppy_check(const void *dev)
{
    const struct floppy *f = dev;
    const struct command *c = command_of(f->cmd[0]);

    if (f->phase == PHASE_RESULT && f->result_at >= f->result_len)
        return "result_at is behind the result";
    if (f->phase == PHASE_PARAMETERS && (!c || f->cmd_len != c->len || !f->cmd_have || f->cmd_have >= f->cmd_len))
        return "cmd_have or cmd_len is not the command's";
    for (unsigned i = 0; i < FLOPPY_UNITS; i++)
        if ((f->seeking >> i & 1) != (f->seek_due[i] != NEVER) || (f->seek_due[i] != NEVER && f->seek_due[i] > CLOCK_END))
            return "seek_due is not when a seek ends";
    return floppy_data_check(f);
}

static void floppy_loaded(void *dev)
{
    struct floppy *f = dev;

    timer_set(&f->turn, f->turn.due);
    arm(f);
    update_irq(f);
    floppy_data_loaded(f);
}

static const struct io_ops floppy_ops = { floppy_read, floppy_write, 1, LOG_DEV_FLOPPY };
static const struct io_ops dir_ops = { dir_read, ccr_write, 1, LOG_DEV_FLOPPY };

static const struct field floppy_state[] = {
    FIELD(struct floppy, dor), FIELD(struct floppy, tdr), FIELD(struct floppy, dsr),
    FIELD(struct floppy, rate),
    FIELD_MAX(struct floppy, phase, PHASE_RESULT), FIELD_MAX(struct floppy, wait, WAIT_LOST),
    FIELD(struct floppy, irq_on),
    FIELD_ARRAY(struct floppy, cmd), FIELD(struct floppy, cmd_len), FIELD(struct floppy, cmd_have),
    FIELD_ARRAY(struct floppy, result), FIELD_MAX(struct floppy, result_len, sizeof(((struct floppy *)0)->result)),
    FIELD(struct floppy, result_at),
    FIELD_ARRAY(struct floppy, specify), FIELD(struct floppy, config), FIELD(struct floppy, pretrk),
    FIELD(struct floppy, lock), FIELD(struct floppy, perpendicular), FIELD(struct floppy, option),
    FIELD(struct floppy, power), FIELD_ARRAY(struct floppy, drive_spec), FIELD_ARRAY(struct floppy, pcn),
    FIELD_ARRAY(struct floppy, track), FIELD(struct floppy, changed), FIELD(struct floppy, seeking),
    FIELD(struct floppy, sense), FIELD_ARRAY(struct floppy, sense_st0), FIELD(struct floppy, polled),
    FIELD_ARRAY(struct floppy, seek_due), FIELD(struct floppy, reset_due),
    FIELD_MAX(struct floppy, kind, FLOPPY_READ_ID), FIELD_MAX(struct floppy, unit, FLOPPY_UNITS - 1),
    FIELD_MAX(struct floppy, head, 1), FIELD(struct floppy, c), FIELD(struct floppy, h),
    FIELD(struct floppy, r), FIELD(struct floppy, n), FIELD(struct floppy, st1), FIELD(struct floppy, st2),
    FIELD(struct floppy, tc), FIELD(struct floppy, marked), FIELD(struct floppy, left),
    FIELD(struct floppy, pos), FIELD_MAX(struct floppy, len, FLOPPY_SECTOR), FIELD(struct floppy, chunk),
    FIELD_ARRAY(struct floppy, data),
    FIELD_ARRAY(struct floppy, deleted), FIELD(struct floppy, turn.due), FIELD_END
};

static const struct chip floppy_chip = {
    "82077aa", sizeof(struct floppy), floppy_reset, floppy_state, floppy_loaded, .check = floppy_check
};

struct floppy *floppy_new(struct chip_list *chips, struct ports *ports, struct clock *clock, struct irq irq,
                          struct dma8237 *dma, struct drive *const drive[2])
{
    struct floppy *f = chip_new(chips, &floppy_chip, "floppy");

    f->clock = clock;
    f->irq = irq;
    f->dma = dma;
    f->changed = (1u << FLOPPY_DRIVES) - 1;     /* until the first step */
    for (unsigned n = 0; n < FLOPPY_DRIVES; n++)
        floppy_media_init(f, n, drive[n]);
    timer_init(&f->step, clock, step_fire, f);
    floppy_data_init(f);
    ports_map(ports, FLOPPY_PORT + REG_DOR, 4, &floppy_ops, f, "floppy");
    ports_map(ports, FLOPPY_PORT + REG_DIR, 1, &dir_ops, f, "floppy-dir");
    floppy_reset(f);
    return f;
}
