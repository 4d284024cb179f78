/*
 * acpi_tables.c - RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET, MCFG, DSDT (ACPI 6.4, chapter 5;
 * HPET 1.0a, 3.2.4; PCI Firmware Specification 3.0, 4.1.2).
 *
 * Everything is written little-endian byte by byte, so the host does not matter.
 * Invariant: each table's bytes add up to 0.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hw/acpi.h"
#include "hw/aml.h"
#include "hw/fw_cfg.h"

#define MMCONFIG_LEN (256u << 20)       /* 256 buses */

static void checksum(struct aml *a, size_t at, size_t len, size_t field)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += a->buf[at + i];
    a->buf[at + field] -= sum;
}

/* The common header (5.2.6); table_end() fills in length and checksum. */
static size_t table(struct aml *a, const char *sig, uint8_t revision)
{
    size_t at;

    while (a->len & 15)
        aml_byte(a, 0);
    at = a->len;
    aml_bytes(a, sig, 4);
    aml_le(a, 0, 4);
    aml_byte(a, revision);
    aml_byte(a, 0);
    aml_bytes(a, "LATMR ", 6);
    aml_bytes(a, "LATIMER ", 8);
    aml_le(a, 1, 4);
    aml_bytes(a, "LATM", 4);
    aml_le(a, 1, 4);
    return at;
}

static void put32(struct aml *a, size_t at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        a->buf[at + i] = v >> (8 * i);
}

/* Sum up `len` bytes from `at`; the firmware shall again, once it has moved them. */
static void sum(struct aml *a, struct acpi_fixes *f, size_t at, size_t len, size_t field)
{
    checksum(a, at, len, field);
    assert(f->nsum < sizeof(f->sum) / sizeof(f->sum[0]));
    f->sum[f->nsum].field = at + field;
    f->sum[f->nsum].start = at;
    f->sum[f->nsum++].len = len;
}

/* A pointer to a table is at `at`. */
static void points(struct acpi_fixes *f, size_t at, unsigned size)
{
    assert(f->npointer < sizeof(f->pointer) / sizeof(f->pointer[0]));
    f->pointer[f->npointer].at = at;
    f->pointer[f->npointer++].size = size;
}

static void pointer(struct aml *a, struct acpi_fixes *f, uint32_t pa, unsigned size)
{
    points(f, a->len, size);
    aml_le(a, pa, size);
}

static void table_end(struct aml *a, struct acpi_fixes *f, size_t at)
{
    put32(a, at + 4, a->len - at);
    sum(a, f, at, a->len - at, 9);
}

/* ---- DSDT ---- */

/* A device with fixed I/O ports and at most one interrupt. */
static void isa_device(struct aml *a, const char *name, const char *hid, unsigned uid, int irq,
                       uint16_t io, uint8_t len, uint16_t io2, uint8_t len2)
{
    size_t dev = aml_device(a, name), crs;

    aml_name(a, "_HID");
    aml_eisaid(a, hid);
    aml_name(a, "_UID");
    aml_int(a, uid);
    aml_name(a, "_STA");
    aml_int(a, 15);
    crs = aml_crs(a);
    if (len)
        aml_res_io(a, io, len);
    if (len2)
        aml_res_io(a, io2, len2);
    if (irq >= 0)
        aml_res_irq(a, irq);
    aml_crs_end(a, crs);
    aml_close(a, dev);
}

/* The floppy controller; 3F6h is the disk controller's. */
static void floppy(struct aml *a)
{
    size_t dev = aml_device(a, "FDC0"), crs;

    aml_name(a, "_HID");
    aml_eisaid(a, "PNP0700");
    crs = aml_crs(a);
    aml_res_io(a, 0x3f2, 4);
    aml_res_io(a, 0x3f7, 1);
    aml_res_irq(a, 6);
    aml_res_dma(a, 2);
    aml_crs_end(a, crs);
    aml_close(a, dev);
}

/*
 * _PRT: each pin of each slot straight to an interrupt, no link devices. With
 * I/O APICs to GSI 16-19, with the 8259s to IRQ 10 and 11 in turn; the board
 * wires its INTx lines to both.
 */
static void routing(struct aml *a, const char *name, bool apic)
{
    size_t all, one;

    aml_name(a, name);
    all = aml_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++) {
            unsigned line = (slot + pin) & 3;

            one = aml_package(a, 4);
            aml_int(a, (uint64_t)slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_int(a, 0);
            aml_int(a, apic ? 16 + line : 10 + (line & 1));
            aml_close(a, one);
        }
    aml_close(a, all);
}

static void fw_cfg(struct aml *a, uint16_t port)
{
    size_t dev = aml_device(a, "FWCF"), crs;

    aml_name(a, "_HID");
    aml_string(a, "QEMU0002");
    aml_name(a, "_STA");
    aml_int(a, 11);                             /* nothing to show to the user */
    crs = aml_crs(a);
    aml_res_io(a, port, FW_CFG_LEN);
    aml_crs_end(a, crs);
    aml_close(a, dev);
}

static void pvpanic(struct aml *a, uint16_t port)
{
    size_t dev = aml_device(a, "PEVT"), crs;

    aml_name(a, "_HID");
    aml_string(a, "QEMU0001");
    aml_name(a, "_STA");
    aml_int(a, 15);
    crs = aml_crs(a);
    aml_res_io(a, port, 1);
    aml_crs_end(a, crs);
    aml_close(a, dev);
}

static void pci_bridge(struct aml *a, const struct acpi_board *b)
{
    size_t dev = aml_device(a, "PCI0"), crs, prt;

    aml_name(a, "_HID");
    aml_eisaid(a, b->mmconfig ? "PNP0A08" : "PNP0A03");
    if (b->mmconfig) {                          /* PCI Express; PCI to who does not know that */
        aml_name(a, "_CID");
        aml_eisaid(a, "PNP0A03");
    }
    aml_name(a, "_UID");
    aml_int(a, 0);
    aml_name(a, "_BBN");
    aml_int(a, 0);
    crs = aml_crs(a);
    aml_res_window(a, AML_WINDOW_BUS, 0, 0xff);
    aml_res_io(a, 0xcf8, 8);
    aml_res_window(a, AML_WINDOW_IO, 0, 0xcf7);
    aml_res_window(a, AML_WINDOW_IO, 0xd00, 0xffff);
    aml_res_window(a, AML_WINDOW_MEMORY, 0xa0000, 0xbffff);
    if (b->mmconfig)
        aml_res_window(a, AML_WINDOW_MEMORY, b->pci_lo, b->mmconfig - 1);
    aml_res_window(a, AML_WINDOW_MEMORY, b->mmconfig ? b->mmconfig + MMCONFIG_LEN : b->pci_lo, b->pci_hi - 1);
    aml_res_window64(a, b->pci64_lo, b->pci64_hi ? b->pci64_hi - 1 : 0);
    aml_crs_end(a, crs);
    if (b->links) {
        acpi_links(a, b);
        acpi_links_prt(a, b);
    } else {
        routing(a, "RPIC", false);
        routing(a, "RAPC", true);
        prt = aml_method(a, "_PRT", 0);
        aml_return_either(a, "\\PICF", "RAPC", "RPIC");
        aml_close(a, prt);
    }

    isa_device(a, "PIC_", "PNP0000", 0, 2, 0x20, 2, 0xa0, 2);
    isa_device(a, "PIT_", "PNP0100", 0, 0, 0x40, 4, 0, 0);
    isa_device(a, "RTC_", "PNP0B00", 0, 8, 0x70, 2, 0, 0);
    isa_device(a, "SPKR", "PNP0800", 0, -1, 0x61, 1, 0, 0);
    isa_device(a, "KBD_", "PNP0303", 0, 1, 0x60, 1, 0x64, 1);
    isa_device(a, "MOU_", "PNP0F13", 0, 12, 0, 0, 0, 0);
    if (b->serial & 1)
        isa_device(a, "COM1", "PNP0501", 1, 4, 0x3f8, 8, 0, 0);
    if (b->serial & 2)
        isa_device(a, "COM2", "PNP0501", 2, 3, 0x2f8, 8, 0, 0);
    if (b->serial & 4)
        isa_device(a, "COM3", "PNP0501", 3, 4, 0x3e8, 8, 0, 0);
    if (b->serial & 8)
        isa_device(a, "COM4", "PNP0501", 4, 3, 0x2e8, 8, 0, 0);
    if (b->parallel & 1)
        isa_device(a, "LPT1", "PNP0400", 1, 7, 0x378, 3, 0, 0);
    if (b->parallel & 2)
        isa_device(a, "LPT2", "PNP0400", 2, 7, 0x278, 3, 0, 0);
    if (b->parallel & 4)
        isa_device(a, "LPT3", "PNP0400", 3, 7, 0x3bc, 3, 0, 0);
    if (b->floppy)
        floppy(a);
    isa_device(a, "PMRS", "PNP0C02", 1, -1, b->pm, b->pm_len, 0x92, 1);
    if (b->smi_cmd)
        isa_device(a, "APM_", "PNP0C02", 3, -1, b->smi_cmd, 2, 0, 0);
    if (b->fw_cfg)
        fw_cfg(a, b->fw_cfg);
    if (b->pvpanic)
        pvpanic(a, b->pvpanic);
    aml_close(a, dev);
}

static void dsdt(struct aml *a, const struct acpi_board *b)
{
    size_t scope, pkg, m, dev, crs;

    aml_name(a, "\\PICF");
    aml_int(a, 0);
    m = aml_method(a, "\\_PIC", 1);
    aml_store_arg0(a, "\\PICF");
    aml_close(a, m);
    aml_name(a, "\\_S5");
    pkg = aml_package(a, 4);
    aml_int(a, b->s5_type);
    for (unsigned i = 0; i < 3; i++)
        aml_int(a, 0);
    aml_close(a, pkg);

    scope = aml_scope(a, "\\_SB");
    pci_bridge(a, b);
    if (b->hpet) {
        dev = aml_device(a, "HPET");
        aml_name(a, "_HID");
        aml_eisaid(a, "PNP0103");
        aml_name(a, "_UID");
        aml_int(a, 0);
        crs = aml_crs(a);
        aml_res_memory(a, b->hpet, 1024);
        aml_crs_end(a, crs);
        aml_close(a, dev);
    }
    dev = aml_device(a, "APIC");                /* keeps PCI BARs off interrupt controllers and the like */
    aml_name(a, "_HID");
    aml_eisaid(a, "PNP0C02");
    aml_name(a, "_UID");
    aml_int(a, 2);
    crs = aml_crs(a);
    aml_res_memory(a, b->ioapic, 4096);
    aml_res_memory(a, b->lapic, 1 << 20);
    if (b->mmconfig)
        aml_res_memory(a, b->mmconfig, MMCONFIG_LEN);
    aml_crs_end(a, crs);
    aml_close(a, dev);
    aml_close(a, scope);
}

/* ---- fixed tables ---- */

/* Generic address structure (5.2.3.2). */
static void gas_io(struct aml *a, uint16_t port, unsigned bits)
{
    aml_byte(a, port ? 1 : 0);                  /* system I/O */
    aml_byte(a, bits);
    aml_byte(a, 0);
    aml_byte(a, bits == 32 ? 3 : bits == 16 ? 2 : bits == 8 ? 1 : 0);
    aml_le(a, port, 8);
}

/* FADT, revision 3 (ACPI 2.0 form, 244 bytes). */
static void fadt(struct aml *a, struct acpi_fixes *f, const struct acpi_board *b, uint32_t facs,
                 uint32_t dsdt_pa)
{
    pointer(a, f, facs, 4);
    pointer(a, f, dsdt_pa, 4);
    aml_byte(a, 0);
    aml_byte(a, 1);                             /* preferred profile: desktop */
    aml_le(a, b->sci, 2);
    aml_le(a, b->smi_cmd, 4);
    aml_byte(a, b->acpi_enable);
    aml_byte(a, b->acpi_disable);
    aml_le(a, 0, 2);                            /* S4BIOS, P-state control */
    aml_le(a, b->pm, 4);
    aml_le(a, 0, 4);
    aml_le(a, b->pm + ACPI_PM_CNT, 4);
    aml_le(a, 0, 4);
    aml_le(a, 0, 4);                            /* PM2 control */
    aml_le(a, b->pm + ACPI_PM_TMR, 4);
    aml_le(a, b->gpe, 4);                       /* GPE blocks */
    aml_le(a, 0, 4);
    aml_byte(a, 4);                             /* lengths: PM1 event, control, PM2, timer, GPEs */
    aml_byte(a, 2);
    aml_byte(a, 0);
    aml_byte(a, 4);
    aml_byte(a, b->gpe_len);
    aml_le(a, 0, 3);                            /* GPE1 length and base, _CST */
    aml_le(a, 0xffff, 2);                       /* C2, C3 latency: not supported */
    aml_le(a, 0xffff, 2);
    aml_le(a, 0, 4);                            /* flush size and stride */
    aml_le(a, 0, 2);                            /* duty cycle */
    aml_byte(a, 0);                             /* RTC day alarm, month alarm */
    aml_byte(a, 0);
    aml_byte(a, 0x32);                          /* CMOS index of the century */
    aml_le(a, b->vga ? 3 : 7, 2);               /* legacy devices, 8042, no VGA to probe */
    aml_byte(a, 0);
    /* WBINVD, C1 on all processors, fixed power button, no sleep button, RTC wake not in fixed
     * registers, 32-bit PM timer, reset register. */
    aml_le(a, 1u << 0 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 10, 4);
    gas_io(a, b->reset_port, 8);
    aml_byte(a, 6);
    aml_le(a, 0, 3);
    aml_le(a, 0, 8);                            /* X_FIRMWARE_CTRL: the 32-bit one holds */
    pointer(a, f, dsdt_pa, 8);
    gas_io(a, b->pm, 32);
    gas_io(a, 0, 0);
    gas_io(a, b->pm + ACPI_PM_CNT, 16);
    gas_io(a, 0, 0);
    gas_io(a, 0, 0);
    gas_io(a, b->pm + ACPI_PM_TMR, 32);
    gas_io(a, b->gpe, 8 * b->gpe_len);
    gas_io(a, 0, 0);
}

/* Interrupt source override (5.2.12.5). */
static void override(struct aml *a, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    aml_byte(a, 2);
    aml_byte(a, 10);
    aml_byte(a, 0);
    aml_byte(a, irq);
    aml_le(a, gsi, 4);
    aml_le(a, flags, 2);
}

static void madt(struct aml *a, const struct acpi_board *b)
{
    aml_le(a, b->lapic, 4);
    aml_le(a, 1, 4);                            /* a pair of 8259s is there too */
    for (unsigned i = 0; i < b->ncpu; i++) {
        if (i < 255) {                          /* processor local APIC */
            aml_byte(a, 0);
            aml_byte(a, 8);
            aml_byte(a, i);
            aml_byte(a, i);
            aml_le(a, 1, 4);
        } else {                                /* processor local x2APIC */
            aml_byte(a, 9);
            aml_byte(a, 16);
            aml_le(a, 0, 2);
            aml_le(a, i, 4);
            aml_le(a, 1, 4);
            aml_le(a, i, 4);
        }
    }
    aml_byte(a, 1);                             /* I/O APIC */
    aml_byte(a, 12);
    aml_byte(a, b->ioapic_id);
    aml_byte(a, 0);
    aml_le(a, b->ioapic, 4);
    aml_le(a, 0, 4);
    override(a, 0, 2, 0);                       /* the PIT is on input 2 */
    override(a, b->sci, b->sci, 0x000d);        /* active high, level */
    for (unsigned irq = 0; b->links && irq < 16; irq++)
        if (ACPI_LINK_IRQS >> irq & 1)
            override(a, irq, irq, 0x000d);
    aml_byte(a, 4);                             /* NMI on every LINT1 */
    aml_byte(a, 6);
    aml_byte(a, 0xff);
    aml_le(a, 0, 2);
    aml_byte(a, 1);
    if (b->ncpu > 255) {                        /* the same for x2APICs */
        aml_byte(a, 10);
        aml_byte(a, 12);
        aml_le(a, 0, 2);
        aml_le(a, 0xffffffffu, 4);
        aml_byte(a, 1);
        aml_le(a, 0, 3);
    }
}

static void hpet(struct aml *a, const struct acpi_board *b)
{
    aml_le(a, 0x8086a201, 4);                   /* as in the capability register's low half */
    aml_byte(a, 0);                             /* system memory */
    aml_byte(a, 64);
    aml_byte(a, 0);
    aml_byte(a, 0);
    aml_le(a, b->hpet, 8);
    aml_byte(a, 0);
    aml_le(a, 1000, 2);                         /* minimum clock tick in periodic mode: 10 us */
    aml_byte(a, 0);
}

static void mcfg(struct aml *a, const struct acpi_board *b)
{
    aml_le(a, 0, 8);
    aml_le(a, b->mmconfig, 8);
    aml_le(a, 0, 2);                            /* segment */
    aml_byte(a, 0);                             /* buses, the first and the last */
    aml_byte(a, 0xff);
    aml_le(a, 0, 4);
}

uint8_t *acpi_tables(const struct acpi_board *b, uint32_t pa, size_t *len, struct acpi_fixes *fixes)
{
    struct aml a = { 0 };
    struct acpi_fixes f = { .npointer = 0 };
    uint32_t list[4];
    unsigned n = 0;
    size_t at, facs, dsdt_at, rsdt, xsdt;

    /* RSDP (5.2.5.3), filled in last. */
    aml_bytes(&a, "RSD PTR ", 8);
    aml_byte(&a, 0);
    aml_bytes(&a, "LATMR ", 6);
    aml_byte(&a, 2);
    aml_le(&a, 0, 4);
    aml_le(&a, 36, 4);
    aml_le(&a, 0, 12);

    while (a.len & 63)
        aml_byte(&a, 0);
    facs = a.len;                               /* FACS (5.2.10): 64 bytes, no checksum */
    aml_bytes(&a, "FACS", 4);
    aml_le(&a, 64, 4);
    for (unsigned i = 8; i < 64; i++)
        aml_byte(&a, i == 32 ? 1 : 0);          /* version */

    dsdt_at = table(&a, "DSDT", 2);
    dsdt(&a, b);
    table_end(&a, &f, dsdt_at);

    list[n++] = at = table(&a, "FACP", 3);
    fadt(&a, &f, b, pa + facs, pa + dsdt_at);
    table_end(&a, &f, at);
    assert(a.len - at == 244);

    list[n++] = at = table(&a, "APIC", 3);
    madt(&a, b);
    table_end(&a, &f, at);

    if (b->hpet) {
        list[n++] = at = table(&a, "HPET", 1);
        hpet(&a, b);
        table_end(&a, &f, at);
    }

    if (b->mmconfig) {
        list[n++] = at = table(&a, "MCFG", 1);
        mcfg(&a, b);
        table_end(&a, &f, at);
    }

    rsdt = table(&a, "RSDT", 1);
    for (unsigned i = 0; i < n; i++)
        pointer(&a, &f, pa + list[i], 4);
    table_end(&a, &f, rsdt);
    xsdt = table(&a, "XSDT", 1);
    for (unsigned i = 0; i < n; i++)
        pointer(&a, &f, pa + list[i], 8);
    table_end(&a, &f, xsdt);

    put32(&a, 16, pa + rsdt);
    put32(&a, 24, pa + xsdt);
    points(&f, 16, 4);
    points(&f, 24, 8);
    sum(&a, &f, 0, 20, 8);
    sum(&a, &f, 0, 36, 32);
    if (fixes)
        *fixes = f;
    *len = a.len;
    return a.buf;
}
