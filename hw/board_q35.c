/*
 * board_q35.c - board "q35": 82Q35 and ICH9, with PCI Express configuration spaces in memory.
 *
 *   0         RAM to 9FFFF, and from 1 MiB to 2 GiB (HOLE); the rest from 4 GiB
 *   A0000     video; RAM beneath it is for SMM (pam.c)
 *   C0000     option ROMs and, from E0000, the end of the firmware's ROM; RAM where shadowed
 *   80000000  PCI memory window, but for the configuration spaces: where firmware puts them, or at B0000000
 *   FEC00000  I/O APIC   FED00000  HPET   FED1C000  root complex registers   FEE00000  local APICs
 *   the firmware's ROM ends at 4 GiB
 *
 *   00:00.0   82Q35 host bridge
 *   00:1f.0   ICH9 LPC bridge           00:1f.2   ICH9 SATA controller (AHCI)
 *                                       00:1f.3   ICH9 SMBus
 *
 * The ICH9 routes the bus's pins to PIRQ A-H, and those to I/O APIC inputs 16-23 and to ISA interrupts.
 *
 * Without a kernel given, the processor starts in the firmware. A kernel is entered directly, as on board
 * "micro", and finds what a firmware would have left: shadow RAM with ACPI and SMBIOS tables, PIRQ routes,
 * configuration spaces, the PM and root complex registers in their places.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "hw/boards.h"
#include "hw/hpet.h"
#include "hw/fw_cfg.h"
#include "hw/ich9.h"
#include "hw/ide/ahci.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/pcfirm.h"
#include "hw/q35.h"
#include "hw/reset.h"

#define HOLE       0x80000000u
#define PCI_HI     IOAPIC_BASE
#define MMCONFIG   0xb0000000u
#define RCBA       0xfed1c000u
#define SATA_FN    2
#define SATA_PIN   2            /* as D31IP of the root complex registers says */
#define PM_PORT    0x600
#define ELCR2      0x4d1
#define ELCR2_PCI  (1u << (10 - 8) | 1u << (11 - 8) | 1u << (ICH9_SCI - 8))
#define CF9        0xcf9
#define PRODUCT    "PC (Q35 + ICH9)"

struct board_q35 {
    struct q35 *bridge;
    struct ich9 *lpc;
    struct pcfirm firm;
    struct acpi_board acpi;
    struct pci_bus *pci;
    struct ich9_smi *smi;
};

static struct board_q35 *own(struct machine *m)
{
    return ((struct pcbase *)m->board)->own;
}

static void intx_set(void *to, int n, bool level)
{
    ich9_pirq(((struct board_q35 *)((struct pcbase *)to)->own)->lpc, n, level);
}

static void isa_set(void *to, int irq, bool level)
{
    pcbase_isa_set(to, ISA_LINE(irq, 4), level);
}

static void gsi_set(void *to, int n, bool level)
{
    pcbase_gsi_set(to, (unsigned)n, GSI_PCI, level);
}

/* To the boot processor alone, whose SMBASE all firmware moves, unless it has asked for more. */
static void smi_set(void *to, int line, bool level)
{
    struct machine *m = to;
    unsigned n = ich9_smi_broadcast(own(m)->smi) ? m->ncpu : 1;

    for (unsigned i = 0; i < n; i++)
        cpu_lines.smi(m, i);
}

static void smi_act(struct machine *m, unsigned cpu, bool on)
{
    if (on)
        q35_smi_act(own(m)->bridge);
}

static void power_button(struct machine *m)
{
    ich9_power_button(own(m)->lpc);
}

static void board_reset(struct machine *m)
{
    struct pcbase *b = m->board;
    struct board_q35 *q = b->own;

    phys_set_a20(m->phys, true);
    if (!m->cfg.kernel)
        return;
    q35_place(q->bridge, MMCONFIG);
    pcfirm_place(&q->firm, m);
    ich9_place(q->lpc, PM_PORT, RCBA);
    ports_write(m->ports, ELCR2, ELCR2_PCI, 1);
    apics_virtual_wire(b->apics);
}

/* The firmware reads the tables: configuration spaces and devices are where it has put them by now. */
static void tables_asked(void *machine)
{
    struct board_q35 *q = own(machine);
    uint64_t at = q35_mmconfig(q->bridge);

    pci_above_4g(q->pci, &q->acpi.pci64_lo, &q->acpi.pci64_hi);
    if (at > HOLE && at <= PCI_HI - (256u << 20))
        q->acpi.mmconfig = at;
    acpi_fw_cfg_again(&q->acpi, q->firm.cfg);
}

static void init(struct machine *m)
{
    struct pcbase *b = pcbase_new(m, HOLE);
    struct board_q35 *q = b->own = calloc(1, sizeof(*q));
    struct smbios_info info = { .product = PRODUCT };
    struct ich9_lines lines = { .isa = { .set = isa_set, .to = b }, .gsi = { .set = gsi_set, .to = b },
                                .sci = pcbase_isa(b, ICH9_SCI, 0), .smi = { .set = smi_set, .to = m },
                                .off = pcbase_soft_off, .arg = m };
    struct pci_bus *pci;
    struct ahci *sata;
    char name[16];

    if (m->cfg.no_smm)
        lines.smi.set = NULL;
    if (!q)
        die(EXIT_CODE_HOST, "out of memory for the board");
    phys_map_ram(m->phys, 0, 0xa0000, m->ram, false, "ram");
    phys_map_ram(m->phys, 0x100000, m->ram_low - 0x100000, (uint8_t *)m->ram + 0x100000, false, "ram-1m");
    pcbase_chips(b, m);
    pci = pci_bus_new(m->chips, m->ports, m->phys, &reset_ops, reset_new(m->chips, b->reset),
                      (struct irq){ .set = intx_set, .to = b });
    pci_bus_express(pci);
    q->pci = pci;
    q->bridge = q35_new(m->chips, pci, m->phys, m->ram, m->ram_low, m->ram_high);
    q->lpc = ich9_new(m->chips, pci, m->ports, m->phys, m->clock, &lines);
    sata = ahci_new(m->chips, pci, "ahci", ICH9_SLOT, SATA_FN, SATA_PIN, false);
    ahci_add_buses(&b->plugs, sata, NULL);
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        snprintf(name, sizeof(name), "sata%u", n);
        if (m->cfg.ide[n])
            ide_attach(ahci_bus(sata, n), m->chips, name, 0, m->cfg.ide[n], NULL);
    }
    ich9_smbus_new(m->chips, pci);
    pcfirm_init(&q->firm, m);
    if (!m->cfg.no_smm) {
        q->smi = ich9_smi_new(m->chips, q->firm.cfg);
        q35_ext_tseg(q->bridge, m->cfg.ext_tseg);
    }
    pci_bus_msi(pci, (struct pci_msi_to){ apics_pci_msi, b->apics });
    b->plugs.pci = pci;
    pcbase_isa_chips(b, ICH9_SLOT);
    pcbase_plugs(b);

    q->acpi = (struct acpi_board){
        .lapic = LAPIC_BASE, .ioapic = IOAPIC_BASE, .hpet = m->cfg.no_hpet ? 0 : HPET_BASE, .pm = PM_PORT, .sci = ICH9_SCI,
        .s5_type = ICH9_S5_TYPE, .gpe = PM_PORT + ICH9_GPE, .gpe_len = ICH9_GPE_LEN, .pm_len = ICH9_PM_LEN,
        .smi_cmd = ICH9_APM_PORT, .acpi_enable = ICH9_ACPI_ENABLE, .acpi_disable = ICH9_ACPI_DISABLE,
        .links = ICH9_PIRQS, .pirq = ich9_pirq_of, .isa_slot = ICH9_SLOT, .mmconfig = MMCONFIG,
        .fw_cfg = FW_CFG_PORT, .reset_port = CF9, .pci_lo = HOLE, .pci_hi = PCI_HI,
    };
    pcfirm_configure(&q->firm, m, &q->acpi, &info);
    acpi_fw_cfg_asked(q->firm.cfg, tables_asked, m);
    m->smi_act = smi_act;
    m->board_reset = board_reset;
}

static void board_free(struct machine *m)
{
    struct board_q35 *q = own(m);

    pcfirm_free(&q->firm);
    free(q);
    pcbase_free(m);
}

const struct board board_q35 = {
    "q35", "Q35 and ICH9, PCI Express, with firmware (SeaBIOS) or a kernel loaded directly", true, init, board_free,
    power_button, AHCI_PORTS, 1, true, .ram_id = "pc.ram"
};
