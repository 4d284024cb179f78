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
#include <string.h>

#include "base/log.h"
#include "hw/boards.h"
#include "hw/dma8237.h"
#include "hw/floppy.h"
#include "hw/fw_cfg.h"
#include "hw/hpet.h"
#include "hw/i440fx.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/pcbase.h"
#include "hw/piix3.h"
#include "hw/piix3_ide.h"
#include "hw/piix4.h"
#include "hw/reset.h"
#include "hw/rtc.h"
#include "hw/smbios.h"

#define HOLE       0xc0000000u
#define PCI_HI     IOAPIC_BASE
#define TABLES     0xe0000u
#define SMBIOS     0xf0000u             /* anchor; the structures follow */
#define SMBIOS_AT  (SMBIOS + 0x20)
#define TABLES_MAX (SMBIOS - TABLES)
#define SMBIOS_MAX (0x100000u - SMBIOS_AT)
#define ROM_UNIT   0x10000u
#define ROM_MAX    0x1000000u
#define ROM_LOW    0x20000u             /* of its end, below 1 MiB */
#define ISA_SLOT   1
#define PM_PORT    0x600
#define ELCR2      0x4d1
#define ELCR2_PCI  (1u << (10 - 8) | 1u << (11 - 8) | 1u << (PIIX4_SCI - 8))
#define CF9        0xcf9
#define DMA2_MASK  0xd4                 /* channel 4: the cascade */
#define DMA2_MODE  0xd6
#define DMA_CASCADE 0xc0
#define PRODUCT    "PC (i440FX + PIIX)"

/* CMOS, as firmware for this board reads it. */
#define CMOS_FLOPPIES  0x10             /* kinds: drive A in the upper half, B in the lower */
#define CMOS_EQUIPMENT 0x14
#define CMOS_BOOT3     0x38             /* third boot device in the upper half */
#define CMOS_BOOT12    0x3d             /* first in the lower half, second in the upper */
#define CMOS_CPUS      0x5f             /* processors beside the first */
enum { BOOT_FLOPPY = 1, BOOT_DISK, BOOT_CD, BOOT_NETWORK };
#define BOOT_ORDER "cad"

struct pc {
    struct i440fx *bridge;
    struct piix3 *isa;
    struct piix3_ide *ide;
    struct piix4 *pm;
    struct fw_cfg *cfg;
    struct floppy *floppy;              /* NULL: no drives */
    uint8_t *tables, *smbios;           /* for a kernel that is loaded directly */
    size_t tables_len, smbios_len;
    uint8_t anchor[SMBIOS_ANCHOR];
    unsigned started;                   /* times; a guest's resets count */
};

static struct pc *pc_of(struct machine *m)
{
    return ((struct pcbase *)m->board)->own;
}

/* Line n of the bus is for slot + pin = n. */
static void intx_set(void *to, int n, bool level)
{
    struct pc *pc = ((struct pcbase *)to)->own;

    piix3_pirq(pc->isa, (n + 3) & 3, level);
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

/* Where to boot from, in this order; letters as on the command line, NULL: the usual. */
static void boot_order(struct rtc *rtc, const char *order)
{
    static const char letters[] = "acdn";
    uint8_t device[3] = { 0 };

    if (!order)
        order = BOOT_ORDER;
    for (unsigned i = 0; i < 3 && order[i]; i++)
        device[i] = (uint8_t)(strchr(letters, order[i]) - letters) + BOOT_FLOPPY;
    rtc_cmos_set(rtc, CMOS_BOOT12, device[0] | device[1] << 4);
    rtc_cmos_set(rtc, CMOS_BOOT3, device[2] << 4);
}

static void board_reset(struct machine *m)
{
    struct pcbase *b = m->board;
    struct pc *pc = b->own;

    phys_set_a20(m->phys, true);
    if (pc->started++ && m->cfg.firmware.once)
        boot_order(b->rtc, m->cfg.firmware.order);
    if (!m->cfg.kernel)
        return;
    i440fx_shadow_all(pc->bridge);
    phys_write(m->phys, TABLES, pc->tables, pc->tables_len);
    phys_write(m->phys, SMBIOS, pc->anchor, sizeof(pc->anchor));
    phys_write(m->phys, SMBIOS_AT, pc->smbios, pc->smbios_len);
    for (unsigned n = 0; n < 4; n++)
        piix3_route(pc->isa, n, n < 2 ? 10 : 11);
    ports_write(m->ports, ELCR2, ELCR2_PCI, 1);
    piix3_ide_enable(pc->ide);
    ports_write(m->ports, DMA2_MODE, DMA_CASCADE, 1);
    ports_write(m->ports, DMA2_MASK, 0, 1);
    piix4_place(pc->pm, PM_PORT);
    apics_virtual_wire(b->apics);
    if (m->video_text)
        m->text_screen = m->video_text(m->video);
}

static void map_rom(struct machine *m)
{
    size_t len = m->cfg.bios_len, low = len < ROM_LOW ? len : ROM_LOW;
    uint8_t *rom = (uint8_t *)(uintptr_t)m->cfg.bios;   /* only read */

    if (len % ROM_UNIT || len > ROM_MAX)
        die(EXIT_CODE_FILE, "%s: %zu bytes: a firmware image has a multiple of 64 KiB, at most 16 MiB",
            m->cfg.bios_name, len);
    phys_map_ram(m->phys, (1ull << 32) - len, len, rom, true, "firmware");
    phys_map_ram(m->phys, 0x100000 - low, low, rom + len - low, true, "firmware-low");
}

/* Bits 7-6: floppy drives beside the first; 2: mouse; 1: coprocessor; 0: there are floppy drives. */
static uint8_t equipment(const struct pc *pc)
{
    bool a = floppy_type(pc->floppy, 0), b = floppy_type(pc->floppy, 1);

    return 0x06 | (a || b) | (a && b ? 0x40 : 0);
}

static void put_le(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> 8 * i;
}

/* What the firmware is told. */
static void configure(struct machine *m, const struct acpi_board *acpi, const struct smbios_info *info)
{
    struct pcbase *b = m->board;
    struct pc *pc = b->own;
    const struct { uint64_t at, len; } ram[] = { { 0, m->ram_low }, { 1ull << 32, m->ram_high } };
    uint8_t e820[2][20], uuid[16] = { 0 }, anchor[SMBIOS_ANCHOR], *tables;
    unsigned n = 0;
    size_t len;

    for (unsigned i = 0; i < 2; i++) {
        if (!ram[i].len)
            continue;
        put_le(e820[n], ram[i].at, 8);
        put_le(e820[n] + 8, ram[i].len, 8);
        put_le(e820[n++] + 16, 1, 4);
    }
    fw_cfg_item(pc->cfg, FW_CFG_UUID, uuid, sizeof(uuid));
    fw_cfg_number(pc->cfg, FW_CFG_RAM_SIZE, m->ram_low, 8);
    fw_cfg_number(pc->cfg, FW_CFG_NB_CPUS, m->ncpu, 2);
    fw_cfg_number(pc->cfg, FW_CFG_MAX_CPUS, m->ncpu, 2);
    fw_cfg_number(pc->cfg, FW_CFG_NUMA, 0, 8);
    fw_cfg_number(pc->cfg, FW_CFG_BOOT_MENU, m->cfg.firmware.menu, 2);
    if (m->cfg.firmware.splash_ms)
        fw_cfg_file_number(pc->cfg, "etc/boot-menu-wait", m->cfg.firmware.splash_ms, 2);
    if (m->cfg.firmware.retry_ms)
        fw_cfg_file_number(pc->cfg, "etc/boot-fail-wait", (uint32_t)m->cfg.firmware.retry_ms, 4);
    fw_cfg_number(pc->cfg, FW_CFG_IRQ0_OVERRIDE, 1, 4);
    fw_cfg_file(pc->cfg, "etc/e820", e820, n * sizeof(e820[0]));
    acpi_fw_cfg(acpi, pc->cfg);
    tables = smbios_tables(info, 0, &len, anchor);
    fw_cfg_file(pc->cfg, "etc/smbios/smbios-anchor", anchor, sizeof(anchor));
    fw_cfg_file(pc->cfg, "etc/smbios/smbios-tables", tables, len);
    free(tables);
    if ((b->serial & 1) && m->cfg.serial_screen)        /* nobody looks at the screen */
        fw_cfg_file_number(pc->cfg, "etc/sercon-port", PC_COM1, 8);
    rtc_cmos_set(b->rtc, CMOS_EQUIPMENT, equipment(pc));
    rtc_cmos_set(b->rtc, CMOS_FLOPPIES, floppy_type(pc->floppy, 0) << 4 | floppy_type(pc->floppy, 1));
    boot_order(b->rtc, m->cfg.firmware.once ? m->cfg.firmware.once : m->cfg.firmware.order);
    rtc_cmos_set(b->rtc, CMOS_CPUS, m->ncpu - 1);
}

static void init(struct machine *m)
{
    struct pcbase *b = pcbase_new(m, HOLE);
    struct pc *pc = b->own = calloc(1, sizeof(*pc));
    struct acpi_board acpi = { .ncpu = m->ncpu, .lapic = LAPIC_BASE, .ioapic = IOAPIC_BASE, .hpet = HPET_BASE,
                               .pm = PM_PORT, .sci = PIIX4_SCI, .s5_type = PIIX4_S5_TYPE,
                               .gpe = PM_PORT + PIIX4_GPE, .pm_len = PIIX4_PM_LEN, .smi_cmd = APM_PORT, .acpi_enable = APM_ACPI_ENABLE,
                               .acpi_disable = APM_ACPI_DISABLE, .links = true, .isa_slot = ISA_SLOT,
                               .fw_cfg = FW_CFG_PORT, .reset_port = CF9, .pci_hi = PCI_HI };
    struct smbios_info info = { .product = PRODUCT, .ncpu = m->ncpu };
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
    pc->bridge = i440fx_new(m->chips, pci, m->phys, m->ram);
    pc->isa = piix3_new(m->chips, pci, ISA_SLOT, (struct irq){ .set = pirq_set, .to = b });
    pc->ide = piix3_ide_new(m->chips, pci, m->ports, ISA_SLOT, ide_irq, m->cfg.ide);
    pc->pm = piix4_new(m->chips, pci, m->ports, m->clock, ISA_SLOT, &lines);
    pc->cfg = fw_cfg_new(m->chips, m->ports, m->phys);
    pci_bus_msi(pci, (struct pci_msi_to){ apics_pci_msi, b->apics });
    b->plugs.pci = pci;
    b->plugs.dma = dma8237_new(m->chips, m->ports, m->phys);
    if (m->cfg.floppy[0] || m->cfg.floppy[1])
        pc->floppy = floppy_new(m->chips, m->ports, m->clock, pcbase_isa(b, FLOPPY_IRQ, 0), b->plugs.dma,
                                m->cfg.floppy);
    pcbase_plugs(b);

    acpi.serial = b->serial;
    acpi.parallel = b->parallel;
    acpi.floppy = pc->floppy;
    acpi.pvpanic = b->plugs.pvpanic;
    acpi.pci_lo = m->ram_low <= 0x80000000u ? 0x80000000u : HOLE;
    info.ram_low = m->ram_low;
    info.ram_high = m->ram_high;
    configure(m, &acpi, &info);
    if (m->cfg.kernel) {
        info.bios = true;
        pc->tables = acpi_tables(&acpi, TABLES, &pc->tables_len, NULL);
        pc->smbios = smbios_tables(&info, SMBIOS_AT, &pc->smbios_len, pc->anchor);
        if (pc->tables_len > TABLES_MAX || pc->smbios_len > SMBIOS_MAX)
            die(EXIT_CODE_HOST, "the ACPI and SMBIOS tables (%zu and %zu bytes) do not fit below 1 MiB",
                pc->tables_len, pc->smbios_len);
        m->rsdp = TABLES;
    } else {
        map_rom(m);
    }
    m->smi_act = smi_act;
    m->board_reset = board_reset;
}

static void board_free(struct machine *m)
{
    struct pc *pc = pc_of(m);

    fw_cfg_free(pc->cfg);
    free(pc->tables);
    free(pc->smbios);
    free(pc);
    pcbase_free(m);
}

const struct board board_pc = {
    "pc", "i440FX and PIIX with firmware (SeaBIOS) or a kernel loaded directly", true,
    init, board_free, power_button
};
