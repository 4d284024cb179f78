/*
 * pcbase.c - what every PC board has: interrupt controllers, clocks, keyboard, serial ports, and how
 * processors reach them.
 *
 * Each ISA interrupt goes to both the 8259s and the I/O APIC (IRQ 0 to input 2).
 * FERR# of the boot processor makes IRQ 13.
 */
#include "hw/pcbase.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/audio/pcspk.h"
#include "hw/clock.h"
#include "hw/debugcon.h"
#include "hw/dma8237.h"
#include "hw/ferr.h"
#include "hw/floppy.h"
#include "hw/hpet.h"
#include "hw/input_if.h"
#include "hw/ioapic.h"
#include "hw/kbc.h"
#include "hw/lapic.h"
#include "hw/parport.h"
#include "hw/pic.h"
#include "hw/pit.h"
#include "hw/port92.h"
#include "hw/ps2.h"
#include "hw/rtc.h"
#include "hw/uart.h"

static const struct field pcbase_state[] = {
    FIELD_ARRAY(struct pcbase, source), FIELD_ARRAY(struct pcbase, gsi), FIELD_END
};

static void pcbase_chip_reset(void *dev)
{
    struct pcbase *b = dev;

    for (unsigned i = 0; i < 16; i++)
        b->source[i] = 0;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        b->gsi[i] = 0;
}

static const struct chip pcbase_chip = {
    "pcbase", sizeof(struct pcbase), pcbase_chip_reset, pcbase_state, NULL
};

/* ---- interrupt routing ---- */

void pcbase_gsi_set(struct pcbase *b, unsigned n, enum gsi_source source, bool level)
{
    b->gsi[n] = level ? b->gsi[n] | 1u << source : b->gsi[n] & ~(1u << source);
    ioapic_set(b->ioapic, (int)n, b->gsi[n]);
}

static void hpet_set(void *to, int n, bool level)
{
    pcbase_gsi_set(to, (unsigned)n, GSI_HPET, level);
}

void pcbase_isa_set(void *to, int line, bool level)
{
    struct pcbase *b = to;
    int irq = line & 0xff, source = line >> 8;

    b->source[irq] = level ? b->source[irq] | 1u << source : b->source[irq] & ~(1u << source);
    pic_set_line(b->pic, irq, b->source[irq]);
    pcbase_gsi_set(b, irq == 0 ? 2 : (unsigned)irq, GSI_ISA, b->source[irq]);
}

static void hpet_tick(void *to, int n, unsigned ticks)
{
    struct pcbase *b = to;

    if (ticks)
        b->gsi[n] |= 1u << GSI_HPET;
    ioapic_tick(b->ioapic, n, ticks);
}

static void isa_tick(void *to, int line, unsigned ticks)
{
    struct pcbase *b = to;
    int irq = line & 0xff, source = line >> 8;
    struct irq pic = pic_line(b->pic, irq);

    if (ticks) {
        b->source[irq] |= 1u << source;
        b->gsi[irq == 0 ? 2 : irq] |= 1u << GSI_ISA;
    }
    irq_tick(&pic, ticks);
    ioapic_tick(b->ioapic, irq == 0 ? 2 : irq, ticks);
}

struct irq pcbase_isa(struct pcbase *b, int irq, int source)
{
    return (struct irq){ pcbase_isa_set, b, ISA_LINE(irq, source), isa_tick };
}

/* The test device names I/O APIC inputs; the first 16 are ISA lines to everyone else. */
static void test_gsi_set(void *to, int n, bool level)
{
    if (n < 16)
        pcbase_isa_set(to, ISA_LINE(n == 2 ? 0 : n, 7), level);
    else
        pcbase_gsi_set(to, (unsigned)n, GSI_TEST, level);
}

static uint8_t int_ack(struct machine *m, unsigned cpu)
{
    struct pcbase *b = m->board;
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
    struct pcbase *b = m->board;
    bool gp;

    machine_lock(m);
    gp = apics_rdmsr(b->apics, cpu, msr, val);
    machine_unlock(m);
    return gp;
}

static bool apic_wrmsr(struct machine *m, unsigned cpu, uint32_t msr, uint64_t val)
{
    struct pcbase *b = m->board;
    bool gp;

    machine_lock(m);
    gp = apics_wrmsr(b->apics, cpu, msr, val);
    machine_unlock(m);
    return gp;
}

static void apic_init(struct machine *m, unsigned cpu)
{
    struct pcbase *b = m->board;

    machine_lock(m);
    apics_init(b->apics, cpu);
    machine_unlock(m);
}

static uint8_t tpr_get(struct machine *m, unsigned cpu)
{
    struct pcbase *b = m->board;

    return apics_cr8_get(b->apics, cpu);
}

static void tpr_set(struct machine *m, unsigned cpu, uint8_t cr8)
{
    struct pcbase *b = m->board;

    machine_lock(m);
    apics_cr8_set(b->apics, cpu, cr8);
    machine_unlock(m);
}

/* ---- lines to the whole machine ---- */

static void ferr_pin(struct machine *m, unsigned cpu, bool level)
{
    struct pcbase *b = m->board;

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

void pcbase_soft_off(void *to)
{
    machine_request_stop(to, STOP_POWEROFF, 0);
}

static struct irq plug_irq(struct machine *m, unsigned irq, unsigned source)
{
    return pcbase_isa(m->board, irq, source);
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

struct pcbase *pcbase_new(struct machine *m, uint64_t hole)
{
    const struct machine_config *cfg = &m->cfg;
    struct pcbase *b;

    if (cfg->cpus < 1 || cfg->cpus > PC_MAX_CPUS)
        die(EXIT_CODE_USAGE, "-smp %u: this board takes 1 to %u processors", cfg->cpus, PC_MAX_CPUS);
    m->ncpu = cfg->cpus;
    m->phys = phys_new(&m->lock);
    m->ports = ports_new();
    m->chips = chips_new();
    clock_set_rtc(m->clock, cfg->rtc_base, cfg->rtc_localtime);
    b = m->board = chip_new(m->chips, &pcbase_chip, "board");
    b->reset = (struct irq){ .set = reset_set, .to = m };

    m->ram = machine_ram(m);
    m->ram_low = cfg->ram < hole ? cfg->ram : hole;
    m->ram_high = cfg->ram - m->ram_low;
    if (m->ram_high)
        phys_map_ram(m->phys, 1ull << 32, m->ram_high, (uint8_t *)m->ram + m->ram_low, false, "ram-high");
    b->plugs = (struct plug_env){ .m = m, .isa_irq = plug_irq, .gsi = { .set = test_gsi_set, .to = b } };
    m->int_ack = int_ack;
    m->apic_rdmsr = apic_rdmsr;
    m->apic_wrmsr = apic_wrmsr;
    m->apic_init = apic_init;
    m->ferr = ferr_pin;
    m->tpr_get = tpr_get;
    m->tpr_set = tpr_set;
    return b;
}

static void rtc_was_set(void *machine, int64_t ahead)
{
    machine_news(machine, NEWS_RTC, NULL, ahead);
}

void pcbase_chips(struct pcbase *b, struct machine *m)
{
    const struct machine_config *cfg = &m->cfg;
    struct irq a20 = { .set = a20_set, .to = m };
    struct hpet_lines hpet_lines;
    struct kbc_lines kbc_lines;
    struct hpet *hpet;
    struct pit *pit;
    struct ps2 *kbd, *mouse;

    /* Interrupt controllers first: chips reset in this order, and devices drive their lines then. */
    b->apics = apics_new(m->chips, m->phys, m->clock, m, &cpu_lines, m->ncpu, MMU_PA_BITS);
    b->ioapic = ioapic_new(m->chips, m->phys, IOAPIC_BASE, b->apics, 0);
    b->pic = pic_new(m->chips, m->ports, (struct irq){ .set = apics_lint0, .to = b->apics });
    hpet_lines = (struct hpet_lines){ { hpet_set, b, 0, hpet_tick }, pcbase_isa(b, 0, 0), pcbase_isa(b, 8, 0) };
    hpet = hpet_new(m->chips, m->cfg.no_hpet ? NULL : m->phys, HPET_BASE, m->clock, &hpet_lines);

    pit = pit_new(m->chips, m->ports, m->clock, hpet_pit_in(hpet));
    if (cfg->pcspk)
        pcspk_new(m->chips, pit, m->clock, cfg->pcspk);
    b->rtc = rtc_new(m->chips, m->ports, m->clock, hpet_rtc_in(hpet));
    rtc_on_set(b->rtc, rtc_was_set, m);
    cmos_memory(b->rtc, m);
    kbd = ps2_keyboard_new(m->chips, "kbd", m->clock);
    mouse = ps2_mouse_new(m->chips, "mouse", m->clock);
    input_add(cfg->input, &ps2_keyboard_input, kbd);
    input_add(cfg->input, &ps2_mouse_input, mouse);
    kbc_lines = (struct kbc_lines){ pcbase_isa(b, 1, 0), pcbase_isa(b, 12, 0), a20, b->reset };
    kbc_new(m->chips, m->ports, m->clock, &kbc_lines, kbd, mouse);
    b->ferr = ferr_new(m->chips, m->ports, pcbase_isa(b, 13, 0), (struct irq){ .set = ignne_set, .to = m });
    port92_new(m->chips, m->ports, a20, b->reset);
    for (unsigned i = 0; i < UART_COMS && i < cfg->nserial; i++) {
        uart_new(m->chips, uart_com[i].name, m->ports, uart_com[i].port, pcbase_isa(b, uart_com[i].irq, i), m->clock,
                 cfg->serial[i]);
        b->plugs.serial |= 1u << i;
    }
    for (unsigned i = 0; i < PARPORTS && i < cfg->nparallel; i++) {
        parport_new(m->chips, parport_lpt[i].name, m->ports, parport_lpt[i].port, pcbase_isa(b, PARPORT_IRQ, i), m->clock,
                    cfg->parallel[i]);
        b->plugs.parallel |= 1u << i;
    }
    if (cfg->debugcon)
        debugcon_new(m->chips, "debugcon", m->ports, cfg->debugcon_port, DEBUGCON_READBACK, cfg->debugcon);
}

void pcbase_isa_chips(struct pcbase *b, unsigned slot)
{
    struct machine *m = b->plugs.m;
    bool floppies = m->cfg.floppy[0] || m->cfg.floppy[1];

    for (const struct plug_use *u = m->cfg.devices; u; u = u->next)
        floppies |= strcmp(u->plug->bus, "floppy") == 0;

    b->plugs.dma = dma8237_new(m->chips, m->ports, m->phys);
    if (!floppies)
        return;
    b->floppy = floppy_new(m->chips, m->ports, m->clock, pcbase_isa(b, FLOPPY_IRQ, 0), b->plugs.dma, m->cfg.floppy);
    snprintf(b->floppy_path, sizeof(b->floppy_path), "/pci@i0cf8/isa@%x/fdc@%04x", slot, FLOPPY_PORT);
    b->floppy_bus = (struct floppy_bus){ b->floppy, b->floppy_path };
    plug_bus_add(&b->plugs, "floppy", "floppy.0", &b->floppy_bus);
}

void pcbase_plugs(struct pcbase *b)
{
    b->plugs.m->pci = b->plugs.pci;
    plugs_make(&b->plugs, b->plugs.m->cfg.devices);
    plug_buses_free(&b->plugs);
}

void pcbase_free(struct machine *m)
{
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
