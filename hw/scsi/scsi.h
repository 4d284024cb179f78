/*
 * scsi.h - a SCSI bus: targets with logical units (SPC-4, SBC-3, MMC-5), and commands that a host adapter
 * gives them.
 *
 * An adapter has a struct scsi_bus, fills in a struct scsi_cmd and starts it; it gets it back by its done(),
 * perhaps before scsi_start() has returned. Commands are not cancelled, as disk requests are not: an adapter
 * that is reset drops the answers.
 *
 *   scsi.c        the bus, dispatch, sense data, what all devices do
 *   scsi_block.c  reading and writing, of disks and CD-ROMs; capacity, unmapping, cache
 *   scsi_mode.c   mode pages
 *   scsi_cd.c     what CD-ROMs have besides
 */
#ifndef HW_SCSI_SCSI_H
#define HW_SCSI_SCSI_H

#include "hw/dev.h"
#include "hw/disk_xfer.h"
#include "hw/pci.h"

#define SCSI_TARGETS 256u
#define SCSI_LUNS    16384u
#define SCSI_CDB     16u
#define SCSI_SENSE   18u
#define SCSI_PARAMS  2048u              /* bytes of parameter data, either way */

enum { SCSI_GOOD = 0x00, SCSI_CHECK = 0x02 };
enum scsi_type { SCSI_DISK = 0, SCSI_CD = 5 };

struct scsi_cmd;

/* The adapter's side of a command: where its data are. */
struct scsi_transport {
    /* Copies data of the command from byte `off` on: from the driver, to the driver. */
    void (*get)(struct scsi_cmd *, uint64_t off, void *buf, uint32_t len);
    void (*put)(struct scsi_cmd *, uint64_t off, const void *buf, uint32_t len);
    /* As struct disk_xfer's map(). `in`: the driver reads. */
    uint32_t (*map)(struct scsi_cmd *, bool in, uint64_t pos, uint32_t len, struct disk_buf *, unsigned max,
                    unsigned *n);
    /* What map() gave for `in` has been written, up to byte `len`. */
    void (*written)(struct scsi_cmd *, uint64_t len);
    void (*done)(struct scsi_cmd *);
};

struct scsi_dev {                       /* a chip of its own */
    struct scsi_bus *bus;
    struct drive *drive;
    enum scsi_type type;
    unsigned target, lun, block;        /* block: bytes */
    const char *vendor, *product, *version, *serial;
    const char *device_id;              /* in page 83h; NULL: vendor and serial */
    uint64_t wwn;                       /* 0: none */
    unsigned rotation;                  /* revolutions a minute; 1: none, 0: it does not say */
    bool read_only, removable, cache_off;       /* cache_off: wce is, until the driver says otherwise */
    uint8_t wce;                        /* write cache enabled */
    uint8_t locked, stopped;            /* medium removal is prevented; no access before START */
    uint8_t event;                      /* CD: of the medium, for GET EVENT STATUS NOTIFICATION */
    uint16_t attention;                 /* unit attention to be told: ASC << 8 | ASCQ, 0: none */
    uint8_t sense[SCSI_SENSE];          /* for REQUEST SENSE; its first byte 0: none */
    struct scsi_dev *next;              /* of the bus, by target and unit */
};

struct scsi_bus {
    struct scsi_dev *first;
    bool keeps_sense;                   /* the adapter does not pass sense data on: REQUEST SENSE asks for them */
    char path[PCI_PATH_MAX];            /* how firmware names it: "/pci@i0cf8/scsi@3" */
};

struct scsi_cmd {
    /* the adapter's */
    const struct scsi_transport *transport;
    uint8_t cdb[SCSI_CDB];
    uint64_t out_len, in_len;           /* bytes from the driver, and room for it */
    /* the answer */
    uint8_t status;
    uint8_t sense[SCSI_SENSE];          /* if status is SCSI_CHECK */
    uint64_t moved;                     /* bytes of data */
    uint64_t wanted;                    /* bytes of a reply, before it was cut to the room there is */
    bool overrun;                       /* more data than there is room for: nothing was done */
    /* while it runs */
    struct scsi_dev *dev;
    struct disk_xfer x;
    uint8_t *params;                    /* WRITE SAME, UNMAP: what came from the driver */
    uint32_t params_len, params_at;
};

/* Unit 0 of target 0 of an adapter that has no other; `device` is the adapter's name. Dies where the drive is
   not fit for it. */
struct scsi_dev *scsi_dev_new(struct chip_list *, struct scsi_bus *, const char *device, struct drive *,
                              const char *serial, bool removable);
/* NULL: there is none. */
struct scsi_dev *scsi_find(const struct scsi_bus *, unsigned target, unsigned lun);
/* False: there is no such target. */
bool scsi_start(struct scsi_bus *, unsigned target, unsigned lun, struct scsi_cmd *);
/* The adapter reset the unit, or all of them (dev NULL). */
void scsi_reset(struct scsi_bus *, struct scsi_dev *);

/* ---- among the files of this folder ---- */

enum { SENSE_NOT_READY = 2, SENSE_MEDIUM = 3, SENSE_HARDWARE = 4, SENSE_ILLEGAL = 5, SENSE_ATTENTION = 6,
       SENSE_PROTECT = 7 };
/* Additional sense codes, ASC << 8 | ASCQ. */
enum { ASC_NO_MEDIUM = 0x3a00, ASC_OPCODE = 0x2000, ASC_LBA = 0x2100, ASC_FIELD = 0x2400, ASC_LUN = 0x2500,
       ASC_PARAMETER = 0x2600, ASC_PARAMETER_LEN = 0x1a00, ASC_PROTECTED = 0x2700, ASC_CHANGED = 0x2800,
       ASC_RESET = 0x2900, ASC_LOCKED = 0x5302, ASC_READ = 0x1100, ASC_WRITE = 0x0c00, ASC_STOPPED = 0x0402,
       ASC_SAVING = 0x3900 };

void scsi_good(struct scsi_cmd *);
void scsi_fail(struct scsi_cmd *, unsigned key, unsigned asc);
/* Parameter data to the driver, cut to what it asked for (`alloc`) and has room for. */
void scsi_reply(struct scsi_cmd *, const uint8_t *data, uint32_t len, uint32_t alloc);

#define SCSI_FN(name) void name(struct scsi_cmd *)
SCSI_FN(scsi_read6); SCSI_FN(scsi_read10); SCSI_FN(scsi_read12); SCSI_FN(scsi_read16);
SCSI_FN(scsi_write6); SCSI_FN(scsi_write10); SCSI_FN(scsi_write12); SCSI_FN(scsi_write16);
SCSI_FN(scsi_verify10); SCSI_FN(scsi_verify12); SCSI_FN(scsi_verify16);
SCSI_FN(scsi_capacity10); SCSI_FN(scsi_capacity16); SCSI_FN(scsi_flush); SCSI_FN(scsi_unmap);
SCSI_FN(scsi_same10); SCSI_FN(scsi_same16);
SCSI_FN(scsi_mode_sense); SCSI_FN(scsi_mode_select);
SCSI_FN(scsi_read_toc); SCSI_FN(scsi_configuration); SCSI_FN(scsi_event_status); SCSI_FN(scsi_disc_info);
SCSI_FN(scsi_track_info); SCSI_FN(scsi_mechanism); SCSI_FN(scsi_read_cd);
#undef SCSI_FN

static inline uint64_t be_get(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v = v << 8 | p[i];
    return v;
}

static inline void be_put(uint8_t *p, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
}

static inline uint64_t scsi_blocks(const struct scsi_dev *d)
{
    return d->drive->disk ? d->drive->disk->size / d->block : 0;
}

#endif
