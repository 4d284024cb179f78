/*
 * term.c - raw terminal mode that always ends (termios(3), signal-safety(7)).
 *
 * A signal handler and an atexit function get no argument, so the saved modes are static: with the log
 * mask, the only such data in the program.  They are written before the handlers are installed.
 *
 * Given back on exit(), on fatal signals (which then take their default action again) and while
 * stopped by SIGTSTP; SIGCONT goes back to raw mode.
 */
#include "host/term.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct {
    struct termios cooked, raw;
    volatile sig_atomic_t is_raw;       /* raw mode is wanted */
    bool installed;
} term;

static void set_modes(const struct termios *t)
{
    /* From the background tcsetattr would stop us with SIGTTOU: block it for the call. */
    sigset_t block, old;
    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    tcsetattr(STDIN_FILENO, TCSANOW, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void term_restore(void)
{
    if (!term.is_raw)
        return;
    term.is_raw = 0;
    set_modes(&term.cooked);
}

/* Installed with SA_RESETHAND: raising it again does what it did before us. */
static void fatal(int sig)
{
    term_restore();
    raise(sig);
}

static void stop(int sig)
{
    int saved = errno;
    sigset_t unblock, old;
    bool was_raw = term.is_raw;
    term_restore();
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    sigemptyset(&unblock);
    sigaddset(&unblock, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &unblock, &old);       /* stops here, until SIGCONT */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGTSTP, stop);
    if (was_raw) {
        term.is_raw = 1;
        set_modes(&term.raw);
    }
    errno = saved;
}

/* A SIGSTOP cannot be caught: the shell may have changed the modes meanwhile. */
static void cont(int sig)
{
    int saved = errno;
    if (term.is_raw)
        set_modes(&term.raw);
    errno = saved;
}

static void install(int sig, void (*handler)(int), int flags)
{
    struct sigaction sa, old;
    if (sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
        return;                 /* ignored by who started us (nohup): stay so */
    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = handler;
    sa.sa_flags = flags;
    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
}

bool term_raw(bool signals)
{
    static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGILL, SIGABRT, SIGFPE, SIGSEGV,
                                  SIGBUS, SIGPIPE, SIGXCPU };
    if (!isatty(STDIN_FILENO))
        return true;
    if (!term.is_raw && tcgetattr(STDIN_FILENO, &term.cooked) < 0)
        return false;
    term.raw = term.cooked;
    /* OPOST stays: it does the guest's CR LF no harm and keeps our own messages readable. */
    term.raw.c_iflag &= (tcflag_t)~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    term.raw.c_lflag &= (tcflag_t)~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        term.raw.c_lflag &= (tcflag_t)~ISIG;
    term.raw.c_cflag = (term.raw.c_cflag & (tcflag_t)~(CSIZE | PARENB)) | CS8;
    term.raw.c_cc[VMIN] = 1;
    term.raw.c_cc[VTIME] = 0;
    if (!term.installed) {
        term.installed = true;
        atexit(term_restore);
        for (unsigned i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
            install(deadly[i], fatal, SA_RESETHAND);
        install(SIGTSTP, stop, SA_RESTART);
        install(SIGCONT, cont, SA_RESTART);
    }
    term.is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &term.raw) < 0) {
        term.is_raw = 0;
        return false;
    }
    return true;
}
