/*
 * ich9_smi.c - which processors an SMI of the APM command port interrupts: firmware for emulated machines of this kind
 * asks for all of them by files of fw_cfg (as its SMM control driver, OvmfPkg/SmmControl2Dxe of EDK2, does).
 *
 * Features are bits, 64 of them, little-endian; bit 0 is broadcast, the only one there is.
 * Invariant: once settled, nothing changes until a reset.
 */
#include "hw/ich9.h"

#include "base/log.h"
#include "hw/fw_cfg.h"

#define SUPPORTED "etc/smi/supported-features"
#define REQUESTED "etc/smi/requested-features"
#define OK        "etc/smi/features-ok"
#define BROADCAST 1u
#define FEATURES  8             /* bytes */

struct ich9_smi {
    struct fw_cfg *cfg;
    uint8_t requested[FEATURES], settled[FEATURES];
    uint8_t ok;
};

static const struct field smi_state[] = {
    FIELD_ARRAY(struct ich9_smi, requested), FIELD_ARRAY(struct ich9_smi, settled), FIELD(struct ich9_smi, ok),
    FIELD_END
};

/* The files show what is here. */
static void show(void *dev)
{
    struct ich9_smi *s = dev;

    fw_cfg_file_again(s->cfg, REQUESTED, s->requested, FEATURES);
    fw_cfg_file_again(s->cfg, OK, &s->ok, 1);
}

static void requested(void *dev, const uint8_t *data, size_t len)
{
    struct ich9_smi *s = dev;

    for (unsigned i = 0; i < FEATURES && !s->ok; i++)
        s->requested[i] = data[i];
    show(s);
}

static void asked(void *dev)
{
    struct ich9_smi *s = dev;
    uint8_t more = s->requested[0] & ~BROADCAST;

    for (unsigned i = 1; i < FEATURES; i++)
        more |= s->requested[i];
    if (more)
        log_msg(LOG_GUEST, "ich9: the firmware asks for SMI features that are not there");
    for (unsigned i = 0; i < FEATURES && !more && !s->ok; i++)
        s->settled[i] = s->requested[i];
    s->ok |= !more;
    show(s);
}

bool ich9_smi_broadcast(const struct ich9_smi *s)
{
    return s->settled[0] & BROADCAST;
}

static void smi_reset(void *dev)
{
    struct ich9_smi *s = dev;

    for (unsigned i = 0; i < FEATURES; i++)
        s->requested[i] = s->settled[i] = 0;
    s->ok = 0;
    show(s);
}

static const struct chip smi_chip = { "ich9-smi", sizeof(struct ich9_smi), smi_reset, smi_state, show };

struct ich9_smi *ich9_smi_new(struct chip_list *chips, struct fw_cfg *cfg)
{
    struct ich9_smi *s = chip_new(chips, &smi_chip, "ich9-smi");

    s->cfg = cfg;
    fw_cfg_file_number(cfg, SUPPORTED, BROADCAST, FEATURES);
    fw_cfg_file(cfg, REQUESTED, s->requested, FEATURES);
    fw_cfg_file(cfg, OK, &s->ok, 1);
    fw_cfg_file_writable(cfg, REQUESTED, requested, s);
    fw_cfg_file_asked(cfg, OK, asked, s);
    return s;
}
