/*
 * nic_env.h - a network chip on a PCI bus with memory, a cable whose other end is the test, interrupts.
 */
#ifndef TESTS_DEV_NIC_ENV_H
#define TESTS_DEV_NIC_ENV_H

#include "hw/net/nic.h"
#include "tests/dev/chipset_env.h"

#define NIC_RAM   0x400000u     /* bytes of memory from address 0 */
#define NIC_MMIO  0xe0000000u   /* where the first memory BAR is put */
#define NIC_PORTS 0xc000u       /* and the first of ports */
#define NIC_SENT  64

struct nic_env {
    struct env *e;
    struct pci_bus *bus;
    struct net net;
    uint8_t *ram;
    unsigned devfn;
    struct { uint8_t data[20000]; size_t len; } *sent;  /* what the chip sent, the last NIC_SENT of them */
    unsigned nsent, nready;
    uint64_t seed;
};

extern const uint8_t nic_mac[6];

/* The plug `name`, with properties "a=b,c=d" (NULL: none); its BARs are placed and it is a bus master. */
struct nic_env *nic_env_new(const char *name, const char *props);
void nic_env_free(struct nic_env *);
bool nic_line(struct nic_env *);        /* its interrupt, whichever */
/* A frame to the chip, as the outside would. False: it has no room. */
bool nic_give(struct nic_env *, const uint8_t *frame, size_t len);
void nic_plug(struct nic_env *, bool up);
uint32_t nic_random(struct nic_env *);
/* A frame of `len` bytes from 02:00:00:00:00:01 to `to`, of a type, with random contents. */
void nic_frame(struct nic_env *, uint8_t *frame, size_t len, const uint8_t *to, unsigned type);
/* The same with IPv4 and TCP (or UDP) headers with right checksums. */
void nic_tcp_frame(struct nic_env *, uint8_t *frame, size_t len, const uint8_t *to, bool udp);
/* Plainly: one's complement sum over 16-bit words, as it stands in headers. */
uint16_t nic_plain_sum(const uint8_t *data, size_t len, uint32_t start);
/* Plainly: the frame's check sequence, bit by bit. */
uint32_t nic_plain_crc(const uint8_t *data, size_t len);

#endif
