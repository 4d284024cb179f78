/*
 * fuzz_dev.h - whole boards without processors, all devices plugged, and what a hostile guest does to them.
 *
 * A case is all that follows from a seed: the board, the devices and their properties, the accesses, what the outside
 * does and when time passes.
 */
#ifndef FUZZ_DEV_H
#define FUZZ_DEV_H

#include "hw/boards.h"
#include "hw/clock.h"
#include "hw/input_if.h"
#include "hw/audio_if.h"
#include "hw/display_if.h"
#include "hw/pci.h"
#include "hw/plug.h"
#include "softmmu/softmmu.h"

#define RAM_SIZE  (32u << 20)
#define POOL      0x100000u     /* where the guest's rings and buffers are */
#define POOL_SIZE 0x100000u
#define BARS_MAX  8
#define FUNCTIONS 128

struct function {               /* a PCI function that was found */
    unsigned devfn, vendor, device, class;
    struct { bool io; uint64_t base, size; } bar[BARS_MAX];
    unsigned nbars, driven;
    unsigned entries, asked;    /* of its driver's rings; requests since it was started */
};

struct end;                     /* of something plugged in (outside.c) */

struct fuzz {
    uint64_t random;
    struct machine m;
    struct function fn[FUNCTIONS];
    unsigned nfns, buses;       /* buses: the last one's number */
    struct end *ends;
    struct audio audio;
    struct display display;
    unsigned width, height;
    unsigned long accesses;
    bool trace;
    bool tampers;               /* chips may be what no chip gets to be by itself */
};

/* ---- chance ---- */
uint64_t rnd(struct fuzz *);
/* Below n. */
static inline uint32_t pick(struct fuzz *z, uint32_t n) { return (uint32_t)(rnd(z) >> 32) % n; }
static inline bool chance(struct fuzz *z, unsigned of) { return pick(z, of) == 0; }
/* A value that means something to somebody: small, a bit, an address in RAM, all ones, anything. */
uint64_t value(struct fuzz *);
/* An address in the pool, aligned; at times at the edge of RAM, outside, or far away. */
uint64_t address(struct fuzz *, unsigned align);

/* ---- what a processor does (access.c) ---- */
uint32_t in(struct fuzz *, unsigned port, unsigned size);
void out(struct fuzz *, unsigned port, uint32_t val, unsigned size);
uint64_t mem_in(struct fuzz *, uint64_t pa, unsigned size);
void mem_out(struct fuzz *, uint64_t pa, uint64_t val, unsigned size);
void ram_put(struct fuzz *, uint64_t pa, uint64_t val, unsigned size);
uint64_t ram_get(struct fuzz *, uint64_t pa, unsigned size);
uint32_t config_in(struct fuzz *, unsigned devfn, unsigned reg, unsigned size);
void config_out(struct fuzz *, unsigned devfn, unsigned reg, uint32_t val, unsigned size);
/* Registers of a function. */
uint64_t bar_in(struct fuzz *, const struct function *, unsigned bar, uint64_t off, unsigned size);
void bar_out(struct fuzz *, const struct function *, unsigned bar, uint64_t off, uint64_t val, unsigned size);
/* Finds all functions and gives them their places, as firmware does. */
void enumerate(struct fuzz *);
/* Some accesses without any idea of what is there, but for where. */
void wild(struct fuzz *);

/* ---- drivers: they know how to get a device going, and what its rings look like (drivers.c, usb.c, p9.c, old.c) ---- */
void drive(struct fuzz *, struct function *);
void drive_to_rest(struct fuzz *);     /* what cannot be saved comes to its end */
void drive_old(struct fuzz *);          /* what has no PCI function, or other ports */
/* Commands of storage and USB that mean something. */
void scsi_command(struct fuzz *, uint8_t cdb[16]);
/* A message of 9P2000.L at an address; its length. The first two of a session, 0 and 1, begin it. */
uint32_t p9_message(struct fuzz *, uint64_t at, unsigned number);
/* Of a transfer, by chance: mostly short, at times none at all or more than there is memory. */
uint32_t length(struct fuzz *);
/* USB's controllers (usb.c). */
void drive_uhci(struct fuzz *, struct function *);
void drive_ehci(struct fuzz *, struct function *);
void drive_xhci(struct fuzz *, struct function *);
/* Registers of an NE2000 in the function's first BAR. */
void drive_ne2000(struct fuzz *, struct function *);

/* ---- the world outside (outside.c) ---- */
/* Gives a property that names something its end; false: leave it. */
void outside_init(struct fuzz *);
void *outside_new(struct fuzz *, enum prop_type, bool cdrom);
void outside_acts(struct fuzz *);
void outside_settle(struct machine *);

/* ---- snapshots (tamper.c) ---- */
/* Saves, changes numbers of a chip in what was saved, and loads it; aborts where that is refused as it should not be. */
void tamper(struct fuzz *);
/* Numbers that did harm once, or would have: to be refused by chips that have just been reset. */
void tamper_known(struct fuzz *);

#endif
