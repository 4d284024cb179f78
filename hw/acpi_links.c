/*
 * acpi_links.c - PCI interrupt link devices over PIRQ routing registers of PIIX and ICH (ACPI 6.4, 6.2.13).
 *
 * Register n (60h + n of the ISA bridge, from the fifth on 68h) holds the ISA interrupt of PIRQ n, bit 7 set:
 * none. What a link
 * is set to is a global interrupt as well: the board wires ISA interrupts to both kinds of controller.
 */
#include <stdio.h>

#include "hw/acpi.h"
#include "hw/aml.h"

#define PIRQ_A 0x60
#define PIRQ_E 0x68
#define OFF 0x80
#define GSI 16                  /* that PIRQ A is on, where there are eight */

static const char *const regs[] = { "PRQA", "PRQB", "PRQC", "PRQD", "PRQE", "PRQF", "PRQG", "PRQH" };
static const char *const links[] = { "LNKA", "LNKB", "LNKC", "LNKD", "LNKE", "LNKF", "LNKG", "LNKH" };

/* Return (value) */
static void returns(struct aml *a, unsigned value)
{
    aml_byte(a, AML_RETURN);
    aml_int(a, value);
}

/* CreateDWordField (<resources, whose name follows>, AML_GSI_AT, GSI) ends with this. */
static void gsi_field(struct aml *a)
{
    aml_int(a, AML_GSI_AT);
    aml_path(a, "GSI_");
}

static void link_device(struct aml *a, unsigned n)
{
    static const uint8_t none = 0;
    uint8_t irqs[16];
    char reg[16];
    unsigned count = 0;
    size_t dev = aml_device(a, links[n]), m, cond, res;

    snprintf(reg, sizeof(reg), "^^ISA_.%s", regs[n]);
    for (unsigned i = 0; i < 16; i++)
        if (ACPI_LINK_IRQS >> i & 1)
            irqs[count++] = i;
    aml_name(a, "_HID");
    aml_eisaid(a, "PNP0C0F");
    aml_name(a, "_UID");
    aml_int(a, n);
    res = aml_resources(a, "_PRS");
    aml_res_gsi(a, irqs, count);
    aml_crs_end(a, res);

    m = aml_method(a, "_STA", 0);               /* If (reg < 80h) Return (enabled) Return (disabled) */
    cond = aml_if(a);
    aml_byte(a, AML_LESS);
    aml_path(a, reg);
    aml_int(a, OFF);
    returns(a, 11);
    aml_close(a, cond);
    returns(a, 9);
    aml_close(a, m);

    m = aml_method(a, "_DIS", 0);               /* reg |= 80h */
    aml_byte(a, AML_OR);
    aml_path(a, reg);
    aml_int(a, OFF);
    aml_path(a, reg);
    aml_close(a, m);

    res = aml_resources(a, "BUF_");
    aml_res_gsi(a, &none, 1);
    aml_crs_end(a, res);
    m = aml_method(a, "_CRS", 0);               /* BUF.GSI = reg & 0fh; Return (BUF) */
    aml_byte(a, AML_DWORD_FIELD);
    aml_path(a, "BUF_");
    gsi_field(a);
    aml_byte(a, AML_AND);
    aml_path(a, reg);
    aml_int(a, 15);
    aml_path(a, "GSI_");
    aml_byte(a, AML_RETURN);
    aml_path(a, "BUF_");
    aml_close(a, m);

    m = aml_method(a, "_SRS", 1);               /* reg = Arg0.GSI */
    aml_byte(a, AML_DWORD_FIELD);
    aml_byte(a, AML_ARG0);
    gsi_field(a);
    aml_byte(a, AML_STORE);
    aml_path(a, "GSI_");
    aml_path(a, reg);
    aml_close(a, m);
    aml_close(a, dev);
}

void acpi_links(struct aml *a, const struct acpi_board *b)
{
    size_t isa = aml_device(a, "ISA_");

    aml_name(a, "_ADR");
    aml_int(a, (uint64_t)b->isa_slot << 16);
    aml_pci_region(a, "PIRQ", PIRQ_A, 4, regs);
    if (b->links > 4)
        aml_pci_region(a, "PIRR", PIRQ_E, 4, regs + 4);
    aml_close(a, isa);
    for (unsigned n = 0; n < b->links; n++)
        link_device(a, n);
}

/* Package `name`: for each pin of each slot a link or, gsi, its interrupt. */
static void routes(struct aml *a, const char *name, const struct acpi_board *b, bool gsi)
{
    size_t all, one;

    aml_name(a, name);
    all = aml_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++) {
            unsigned n = b->pirq(slot, pin);

            one = aml_package(a, 4);
            aml_int(a, (uint64_t)slot << 16 | 0xffff);
            aml_int(a, pin);
            if (gsi) {
                aml_int(a, 0);
                aml_int(a, GSI + n);
            } else {
                aml_path(a, links[n]);
                aml_int(a, 0);
            }
            aml_close(a, one);
        }
    aml_close(a, all);
}

void acpi_links_prt(struct aml *a, const struct acpi_board *b)
{
    size_t prt;

    if (b->links == 4) {
        routes(a, "_PRT", b, false);
        return;
    }
    routes(a, "RPIC", b, false);
    routes(a, "RAPC", b, true);
    prt = aml_method(a, "_PRT", 0);
    aml_return_either(a, "\\PICF", "RAPC", "RPIC");
    aml_close(a, prt);
}
