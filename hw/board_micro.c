/*
 * board_micro.c - board "micro": all of a PC's basic chips, and no firmware.
 *
 *   0         RAM up to 3 GiB (PCI_LO), the rest from 4 GiB
 *   E0000     ACPI tables, RSDP first (in RAM: reserved in the memory map)
 *   C0000000  PCI memory window
 *   FEC00000  I/O APIC     FED00000  HPET     FEE00000  local APICs
 *
 * PCI INTA-INTD go to I/O APIC inputs 16-19 and to IRQ 10 and 11 of the 8259s.
 */
#include <stdlib.h>

#include "base/log.h"
#include "hw/acpi.h"
#include "hw/boards.h"
#include "hw/hpet.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/pcbase.h"
#include "hw/pci.h"
#include "hw/pic.h"
#include "hw/reset.h"

#define PCI_LO     0xc0000000u
#define PCI_HI     IOAPIC_BASE
#define TABLES     0xe0000u
#define TABLES_MAX 0x20000u
#define PM_PORT    0x600
#define SCI        9
#define S5_TYPE    5
#define ELCR2      0x4d1                /* edge/level control of IRQ 8-15 */
#define ELCR2_PCI  (1u << (10 - 8) | 1u << (11 - 8) | 1u << (SCI - 8))
#define CF9        0xcf9

struct micro {
    struct acpi *acpi;
    uint8_t *tables;
    size_t tables_len;
};

/* To the I/O APIC's own inputs, and not to the one of the 8259's line as an ISA interrupt goes. */
static void intx_set(void *to, int n, bool level)
{
    struct pcbase *b = to;
    int irq = 10 + (n & 1);

    b->source[irq] = level ? b->source[irq] | 1u << n : b->source[irq] & ~(1u << n);
    pic_set_line(b->pic, irq, b->source[irq]);
    pcbase_gsi_set(b, 16 + (unsigned)n, GSI_PCI, level);
}

static void power_button(struct machine *m)
{
    struct pcbase *b = m->board;
    struct micro *own = b->own;

    acpi_power_button(own->acpi);
}

/* What a firmware leaves behind and kernels rely on. */
static void board_reset(struct machine *m)
{
    struct pcbase *b = m->board;
    struct micro *own = b->own;

    phys_set_a20(m->phys, true);
    phys_write(m->phys, TABLES, own->tables, own->tables_len);
    ports_write(m->ports, ELCR2, ELCR2_PCI, 1);
    apics_virtual_wire(b->apics);
}

static void init(struct machine *m)
{
    static const struct acpi_model acpi_model = { .s5_type = S5_TYPE };
    struct acpi_board desc = { .ncpu = m->cfg.cpus, .lapic = LAPIC_BASE, .ioapic = IOAPIC_BASE,
                               .hpet = m->cfg.no_hpet ? 0 : HPET_BASE, .pm = PM_PORT, .sci = SCI, .s5_type = S5_TYPE,
                               .pm_len = ACPI_PM_LEN, .reset_port = CF9, .pci_lo = PCI_LO, .pci_hi = PCI_HI };
    struct pci_ident bridge = { .vendor = 0x8086, .device = 0x1237, .class = 0x060000,
                                .revision = 2, .subvendor = 0x1af4, .subdevice = 0x1100 };
    struct pcbase *b = pcbase_new(m, PCI_LO);
    struct micro *own = b->own = calloc(1, sizeof(*own));
    struct pci_bus *pci;

    if (!own)
        die(EXIT_CODE_HOST, "out of memory for the board");
    phys_map_ram(m->phys, 0, m->ram_low, m->ram, false, "ram");
    pcbase_chips(b, m);
    desc.serial = b->plugs.serial;
    desc.parallel = b->plugs.parallel;
    own->acpi = acpi_new(m->chips, &acpi_model, m->ports, PM_PORT, m->clock, pcbase_isa(b, SCI, 0),
                         pcbase_soft_off, m);
    pci = pci_bus_new(m->chips, m->ports, m->phys, &reset_ops, reset_new(m->chips, b->reset),
                      (struct irq){ .set = intx_set, .to = b });
    pci_bus_msi(pci, (struct pci_msi_to){ apics_pci_msi, b->apics });
    pci_add(pci, "host-bridge", 0, 0, &bridge);
    b->plugs.pci = pci;
    pcbase_plugs(b);
    desc.pvpanic = b->plugs.pvpanic;

    own->tables = acpi_tables(&desc, TABLES, &own->tables_len, NULL);
    if (own->tables_len > TABLES_MAX)
        die(EXIT_CODE_HOST, "the ACPI tables need %zu bytes and may take %u", own->tables_len, TABLES_MAX);
    m->rsdp = TABLES;
    m->board_reset = board_reset;
}

static void board_free(struct machine *m)
{
    struct micro *own = ((struct pcbase *)m->board)->own;

    free(own->tables);
    free(own);
    pcbase_free(m);
}

const struct board board_micro = {
    "micro", "a PC's basic chips without firmware; kernels are loaded directly (default with -kernel)", false, init,
    board_free, power_button, .ram_id = "pc.ram"
};
