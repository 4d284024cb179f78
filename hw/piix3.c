/*
 * piix3.c - Intel 82371SB (PIIX3) PCI-ISA bridge: configuration space, PIRQ routing (data sheet 290550, 2.2).
 *
 * The 8259s with ELCR, the timer, port 61h and the reset control at CF9h are chips of their own (pic.c,
 * pit.c, reset.c). Registers that tell of what is not modelled (recovery times, X-bus chip selects, ISA
 * memory) keep what is written.
 * Invariant: an ISA line is driven exactly while some PIRQ that is high is routed to it.
 */
#include "hw/piix3.h"

#define PIRQRC 0x60
#define PIRQ_OFF 0x80u
#define ROUTABLE 0xdef8u        /* IRQ 3-7, 9-12, 14, 15 */

struct piix3 {
    struct pci_dev *pci;
    struct irq isa;
    uint8_t level[4];
    uint16_t driven;            /* ISA lines */
};

static const struct field piix3_state[] = {
    FIELD_ARRAY(struct piix3, level), FIELD(struct piix3, driven), FIELD_END
};

static void update(struct piix3 *s)
{
    uint16_t want = 0, changed;

    for (unsigned n = 0; n < 4; n++) {
        unsigned route = pci_config(s->pci, PIRQRC + n, 1);

        if (s->level[n] && !(route & PIRQ_OFF))
            want |= 1u << (route & 15) & ROUTABLE;
    }
    changed = want ^ s->driven;
    s->driven = want;
    for (unsigned irq = 0; irq < 16; irq++)
        if (changed >> irq & 1)
            s->isa.set(s->isa.to, irq, want >> irq & 1);
}

void piix3_pirq(struct piix3 *s, unsigned n, bool level)
{
    s->level[n] = level;
    update(s);
}

void piix3_route(struct piix3 *s, unsigned n, uint8_t irq)
{
    pci_config_set(s->pci, PIRQRC + n, 1, irq);
    update(s);
}

static void written(void *dev, unsigned off, unsigned size)
{
    if (off < PIRQRC + 4 && off + size > PIRQRC)
        update(dev);
}

/* After the configuration space, a chip of its own that comes first: there are no routes any more. */
static void piix3_reset(void *dev)
{
    struct piix3 *s = dev;

    for (unsigned n = 0; n < 4; n++)
        s->level[n] = 0;
    update(s);
}

static const struct chip piix3_chip = { "piix3", sizeof(struct piix3), piix3_reset, piix3_state, NULL };

struct piix3 *piix3_new(struct chip_list *chips, struct pci_bus *bus, unsigned slot, struct irq isa)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x7000, .class = 0x060100,
                                         .subvendor = 0x1af4, .subdevice = 0x1100 };
    /* Registers with their values after reset and the bits software may write. */
    static const struct { uint8_t off, size; uint16_t val, writable; } regs[] = {
        { 0x04, 2, 0x0007, 0x0008 },    /* command: it always decodes */
        { 0x4c, 1, 0x4d, 0x7f },        /* I/O recovery times */
        { 0x4e, 2, 0x03, 0x1ff },       /* X-bus chip selects */
        { 0x69, 1, 0x02, 0xfe },        /* top of memory for ISA masters */
        { 0x6a, 2, 0x00, 0x8080 },      /* miscellaneous status */
        { 0x70, 1, 0x80, 0xcf },        /* motherboard interrupt routing */
        { 0x76, 1, 0x0c, 0x8f },        /* motherboard DMA */
        { 0x77, 1, 0x0c, 0x8f },
        { 0x78, 2, 0x02, 0xffff },      /* programmable chip select */
        { 0x80, 1, 0x00, 0x7f },        /* APIC base address relocation */
        { 0xa0, 1, 0x08, 0x1f },        /* SMI control and its neighbours */
        { 0xa2, 2, 0x00, 0xff },
        { 0xa4, 2, 0x00, 0xffff }, { 0xa6, 2, 0x00, 0xffff },
        { 0xa8, 1, 0x0f, 0xff }, { 0xaa, 2, 0x00, 0xff }, { 0xac, 1, 0x00, 0xff }, { 0xae, 1, 0x00, 0xff },
    };
    struct pci_dev *pci = pci_add(bus, "isa-bridge", slot, 0, &id);
    struct piix3 *s = chip_new(chips, &piix3_chip, "piix3");

    s->pci = pci;
    s->isa = isa;
    for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        pci_config_init(pci, regs[i].off, regs[i].size, regs[i].val, regs[i].writable);
    for (unsigned n = 0; n < 4; n++)
        pci_config_init(pci, PIRQRC + n, 1, PIRQ_OFF, 0x8f);
    pci_on_config(pci, written, s);
    return s;
}
