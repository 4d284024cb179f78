/*
 * nic.c - what network chips share (nic.h).
 */
#include "hw/net/nic.h"

#include <string.h>

#include "base/log.h"

#define POLYNOMIAL 0xedb88320u  /* of the check sequence, lowest bit first */

/* ---- wiring ---- */

struct pci_dev *nic_pci_add(struct plug_env *env, const struct nic_props *p, const struct pci_ident *id)
{
    struct pci_dev *d = pci_add(env->pci, p->common.name, p->common.slot, p->common.fn, id);
    const struct rom_image *rom = plug_rom(env, p->romfile);

    if (rom)
        pci_rom(d, rom->data, rom->len);
    return d;
}

void nic_connect(const struct nic_props *p, const struct net_user *user, void *dev)
{
    if (!net_connect(p->net, user, dev, p->mac))
        die(EXIT_CODE_USAGE, "-device %s: netdev=%s: another device is on that network", p->common.name,
            p->net->id);
}

/* ---- check sequences ---- */

void nic_crc_init(struct nic_crc *c)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t v = i;

        for (unsigned bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
        c->t[0][i] = v;
    }
    for (unsigned n = 1; n < 8; n++)
        for (unsigned i = 0; i < 256; i++)
            c->t[n][i] = c->t[n - 1][i] >> 8 ^ c->t[0][c->t[n - 1][i] & 0xff];
}

uint32_t nic_crc(const struct nic_crc *c, const uint8_t *p, size_t len)
{
    uint32_t v = UINT32_MAX;

    for (; len >= 8; len -= 8, p += 8) {
        uint32_t lo = v ^ le32(p);

        v = c->t[7][lo & 0xff] ^ c->t[6][lo >> 8 & 0xff] ^ c->t[5][lo >> 16 & 0xff] ^ c->t[4][lo >> 24] ^
            c->t[3][p[4]] ^ c->t[2][p[5]] ^ c->t[1][p[6]] ^ c->t[0][p[7]];
    }
    while (len--)
        v = v >> 8 ^ c->t[0][(v ^ *p++) & 0xff];
    return ~v;
}

/* The register after an address, before it is inverted. */
static uint32_t address_crc(const uint8_t mac[6])
{
    uint32_t v = UINT32_MAX;

    for (unsigned i = 0; i < 6; i++) {
        v ^= mac[i];
        for (unsigned bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
    }
    return v;
}

unsigned nic_hash_le(const uint8_t mac[6])
{
    return address_crc(mac) >> 26;
}

/* Those chips count the bits from the other end. */
unsigned nic_hash(const uint8_t mac[6])
{
    uint32_t crc = address_crc(mac);
    unsigned h = 0;

    for (unsigned i = 0; i < 6; i++)
        h |= (crc >> i & 1) << (5 - i);
    return h;
}

/* ---- checksums ---- */

static uint16_t fold(uint64_t v)
{
    while (v >> 16)
        v = (v & 0xffff) + (v >> 16);
    return (uint16_t)v;
}

uint16_t nic_sum(const uint8_t *p, size_t len, uint32_t start)
{
    uint64_t sum = 0;

    /* The sum of words with their bytes exchanged is the sum with its bytes exchanged (RFC 1071, 2 B). */
    for (; len >= 4; len -= 4, p += 4)
        sum += le32(p);
    if (len >= 2)
        sum += le16(p);
    if (len & 1)
        sum += p[len & 2];
    sum = fold(sum);
    return fold((uint64_t)(sum >> 8 | (sum & 0xff) << 8) + start);
}

uint16_t nic_pseudo_sum(const uint8_t *ip, unsigned version, uint8_t protocol, uint32_t len)
{
    uint32_t rest = (uint32_t)protocol + (len >> 16) + (len & 0xffff);

    return version == 4 ? nic_sum(ip + 12, 8, rest) : nic_sum(ip + 8, 32, rest);
}

bool nic_is_broadcast(const uint8_t *mac)
{
    static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    return memcmp(mac, all, 6) == 0;
}
