/*
 * virtio_pci.c - virtio over PCI (virtio 1.2, 4.1), and what all virtio devices do alike: status, features,
 * configuration changes, reset.
 *
 *   BAR 0   I/O: the legacy interface (4.1.4.10), unless disable-legacy=on
 *   BAR 1   MSI-X tables
 *   BAR 4   common, ISR, device and notification structures, a page each, unless disable-modern=on
 *
 * With both interfaces (transitional) the driver decides: the first status it writes through one of them
 * counts. While requests of a driver that is gone are under way, the status reads as it was (2.4.2: 0 only
 * when the reset is done) and no queue is looked at: what they still read or write is no memory that a new
 * driver has given us.
 */
#include "hw/virtio/virtio.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

#define VENDOR      0x1af4u
#define MODERN_ID   0x1040u

#define BAR_LEGACY  0u
#define BAR_MSIX    1u
#define BAR_MODERN  4u
#define PART        0x1000u             /* of BAR 4 */
enum { AT_COMMON = 0, AT_ISR = PART, AT_DEVICE = 2 * PART, AT_NOTIFY = 3 * PART, MODERN_LEN = 4 * PART };
#define NOTIFY_STEP 4u

#define CAP_VENDOR  0x09u
enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI };
#define CAP_LEN     16u
#define CAP_BAR     4u
#define CAP_OFFSET  8u
#define CAP_LENGTH  12u
#define CAP_DATA    16u                 /* CFG_PCI's window */

#define STATUS_DRIVER_OK   0x04u
#define STATUS_FEATURES_OK 0x08u
#define STATUS_NEEDS_RESET 0x40u
#define STATUS_FAILED      0x80u
#define ISR_CONFIG  2u
#define NO_VECTOR   0xffffu
#define LEGACY_PAGE 4096u

static const struct field virtio_state[] = {
    FIELD(struct virtio_dev, features), FIELD(struct virtio_dev, device_sel),
    FIELD(struct virtio_dev, driver_sel), FIELD(struct virtio_dev, config_vector),
    FIELD(struct virtio_dev, queue_sel), FIELD(struct virtio_dev, status), FIELD(struct virtio_dev, isr),
    FIELD(struct virtio_dev, config_generation), FIELD(struct virtio_dev, modern),
    FIELD(struct virtio_dev, broken), FIELD_ARRAY(struct virtio_dev, config),
    FIELD_ARRAY(struct virtio_dev, first), FIELD_END
};

/* ---- interrupts ---- */

static void update_line(struct virtio_dev *v)
{
    pci_irq(v->pci, v->isr);
}

void virtio_interrupt(struct virtio_dev *v, uint16_t vector, uint8_t isr)
{
    trace_virtio_interrupt(v->type->name, vector, isr);
    if (pci_msix_on(v->pci)) {
        if (vector != NO_VECTOR)
            pci_msi_send(v->pci, vector);
        return;
    }
    v->isr |= isr;
    update_line(v);
}

static uint8_t read_isr(struct virtio_dev *v)
{
    uint8_t isr = v->isr;

    v->isr = 0;
    update_line(v);
    return isr;
}

/* ---- status ---- */

bool virtio_live(const struct virtio_dev *v)
{
    if (v->broken || v->resetting)
        return false;
    /* Legacy drivers use rings before they say that they are there. */
    return (v->status & STATUS_DRIVER_OK) || !v->modern;
}

void virtio_broken(struct virtio_dev *v, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (v->broken)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_msg(LOG_GUEST, "%s: %s: stopped until its driver resets it", v->type->name, text);
    v->broken = 1;
    if (!virtio_has(v, VIRTIO_F_VERSION_1))
        return;
    v->status |= STATUS_NEEDS_RESET;
    if (v->status & STATUS_DRIVER_OK)
        virtio_config_changed(v);
}

static void kick_all(struct virtio_dev *v)
{
    for (unsigned n = 0; n < v->nqueues; n++)
        if (v->queue[n]->enabled && virtio_live(v))
            v->type->kick(v->dev, n);
}

static void reset(struct virtio_dev *v)
{
    if (v->held && !v->resetting)
        v->resetting = v->status | 1;
    v->generation++;
    v->features = 0;
    v->device_sel = v->driver_sel = 0;
    v->config_vector = NO_VECTOR;
    v->queue_sel = 0;
    v->status = v->broken = v->modern = 0;
    v->config_generation = 0;
    memcpy(v->config, v->first, sizeof(v->config));
    for (unsigned n = 0; n < v->nqueues; n++)
        virtq_reset(v->queue[n]);
    read_isr(v);
    if (v->type->reset)
        v->type->reset(v->dev);
}

void virtio_hold(struct virtio_dev *v)
{
    v->held++;
}

void virtio_release(struct virtio_dev *v)
{
    assert(v->held);
    if (--v->held || !v->resetting)
        return;
    v->resetting = 0;
    kick_all(v);
}

/* What a driver may not accept is not accepted. */
static uint64_t allowed(const struct virtio_dev *v, uint64_t features)
{
    if (features & ~v->offered)
        log_msg(LOG_GUEST, "%s: the driver accepts features that are not offered: %#llx", v->type->name,
                (unsigned long long)(features & ~v->offered));
    return features & v->offered;
}

static void set_status(struct virtio_dev *v, uint8_t val, bool modern)
{
    uint8_t old = v->status;

    if (!val) {
        reset(v);
        return;
    }
    if (!old)
        v->modern = modern;
    if (modern && (val & STATUS_FEATURES_OK) && !(old & STATUS_FEATURES_OK) &&
        !virtio_has(v, VIRTIO_F_VERSION_1)) {
        log_msg(LOG_GUEST, "%s: its driver does without VIRTIO_F_VERSION_1", v->type->name);
        val &= ~STATUS_FEATURES_OK;
    }
    v->status = val | (old & STATUS_NEEDS_RESET);
    log_dev(VIRTIO, "%s: status %02x, features %#llx", v->type->name, v->status,
            (unsigned long long)v->features);
    trace_virtio_status(v->type->name, v->status, v->features);
    if ((v->status & STATUS_DRIVER_OK) && !(old & STATUS_DRIVER_OK))
        kick_all(v);
}

static uint8_t get_status(const struct virtio_dev *v)
{
    return v->status ? v->status : v->resetting;
}

static void kick(struct virtio_dev *v, unsigned n)
{
    trace_virtio_queue_notify(v->type->name, n);
    if (n >= v->nqueues)
        log_msg(LOG_GUEST, "%s: there is no queue %u", v->type->name, n);
    else if (v->queue[n]->enabled && virtio_live(v))
        v->type->kick(v->dev, n);
}

static uint16_t check_vector(const struct virtio_dev *v, uint64_t n)
{
    return n < v->vectors ? n : NO_VECTOR;
}

/* ---- the device's configuration ---- */

uint64_t virtio_config_get(const struct virtio_dev *v, unsigned off, unsigned size)
{
    assert(off + size <= VIRTIO_CONFIG_MAX);
    return le_get(&v->config[off], size);
}

void virtio_config_set(struct virtio_dev *v, unsigned off, unsigned size, uint64_t val)
{
    assert(off + size <= v->type->config_len);
    le_put(&v->config[off], size, val);
    memcpy(&v->first[off], &v->config[off], size);
}

void virtio_config_writable(struct virtio_dev *v, unsigned off, unsigned size)
{
    memset(&v->writable[off], 0xff, size);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->config_generation++;
    if (v->status & STATUS_DRIVER_OK)
        virtio_interrupt(v, v->config_vector, ISR_CONFIG);
}

static uint64_t config_read(const struct virtio_dev *v, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        if (off + i < v->type->config_len)
            val |= (uint64_t)v->config[off + i] << (8 * i);
    return val;
}

static void config_write(struct virtio_dev *v, uint64_t off, uint64_t val, unsigned size)
{
    bool any = false;

    for (unsigned i = 0; i < size && off + i < v->type->config_len; i++) {
        if (!v->writable[off + i])
            continue;
        v->config[off + i] = (uint8_t)(val >> (8 * i));
        any = true;
    }
    if (!any)
        log_msg(LOG_GUEST, "%s: writes to byte %llu of the configuration", v->type->name,
                (unsigned long long)off);
    else if (v->type->config_written)
        v->type->config_written(v->dev, (unsigned)off, size);
}

/* ---- modern registers: the common structure (4.1.4.3) ---- */

enum { C_DEVICE_SEL = 0x00, C_DEVICE_FEATURES = 0x04, C_DRIVER_SEL = 0x08, C_DRIVER_FEATURES = 0x0c,
       C_CONFIG_VECTOR = 0x10, C_STATUS = 0x14, C_QUEUE_SEL = 0x16, C_QUEUE_SIZE = 0x18,
       C_QUEUE_VECTOR = 0x1a, C_QUEUE_ENABLE = 0x1c, C_QUEUE_DESC = 0x20, C_QUEUE_DRIVER = 0x28,
       C_QUEUE_DEVICE = 0x30, C_END = 0x38 };

static struct virtq *selected(struct virtio_dev *v)
{
    return v->queue_sel < v->nqueues ? v->queue[v->queue_sel] : NULL;
}

static uint64_t *address(struct virtq *q, unsigned at)
{
    return at == C_QUEUE_DESC ? &q->desc : at == C_QUEUE_DRIVER ? &q->avail : &q->used;
}

/* The dword at `at`. */
static uint32_t common_get(struct virtio_dev *v, unsigned at)
{
    const struct virtq *q = selected(v);

    switch (at) {
    case C_DEVICE_SEL: return v->device_sel;
    case C_DEVICE_FEATURES: return v->device_sel < 2 ? (uint32_t)(v->offered >> (32 * v->device_sel)) : 0;
    case C_DRIVER_SEL: return v->driver_sel;
    case C_DRIVER_FEATURES: return v->driver_sel < 2 ? (uint32_t)(v->features >> (32 * v->driver_sel)) : 0;
    case C_CONFIG_VECTOR: return v->config_vector | v->nqueues << 16;
    case C_STATUS: return get_status(v) | (uint32_t)v->config_generation << 8 | (uint32_t)v->queue_sel << 16;
    default: break;
    }
    if (!q || at >= C_END)
        return 0;               /* a queue of size 0: there is none */
    switch (at) {
    case C_QUEUE_SIZE: return q->size | (uint32_t)q->vector << 16;
    case C_QUEUE_ENABLE: return q->enabled | (uint32_t)q->n << 16;
    default: return (uint32_t)(*address((struct virtq *)q, at & ~7u) >> (8 * (at & 4)));
    }
}

static void set_feature_half(struct virtio_dev *v, uint32_t val)
{
    unsigned shift = 32 * v->driver_sel;

    if (v->status & STATUS_FEATURES_OK)
        log_msg(LOG_GUEST, "%s: features are written after they were agreed on", v->type->name);
    else if (v->driver_sel < 2)
        v->features = (v->features & ~(0xffffffffull << shift)) | allowed(v, (uint64_t)val << shift);
}

static void enable_queue(struct virtio_dev *v, struct virtq *q, uint64_t val)
{
    if (val != 1 || q->enabled)
        return;
    if (q->desc % 16 || q->avail % 2 || q->used % 4) {
        virtio_broken(v, "queue %u is not aligned", q->n);
        return;
    }
    q->enabled = 1;
    log_dev(VIRTIO, "%s: queue %u: %u entries at %#llx, %#llx, %#llx, vector %#x", v->type->name, q->n,
            q->size, (unsigned long long)q->desc, (unsigned long long)q->avail, (unsigned long long)q->used,
            q->vector);
}

static void set_queue_size(struct virtio_dev *v, struct virtq *q, uint64_t val)
{
    if (val && val <= q->max && !(val & (val - 1)) && !q->enabled)
        q->size = (uint16_t)val;
    else
        log_msg(LOG_GUEST, "%s: queue %u cannot have %llu entries", v->type->name, q->n,
                (unsigned long long)val);
}

/* A register, whole; addresses in halves. False: there is none of that size there. */
static bool common_set(struct virtio_dev *v, unsigned at, uint32_t val, unsigned size)
{
    struct virtq *q = selected(v);

    if (size == 4 && at == C_DEVICE_SEL) {
        v->device_sel = val;
    } else if (size == 4 && at == C_DRIVER_SEL) {
        v->driver_sel = val;
    } else if (size == 4 && at == C_DRIVER_FEATURES) {
        set_feature_half(v, val);
    } else if (size == 2 && at == C_CONFIG_VECTOR) {
        v->config_vector = check_vector(v, val);
    } else if (size == 1 && at == C_STATUS) {
        set_status(v, (uint8_t)val, true);
    } else if (size == 2 && at == C_QUEUE_SEL) {
        v->queue_sel = (uint16_t)val;
    } else if (!q) {
        return false;
    } else if (size == 2 && at == C_QUEUE_SIZE) {
        set_queue_size(v, q, val);
    } else if (size == 2 && at == C_QUEUE_VECTOR) {
        q->vector = check_vector(v, val);
    } else if (size == 2 && at == C_QUEUE_ENABLE) {
        enable_queue(v, q, val);
    } else if (size == 4 && at >= C_QUEUE_DESC && at < C_END) {
        uint64_t *to = address(q, at & ~7u);
        unsigned shift = 8 * (at & 4);

        if (!q->enabled)
            *to = (*to & ~(0xffffffffull << shift)) | (uint64_t)val << shift;
    } else {
        return false;
    }
    return true;
}

static uint64_t modern_read(void *dev, uint64_t off, unsigned size)
{
    struct virtio_dev *v = dev;
    unsigned at = off % PART;

    switch (off - at) {
    case AT_COMMON: return common_get(v, at & ~3u) >> (8 * (at & 3));
    case AT_ISR: return at == 0 ? read_isr(v) : 0;
    case AT_DEVICE: return config_read(v, at, size);
    default: return 0;          /* notifications are written */
    }
}

static void modern_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct virtio_dev *v = dev;
    unsigned at = off % PART;

    switch (off - at) {
    case AT_COMMON:
        if (!common_set(v, at, (uint32_t)val, size))
            log_msg(LOG_GUEST, "%s: writes %u bytes to register %#x", v->type->name, size, at);
        break;
    case AT_DEVICE:
        config_write(v, at, val, size);
        break;
    case AT_NOTIFY:
        kick(v, at / NOTIFY_STEP);
        break;
    default:
        log_msg(LOG_GUEST, "%s: writes to its ISR", v->type->name);
    }
}

static const struct io_ops modern_ops = { modern_read, modern_write, 1 | 2 | 4, LOG_DEV_VIRTIO };

/* ---- legacy registers (4.1.4.10) ---- */

enum { L_DEVICE_FEATURES = 0, L_DRIVER_FEATURES = 4, L_QUEUE_PFN = 8, L_QUEUE_SIZE = 12, L_QUEUE_SEL = 14,
       L_NOTIFY = 16, L_STATUS = 18, L_ISR = 19, L_CONFIG_VECTOR = 20, L_QUEUE_VECTOR = 22 };

static unsigned legacy_config_at(const struct virtio_dev *v)
{
    return pci_msix_on(v->pci) ? 24 : 20;
}

static uint8_t legacy_byte(struct virtio_dev *v, unsigned at)
{
    const struct virtq *q = selected(v);
    unsigned config = legacy_config_at(v);

    if (at >= config)
        return (uint8_t)config_read(v, at - config, 1);
    if (at < L_DRIVER_FEATURES)
        return (uint8_t)(v->offered >> 8 * at);
    if (at < L_QUEUE_PFN)
        return (uint8_t)(v->features >> 8 * (at - L_DRIVER_FEATURES));
    if (at < L_QUEUE_SIZE)
        return q && q->enabled ? (uint8_t)(q->desc / LEGACY_PAGE >> 8 * (at - L_QUEUE_PFN)) : 0;
    if (at < L_QUEUE_SEL)
        return q ? (uint8_t)(q->size >> 8 * (at - L_QUEUE_SIZE)) : 0;
    if (at < L_NOTIFY)
        return (uint8_t)(v->queue_sel >> 8 * (at - L_QUEUE_SEL));
    if (at < L_STATUS)
        return 0;
    if (at == L_STATUS)
        return get_status(v);
    if (at == L_ISR)
        return read_isr(v);
    if (at < L_QUEUE_VECTOR)
        return (uint8_t)(v->config_vector >> 8 * (at - L_CONFIG_VECTOR));
    return (uint8_t)((q ? q->vector : NO_VECTOR) >> 8 * (at - L_QUEUE_VECTOR));
}

static uint64_t legacy_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)legacy_byte(dev, (unsigned)off + i) << (8 * i);
    return val;
}

/* 2.7.2: one block, the used ring on a page of its own. */
static void legacy_place(struct virtio_dev *v, struct virtq *q, uint32_t pfn)
{
    uint16_t vector = q->vector;

    if (!pfn) {
        /* Some drivers reset a device by taking away its first queue. */
        virtq_reset(q);
        q->vector = vector;
        return;
    }
    q->desc = (uint64_t)pfn * LEGACY_PAGE;
    q->avail = q->desc + 16u * q->size;
    q->used = (q->avail + 6 + 2u * q->size + LEGACY_PAGE - 1) & ~(uint64_t)(LEGACY_PAGE - 1);
    q->enabled = 1;
    log_dev(VIRTIO, "%s: queue %u: %u entries at %#llx, vector %#x", v->type->name, q->n, q->size,
            (unsigned long long)q->desc, q->vector);
}

static void legacy_write(void *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct virtio_dev *v = dev;
    struct virtq *q = selected(v);
    unsigned config = legacy_config_at(v);

    if (off >= config)
        config_write(v, off - config, val, size);
    else if (off == L_DRIVER_FEATURES && size == 4)
        v->features = allowed(v, (v->features & ~0xffffffffull) | val);
    else if (off == L_QUEUE_PFN && size == 4 && q)
        legacy_place(v, q, (uint32_t)val);
    else if (off == L_QUEUE_SEL && size == 2)
        v->queue_sel = (uint16_t)val;
    else if (off == L_NOTIFY && size == 2)
        kick(v, (unsigned)val);
    else if (off == L_STATUS && size == 1)
        set_status(v, (uint8_t)val, false);
    else if (off == L_CONFIG_VECTOR && size == 2)
        v->config_vector = check_vector(v, val);
    else if (off == L_QUEUE_VECTOR && size == 2 && q)
        q->vector = check_vector(v, val);
    else
        log_msg(LOG_GUEST, "%s: writes %u bytes to register %#llx", v->type->name, size,
                (unsigned long long)off);
}

static const struct io_ops legacy_ops = { legacy_read, legacy_write, 1 | 2 | 4, LOG_DEV_VIRTIO };

/* ---- configuration space: capabilities, and the registers through it (4.1.4.9) ---- */

/* What CFG_PCI's window shows; false: nothing. */
static bool window(struct virtio_dev *v, uint64_t *off, unsigned *size)
{
    *off = pci_config(v->pci, v->pci_cfg + CAP_OFFSET, 4);
    *size = pci_config(v->pci, v->pci_cfg + CAP_LENGTH, 4);
    return pci_config(v->pci, v->pci_cfg + CAP_BAR, 1) == BAR_MODERN &&
        (*size == 1 || *size == 2 || *size == 4) && *off % *size == 0 && *off < MODERN_LEN;
}

static bool touches_window(const struct virtio_dev *v, unsigned off, unsigned size)
{
    return v->pci_cfg && off < v->pci_cfg + CAP_DATA + 4 && off + size > v->pci_cfg + CAP_DATA;
}

static void config_reads(void *dev, unsigned off, unsigned size)
{
    struct virtio_dev *v = dev;
    uint64_t at;
    unsigned n;

    if (touches_window(v, off, size) && window(v, &at, &n))
        pci_config_set(v->pci, v->pci_cfg + CAP_DATA, n, (uint32_t)modern_read(v, at, n));
}

static void config_wrote(void *dev, unsigned off, unsigned size)
{
    struct virtio_dev *v = dev;
    uint64_t at;
    unsigned n;

    update_line(v);             /* MSI-X may have been switched */
    if (touches_window(v, off, size) && window(v, &at, &n))
        modern_write(v, at, pci_config(v->pci, v->pci_cfg + CAP_DATA, n), n);
}

static unsigned add_cap(struct pci_dev *pci, unsigned type, unsigned len, uint32_t at, uint32_t size)
{
    unsigned cap = pci_add_cap(pci, CAP_VENDOR, len);

    pci_config_init(pci, cap + 2, 1, len, 0);
    pci_config_init(pci, cap + 3, 1, type, 0);
    pci_config_init(pci, cap + CAP_BAR, 1, BAR_MODERN, 0);
    pci_config_init(pci, cap + CAP_OFFSET, 4, at, 0);
    pci_config_init(pci, cap + CAP_LENGTH, 4, size, 0);
    return cap;
}

static void add_caps(struct virtio_dev *v)
{
    struct pci_dev *pci = v->pci;
    unsigned cap;

    add_cap(pci, CFG_COMMON, CAP_LEN, AT_COMMON, PART);
    add_cap(pci, CFG_ISR, CAP_LEN, AT_ISR, PART);
    if (v->type->config_len)
        add_cap(pci, CFG_DEVICE, CAP_LEN, AT_DEVICE, PART);
    cap = add_cap(pci, CFG_NOTIFY, CAP_LEN + 4, AT_NOTIFY, PART);
    pci_config_init(pci, cap + CAP_LEN, 4, NOTIFY_STEP, 0);
    v->pci_cfg = add_cap(pci, CFG_PCI, CAP_LEN + 4, 0, 0);
    pci_config_init(pci, v->pci_cfg + CAP_BAR, 1, 0, 0xff);
    pci_config_init(pci, v->pci_cfg + CAP_OFFSET, 4, 0, 0xffffffff);
    pci_config_init(pci, v->pci_cfg + CAP_LENGTH, 4, 0, 0xffffffff);
    pci_config_init(pci, v->pci_cfg + CAP_DATA, 4, 0, 0xffffffff);
    pci_bar(pci, BAR_MODERN, MODERN_LEN, PCI_BAR_64 | PCI_BAR_PREFETCH, &modern_ops, v);
}

/* ---- construction ---- */

static void virtio_reset(void *dev)
{
    reset(dev);
}

static const char *virtio_check(const void *dev)
{
    const struct virtio_dev *v = dev;

    if (v->features & ~v->offered)
        return "features has some that it does not offer";
    if (v->type->config_fits && !v->type->config_fits(v->config))
        return "config is none that it can have";
    if (v->type->config_fits && !v->type->config_fits(v->first))
        return "first is no config that it can have";
    return check_vector(v, v->config_vector) != v->config_vector ? "config_vector is none of its vectors" : NULL;
}

static void virtio_loaded(void *dev)
{
    struct virtio_dev *v = dev;

    v->generation++;            /* answers that come are to requests of another past */
    for (unsigned n = 0; n < v->nqueues; n++)
        v->queue[n]->inuse = 0;
    update_line(v);
}

static const struct chip virtio_chip = {
    "virtio", sizeof(struct virtio_dev), virtio_reset, virtio_state, virtio_loaded, .check = virtio_check
};

static struct pci_dev *place(struct plug_env *env, const struct plug_common *c, const struct pci_ident *id)
{
    int slot = c->slot < 0 ? pci_free_slot(env->pci) : c->slot;

    if (slot < 0)
        die(EXIT_CODE_USAGE, "-device %s: no slot of the PCI bus is left", c->name);
    if (pci_taken(env->pci, (unsigned)slot, (unsigned)c->fn))
        die(EXIT_CODE_USAGE, "-device %s: addr=%x.%x: another device is there", c->name, slot, c->fn);
    return pci_add(env->pci, c->name, (unsigned)slot, (unsigned)c->fn, id);
}

struct virtio_dev *virtio_new(struct plug_env *env, const struct virtio_props *p,
                              const struct virtio_type *type, void *dev, unsigned nqueues, unsigned size,
                              uint64_t features)
{
    bool legacy = !p->disable_legacy && type->legacy_id;
    struct pci_ident id = { .vendor = VENDOR, .device = legacy ? type->legacy_id : MODERN_ID + type->id,
                            .class = type->class, .revision = !legacy, .subvendor = VENDOR,
                            .subdevice = legacy ? type->id : 0x1100, .pin = 1 };
    unsigned bar = 4;
    struct virtio_dev *v;
    char name[80];

    assert(nqueues && nqueues <= VIRTIO_QUEUES_MAX && size <= VIRTQ_SIZE_MAX &&
           type->config_len <= VIRTIO_CONFIG_MAX);
    if (!legacy && p->disable_modern)
        die(EXIT_CODE_USAGE, "-device %s: one of disable-legacy and disable-modern must be off",
            p->common.name);
    snprintf(name, sizeof(name), "virtio:%s", p->common.name);
    v = chip_new(env->m->chips, &virtio_chip, name);
    v->pci = place(env, &p->common, &id);
    v->type = type;
    v->dev = dev;
    v->offered = features | (p->indirect ? VIRTIO_F_INDIRECT_DESC : 0) |
        (p->event_idx ? VIRTIO_F_EVENT_IDX : 0) |
        (legacy ? VIRTIO_F_ANY_LAYOUT : 0);
    if (!p->disable_modern)
        v->offered |= VIRTIO_F_VERSION_1 | (p->packed ? VIRTIO_F_RING_PACKED : 0);
    v->nqueues = nqueues;
    for (unsigned n = 0; n < nqueues; n++) {
        snprintf(name, sizeof(name), "virtq:%s:%u", p->common.name, n);
        v->queue[n] = virtq_new(env->m->chips, v, name, n, size);
    }
    v->config_vector = NO_VECTOR;
    v->vectors = p->vectors < PCI_MSIX_MAX ? p->vectors : nqueues + 1;
    if (v->vectors)
        pci_msix_init(v->pci, BAR_MSIX, v->vectors);
    while (bar < 24 + type->config_len)
        bar *= 2;
    if (legacy)
        pci_bar(v->pci, BAR_LEGACY, bar, PCI_BAR_IO, &legacy_ops, v);
    if (!p->disable_modern)
        add_caps(v);
    pci_on_config(v->pci, config_wrote, v);
    pci_on_config_read(v->pci, config_reads, v);
    return v;
}
