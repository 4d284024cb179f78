/*
 * ich9_smbus.c - SMBus host controller of the ICH9, function 3 (data sheet 316972, chapter 19).
 *
 * There are no slaves: each transaction ends at once with a device error, and the interrupt if it is enabled.
 * Invariant: the pin is high exactly while interrupts are enabled and a cause is in the status register.
 */
#include "hw/ich9.h"

#include "base/log.h"

#define HOSTC   0x40            /* configuration: bit 0: the host controller is on */
#define HST_EN  1u
#define BAR     4
#define BAR_LEN 32

#define STS   0x00
#define CNT   0x02
#define STS_CLEAR   0xfeu       /* writing 1 clears */
#define DEV_ERR     0x04u
#define STS_INTR    0x1eu       /* what interrupts */
#define CNT_INTREN  0x01u
#define CNT_START   0x40u

struct smbus {
    struct pci_dev *pci;
    uint8_t reg[BAR_LEN];
};

static const struct field smbus_state[] = { FIELD_ARRAY(struct smbus, reg), FIELD_END };

static void update(struct smbus *s)
{
    pci_irq(s->pci, (s->reg[CNT] & CNT_INTREN) && (s->reg[STS] & STS_INTR));
}

static uint64_t reg_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct smbus *)dev)->reg[off];
}

static void reg_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct smbus *s = dev;

    if (!(pci_config(s->pci, HOSTC, 1) & HST_EN))
        return;
    if (off == STS) {
        s->reg[STS] &= ~(val & STS_CLEAR);
    } else {
        s->reg[off] = off == CNT ? val & ~CNT_START : val;
        if (off == CNT && (val & CNT_START))
            s->reg[STS] |= DEV_ERR;
    }
    update(s);
}

static const struct io_ops reg_ops = { reg_read, reg_write, 1, LOG_DEV_SMBUS };

static void smbus_reset(void *dev)
{
    struct smbus *s = dev;

    for (unsigned i = 0; i < BAR_LEN; i++)
        s->reg[i] = 0;
    update(s);
}

static const struct chip smbus_chip = { "ich9-smbus", sizeof(struct smbus), smbus_reset, smbus_state, NULL };

void ich9_smbus_new(struct chip_list *chips, struct pci_bus *bus)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x2930, .class = 0x0c0500, .revision = 2,
                                         .subvendor = 0x1af4, .subdevice = 0x1100, .pin = 2 };
    struct pci_dev *pci = pci_add(bus, "smbus", ICH9_SLOT, 3, &id);
    struct smbus *s = chip_new(chips, &smbus_chip, "ich9-smbus");

    s->pci = pci;
    pci_config_init(pci, HOSTC, 1, 0, 0x07);
    pci_bar(pci, BAR, BAR_LEN, PCI_BAR_IO, &reg_ops, s);
    smbus_reset(s);
}
