/*
 * display_vnc.c - the screen for VNC clients, by libvncserver (RFC 6143).
 *
 * The thread listens, serves clients by the library's own loop, and copies what changed into a picture that is the
 * library's alone: the device lock is held for the copy and for input, not while a client is written to.
 * vnc_pump.c is between the library and the clients, so that none of them holds up another, nor its own keys.
 * Positions become movements, unless an absolute pointer is in use.
 */
#ifndef _GNU_SOURCE             /* accept4 */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "base/log.h"
#include "host/displays.h"
#include "host/keymap.h"
#include "host/vnc_pump.h"
#include "hw/input_if.h"

#define PORT_BASE   5900u
#define REFRESH_NS  33000000ull
#define SERVE_US    15000

struct vnc {
    struct display_env env;
    pthread_t thread;
    int listen_fd, stop_fd;
    char *path;                 /* of the socket, to be removed; NULL: TCP */
    rfbScreenInfoPtr rfb;
    struct vnc_pump *pump;      /* between clients and the library */
    struct viewer viewer;
    uint32_t *pixels;           /* red in bits 7:0, as the library wants it */
    unsigned width, height;
    struct vnc_peer peer;       /* of the client that the library is given */
    _Atomic unsigned clients;   /* written by the thread */
    pthread_mutex_t shared;     /* what follows, of which others set all but `first`, and read that */
    struct client *first;
    char password[9];
    time_t expires;             /* 0: never */
};

struct client {
    struct client *next;
    struct vnc_peer peer;
    struct key_sender keys;
    int x, y;                   /* of the pointer; -1: not known yet */
    unsigned buttons;
};

static uint64_t mono_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- input ---- */

static struct vnc *vnc_of(rfbClientPtr cl)
{
    return cl->screen->screenData;
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);
    struct client *c = cl->clientData;

    pthread_mutex_lock(v->env.lock);
    key_send(&c->keys, keysym, down);
    pthread_mutex_unlock(v->env.lock);
}

/* Buttons as VNC numbers them: left, middle, right, wheel up and down, left and right, back, forward. */
static void on_pointer(int mask, int x, int y, rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);
    struct client *c = cl->clientData;
    unsigned buttons = (mask & 1 ? INPUT_LEFT : 0) | (mask & 2 ? INPUT_MIDDLE : 0) | (mask & 4 ? INPUT_RIGHT : 0) |
                       (mask & 0x80 ? INPUT_SIDE : 0) | (mask & 0x100 ? INPUT_EXTRA : 0);
    int turned = mask & ~(int)c->buttons, dz = (turned & 0x10 ? 1 : 0) - (turned & 8 ? 1 : 0);
    int w = (int)v->width, h = (int)v->height;

    x = x < 0 ? 0 : x >= w ? w - 1 : x;
    y = y < 0 ? 0 : y >= h ? h - 1 : y;
    pthread_mutex_lock(v->env.lock);
    if (input_absolute(v->env.input))
        input_place(v->env.input, (unsigned)x * INPUT_ABS_MAX / (w > 1 ? (unsigned)w - 1 : 1),
                    (unsigned)y * INPUT_ABS_MAX / (h > 1 ? (unsigned)h - 1 : 1), dz, buttons);
    else
        input_move(v->env.input, c->x < 0 ? 0 : x - c->x, c->x < 0 ? 0 : y - c->y, dz, buttons);
    pthread_mutex_unlock(v->env.lock);
    c->x = x;
    c->y = y;
    c->buttons = (unsigned)mask;
}

static int on_leds(rfbScreenInfoPtr rfb)
{
    struct vnc *v = rfb->screenData;
    unsigned leds;

    pthread_mutex_lock(v->env.lock);
    leds = input_leds(v->env.input);
    pthread_mutex_unlock(v->env.lock);
    return (leds & INPUT_CAPS_LOCK ? rfbKeyboardMaskCapsLock : 0) | (leds & INPUT_NUM_LOCK ? rfbKeyboardMaskNumLock : 0) |
           (leds & INPUT_SCROLL_LOCK ? rfbKeyboardMaskScrollLock : 0);
}

/* The client has the challenge encrypted with the password, which is the key of DES (RFC 6143, 7.2.2). */
static rfbBool on_password(rfbClientPtr cl, const char *response, int len)
{
    struct vnc *v = vnc_of(cl);
    uint8_t want[CHALLENGESIZE], wrong = 0;
    char password[9];
    time_t expires;

    pthread_mutex_lock(&v->shared);
    memcpy(password, v->password, sizeof(password));
    expires = v->expires;
    pthread_mutex_unlock(&v->shared);
    if (!password[0] || len != CHALLENGESIZE || (expires && time(NULL) >= expires))
        return FALSE;
    memcpy(want, cl->authChallenge, sizeof(want));
    rfbEncryptBytes(want, password);
    for (unsigned i = 0; i < CHALLENGESIZE; i++)
        wrong |= want[i] ^ (uint8_t)response[i];
    return !wrong;
}

static void on_gone(rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);

    pthread_mutex_lock(v->env.lock);
    input_release(v->env.input);
    pthread_mutex_unlock(v->env.lock);
    pthread_mutex_lock(&v->shared);
    for (struct client **at = &v->first; *at; at = &(*at)->next)
        if (*at == cl->clientData) {
            *at = (*at)->next;
            break;
        }
    pthread_mutex_unlock(&v->shared);
    free(cl->clientData);
    cl->clientData = NULL;
    v->clients--;
}

static enum rfbNewClientAction on_client(rfbClientPtr cl)
{
    struct vnc *v = vnc_of(cl);
    struct client *c;

    if (!(c = calloc(1, sizeof(*c))))
        return RFB_CLIENT_REFUSE;
    c->keys = (struct key_sender){ .map = v->env.keymap, .input = v->env.input };
    c->x = c->y = -1;
    c->peer = v->peer;
    pthread_mutex_lock(&v->shared);
    c->next = v->first;
    v->first = c;
    pthread_mutex_unlock(&v->shared);
    cl->clientData = c;
    cl->clientGoneHook = on_gone;
    v->clients++;
    return RFB_CLIENT_ACCEPT;
}

/* ---- the picture ---- */

static void copy_rect(const struct vnc *v, uint32_t *pixels, const struct surface *s, const struct screen_rect *r)
{
    for (unsigned y = r->y; y < r->y + r->h; y++) {
        const uint32_t *from = s->pixels + (size_t)y * s->stride;
        uint32_t *to = pixels + (size_t)y * s->width;

        for (unsigned x = r->x; x < r->x + r->w; x++)
            to[x] = (from[x] & 0xff00) | (from[x] >> 16 & 0xff) | (from[x] & 0xff) << 16;
    }
}

static void update(struct vnc *v)
{
    struct screen_rect r[VIEWER_RECTS];
    uint32_t *pixels = NULL, *old = v->pixels;
    unsigned n = 0;

    pthread_mutex_lock(v->env.lock);
    const struct surface *s = screen_refresh(v->env.screen);
    if (v->viewer.resized)
        pixels = malloc((size_t)s->width * s->height * sizeof(*pixels));
    if (pixels) {
        copy_rect(v, pixels, s, &(struct screen_rect){ 0, 0, s->width, s->height });
        v->width = s->width;
        v->height = s->height;
        v->viewer.resized = false;
        v->viewer.n = 0;
    } else if (!v->viewer.resized) {
        n = v->viewer.n;
        memcpy(r, v->viewer.r, n * sizeof(r[0]));
        for (unsigned i = 0; i < n; i++)
            copy_rect(v, v->pixels, s, &r[i]);
        v->viewer.n = 0;
    }
    pthread_mutex_unlock(v->env.lock);
    if (pixels) {
        v->pixels = pixels;
        rfbNewFramebuffer(v->rfb, (char *)pixels, (int)v->width, (int)v->height, 8, 3, 4);
        rfbMarkRectAsModified(v->rfb, 0, 0, (int)v->width, (int)v->height);
        free(old);
    }
    for (unsigned i = 0; i < n; i++)
        rfbMarkRectAsModified(v->rfb, (int)r[i].x, (int)r[i].y, (int)(r[i].x + r[i].w), (int)(r[i].y + r[i].h));
}

/* ---- the thread ---- */

/* Who is at the other end. */
static void find_peer(struct vnc_peer *p, int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);

    *p = (struct vnc_peer){ .family = "unix" };
    if (getpeername(fd, (struct sockaddr *)&at, &len) < 0 || at.ss_family == AF_UNIX)
        return;
    p->family = at.ss_family == AF_INET6 ? "ipv6" : "ipv4";
    getnameinfo((struct sockaddr *)&at, len, p->host, sizeof(p->host), p->service, sizeof(p->service),
                NI_NUMERICHOST | NI_NUMERICSERV);
}

static void *thread(void *arg)
{
    struct vnc *v = arg;
    uint64_t last = 0;

    for (;;) {
        struct pollfd p[2] = { { v->stop_fd, POLLIN, 0 }, { v->listen_fd, POLLIN, 0 } };

        if (poll(p, 2, v->clients ? 0 : -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            break;
        if (p[1].revents) {
            int fd = accept4(v->listen_fd, NULL, NULL, SOCK_CLOEXEC);

            update(v);          /* the new client asks for the size first */
            if (fd >= 0) {
                find_peer(&v->peer, fd);
                fd = vnc_pump_add(v->pump, fd);
            }
            if (fd >= 0)
                rfbNewClient(v->rfb, fd);
        }
        if (v->clients)
            rfbProcessEvents(v->rfb, SERVE_US);
        if (v->clients && mono_ns() - last >= REFRESH_NS) {
            last = mono_ns();
            update(v);
        }
    }
    return NULL;
}

/* ---- listening ---- */

/* A socket somebody has left behind who is gone. */
static bool is_stale(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    bool stale = lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && fd >= 0 &&
                 connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return stale;
}

static int listen_unix(struct vnc *v, const char *path, char *err, size_t len)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), why = 0;

    if (strlen(path) >= sizeof(a.sun_path))
        why = ENAMETOOLONG;
    else
        strcpy(a.sun_path, path);
    if (!why && bind(fd, (struct sockaddr *)&a, sizeof(a))) {
        why = errno;
        if (why == EADDRINUSE && is_stale(&a) && unlink(path) == 0)
            why = bind(fd, (struct sockaddr *)&a, sizeof(a)) ? errno : 0;
    }
    if (!why) {
        v->path = strdup(path);
        why = listen(fd, 8) ? errno : 0;
    }
    if (!why)
        return fd;
    snprintf(err, len, "unix:%s: %s: use another path", path, strerror(why));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int listen_at(const char *host, unsigned port, int *why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list, *a;
    char service[8];
    int fd = -1;

    snprintf(service, sizeof(service), "%u", port);
    *why = 0;
    if (getaddrinfo(host, service, &hints, &list))
        return -1;
    for (a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            *why = errno;
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
        if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 8)) {
            *why = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static int listen_tcp(const struct vnc_config *c, char *err, size_t len)
{
    const char *colon = strrchr(c->address, ':');
    char host[256], *end;
    unsigned long n = colon ? strtoul(colon + 1, &end, 10) : 0, last;
    int fd = -1, why = 0;

    if (!colon || end == colon + 1 || *end || n > 65535 - PORT_BASE || colon - c->address >= (long)sizeof(host)) {
        snprintf(err, len, "'%s': use HOST:N, as in :0 for port %u, or unix:PATH", c->address, PORT_BASE);
        return -1;
    }
    snprintf(host, sizeof(host), "%.*s", (int)(colon - c->address), c->address);
    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = 0;
    }
    last = c->to > n ? c->to : n;
    for (; fd < 0 && n <= last; n++)
        fd = listen_at(host[0] ? host : "127.0.0.1", PORT_BASE + (unsigned)n, &why);
    n--;
    if (fd >= 0 && c->to)
        fprintf(stderr, "latimer: VNC on port %lu (display :%lu)\n", PORT_BASE + n, n);
    if (fd >= 0)
        return fd;
    if (why == EADDRINUSE)
        snprintf(err, len, "port %lu is in use: choose another number, or let to=N look for one", PORT_BASE + n);
    else
        snprintf(err, len, "cannot listen on %s, port %lu: %s", host[0] ? host : "127.0.0.1", PORT_BASE + n,
                 why ? strerror(why) : "there is no such host");
    return -1;
}

struct vnc *vnc_start(const struct display_env *env, const struct vnc_config *c, char *err, size_t len)
{
    struct vnc *v = calloc(1, sizeof(*v));
    sigset_t all, old;

    if (!v) {
        snprintf(err, len, "out of memory");
        return NULL;
    }
    v->env = *env;
    pthread_mutex_init(&v->shared, NULL);
    v->listen_fd = strncmp(c->address, "unix:", 5) == 0 ? listen_unix(v, c->address + 5, err, len) :
                   listen_tcp(c, err, len);
    if (v->listen_fd < 0) {
        free(v->path);
        free(v);
        return NULL;
    }
    v->stop_fd = eventfd(0, EFD_CLOEXEC);
    rfbLogEnable(0);
    v->rfb = rfbGetScreen(NULL, NULL, 4, 4, 8, 3, 4);
    v->pixels = calloc(4 * 4, sizeof(*v->pixels));
    v->width = v->height = 4;
    v->pump = vnc_pump_start();
    if (v->stop_fd < 0 || !v->rfb || !v->pixels || !v->pump) {
        snprintf(err, len, "out of memory, descriptors or threads");
        vnc_stop(v);
        return NULL;
    }
    v->rfb->frameBuffer = (char *)v->pixels;
    v->rfb->desktopName = env->title;
    v->rfb->alwaysShared = TRUE;
    v->rfb->port = v->rfb->ipv6port = 0;
    v->rfb->autoPort = FALSE;
    v->rfb->httpDir = NULL;
    v->rfb->cursor = NULL;      /* the guest draws its own */
    v->rfb->deferUpdateTime = 5;
    v->rfb->screenData = v;
    v->rfb->kbdAddEvent = on_key;
    v->rfb->ptrAddEvent = on_pointer;
    v->rfb->newClientHook = on_client;
    v->rfb->getKeyboardLedStateHook = on_leds;
    if (c->auth) {
        vnc_password(v, c->password);
        v->rfb->authPasswdData = v;     /* not NULL: the library asks for a password */
        v->rfb->passwordCheck = on_password;
    }
    rfbInitServer(v->rfb);
    pthread_mutex_lock(env->lock);
    screen_add(env->screen, &v->viewer);
    pthread_mutex_unlock(env->lock);
    sigfillset(&all);           /* signals are for the main thread, SIGPIPE for nobody */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&v->thread, NULL, thread, v))
        die(EXIT_CODE_HOST, "cannot start a thread for VNC");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return v;
}

void vnc_stop(struct vnc *v)
{
    uint64_t one = 1;

    if (!v)
        return;
    if (v->thread && write(v->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one)) {
        pthread_join(v->thread, NULL);
        pthread_mutex_lock(v->env.lock);
        screen_remove(v->env.screen, &v->viewer);
        pthread_mutex_unlock(v->env.lock);
        rfbShutdownServer(v->rfb, TRUE);
    }
    if (v->rfb)
        rfbScreenCleanup(v->rfb);
    vnc_pump_stop(v->pump);
    if (v->path)
        unlink(v->path);
    close(v->listen_fd);
    close(v->stop_fd);
    pthread_mutex_destroy(&v->shared);
    free(v->path);
    free(v->pixels);
    free(v);
}

unsigned vnc_clients(struct vnc *v)
{
    return v->clients;
}

bool vnc_client(struct vnc *v, unsigned n, struct vnc_peer *p)
{
    const struct client *c;

    pthread_mutex_lock(&v->shared);
    c = v->first;
    while (c && n--)
        c = c->next;
    if (c)
        *p = c->peer;
    pthread_mutex_unlock(&v->shared);
    return c;
}

void vnc_password(struct vnc *v, const char *password)
{
    pthread_mutex_lock(&v->shared);
    snprintf(v->password, sizeof(v->password), "%.8s", password);
    pthread_mutex_unlock(&v->shared);
}

void vnc_expire(struct vnc *v, time_t when)
{
    pthread_mutex_lock(&v->shared);
    v->expires = when;
    pthread_mutex_unlock(&v->shared);
}
