/*
 * display_sdl.c - the screen in a window, by SDL 2.
 *
 * SDL is used by this file's thread alone. The window can have any size: the picture keeps its proportions.
 * Ctrl-Alt-G gives the guest mouse and keyboard, and takes them back; a click does the former where the guest has no
 * absolute pointer. Ctrl-Alt-F: full screen; Ctrl-Alt-U: the picture's own size.
 *
 * Xlib ends the process when the X server goes away. Its handler for that must not return, so it ends the thread.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <SDL.h>

#include "base/log.h"
#include "host/displays.h"
#include "host/evloop.h"
#include "hw/input_if.h"

#define REFRESH_MS 16

struct sdl {
    struct display_env env;
    pthread_t thread;
    sem_t started;
    atomic_bool stop;
    bool full_screen, ok;
    bool told;                  /* started has been posted */
    bool gone;                  /* the X server, and the thread with it */
    char *err;
    size_t err_len;
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    struct viewer viewer;
    unsigned width, height;
    bool grabbed;
    unsigned buttons;
};

#define KEY(scancode, key) [scancode] = key,
static const uint8_t keys[SDL_NUM_SCANCODES] = {
#include "host/sdl_keys.def"
};
#undef KEY

static void set_title(struct sdl *d)
{
    char title[160];

    snprintf(title, sizeof(title), "%s%s", d->env.title,
             d->grabbed ? " - Ctrl-Alt-G releases mouse and keyboard" : " - Ctrl-Alt-G grabs mouse and keyboard");
    SDL_SetWindowTitle(d->window, title);
}

static void grab(struct sdl *d, bool on, bool absolute)
{
    d->grabbed = on;
    SDL_SetWindowGrab(d->window, on ? SDL_TRUE : SDL_FALSE);
    SDL_SetRelativeMouseMode(on && !absolute ? SDL_TRUE : SDL_FALSE);
    set_title(d);
}

/* ---- the picture ---- */

static bool make_texture(struct sdl *d, unsigned w, unsigned h)
{
    if (d->texture)
        SDL_DestroyTexture(d->texture);
    d->texture = SDL_CreateTexture(d->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, (int)w, (int)h);
    d->width = w;
    d->height = h;
    if (!(SDL_GetWindowFlags(d->window) & (SDL_WINDOW_FULLSCREEN_DESKTOP | SDL_WINDOW_MAXIMIZED)))
        SDL_SetWindowSize(d->window, (int)w, (int)h);
    SDL_RenderSetLogicalSize(d->renderer, (int)w, (int)h);
    return d->texture;
}

static void update(struct sdl *d, bool again)
{
    bool news = again;

    pthread_mutex_lock(d->env.lock);
    const struct surface *s = screen_refresh(d->env.screen);
    if (d->viewer.resized) {
        d->viewer.resized = false;
        d->viewer.n = 1;
        d->viewer.r[0] = (struct screen_rect){ 0, 0, s->width, s->height };
        if (!make_texture(d, s->width, s->height))
            d->viewer.n = 0;
    }
    for (unsigned i = 0; i < d->viewer.n; i++) {
        const struct screen_rect *r = &d->viewer.r[i];
        SDL_Rect to = { (int)r->x, (int)r->y, (int)r->w, (int)r->h };

        SDL_UpdateTexture(d->texture, &to, s->pixels + (size_t)r->y * s->stride + r->x,
                          (int)(s->stride * sizeof(uint32_t)));
        news = true;
    }
    d->viewer.n = 0;
    pthread_mutex_unlock(d->env.lock);
    if (!news || !d->texture)
        return;
    SDL_SetRenderDrawColor(d->renderer, 0, 0, 0, 255);
    SDL_RenderClear(d->renderer);
    SDL_RenderCopy(d->renderer, d->texture, NULL, NULL);
    SDL_RenderPresent(d->renderer);
}

/* ---- input ---- */

static bool hot_key(struct sdl *d, const SDL_KeyboardEvent *e, bool absolute)
{
    if ((e->keysym.mod & (KMOD_CTRL | KMOD_ALT)) == 0 || !(e->keysym.mod & KMOD_CTRL) || !(e->keysym.mod & KMOD_ALT))
        return false;
    switch (e->keysym.scancode) {
    case SDL_SCANCODE_G:
        if (e->type == SDL_KEYDOWN && !e->repeat)
            grab(d, !d->grabbed, absolute);
        break;
    case SDL_SCANCODE_F:
        if (e->type == SDL_KEYDOWN && !e->repeat) {
            d->full_screen = !d->full_screen;
            SDL_SetWindowFullscreen(d->window, d->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
        }
        break;
    case SDL_SCANCODE_U:
        if (e->type == SDL_KEYDOWN)
            SDL_SetWindowSize(d->window, (int)d->width, (int)d->height);
        break;
    default:
        return false;
    }
    /* The guest must not keep what it has seen of the combination. */
    pthread_mutex_lock(d->env.lock);
    input_release(d->env.input);
    pthread_mutex_unlock(d->env.lock);
    return true;
}

static void pointer(struct sdl *d, bool absolute, int x, int y, int dx, int dy, int dz)
{
    unsigned w = d->width > 1 ? d->width - 1 : 1, h = d->height > 1 ? d->height - 1 : 1;

    x = x < 0 ? 0 : x > (int)w ? (int)w : x;
    y = y < 0 ? 0 : y > (int)h ? (int)h : y;
    pthread_mutex_lock(d->env.lock);
    if (absolute)
        input_place(d->env.input, (unsigned)x * INPUT_ABS_MAX / w, (unsigned)y * INPUT_ABS_MAX / h, dz, d->buttons);
    else if (d->grabbed)
        input_move(d->env.input, dx, dy, dz, d->buttons);
    pthread_mutex_unlock(d->env.lock);
}

static void button(struct sdl *d, const SDL_MouseButtonEvent *e, bool absolute)
{
    static const uint8_t bit[6] = { 0, INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT, INPUT_SIDE, INPUT_EXTRA };
    unsigned b = e->button < 6 ? bit[e->button] : 0;

    if (!absolute && !d->grabbed) {
        if (e->type == SDL_MOUSEBUTTONDOWN)
            grab(d, true, false);
        return;
    }
    d->buttons = e->type == SDL_MOUSEBUTTONDOWN ? d->buttons | b : d->buttons & ~b;
    pointer(d, absolute, e->x, e->y, 0, 0, 0);
}

/* True: the picture is to be shown again. */
static bool handle(struct sdl *d, const SDL_Event *e)
{
    bool absolute;
    int x, y;

    pthread_mutex_lock(d->env.lock);
    absolute = input_absolute(d->env.input);
    pthread_mutex_unlock(d->env.lock);
    switch (e->type) {
    case SDL_QUIT:
        pthread_mutex_lock(d->env.lock);
        evloop_quit(d->env.loop);
        pthread_mutex_unlock(d->env.lock);
        break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        if (hot_key(d, &e->key, absolute) || e->key.keysym.scancode >= SDL_NUM_SCANCODES)
            break;
        pthread_mutex_lock(d->env.lock);
        input_key(d->env.input, keys[e->key.keysym.scancode], e->type == SDL_KEYDOWN);
        pthread_mutex_unlock(d->env.lock);
        break;
    case SDL_MOUSEMOTION:
        pointer(d, absolute, e->motion.x, e->motion.y, e->motion.xrel, e->motion.yrel, 0);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        button(d, &e->button, absolute);
        break;
    case SDL_MOUSEWHEEL:
        SDL_GetMouseState(&x, &y);
        pointer(d, absolute, x, y, 0, 0, -e->wheel.y);
        break;
    case SDL_WINDOWEVENT:
        if (e->window.event == SDL_WINDOWEVENT_FOCUS_LOST) {
            pthread_mutex_lock(d->env.lock);
            input_release(d->env.input);
            pthread_mutex_unlock(d->env.lock);
            if (d->grabbed)
                grab(d, false, absolute);
        }
        return true;
    }
    return false;
}

/* ---- the thread ---- */

static _Thread_local struct sdl *current;       /* of the window's thread: Xlib gives its handler no argument of ours */

/* For sdl_start(), which waits for it. */
static void tell(struct sdl *d, bool ok)
{
    d->ok = ok;
    d->told = true;
    sem_post(&d->started);
}

/*
 * Xlib ends the process if this returns. The thread ends instead, within Xlib: what it has locked stays so. That may be
 * as early as in start(): the window is one that has lost its server then, too.
 */
static int server_gone(void *display)
{
    current->gone = true;
    fprintf(stderr, "latimer: the X server is gone; the guest goes on without a window\n");
    if (!current->told)
        tell(current, true);
    pthread_exit(NULL);
}

/* Before SDL connects to it. SDL loads the same library, when it finds that it needs it. */
static void survive_x(void)
{
    void *x = getenv("DISPLAY") ? dlopen("libX11.so.6", RTLD_NOW) : NULL;
    int (*(*set)(int (*)(void *)))(void *) = NULL;

    if (!x)
        return;                 /* no X, then */
    *(void **)&set = dlsym(x, "XSetIOErrorHandler");
    if (set)
        set(server_gone);
}

static bool start(struct sdl *d)
{
    const char *driver;

    survive_x();
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    if (SDL_Init(SDL_INIT_VIDEO) < 0) {
        snprintf(d->err, d->err_len, "%s", SDL_GetError());
        return false;
    }
    driver = SDL_GetCurrentVideoDriver();
    if (!getenv("SDL_VIDEODRIVER") && (!driver || strcmp(driver, "offscreen") == 0 || strcmp(driver, "dummy") == 0)) {
        snprintf(d->err, d->err_len, "the display cannot be reached");
        SDL_Quit();
        return false;
    }
    d->window = SDL_CreateWindow(d->env.title, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 640, 480,
                                 SDL_WINDOW_RESIZABLE | (d->full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0));
    if (d->window)
        d->renderer = SDL_CreateRenderer(d->window, -1, 0);
    if (d->window && !d->renderer)
        d->renderer = SDL_CreateRenderer(d->window, -1, SDL_RENDERER_SOFTWARE);
    if (!d->renderer) {
        snprintf(d->err, d->err_len, "%s", SDL_GetError());
        SDL_Quit();
        return false;
    }
    SDL_EnableScreenSaver();
    set_title(d);
    return true;
}

static void *thread(void *arg)
{
    struct sdl *d = arg;
    SDL_Event e;

    current = d;
    tell(d, start(d));
    while (d->ok && !d->stop) {
        bool again = false;

        if (SDL_WaitEventTimeout(&e, REFRESH_MS)) {
            do
                again |= handle(d, &e);
            while (SDL_PollEvent(&e));
        }
        update(d, again);
    }
    if (d->ok)
        SDL_Quit();
    return NULL;
}

struct sdl *sdl_start(const struct display_env *env, bool full_screen, char *err, size_t len)
{
    struct sdl *d = calloc(1, sizeof(*d));
    sigset_t all, old;

    snprintf(err, len, "out of memory");
    if (!d)
        return NULL;
    d->env = *env;
    d->full_screen = full_screen;
    d->err = err;
    d->err_len = len;
    sem_init(&d->started, 0, 0);
    pthread_mutex_lock(env->lock);
    screen_add(env->screen, &d->viewer);
    pthread_mutex_unlock(env->lock);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&d->thread, NULL, thread, d))
        die(EXIT_CODE_HOST, "cannot start a thread for the window");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    while (sem_wait(&d->started))
        ;
    if (d->ok)
        return d;
    sdl_stop(d);
    return NULL;
}

bool sdl_stop(struct sdl *d)
{
    bool gone;

    if (!d)
        return true;
    d->stop = true;
    pthread_join(d->thread, NULL);
    pthread_mutex_lock(d->env.lock);
    screen_remove(d->env.screen, &d->viewer);
    pthread_mutex_unlock(d->env.lock);
    sem_destroy(&d->started);
    gone = d->gone;
    free(d);
    return !gone;
}
