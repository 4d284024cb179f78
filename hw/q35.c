/*
 * q35.c - Intel 82Q35 memory controller hub: configuration space, PCIEXBAR; PAM and SMRAM are in pam.c
 * (3 Series Express Chipset family data sheet 316966, chapter 5).
 *
 * Top of memory registers (TOM, TOUUD, TOLUD, GBSM, TSEGMB) say what there is; what a firmware writes there moves
 * nothing.
 * TSEG, memory for SMM, is the end of the RAM below 4 GiB. Besides the chip's sizes, 1, 2 and 8 MiB, it has one that
 * firmware for emulated machines asks for at 50h: FFFFh written there reads as its MiB.
 * Invariants: while TSEG is on (T_EN and SMRAM's G_SMRAME), nobody but processors in SMM sees it; once SMRAM is
 * locked, neither its place nor its size changes until a reset.
 * Not there: SMRAM at FEDA0000h (H_SMRAME).
 */
#include "hw/q35.h"

#include "base/log.h"
#include "hw/pam.h"

#define EPBAR     0x40          /* windows to registers that are not there: what is written is kept */
#define MCHBAR    0x48
#define EXT_TSEG  0x50
#define GGC       0x52
#define DEVEN     0x54
#define PCIEXBAR  0x60
#define DMIBAR    0x68
#define PAM       0x90
#define LAC       0x97
#define REMAPBASE 0x98
#define SMRAM     0x9d
#define ESMRAMC   0x9e
#define TOM       0xa0
#define TOUUD     0xa2
#define GBSM      0xa4
#define TSEGMB    0xac
#define TOLUD     0xb0
#define CAPID     0xe0

#define PCIEX_ON  1u
#define T_EN      1u
#define TSEG_SZ   6u
#define H_SMRAME  0x80u
#define ESMRAMC_FIXED 0x38u     /* SM_CACHE, SM_L1, SM_L2 */
#define EXT_QUERY 0xffffu
#define MIB       20

struct q35 {
    struct pam pam;
    struct pci_dev *pci;
    struct pci_bus *bus;
    struct phys *phys;
    uint8_t *ram;
    uint64_t low;               /* bytes of RAM below 4 GiB */
    unsigned ext_tseg;          /* MiB, 0: it has none */
    uint64_t tseg;              /* its size now */
};

static const struct field q35_state[] = { FIELD_END };  /* all of it is in the configuration space */

uint64_t q35_mmconfig(struct q35 *s)
{
    uint32_t low = pci_config(s->pci, PCIEXBAR, 4);
    uint64_t at = (low & 0xf0000000u) | (uint64_t)(pci_config(s->pci, PCIEXBAR + 4, 4) & 0xf) << 32;
    unsigned len = low >> 1 & 3;

    /* 256, 128 or 64 MiB; bits 27 and 26 of the base are those of smaller windows. */
    if (len)
        at |= low & (len == 1 ? 0x08000000u : 0x0c000000u);
    return (low & PCIEX_ON) && len < 3 ? at : 0;
}

static void mmconfig_update(struct q35 *s)
{
    unsigned len = pci_config(s->pci, PCIEXBAR, 1) >> 1 & 3;

    pci_mmconfig(s->bus, q35_mmconfig(s), 256u >> (len < 3 ? len : 0));
}

static uint64_t tseg_size(const struct q35 *s)
{
    unsigned v = pci_config(s->pci, ESMRAMC, 1);
    const uint64_t mib[] = { 1, 2, 8, s->ext_tseg };

    return (v & T_EN) && pam_smram_on(&s->pam) ? mib[(v & TSEG_SZ) >> 1] << MIB : 0;
}

static void tseg_update(struct q35 *s)
{
    uint64_t want = tseg_size(s);

    if (pam_smram_locked(&s->pam)) {
        pci_config_writable(s->pci, ESMRAMC, 1, 0);
        pci_config_writable(s->pci, EXT_TSEG, 2, 0);
        pci_config_writable(s->pci, TSEGMB, 4, 0);
    }
    if (want == s->tseg)
        return;
    if (want > s->low / 2) {
        log_msg(LOG_GUEST, "q35: no room for %llu MiB of memory for SMM", (unsigned long long)want >> MIB);
        want = 0;
    }
    s->tseg = want;
    if (!phys_tseg(s->phys, s->low - want, want, s->ram + (s->low - want))) {
        s->tseg = 0;
        log_msg(LOG_GUEST, "q35: memory for SMM (TSEG) at %#llx overlaps a device",
                (unsigned long long)(s->low - want));
    }
}

static void ext_tseg_written(struct q35 *s)
{
    if (!pam_smram_locked(&s->pam))
        pci_config_set(s->pci, EXT_TSEG, 2, pci_config(s->pci, EXT_TSEG, 2) == EXT_QUERY ? s->ext_tseg : 0);
}

static void written(void *dev, unsigned off, unsigned size)
{
    struct q35 *s = dev;

    pam_written(&s->pam, off, size);
    if (off < PCIEXBAR + 8 && off + size > PCIEXBAR)
        mmconfig_update(s);
    if (s->ext_tseg && off < EXT_TSEG + 2 && off + size > EXT_TSEG)
        ext_tseg_written(s);
    if (off <= ESMRAMC && off + size > SMRAM) {
        if (pci_config(s->pci, ESMRAMC, 1) & H_SMRAME)
            log_msg(LOG_UNIMP, "q35: memory for SMM at FEDA0000h (H_SMRAME) is not there");
        tseg_update(s);
    }
}

void q35_smi_act(struct q35 *s)
{
    pam_smi_act(&s->pam);
}

void q35_place(struct q35 *s, uint32_t mmconfig)
{
    pam_shadow_all(&s->pam);
    pci_config_set(s->pci, PCIEXBAR, 4, mmconfig | PCIEX_ON);
    mmconfig_update(s);
}

/* After the configuration space, a chip of its own that comes first, has been reset or loaded. */
static void q35_reset(void *dev)
{
    struct q35 *s = dev;

    pci_config_writable(s->pci, ESMRAMC, 1, 0x87);
    pci_config_writable(s->pci, TSEGMB, 4, 0xfff00000u);
    pci_config_writable(s->pci, EXT_TSEG, 2, s->ext_tseg ? 0xffff : 0);
    pam_update(&s->pam);
    tseg_update(s);
    mmconfig_update(s);
}

static const struct chip q35_chip = { "q35", sizeof(struct q35), q35_reset, q35_state, q35_reset };

void q35_ext_tseg(struct q35 *s, unsigned mib)
{
    s->ext_tseg = mib;
    pci_config_writable(s->pci, EXT_TSEG, 2, mib ? 0xffff : 0);
}

struct q35 *q35_new(struct chip_list *chips, struct pci_bus *bus, struct phys *phys, void *ram, uint64_t low,
                    uint64_t high)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x29c0, .class = 0x060000,
                                         .subvendor = 0x1af4, .subdevice = 0x1100 };
    struct pci_dev *pci = pci_add(bus, "host-bridge", 0, 0, &id);
    struct q35 *s = chip_new(chips, &q35_chip, "q35");
    uint64_t top = high ? (1ull << 32) + high : low;

    s->pci = pci;
    s->bus = bus;
    s->phys = phys;
    s->ram = ram;
    s->low = low;
    pci_config_init(pci, EPBAR, 4, 0, 0xfffff001u);
    pci_config_init(pci, EPBAR + 4, 4, 0, 0xf);
    pci_config_init(pci, MCHBAR, 4, 0, 0xffffc001u);
    pci_config_init(pci, MCHBAR + 4, 4, 0, 0xf);
    pci_config_init(pci, EXT_TSEG, 2, 0, 0);
    pci_config_init(pci, GGC, 2, 2, 0);                 /* no graphics here */
    pci_config_init(pci, DEVEN, 4, 1, 0);               /* of the hub's own devices the bridge alone */
    pci_config_init(pci, PCIEXBAR, 4, 0xe0000000u, 0xfc000007u);
    pci_config_init(pci, PCIEXBAR + 4, 4, 0, 0xf);
    pci_config_init(pci, DMIBAR, 4, 0, 0xfffff001u);
    pci_config_init(pci, DMIBAR + 4, 4, 0, 0xf);
    pci_config_init(pci, LAC, 1, 0, 0);
    pci_config_init(pci, REMAPBASE, 4, 0x000003ff, 0);  /* no RAM is moved: base above limit */
    pci_config_init(pci, ESMRAMC, 1, ESMRAMC_FIXED, 0x87);
    pci_config_init(pci, TOM, 2, (low + high) >> 26, 0);
    pci_config_init(pci, TOUUD, 2, top >> MIB, 0xfff0);
    pci_config_init(pci, GBSM, 4, low, 0xfff00000u);
    pci_config_init(pci, TSEGMB, 4, low, 0xfff00000u);  /* where firmware notes that it is */
    pci_config_init(pci, TOLUD, 2, low >> 16, 0xfff0);
    pci_config_init(pci, CAPID, 4, 0x010b0009u, 0);     /* all the chipset's abilities */
    pam_init(&s->pam, pci, phys, ram, PAM, SMRAM);
    pci_on_config(pci, written, s);
    return s;
}
