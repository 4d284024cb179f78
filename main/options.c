/*
 * options.c - the command line in QEMU's spelling, by the table in options.def.
 *
 * Every name works with one dash and with two.  Later options overrule earlier ones, but for those
 * that add something (-serial, -device, -d).  Values are checked here as far as they can be without
 * making the machine, so that a typing mistake never gets as far as the terminal's raw mode.
 */
#include "main/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/log.h"
#include "base/nearest.h"
#include "frontend/cpu_model.h"
#include "host/conduit.h"
#include "host/keymap.h"
#include "hw/boards.h"
#include "hw/pcbase.h"
#include "main/firmware.h"
#include "main/options_priv.h"
#include "translator/backend.h"
#include "translator/exec.h"
#include "translator/features.h"

#define MIB ((uint64_t)1 << 20)

struct option {
    const char *section;        /* of rows that are only a heading */
    const char *names, *arg, *help;
    void (*set)(struct options *, const char *opt, const char *val);
};

/* ---- the options, in the table's order ---- */

/* What QEMU has of hardware virtualization, on all hosts. */
static bool hardware(const char *name)
{
    static const char *const names[] = { "kvm", "hvf", "whpx", "xen", "hax", "nvmm" };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void set_accel(struct options *o, const char *opt, const char *name)
{
    const char *next = strchr(name, ':');

    if (next) {                 /* the first of several that can be had: kvm:tcg */
        const char *one = options_keep(o, name);

        *strchr((char *)(uintptr_t)one, ':') = '\0';
        set_accel(o, opt, hardware(one) ? next + 1 : one);
        return;
    }
    if ((strcmp(name, "jit") == 0 || strcmp(name, "tcg") == 0) && backend_exists)
        o->interp = false;
    else if (strcmp(name, "jit") == 0 || strcmp(name, "tcg") == 0)
        die(EXIT_CODE_USAGE, "%s: this Latimer was built without a code generator (there is none for this kind of host, "
            "or it was configured with --disable-jit): use -accel interp, which is slow", opt);
    else if (strcmp(name, "interp") == 0)
        o->interp = true;
    else if (hardware(name))
        arg_note("hardware virtualization (%s) is never used: going on with %s", name, backend_exists ? "translation" : "interpretation");
    else
        die(EXIT_CODE_USAGE, "%s: unknown engine '%s': use jit or interp", opt, name);
}

static const struct board *const boards[] = { &board_micro, &board_none, &board_pc, &board_q35 };
#define BOARDS (sizeof(boards) / sizeof(boards[0]))

const struct board *options_board(unsigned n)
{
    return n < BOARDS ? boards[n] : NULL;
}

/* QEMU's versions of a board are this board: PREFIX and a version. */
static bool versioned(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(name, prefix, n) == 0 && isdigit((unsigned char)name[n]) && !name[n + strspn(name + n, "0123456789.")];
}

static const struct board *board(const char *opt, const char *name)
{
    if (versioned(name, "pc-i440fx-"))
        return &board_pc;
    if (versioned(name, "pc-q35-"))
        return &board_q35;
    for (unsigned i = 0; i < BOARDS; i++)
        if (strcmp(name, boards[i]->name) == 0)
            return boards[i];
    die(EXIT_CODE_USAGE, "%s: there is no machine '%s': use pc, q35, micro (with a kernel given by -kernel) or none", opt,
        name);
}

static bool smm_wanted(const char *opt, const char *val)
{
    if (strcmp(val, "on") && strcmp(val, "off") && strcmp(val, "auto"))
        die(EXIT_CODE_USAGE, "%s: smm=%s: use on, off or auto", opt, val);
    return strcmp(val, "off");
}

/* Properties that say nothing to a guest here: of KVM, and of how the host treats memory that could be merged. */
static bool without_effect(const char *key)
{
    static const char *const keys[] = { "kernel-irqchip", "kernel_irqchip", "mem-merge" };

    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

void opt_machine(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;
    bool first = true;

    if (arg_is_help(val)) {
        printf("Machines:\n");
        for (unsigned i = 0; i < BOARDS; i++)
            printf("  %-12s %s\n", boards[i]->name, boards[i]->what);
        exit(0);
    }
    for (; arg_next(&val, &it); first = false) {
        const char *name = !it.val && first ? it.key : strcmp(it.key, "type") == 0 ? it.val : NULL;

        if (name)
            o->cfg.board = board(opt, name);
        else if (it.val && strcmp(it.key, "accel") == 0)
            set_accel(o, opt, it.val);
        else if (it.val && strcmp(it.key, "pcspk-audiodev") == 0)
            o->pcspk = options_keep(o, it.val);
        else if (it.val && strcmp(it.key, "memory-backend") == 0)
            o->memory_backend = options_keep(o, it.val);
        else if (strcmp(it.key, "dump-guest-core") == 0)
            o->no_core = !arg_bool(opt, it.key, it.val);
        else if (it.val && strcmp(it.key, "smm") == 0)
            o->cfg.no_smm = !smm_wanted(opt, it.val);
        else if (strcmp(it.key, "hpet") == 0)
            o->cfg.no_hpet = !arg_bool(opt, it.key, it.val);
        else if (strcmp(it.key, "usb") == 0)
            o->usb = arg_bool(opt, it.key, it.val);
        else if (it.val && strcmp(it.key, "vmport") == 0 && strcmp(it.val, "on") != 0)
            continue;           /* there is none */
        else if (!it.val || !without_effect(it.key))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': only accel=, memory-backend=, smm=, hpet=, "
                                 "usb=, dump-guest-core=, vmport=off and pcspk-audiodev= are understood", opt,
                it.key);
    }
}

void opt_cpu(struct options *o, const char *opt, const char *val)
{
    if (arg_is_help(val)) {
        cpu_model_list(stdout);
        exit(0);
    }
    o->cpu = val;
}

void opt_smp(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;
    uint64_t n = 1;

    for (const char *p = val; arg_next(&p, &it);) {
        uint64_t x;

        if (!arg_number(it.val ? it.val : it.key, &x) || x < 1)
            die(EXIT_CODE_USAGE, "%s %s: '%s' is no number of processors: use %s 1", opt, val, it.val ? it.val : it.key, opt);
        if (!it.val || strcmp(it.key, "cpus") == 0)
            n = x;
        else if (strcmp(it.key, "sockets") && strcmp(it.key, "cores") && strcmp(it.key, "threads") && strcmp(it.key, "maxcpus"))
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use cpus, sockets, cores, threads or maxcpus", opt, it.key);
    }
    if (n > PC_MAX_CPUS)
        die(EXIT_CODE_USAGE, "%s %s: the machine takes at most %u processors, and this version runs one: use %s 1",
            opt, val, PC_MAX_CPUS, opt);
    if (n > 1)
        die(EXIT_CODE_USAGE, "%s %s: more than one processor is not implemented yet: use %s 1", opt, val, opt);
    o->cfg.cpus = (unsigned)n;
}

static void host_feature(struct options *o, const char *opt, const char *word)
{
    char why[400];
    bool usage;

    if (!features_word(word, &o->no_features, &usage, why, sizeof(why)))
        die(usage ? EXIT_CODE_USAGE : EXIT_CODE_HOST, "%s: host-features: %s", opt, why);
}

static void set_tso(struct options *o, const char *opt, const char *val)
{
    if (strcmp(val, "off") && strcmp(val, "on") && strcmp(val, "host"))
        die(EXIT_CODE_USAGE, "%s: tso=%s: use on, off or host", opt, val);
    o->tso = strcmp(val, "off") != 0;
    o->host_tso = strcmp(val, "host") == 0;
    if (o->host_tso && !backend_tso())
        die(EXIT_CODE_HOST, "%s: tso=host: this host's kernel or processor has no mode with x86's memory order: use "
            "tso=on", opt);
}

void opt_accel(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;
    bool first = true, listing = false;

    if (arg_is_help(val)) {
        if (backend_exists)
            printf("Engines:\n  jit          guest code is translated to host code (default)\n"
                   "  interp       guest code is interpreted; slow, the reference\n"
                   "  tcg          the same as jit\n  kvm          accepted with a note, the same as jit\n");
        else
            printf("Engines:\n  interp       guest code is interpreted; slow (default)\n"
                   "  kvm          accepted with a note, the same as interp\n"
                   "There is no jit: this Latimer was built without a code generator.\n");
        if (backend_exists) {
            printf("Features of the host that translated code uses (host-features=), and whether this one has them:\n");
            features_print(stdout);
        }
        exit(0);
    }
    for (; arg_next(&val, &it); first = false) {
        uint64_t n;

        if (first) {
            set_accel(o, opt, it.val ? it.val : it.key);
        } else if (it.val && strcmp(it.key, "tb-size") == 0) {
            if (!arg_number(it.val, &n) || n < 8 || n > 2047)
                die(EXIT_CODE_USAGE, "%s: tb-size=%s: use a number of MiB from 8 to 2047", opt, it.val);
            if (n > backend_max_mib) {
                arg_note("translated code cannot be spread over more than %u MiB on this kind of host: using that for "
                     "tb-size=%s", backend_max_mib, it.val);
                n = backend_max_mib;
            }
            o->cache_size = n * MIB;
        } else if (it.val && strcmp(it.key, "hot") == 0) {
            if (!arg_number(it.val, &n) || n > 1000000000)
                die(EXIT_CODE_USAGE, "%s: hot=%s: use a number of executions from 0 to 1000000000", opt, it.val);
            o->hot = (unsigned)n;
        } else if (it.val && strcmp(it.key, "tso") == 0) {
            set_tso(o, opt, it.val);
        } else if (it.val && strcmp(it.key, "host-features") == 0) {
            host_feature(o, opt, it.val);
            listing = true;
            continue;
        } else if (listing && !it.val) {
            host_feature(o, opt, it.key);               /* the list goes on */
            continue;
        } else if (it.val && strcmp(it.key, "thread") == 0) {           /* one processor: nothing to choose */
            if (strcmp(it.val, "single") && strcmp(it.val, "multi"))
                die(EXIT_CODE_USAGE, "%s: thread=%s: use single or multi", opt, it.val);
        } else {
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': only tb-size=, hot=, tso= and host-features= are understood",
                opt, it.key);
        }
        listing = false;
    }
}

void opt_enable_kvm(struct options *o, const char *opt, const char *val)
{
    set_accel(o, opt, "kvm");
}

void opt_name(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;

    while (arg_next(&val, &it)) {
        if (!it.val || strcmp(it.key, "guest") == 0 || strcmp(it.key, "process") == 0)
            snprintf(o->name, sizeof(o->name), "%s", it.val ? it.val : it.key);
        else if (strcmp(it.key, "debug-threads") != 0)
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use guest= or process=", opt, it.key);
    }
}

void opt_no_hpet(struct options *o, const char *opt, const char *val)
{
    o->cfg.no_hpet = true;
}

void opt_no_fd_bootchk(struct options *o, const char *opt, const char *val)
{
    o->cfg.firmware.any_floppy = true;
}

void opt_daemonize(struct options *o, const char *opt, const char *val)
{
    o->daemonize = true;
}

void opt_pidfile(struct options *o, const char *opt, const char *val)
{
    o->pidfile = val;
}

void opt_bios(struct options *o, const char *opt, const char *val)
{
    o->bios = val;
}

void opt_L(struct options *o, const char *opt, const char *val)
{
    struct stat st;

    if (arg_is_help(val)) {
        firmware_folders(stdout);
        exit(0);
    }
    if (o->ndir == DATA_DIRS)
        die(EXIT_CODE_USAGE, "%s: more than %u folders", opt, DATA_DIRS);
    if (stat(val, &st) < 0)
        arg_note("%s %s: %s: no firmware is looked for there", opt, val, strerror(errno));
    else if (!S_ISDIR(st.st_mode))
        arg_note("%s %s: no folder: no firmware is looked for there (-bios FILE names a firmware)", opt, val);
    o->dir[o->ndir++] = val;
}

void opt_kernel(struct options *o, const char *opt, const char *val)
{
    o->cfg.kernel = val;
}

void opt_initrd(struct options *o, const char *opt, const char *val)
{
    o->cfg.initrd = val;
}

void opt_append(struct options *o, const char *opt, const char *val)
{
    o->cfg.append = val;
}

void opt_S(struct options *o, const char *opt, const char *val)
{
    o->cfg.paused = true;
}

void opt_gdb(struct options *o, const char *opt, const char *val)
{
    if (o->gdb)
        die(EXIT_CODE_USAGE, "%s: there can be one debugger: -gdb %s was given before", opt, o->gdb);
    o->gdb = val;
}

void opt_s(struct options *o, const char *opt, const char *val)
{
    opt_gdb(o, opt, "tcp::1234");
}

void opt_no_reboot(struct options *o, const char *opt, const char *val)
{
    o->cfg.no_reboot = true;
}

void opt_incoming(struct options *o, const char *opt, const char *val)
{
    if (strcmp(val, "defer") && !conduit_known(val))
        die(EXIT_CODE_USAGE, "-incoming %s: use tcp:HOST:PORT, unix:PATH, exec:COMMAND, fd:NUMBER, file:PATH or defer", val);
    o->incoming = options_keep(o, val);
}

void opt_loadvm(struct options *o, const char *opt, const char *val)
{
    o->loadvm = options_keep(o, val);
}

void opt_no_shutdown(struct options *o, const char *opt, const char *val)
{
    o->cfg.no_shutdown = true;
}

void opt_serial(struct options *o, const char *opt, const char *val)
{
    if (arg_is_help(val)) {
        printf("Serial ports: stdio mon:stdio file:PATH pipe:PATH pty /dev/... null none tcp:HOST:PORT telnet:HOST:PORT unix:PATH "
               "udp:HOST:PORT@HOST:PORT chardev:ID\n");
        exit(0);
    }
    if (o->nserial == SERIAL_MAX)
        die(EXIT_CODE_USAGE, "%s: the machine has %u serial ports", opt, SERIAL_MAX);
    o->serial[o->nserial++] = val;
}

void opt_parallel(struct options *o, const char *opt, const char *val)
{
    if (strcmp(val, "none") == 0) {
        o->no_parallel = true;
        return;
    }
    if (o->nparallel == PARALLEL_MAX)
        die(EXIT_CODE_USAGE, "%s: the machine has %u parallel ports", opt, PARALLEL_MAX);
    o->parallel[o->nparallel++] = val;
}

void opt_debugcon(struct options *o, const char *opt, const char *val)
{
    o->debugcon = val;
}

static uint16_t port(const char *opt, const char *key, const char *val)
{
    uint64_t n;

    if (!val || !arg_number(val, &n) || n > 0xffff)
        die(EXIT_CODE_USAGE, "%s: %s=%s: use a number from 0 to 0xffff", opt, key, val ? val : "");
    return (uint16_t)n;
}

/* No machine sleeps with its memory kept (S3) or written out (S4): who turns that off has it so. */
static bool sleep_state(const char *opt, const char *name, const char *val)
{
    static const char *const names[] = {
        "PIIX4_PM.disable_s3", "PIIX4_PM.disable_s4", "ICH9-LPC.disable_s3", "ICH9-LPC.disable_s4"
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name))
            continue;
        if (!arg_bool(opt, name, strcmp(val, "1") == 0 ? "on" : strcmp(val, "0") == 0 ? "off" : val))
            arg_note("%s: %s=%s: no machine has that sleep state, it stays off", opt, name, val);
        return true;
    }
    return false;
}

static void global(struct options *o, const char *opt, const char *name, const char *val)
{
    uint64_t n;

    if (val && strcmp(name, "isa-debugcon.iobase") == 0) {
        o->cfg.debugcon_port = port(opt, name, val);
    } else if (val && strcmp(name, "cfi.pflash01.secure") == 0) {
        if (strcmp(val, "on") && strcmp(val, "off"))
            die(EXIT_CODE_USAGE, "%s: %s=%s: use on or off", opt, name, val);
        o->cfg.flash_secure = strcmp(val, "on") == 0;
    } else if (val && strcmp(name, "mch.extended-tseg-mbytes") == 0) {
        if (!arg_number(val, &n) || n > 64)
            die(EXIT_CODE_USAGE, "%s: %s=%s: use a number from 0 to 64", opt, name, val);
        o->cfg.ext_tseg = (unsigned)n;
    } else if (val && sleep_state(opt, name, val)) {
        ;
    } else {
        die(EXIT_CODE_USAGE, "%s: unknown property '%s': isa-debugcon.iobase=, cfi.pflash01.secure=, "
            "mch.extended-tseg-mbytes=, PIIX4_PM.disable_s3=, ICH9-LPC.disable_s3= and disable_s4= are understood", opt, name);
    }
}

void opt_global(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;
    const char *driver = NULL, *property = NULL;
    char name[64];

    /* DRIVER.PROPERTY=VALUE, or driver=DRIVER,property=PROPERTY,value=VALUE */
    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "driver") == 0) {
            driver = options_keep(o, it.val);
        } else if (it.val && driver && strcmp(it.key, "property") == 0) {
            property = options_keep(o, it.val);
        } else if (it.val && property && strcmp(it.key, "value") == 0) {
            snprintf(name, sizeof(name), "%s.%s", driver, property);
            global(o, opt, name, it.val);
        } else {
            global(o, opt, it.key, it.val);
        }
    }
}

void opt_nodefaults(struct options *o, const char *opt, const char *val)
{
    o->nodefaults = true;
}

void opt_uuid(struct options *o, const char *opt, const char *val)
{
    unsigned n = 0;
    const char *s = val;

    for (; n < 16 && isxdigit((unsigned char)s[0]) && isxdigit((unsigned char)s[1]); n++) {
        o->cfg.uuid[n] = (uint8_t)strtoul((char[]){ s[0], s[1], 0 }, NULL, 16);
        s += 2;
        if (n == 3 || n == 5 || n == 7 || n == 9)
            s += *s == '-';
    }
    if (n < 16 || *s)
        die(EXIT_CODE_USAGE, "%s %s: no UUID: use one like 550e8400-e29b-41d4-a716-446655440000", opt, val);
}

void opt_check(struct options *o, const char *opt, const char *val)
{
    o->check = true;
}

void opt_d(struct options *o, const char *opt, const char *val)
{
    struct nearest near;
    char bad[64];

    if (arg_is_help(val)) {
        log_help(stdout);
        exit(0);
    }
    if (log_parse(val, bad, sizeof(bad)))
        return;
    nearest_init(&near, bad, "");
    log_names(&near);
    if (near.list[0])
        die(EXIT_CODE_USAGE, "%s %s: unknown log item '%s': did you mean %s? (%s help lists all)", opt, val,
            bad, near.list, opt);
    die(EXIT_CODE_USAGE, "%s %s: unknown log item '%s': %s help lists what there is", opt, val, bad, opt);
}

void opt_dfilter(struct options *o, const char *opt, const char *val)
{
    if (!log_filter(val))
        die(EXIT_CODE_USAGE, "%s %s: not an address range: write START+SIZE, START-SIZE or START..END, as in "
            "0x7c00+0x200, several with commas", opt, val);
}

/* %d in the name is the process's number, as with QEMU: several Latimers of one script. */
void opt_D(struct options *o, const char *opt, const char *val)
{
    const char *number = strstr(val, "%d");
    size_t room = strlen(val) + 16;
    char *name = malloc(room);
    FILE *f;

    if (!name)
        die(EXIT_CODE_HOST, "out of memory for options");
    if (number)
        snprintf(name, room, "%.*s%d%s", (int)(number - val), val, (int)getpid(), number + 2);
    else
        memcpy(name, val, strlen(val) + 1);
    f = fopen(name, "we");
    if (!f)
        die(EXIT_CODE_FILE, "%s: cannot write the log file %s: %s", opt, name, strerror(errno));
    free(name);
    log_set_file(f);
}

/* ---- the table ---- */

static const struct option table[] = {
#define SECTION(title) { title, NULL, NULL, NULL, NULL },
#define OPT(id, names, arg, help) { NULL, names, arg, help, opt_##id },
#include "main/options.def"
#undef SECTION
#undef OPT
};
#define ROWS (sizeof(table) / sizeof(table[0]))

bool options_nth(unsigned n, const char **names, const char **usage)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (!table[i].names || n--)
            continue;
        *names = table[i].names;
        *usage = table[i].arg;
        return true;
    }
    return false;
}

/* Words of `text`, from column `from` to 95. */
static void wrap(const char *text, unsigned from)
{
    unsigned col = from;

    while (*text) {
        unsigned n = (unsigned)strcspn(text, " ");

        if (col > from && col + 1 + n > 95) {
            printf("\n%*s", (int)from, "");
            col = from;
        }
        col += (unsigned)printf("%s%.*s", col > from ? " " : "", (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
    printf("\n");
}

void opt_help(struct options *o, const char *opt, const char *val)
{
    static const struct { const char *code, *meaning; } exits[] = {
#define EXIT(code, meaning) { code, meaning },
#include "main/exits.def"
#undef EXIT
    };

    printf("usage: latimer [OPTION]... [DISK]   (boots the firmware: from DISK, or what the options name)\n"
           "       latimer -kernel FILE [-initrd FILE] [-append LINE] [OPTION]...\n"
           "       latimer image COMMAND ... (disk images: latimer image --help)\n"
           "Runs an x86 PC by translation.  Options take one dash or two.\n");
    for (unsigned i = 0; i < ROWS; i++) {
        const struct option *p = &table[i];
        int col = 0;

        if (p->section) {
            printf("\n%s\n", p->section);
            continue;
        }
        for (const char *n = p->names; *n;) {
            int len = (int)strcspn(n, " ");

            col += printf("%s-%.*s", col ? ", " : "  ", len, n);
            n += len;
            n += *n == ' ';
        }
        if (p->arg)
            col += printf(" %s", p->arg);
        if (col > 23) {
            printf("\n");
            col = 0;
        }
        printf("%*s", 24 - col, "");
        wrap(p->help, 24);
    }
    printf("\nExit codes\n");
    for (unsigned i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        printf("  %-20s  ", exits[i].code);
        wrap(exits[i].meaning, 24);
    }
    exit(0);
}

void opt_version(struct options *o, const char *opt, const char *val)
{
    printf("Latimer version %s\n", val);
    exit(0);
}

/* ---- the parser ---- */

bool options_has_name(const char *names, const char *name)
{
    size_t n = strlen(name);

    for (const char *s = names; n && s && *s;) {
        size_t len = strcspn(s, " ");

        if (len == n && memcmp(s, name, n) == 0)
            return true;
        s += len;
        s += *s == ' ';
    }
    return false;
}

static const struct option *find(const char *name)
{
    for (unsigned i = 0; i < ROWS; i++)
        if (table[i].names && options_has_name(table[i].names, name))
            return &table[i];
    return NULL;
}

static void __attribute__((noreturn)) unknown(const char *arg, const char *name)
{
    struct nearest near;

    nearest_init(&near, name, "-");
    for (unsigned i = 0; i < ROWS; i++) {
        for (const char *s = table[i].names; s && *s;) {
            size_t n = strcspn(s, " ");

            nearest_try(&near, s, n);
            s += n;
            s += *s == ' ';
        }
    }
    if (near.list[0])
        die(EXIT_CODE_USAGE, "unknown option %s: did you mean %s? (--help lists all)", arg, near.list);
    die(EXIT_CODE_USAGE, "unknown option %s: --help lists what there is", arg);
}

void options_parse(struct options *o, int argc, char **argv, const char *version)
{
    memset(o, 0, sizeof(*o));
    o->fds = fds_new();
    o->interp = !backend_exists;
    o->hot = EXEC_HOT;
    o->cfg.cpus = 1;
    o->cfg.rtc_base = INT64_MIN;
    o->cfg.debugcon_port = 0xe9;
    o->cfg.ext_tseg = 16;
    o->cfg.on_panic = ACTION_POWEROFF;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *name = arg + 1;
        const struct option *p;
        bool takes_arg;

        if (arg[0] != '-') {
            opt_hda(o, arg, arg);
            continue;
        }
        name += *name == '-';
        p = find(name);
        if (!p && options_foreign(arg, name, &takes_arg)) {
            i += takes_arg;
            continue;
        }
        if (!p)
            unknown(arg, name);
        if (p->arg && ++i == argc)
            die(EXIT_CODE_USAGE, "%s needs an argument: %s %s", arg, arg, p->arg);
        p->set(o, arg, p->arg ? argv[i] : version);
    }
    if (o->check && !backend_exists)
        die(EXIT_CODE_USAGE, "--check compares the interpreter with translated code, and this Latimer was built without "
            "a code generator");
    if (o->check && o->interp)
        die(EXIT_CODE_USAGE, "--check compares the interpreter with translated code: leave out -accel interp");
    if (o->incoming && o->loadvm)
        die(EXIT_CODE_USAGE, "-incoming and -loadvm both say what the machine becomes: leave one out");
    if (!o->cfg.board)
        o->cfg.board = o->cfg.kernel && !o->drives ? &board_micro : &board_pc;
    options_memory(o);
    if (o->cfg.kernel && o->cfg.board->bare)
        die(EXIT_CODE_USAGE, "-kernel: machine %s has no processor to run it: use -machine pc or micro", o->cfg.board->name);
    if (!o->cfg.kernel && !o->cfg.board->firmware && !o->cfg.board->bare)
        die(EXIT_CODE_USAGE, "no kernel: this machine has no firmware, give one with -kernel FILE (--help lists the "
            "options)");
    if (o->bios && !o->cfg.board->firmware)
        die(EXIT_CODE_USAGE, "-bios: machine %s has no firmware: use -machine pc", o->cfg.board->name);
    if (o->bios && o->cfg.kernel)
        arg_note("the kernel is loaded directly: the firmware given by -bios does not run");
    if (!o->nserial && !o->nodefaults && !options_asked_for(o, "isa-serial"))
        o->serial[o->nserial++] = o->daemonize || o->display == DISPLAY_TEXT || (o->debugcon && strstr(o->debugcon, "stdio")) ||
                                  options_monitor_stdio(o) ? "null" : "mon:stdio";
    if (!o->nparallel && !o->no_parallel && o->cfg.board->firmware && !o->nodefaults && !options_asked_for(o, "isa-parallel"))
        o->parallel[o->nparallel++] = "null";
    options_firmware(o);
    options_drives(o);
    options_nics(o);
    options_usb(o);
    options_devices(o);
    options_macs(o);
    options_display(o);
    options_speaker(o);
}

struct kept {
    struct kept *next;
    char text[];
};

const char *options_keep(struct options *o, const char *text)
{
    size_t n = strlen(text) + 1;
    struct kept *k = malloc(sizeof(*k) + n);

    if (!k)
        die(EXIT_CODE_HOST, "out of memory");
    memcpy(k->text, text, n);
    k->next = o->kept;
    o->kept = k;
    return k->text;
}

void options_free(struct options *o)
{
    for (struct plug_use *u = o->devices, *next; u; u = next) {
        next = u->next;
        plug_use_free(u);
    }
    keymap_free(o->keymap);
    drives_free(o->drives);
    netdevs_free(o->netdevs);
    chardevs_free(o->chardevs);
    audiodevs_free(o->audiodevs);
    objects_free(o);
    fsdevs_free(o->fsdevs);
    fds_free(o->fds);
    for (struct kept *k = o->kept, *next; k; k = next) {
        next = k->next;
        free(k);
    }
}
