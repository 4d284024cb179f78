/*
 * dma8237.h - the two 8237A DMA controllers of a PC/AT and their page registers.
 *
 * Channels 0 to 3 move bytes, 5 to 7 words of 16 bits; channel 4 is the input the first controller is
 * cascaded into.  A device drives its channel's DREQ, and moves what it has, or wants, while the channel
 * may:
 *
 *     dma8237_request(d, ch, true);
 *     n = dma8237_to_memory(d, ch, buf, len, &tc);     less than len: now the channel may not
 *     ...ready(dev) is called when it may again...
 *     dma8237_request(d, ch, false);
 */
#ifndef HW_DMA8237_H
#define HW_DMA8237_H

#include "hw/dev.h"

struct dma8237;
/* Ports 00h-0Fh, 80h-8Fh and C0h-DFh. */
struct dma8237 *dma8237_new(struct chip_list *, struct ports *, struct phys *);

struct dma_user {
    /* DREQ is high, and the channel may move data but could not before. */
    void (*ready)(void *dev);
};
/* False: another device has that channel. */
bool dma8237_attach(struct dma8237 *, unsigned channel, const struct dma_user *, void *dev);
/* The device that had the channel gives it back, its DREQ low. */
void dma8237_detach(struct dma8237 *, unsigned channel);
void dma8237_request(struct dma8237 *, unsigned channel, bool level);
/* The channel may move data (one in cascade mode: the device is master of the bus). */
bool dma8237_granted(const struct dma8237 *, unsigned channel);
/*
 * The device gives, or takes, up to `len` bytes (word channels: an even number); returns how many were
 * moved. *tc: the last of them came with terminal count. A channel that is programmed for verifying, or for
 * the other direction, counts and touches no memory: the device gets FFh.
 */
unsigned dma8237_to_memory(struct dma8237 *, unsigned channel, const void *buf, unsigned len, bool *tc);
unsigned dma8237_from_memory(struct dma8237 *, unsigned channel, void *buf, unsigned len, bool *tc);

#endif
