/*
 * ahci.c - the SATA controller of the 82801I (ICH9) in AHCI mode (data sheet 316972, chapter 14; Serial ATA AHCI 1.3.1):
 * registers, ports, interrupts.
 *
 * Six ports with 32 command slots, queued commands, 64-bit addresses.  Not told, and not there: port multipliers,
 * command completion coalescing, power management of links, enclosures, hand-off from a BIOS.  The registers are memory
 * at BAR 5, and behind an index and data pair at BAR 4.
 * Invariants: a port's bit of IS is set at least while it has an interrupt that is enabled; INTx is high exactly while
 * there is such a bit, GHC.IE is set and MSI is off; a port without device has no link.
 */
#include "hw/ide/ahci_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/plug.h"

#define BAR_LEN   0x800u
#define PAIR_LEN  32u
#define PAIR      0x10u         /* in BAR 4: index, then data */
#define CAP_SATA  0x12
#define MAP       0x90          /* configuration space: mode, ports */
#define MODE_AHCI 0x40u
#define PCS       0x92

enum { R_CAP = 0x00, R_GHC = 0x04, R_IS = 0x08, R_PI = 0x0c, R_VS = 0x10, R_PORTS = 0x100 };
#define VERSION 0x00010200u
enum {
    CAP_SSS = 1u << 27,
    /* 64-bit addresses, queued commands, CLO; AHCI alone; 3 Gbit/s; slots and ports less one */
    CAP_FIXED = 1u << 31 | 1u << 30 | 1u << 24 | 1u << 18 | 2u << 20 | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1)
};
enum { GHC_HR = 1u << 0, GHC_IE = 1u << 1, GHC_AE = 1u << 31 };

enum { P_CLB = 0x00, P_CLBU = 0x04, P_FB = 0x08, P_FBU = 0x0c, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18, P_TFD = 0x20,
       P_SIG = 0x24, P_SSTS = 0x28, P_SCTL = 0x2c, P_SERR = 0x30, P_SACT = 0x34, P_CI = 0x38, P_LEN = 0x80 };

#define IE_BITS    0x7dc000ffu
#define IS_MIRRORS (IS_PC | IS_PRC | IS_UF)     /* of PxSERR.DIAG */
#define CMD_BITS   (CMD_ST | CMD_FRE | CMD_ATAPI | CMD_DLAE)
#define SERR_N     (1u << 16)   /* PhyRdy has changed */
#define SERR_X     (1u << 26)   /* a device has come */
#define SCTL_BITS  0xfffu
enum { DET_NONE = 0, DET_UP = 3, DET_OFF = 4 };

/* ---- interrupts ---- */

static void update_irq(struct ahci *s, bool acknowledged)
{
    bool enabled = s->ghc & GHC_IE, msi = pci_msi_on(s->pci);
    uint8_t level;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (s->port[n].is & s->port[n].ie)
            s->is |= 1u << n;
    /* 10.6.2.1: one message for each port's bit that comes, and one when some are left after others were taken. */
    if (msi && enabled && s->is && (acknowledged || (s->is & ~s->told)))
        pci_msi_send(s->pci, 0);
    s->told = enabled ? s->is : 0;
    level = enabled && s->is && !msi;
    if (level == s->level)
        return;
    s->level = level;
    pci_irq(s->pci, level);
}

void ahci_port_event(struct ahci_port *p, uint32_t is)
{
    p->is |= is;
    update_irq(p->s, false);
}

static void set_serr(struct ahci_port *p, uint32_t serr)
{
    p->serr = serr;
    p->is &= ~(uint32_t)(IS_PC | IS_PRC);
    if (serr & SERR_X)
        p->is |= IS_PC;
    if (serr & SERR_N)
        p->is |= IS_PRC;
    update_irq(p->s, false);
}

/* ---- the link ---- */

static void link_down(struct ahci_port *p, unsigned det)
{
    bool was_up = p->up;

    ahci_port_stop(p);
    p->up = p->greeting = 0;
    p->ssts = det;
    p->tfd = 0x7f;
    p->sig = 0xffffffff;
    if (was_up)
        set_serr(p, p->serr | SERR_N);
}

/* With a device there. COMRESET, COMINIT, speed; then the device's signature. */
static void link_up(struct ahci_port *p)
{
    unsigned limit = p->sctl >> 4 & 15;

    if (!p->bus.ata[0])
        return;
    ata_hard_reset(p->bus.ata[0]);
    p->up = 1;
    p->ssts = 0x100 | (limit == 1 ? 1 : 2) << 4 | DET_UP;
    set_serr(p, p->serr | SERR_X | SERR_N);
    ahci_port_greet(p);
}

/* Nothing keeps the link from coming up. */
static bool may_be_up(const struct ahci_port *p)
{
    return (p->cmd & CMD_SUD) && !(p->sctl & 15);
}

static void write_sctl(struct ahci_port *p, uint32_t val)
{
    unsigned old = p->sctl & 15, det = val & 15;

    p->sctl = val & SCTL_BITS;
    if (old == det)
        return;
    if (p->cmd & CMD_ST)
        log_msg(LOG_GUEST, "ahci: port %u is reset while it is running", p->n);
    if (det == 1)
        link_down(p, DET_NONE);
    else if (det == 4)
        link_down(p, DET_OFF);
    else if (!p->up && may_be_up(p))
        link_up(p);
}

static void port_reset(struct ahci_port *p)
{
    ahci_port_stop(p);
    p->is = p->ie = p->serr = p->sctl = 0;
    p->cmd = CMD_POD | (p->s->cap & CAP_SSS ? 0 : CMD_SUD);
    p->moved = 0;
    p->pio_in = p->starved = 0;
    memset(p->slot, 0, sizeof(p->slot));
    p->up = 0;
    link_down(p, DET_NONE);
    if (may_be_up(p))
        link_up(p);
}

/* ---- a port's registers ---- */

static void write_cmd(struct ahci_port *p, uint32_t val)
{
    uint32_t old = p->cmd, bits = CMD_BITS | (p->s->cap & CAP_SSS ? (uint32_t)CMD_SUD : 0);

    p->cmd = (old & ~bits) | (val & bits);
    p->cmd = (p->cmd & ~(uint32_t)(CMD_CR | CMD_FR)) | (p->cmd & CMD_ST ? CMD_CR : 0) | (p->cmd & CMD_FRE ? CMD_FR : 0);
    if ((old & ~p->cmd) & CMD_ST)
        ahci_port_stop(p);
    if ((old & ~p->cmd) & CMD_FRE && (p->cmd & CMD_ST))
        log_msg(LOG_GUEST, "ahci: port %u: FRE is cleared while commands are run", p->n);
    if ((old & ~p->cmd) & CMD_SUD)
        link_down(p, DET_NONE);
    if ((p->cmd & ~old) & CMD_SUD && may_be_up(p))
        link_up(p);
    if ((p->cmd & ~old) & CMD_FRE)
        ahci_port_receives(p);
    if (val & CMD_CLO)
        p->tfd &= ~(uint32_t)(TFD_BSY | TFD_DRQ);
    ahci_port_go(p);
}

static uint32_t port_read(const struct ahci_port *p, unsigned reg)
{
    switch (reg) {
    case P_CLB: return (uint32_t)p->clb;
    case P_CLBU: return p->clb >> 32;
    case P_FB: return (uint32_t)p->fb;
    case P_FBU: return p->fb >> 32;
    case P_IS: return p->is;
    case P_IE: return p->ie;
    case P_CMD: return p->cmd;
    case P_TFD: return p->tfd;
    case P_SIG: return p->sig;
    case P_SSTS: return p->ssts;
    case P_SCTL: return p->sctl;
    case P_SERR: return p->serr;
    case P_SACT: return p->sact;
    case P_CI: return p->ci;
    default: return 0;          /* reserved, and those of what is not told */
    }
}

/* Bits outside `mask` are not written: 0 in val. */
static void port_write(struct ahci_port *p, unsigned reg, uint32_t val, uint32_t mask)
{
    uint32_t kept = port_read(p, reg) & ~mask;

    switch (reg) {
    case P_CLB: p->clb = (p->clb & ~0xffffffffull) | ((kept | val) & ~0x3ffu); break;
    case P_CLBU: p->clb = (p->clb & 0xffffffff) | (uint64_t)(kept | val) << 32; break;
    case P_FB: p->fb = (p->fb & ~0xffffffffull) | ((kept | val) & ~0xffu); break;
    case P_FBU: p->fb = (p->fb & 0xffffffff) | (uint64_t)(kept | val) << 32; break;
    case P_IS:
        p->is &= ~(val & ~(uint32_t)IS_MIRRORS);
        break;
    case P_IE:
        p->ie = (kept | val) & IE_BITS;
        update_irq(p->s, false);
        break;
    case P_CMD: write_cmd(p, kept | val); break;
    case P_SCTL: write_sctl(p, kept | val); break;
    case P_SERR: set_serr(p, p->serr & ~val); break;
    case P_SACT:
        if (p->cmd & CMD_ST)
            p->sact |= val;
        break;
    case P_CI:
        if (p->cmd & CMD_ST)
            p->ci |= val;
        ahci_port_go(p);
        break;
    default:
        break;
    }
}

/* ---- the controller's registers ---- */

static void hba_reset(struct ahci *s)
{
    s->ghc = GHC_AE;
    s->is = s->told = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        port_reset(&s->port[n]);
    update_irq(s, false);
}

static uint32_t hba_read(const struct ahci *s, unsigned off)
{
    switch (off) {
    case R_CAP: return s->cap;
    case R_GHC: return s->ghc;
    case R_IS: return s->is;
    case R_PI: return (1u << AHCI_PORTS) - 1;
    case R_VS: return VERSION;
    default:
        if (off < R_PORTS || off >= R_PORTS + AHCI_PORTS * P_LEN)
            return 0;
        return port_read(&s->port[(off - R_PORTS) / P_LEN], off % P_LEN);
    }
}

static void hba_write(struct ahci *s, unsigned off, uint32_t val, uint32_t mask)
{
    uint32_t kept;

    switch (off) {
    case R_GHC:
        kept = s->ghc & ~mask;
        s->ghc = GHC_AE | ((kept | val) & GHC_IE);
        if (val & GHC_HR)
            hba_reset(s);
        update_irq(s, false);
        break;
    case R_IS:
        s->is &= ~val;
        s->told &= ~val;
        update_irq(s, true);
        break;
    default:
        if (off >= R_PORTS && off < R_PORTS + AHCI_PORTS * P_LEN)
            port_write(&s->port[(off - R_PORTS) / P_LEN], off % P_LEN, val, mask);
        break;
    }
}

static uint64_t mem_read(void *dev, uint64_t off, unsigned size)
{
    unsigned shift = 8 * (off & 3);

    return (uint64_t)hba_read(dev, off & ~3u) >> shift;
}

static void mem_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    unsigned shift = 8 * (off & 3);
    uint32_t mask = (size < 4 ? (1u << 8 * size) - 1 : 0xffffffffu) << shift;

    hba_write(dev, off & ~3u, (uint32_t)val << shift & mask, mask);
}

static const struct io_ops mem_ops = { mem_read, mem_write, 1 | 2 | 4, LOG_DEV_AHCI };

/* BAR 4; what lies before the pair are registers of the IDE mode. */
static uint64_t pair_read(void *dev, uint64_t off, unsigned size)
{
    const struct ahci *s = dev;

    return off == PAIR ? s->index : off == PAIR + 4 ? hba_read(s, s->index) : 0;
}

static void pair_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct ahci *s = dev;

    if (off == PAIR)
        s->index = val & (BAR_LEN - 4);
    else if (off == PAIR + 4)
        hba_write(s, s->index, (uint32_t)val, 0xffffffffu);
}

static const struct io_ops pair_ops = { pair_read, pair_write, 4, LOG_DEV_AHCI };

/* The guest may have switched MSI on or off. */
static void config_written(void *dev, unsigned off, unsigned size)
{
    update_irq(dev, false);
}

/* ---- the chip ---- */

#define S(member) FIELD(struct ahci, member)
#define P(n, member) P_MAX(n, member, 0)
#define P_MAX(n, member, max)                                                                               \
    { "port" #n " " #member, offsetof(struct ahci, port[n].member), sizeof(((struct ahci *)0)->port[n].member), 1, max }
#define SLOT(n, m, member)                                                                                  \
    { "port" #n " slot" #m " " #member, offsetof(struct ahci, port[n].slot[m].member),                      \
      sizeof(((struct ahci *)0)->port[n].slot[m].member), 1 }
#define SLOT_FIELDS(n, m)                                                                                   \
    SLOT(n, m, table), SLOT(n, m, entries), SLOT(n, m, write), SLOT(n, m, tells), SLOT(n, m, at.entry),     \
    SLOT(n, m, at.off), SLOT(n, m, at.pos)
#define SLOT_FIELDS8(n, m)                                                                                  \
    SLOT_FIELDS(n, m), SLOT_FIELDS(n, m + 1), SLOT_FIELDS(n, m + 2), SLOT_FIELDS(n, m + 3),                 \
    SLOT_FIELDS(n, m + 4), SLOT_FIELDS(n, m + 5), SLOT_FIELDS(n, m + 6), SLOT_FIELDS(n, m + 7)
#define PORT_FIELDS(n)                                                                                      \
    P(n, clb), P(n, fb), P(n, is), P(n, ie), P(n, cmd), P(n, tfd), P(n, sig), P(n, ssts), P(n, sctl),       \
    P(n, serr), P(n, sact), P(n, ci), P_MAX(n, current, AHCI_SLOTS), P_MAX(n, next, AHCI_SLOTS - 1),             \
    P(n, moved), P(n, halted), P(n, up), P(n, greeting), P(n, pio_in), P(n, starved), SLOT_FIELDS8(n, 0),   \
    SLOT_FIELDS8(n, 8), SLOT_FIELDS8(n, 16), SLOT_FIELDS8(n, 24)

static const struct field ahci_state[] = {
    S(ghc), S(is), FIELD_MAX(struct ahci, index, BAR_LEN - 4), S(level), S(told), PORT_FIELDS(0), PORT_FIELDS(1),
    PORT_FIELDS(2), PORT_FIELDS(3), PORT_FIELDS(4), PORT_FIELDS(5), FIELD_END
};

static void ahci_reset(void *dev)
{
    struct ahci *s = dev;

    s->index = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        s->port[n].clb = s->port[n].fb = 0;
    hba_reset(s);
}

static const char *ahci_check(const void *dev)
{
    const struct ahci *s = dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (s->port[n].up && !s->port[n].bus.ata[0])
            return "up is set of a port without a device";
    return s->index % 4 ? "index is no register's" : NULL;
}

static void ahci_loaded(void *dev)
{
    struct ahci *s = dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];

        p->given.n = 0;
        for (unsigned tag = 0; tag < AHCI_SLOTS; tag++)
            if (p->queue[tag])
                p->queue[tag]->n = 0;
    }
    pci_irq(s->pci, s->level);
}

static void ahci_free(void *dev)
{
    struct ahci *s = dev;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        for (unsigned tag = 0; tag < AHCI_SLOTS; tag++)
            free(s->port[n].queue[tag]);
}

static const struct chip ahci_chip = {
    "ahci", sizeof(struct ahci), ahci_reset, ahci_state, ahci_loaded, ahci_free, .check = ahci_check
};

/* While the machine is wired: the link is up when it starts. */
static void attached(struct ide_bus *b, unsigned unit)
{
    struct ahci_port *p = b->host.to;

    pci_config_set(p->s->pci, PCS, 2, pci_config(p->s->pci, PCS, 2) | 0x100u << p->n);
    port_reset(p);
}

struct ide_bus *ahci_bus(struct ahci *s, unsigned n)
{
    return &s->port[n].bus;
}

struct ahci *ahci_new(struct chip_list *chips, struct pci_bus *bus, const char *name, unsigned slot, unsigned fn,
                      unsigned pin, bool staggered)
{
    struct pci_ident id = { .vendor = 0x8086, .device = 0x2922, .class = 0x010601, .revision = 2,
                            .subvendor = 0x1af4, .subdevice = 0x1100, .pin = (uint8_t)pin };
    struct pci_dev *pci = pci_add(bus, name, slot, fn, &id);
    struct ahci *s = chip_new(chips, &ahci_chip, name);
    unsigned cap;

    s->pci = pci;
    s->cap = CAP_FIXED | (staggered ? (uint32_t)CAP_SSS : 0);
    pci_config_init(pci, MAP, 1, MODE_AHCI, 0);
    pci_config_init(pci, PCS, 2, (1u << AHCI_PORTS) - 1, (1u << AHCI_PORTS) - 1);
    pci_bar(pci, 4, PAIR_LEN, PCI_BAR_IO, &pair_ops, s);
    pci_bar(pci, 5, BAR_LEN, 0, &mem_ops, s);
    pci_msi_init(pci, 1);
    cap = pci_add_cap(pci, CAP_SATA, 8);
    pci_config_init(pci, cap + 2, 2, 0x10, 0);
    pci_config_init(pci, cap + 4, 4, (PAIR / 4) << 4 | 8, 0);      /* 8: BAR 4 */
    pci_on_config(pci, config_written, s);
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];

        p->s = s;
        p->n = n;
        p->current = AHCI_SLOTS;
        p->bus.units = 1;
        p->bus.number = (slot << 3 | fn) * 32 + n + 1;
        p->bus.attached = attached;
        ahci_port_host(p, &p->bus.host);
        ide_bus_path(&p->bus, pci, "pci8086,2922", n);
    }
    ahci_reset(s);
    return s;
}

/* ---- -device ---- */

/* "ID.0" and so on; without an id the first names "ide.N" that are free. */
void ahci_add_buses(struct plug_env *env, struct ahci *s, const char *id)
{
    unsigned first = 0;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        struct ahci_port *p = &s->port[n];

        do
            snprintf(p->bus_name, sizeof(p->bus_name), "%s.%u", id ? id : "ide", id ? n : first++);
        while (!id && plug_bus_find(env, p->bus_name));
        plug_bus_add(env, "IDE", p->bus_name, &p->bus);
    }
}

struct props {
    struct plug_common common;
    bool staggered;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct props *p = props;
    struct ahci *s = ahci_new(env->m->chips, env->pci, p->common.name, p->common.slot, p->common.fn, 1, p->staggered);

    ahci_add_buses(env, s, p->common.id);
}

static const struct prop props_table[] = {
    { "staggered", PROP_BOOL, offsetof(struct props, staggered), 0, 0, "disks spin up when the guest tells them to" },
    PROP_END
};

const struct plug ahci_plug = { "ahci", "SATA controller (AHCI) of the ICH9, six ports", "PCI", sizeof(struct props),
                                NULL, props_table, make };
const struct plug ich9_ahci_plug = { "ich9-ahci", "the same", "PCI", sizeof(struct props), NULL, props_table, make };
