/*
 * ide_plug.c - devices on IDE channels and Serial ATA ports, as -device adds them.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hw/ide/bus.h"
#include "hw/plug.h"

void ide_attach(struct ide_bus *b, struct chip_list *chips, const char *name, unsigned unit, struct drive *drive,
                const struct ata_who *who)
{
    struct ata_who usual = { .rotation = 1 };

    if (who)
        usual = *who;
    usual.number = b->number + unit;
    b->ata[unit] = ata_new(chips, name, unit, drive, &b->host, &usual);
    if (b->attached)
        b->attached(b, unit);
}

struct props {
    struct plug_common common;
    struct drive *drive;
    struct disk_policy on_error;
    const char *serial, *model, *version;
    uint64_t unit, wwn, logical, physical, rotation;
    unsigned cache;
};
#define AUTO UINT64_MAX

/* The bus has no place left. */
static bool full(const void *bus)
{
    const struct ide_bus *b = bus;

    for (unsigned i = 0; i < b->units; i++)
        if (!b->ata[i])
            return false;
    return true;
}

static void check_text(const struct props *p, const char *what, const char *text, size_t max)
{
    if (text && strlen(text) > max)
        die(EXIT_CODE_USAGE, "-device %s: %s=%s: at most %zu characters", p->common.name, what, text, max);
}

void ide_bus_path(struct ide_bus *b, const struct pci_dev *pci, const char *type, unsigned n)
{
    size_t len;

    pci_path(pci, type, b->path, sizeof(b->path));
    len = strlen(b->path);
    snprintf(b->path + len, sizeof(b->path) - len, "/drive@%u", n);
}

static void make(struct plug_env *env, void *bus, const struct props *p, bool cd)
{
    struct ata_who who = { .serial = p->serial, .model = p->model, .version = p->version, .wwn = p->wwn,
                           .physical = (unsigned)p->physical, .rotation = (unsigned)p->rotation,
                           .cache_off = p->cache == PLUG_CACHE_OFF };
    struct ide_bus *b = bus;
    unsigned unit = p->unit == AUTO ? 0 : (unsigned)p->unit;

    if (!p->drive)
        die(EXIT_CODE_USAGE, "-device %s: needs drive=ID, with -drive if=none,id=ID", p->common.name);
    if (!cd && !p->drive->disk)
        die(EXIT_CODE_USAGE, "-device %s: drive %s has no medium: a disk needs file=PATH", p->common.name, p->drive->id);
    if (!cd && p->drive->cdrom)
        die(EXIT_CODE_USAGE, "-device %s: drive %s is a CD-ROM: use ide-cd", p->common.name, p->drive->id);
    if (p->logical != ATA_SECTOR)
        die(EXIT_CODE_USAGE, "-device %s: logical_block_size=%llu: IDE disks have sectors of 512 bytes", p->common.name,
            (unsigned long long)p->logical);
    if (p->physical & (p->physical - 1))
        die(EXIT_CODE_USAGE, "-device %s: physical_block_size must be a power of two", p->common.name);
    plug_check_rotation(&p->common, p->rotation);
    check_text(p, "serial", p->serial, 20);
    check_text(p, "model", p->model, 40);
    check_text(p, "ver", p->version, 8);
    while (p->unit == AUTO && unit + 1 < b->units && b->ata[unit])
        unit++;
    if (unit >= b->units)
        die(EXIT_CODE_USAGE, "-device %s: unit=%u: the bus has %s", p->common.name, unit,
            b->units == 1 ? "one unit, 0" : "units 0 and 1");
    if (b->ata[unit])
        die(EXIT_CODE_USAGE, "-device %s: unit %u of its bus has a device already: use another bus= or unit=",
            p->common.name, unit);
    drive_on_error(p->drive, &p->on_error);
    p->drive->cdrom = cd;
    p->drive->read_only |= cd;
    ide_attach(b, env->m->chips, p->common.name, unit, p->drive, &who);
    plug_boot_path(&p->common, "%s/disk@%x", b->path, unit);
}

static void make_disk(struct plug_env *env, void *bus, const void *props)
{
    make(env, bus, props, false);
}

static void make_cd(struct plug_env *env, void *bus, const void *props)
{
    make(env, bus, props, true);
}

#define COMMON_PROPS                                                                                         \
    { "drive", PROP_DRIVE, offsetof(struct props, drive), 0, 0, "its medium" },                              \
    DRIVE_ERROR_PROPS(struct props, on_error),                                                               \
    { "unit", PROP_NUMBER, offsetof(struct props, unit), 0, 1, "place on its bus (default: the first free)" }, \
    { "serial", PROP_STRING, offsetof(struct props, serial), 0, 0, "up to 20 characters" },                  \
    { "model", PROP_STRING, offsetof(struct props, model), 0, 0, "up to 40 characters" },                    \
    { "ver", PROP_STRING, offsetof(struct props, version), 0, 0, "of its firmware, up to 8 characters" },    \
    { "wwn", PROP_NUMBER, offsetof(struct props, wwn), 0, UINT64_MAX, "world-wide name" }

static const struct prop disk_props[] = {
    COMMON_PROPS,
    { "logical_block_size", PROP_NUMBER, offsetof(struct props, logical), 512, 512, "bytes" },
    { "physical_block_size", PROP_NUMBER, offsetof(struct props, physical), 512, 32768, "bytes, a power of two" },
    ROTATION_PROP(struct props, rotation), WRITE_CACHE_PROP(struct props, cache),
    PROP_END
};
static const struct prop cd_props[] = { COMMON_PROPS, PROP_END };

static const struct props defaults = { .unit = AUTO, .logical = 512, .physical = 512, .rotation = 1 };

const struct plug ide_hd_plug = {
    "ide-hd", "IDE or SATA disk", "IDE", sizeof(struct props), &defaults, disk_props, make_disk, NULL, full
};
const struct plug ide_cd_plug = {
    "ide-cd", "IDE or SATA CD-ROM drive", "IDE", sizeof(struct props), &defaults, cd_props, make_cd, NULL, full
};
