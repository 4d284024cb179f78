/*
 * board_micro.c - board "micro": all of a PC's basic chips, and no firmware.
 *
 *   0         RAM up to 3 GiB (PCI_LO), the rest from 4 GiB
 *   E0000     ACPI tables, RSDP first (in RAM: reserved in the memory map)
 *   C0000000  PCI memory window
 *   FEC00000  I/O APIC     FED00000  HPET     FEE00000  local APICs
 *
 * Each ISA interrupt goes to both the 8259s and the I/O APIC (IRQ 0 to input 2).
 * FERR# of the boot processor makes IRQ 13.
 * PCI INTA-INTD go to I/O APIC inputs 16-19 and to IRQ 10 and 11 of the 8259s.
 */
#include <stdlib.h>

#include "base/log.h"
#include "hw/acpi.h"
#include "hw/board_micro.h"
#include "hw/clock.h"
#include "hw/debugcon.h"
#include "hw/debugexit.h"
#include "hw/ferr.h"
#include "hw/hpet.h"
#include "hw/ioapic.h"
#include "hw/kbc.h"
#include "hw/lapic.h"
#include "hw/pci.h"
#include "hw/pic.h"
#include "hw/pit.h"
#include "hw/port92.h"
#include "hw/ps2.h"
#include "hw/reset.h"
#include "hw/rtc.h"
#include "hw/testdev.h"
#include "hw/uart.h"

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

struct board {
    struct pic *pic;
    struct ioapic *ioapic;
    struct apics *apics;
    struct acpi *acpi;
    struct ferr *ferr;
    uint8_t source[16];         /* per ISA line: who asserts it, one bit a source */
    uint8_t *tables;
    size_t tables_len;
};

static const struct field board_state[] = { FIELD_ARRAY(struct board, source), FIELD_END };

static void board_chip_reset(void *dev)
{
    struct board *b = dev;

    for (unsigned i = 0; i < 16; i++)
        b->source[i] = 0;
}

static const struct chip board_chip = {
    "board-micro", sizeof(struct board), board_chip_reset, board_state, NULL
};

/* ---- interrupt routing ---- */

static void gsi_set(void *to, int n, bool level)
{
    struct board *b = to;

    ioapic_set(b->ioapic, n, level);
}

/* A source of an ISA line: sources are ORed, so that chips may share one. */
#define ISA_LINE(irq, source) ((irq) | (source) << 8)

static void isa_set(void *to, int line, bool level)
{
    struct board *b = to;
    int irq = line & 0xff, source = line >> 8;

    b->source[irq] = level ? b->source[irq] | 1u << source : b->source[irq] & ~(1u << source);
    pic_set_line(b->pic, irq, b->source[irq]);
    ioapic_set(b->ioapic, irq == 0 ? 2 : irq, b->source[irq]);
}

static void gsi_tick(void *to, int n, unsigned ticks)
{
    struct board *b = to;

    ioapic_tick(b->ioapic, n, ticks);
}

static void isa_tick(void *to, int line, unsigned ticks)
{
    struct board *b = to;
    int irq = line & 0xff, source = line >> 8;
    struct irq pic = pic_line(b->pic, irq);

    if (ticks)
        b->source[irq] |= 1u << source;
    irq_tick(&pic, ticks);
    ioapic_tick(b->ioapic, irq == 0 ? 2 : irq, ticks);
}

static struct irq isa(struct board *b, int irq, int source)
{
    return (struct irq){ isa_set, b, ISA_LINE(irq, source), isa_tick };
}

/* The test device names I/O APIC inputs; the first 16 are ISA lines to everyone else. */
static void test_gsi_set(void *to, int n, bool level)
{
    if (n < 16)
        isa_set(to, ISA_LINE(n == 2 ? 0 : n, 7), level);
    else
        gsi_set(to, n, level);
}

static void intx_set(void *to, int n, bool level)
{
    struct board *b = to;
    int irq = 10 + (n & 1);

    b->source[irq] = level ? b->source[irq] | 1u << n : b->source[irq] & ~(1u << n);
    pic_set_line(b->pic, irq, b->source[irq]);
    ioapic_set(b->ioapic, 16 + n, level);
}

static uint8_t int_ack(struct machine *m, unsigned cpu)
{
    struct board *b = m->board;
    int v;

    machine_lock(m);
    v = apics_ack(b->apics, cpu);
    if (v < 0)
        v = pic_ack(b->pic);
    machine_unlock(m);
    return v;
}

/* ---- what the CPU reaches of its local APIC ---- */

static bool apic_rdmsr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t *val)
{
    struct board *b = m->board;
    bool gp;

    machine_lock(m);
    gp = apics_rdmsr(b->apics, cpu, msr, val);
    machine_unlock(m);
    return gp;
}

static bool apic_wrmsr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t val)
{
    struct board *b = m->board;
    bool gp;

    machine_lock(m);
    gp = apics_wrmsr(b->apics, cpu, msr, val);
    machine_unlock(m);
    return gp;
}

static void apic_init(struct machine *m, unsigned cpu)
{
    struct board *b = m->board;

    machine_lock(m);
    apics_init(b->apics, cpu);
    machine_unlock(m);
}

static uint8_t tpr_get(struct machine *m, unsigned cpu)
{
    struct board *b = m->board;

    return apics_cr8_get(b->apics, cpu);
}

static void tpr_set(struct machine *m, unsigned cpu, uint8_t cr8)
{
    struct board *b = m->board;

    machine_lock(m);
    apics_cr8_set(b->apics, cpu, cr8);
    machine_unlock(m);
}

/* ---- lines to the whole machine ---- */

static void ferr_pin(struct machine *m, unsigned cpu, bool level)
{
    struct board *b = m->board;

    if (!cpu)
        ferr_set(b->ferr, level);
}

static void ignne_set(void *to, int line, bool level)
{
    cpu_lines.ignne(to, 0, level);
}

static void a20_set(void *to, int line, bool on)
{
    struct machine *m = to;

    phys_set_a20(m->phys, on);
}

static void reset_set(void *to, int line, bool level)
{
    if (level)
        machine_request_stop(to, STOP_RESET, 0);
}

static void soft_off(void *to)
{
    machine_request_stop(to, STOP_POWEROFF, 0);
}

static void debug_exit(void *to, int code)
{
    machine_request_stop(to, STOP_DEBUG_EXIT, code);
}

void board_micro_power_button(struct machine *m)
{
    struct board *b = m->board;

    machine_lock(m);
    acpi_power_button(b->acpi);
    machine_unlock(m);
}

/* What a firmware leaves behind and kernels rely on. */
static void board_reset(struct machine *m)
{
    struct board *b = m->board;

    phys_set_a20(m->phys, true);
    phys_write(m->phys, TABLES, b->tables, b->tables_len);
    ports_write(m->ports, ELCR2, ELCR2_PCI, 1);
    apics_virtual_wire(b->apics);
}

/* Memory sizes where old software looks for them (CMOS 15h-18h, 30h-31h, 34h-35h, 5Bh-5Dh). */
static void cmos_memory(struct rtc *rtc, const struct machine *m)
{
    uint64_t ext = m->ram_low > 0x100000 ? (m->ram_low - 0x100000) >> 10 : 0;
    uint64_t above16 = m->ram_low > 0x1000000 ? (m->ram_low - 0x1000000) >> 16 : 0;
    uint64_t high = m->ram_high >> 16;

    if (ext > 0xffff)
        ext = 0xffff;
    if (above16 > 0xffff)
        above16 = 0xffff;
    rtc_cmos_set(rtc, 0x15, 640 & 0xff);
    rtc_cmos_set(rtc, 0x16, 640 >> 8);
    for (unsigned at = 0x17; at <= 0x30; at += 0x30 - 0x17) {
        rtc_cmos_set(rtc, at, ext);
        rtc_cmos_set(rtc, at + 1, ext >> 8);
    }
    rtc_cmos_set(rtc, 0x34, above16);
    rtc_cmos_set(rtc, 0x35, above16 >> 8);
    for (unsigned i = 0; i < 3; i++)
        rtc_cmos_set(rtc, 0x5b + i, high >> (8 * i));
}

void board_micro_init(struct machine *m)
{
    static const struct { uint16_t port; uint8_t irq; const char *name; } com[4] = {
        { 0x3f8, 4, "com1" }, { 0x2f8, 3, "com2" }, { 0x3e8, 4, "com3" }, { 0x2e8, 3, "com4" }
    };
    static const struct acpi_model acpi_model = { .s5_type = S5_TYPE };
    const struct machine_config *cfg = &m->cfg;
    struct acpi_board desc = { .ncpu = cfg->cpus, .lapic = LAPIC_BASE, .ioapic = IOAPIC_BASE,
                               .hpet = HPET_BASE, .pm = PM_PORT, .sci = SCI, .s5_type = S5_TYPE, .pm_len = ACPI_PM_LEN, .reset_port = CF9,
                               .pci_lo = PCI_LO, .pci_hi = PCI_HI };
    struct pci_ident bridge = { .vendor = 0x8086, .device = 0x1237, .class = 0x060000,
                                .revision = 2, .subvendor = 0x1af4, .subdevice = 0x1100 };
    struct irq a20 = { .set = a20_set, .to = m }, reset = { .set = reset_set, .to = m };
    struct hpet_lines hpet_lines;
    struct kbc_lines kbc_lines;
    struct hpet *hpet;
    struct pci_bus *pci;
    struct ps2 *kbd, *mouse;
    struct rtc *rtc;
    struct board *b;

    if (cfg->cpus < 1 || cfg->cpus > MICRO_MAX_CPUS)
        die(EXIT_CODE_USAGE, "-smp %u: this board takes 1 to %u processors", cfg->cpus, MICRO_MAX_CPUS);
    m->ncpu = cfg->cpus;
    m->phys = phys_new(&m->lock);
    m->ports = ports_new();
    m->chips = chips_new();
    clock_set_rtc(m->clock, cfg->rtc_base, cfg->rtc_localtime);
    b = m->board = chip_new(m->chips, &board_chip, "board");

    m->ram = phys_ram_alloc(m->phys, cfg->ram);
    m->ram_low = cfg->ram < PCI_LO ? cfg->ram : PCI_LO;
    m->ram_high = cfg->ram - m->ram_low;
    phys_map_ram(m->phys, 0, m->ram_low, m->ram, false, "ram");
    if (m->ram_high)
        phys_map_ram(m->phys, 1ull << 32, m->ram_high, (uint8_t *)m->ram + m->ram_low, false, "ram-high");

    /* Interrupt controllers first: chips reset in this order, and devices drive their lines then. */
    b->apics = apics_new(m->chips, m->phys, m->clock, m, &cpu_lines, m->ncpu, MMU_PA_BITS);
    b->ioapic = ioapic_new(m->chips, m->phys, IOAPIC_BASE, b->apics, 0);
    b->pic = pic_new(m->chips, m->ports, (struct irq){ .set = apics_lint0, .to = b->apics });
    hpet_lines = (struct hpet_lines){ { gsi_set, b, 0, gsi_tick }, isa(b, 0, 0), isa(b, 8, 0) };
    hpet = hpet_new(m->chips, m->phys, HPET_BASE, m->clock, &hpet_lines);

    pit_new(m->chips, m->ports, m->clock, hpet_pit_in(hpet));
    rtc = rtc_new(m->chips, m->ports, m->clock, hpet_rtc_in(hpet));
    cmos_memory(rtc, m);
    kbd = ps2_keyboard_new(m->chips, "kbd", m->clock);
    mouse = ps2_mouse_new(m->chips, "mouse", m->clock);
    kbc_lines = (struct kbc_lines){ isa(b, 1, 0), isa(b, 12, 0), a20, reset };
    kbc_new(m->chips, m->ports, m->clock, &kbc_lines, kbd, mouse);
    b->ferr = ferr_new(m->chips, m->ports, isa(b, 13, 0), (struct irq){ .set = ignne_set, .to = m });
    port92_new(m->chips, m->ports, a20, reset);
    for (unsigned i = 0; i < 4 && i < cfg->nserial; i++) {
        uart_new(m->chips, com[i].name, m->ports, com[i].port, isa(b, com[i].irq, i), m->clock,
                 cfg->serial[i]);
        desc.serial |= 1u << i;
    }
    if (cfg->debugcon)
        debugcon_new(m->chips, m->ports, cfg->debugcon_port, cfg->debugcon);
    if (cfg->debug_exit.on)
        debugexit_new(m->chips, m->ports, cfg->debug_exit.iobase, cfg->debug_exit.iosize, debug_exit, m);
    if (cfg->testdev)
        testdev_new(m->chips, m->ports, m->phys, (struct irq){ .set = test_gsi_set, .to = b });
    b->acpi = acpi_new(m->chips, &acpi_model, m->ports, PM_PORT, m->clock, isa(b, SCI, 0), soft_off, m);
    pci = pci_bus_new(m->chips, m->ports, m->phys, &reset_ops, reset_new(m->chips, reset),
                      (struct irq){ .set = intx_set, .to = b });
    pci_add(pci, "host-bridge", 0, 0, &bridge);

    b->tables = acpi_tables(&desc, TABLES, &b->tables_len, NULL);
    if (b->tables_len > TABLES_MAX)
        die(EXIT_CODE_HOST, "the ACPI tables need %zu bytes and may take %u", b->tables_len, TABLES_MAX);
    m->rsdp = TABLES;
    m->int_ack = int_ack;
    m->apic_rdmsr = apic_rdmsr;
    m->apic_wrmsr = apic_wrmsr;
    m->apic_init = apic_init;
    m->ferr = ferr_pin;
    m->tpr_get = tpr_get;
    m->tpr_set = tpr_set;
    m->board_reset = board_reset;
}

void board_micro_free(struct machine *m)
{
    struct board *b = m->board;

    free(b->tables);
    chips_free(m->chips);
    ports_free(m->ports);
    phys_free(m->phys);
    clock_free(m->clock);
    m->board = NULL;
    m->chips = NULL;
    m->ports = NULL;
    m->phys = NULL;
    m->clock = NULL;
}
