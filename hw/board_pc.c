/*
 * board_pc.c - board "pc": i440FX, PIIX3 ISA bridge, PIIX4 power management; what SeaBIOS and old systems
 * know.
 *
 *   0         RAM to 9FFFF, and from 1 MiB to 3 GiB (HOLE); the rest from 4 GiB
 *   A0000     video; RAM beneath it is for SMM (i440fx.c)
 *   C0000     option ROMs and, from E0000, the end of the firmware's ROM; RAM where shadowed
 *   80000000  PCI memory window (C0000000 with more than 2 GiB of RAM: where firmware puts it)
 *   FEC00000  I/O APIC     FED00000  HPET     FEE00000  local APICs     the firmware's ROM ends at 4 GiB
 *
 *   00:00.0   82441FX host bridge
 *   00:01.0   PIIX3 ISA bridge          00:01.1   PIIX3 IDE
 *                                       00:01.3   PIIX4 power management
 *
 * Pin p of slot s is PIRQ (s + p - 1) & 3, which the PIIX3 routes to an ISA interrupt.
 *
 * Without a kernel given, the processor starts in the firmware. A kernel is entered directly, as on board
 * "micro", and finds what a firmware would have left: shadow RAM with ACPI and SMBIOS tables, PIRQ routes,
 * the PM registers in their place.
 */
#include <stdlib.h>

#include "base/log.h"
#include "hw/boards.h"
#include "hw/fw_cfg.h"
#include "hw/hpet.h"
#include "hw/i440fx.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/pcfirm.h"
#include "hw/piix3.h"
#include "hw/piix3_ide.h"
#include "hw/piix4.h"
#include "hw/reset.h"

#define HOLE       0xc0000000u
#define PCI_HI     IOAPIC_BASE
#define ISA_SLOT   1
#define PM_PORT    0x600
#define ELCR2      0x4d1
#define ELCR2_PCI  (1u << (10 - 8) | 1u << (11 - 8) | 1u << (PIIX4_SCI - 8))
#define CF9        0xcf9
#define PRODUCT    "PC (i440FX + PIIX)"

struct pc {
    struct i440fx *bridge;
    struct piix3 *isa;
    struct piix3_ide *ide;
    struct piix4 *pm;
    struct pcfirm firm;
    struct acpi_board acpi;
    struct pci_bus *pci;
};

static struct pc *pc_of(struct machine *m)
{
    return ((struct pcbase *)m->board)->own;
}

static unsigned pirq(unsigned slot, unsigned pin)
{
    return (slot + pin + 3) & 3;
}

/* Line n of the bus is for slot + pin = n. */
static void intx_set(void *to, int n, bool level)
{
    struct pc *pc = ((struct pcbase *)to)->own;

    piix3_pirq(pc->isa, pirq(n, 0), level);
}

static void pirq_set(void *to, int irq, bool level)
{
    pcbase_isa_set(to, ISA_LINE(irq, 4), level);
}

/* To the boot processor alone: firmware moves SMBASE of that one only. */
static void smi_set(void *to, int line, bool level)
{
    cpu_lines.smi(to, 0);
}

static void smi_act(struct machine *m, unsigned cpu, bool on)
{
    if (on)
        i440fx_smi_act(pc_of(m)->bridge);
}

static void power_button(struct machine *m)
{
    piix4_power_button(pc_of(m)->pm);
}

static void board_reset(struct machine *m)
{
    struct pcbase *b = m->board;
    struct pc *pc = b->own;

    phys_set_a20(m->phys, true);
    pcfirm_reset(&pc->firm, m);
    if (!m->cfg.kernel)
        return;
    i440fx_shadow_all(pc->bridge);
    pcfirm_place(&pc->firm, m);
    for (unsigned n = 0; n < 4; n++)
        piix3_route(pc->isa, n, n < 2 ? 10 : 11);
    ports_write(m->ports, ELCR2, ELCR2_PCI, 1);
    piix3_ide_enable(pc->ide);
    piix4_place(pc->pm, PM_PORT);
    apics_virtual_wire(b->apics);
}

/* The firmware reads the tables: it has placed all devices by now. */
static void tables_asked(void *machine)
{
    struct pc *pc = pc_of(machine);

    pci_above_4g(pc->pci, &pc->acpi.pci64_lo, &pc->acpi.pci64_hi);
    acpi_fw_cfg_again(&pc->acpi, pc->firm.cfg);
}

static void init(struct machine *m)
{
    struct pcbase *b = pcbase_new(m, HOLE);
    struct pc *pc = b->own = calloc(1, sizeof(*pc));
    struct acpi_board acpi = { .lapic = LAPIC_BASE, .ioapic = IOAPIC_BASE, .hpet = m->cfg.no_hpet ? 0 : HPET_BASE,
                               .pm = PM_PORT, .sci = PIIX4_SCI, .s5_type = PIIX4_S5_TYPE,
                               .gpe = PM_PORT + PIIX4_GPE, .gpe_len = PIIX4_GPE_LEN, .pm_len = PIIX4_PM_LEN,
                               .smi_cmd = APM_PORT, .acpi_enable = APM_ACPI_ENABLE,
                               .acpi_disable = APM_ACPI_DISABLE, .links = 4, .pirq = pirq,
                               .isa_slot = ISA_SLOT,
                               .fw_cfg = FW_CFG_PORT, .reset_port = CF9, .pci_hi = PCI_HI };
    struct smbios_info info = { .product = PRODUCT };
    struct piix4_lines lines = { .sci = pcbase_isa(b, PIIX4_SCI, 0), .smi = { .set = smi_set, .to = m },
                                 .off = pcbase_soft_off, .arg = m };
    struct irq ide_irq[2] = { pcbase_isa(b, 14, 0), pcbase_isa(b, 15, 0) };
    struct pci_bus *pci;

    if (!pc)
        die(EXIT_CODE_HOST, "out of memory for the board");
    phys_map_ram(m->phys, 0, 0xa0000, m->ram, false, "ram");
    phys_map_ram(m->phys, 0x100000, m->ram_low - 0x100000, (uint8_t *)m->ram + 0x100000, false, "ram-1m");
    pcbase_chips(b, m);
    pci = pci_bus_new(m->chips, m->ports, m->phys, &reset_ops, reset_new(m->chips, b->reset),
                      (struct irq){ .set = intx_set, .to = b });
    pc->pci = pci;
    pc->bridge = i440fx_new(m->chips, pci, m->phys, m->ram);
    pc->isa = piix3_new(m->chips, pci, ISA_SLOT, (struct irq){ .set = pirq_set, .to = b });
    pc->ide = piix3_ide_new(m->chips, pci, m->ports, ISA_SLOT, ide_irq, m->cfg.ide);
    pc->pm = piix4_new(m->chips, pci, m->ports, m->clock, ISA_SLOT, &lines);
    pcfirm_init(&pc->firm, m);
    pci_bus_msi(pci, (struct pci_msi_to){ apics_pci_msi, b->apics });
    b->plugs.pci = pci;
    plug_bus_add(&b->plugs, "IDE", "ide.0", piix3_ide_bus(pc->ide, 0));
    plug_bus_add(&b->plugs, "IDE", "ide.1", piix3_ide_bus(pc->ide, 1));
    pcbase_isa_chips(b, ISA_SLOT);
    pcbase_plugs(b);

    acpi.pci_lo = m->ram_low <= 0x80000000u ? 0x80000000u : HOLE;
    pcfirm_configure(&pc->firm, m, &acpi, &info);
    pc->acpi = acpi;
    acpi_fw_cfg_asked(pc->firm.cfg, tables_asked, m);
    m->smi_act = smi_act;
    m->board_reset = board_reset;
}

static void board_free(struct machine *m)
{
    struct pc *pc = pc_of(m);

    pcfirm_free(&pc->firm);
    free(pc);
    pcbase_free(m);
}

const struct board board_pc = {
    "pc", "i440FX and PIIX with firmware (SeaBIOS) or a kernel loaded directly", true,
    init, board_free, power_button, 4, 2, true, true, .ram_id = "pc.ram"
};
