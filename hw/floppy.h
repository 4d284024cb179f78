/* floppy.h - floppy disk controller (82077AA and what the 82078 added) with up to two drives. */
#ifndef HW_FLOPPY_H
#define HW_FLOPPY_H

#include "hw/dev.h"
#include "hw/disk_if.h"

#define FLOPPY_PORT 0x3f0
#define FLOPPY_IRQ  6
#define FLOPPY_DMA  2

struct dma8237;
struct floppy;

/* Where -device floppy puts drives. */
struct floppy_bus {
    struct floppy *f;
    const char *path;           /* how firmware names the controller */
};

/* drive[n] NULL: there is no such drive. dma NULL: there is none, drivers must do without. Dies if an image
 * is larger than any floppy disk. */
struct floppy *floppy_new(struct chip_list *, struct ports *, struct clock *, struct irq irq,
                          struct dma8237 *dma, struct drive *const drive[2]);
/* A drive for place n, while the machine is wired. Dies where there is one, or as floppy_new() does. */
void floppy_add_drive(struct floppy *, unsigned n, struct drive *);
/* The drive's kind as CMOS byte 10h tells it, 0: none. */
uint8_t floppy_type(const struct floppy *, unsigned n);

#endif
