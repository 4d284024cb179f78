/*
 * piix3_ide.c - Intel 82371SB (PIIX3), function 1: two IDE channels at the ports of old and a bus master (data sheet
 * 290550, 2.3 and 2.7).
 *
 * The timing registers keep what is written: data moves at once. Their upper bits say which channel is decoded.  After
 * a reset both channels are, where the data sheet has neither: UEFI firmware for this machine sets the command register
 * alone, and takes the 0xff that it reads where nothing is decoded for a busy drive, for which it waits half a minute.
 */
#include "hw/piix3_ide.h"

#include "base/log.h"
#include "hw/ide/ide.h"

#define COMMAND 0x04
#define IDETIM  0x40            /* a word for each channel */
#define SIDETIM 0x44
#define DECODE  0x8000u

static const struct { uint16_t command, control; const char *name; } legacy[2] = {
    { 0x1f0, 0x3f6, "ide0" }, { 0x170, 0x376, "ide1" }
};

struct piix3_ide {
    struct pci_dev *pci;
    struct ports *ports;
    struct ide_channel *channel[2];
    bool mapped[2];
};

static const struct field piix3_ide_state[] = { FIELD_END };   /* all of it is in the configuration space */

static void update(struct piix3_ide *s)
{
    bool io = pci_config(s->pci, COMMAND, 2) & 1;

    for (unsigned i = 0; i < 2; i++) {
        bool on = io && (pci_config(s->pci, IDETIM + 2 * i, 2) & DECODE);

        if (on == s->mapped[i])
            continue;
        /* The guest may have put another device's BAR there. */
        if (on && (ports_taken(s->ports, legacy[i].command, 8) || ports_taken(s->ports, legacy[i].control, 1))) {
            log_msg(LOG_GUEST, "%s: ports %03x and %03x are another device's", legacy[i].name, legacy[i].command,
                    legacy[i].control);
            continue;
        }
        s->mapped[i] = on;
        ide_channel_map(s->channel[i], s->ports, legacy[i].command, legacy[i].control, on);
    }
}

static void written(void *dev, unsigned off, unsigned size)
{
    update(dev);
}

static uint64_t bm_read(void *dev, uint64_t off, unsigned size)
{
    struct piix3_ide *s = dev;
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= ide_bm_read(s->channel[(off + i) >> 3 & 1], (off + i) & 7) << 8 * i;
    return v;
}

static void bm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix3_ide *s = dev;

    for (unsigned i = 0; i < size; i++)
        ide_bm_write(s->channel[(off + i) >> 3 & 1], (off + i) & 7, val >> 8 * i);
}

static const struct io_ops bm_ops = { bm_read, bm_write, 1 | 2 | 4, LOG_DEV_IDE };

void piix3_ide_enable(struct piix3_ide *s)
{
    pci_config_set(s->pci, COMMAND, 2, 1);
    update(s);
}

struct ide_bus *piix3_ide_bus(struct piix3_ide *s, unsigned channel)
{
    return ide_channel_bus(s->channel[channel]);
}

/* After the configuration space, a chip of its own that comes first. */
static void piix3_ide_reset(void *dev)
{
    update(dev);
}

static const struct chip piix3_ide_chip = {
    "piix3-ide", sizeof(struct piix3_ide), piix3_ide_reset, piix3_ide_state, piix3_ide_reset
};

struct piix3_ide *piix3_ide_new(struct chip_list *chips, struct pci_bus *bus, struct ports *ports, unsigned slot,
                                const struct irq irq[2], struct drive *const drive[4])
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x7010, .class = 0x010180,
                                         .subvendor = 0x1af4, .subdevice = 0x1100 };
    struct pci_dev *pci = pci_add(bus, "ide", slot, 1, &id);
    struct piix3_ide *s = chip_new(chips, &piix3_ide_chip, "piix3-ide");

    s->pci = pci;
    s->ports = ports;
    pci_config_init(pci, IDETIM, 2, DECODE, 0xffff);
    pci_config_init(pci, IDETIM + 2, 2, DECODE, 0xffff);
    pci_config_init(pci, SIDETIM, 1, 0, 0xff);
    for (unsigned i = 0; i < 2; i++)
        s->channel[i] = ide_channel_new(chips, legacy[i].name, i, pci, irq[i], drive + 2 * i);
    pci_bar(pci, 4, 16, PCI_BAR_IO, &bm_ops, s);
    pci_on_config(pci, written, s);
    return s;
}
