/*
 * floppy_plug.c - floppy drives on the board's controller, as -device adds them.
 */
#include <stdio.h>

#include "base/log.h"
#include "hw/floppy.h"
#include "hw/plug.h"

struct props {
    struct plug_common common;
    struct drive *drive;
    uint64_t unit;
};

static void make(struct plug_env *env, void *bus, const void *props)
{
    const struct floppy_bus *b = bus;
    const struct props *p = props;

    if (!p->drive)
        die(EXIT_CODE_USAGE, "-device %s: needs drive=ID, with -drive if=none,id=ID", p->common.name);
    floppy_add_drive(b->f, (unsigned)p->unit, p->drive);
    plug_boot_path(&p->common, "%s/floppy@%u", b->path, (unsigned)p->unit);
}

static const struct prop props_table[] = {
    { "drive", PROP_DRIVE, offsetof(struct props, drive), 0, 0, "its medium" },
    { "unit", PROP_NUMBER, offsetof(struct props, unit), 0, 1, "0: drive A, 1: drive B" },
    PROP_END
};

const struct plug floppy_plug = {
    "floppy", "floppy drive", "floppy", sizeof(struct props), NULL, props_table, make
};
