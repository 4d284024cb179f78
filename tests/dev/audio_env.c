/* audio_env.c - see audio_env.h. */
#include "tests/dev/audio_env.h"

#include <stdlib.h>

static void written(struct audio *a)
{
    struct audio_env *e = (struct audio_env *)a;
    unsigned n = audio_ready(a);

    if (n > HEARD_MAX - e->n)
        n = HEARD_MAX - e->n;
    audio_mix(a, e->heard + e->n, n);
    e->n += n;
}

static unsigned record(struct audio *a, int16_t (*to)[2], unsigned n)
{
    struct audio_env *e = (struct audio_env *)a;

    for (unsigned i = 0; i < n; i++, e->recorded++) {
        to[i][0] = (int16_t)e->recorded;
        to[i][1] = (int16_t)-e->recorded;
    }
    return n;
}

struct audio_env *audio_env_new(unsigned rate)
{
    static const struct audio_ops ops = { .written = written, .record = record };
    struct audio_env *e = calloc(1, sizeof(*e));

    e->audio = (struct audio){ .ops = &ops, .id = "test", .rate = rate, .limit = AUDIO_RING };
    e->heard = calloc(HEARD_MAX, sizeof(e->heard[0]));
    return e;
}

void audio_env_free(struct audio_env *e)
{
    free(e->heard);
    free(e);
}
