/*
 * piix4.c - Intel 82371AB (PIIX4) function 3: power management (data sheet 290562, chapter 7).
 *
 * The ACPI registers at the front of the PM block are acpi.c's; GPE, global and device registers are here and
 * remember what software writes; of what would set their status bits only the APM port is there.
 * A write to the APM command port is an SMI if DEVACTB's APMC_EN says so. Firmware does not look at
 * GLBCTL's SMI_EN nor set EOS, so these hold no SMI back. The commands that turn ACPI on and off are done
 * at once, as the SMI handler of a firmware would: kernels that are loaded directly have none.
 * The SMBus has no slaves: each transaction ends at once with a device error.
 */
#include "hw/piix4.h"

#include "base/log.h"

#define PMBASE    0x40
#define DEVACTB   0x58
#define PMREGMISC 0x80
#define SMBBA     0x90
#define SMBHSTCFG 0xd2
#define APMC_EN   (1u << 25)

#define REGS_AT   PIIX4_GPE     /* of the PM block: what acpi.c does not have */
#define REGS      (PIIX4_PM_LEN - REGS_AT)
#define GLBSTS    0x18
#define APM_STS   (1u << 5)

#define SMB_LEN   14
#define SMB_STS   0
#define SMB_CNT   2
#define SMB_START 0x40u
#define SMB_DEV_ERR 0x04u
#define SMB_STS_CLEAR 0x1eu

struct piix4 {
    struct pci_dev *pci;
    struct ports *ports;
    struct acpi *acpi;
    struct irq smi;
    uint16_t pm_at, smb_at;     /* where they are, 0: nowhere */
    uint8_t reg[REGS];
    uint8_t apm[2];
    uint8_t smb[SMB_LEN];
};

static const struct field piix4_state[] = {
    FIELD_ARRAY(struct piix4, reg), FIELD_ARRAY(struct piix4, apm), FIELD_ARRAY(struct piix4, smb), FIELD_END
};

/* ---- GPE, global and device registers ---- */

static const struct { uint8_t off, len; bool status; } kinds[] = {
    { 0x0c, 2, true },          /* GPSTS: writing 1 clears */
    { 0x0e, 2, false },         /* GPEN */
    { 0x10, 4, false },         /* PCNTRL */
    { GLBSTS, 2, true },
    { 0x1c, 4, true },          /* DEVSTS */
    { 0x20, 2, false },         /* GLBEN */
    { 0x28, 4, false },         /* GLBCTL */
    { 0x2c, 4, false },         /* DEVCTL */
    { 0x34, 4, false },         /* GPOREG */
};

static uint64_t reg_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct piix4 *)dev)->reg[off];
}

static void reg_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix4 *s = dev;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (off + REGS_AT - kinds[i].off < kinds[i].len)
            s->reg[off] = kinds[i].status ? s->reg[off] & ~val : val;
}

/* ---- APM ---- */

static uint64_t apm_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct piix4 *)dev)->apm[off];
}

static void apm_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix4 *s = dev;

    s->apm[off] = val;
    if (off)
        return;
    if (val == APM_ACPI_ENABLE || val == APM_ACPI_DISABLE)
        acpi_enable(s->acpi, val == APM_ACPI_ENABLE);
    if (!(pci_config(s->pci, DEVACTB, 4) & APMC_EN))
        return;
    s->reg[GLBSTS - REGS_AT] |= APM_STS;
    irq_set(&s->smi, true);
}

/* ---- SMBus ---- */

static uint64_t smb_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct piix4 *)dev)->smb[off];
}

static void smb_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct piix4 *s = dev;

    if (off == SMB_STS) {
        s->smb[off] &= ~(val & SMB_STS_CLEAR);
        return;
    }
    s->smb[off] = off == SMB_CNT ? val & ~SMB_START : val;
    if (off == SMB_CNT && (val & SMB_START))
        s->smb[SMB_STS] |= SMB_DEV_ERR;
}

static const struct io_ops reg_ops = { reg_read, reg_write, 1, LOG_DEV_ACPI };
static const struct io_ops apm_ops = { apm_read, apm_write, 1, LOG_DEV_ACPI };
static const struct io_ops smb_ops = { smb_read, smb_write, 1, LOG_DEV_SMBUS };

/* ---- configuration space ---- */

static bool free_ports(struct piix4 *s, uint16_t base, unsigned len, const char *what)
{
    if (base && !ports_taken(s->ports, base, len))
        return true;
    if (base)
        log_msg(LOG_GUEST, "piix4: %s at %#x overlap others' ports", what, base);
    return false;
}

static void pm_move(struct piix4 *s)
{
    uint16_t base = pci_config(s->pci, PMBASE, 2) & 0xffc0;

    if (!(pci_config(s->pci, PMREGMISC, 1) & 1))
        base = 0;
    if (base == s->pm_at)
        return;
    acpi_move(s->acpi, 0);
    if (s->pm_at)
        ports_unmap(s->ports, s->pm_at + REGS_AT, REGS);
    s->pm_at = 0;
    if (!free_ports(s, base, PIIX4_PM_LEN, "power management registers"))
        return;
    s->pm_at = base;
    acpi_move(s->acpi, base);
    ports_map(s->ports, base + REGS_AT, REGS, &reg_ops, s, "piix4-pm");
}

static void smb_move(struct piix4 *s)
{
    uint16_t base = pci_config(s->pci, SMBBA, 2) & 0xfff0;

    if (!(pci_config(s->pci, SMBHSTCFG, 1) & 1))
        base = 0;
    if (base == s->smb_at)
        return;
    if (s->smb_at)
        ports_unmap(s->ports, s->smb_at, SMB_LEN);
    s->smb_at = 0;
    if (!free_ports(s, base, SMB_LEN, "SMBus registers"))
        return;
    s->smb_at = base;
    ports_map(s->ports, base, SMB_LEN, &smb_ops, s, "piix4-smbus");
}

static void written(void *dev, unsigned off, unsigned size)
{
    pm_move(dev);
    smb_move(dev);
}

void piix4_place(struct piix4 *s, uint16_t base)
{
    pci_config_set(s->pci, PMBASE, 2, base | 1);
    pci_config_set(s->pci, PMREGMISC, 1, 1);
    pm_move(s);
}

void piix4_power_button(struct piix4 *s)
{
    acpi_power_button(s->acpi);
}

static void piix4_reset(void *dev)
{
    struct piix4 *s = dev;

    for (unsigned i = 0; i < REGS; i++)
        s->reg[i] = 0;
    for (unsigned i = 0; i < SMB_LEN; i++)
        s->smb[i] = 0;
    s->apm[0] = s->apm[1] = 0;
    written(s, 0, 0);
}

static void piix4_loaded(void *dev)
{
    written(dev, 0, 0);
}

static const struct chip piix4_chip = {
    "piix4-pm", sizeof(struct piix4), piix4_reset, piix4_state, piix4_loaded
};

struct piix4 *piix4_new(struct chip_list *chips, struct pci_bus *bus, struct ports *ports,
                        struct clock *clock, unsigned slot, const struct piix4_lines *lines)
{
    static const struct pci_ident id = { .vendor = 0x8086, .device = 0x7113, .class = 0x068000, .revision = 3,
                                         .subvendor = 0x1af4, .subdevice = 0x1100, .pin = 1 };
    static const struct acpi_model model = { .s5_type = PIIX4_S5_TYPE, .legacy = true };
    struct pci_dev *pci = pci_add(bus, "power-management", slot, 3, &id);
    struct piix4 *s;

    pci_config_init(pci, PMBASE, 4, 1, 0xffc0);
    for (unsigned at = 0x44; at < 0x80; at += 4)        /* timers, traps, activity: what devices do not use */
        pci_config_init(pci, at, 4, 0, 0xffffffff);
    pci_config_init(pci, PMREGMISC, 1, 0, 1);
    pci_config_init(pci, SMBBA, 4, 1, 0xfff0);
    pci_config_init(pci, SMBHSTCFG, 1, 0, 0x0f);
    pci_config_init(pci, SMBHSTCFG + 1, 3, 0, 0xffffff);        /* slave command and shadow addresses */
    s = chip_new(chips, &piix4_chip, "piix4-pm");
    s->pci = pci;
    s->ports = ports;
    s->smi = lines->smi;
    s->acpi = acpi_new(chips, &model, ports, 0, clock, lines->sci, lines->off, lines->arg);
    pci_on_config(pci, written, s);
    ports_map(ports, APM_PORT, 2, &apm_ops, s, "apm");
    return s;
}
