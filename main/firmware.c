/*
 * firmware.c - finding and reading the firmware's image: -bios as a path, then by name in the folders of -L
 * and where distributions put it.
 */
#include "main/firmware.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/file.h"

#define DEFAULT_BIOS "bios-256k.bin"
#define PACKAGE_BIOS "seabios"

#define ROM_MIN 4096u
#define ROM_MAX (16u << 20)

static const char *const usual[] = { "/usr/share/seabios", "/usr/share/qemu", "/usr/lib/ipxe/qemu" };
#define USUAL (sizeof(usual) / sizeof(usual[0]))

/* The file `name` in folder `dir`, malloc'ed; NULL: there is none. */
static char *in_folder(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = malloc(n);

    if (!path)
        die(EXIT_CODE_HOST, "out of memory");
    snprintf(path, n, "%s/%s", dir, name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* given: the user did, so it may be a path. */
static char *find(const struct options *o, const char *name, bool given)
{
    char *path = given && access(name, F_OK) == 0 ? strdup(name) : NULL;

    for (unsigned i = 0; !path && i < o->ndir; i++)
        path = in_folder(o->dir[i], name);
    for (unsigned i = 0; !path && i < USUAL; i++)
        path = in_folder(usual[i], name);
    return path;
}

void firmware_read(struct machine *m, const struct options *o)
{
    char *path = find(o, o->bios ? o->bios : DEFAULT_BIOS, o->bios), err[256];
    struct file f;
    uint8_t *image;

    if (!path && o->bios)
        die(EXIT_CODE_FILE, "-bios %s: there is no such file, nor one of that name in the folders of -L, %s "
            "and %s", o->bios, usual[0], usual[1]);
    if (!path)
        die(EXIT_CODE_FILE, "no firmware: there is no %s in the folders of -L, %s and %s: install the "
            "package %s, give a file with -bios, or a kernel with -kernel", DEFAULT_BIOS, usual[0], usual[1],
            PACKAGE_BIOS);
    if (!file_read(&f, path, err, sizeof(err)))
        die(EXIT_CODE_FILE, "cannot read the firmware: %s: check -bios", err);
    /* A copy: it must not change, nor be cut short, while the guest runs. */
    image = aligned_alloc(PAGE_SIZE, (f.len + PAGE_SIZE - 1) & PAGE_MASK);
    if (!image)
        die(EXIT_CODE_HOST, "out of memory for the firmware (%zu bytes)", f.len);
    memcpy(image, f.data, f.len);
    m->cfg.bios = image;
    m->cfg.bios_len = f.len;
    m->cfg.bios_name = path;
    file_free(&f);
}

void firmware_folders(FILE *f)
{
    for (unsigned i = 0; i < USUAL; i++)
        fprintf(f, "%s\n", usual[i]);
}

/* ---- option ROMs ---- */

static void read_rom(struct machine *m, const char *name, const char *path)
{
    struct rom_image *rom = calloc(1, sizeof(*rom));
    char err[256];
    struct file f;

    if (!rom)
        die(EXIT_CODE_HOST, "out of memory for %s", path);
    if (!file_read(&f, path, err, sizeof(err)))
        die(EXIT_CODE_FILE, "romfile: %s", err);
    if (f.len > ROM_MAX)
        die(EXIT_CODE_FILE, "romfile=%s: %zu bytes: an option ROM has at most %u MiB", name, f.len,
            ROM_MAX >> 20);
    rom->name = name;
    for (rom->len = ROM_MIN; rom->len < f.len;)
        rom->len *= 2;
    rom->data = aligned_alloc(PAGE_SIZE, (rom->len + PAGE_SIZE - 1) & PAGE_MASK);
    if (!rom->data)
        die(EXIT_CODE_HOST, "out of memory for %s", path);
    memset(rom->data, 0, rom->len);
    memcpy(rom->data, f.data, f.len);
    file_free(&f);
    rom->next = m->cfg.roms;
    m->cfg.roms = rom;
}

void firmware_roms(struct machine *m, const struct options *o)
{
    for (const struct plug_use *use = m->cfg.devices; use; use = use->next) {
        const struct prop *prop = plug_prop(use->plug, "romfile");
        const char *name, *usual_name = NULL;
        struct rom_image *rom = m->cfg.roms;
        char *path;

        if (!prop)
            continue;
        memcpy(&name, (const uint8_t *)use->props + prop->offset, sizeof(name));
        if (use->plug->defaults)
            memcpy(&usual_name, (const uint8_t *)use->plug->defaults + prop->offset, sizeof(usual_name));
        while (name && rom && strcmp(rom->name, name))
            rom = rom->next;
        if (!name || !*name || rom)
            continue;
        path = find(o, name, name != usual_name);
        if (path)
            read_rom(m, name, path);
        else if (name != usual_name)
            die(EXIT_CODE_FILE, "-device %s: romfile=%s: there is no such file, nor one of that name in the "
                "folders of -L, %s, %s and %s", use->plug->name, name, usual[0], usual[1], usual[2]);
        free(path);
    }
}

void firmware_free(struct machine *m)
{
    for (struct rom_image *rom = m->cfg.roms, *next; rom; rom = next) {
        next = rom->next;
        free(rom->data);
        free(rom);
    }
    m->cfg.roms = NULL;
    free((void *)(uintptr_t)m->cfg.bios);
    free((void *)(uintptr_t)m->cfg.bios_name);
    m->cfg.bios = NULL;
    m->cfg.bios_name = NULL;
}
