/*
 * floppy_data.c - the floppy controller's commands that meet sectors: reading, writing, verifying, comparing,
 * formatting.
 *
 * A sector comes by (WAIT_TURN), what the host has to give is fetched (WAIT_DMA or WAIT_HOST), the medium
 * does its part (WAIT_DISK), what the host is to get is delivered. There are no overruns: the medium waits
 * for the host. The images hold data alone, so a medium has the sectors 1 to n of 512 bytes that its format
 * says, in order; marks of deleted data are remembered until the medium changes, and formatting otherwise
 * is refused.
 *
 * An image may answer late, as a busy host's does; a drive does not, and Linux gives a floppy disk up after three seconds. So
 * the guest's time does not go on for longer than a turn meanwhile.
 *
 * Invariant: req is the disk's while req_busy; a command that was cancelled leaves it to come back unheard,
 * and the next one waits for that.
 */
#include "hw/floppy_int.h"

#include <errno.h>
#include <string.h>

enum { CMD_MT = 0x80, CMD_MFM = 0x40, CMD_SKIP = 0x20 };
#define VERIFY_COUNTS 0x80u     /* EC, in a VERIFY's second byte */

static bool writes(const struct floppy *f)
{
    return f->kind == FLOPPY_WRITE || f->kind == FLOPPY_WRITE_DELETED || f->kind == FLOPPY_FORMAT;
}

static bool scans(const struct floppy *f)
{
    return f->kind >= FLOPPY_SCAN_EQUAL && f->kind <= FLOPPY_SCAN_HIGH;
}

static bool takes_from_host(const struct floppy *f)
{
    return writes(f) || scans(f);
}

static bool dma_mode(const struct floppy *f)
{
    return !(f->specify[1] & 1);
}

static uint8_t cylinder_under(const struct floppy *f, const struct floppy_drive *d)
{
    return f->track[f->unit] / (d->two_steps ? 2 : 1);
}

static void wait_turn(struct floppy *f, uint64_t ns)
{
    f->wait = WAIT_TURN;
    timer_set(&f->turn, clock_now(f->clock) + ns);
}

/* ---- the end ---- */

static void end(struct floppy *f, uint8_t st0)
{
    uint8_t b[7] = { st0 | f->head << 2 | f->unit, f->st1, f->st2, f->c, f->h, f->r, f->n };

    f->wait = WAIT_NOTHING;
    clock_bound(f->clock, &f->patience, UINT64_MAX);
    timer_cancel(&f->turn);
    if (f->dma)
        dma8237_request(f->dma, FLOPPY_DMA, false);
    floppy_finish(f, b, sizeof(b), true);
}

static void fail(struct floppy *f, uint8_t st1, uint8_t st2)
{
    f->st1 |= st1;
    f->st2 |= st2;
    end(f, ST0_ABNORMAL);
}

/* Two turns are over, and the sector has not come by. */
static void lose(struct floppy *f, uint8_t st1, uint8_t st2)
{
    f->st1 |= st1;
    f->st2 |= st2;
    f->wait = WAIT_LOST;
    timer_set(&f->turn, clock_now(f->clock) + FLOPPY_LOST_NS);
}

/* The next ID; false: this was the last of the command's cylinder. The head changes with MT alone. */
static bool next_id(struct floppy *f)
{
    uint8_t eot = f->cmd[6], step = scans(f) && f->cmd[8] == 2 ? 2 : 1;

    if (step == 1 ? f->r != eot : f->r + step <= eot) {
        f->r += step;
        return true;
    }
    f->r = 1;
    if ((f->cmd[0] & CMD_MT) && !f->head) {
        f->head = 1;
        f->h ^= 1;
        return true;
    }
    f->c++;
    if (f->cmd[0] & CMD_MT)
        f->h ^= 1;
    return false;
}

static void sector_over(struct floppy *f)
{
    bool stop = f->tc || (f->kind == FLOPPY_VERIFY && (f->cmd[1] & VERIFY_COUNTS) && --f->left == 0);

    f->pos = 0;
    switch (f->kind) {
    case FLOPPY_FORMAT:
        if (--f->left == 0)
            end(f, 0);
        else
            wait_turn(f, FLOPPY_SECTOR_NS);
        return;
    case FLOPPY_READ_TRACK:
        f->r++;
        if (--f->left == 0 || stop)
            end(f, 0);
        else
            wait_turn(f, FLOPPY_SECTOR_NS);
        return;
    default:
        break;
    }
    if (f->marked && !(f->cmd[0] & CMD_SKIP)) {
        end(f, 0);
        return;
    }
    if (!stop && next_id(f)) {
        wait_turn(f, FLOPPY_SECTOR_NS);
    } else if (stop) {
        uint8_t head = f->head;

        next_id(f);
        f->head = head;                 /* ST0 tells the last sector's */
        end(f, 0);
    } else if (f->kind == FLOPPY_VERIFY) {
        end(f, 0);
    } else {
        fail(f, ST1_EN, 0);
    }
}

/* ---- the host's side ---- */

static void host_done(struct floppy *f);

static void chunk_begin(struct floppy *f)
{
    f->chunk = f->config & CONFIG_NO_FIFO ? 1 : 16 - (f->config & CONFIG_THRESHOLD);
    floppy_irq(f, true);
}

/* Moves data[] from pos to len between host and controller. */
static void host_begin(struct floppy *f, unsigned len)
{
    f->pos = 0;
    f->len = len;
    if (dma_mode(f)) {
        f->wait = WAIT_DMA;
        if (!f->dma) {
            log_msg(LOG_GUEST, "floppy: DMA asked for, but there is no DMA controller");
            return;
        }
        floppy_data_gate(f);
    } else {
        f->wait = WAIT_HOST;
        chunk_begin(f);
    }
}

/* The channel has the bus. */
static void dma_go(struct floppy *f)
{
    unsigned n, rest = f->len - f->pos;
    bool tc;

    if (takes_from_host(f))
        n = dma8237_from_memory(f->dma, FLOPPY_DMA, f->data + f->pos, rest, &tc);
    else
        n = dma8237_to_memory(f->dma, FLOPPY_DMA, f->data + f->pos, rest, &tc);
    f->pos += n;
    f->tc |= tc;
}

static bool host_byte_over(struct floppy *f)
{
    f->pos++;
    if (f->pos == f->len) {
        floppy_irq(f, false);
        return true;
    }
    if (--f->chunk == 0) {
        floppy_irq(f, false);           /* the FIFO was emptied (filled), and is full (has room) again */
        chunk_begin(f);
    }
    return false;
}

bool floppy_host_reads(const struct floppy *f)
{
    return !takes_from_host(f);
}

uint8_t floppy_host_read(struct floppy *f)
{
    uint8_t val = f->data[f->pos];

    if (host_byte_over(f))
        host_done(f);
    return val;
}

void floppy_host_write(struct floppy *f, uint8_t val)
{
    f->data[f->pos] = val;
    if (host_byte_over(f))
        host_done(f);
}

static void dma_ready(void *dev)
{
    struct floppy *f = dev;

    if (f->wait == WAIT_DMA)
        host_done(f);
}

/* DREQ and the interrupt are connected, or no longer. */
void floppy_data_gate(struct floppy *f)
{
    bool want = f->wait == WAIT_DMA && (f->dor & DOR_GATE);

    if (!f->dma)
        return;
    dma8237_request(f->dma, FLOPPY_DMA, want);
    if (want && dma8237_granted(f->dma, FLOPPY_DMA))
        host_done(f);
}

/* ---- the medium's side ---- */

static unsigned lba(const struct floppy *f, const struct floppy_drive *d)
{
    uint8_t r = f->kind == FLOPPY_READ_TRACK ? (f->r - 1) % d->secs + 1 : f->r;

    /* The modulus is for states that no controller was ever in. */
    return ((cylinder_under(f, d) * d->heads + f->head) * d->secs + r - 1) % FLOPPY_SECTORS;
}

static uint8_t *mark_of(struct floppy *f, const struct floppy_drive *d, uint8_t *bit)
{
    unsigned n = lba(f, d);

    *bit = 1u << (n & 7);
    return &f->deleted[(f->unit * FLOPPY_SECTORS + n) / 8];
}

/* FFh on either side matches everything. */
static void scan(struct floppy *f)
{
    bool equal = true, ok;
    int order = 0;              /* of medium and host, at the first byte that differs */

    for (unsigned i = 0; i < FLOPPY_SECTOR && equal; i++) {
        if (f->io[i] != f->data[i] && f->io[i] != 0xff && f->data[i] != 0xff) {
            equal = false;
            order = f->io[i] < f->data[i] ? -1 : 1;
        }
    }
    ok = equal || (f->kind == FLOPPY_SCAN_LOW && order < 0) || (f->kind == FLOPPY_SCAN_HIGH && order > 0);
    f->st2 &= ~(ST2_SH | ST2_SN);
    f->st2 |= equal ? ST2_SH : ok ? 0 : ST2_SN;
    if (ok)
        end(f, 0);
    else
        sector_over(f);
}

/* The medium has done its part. */
static void disk_done(struct floppy *f, int error)
{
    uint8_t bit, *mark;
    struct floppy_drive *d = floppy_ready(f, f->unit);

    clock_bound(f->clock, &f->patience, UINT64_MAX);
    if (error || !d) {
        log_dev(FLOPPY, "the medium failed: error %d", -error);
        if (error == -EROFS && writes(f))
            fail(f, ST1_NW, 0);
        else
            fail(f, ST1_DE, ST2_DD);
        return;
    }
    if (writes(f)) {
        mark = mark_of(f, d, &bit);
        *mark = f->kind == FLOPPY_WRITE_DELETED ? *mark | bit : *mark & ~bit;
        sector_over(f);
    } else if (scans(f)) {
        scan(f);
    } else {
        memcpy(f->data, f->io, FLOPPY_SECTOR);
        if (f->kind == FLOPPY_VERIFY)
            sector_over(f);
        else
            host_begin(f, FLOPPY_SECTOR);
    }
}

static void disk_submit_now(struct floppy *f)
{
    struct floppy_drive *d = floppy_ready(f, f->unit);
    uint64_t off, len;

    if (!d) {
        disk_done(f, 0);
        return;
    }
    off = (uint64_t)lba(f, d) * FLOPPY_SECTOR;
    len = off < d->drive->disk->size ? d->drive->disk->size - off : 0;
    len = len < FLOPPY_SECTOR ? len : FLOPPY_SECTOR;
    memset(f->io, 0, sizeof(f->io));
    if (writes(f))
        memcpy(f->io, f->data, sizeof(f->io));
    if (len < FLOPPY_SECTOR && writes(f)) {
        fail(f, ST1_NW, 0);
        return;
    }
    if (!len) {
        disk_done(f, 0);
        return;
    }
    f->req_busy = true;
    f->req_dropped = false;
    f->req_buf = (struct disk_buf){ f->io, len };
    f->req.op = writes(f) ? DISK_WRITE : DISK_READ;
    f->req.off = off;
    f->req.len = len;
    f->req.bufs = &f->req_buf;
    f->req.nbufs = 1;
    disk_submit(d->drive->disk, &f->req);
}

static void disk_begin(struct floppy *f)
{
    f->wait = WAIT_DISK;
    clock_bound(f->clock, &f->patience, clock_now(f->clock) + FLOPPY_TURN_NS);
    if (!f->req_busy)
        disk_submit_now(f);
}

static void req_done(struct disk_req *r)
{
    struct floppy *f = r->dev;
    bool mine = !f->req_dropped;

    f->req_busy = f->req_dropped = false;
    if (f->wait != WAIT_DISK)
        return;
    if (mine)
        disk_done(f, r->error);
    else
        disk_submit_now(f);     /* a command that waited for the last one's */
}

/* ---- formatting ---- */

/* The host has given one sector's ID. */
static void format_sector(struct floppy *f)
{
    struct floppy_drive *d = floppy_ready(f, f->unit);
    const uint8_t *id = f->data;

    f->c = id[0];
    f->h = id[1];
    f->r = id[2];
    f->n = id[3];
    if (!d || id[0] != cylinder_under(f, d) || id[1] != f->head || id[2] < 1 || id[2] > d->secs ||
        id[3] != 2) {
        log_msg(LOG_UNIMP, "floppy: formatting sector %u/%u/%u of size code %u: the image holds sectors 1 to "
                "%u of 512 bytes", id[0], id[1], id[2], id[3], d ? d->secs : 0);
        f->st1 |= ST1_ND;
        end(f, ST0_ABNORMAL | ST0_EC);
        return;
    }
    memset(f->data, f->cmd[5], sizeof(f->data));
    disk_begin(f);
}

/* Everything the host had to give or take of this sector has been moved, or the DMA channel stopped. */
static void host_done(struct floppy *f)
{
    if (f->wait == WAIT_DMA) {
        dma_go(f);
        if (f->pos < f->len && !f->tc)
            return;
    }
    if (f->dma)
        dma8237_request(f->dma, FLOPPY_DMA, false);
    f->wait = WAIT_NOTHING;
    if (takes_from_host(f))
        memset(f->data + f->pos, 0, f->len - f->pos);
    if (f->kind == FLOPPY_FORMAT) {
        format_sector(f);
    } else if (takes_from_host(f)) {
        disk_begin(f);
    } else {
        sector_over(f);
    }
}

/* ---- a sector comes by ---- */

/* Is there what the command looks for? False: the command ends. */
static bool find(struct floppy *f, const struct floppy_drive *d)
{
    unsigned cyl = d ? cylinder_under(f, d) : 0;

    if (!d || !(f->cmd[0] & CMD_MFM) || cyl >= d->cyls || f->head >= d->heads) {
        lose(f, ST1_MA, 0);
        return false;
    }
    if (f->kind == FLOPPY_FORMAT || f->kind == FLOPPY_READ_ID)
        return true;
    if (f->kind == FLOPPY_READ_TRACK) {
        if (f->c != cyl || f->h != f->head || f->n != 2)
            f->st1 |= ST1_ND;
        return true;
    }
    if (f->c != cyl) {
        lose(f, ST1_ND, ST2_WC);
        return false;
    }
    if (f->h != f->head || f->n != 2 || f->r < 1 || f->r > d->secs) {
        lose(f, ST1_ND, 0);
        return false;
    }
    return true;
}

/* Sectors with the other mark are skipped, or the last ones. */
static bool skips(struct floppy *f, const struct floppy_drive *d)
{
    uint8_t bit, *mark;

    f->marked = 0;
    if (writes(f) || f->kind == FLOPPY_READ_TRACK)
        return false;
    mark = mark_of(f, d, &bit);
    f->marked = !(*mark & bit) != (f->kind != FLOPPY_READ_DELETED);
    if (f->marked)
        f->st2 |= ST2_CM;
    return f->marked && (f->cmd[0] & CMD_SKIP);
}

static void read_id(struct floppy *f, const struct floppy_drive *d)
{
    f->c = cylinder_under(f, d);
    f->h = f->head;
    f->r = clock_now(f->clock) / FLOPPY_SECTOR_NS % d->secs + 1;
    f->n = 2;
    end(f, 0);
}

static void turn(void *dev)
{
    struct floppy *f = dev;
    struct floppy_drive *d = floppy_ready(f, f->unit);

    if (f->wait == WAIT_LOST) {
        end(f, ST0_ABNORMAL);
        return;
    }
    if (f->wait != WAIT_TURN)
        return;
    if (f->seeking >> f->unit & 1) {            /* the heads are not there yet */
        timer_set(&f->turn, f->seek_due[f->unit] + FLOPPY_SECTOR_NS);
        return;
    }
    if (!find(f, d))
        return;
    if (f->kind == FLOPPY_READ_ID)
        read_id(f, d);
    else if (writes(f) && floppy_protected(f, f->unit))
        fail(f, ST1_NW, 0);
    else if (f->kind == FLOPPY_FORMAT)
        host_begin(f, 4);
    else if (skips(f, d))
        sector_over(f);
    else if (takes_from_host(f))
        host_begin(f, FLOPPY_SECTOR);
    else
        disk_begin(f);
}

/* ---- beginning and breaking off ---- */

void floppy_data_start(struct floppy *f, enum floppy_kind kind)
{
    bool has_id = kind != FLOPPY_FORMAT && kind != FLOPPY_READ_ID;
    uint64_t ns = FLOPPY_SECTOR_NS;

    f->kind = kind;
    f->unit = f->cmd[1] & 3;
    f->head = f->cmd[1] >> 2 & 1;
    f->st1 = f->st2 = f->tc = f->marked = 0;
    f->pos = f->len = 0;
    f->left = kind == FLOPPY_FORMAT ? f->cmd[3] : kind == FLOPPY_VERIFY ? f->cmd[8] : f->cmd[6];
    if (!f->left)
        f->left = 256;
    f->c = f->pcn[f->unit];
    f->h = f->head;
    f->r = 1;
    f->n = kind == FLOPPY_FORMAT ? f->cmd[2] : 2;
    if (has_id) {
        f->c = f->cmd[2];
        f->h = f->cmd[3];
        f->r = kind == FLOPPY_READ_TRACK ? 1 : f->cmd[4];
        f->n = f->cmd[5];
    }
    if (has_id && (f->config & CONFIG_EIS) && f->c != f->pcn[f->unit]) {
        ns += (uint64_t)floppy_step(f, f->unit, f->c - f->pcn[f->unit]) * FLOPPY_STEP_NS;
        f->pcn[f->unit] = f->c;
    }
    wait_turn(f, ns);
}

void floppy_data_cancel(struct floppy *f)
{
    f->wait = WAIT_NOTHING;
    f->req_dropped = f->req_busy;
    clock_bound(f->clock, &f->patience, UINT64_MAX);
    timer_cancel(&f->turn);
    if (f->dma)
        dma8237_request(f->dma, FLOPPY_DMA, false);
}

const char *floppy_data_check(const struct floppy *f)
{
    if (f->pos > f->len || (f->pos == f->len && (f->wait == WAIT_DMA || f->wait == WAIT_HOST)))
        return "pos is behind len";
    return NULL;
}

/* A request that was under way when the state was saved is made again. */
void floppy_data_loaded(struct floppy *f)
{
    f->req_dropped = f->req_busy;
    clock_bound(f->clock, &f->patience, UINT64_MAX);
    if (f->wait == WAIT_DISK)
        disk_begin(f);
}

void floppy_data_init(struct floppy *f)
{
    static const struct dma_user user = { dma_ready };

    f->req.done = req_done;
    f->req.dev = f;
    timer_init(&f->turn, f->clock, turn, f);
    if (f->dma && !dma8237_attach(f->dma, FLOPPY_DMA, &user, f))
        die(EXIT_CODE_USAGE, "floppy: DMA channel %u is already used by another device", FLOPPY_DMA);
}
