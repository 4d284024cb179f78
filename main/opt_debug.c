/*
 * opt_debug.c - -symbols: where names of guest addresses are from; -profile.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "debug/linux_guest.h"
#include "debug/profile.h"
#include "debug/symfile.h"
#include "main/options_priv.h"
#include "main/tick.h"
#include "main/vcpu.h"

struct symbols_arg {
    struct symbols_arg *next;
    const char *file;
    enum symfile_place place;
    uint64_t value;
};

void opt_symbols(struct options *o, const char *opt, const char *val)
{
    struct symbols_arg *a = calloc(1, sizeof(*a)), **at = &o->symbols;
    struct arg_item it;

    if (!a)
        die(EXIT_CODE_HOST, "out of memory");
    while (arg_next(&val, &it)) {
        bool offset = it.val && strcmp(it.key, "offset") == 0, base = it.val && strcmp(it.key, "base") == 0;

        if (!a->file && (!it.val || strcmp(it.key, "file") == 0))
            a->file = options_keep(o, it.val ? it.val : it.key);
        else if ((!offset && !base) || a->place != SYMFILE_AS_IS)
            die(EXIT_CODE_USAGE, "%s: '%s%s%s': use FILE, FILE,offset=N, FILE,base=ADDRESS or none", opt, it.key,
                it.val ? "=" : "", it.val ? it.val : "");
        else if (!arg_number(it.val[0] == '-' ? it.val + 1 : it.val, &a->value))
            die(EXIT_CODE_USAGE, "%s: %s=%s: use a number, hexadecimal with 0x", opt, it.key, it.val);
        else
            a->place = offset ? SYMFILE_OFFSET : SYMFILE_BASE;
        if ((offset || base) && it.val[0] == '-')
            a->value = -a->value;
    }
    if (!a->file)
        die(EXIT_CODE_USAGE, "%s: needs a file: an ELF file with symbols or a System.map", opt);
    if (strcmp(a->file, "none") == 0 || strcmp(a->file, "kallsyms") == 0) {
        o->no_kallsyms = strcmp(a->file, "none") == 0;
        free(a);
        return;
    }
    while (*at)
        at = &(*at)->next;
    *at = a;
}

void opt_profile(struct options *o, const char *opt, const char *val)
{
    static const struct { const char *name; enum unwind_how how; } hows[] = { { "auto", UNWIND_AUTO }, { "fp", UNWIND_FP },
                                                                            { "off", UNWIND_OFF } };
    struct arg_item it;

    o->profile = NULL;
    o->profile_hz = PROFILE_HZ;
    o->profile_how = UNWIND_AUTO;
    while (arg_next(&val, &it)) {
        uint64_t n;
        unsigned i = 0;

        if (!o->profile && (!it.val || strcmp(it.key, "file") == 0)) {
            o->profile = options_keep(o, it.val ? it.val : it.key);
        } else if (it.val && strcmp(it.key, "freq") == 0) {
            if (!arg_number(it.val, &n) || !n || n > PROFILE_HZ_MAX)
                die(EXIT_CODE_USAGE, "%s: freq=%s: use a number from 1 to %u", opt, it.val, PROFILE_HZ_MAX);
            o->profile_hz = (unsigned)n;
        } else if (it.val && strcmp(it.key, "stack") == 0) {
            while (i < 3 && strcmp(hows[i].name, it.val))
                i++;
            if (i == 3)
                die(EXIT_CODE_USAGE, "%s: stack=%s: use auto, fp or off", opt, it.val);
            o->profile_how = hows[i].how;
        } else {
            die(EXIT_CODE_USAGE, "%s: '%s%s%s': use FILE, freq=HZ or stack=auto, fp or off", opt, it.key,
                it.val ? "=" : "", it.val ? it.val : "");
        }
    }
    if (!o->profile || !*o->profile)
        die(EXIT_CODE_USAGE, "%s: needs the name of the files to write, without .folded and .svg", opt);
}

static const struct profile_ops profiling = { .start = tick_start, .stop = tick_stop };

void profile_open(struct machine *m, const struct options *o)
{
    char err[512];

    tick_init(m);
    m->profile = profile_new(m, &profiling);
    if (o->profile && !profile_files(m->profile, o->profile, err, sizeof(err)))
        die(EXIT_CODE_FILE, "-profile: %s", err);
}

void profile_begin(struct machine *m, const struct options *o)
{
    char err[512];

    if (o->profile && !profile_start(m->profile, o->profile_hz, o->profile_how, err, sizeof(err)))
        die(EXIT_CODE_HOST, "-profile: %s", err);
}

void symbols_open(struct machine *m, struct options *o)
{
    m->symbols = symbols_new();
    for (struct symbols_arg *a = o->symbols; a; a = a->next) {
        char err[512];
        struct symtab *t = symfile_read(a->file, a->place, a->value, err, sizeof(err));

        if (!t)
            die(EXIT_CODE_FILE, "-symbols: %s", err);
        symbols_add(m->symbols, t, a->place == SYMFILE_AS_IS);
    }
    m->linux_guest = linux_guest_new(m->symbols, !o->no_kallsyms);
}

void symbols_close(struct machine *m, struct options *o)
{
    linux_guest_free(m->linux_guest);
    symbols_free(m->symbols);
    m->symbols = NULL;
    for (struct symbols_arg *a = o->symbols, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    o->symbols = NULL;
}
