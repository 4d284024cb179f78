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

static enum machine_action choose(const char *opt, const char *key, const char *val, const struct word *words)
{
    char list[128] = "";

    for (const struct word *w = words; w->word; w++) {
        if (strcmp(w->word, val) == 0)
            return w->action;
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", w == words ? "" : w[1].word ?
                 ", " : " or ",
                 w->word);
    }
    die(EXIT_CODE_USAGE, "%s: %s=%s: use %s", opt, key, val, list);
}

void opt_watchdog_action(struct options *o, const char *opt, const char *val)
{
    o->cfg.on_watchdog = choose(opt, "action", val, watchdog);
}

void opt_action(struct options *o, const char *opt, const char *val)
{
    static const struct word reboot[] = { { "reset", 0 }, { "shutdown", 1 }, { NULL, 0 } };
    static const struct word shutdown[] = { { "poweroff", 0 }, { "pause", 1 }, { NULL, 0 } };
    struct arg_item it;

    while (arg_next(&val, &it)) {
        if (it.val && strcmp(it.key, "watchdog") == 0)
            o->cfg.on_watchdog = choose(opt, it.key, it.val, watchdog);
        else if (it.val && strcmp(it.key, "panic") == 0)
            o->cfg.on_panic = choose(opt, it.key, it.val, panic);
        else if (it.val && strcmp(it.key, "reboot") == 0)
            o->cfg.no_reboot = choose(opt, it.key, it.val, reboot);
        else if (it.val && strcmp(it.key, "shutdown") == 0)
            o->cfg.no_shutdown = choose(opt, it.key, it.val, shutdown);
        else
            die(EXIT_CODE_USAGE, "%s: unknown event '%s': use watchdog=, panic=, reboot= or shutdown=", opt,
                it.key);
    }
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
