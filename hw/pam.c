/*
 * pam.c - PAM and SMRAM (82441FX data sheet 290549, 3.2.18 and 3.2.21; 3 Series Express Chipset 316966, 5.1).
 *
 * PAM: F0000-FFFFF and twelve segments of 16 KiB from C0000 are RAM or PCI (ROM), apart for reads and
 * writes. What goes to PCI finds what the board has mapped there.
 * SMRAM: the RAM under the video window, A0000-BFFFF, is for processors in SMM (G_SMRAME), or for all while
 * D_OPEN; with D_CLS their data accesses go to PCI, fetches stay. D_LCK holds all that until a reset.
 */
#include "hw/pam.h"

#define SMM_BASE 0xa0000u
#define SMM_LEN  0x20000u

#define PAM_READ  1u            /* of each nibble */
#define PAM_WRITE 2u
#define SMRAM_A0000    0x02u    /* C_BASE_SEG: fixed */
#define SMRAM_ENABLE   0x08u
#define SMRAM_LOCK     0x10u
#define SMRAM_CLOSE    0x20u
#define SMRAM_OPEN     0x40u
#define SMRAM_WRITABLE (SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSE | SMRAM_OPEN)

/* PAM0: F0000 in its upper nibble; PAM1-PAM6: two segments each, the lower first. */
static void segments_update(struct pam *s)
{
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        unsigned nibble = i ? i + 1 : 1;
        unsigned v = pci_config(s->pci, s->pam + nibble / 2, 1) >> 4 * (nibble & 1);

        map_shadow(s->segment[i], v & PAM_READ, v & PAM_WRITE);
    }
}

static void smram_update(struct pam *s)
{
    unsigned v = pci_config(s->pci, s->smram, 1);
    bool on = v & SMRAM_ENABLE, open;

    if (v & SMRAM_LOCK) {
        v &= ~SMRAM_OPEN;
        pci_config_set(s->pci, s->smram, 1, v);
        pci_config_writable(s->pci, s->smram, 1, 0);
    }
    open = on && (v & SMRAM_OPEN);
    map_shadow(s->open, open, open);
    phys_smm_show(s->phys, on, on && !(v & SMRAM_CLOSE));
}

void pam_written(struct pam *s, unsigned off, unsigned size)
{
    if (off < s->pam + 7 && off + size > s->pam)
        segments_update(s);
    if (off <= s->smram && off + size > s->smram)
        smram_update(s);
}

bool pam_smram_on(const struct pam *s)
{
    return pci_config(s->pci, s->smram, 1) & SMRAM_ENABLE;
}

bool pam_smram_locked(const struct pam *s)
{
    return pci_config(s->pci, s->smram, 1) & SMRAM_LOCK;
}

void pam_smi_act(struct pam *s)
{
    unsigned v = pci_config(s->pci, s->smram, 1);

    if ((v & SMRAM_ENABLE) && (v & SMRAM_OPEN))
        phys_smm_written(s->phys);
}

void pam_shadow_all(struct pam *s)
{
    pci_config_set(s->pci, s->pam, 1, 0x30);
    for (unsigned i = 1; i < 7; i++)
        pci_config_set(s->pci, s->pam + i, 1, 0x33);
    segments_update(s);
}

void pam_update(struct pam *s)
{
    pci_config_writable(s->pci, s->smram, 1, SMRAM_WRITABLE);
    segments_update(s);
    smram_update(s);
}

void pam_init(struct pam *s, struct pci_dev *pci, struct phys *phys, void *ram, unsigned pam, unsigned smram)
{
    uint8_t *host = ram;

    *s = (struct pam){ .pci = pci, .phys = phys, .pam = pam, .smram = smram };
    for (unsigned i = 0; i < 7; i++)
        pci_config_init(pci, pam + i, 1, 0, i ? 0x33 : 0x30);
    pci_config_init(pci, smram, 1, SMRAM_A0000, SMRAM_WRITABLE);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        uint32_t base = i ? 0xc0000 + (i - 1) * 0x4000 : 0xf0000;

        s->segment[i] = phys_map_shadow(phys, base, i ? 0x4000 : 0x10000, host + base, "shadow");
    }
    s->open = phys_map_shadow(phys, SMM_BASE, SMM_LEN, host + SMM_BASE, "smram");
    phys_smm_ram(phys, SMM_BASE, SMM_LEN, host + SMM_BASE);
    pam_update(s);
}
