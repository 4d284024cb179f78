/*
 * plug.h - devices that a user or a board adds: -device NAME,property=value and what such options stand for.
 *
 * A device type is a const struct plug beside its chip, listed in plugs.def.  Its properties are the members
 * of a struct of its own, which begins with struct plug_common; the command line fills that in by the table
 * (plug_set()), and make() wires the chip to what the board offers.  Sequence: plug_use_new(), plug_set() for
 * each property, then, while the board is wired, plugs_make().
 */
#ifndef HW_PLUG_H
#define HW_PLUG_H

#include "hw/machine.h"

struct dma8237;
struct pci_bus;
struct plug_bus;

enum prop_type {
    PROP_NUMBER,                /* uint64_t, from min to max */
    PROP_SIZE,                  /* uint64_t bytes, with K, M, G or T */
    PROP_BOOL,                  /* bool: as plug_bool() takes them */
    PROP_STRING,                /* const char * */
    PROP_MAC,                   /* uint8_t[6] */
    PROP_DRIVE,                 /* struct drive *, named by -drive's id */
    PROP_NETDEV,                /* struct net *, named by -netdev's id */
    PROP_CHARDEV,               /* struct chardev_slot *, named by -chardev's id */
    PROP_AUDIODEV,              /* struct audio *, named by -audiodev's id */
    PROP_WORD,                  /* unsigned: which of `words` */
    PROP_FSDEV,                 /* struct fs *, named by -fsdev's id */
    PROP_RNG,                   /* struct rng *, named by the id of -object rng-... */
};

struct prop {
    const char *name;
    enum prop_type type;
    size_t offset;              /* of the member */
    uint64_t min, max;          /* PROP_NUMBER, PROP_SIZE */
    const char *help;
    const char *const *words;   /* PROP_WORD: NULL behind the last */
};
#define PROP_END { NULL, 0, 0, 0, 0, NULL }

/* What every device has: id=, bus=, addr= (PCI: slot or slot.function, hexadecimal), bootindex=. */
struct plug_common {
    const char *id, *bus;
    int slot, fn;               /* slot -1: the first that is free */
    bool multifunction;         /* PCI: software shall look for more functions in its slot */
    int bootindex;              /* -1: the firmware is not told of it */
    char name[48];              /* for its chip, made by plugs_make(): unique, "e1000/net0" */
    char *boot_path;            /* PLUG_PATH_MAX bytes: how firmware names it, "": it has no name for it; plug_boot_path() */
};

#define PLUG_PATH_MAX 256       /* what firmware has room for */

struct plug_env {               /* what a board offers; zero but for what it sets */
    struct machine *m;
    struct pci_bus *pci;        /* while a PCI device is made, the bus it sits on; NULL: there is none */
    struct pci_bus *root;       /* plugs_make()'s: the first of them */
    struct dma8237 *dma;        /* NULL: there is none */
    struct irq (*isa_irq)(struct machine *, unsigned irq, unsigned source);
    struct irq gsi;             /* interrupt input n of the I/O APIC: gsi.set(gsi.to, n, level) */
    struct plug_bus *buses;
    unsigned isa_sources[16], made, groups;
    uint8_t serial, parallel;   /* bit n: COM n+1, LPT n+1 are there, at their usual places */
    uint16_t pvpanic;           /* the port of one that was made, for the ACPI tables; 0: none */
};

struct plug {
    const char *name, *what;
    const char *bus;            /* type of the bus it sits on: "PCI", "ISA", "IDE", "SCSI", "USB", ... */
    size_t size;                /* of the struct of its properties */
    const void *defaults;       /* one such struct; NULL: all zero. plug_common's part is not looked at */
    const struct prop *props;   /* besides those of struct plug_common */
    /* `bus` is what plug_bus_add() was given (PCI, ISA: NULL); PCI devices have a free slot. Dies on what cannot be
       wired. */
    void (*make)(struct plug_env *, void *bus, const void *props);
    /* PCI: how firmware names what it boots from there, for bootindex; '*' is the function's place. NULL: nothing to boot
       from, or make() says it by plug_boot_path(). */
    const char *boot;
    /* The bus has no place left: the next of its type is taken, where none is asked for. NULL: there is always one. */
    bool (*full)(const void *bus);
};

/* One device to be made. `props` and what its strings point to live as long as the machine. */
struct plug_use {
    const struct plug *plug;
    struct plug_common *props;
    struct plug_use *next;
    char boot_path[PLUG_PATH_MAX];
};

/* NULL behind the last. */
const struct plug *plug_nth(unsigned n);
/* virtio-NAME finds virtio-NAME-pci. NULL: there is none. */
const struct plug *plug_find(const char *name);
/* A device of that type with all properties at their defaults. */
struct plug_use *plug_use_new(const struct plug *);
void plug_use_free(struct plug_use *);
/* The property called `name` of that type, those of all devices included; NULL: there is none. */
const struct prop *plug_prop(const struct plug *, const char *name);

/* The n-th of those that all devices have; NULL behind the last. */
const struct prop *plug_common_nth(unsigned n);
/* It is one of that type's own. */
bool plug_own_prop(const struct plug *, const struct prop *);

/* What names in properties stand for; each returns NULL for a name it does not know. */
struct plug_names {
    struct drive *(*drive)(void *arg, const char *id);
    struct net *(*netdev)(void *arg, const char *id);
    struct chardev_slot *(*chardev)(void *arg, const char *id);
    struct audio *(*audiodev)(void *arg, const char *id);
    struct fs *(*fsdev)(void *arg, const char *id);
    struct rng *(*rng)(void *arg, const char *id);
    void *arg;
};
/* False: `why` says what is wrong with the value and what would be right. `val` must live as long as the machine. */
bool plug_set(struct plug_use *, const struct prop *, const char *val, const struct plug_names *, char *why,
              size_t len);

/* on, yes, true, y or their opposites, for every option. False: it is none of them. */
bool plug_bool(bool *to, const char *val);

/* Make all of a list, in its order. Dies naming the device that the board has no place for. */
void plugs_make(struct plug_env *, const struct plug_use *);

/* What the firmware boots from, by bootindex: a path a line, to be freed. strict: and from nothing else. NULL: no device has one. */
char *plugs_boot_order(const struct plug_use *, bool strict);

/* ---- for boards and devices ---- */

/* write-cache= of a disk device: is it on before the guest says so? `member` is an enum plug_cache; AUTO: it is. */
enum plug_cache { PLUG_CACHE_AUTO, PLUG_CACHE_ON, PLUG_CACHE_OFF };
extern const char *const plug_cache[];
#define WRITE_CACHE_PROP(type, member) \
    { "write-cache", PROP_WORD, offsetof(type, member), 0, 0, "whether it starts with its write cache on", plug_cache }

/* rotation_rate= of a disk: revolutions a minute; 1: it does not rotate, 0: it does not say (ACS-3 A.9.6, SBC-3 6.6.3). */
#define ROTATION_PROP(type, member) \
    { "rotation_rate", PROP_NUMBER, offsetof(type, member), 0, 0xfffe, "1: a solid-state disk; 0: not told; else revolutions a minute" }
/* Dies for values that mean nothing. */
void plug_check_rotation(const struct plug_common *, uint64_t rate);

/* werror= and rerror= of a disk device; `member` is its struct disk_policy (hw/disk_if.h). */
extern const char *const plug_on_error[];
#define DRIVE_ERROR_PROPS(type, member)                                                                       \
    { "werror", PROP_WORD, offsetof(type, member.write), 0, 0, "what becomes of failed writes", plug_on_error }, \
    { "rerror", PROP_WORD, offsetof(type, member.read), 0, 0, "what becomes of failed reads", plug_on_error }

/* A bus other devices can sit on: make() of those of this type, or that ask for it by bus=name, is given `bus`. */
void plug_bus_add(struct plug_env *, const char *type, const char *name, void *bus);
/* The bus of that name, NULL: there is none. */
void *plug_bus_find(const struct plug_env *, const char *name);
void plug_buses_free(struct plug_env *);        /* when all are made */
/* Firmware names the device so; a name it has no room for counts as none. */
void plug_boot_path(const struct plug_common *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What was found for a property romfile=, NULL: nothing. */
const struct rom_image *plug_rom(const struct plug_env *, const char *name);
/* A line to ISA interrupt `irq`, 3 to 15, shared with others. Dies where the board has no such lines left. */
struct irq plug_isa_irq(struct plug_env *, unsigned irq);

#endif
