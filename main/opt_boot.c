/*
 * opt_boot.c - -boot: what the firmware boots from.
 */
#include <string.h>

#include "base/log.h"
#include "hw/pcfirm.h"
#include "main/options_priv.h"

static const char *order(struct options *o, const char *opt, const char *val)
{
    if (!pcfirm_order_known(val))
        die(EXIT_CODE_USAGE, "%s: order '%s': use each of a (floppy), c (disk), d (CD) and n (network) at most once", opt, val);
    return options_keep(o, val);
}

static unsigned milliseconds(const char *opt, const struct arg_item *it, unsigned max)
{
    uint64_t n;

    if (!it->val || !arg_number(it->val, &n) || n > max)
        die(EXIT_CODE_USAGE, "%s: %s=%s: use milliseconds from 0 to %u", opt, it->key, it->val ? it->val : "", max);
    return (unsigned)n;
}

void opt_boot(struct options *o, const char *opt, const char *val)
{
    struct arg_item it;

    for (bool first = true; arg_next(&val, &it); first = false) {
        if (first && !it.val)
            o->cfg.firmware.order = order(o, opt, it.key);
        else if (it.val && strcmp(it.key, "order") == 0)
            o->cfg.firmware.order = order(o, opt, it.val);
        else if (it.val && strcmp(it.key, "once") == 0)
            o->cfg.firmware.once = order(o, opt, it.val);
        else if (strcmp(it.key, "menu") == 0)
            o->cfg.firmware.menu = arg_bool(opt, it.key, it.val);
        else if (strcmp(it.key, "strict") == 0)
            o->cfg.firmware.strict = arg_bool(opt, it.key, it.val);
        else if (it.val && strcmp(it.key, "splash") == 0)
            options_splash(o, opt, it.val);
        else if (strcmp(it.key, "splash-time") == 0)
            o->cfg.firmware.splash_ms = milliseconds(opt, &it, 65535);
        else if (it.val && strcmp(it.key, "reboot-timeout") == 0 && strcmp(it.val, "-1") == 0)
            o->cfg.firmware.retry_ms = -1;
        else if (strcmp(it.key, "reboot-timeout") == 0)
            o->cfg.firmware.retry_ms = (int)milliseconds(opt, &it, 65535);
        else
            die(EXIT_CODE_USAGE, "%s: unknown property '%s': use order, once, menu, strict, splash, splash-time or "
                "reboot-timeout", opt, it.key);
    }
}
