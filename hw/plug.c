/*
 * plug.c - devices that can be added: their properties by table, names, places (plug.h).
 */
#include "hw/plug.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/size.h"
#include "hw/boards.h"
#include "hw/disk_if.h"
#include "hw/pci.h"

#define ISA_FIRST_SOURCE 8      /* of each line: those below are the board's own */
#define ISA_SOURCES 16

struct plug_bus {
    const char *type, *name;
    void *bus;
    struct plug_bus *next;
};

#define PLUG(id) extern const struct plug id##_plug;
#include "hw/plugs.def"
#undef PLUG

static const struct plug *const plugs[] = {
#define PLUG(id) &id##_plug,
#include "hw/plugs.def"
#undef PLUG
};
#define PLUGS (sizeof(plugs) / sizeof(plugs[0]))

static const struct prop common[] = {
    { "id", PROP_STRING, offsetof(struct plug_common, id), 0, 0, "a name for the device" },
    { "bus", PROP_STRING, offsetof(struct plug_common, bus), 0, 0, "the bus it sits on, by name" },
    { "bootindex", PROP_NUMBER, offsetof(struct plug_common, bootindex), 0, INT32_MAX,
      "its place in the firmware's boot order, the lowest first" },
    { "multifunction", PROP_BOOL, offsetof(struct plug_common, multifunction), 0, 0,
      "PCI: there may be more functions in its slot" },
    { "addr", PROP_STRING, offsetof(struct plug_common, slot), 0, 0, "PCI: SLOT or SLOT.FUNCTION, hexadecimal" },
    PROP_END
};

const struct plug *plug_nth(unsigned n)
{
    return n < PLUGS ? plugs[n] : NULL;
}

/* virtio-blk is virtio-blk-pci, as in QEMU: the bus that such boards have. */
static bool on_pci(const char *name, const char *plug)
{
    size_t n = strlen(name);

    return strncmp(name, "virtio-", 7) == 0 && strncmp(plug, name, n) == 0 && strcmp(plug + n, "-pci") == 0;
}

const struct plug *plug_find(const char *name)
{
    for (unsigned i = 0; i < PLUGS; i++)
        if (strcmp(plugs[i]->name, name) == 0 || on_pci(name, plugs[i]->name))
            return plugs[i];
    return NULL;
}

struct plug_use *plug_use_new(const struct plug *plug)
{
    struct plug_use *u = calloc(1, sizeof(*u));
    struct plug_common *props = calloc(1, plug->size);

    if (!u || !props)
        die(EXIT_CODE_HOST, "out of memory for device %s", plug->name);
    if (plug->defaults)
        memcpy(props, plug->defaults, plug->size);
    memset(props, 0, sizeof(*props));
    props->slot = props->bootindex = -1;
    props->boot_path = u->boot_path;
    u->plug = plug;
    u->props = props;
    return u;
}

void plug_use_free(struct plug_use *u)
{
    if (u)
        free(u->props);
    free(u);
}

static const struct prop *find_prop(const struct prop *p, const char *name)
{
    for (; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

const struct prop *plug_prop(const struct plug *plug, const char *name)
{
    const struct prop *p = find_prop(plug->props, name);

    return p ? p : find_prop(common, name);
}

const struct prop *plug_common_nth(unsigned n)
{
    return n < sizeof(common) / sizeof(common[0]) - 1 ? &common[n] : NULL;
}

bool plug_own_prop(const struct plug *plug, const struct prop *prop)
{
    for (const struct prop *p = plug->props; p && p->name; p++)
        if (p == prop)
            return true;
    return false;
}

/* ---- values ---- */

bool plug_bool(bool *to, const char *val)
{
    static const char *const yes[] = { "on", "yes", "true", "y" }, *const no[] = { "off", "no", "false", "n" };

    for (unsigned i = 0; i < 4; i++) {
        if (strcmp(val, yes[i]) && strcmp(val, no[i]))
            continue;
        *to = strcmp(val, yes[i]) == 0;
        return true;
    }
    return false;
}

static bool set_mac(uint8_t *to, const char *val)
{
    unsigned b[6];
    char tail;

    if (sscanf(val, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &tail) != 6)
        return false;
    for (unsigned i = 0; i < 6; i++)
        to[i] = b[i];
    return true;
}

static bool set_addr(struct plug_common *c, const char *val)
{
    char *end;
    unsigned long slot, fn = 0;

    errno = 0;
    slot = strtoul(val, &end, 16);
    if (end != val && *end == '.' && isxdigit((unsigned char)end[1]))
        fn = strtoul(end + 1, &end, 16);
    if (errno || !isxdigit((unsigned char)*val) || *end || slot > 31 || fn > 7)
        return false;
    c->slot = (int)slot;
    c->fn = (int)fn;
    return true;
}

static bool set_number(uint64_t *to, const struct prop *p, const char *val, bool size)
{
    char *end;
    uint64_t n;

    errno = 0;
    n = strtoull(val, &end, 0);
    if (*val < '0' || *val > '9' || errno || *end) {
        if (!size || !size_parse(val, 0, &n))
            return false;
    }
    *to = n;
    return n >= p->min && n <= p->max;
}

const char *const plug_on_error[] = DISK_ON_ERROR_WORDS;
const char *const plug_cache[] = { [PLUG_CACHE_AUTO] = "auto", [PLUG_CACHE_ON] = "on", [PLUG_CACHE_OFF] = "off", NULL };

void plug_check_rotation(const struct plug_common *c, uint64_t rate)
{
    if (rate > 1 && rate <= 0x400)
        die(EXIT_CODE_USAGE, "-device %s: rotation_rate=%llu: use 1 for a disk that does not rotate, or 1025 to 65534 "
            "revolutions a minute", c->name, (unsigned long long)rate);
}

static bool set_word(unsigned *to, const char *const *words, const char *val, char *why, size_t len)
{
    size_t at = 0;
    unsigned n = 0;

    while (words[n] && strcmp(words[n], val))
        n++;
    *to = n;
    if (words[n])
        return true;
    for (n = 0; words[n] && at < len; n++)
        at += (size_t)snprintf(why + at, len - at, "%s%s", !n ? "use " : words[n + 1] ? ", " : " or ", words[n]);
    return false;
}

/* A thing that the user named before. */
static bool set_named(void *at, void *thing, const char *what, const char *val, char *why, size_t len)
{
    if (!thing)
        snprintf(why, len, "there is no %s with id=%s", what, val);
    else
        memcpy(at, &thing, sizeof(thing));
    return thing;
}

bool plug_set(struct plug_use *u, const struct prop *p, const char *val, const struct plug_names *names, char *why,
              size_t len)
{
    uint8_t *at = (uint8_t *)u->props + p->offset;
    uint64_t n;

    *why = 0;
    if (p == find_prop(common, "addr")) {
        if (set_addr(u->props, val))
            return true;
        snprintf(why, len, "use a slot from 0 to 1f, or SLOT.FUNCTION with a function from 0 to 7");
        return false;
    }
    if (p == find_prop(common, "bootindex")) {
        if (!set_number(&n, p, val, false)) {
            snprintf(why, len, "use a number from 0 up");
            return false;
        }
        u->props->bootindex = (int)n;
        return true;
    }
    switch (p->type) {
    case PROP_NUMBER:
    case PROP_SIZE:
        if (set_number((uint64_t *)(void *)at, p, val, p->type == PROP_SIZE))
            return true;
        snprintf(why, len, "use a number from %llu to %llu", (unsigned long long)p->min, (unsigned long long)p->max);
        return false;
    case PROP_WORD:
        return set_word((unsigned *)(void *)at, p->words, val, why, len);
    case PROP_BOOL:
        if (plug_bool((bool *)(void *)at, val))
            return true;
        snprintf(why, len, "use on or off");
        return false;
    case PROP_STRING:
        memcpy(at, &val, sizeof(val));
        return true;
    case PROP_MAC:
        if (set_mac(at, val))
            return true;
        snprintf(why, len, "use an address like 52:54:00:12:34:56");
        return false;
    case PROP_DRIVE:
        return set_named(at, names->drive ? names->drive(names->arg, val) : NULL, "-drive", val, why, len);
    case PROP_NETDEV:
        return set_named(at, names->netdev ? names->netdev(names->arg, val) : NULL, "-netdev", val, why, len);
    case PROP_CHARDEV:
        return set_named(at, names->chardev ? names->chardev(names->arg, val) : NULL, "-chardev", val, why, len);
    case PROP_AUDIODEV:
        return set_named(at, names->audiodev ? names->audiodev(names->arg, val) : NULL, "-audiodev", val, why, len);
    case PROP_FSDEV:
        return set_named(at, names->fsdev ? names->fsdev(names->arg, val) : NULL, "-fsdev", val, why, len);
    case PROP_RNG:
        return set_named(at, names->rng ? names->rng(names->arg, val) : NULL, "-object rng-random", val, why, len);
    }
    return false;
}

/* ---- wiring ---- */

void plug_bus_add(struct plug_env *env, const char *type, const char *name, void *bus)
{
    struct plug_bus *b = calloc(1, sizeof(*b)), **last = &env->buses;

    if (!b)
        die(EXIT_CODE_HOST, "out of memory for bus %s", name);
    *b = (struct plug_bus){ type, name, bus, NULL };
    while (*last)
        last = &(*last)->next;
    *last = b;
}

void *plug_bus_find(const struct plug_env *env, const char *name)
{
    for (const struct plug_bus *b = env->buses; b; b = b->next)
        if (strcmp(b->name, name) == 0)
            return b->bus;
    return NULL;
}

void plug_buses_free(struct plug_env *env)
{
    for (struct plug_bus *b = env->buses, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    env->buses = NULL;
}

const struct rom_image *plug_rom(const struct plug_env *env, const char *name)
{
    const struct rom_image *rom = name ? env->m->cfg.roms : NULL;

    while (rom && strcmp(rom->name, name))
        rom = rom->next;
    return rom;
}

struct irq plug_isa_irq(struct plug_env *env, unsigned irq)
{
    if (!env->isa_irq || irq < 3 || irq > 15 || env->isa_sources[irq] == ISA_SOURCES - ISA_FIRST_SOURCE)
        die(EXIT_CODE_USAGE, "machine %s has no interrupt %u left for another device", env->m->cfg.board->name, irq);
    return env->isa_irq(env->m, irq, ISA_FIRST_SOURCE + env->isa_sources[irq]++);
}

/* A slot of its own for a PCI device that asked for none. */
static void pci_place(struct plug_env *env, const struct plug *plug, struct plug_common *c)
{
    if (c->slot < 0)
        c->slot = pci_free_slot(env->pci);
    if (c->slot < 0)
        die(EXIT_CODE_USAGE, "-device %s: all slots of the PCI bus are taken", plug->name);
    if (pci_no_slot(env->pci, c->slot))
        die(EXIT_CODE_USAGE, "-device %s: addr=%x: bus %s has one slot, 0", plug->name, c->slot, c->bus);
    if (pci_taken(env->pci, c->slot, c->fn))
        die(EXIT_CODE_USAGE, "-device %s: addr=%x.%x: another device is there", plug->name, c->slot, c->fn);
}

static const char *root_name(const struct plug_env *env)
{
    return pci_is_express(env->root) ? "pcie.0" : "pci.0";
}

/* The PCI bus of that name, NULL: there is none. */
static struct pci_bus *pci_bus(const struct plug_env *env, const char *name)
{
    if (!name || strcmp(name, "pci.0") == 0 || strcmp(name, "pci") == 0 || strcmp(name, root_name(env)) == 0)
        return env->root;
    for (const struct plug_bus *b = env->buses; b; b = b->next)
        if (strcmp(b->type, "PCI") == 0 && strcmp(b->name, name) == 0)
            return b->bus;
    return NULL;
}

/* The bus it sits on. */
static void *place(struct plug_env *env, const struct plug *plug, struct plug_common *c)
{
    const struct board *board = env->m->cfg.board;
    bool some = false;

    if (strcmp(plug->bus, "ISA") == 0 && board->bare)
        die(EXIT_CODE_USAGE, "-device %s: machine %s has no ISA bus for it: use -machine pc", plug->name, board->name);
    if (strcmp(plug->bus, "ISA") == 0)
        return NULL;
    if (strcmp(plug->bus, "PCI") == 0) {
        if (!env->pci)
            die(EXIT_CODE_USAGE, "-device %s: machine %s has no PCI bus for it: use -machine pc", plug->name,
                board->name);
        env->pci = pci_bus(env, c->bus);
        if (!env->pci)
            die(EXIT_CODE_USAGE, "-device %s: bus=%s: there is no such PCI bus: it is %s, or the id= of a bridge named "
                "before", plug->name, c->bus, root_name(env));
        pci_place(env, plug, c);
        return NULL;
    }
    for (const struct plug_bus *b = env->buses; b; b = b->next) {
        if (strcmp(b->type, plug->bus))
            continue;
        some = true;
        if (!c->bus && plug->full && plug->full(b->bus))
            continue;
        if (!c->bus || strcmp(b->name, c->bus) == 0)
            return b->bus;
    }
    if (some && !c->bus)
        die(EXIT_CODE_USAGE, "-device %s: all places of the %s buses are taken: add a controller before", plug->name,
            plug->bus);
    if (some)
        die(EXIT_CODE_USAGE, "-device %s: there is no %s bus named %s", plug->name, plug->bus, c->bus);
    die(EXIT_CODE_USAGE, "-device %s: there is no %s bus for it: add a controller before", plug->name, plug->bus);
}

/* ---- what to boot from ---- */

void plug_boot_path(const struct plug_common *c, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(c->boot_path, PLUG_PATH_MAX, format, args);
    va_end(args);
    if (n < 0 || n >= PLUG_PATH_MAX)
        c->boot_path[0] = 0;
}

/* The path of a PCI function: plug->boot, its place in it. */
static void boot_function(const struct plug_env *env, const struct plug *plug, const struct plug_common *c)
{
    const char *at = strchr(plug->boot, '@');
    char type[32], path[PCI_PATH_MAX];

    snprintf(type, sizeof(type), "%.*s", (int)(at - plug->boot), plug->boot);
    pci_path(pci_function(env->pci, (unsigned)c->slot, (unsigned)c->fn), type, path, sizeof(path));
    plug_boot_path(c, "%s%s", path, at + 2);
}

void plugs_make(struct plug_env *env, const struct plug_use *list)
{
    env->root = env->pci;
    for (const struct plug_use *u = list; u; u = u->next) {
        struct plug_common *c = u->props;
        void *bus = place(env, u->plug, c);
        bool pci = strcmp(u->plug->bus, "PCI") == 0;
        int n;

        for (const struct plug_use *o = list; c->id && o != u; o = o->next)
            if (o->props->id && strcmp(o->props->id, c->id) == 0)
                die(EXIT_CODE_USAGE, "-device %s: there is another device with id=%s", u->plug->name, c->id);
        if (c->id)
            n = snprintf(c->name, sizeof(c->name), "%s/%s", u->plug->name, c->id);
        else
            n = snprintf(c->name, sizeof(c->name), "%s#%u", u->plug->name, env->made);
        if (n < 0 || (size_t)n >= sizeof(c->name))
            die(EXIT_CODE_USAGE, "-device %s: id=%s: too long", u->plug->name, c->id);
        env->made++;
        if (pci)                                /* a bridge resets what is behind it */
            chips_group(env->m->chips, ++env->groups);
        u->plug->make(env, bus, c);
        if (u->plug->boot)
            boot_function(env, u->plug, c);
        if (pci)
            chips_group(env->m->chips, 0);
        if (pci && c->multifunction)
            pci_multifunction(env->pci, (unsigned)c->slot, (unsigned)c->fn);
        env->pci = env->root;
    }
}

/* The device after the one with bootindex `last`; NULL: there is none. */
static const struct plug_use *next_to_boot(const struct plug_use *list, int last)
{
    const struct plug_use *best = NULL;

    for (const struct plug_use *u = list; u; u = u->next)
        if (u->props->bootindex > last && (!best || u->props->bootindex < best->props->bootindex))
            best = u;
    return best;
}

char *plugs_boot_order(const struct plug_use *list, bool strict)
{
    const struct plug_use *u = next_to_boot(list, -1);
    char *text = NULL;
    size_t len = 0;
    FILE *f = u ? open_memstream(&text, &len) : NULL;

    if (!u)
        return NULL;
    if (!f)
        die(EXIT_CODE_HOST, "out of memory for the boot order");
    for (; u; u = next_to_boot(list, u->props->bootindex)) {
        if (!u->boot_path[0])
            die(EXIT_CODE_USAGE, "-device %s: bootindex: the firmware cannot be told of this kind of device, or at this place: "
                "use -boot order=", u->plug->name);
        for (const struct plug_use *o = u->next; o; o = o->next)
            if (o->props->bootindex == u->props->bootindex)
                die(EXIT_CODE_USAGE, "-device %s: bootindex=%d: device %s has it, too", o->plug->name,
                    o->props->bootindex, u->plug->name);
        fprintf(f, "%s\n", u->boot_path);
    }
    if (strict)
        fputs("HALT\n", f);     /* SeaBIOS tries nothing behind it */
    fclose(f);
    return text;
}
