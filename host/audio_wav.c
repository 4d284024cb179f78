/*
 * audio_wav.c - sound into a WAV file (RIFF, PCM).
 *
 * Frames wait in memory until the event loop writes them: voices are written to by vCPU threads, too. The
 * header says how long the file is after each write, so a file is whole however Latimer ends. A file that
 * cannot be written to any more is told of once, and takes no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/audiodev.h"
#include "host/evloop.h"

#define HEADER 44
#define FRAME 4
#define MIX 1024
#define WRITE_NS 100000000u
#define PENDING_MAX (16u << 20)         /* the event loop is that much late: frames are lost */

struct wav {
    struct audiodev *dev;
    struct evloop *loop;
    struct evdelay delay;
    int fd;
    uint64_t bytes;                     /* of sound in the file */
    uint8_t *pending;
    size_t len, size;
    bool failed;
};

static void le(uint8_t *p, uint32_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = v >> 8 * i;
}

static bool write_all(int fd, const uint8_t *p, size_t len, off_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, p, len, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= n;
        at += n;
    }
    return true;
}

static bool write_header(struct wav *w)
{
    uint8_t h[HEADER] = "RIFF....WAVEfmt ";
    uint32_t bytes = w->bytes < UINT32_MAX - HEADER ? w->bytes : UINT32_MAX - HEADER;

    le(h + 4, bytes + HEADER - 8, 4);
    le(h + 16, 16, 4);
    le(h + 20, 1, 2);                   /* PCM */
    le(h + 22, 2, 2);
    le(h + 24, w->dev->audio.rate, 4);
    le(h + 28, w->dev->audio.rate * FRAME, 4);
    le(h + 32, FRAME, 2);
    le(h + 34, 16, 2);
    memcpy(h + 36, "data", 4);
    le(h + 40, bytes, 4);
    return write_all(w->fd, h, HEADER, 0);
}

static void flush(void *arg)
{
    struct wav *w = arg;

    if (w->failed || !w->len)
        return;
    if (write_all(w->fd, w->pending, w->len, (off_t)(HEADER + w->bytes))) {
        w->bytes += w->len;
        w->failed = !write_header(w);
    } else {
        w->failed = true;
    }
    w->len = 0;
    if (w->failed)
        fprintf(stderr, "latimer: audiodev %s: writing %s: %s\n", w->dev->audio.id, w->dev->path,
                strerror(errno));
}

static void append(struct wav *w, const int16_t (*f)[2], unsigned n)
{
    if (w->failed || w->len + n * FRAME > PENDING_MAX)
        return;
    if (w->len + n * FRAME > w->size) {
        size_t size = 2 * w->size + n * FRAME;
        uint8_t *more = realloc(w->pending, size);

        if (!more)
            return;
        w->pending = more;
        w->size = size;
    }
    for (unsigned i = 0; i < n; i++) {
        le(w->pending + w->len, (uint16_t)f[i][0], 2);
        le(w->pending + w->len + 2, (uint16_t)f[i][1], 2);
        w->len += FRAME;
    }
}

static void written(struct audio *a)
{
    struct audiodev *d = (struct audiodev *)a;
    struct wav *w = d->end;
    int16_t frames[MIX][2];

    for (unsigned n; (n = audio_ready(a)) != 0;) {
        n = n < MIX ? n : MIX;
        audio_mix(a, frames, n);
        append(w, frames, n);
    }
    if (w->len)
        evloop_delay(w->loop, &w->delay, WRITE_NS);
}

static const struct audio_ops ops = { .written = written };

static bool wav_open(struct evloop *loop, struct audiodev *d, char *err, size_t len)
{
    struct wav *w = calloc(1, sizeof(*w));

    if (!w) {
        snprintf(err, len, "out of memory");
        return false;
    }
    d->path = d->path ? d->path : "latimer.wav";
    *w = (struct wav){ .dev = d, .loop = loop, .delay = { .fire = flush, .arg = w } };
    w->fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0 || !write_header(w)) {
        snprintf(err, len, "%s: %s", d->path, strerror(errno));
        if (w->fd >= 0)
            close(w->fd);
        free(w);
        return false;
    }
    d->end = w;
    d->audio.ops = &ops;
    d->audio.limit = AUDIO_RING;
    return true;
}

static bool wav_close(struct audiodev *d)
{
    struct wav *w = d->end;
    bool ok;

    evloop_delay_cancel(w->loop, &w->delay);
    flush(w);
    ok = close(w->fd) == 0 && !w->failed;
    free(w->pending);
    free(w);
    d->end = NULL;
    return ok;
}

const struct audiodev_driver audio_wav = { "wav", wav_open, wav_close };
