/*
 * ahci_env.h - an AHCI controller on a bus, disks that answer when told, and a driver.
 *
 * Port 0 has a disk, port 1 a CD-ROM with a medium, port 2 a disk, the others nothing.
 */
#ifndef TESTS_DEV_AHCI_ENV_H
#define TESTS_DEV_AHCI_ENV_H

#include "hw/ide/ahci.h"
#include "tests/dev/chipset_env.h"

#define RAM     (8u << 20)
#define BAR     0xe0000000u
#define PAIR    0xc000u
#define SLOT    3
#define DEVFN   (SLOT << 3)
#define LINE    (SLOT & 3)      /* of INTA */
#define SECTORS 16384u
#define SIZE    (SECTORS * 512)
#define CD_SIZE (256u * 2048)

/* Memory of port p. */
#define CLB(p)  (0x10000u + 0x1000 * (p))
#define FB(p)   (0x20000u + 0x1000 * (p))
#define TABLE(p, slot) (0x100000u + 0x40000 * (p) + 0x2000 * (slot))
#define DATA    0x400000u

enum { CAP = 0, GHC = 4, IS = 8, PI = 0xc, VS = 0x10 };
enum { P_CLB = 0, P_CLBU = 4, P_FB = 8, P_FBU = 0xc, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18, P_TFD = 0x20, P_SIG = 0x24,
       P_SSTS = 0x28, P_SCTL = 0x2c, P_SERR = 0x30, P_SACT = 0x34, P_CI = 0x38 };
enum { DHR = 1, PS = 2, DS = 4, SDB = 8, DP = 0x20, PC = 0x40, PRC = 1 << 22, OF = 1 << 24, IF = 1 << 27, HBF = 1 << 29,
       TFE = 1 << 30 };
enum { ST = 1, SUD = 2, CLO = 8, FRE = 0x10, FR = 0x4000, CR = 0x8000 };

struct fake {
    struct disk d;
    uint8_t *data;
    struct disk_req *wait[64];
    unsigned n;
    bool lazy;                  /* only answer() answers */
    int fail;                   /* what requests that touch byte fail_at are answered with */
    uint64_t fail_at;
    unsigned fuas, flushes, drains;
};

extern struct env *e;
extern uint8_t *ram;
extern struct fake disk[3];
extern struct drive drive[3];
extern unsigned messages;

void setup(void);
void setup_with(bool staggered);
void teardown(void);
void answer(struct fake *, unsigned n);
void answer_all(struct fake *);

uint32_t reg(unsigned off);
void set(unsigned off, uint32_t v);
uint32_t preg(unsigned port, unsigned off);
void pset(unsigned port, unsigned off, uint32_t v);
uint32_t r32(uint64_t pa);
void w32(uint64_t pa, uint32_t v);

/* Lists and receive area; running. */
void start(unsigned port);
void stop(unsigned port);

struct cmd {
    uint8_t command, device;
    uint16_t feature, count;
    uint64_t lba;
    bool write, atapi;
    uint8_t packet[12];
    struct { uint64_t pa; uint32_t len; } prd[8];       /* ends with length 0 */
};
#define READ_DMA(at, n, where)  (&(struct cmd){ .command = 0x25, .lba = (at), .count = (n), \
                                                .prd = { { (where), (n) * 512u } } })
#define WRITE_DMA(at, n, where) (&(struct cmd){ .command = 0x35, .lba = (at), .count = (n), .write = true, \
                                                .prd = { { (where), (n) * 512u } } })
void put(unsigned port, unsigned slot, const struct cmd *);
/* For port 0: READ or WRITE FPDMA QUEUED of n sectors. */
void put_queued(unsigned slot, bool write, uint64_t lba, unsigned n, uint64_t where);
void issue(unsigned port, uint32_t slots);
void issue_queued(unsigned port, uint32_t slots);
/* Puts it into slot 0, issues it, waits; what PxIS has then, which is cleared. */
uint32_t run(unsigned port, const struct cmd *);
/* Reads a log page of port 0's disk to DATA; the one of queued commands has the right sum. */
void read_log(unsigned log);
/* Is memory at pa what disk d has there? */
bool same(uint64_t pa, unsigned d, uint64_t lba, unsigned sectors);

#endif
