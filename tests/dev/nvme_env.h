/*
 * nvme_env.h - an NVMe controller on a bus, a disk that answers when told, and a driver.
 */
#ifndef TESTS_DEV_NVME_ENV_H
#define TESTS_DEV_NVME_ENV_H

#include "hw/nvme/nvme.h"
#include "tests/dev/chipset_env.h"

#define RAM    (8u << 20)
#define BAR    0xe0000000u
#define MSIX   0xe0010000u
#define SLOT   3
#define BLOCKS 4096u
#define SIZE   (BLOCKS * 512)
#define PAIRS  4

#define ASQ    0x1000u
#define ACQ    0x2000u
#define SQ(q)  (0x10000u + 0x1000 * (q))
#define CQ(q)  (0x20000u + 0x1000 * (q))
#define DEPTH  8
#define DATA   0x100000u        /* buffers from here up */
#define LIST   0x80000u

/* Status without "do not retry" and "more". */
#define OK 0
enum { BAD_OPCODE = 1, BAD_FIELD = 2, BAD_DATA = 4, ABORTED = 7, BAD_NS = 0xb, BAD_SEQUENCE = 0xc,
       BAD_SGL_SEGMENT = 0xd, BAD_SGL_COUNT = 0xe, BAD_SGL_LENGTH = 0xf, BAD_SGL_TYPE = 0x11, BAD_PRP = 0x13,
       PROTECTED = 0x20, BAD_LBA = 0x80, NOT_READY = 0x82, BAD_CQ = 0x100, BAD_QID, BAD_QSIZE,
       AERS_FULL = 0x105, BAD_VECTOR = 0x108, BAD_LOG, BAD_DELETE = 0x10c, NOT_SAVEABLE,
       READ_FAULT = 0x281, DIFFERENT = 0x285 };

struct queue {
    unsigned tail, head, cq_head, phase, size, cq_size;
};

extern struct env *e;
extern uint8_t *ram, medium[SIZE];
extern struct queue queue[PAIRS + 1];
extern unsigned messages[PAIRS + 1], flushes, fuas, discards;
extern unsigned nwaiting;       /* requests the disk has */
extern int fail;                /* what requests are answered with */
extern bool lazy;               /* only serve() answers */
extern struct disk disk;
extern struct drive drive;
extern uint32_t result;         /* dword 0 of the last completion */

void nvme_setup(void);
void nvme_setup_with(struct nvme_config);
void nvme_teardown(void);
void serve_one(unsigned n);
void serve(void);
/* Guest memory, little-endian. */
void w32(uint64_t pa, uint32_t v);
void w64(uint64_t pa, uint64_t v);
uint64_t r(uint64_t pa, unsigned size);
/* Registers. */
uint32_t reg(unsigned off);
void set(unsigned off, uint32_t v);
void enable(void);
void msix_on(void);
uint64_t sq_at(unsigned q);

struct sqe {
    uint32_t op, nsid, dw10, dw11, dw12, dw13;
    uint64_t prp1, prp2;
};

/* Puts the command into the queue and returns its identifier; the doorbell is another matter. */
uint16_t put(unsigned q, struct sqe c);
void ring(unsigned q);
uint16_t send(unsigned q, struct sqe c);
/* The next completion, if there is one. */
bool take_cqe(unsigned q, uint16_t *cid, unsigned *status, uint32_t *result, unsigned *sq);
bool none(unsigned q);
/* The status of the next completion, which must be that command's. */
unsigned wait_for(unsigned q, uint16_t cid);
unsigned run(unsigned q, struct sqe c);
/* An I/O queue pair. */
unsigned create(unsigned q, unsigned vector);
unsigned rw(unsigned q, unsigned op, uint64_t lba, unsigned n, uint64_t prp1, uint64_t prp2);

#endif
