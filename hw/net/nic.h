/*
 * nic.h - what network chips share: properties, wiring, frame check sequences, checksums, address hashes.
 */
#ifndef HW_NET_NIC_H
#define HW_NET_NIC_H

#include "hw/net_if.h"
#include "hw/pci.h"
#include "hw/plug.h"

#define NIC_HEAD 14u            /* destination, source, type */
#define NIC_MIN  60u            /* the shortest frame, without check sequence */
#define NIC_FCS  4u

/* ---- as devices of the command line ---- */

struct nic_props {
    struct plug_common common;
    struct net *net;
    uint8_t mac[6];
    const char *romfile;
};
#define NIC_PROPS                                                                                            \
    { "netdev", PROP_NETDEV, offsetof(struct nic_props, net), 0, 0, "the network it is on" },                \
    { "mac", PROP_MAC, offsetof(struct nic_props, mac), 0, 0, "its address (default: the next from "         \
      "52:54:00:12:34:56)" }
#define NIC_ROM_PROP                                                                                         \
    { "romfile", PROP_STRING, offsetof(struct nic_props, romfile), 0, 0, "option ROM; empty: none" }

/* Its place on the PCI bus, with its option ROM. Dies where the place is taken. */
struct pci_dev *nic_pci_add(struct plug_env *, const struct nic_props *, const struct pci_ident *);
/* Dies where another chip has the cable. */
void nic_connect(const struct nic_props *, const struct net_user *, void *dev);

/* ---- bytes ---- */

static inline uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t be32(const uint8_t *p) { return (uint32_t)be16(p) << 16 | be16(p + 2); }
static inline uint16_t le16(const uint8_t *p) { return (uint16_t)(p[1] << 8 | p[0]); }
static inline uint32_t le32(const uint8_t *p) { return (uint32_t)le16(p + 2) << 16 | le16(p); }
static inline void put_be16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static inline void put_be32(uint8_t *p, uint32_t v) { put_be16(p, v >> 16); put_be16(p + 2, v); }
static inline void put_le16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static inline void put_le32(uint8_t *p, uint32_t v) { put_le16(p, v); put_le16(p + 2, v >> 16); }

/* ---- sums ---- */

/* Tables for the check sequence of IEEE 802.3, 3.2.9. */
struct nic_crc {
    uint32_t t[8][256];
};
void nic_crc_init(struct nic_crc *);
/* As four bytes, the lowest first, it stands behind the frame. */
uint32_t nic_crc(const struct nic_crc *, const uint8_t *data, size_t len);
/* Bits of the check sequence of an address that choose one of 64: as DP8390 and RTL8139 do, and as
   Am79C970A. */
unsigned nic_hash(const uint8_t mac[6]);
unsigned nic_hash_le(const uint8_t mac[6]);

/* One's complement sum of 16-bit big-endian words (RFC 1071), not inverted, added to `start`. */
uint16_t nic_sum(const uint8_t *data, size_t len, uint32_t start);
/* Of the pseudo header: addresses of the IP header at `ip` (4 or 6), protocol, length. */
uint16_t nic_pseudo_sum(const uint8_t *ip, unsigned version, uint8_t protocol, uint32_t len);

static inline bool nic_is_group(const uint8_t *mac) { return mac[0] & 1; }
bool nic_is_broadcast(const uint8_t *mac);

#endif
