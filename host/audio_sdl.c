/*
 * audio_sdl.c - sound by SDL2: the host's sound system asks for frames in a thread of SDL's, which sees
 * voices under a lock of their own. What is recorded is fetched when the guest asks, and opened when it
 * does so first.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <SDL.h>

#include "host/audiodev.h"

#define CHUNK 1024              /* frames SDL asks for at once */
#define QUEUED 5                /* voices keep a fifth of a second */

struct sdl {
    pthread_mutex_t lock;
    SDL_AudioDeviceID play, record;
    bool tried;
};

static void fetch(void *arg, Uint8 *to, int len)
{
    struct audiodev *d = arg;
    struct sdl *s = d->end;
    int16_t frames[CHUNK][2];

    while (len >= (int)sizeof(frames[0])) {
        unsigned n = (unsigned)len / sizeof(frames[0]);

        n = n < CHUNK ? n : CHUNK;
        pthread_mutex_lock(&s->lock);
        audio_mix(&d->audio, frames, n);
        pthread_mutex_unlock(&s->lock);
        memcpy(to, frames, n * sizeof(frames[0]));
        to += n * sizeof(frames[0]);
        len -= n * sizeof(frames[0]);
    }
}

static void take_lock(struct audio *a, bool on)
{
    struct sdl *s = ((struct audiodev *)a)->end;

    if (on)
        pthread_mutex_lock(&s->lock);
    else
        pthread_mutex_unlock(&s->lock);
}

static SDL_AudioSpec spec_of(const struct audiodev *d)
{
    return (SDL_AudioSpec){ .freq = (int)d->audio.rate, .format = AUDIO_S16SYS, .channels = 2,
                            .samples = CHUNK };
}

static unsigned record(struct audio *a, int16_t (*to)[2], unsigned n)
{
    struct audiodev *d = (struct audiodev *)a;
    struct sdl *s = d->end;

    if (!s->tried) {
        SDL_AudioSpec want = spec_of(d);

        s->tried = true;
        s->record = SDL_OpenAudioDevice(NULL, 1, &want, NULL, 0);
        if (s->record)
            SDL_PauseAudioDevice(s->record, 0);
        else
            fprintf(stderr, "latimer: audiodev %s: nothing can be recorded: %s\n", a->id, SDL_GetError());
    }
    return s->record ? SDL_DequeueAudio(s->record, to, n * sizeof(to[0])) / sizeof(to[0]) : 0;
}

static const struct audio_ops ops = { .lock = take_lock, .record = record };

static bool sdl_open(struct evloop *loop, struct audiodev *d, char *err, size_t len)
{
    struct sdl *s = calloc(1, sizeof(*s));
    SDL_AudioSpec want = spec_of(d);

    if (!s || SDL_InitSubSystem(SDL_INIT_AUDIO) < 0) {
        snprintf(err, len, "SDL: %s", s ? SDL_GetError() : "out of memory");
        free(s);
        return false;
    }
    pthread_mutex_init(&s->lock, NULL);
    d->end = s;
    d->audio.limit = d->audio.rate / QUEUED < AUDIO_RING ? d->audio.rate / QUEUED : AUDIO_RING;
    d->audio.prefill = 2 * CHUNK < d->audio.limit ? 2 * CHUNK : d->audio.limit / 2;
    want.callback = fetch;
    want.userdata = d;
    s->play = SDL_OpenAudioDevice(NULL, 0, &want, NULL, 0);
    if (!s->play) {
        snprintf(err, len, "SDL: %s", SDL_GetError());
        SDL_QuitSubSystem(SDL_INIT_AUDIO);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return false;
    }
    d->audio.ops = &ops;
    SDL_PauseAudioDevice(s->play, 0);
    return true;
}

static bool sdl_close(struct audiodev *d)
{
    struct sdl *s = d->end;

    SDL_CloseAudioDevice(s->play);
    if (s->record)
        SDL_CloseAudioDevice(s->record);
    SDL_QuitSubSystem(SDL_INIT_AUDIO);
    pthread_mutex_destroy(&s->lock);
    free(s);
    d->end = NULL;
    return true;
}

const struct audiodev_driver audio_sdl = { "sdl", sdl_open, sdl_close };
