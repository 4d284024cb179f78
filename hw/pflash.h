/*
 * pflash.h - a flash memory that holds firmware or its variables; its contents are a drive's.
 */
#ifndef HW_PFLASH_H
#define HW_PFLASH_H

#include "hw/dev.h"
#include "hw/disk_if.h"

#define PFLASH_BLOCK 4096u      /* what is erased at once; the length is a multiple */

struct pflash;
/* At [base, base + len). image: the drive's contents, in memory aligned to a page that stays; what the
   guest changes * is written to both. Dies if something is there. */
struct pflash *pflash_new(struct chip_list *, struct phys *, const char *name, uint64_t base, uint8_t *image,
                          uint64_t len, struct drive *);
/* Commands are taken, and answered, only while may(arg); to all others it is a ROM. */
void pflash_secure(struct pflash *, bool (*may)(void *arg), void *arg);

#endif
