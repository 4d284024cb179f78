/*
 * options.h - the command line (options.def).
 */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include "host/displays.h"
#include "host/memdev.h"
#include "host/rng.h"
#include "host/secret.h"
#include "hw/plug.h"
#include "hw/smbios.h"
#include "main/chardevs.h"
#include "main/drives.h"
#include "main/netdevs.h"

#define SERIAL_MAX 4
#define PARALLEL_MAX 3
#define DATA_DIRS 16

enum display_kind { DISPLAY_NONE, DISPLAY_SDL, DISPLAY_TEXT };
enum vga_kind { VGA_DEFAULT, VGA_STD, VGA_NONE };

struct options {
    struct machine_config cfg;  /* without its chardevs: those are named below */
    const char *serial[SERIAL_MAX];
    unsigned nserial;
    const char *debugcon;
    const char *parallel[PARALLEL_MAX];
    unsigned nparallel;
    bool no_parallel;           /* -parallel none: not the default one either */
    struct smbios_given smbios; /* -smbios; cfg.smbios points here where there is one */
    const char *bios;           /* as given; NULL: the board's usual one */
    const char *dir[DATA_DIRS]; /* -L: where firmware is looked for first */
    unsigned ndir;
    const char *incoming;       /* where the machine comes from, NULL: it begins here */
    const char *loadvm;         /* a snapshot to begin with, NULL: none */
    const char *cpu;            /* for cpu_model_parse(), NULL: the default */
    char name[16];              /* of the process; empty: as started */
    bool daemonize;
    const char *pidfile;        /* NULL: none */
    const char *gdb;            /* for gdb_new(), NULL: no debugger */
    bool interp, check;
    bool verify;                /* the IR, after lifting and after the walk back */
    bool nodefaults;
    enum display_kind display;
    bool display_set, display_default;  /* by an option; by what the host has */
    bool full_screen, vnc;
    struct vnc_config vnc_config;
    const char *vnc_secret, *vnc_audiodev;      /* -vnc password-secret=, audiodev=; NULL: none */
    enum vga_kind vga;
    struct keymap *keymap;      /* -k; NULL: the default */
    const char *dump;           /* -screendump; NULL: none */
    unsigned hot;               /* executions after which a block is translated as a whole, exec.h */
    uint64_t no_features;       /* of the host, exec.h */
    bool tso, host_tso;         /* x86's memory order also with one processor; by a mode of the host */
    uint64_t cache_size;        /* bytes of translated code, 0: the default */
    struct control_watcher drives_watcher, nets_watcher;
    struct chardevs_watcher chardevs_watcher;
    struct drive_arg *drives;   /* -drive and its short forms, in their order */
    const char *pcspk;          /* -machine pcspk-audiodev= */
    struct audiodev *audiodevs; /* -audiodev, in their order */
    struct fsdev_arg *fsdevs;   /* -fsdev and -virtfs, in their order */
    struct memdev *memdevs;     /* memory backends: -object, and the machine's own */
    struct secret *secrets;     /* -object secret */
    struct rng_source *rngs;    /* -object rng-random and rng-builtin */
    const char *memory_backend; /* -machine memory-backend=; NULL: its own */
    struct memdev *memory;      /* what that is; NULL: the machine has none */
    const char *mem_path;       /* -mem-path; NULL: none */
    bool mem_prealloc;
    bool no_core;               /* -machine dump-guest-core=off */
    bool snapshot;              /* -snapshot: of all drives */
    bool usb;                   /* -usb */
    unsigned usb_disks;         /* -usbdevice disk: */
    struct netdev_arg *netdevs; /* -netdev and its short forms, in their order */
    struct nic_arg *nics;       /* -nic, -net nic */
    struct dump_arg *dumps;     /* filter-dump */
    bool net_given;             /* some of these: no default network */
    struct symbols_arg *symbols;        /* -symbols, in their order */
    bool perfmap, jitdump;      /* -perfmap, -jitdump */
    struct perf *perf;          /* what they opened */
    const char *profile;        /* -profile: the files' name; NULL: no profiler */
    unsigned profile_hz, profile_how;   /* how: enum unwind_how */
    bool no_kallsyms;           /* -symbols none */
    struct fds *fds;            /* base/fds.h: of -add-fd and, while the machine runs, of QMP */
    struct chardev_arg *chardevs;       /* -chardev, in their order */
    struct monitor_arg *monitors;       /* -monitor, -mon, -qmp, in their order */
    bool nographic;             /* asked for by name */
    struct device_arg *device_args;     /* -device, in their order */
    struct plug_use *devices, **last_device;
    struct kept *kept;          /* options_keep() */
};

/*
 * Reads the command line.  Dies with EXIT_CODE_USAGE and a message that says what is wrong; prints
 * and exits with 0 for -help, -version and the help arguments.  version: what -version says.
 */
void options_parse(struct options *o, int argc, char **argv, const char *version);
/* The kinds of machine, NULL behind the last. */
const struct board *options_board(unsigned n);
/* The n-th option: its names, parted by blanks, and its usage, NULL: it has no value. False: there are no more. */
bool options_nth(unsigned n, const char **names, const char **usage);
/* opt_trace.c: the files of -perfmap and -jitdump, before there is code; perf_close(o->perf). */
void host_perf_open(struct options *);
/* opt_debug.c: what -profile asked for, when vCPUs have their threads. */
void profile_begin(struct machine *, const struct options *);
/* After the machine has gone. */
void options_free(struct options *o);

#endif
