/*
 * net_offload.h - what a frame still needs before it is one, and doing it (net_offload.c).
 */
#ifndef HW_VIRTIO_NET_OFFLOAD_H
#define HW_VIRTIO_NET_OFFLOAD_H

#include "hw/net_if.h"

#define NET_SUPER_MAX (NET_FRAME_MAX + 8)       /* the largest frame to be cut: 64 KiB of IP, with VLAN tags */
#define NET_MSS_MIN   8u                        /* of TCP: no frame is cut into more than 8192 */

/*
 * Does what `o` asks for, and gives what comes of it to emit(): the frame with its checksum, or those it is cut into.
 * The frame is changed; `room` is for NET_SUPER_MAX bytes. False: the header makes no sense for this frame, and
 * nothing was sent.
 */
bool net_offload(const struct net_offload *o, uint8_t *frame, size_t len, uint8_t *room,
                 void (*emit)(void *arg, const uint8_t *frame, size_t len), void *arg);
/* A number that both directions of a connection have. */
unsigned net_flow(const uint8_t *frame, size_t len);

#endif
