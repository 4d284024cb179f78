/*
 * floppy_media.c - floppy drives, and what is in them: formats by the size of their images.
 *
 * A drive's kind is that which its first medium needs (none: 1.44M). A medium that comes later is there for
 * the drive only if it fits, as a 5.25 inch disk does not into a 3.5 inch drive. An image whose size is
 * that of no format is taken for the smallest common format it fits into: what is behind its end reads as
 * zeros and cannot be written.
 */
#include "hw/floppy_int.h"

#include <string.h>

enum kind { DD525, HD525, DD35, HD35, ED35 };
enum { RATE_500, RATE_300, RATE_250, RATE_1000 };

struct format {
    uint8_t cyls, heads, secs;
    enum kind kind;
    bool common;                /* one that odd images are taken for */
};

static const struct format formats[] = {
    { 40, 1, 8, DD525, false }, { 40, 1, 9, DD525, false }, { 40, 2, 8, DD525, false },
    { 40, 2, 9, DD525, false }, { 40, 2, 10, DD525, false }, { 80, 2, 8, DD35, false },
    { 80, 2, 9, DD35, false }, { 80, 2, 10, DD35, false }, { 82, 2, 10, DD35, false },
    { 80, 2, 15, HD525, false }, { 80, 2, 18, HD35, true }, { 80, 2, 20, HD35, false },
    { 80, 2, 21, HD35, false }, { 82, 2, 21, HD35, false }, { 80, 2, 22, HD35, false },
    { 80, 2, 24, HD35, false }, { 80, 2, 36, ED35, true }, { 80, 2, 39, ED35, false },
    { 80, 2, 40, ED35, false }, { 80, 2, 44, ED35, false }, { 80, 2, 48, ED35, true },
};

/* The drive that is bought for such a medium, and the kinds each drive takes. */
static const uint8_t type_for[] = { [DD525] = 1, [HD525] = 2, [DD35] = 4, [HD35] = 4, [ED35] = 5 };
static const uint8_t takes[] = {
    [1] = 1u << DD525, [2] = 1u << DD525 | 1u << HD525, [3] = 1u << DD35, [4] = 1u << DD35 | 1u << HD35,
    [5] = 1u << DD35 | 1u << HD35 | 1u << ED35
};
#define TYPE_EMPTY 4

static uint64_t bytes(const struct format *x)
{
    return (uint64_t)x->cyls * x->heads * x->secs * FLOPPY_SECTOR;
}

/* False: no floppy disk holds so much. */
static bool format_of(const struct drive *d, struct format *out)
{
    unsigned secs = d->chs.secs;

    if (d->chs.cyls && d->chs.heads && secs) {
        *out = (struct format){ d->chs.cyls, d->chs.heads, secs, secs <= 11 ? DD35 : secs <= 24 ? HD35 : ED35,
                                false };
        if (secs <= 11 && d->chs.cyls <= 42)
            out->kind = DD525;
        return d->chs.cyls <= 84 && d->chs.heads <= 2 && bytes(out) <= FLOPPY_SECTORS * FLOPPY_SECTOR &&
               d->disk->size <= bytes(out);
    }
    for (int common = 0; common < 2; common++) {
        for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
            *out = formats[i];
            if (common ? out->common && d->disk->size <= bytes(out) : d->disk->size == bytes(out))
                return true;
        }
    }
    return false;
}

/* What is in the drive now. */
static void look(struct floppy_drive *d)
{
    struct format x;

    d->cyls = d->heads = d->secs = 0;
    if (!d->drive->disk)
        return;
    if (!format_of(d->drive, &x)) {
        log_msg(LOG_UNIMP, "floppy: drive %s: %llu bytes fit onto no floppy disk: the drive is empty",
                d->drive->id, (unsigned long long)d->drive->disk->size);
        return;
    }
    if (!(takes[d->type] >> x.kind & 1)) {
        log_msg(LOG_UNIMP, "floppy: drive %s: a medium of %llu bytes does not fit into this kind of drive",
                d->drive->id, (unsigned long long)d->drive->disk->size);
        return;
    }
    d->cyls = x.cyls;
    d->heads = x.heads;
    d->secs = x.secs;
    d->two_steps = x.kind == DD525 && d->type == 2;
    d->rate = x.kind == ED35 ? RATE_1000 : x.kind == HD525 || x.kind == HD35 ? RATE_500 :
              d->two_steps ? RATE_300 : RATE_250;
    log_dev(FLOPPY, "drive %s: %u cylinders, %u heads, %u sectors, rate %u%s", d->drive->id, d->cyls,
            d->heads, d->secs, d->rate, d->two_steps ? ", two steps a cylinder" : "");
}

static void changed(void *dev)
{
    struct floppy_drive *d = dev;
    unsigned n = d - d->f->drive;

    d->f->changed |= 1u << n;
    memset(d->f->deleted + n * FLOPPY_SECTORS / 8, 0, FLOPPY_SECTORS / 8);
    look(d);
}

/* There is none: the disk sticks out of the drive when it is out. Nor can the guest keep it in. */
static void tray(void *dev, struct drive_tray *t)
{
    struct floppy_drive *d = dev;

    *t = (struct drive_tray){ !d->drive->disk, false };
}

static void flushed(struct disk_req *r)
{
    struct floppy_drive *d = r->dev;

    d->flushing = false;
    if (r->error)
        log_msg(LOG_DEV, "floppy: drive %s: flushing failed: error %d", d->drive->id, -r->error);
}

void floppy_media_init(struct floppy *f, unsigned n, struct drive *drive)
{
    static const struct drive_user user = { changed, tray, NULL, NULL };
    struct floppy_drive *d = &f->drive[n];
    struct format x;

    d->f = f;
    if (!drive)
        return;
    if (!drive_take(drive, &user, d))
        die(EXIT_CODE_USAGE, "floppy drive %c: drive %s is already used by another device", 'A' + n,
            drive->id);
    d->drive = drive;
    d->type = TYPE_EMPTY;
    if (drive->disk && !format_of(drive, &x))
        die(EXIT_CODE_FILE, "floppy drive %c: the image of drive %s has %llu bytes: floppy disks have at most "
            "%llu, and not more than cyls=, heads= and secs= say: give it as a disk (-hda) or CD (-cdrom)", 'A' + n,
            drive->id, (unsigned long long)drive->disk->size,
            (unsigned long long)bytes(&formats[sizeof(formats) / sizeof(formats[0]) - 1]));
    if (drive->disk)
        d->type = type_for[x.kind];
    look(d);
}

void floppy_add_drive(struct floppy *f, unsigned n, struct drive *drive)
{
    if (n >= FLOPPY_DRIVES || f->drive[n].drive)
        die(EXIT_CODE_USAGE, "floppy drive %c: there is another drive already", 'A' + n);
    floppy_media_init(f, n, drive);
}

uint8_t floppy_type(const struct floppy *f, unsigned n)
{
    return f && n < FLOPPY_DRIVES ? f->drive[n].type : 0;
}

struct floppy_drive *floppy_ready(struct floppy *f, unsigned unit)
{
    struct floppy_drive *d = unit < FLOPPY_DRIVES ? &f->drive[unit] : NULL;

    if (!d || !d->drive || !d->drive->disk || !d->cyls || !(f->dor & DOR_MOTOR << unit) || f->rate != d->rate)
        return NULL;
    return d;
}

bool floppy_protected(const struct floppy *f, unsigned unit)
{
    const struct drive *d = unit < FLOPPY_DRIVES ? f->drive[unit].drive : NULL;

    return d && (d->read_only || (d->disk && d->disk->read_only));
}

/* Time to take the disk out: what was written shall be on it. */
void floppy_motor_off(struct floppy *f, unsigned unit)
{
    struct floppy_drive *d = unit < FLOPPY_DRIVES ? &f->drive[unit] : NULL;

    if (!d || !d->drive || !d->drive->disk || d->drive->disk->read_only || d->flushing)
        return;
    d->flushing = true;
    d->flush = (struct disk_req){ .op = DISK_FLUSH, .done = flushed, .dev = d };
    disk_submit(d->drive->disk, &d->flush);
}

unsigned floppy_last_track(const struct floppy *f, unsigned unit)
{
    return unit < FLOPPY_DRIVES && f->drive[unit].type == 1 ? 42 : 84;
}
