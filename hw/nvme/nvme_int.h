/*
 * nvme_int.h - what the files of the NVMe controller share: registers (nvme.c), queues (queue.c), where a command's
 * data is (data.c), admin commands (admin.c, log.c), commands to the namespace (io.c).
 */
#ifndef HW_NVME_INT_H
#define HW_NVME_INT_H

#include "hw/nvme/nvme.h"

#define QUEUES    PCI_MSIX_MAX  /* the admin queue is number 0 */
#define VECTORS   PCI_MSIX_MAX
#define COMMANDS  256           /* under way at most, of all queues */
#define ADMIN_RESERVE 8         /* of these never given to I/O queues */
#define QUEUE_MAX 2048          /* entries */
#define SQE       64
#define CQE       16
#define AERS      4             /* asynchronous event requests at most */
#define ERRORS    64            /* entries of the error log, 64 bytes each */
#define ERROR_LEN 64
#define NSID      1u            /* of the only namespace */
#define NSID_ALL  0xffffffffu

#define NVME_VERSION  0x00010400u
#define NVME_FIRMWARE "1.0     "

/* Status of a completion: type, code, "do not retry". */
#define NVME_OK              0x0000
#define NVME_DNR             0x4000
#define NVME_BAD_OPCODE      (0x001 | NVME_DNR)
#define NVME_BAD_FIELD       (0x002 | NVME_DNR)
#define NVME_BAD_DATA        (0x004 | NVME_DNR)         /* data transfer error */
#define NVME_INTERNAL        0x006
#define NVME_ABORTED         0x007
#define NVME_BAD_NAMESPACE   (0x00b | NVME_DNR)
#define NVME_BAD_SEQUENCE    (0x00c | NVME_DNR)
#define NVME_BAD_SGL_SEGMENT (0x00d | NVME_DNR)
#define NVME_BAD_SGL_COUNT   (0x00e | NVME_DNR)
#define NVME_BAD_SGL_LENGTH  (0x00f | NVME_DNR)
#define NVME_BAD_SGL_TYPE    (0x011 | NVME_DNR)
#define NVME_BAD_PRP         (0x013 | NVME_DNR)         /* PRP offset invalid */
#define NVME_PROTECTED       (0x020 | NVME_DNR)         /* namespace is write protected */
#define NVME_BAD_LBA         (0x080 | NVME_DNR)
#define NVME_NO_ROOM         (0x081 | NVME_DNR)
#define NVME_NOT_READY       (0x082 | NVME_DNR)         /* no medium */
#define NVME_BAD_CQ          (0x100 | NVME_DNR)
#define NVME_BAD_QID         (0x101 | NVME_DNR)
#define NVME_BAD_QSIZE       (0x102 | NVME_DNR)
#define NVME_AERS_FULL       (0x105 | NVME_DNR)
#define NVME_BAD_VECTOR      (0x108 | NVME_DNR)
#define NVME_BAD_LOG         (0x109 | NVME_DNR)
#define NVME_BAD_DELETE      (0x10c | NVME_DNR)
#define NVME_NOT_SAVEABLE    (0x10d | NVME_DNR)
#define NVME_WRITE_FAULT     0x280
#define NVME_READ_FAULT      0x281
#define NVME_DIFFERENT       0x285                      /* compare failure */
/* What a command's function returns besides: it will be finished later; it stays without answer for now. */
#define NVME_LATER           0xffff
#define NVME_KEPT            0xfffe

/* Asynchronous events: type, and information within the type. */
enum { EVENT_ERROR, EVENT_SMART, EVENT_NOTICE, EVENTS };
#define ERROR_DOORBELL_REG   0
#define ERROR_DOORBELL_VALUE 1
#define SMART_TEMPERATURE    1
#define NOTICE_NAMESPACE     0

/* Composite temperature in kelvin: there is no sensor, so it never changes. */
#define TEMPERATURE          308
#define TEMPERATURE_WARN     343

struct nvme_cmd {
    struct disk_req req;        /* first */
    struct nvme *s;
    void (*then)(struct disk_req *);
    uint32_t dw[SQE / 4];
    uint16_t sq;
    bool used;
    uint32_t generation;
    uint32_t result;            /* dword 0 of the completion */
    /* Where its data is: pieces of guest RAM, host and guest addresses. */
    struct disk_buf *bufs;
    uint64_t *pa;
    unsigned nbufs, room;
    uint64_t bytes;
    uint8_t *scratch;           /* what was read to compare with, or to verify; ranges to deallocate */
    struct disk_buf whole;      /* the same as a piece */
    uint64_t at, left;          /* verify: where it goes on; deallocate: ranges */
    struct nvme_cmd *next;      /* of the free ones */
};

struct nvme {
    struct pci_dev *pci;
    struct clock *clock;
    struct drive *drive;
    struct nvme_config config;
    char serial[21];
    uint8_t uuid[16];
    struct nvme_cmd cmd[COMMANDS], *free;
    unsigned nfree, busy;       /* busy: requests of any generation that the disk has */
    uint32_t generation;        /* of commands; each reset ends one */
    unsigned turn;              /* queue that is looked at first */
    uint16_t under_way[QUEUES]; /* of each submission queue */
    uint16_t owed[QUEUES];      /* entries of a completion queue that are promised to commands under way */
    struct disk_req shut;       /* flush of a shutdown */
    bool shut_busy, stopping;   /* stopping: reset, and the disk still has requests of before */
    uint32_t due[VECTORS / 32]; /* interrupt messages to send when all that can be done now is done */
    struct timer coalesce;

    /* ---- state ---- */
    uint32_t intms, cc, csts, aqa;
    uint64_t asq, acq;
    /* Queues; size 0: there is none. */
    uint64_t sq_at[QUEUES], cq_at[QUEUES];
    uint16_t sq_size[QUEUES], sq_head[QUEUES], sq_tail[QUEUES], sq_cq[QUEUES];
    uint16_t cq_size[QUEUES], cq_head[QUEUES], cq_tail[QUEUES], cq_vector[QUEUES];
    uint8_t cq_phase[QUEUES], cq_ien[QUEUES];
    uint8_t ending[QUEUES];     /* a submission queue is being deleted by command ending_cid */
    uint16_t ending_cid[QUEUES];
    /* Features. */
    uint32_t arbitration, error_recovery, coalescing, atomicity, event_config;
    uint16_t over, under;       /* temperature thresholds */
    uint8_t write_cache;
    uint8_t uncoalesced[VECTORS];
    uint16_t held[VECTORS];     /* completions an interrupt waits for */
    uint64_t coalesce_due;
    /* Asynchronous events. */
    uint16_t aer[AERS];
    uint8_t naer, event[EVENTS], masked[EVENTS];        /* event: bit n: information n is to be told */
    uint8_t changed;            /* the namespace, since the changed namespace list was read */
    /* Logs. */
    uint8_t error[ERRORS * ERROR_LEN];
    uint64_t nerrors;
    uint64_t read_units, write_units, reads, writes, media_errors, shutdowns_unsafe, power_cycles;
    uint8_t opened;             /* enabled, and not shut down in order since */
};

/* ---- nvme.c ---- */
uint64_t nvme_get(const void *p, unsigned size);
void nvme_put(void *p, unsigned size, uint64_t v);
unsigned nvme_vectors(const struct nvme *);
/* Enabled, and neither stopped nor being reset: it fetches and answers commands. */
bool nvme_ready(const struct nvme *);
/* It stops until it is reset (CSTS.CFS). */
void nvme_fatal(struct nvme *, const char *what);
/* Go on with a reset or with becoming ready, if the disk has nothing of before any more. */
void nvme_enable(struct nvme *);

/* ---- queue.c ---- */
/* The end of a command that returned NVME_LATER; the caller goes on with nvme_run(). */
void nvme_finish(struct nvme_cmd *, uint16_t status);
/* Do what can be done: commands, events, interrupts. */
void nvme_run(struct nvme *);
/* c->req to the disk; then() is called if the command still matters when it is back. */
void nvme_submit(struct nvme_cmd *, struct disk *, void (*then)(struct disk_req *));
void nvme_event(struct nvme *, unsigned type, unsigned info);
/* False: no asynchronous event request with that identifier waits. */
bool nvme_event_abort(struct nvme *, uint16_t cid);
/* Delete an I/O submission queue: command `cid` is answered when no command of the queue is under way. */
void nvme_sq_delete(struct nvme *, unsigned q, uint16_t cid);
void nvme_pin_update(struct nvme *);    /* INTx, after a change of what it follows */
void nvme_coalesced(void *nvme);        /* the timer of interrupts that wait for more completions */

/* ---- data.c ---- */
/* Find the `len` bytes of guest RAM that a command names; `in`: they will be written. Returns a status. */
uint16_t nvme_map(struct nvme_cmd *, uint64_t len, bool in);
/* Copies from or to all of them. */
void nvme_data_put(struct nvme_cmd *, const void *from);
void nvme_data_get(struct nvme_cmd *, void *to);
/* The disk has written to them. */
void nvme_data_written(struct nvme_cmd *);

/* ---- admin.c, features.c, log.c, io.c: return a status, NVME_LATER or NVME_KEPT ---- */
uint16_t nvme_admin(struct nvme_cmd *);
uint16_t nvme_get_features(struct nvme_cmd *);
uint16_t nvme_set_features(struct nvme_cmd *);
void nvme_features_reset(struct nvme *);
uint16_t nvme_get_log(struct nvme_cmd *);
void nvme_log_error(struct nvme_cmd *, uint16_t status);
uint8_t nvme_warnings(const struct nvme *);     /* critical warnings of the SMART log */
uint16_t nvme_io(struct nvme_cmd *);

/* Blocks of the namespace; 0: no medium. */
static inline uint64_t nvme_blocks(const struct nvme *s)
{
    return s->drive->disk ? s->drive->disk->size / s->config.block_size : 0;
}

static inline bool nvme_read_only(const struct nvme *s)
{
    return s->drive->read_only || (s->drive->disk && s->drive->disk->read_only);
}

#endif
