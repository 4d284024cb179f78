/*
 * opt_action.c - -action and -watchdog-action: what happens when the guest panics, its watchdog bites, or
 * it resets or powers off; and what the user is told of it.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "debug/control.h"
#include "main/options_priv.h"

struct word {
    const char *word;
    enum machine_action action;
};

static const struct word watchdog[] = {
    { "reset", ACTION_RESET }, { "shutdown", ACTION_POWER_BUTTON }, { "poweroff", ACTION_POWEROFF },
    { "pause", ACTION_PAUSE }, { "inject-nmi", ACTION_NMI }, { "none", ACTION_NONE }, { NULL, 0 }
};
static const struct word panic[] = {
    { "shutdown", ACTION_POWEROFF }, { "pause", ACTION_PAUSE }, { "exit-failure", ACTION_FAIL }, { "none", ACTION_NONE },
    { NULL, 0 }
};

static const struct word on_reboot[] = { { "reset", 0 }, { "shutdown", 1 }, { NULL, 0 } };
static const struct word on_shutdown[] = { { "poweroff", 0 }, { "pause", 1 }, { NULL, 0 } };

/* NULL: err says which there are. */
static const struct word *choose(const char *event, const char *val, const struct word *words, char *err, size_t len)
{
    size_t n;

    for (const struct word *w = words; w->word; w++)
        if (strcmp(w->word, val) == 0)
            return w;
    snprintf(err, len, "%s=%.60s: use ", event, val);
    for (const struct word *w = words; w->word; w++) {
        n = strlen(err);
        snprintf(err + n, len - n, "%s%s", w == words ? "" : w[1].word ? ", " : " or ", w->word);
    }
    return NULL;
}

bool options_action(struct machine_config *cfg, const char *event, const char *what, char *err, size_t len)
{
    static const struct { const char *event; const struct word *words; } events[] = {
        { "watchdog", watchdog }, { "panic", panic }, { "reboot", on_reboot }, { "shutdown", on_shutdown }
    };
    const struct word *w;
    unsigned i = 0;

    while (i < 4 && strcmp(events[i].event, event))
        i++;
    if (i == 4) {
        snprintf(err, len, "unknown event '%.60s': use watchdog=, panic=, reboot= or shutdown=", event);
        return false;
    }
    w = choose(event, what, events[i].words, err, len);
    if (!w)
        return false;
    switch (i) {
    case 0:  cfg->on_watchdog = w->action; break;
    case 1:  cfg->on_panic = w->action; break;
    case 2:  cfg->no_reboot = w->action; break;
    default: cfg->no_shutdown = w->action; break;
    }
    return true;
}

void opt_watchdog_action(struct options *o, const char *opt, const char *val)
{
    char err[256];

    if (!options_action(&o->cfg, "watchdog", val, err, sizeof(err)))
        die(EXIT_CODE_USAGE, "%s: %s", opt, err);
}

void opt_action(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;
    char err[256];

    while (arg_next(&val, &it))
        if (!options_action(&o->cfg, it.key, it.val ? it.val : "", err, sizeof(err)))
            die(EXIT_CODE_USAGE, "%s: %s", opt, err);
}

void options_tell_event(struct machine *m, enum machine_event what, const char *who)
{
    static const char *const done[] = {
        [ACTION_RESET] = "the machine is reset", [ACTION_POWEROFF] = "the machine is switched off",
        [ACTION_POWER_BUTTON] = "the power button is pressed", [ACTION_NMI] = "the guest gets an NMI",
        [ACTION_NONE] = "nothing is done", [ACTION_FAIL] = "the machine ends",
        [ACTION_PAUSE] = "the machine is stopped, and goes on by a monitor's 'cont'"
    };
    bool bitten = what == EVENT_WATCHDOG;

    if (bitten)
        fprintf(stderr, "latimer: %s: the guest did not feed its watchdog: %s\n", who,
                done[m->cfg.on_watchdog]);
    else if (what == EVENT_PANIC)
        fprintf(stderr, "latimer: %s: the guest has panicked: %s\n", who, done[m->cfg.on_panic]);
    else
        fprintf(stderr, "latimer: %s: the guest has panicked and goes on in its crash kernel\n", who);
    if (what != EVENT_CRASH_KERNEL && (bitten ? m->cfg.on_watchdog : m->cfg.on_panic) == ACTION_PAUSE)
        control_request(m->control, bitten ? RUN_WATCHDOG : RUN_PANICKED);
}
