/* floppy_int.h - what the floppy controller's files share: registers and phases are floppy.c's, commands that
 * read and write floppy_data.c's, drives and media floppy_media.c's. */
#ifndef HW_FLOPPY_INT_H
#define HW_FLOPPY_INT_H

#include "base/log.h"
#include "hw/dma8237.h"
#include "hw/floppy.h"

#define FLOPPY_DRIVES 2
#define FLOPPY_UNITS  4         /* that the controller can tell apart */
#define FLOPPY_SECTOR 512u
#define FLOPPY_SECTORS 8192u    /* of one medium, at most */
#define FLOPPY_STEP_NS   50000u         /* per cylinder; drives take 3 ms and more */
#define FLOPPY_SECTOR_NS 100000u        /* per sector; drives take 11 ms */
#define FLOPPY_TURN_NS   200000000u     /* one turn: longer no drive takes for a sector */
#define FLOPPY_LOST_NS   4000000u       /* two turns without what was looked for */

enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_POLLED = 0xc0, ST0_SEEK = 0x20, ST0_EC = 0x10 };
enum { ST1_EN = 0x80, ST1_DE = 0x20, ST1_ND = 0x04, ST1_NW = 0x02, ST1_MA = 0x01 };
enum { ST2_CM = 0x40, ST2_DD = 0x20, ST2_WC = 0x10, ST2_SH = 0x08, ST2_SN = 0x04 };
enum { DOR_SELECT = 0x03, DOR_RUN = 0x04, DOR_GATE = 0x08, DOR_MOTOR = 0x10 };
enum { CONFIG_EIS = 0x40, CONFIG_NO_FIFO = 0x20, CONFIG_NO_POLL = 0x10, CONFIG_THRESHOLD = 0x0f };

/* What a data command does with the sectors. */
enum floppy_kind { FLOPPY_READ, FLOPPY_READ_DELETED, FLOPPY_WRITE, FLOPPY_WRITE_DELETED, FLOPPY_READ_TRACK,
                   FLOPPY_VERIFY, FLOPPY_SCAN_EQUAL, FLOPPY_SCAN_LOW, FLOPPY_SCAN_HIGH, FLOPPY_FORMAT,
                   FLOPPY_READ_ID };
enum floppy_phase { PHASE_IDLE, PHASE_PARAMETERS, PHASE_EXECUTION, PHASE_RESULT };
/* What the execution phase waits for. */
enum floppy_wait { WAIT_NOTHING, WAIT_TURN, WAIT_DISK, WAIT_DMA, WAIT_HOST, WAIT_LOST };

struct floppy_drive {
    struct floppy *f;
    struct drive *drive;        /* NULL: there is none */
    uint8_t type;               /* 1: 360K, 2: 1.2M, 3: 720K, 4: 1.44M, 5: 2.88M */
    /* The medium; cyls 0: none that this drive could read. */
    uint8_t cyls, heads, secs, rate;
    bool two_steps;             /* its cylinders are two of the drive's apart */
    bool flushing;
    struct disk_req flush;
};

struct floppy {
    struct clock *clock;
    struct irq irq;
    struct dma8237 *dma;
    struct timer turn, step;    /* the next sector comes by; a seek ends, or a reset */
    struct floppy_drive drive[FLOPPY_DRIVES];
    struct disk_req req;
    struct disk_buf req_buf;
    uint8_t io[FLOPPY_SECTOR];
    bool req_busy, req_dropped; /* dropped: nobody waits for it any more */
    struct bound patience;      /* the guest's, with an image that answers late */

    uint8_t dor, tdr, dsr, rate;
    uint8_t phase, wait, irq_on;
    uint8_t cmd[18], cmd_len, cmd_have;
    uint8_t result[16], result_len, result_at;
    uint8_t specify[2], config, pretrk, lock, perpendicular, option, power, drive_spec[FLOPPY_UNITS];

    uint8_t pcn[FLOPPY_UNITS];  /* where the controller thinks the heads are */
    uint8_t track[FLOPPY_UNITS];        /* where they are */
    uint8_t changed;            /* bit n: disk change line of drive n */
    uint8_t seeking;            /* bit n: drive n */
    uint8_t sense, sense_st0[FLOPPY_UNITS];     /* what SENSE INTERRUPT STATUS has to tell of which */
    uint8_t polled;             /* drives it has to tell of after a reset */
    uint64_t seek_due[FLOPPY_UNITS], reset_due; /* UINT64_MAX: none */

    /* the data command under way */
    uint8_t kind, unit, head, c, h, r, n;
    uint8_t st1, st2, tc, marked;       /* marked: this sector has the other address mark, stop behind it */
    uint16_t left;              /* sectors to go, where the command says how many */
    uint16_t pos, len, chunk;   /* of data[]; chunk: bytes the host may move before the next interrupt */
    uint8_t data[FLOPPY_SECTOR];
    uint8_t deleted[FLOPPY_DRIVES * FLOPPY_SECTORS / 8];        /* sectors with a deleted data address mark */
};

/* ---- floppy.c ---- */

void floppy_irq(struct floppy *, bool on);
/* The result phase, with an interrupt. */
void floppy_finish(struct floppy *, const uint8_t *result, unsigned len, bool irq);
/* Move the heads by so many steps; returns how many there were. */
unsigned floppy_step(struct floppy *, unsigned unit, int steps);

/* ---- floppy_data.c ---- */

void floppy_data_start(struct floppy *, enum floppy_kind);
void floppy_data_cancel(struct floppy *);
void floppy_data_gate(struct floppy *);         /* DOR's gate bit was written */
const char *floppy_data_check(const struct floppy *);   /* what is wrong with what is to be loaded; NULL: nothing */
void floppy_data_loaded(struct floppy *);
/* The host's side in non-DMA mode. */
bool floppy_host_reads(const struct floppy *);
uint8_t floppy_host_read(struct floppy *);
void floppy_host_write(struct floppy *, uint8_t);
void floppy_data_init(struct floppy *);

/* ---- floppy_media.c ---- */

void floppy_media_init(struct floppy *, unsigned n, struct drive *);
/* NULL: nothing the selected rate could be read of is turning under the heads. */
struct floppy_drive *floppy_ready(struct floppy *, unsigned unit);
bool floppy_protected(const struct floppy *, unsigned unit);
void floppy_motor_off(struct floppy *, unsigned unit);
unsigned floppy_last_track(const struct floppy *, unsigned unit);

#endif
