/*
 * opt_machine.c - -m and -rtc: the machine's memory and its clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/size.h"
#include "hw/machine.h"
#include "main/options_priv.h"
#include "softmmu/mmu.h"

#define MIB ((uint64_t)1 << 20)
#define RAM_MIN (2 * MIB)
#define RAM_MAX (((uint64_t)1 << MMU_PA_BITS) - ((uint64_t)1 << 32))   /* what lies above 3 GiB starts at 4 */

static uint64_t memory_size(const char *opt, const char *val, const char *size)
{
    uint64_t n;

    if (!size || !size_parse(size, 20, &n))
        die(EXIT_CODE_USAGE, "%s %s: '%s' is not a memory size: use a number of MiB, or one with suffix K, M, G or T", opt, val,
            size ? size : "");
    return n;
}

/* Memory that could be plugged in: how much, and into how many slots. */
static void more_memory(const char *opt, const char *val, const struct arg_item *it)
{
    uint64_t n;

    if (strcmp(it->key, "maxmem") == 0)
        memory_size(opt, val, it->val);
    else if (strcmp(it->key, "slots"))
        die(EXIT_CODE_USAGE, "%s %s: unknown property '%s': use size=, slots= or maxmem=", opt, val, it->key);
    else if (!it->val || !arg_number(it->val, &n) || n > 256)
        die(EXIT_CODE_USAGE, "%s %s: slots=%s: use a number from 0 to 256", opt, val, it->val ? it->val : "");
}

void options_check_memory(const char *opt, const char *val, uint64_t n)
{
    if (n < RAM_MIN)
        die(EXIT_CODE_USAGE, "%s %s: too little memory: the machine needs at least %u MiB", opt, val,
            (unsigned)(RAM_MIN / MIB));
    if (n > RAM_MAX)
        die(EXIT_CODE_USAGE, "%s %s: too much memory: guest addresses have %u bits: use at most %uG", opt, val,
            MMU_PA_BITS, (unsigned)(RAM_MAX >> 30));
    if (n % 4096)
        die(EXIT_CODE_USAGE, "%s %s: not a multiple of 4 KiB", opt, val);
}

void opt_m(struct options *o, const char *opt, const char *val)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
    uint64_t n = o->cfg.ram ? o->cfg.ram : RAM_DEFAULT;
    struct arg_item it;
    bool first = true, more = false;

    for (const char *p = val; arg_next(&p, &it); first = false) {
        if ((first && !it.val) || strcmp(it.key, "size") == 0) {
            n = memory_size(opt, val, it.val ? it.val : it.key);
        } else {
            more_memory(opt, val, &it);
            more = true;
        }
    }
    if (more)
        arg_note("%s: slots= and maxmem= have no effect: no memory is plugged in while the machine runs", opt);
    options_check_memory(opt, val, n);
    if (pages > 0 && page > 0 && n / (uint64_t)page > (uint64_t)pages)
        arg_note("the guest gets more memory than this host has: if it uses all, this process may be killed");
    o->cfg.ram = n;
}

static bool date(const char *s, int64_t *out)
{
    struct tm tm = { 0 };
    char tail;
    int n = sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%c", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                   &tm.tm_sec, &tail);

    if ((n != 3 && n != 6) || (n == 3 && strlen(s) > 10) || tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
        tm.tm_mday < 1 || tm.tm_mday > 31 || (unsigned)tm.tm_hour > 23 || (unsigned)tm.tm_min > 59 ||
        (unsigned)tm.tm_sec > 59)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *out = (int64_t)timegm(&tm);
    return true;
}

void opt_rtc(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;

    while (arg_next(&val, &it)) {
        bool base = it.val && strcmp(it.key, "base") == 0;

        if (base && strcmp(it.val, "utc") == 0) {
            o->cfg.rtc_base = INT64_MIN;
            o->cfg.rtc_localtime = false;
        } else if (base && strcmp(it.val, "localtime") == 0) {
            o->cfg.rtc_base = INT64_MIN;
            o->cfg.rtc_localtime = true;
        } else if (base && !date(it.val, &o->cfg.rtc_base)) {
            die(EXIT_CODE_USAGE, "%s: base=%s: use utc, localtime or a date like 2006-06-17T16:01:21", opt, it.val);
        } else if (!base && it.val && strcmp(it.key, "clock") == 0) {
            /* The guest's time always follows the host's. */
            if (strcmp(it.val, "host") != 0 && strcmp(it.val, "rt") != 0)
                die(EXIT_CODE_USAGE, "%s: clock=%s: the guest's time follows the host's: use clock=host", opt, it.val);
        } else if (!base && it.val && strcmp(it.key, "driftfix") == 0) {
            if (strcmp(it.val, "slew") != 0 && strcmp(it.val, "none") != 0)
                die(EXIT_CODE_USAGE, "%s: driftfix=%s: use slew or none", opt, it.val);
            if (strcmp(it.val, "none") == 0)
                arg_note("%s: driftfix=none has no effect: the guest gets the ticks that came late", opt);
        } else if (!base) {
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use base=utc, base=localtime or base=DATE", opt, it.key);
        }
    }
}
