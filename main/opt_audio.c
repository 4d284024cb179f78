/*
 * opt_audio.c - -audiodev and -audio: where sound goes, for devices with audiodev=ID; and opening all of
 * that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "host/audiodev.h"
#include "hw/machine.h"
#include "main/options_priv.h"

#define RATE_MIN 8000

struct audio *audiodev_find(struct audiodev *list, const char *id)
{
    for (struct audiodev *d = list; d; d = d->next)
        if (strcmp(d->audio.id, id) == 0)
            return &d->audio;
    return NULL;
}

static void list_drivers(void)
{
    const char *name;

    printf("Sound drivers (-audiodev DRIVER,id=ID):\n");
    for (unsigned i = 0; (name = audiodev_driver(i)); i++)
        printf("  %s\n", name);
    exit(0);
}

static const char *driver_of(const char *opt, const char *name)
{
    const char *known;

    if (arg_is_help(name))
        list_drivers();
    for (unsigned i = 0; (known = audiodev_driver(i)); i++)
        if (strcmp(known, name) == 0)
            return known;
    if (strcmp(name, "sdl") == 0)
        die(EXIT_CODE_USAGE, "%s %s: this Latimer was built without SDL: use none or wav", opt, name);
    die(EXIT_CODE_USAGE, "%s: there is no driver '%s': %s help lists what there is", opt, name, opt);
}

static unsigned rate_of(const char *opt, const struct arg_item *it)
{
    uint64_t n;

    if (!arg_number(it->val, &n) || n < RATE_MIN || n > AUDIO_RATE_MAX)
        die(EXIT_CODE_USAGE, "%s: %s=%s: use a number from %u to %u", opt, it->key, it->val, RATE_MIN,
            AUDIO_RATE_MAX);
    return n;
}

/* What both options have. False: `it` is something else. */
static bool set(struct options *o, struct audiodev *d, const char *opt, const struct arg_item *it)
{
    if (!it->val)
        return false;
    if (strcmp(it->key, "id") == 0)
        d->audio.id = options_keep(o, it->val);
    else if (strcmp(it->key, "driver") == 0)
        d->driver = driver_of(opt, it->val);
    else if (strcmp(it->key, "out.frequency") == 0 || strcmp(it->key, "in.frequency") == 0)
        d->audio.rate = rate_of(opt, it);
    else if (strcmp(it->key, "path") == 0 && d->driver && strcmp(d->driver, "wav") == 0)
        d->path = options_keep(o, it->val);
    else
        return false;
    return true;
}

static struct audiodev *new_dev(struct options *o)
{
    struct audiodev *d = calloc(1, sizeof(*d)), **last = &o->audiodevs;

    if (!d)
        die(EXIT_CODE_HOST, "out of memory");
    d->audio.rate = AUDIODEV_RATE;
    while (*last)
        last = &(*last)->next;
    *last = d;
    return d;
}

static void check(struct options *o, const struct audiodev *d, const char *opt)
{
    if (!d->driver)
        die(EXIT_CODE_USAGE, "%s: no driver: %s help lists what there is", opt, opt);
    if (!d->audio.id)
        die(EXIT_CODE_USAGE, "%s %s: it needs a name: id=ID", opt, d->driver);
    for (const struct audiodev *other = o->audiodevs; other != d; other = other->next)
        if (strcmp(other->audio.id, d->audio.id) == 0)
            die(EXIT_CODE_USAGE, "%s: there is another -audiodev with id=%s", opt, d->audio.id);
}

void opt_audiodev(struct options *o, const char *opt, const char *val)
{
    struct audiodev *d = new_dev(o);
    struct arg_item it;

    val = options_list(o, opt, val, "driver");
    for (bool first = true; arg_next(&val, &it); first = false) {
        if (first && !it.val)
            d->driver = driver_of(opt, it.key);
        else if (!set(o, d, opt, &it))
            die(EXIT_CODE_USAGE,
                "%s: unknown property '%s': use id=, out.frequency= and, with driver wav, path=", opt,
                it.key);
    }
    check(o, d, opt);
}

static void add_card(struct options *o, const char *name, struct audio *audio)
{
    struct plug_use *use = plug_use_new(plug_find(name));
    const struct prop *prop = plug_prop(use->plug, "audiodev");

    if (prop)
        memcpy((uint8_t *)use->props + prop->offset, &audio, sizeof(audio));
    options_add_device(o, use);
}

static void add_model(struct options *o, const char *opt, const char *model, struct audio *audio)
{
    static const struct { const char *model, *plugs[2]; } models[] = {
        { "ac97", { "AC97" } }, { "hda", { "intel-hda", "hda-duplex" } }, { "sb16", { "sb16" } },
        { "adlib", { "adlib" } }
    };

    for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strcmp(models[i].model, model))
            continue;
        for (unsigned n = 0; n < 2 && models[i].plugs[n]; n++)
            add_card(o, models[i].plugs[n], audio);
        return;
    }
    die(EXIT_CODE_USAGE, "%s: model=%s: use ac97, hda, sb16 or adlib", opt, model);
}

void opt_audio(struct options *o, const char *opt, const char *val)
{
    struct audiodev *d = new_dev(o);
    const char *model = NULL;
    struct arg_item it;

    d->audio.id = "audio";
    for (bool first = true; arg_next(&val, &it); first = false) {
        if (first && !it.val)
            d->driver = driver_of(opt, it.key);
        else if (it.val && strcmp(it.key, "model") == 0)
            model = options_keep(o, it.val);
        else if (!set(o, d, opt, &it))
            die(EXIT_CODE_USAGE,
                "%s: unknown property '%s': use model=, out.frequency= and, with driver wav, path=", opt,
                it.key);
    }
    check(o, d, opt);
    if (model)
        add_model(o, opt, model, &d->audio);
}

void options_speaker(struct options *o)
{
    if (!o->pcspk)
        return;
    o->cfg.pcspk = audiodev_find(o->audiodevs, o->pcspk);
    if (!o->cfg.pcspk)
        die(EXIT_CODE_USAGE, "-machine: pcspk-audiodev=%s: there is no -audiodev with id=%s", o->pcspk,
            o->pcspk);
}

void audiodevs_open(struct machine *m, struct audiodev *list)
{
    char err[256];

    for (struct audiodev *d = list; d; d = d->next)
        if (!audiodev_open(m->loop, d, err, sizeof(err)))
            die(d->path ? EXIT_CODE_FILE : EXIT_CODE_HOST, "-audiodev %s,id=%s: %s", d->driver, d->audio.id,
                err);
}

bool audiodevs_close(struct audiodev *list)
{
    bool ok = true;

    for (struct audiodev *d = list; d; d = d->next)
        ok &= audiodev_close(d);
    return ok;
}

void audiodevs_free(struct audiodev *list)
{
    for (struct audiodev *d = list, *next; d; d = next) {
        next = d->next;
        free(d);
    }
}
