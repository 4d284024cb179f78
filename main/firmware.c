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

static const char *const usual[] = { "/usr/share/seabios", "/usr/share/qemu" };
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

static char *find(const struct options *o)
{
    const char *name = o->bios ? o->bios : DEFAULT_BIOS;
    char *path = o->bios && access(name, F_OK) == 0 ? strdup(name) : NULL;

    for (unsigned i = 0; !path && i < o->ndir; i++)
        path = in_folder(o->dir[i], name);
    for (unsigned i = 0; !path && i < USUAL; i++)
        path = in_folder(usual[i], name);
    return path;
}

void firmware_read(struct machine *m, const struct options *o)
{
    char *path = find(o), err[256];
    struct file f;
    uint8_t *image;

    if (!path && o->bios)
        die(EXIT_CODE_FILE, "-bios %s: there is no such file, nor one of that name in the folders of -L, %s "
            "and %s", o->bios, usual[0], usual[1]);
    if (!path)
        die(EXIT_CODE_FILE, "no firmware: there is no %s in the folders of -L, %s and %s: install the package "
            "%s, give a file with -bios, or a kernel with -kernel", DEFAULT_BIOS, usual[0], usual[1], PACKAGE_BIOS);
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

void firmware_free(struct machine *m)
{
    free((void *)(uintptr_t)m->cfg.bios);
    free((void *)(uintptr_t)m->cfg.bios_name);
    m->cfg.bios = NULL;
    m->cfg.bios_name = NULL;
}
