/*
 * main.c - start, signals, exit code.
 *
 * The main thread runs the event loop; the vCPUs have threads of their own (vcpu.c).  Signals that
 * ask Latimer to end are blocked everywhere and read from a descriptor by the event loop (signals.c), so that they
 * are handled like any other input of the machine, under the device lock.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "config.h"
#include "debug/control.h"
#include "debug/gdb.h"
#include "debug/migrate.h"
#include "debug/monitor.h"
#include "debug/profile.h"
#include "debug/snapshot.h"
#include "frontend/fault_story.h"
#include "host/evloop.h"
#include "host/term.h"
#include "hw/boards.h"
#include "main/crash.h"
#include "main/daemon.h"
#include "main/displays.h"
#include "main/image.h"
#include "main/machine_setup.h"
#include "main/options.h"
#include "main/pidfile.h"
#include "main/signals.h"
#include "main/vcpu.h"
#include "translator/exec.h"
#include "translator/features.h"

#ifdef LATIMER_CHECKED
#define VERIFY true
#else
#define VERIFY false
#endif

struct session {
    struct machine m;
    struct signals signals;
    int signal;                 /* that ends us, 0: none */
    bool pressed;               /* the power button, by SIGTERM */
};

static void quit(void *arg)
{
    struct session *s = arg;

    machine_request_stop(&s->m, STOP_QUIT, 0);
}

static void stopped(void *arg)
{
    struct session *s = arg;

    evloop_stop(s->m.loop);
}

/*
 * Does a guest that is asked to power off end the process? Not one that has not begun, or is over, or is none: nobody would
 * see a button pressed. And not with -no-shutdown: then who sends SIGTERM (libvirt, which waits ten seconds before it
 * kills) wants the process to end, and has asked the guest before if it wanted to.
 */
static bool guest_can_end_it(const struct machine *m)
{
    enum run_state s = control_state(m->control);

    return m->ncpu && !m->cfg.no_shutdown && s != RUN_PRELAUNCH && s != RUN_INMIGRATE && s != RUN_POSTMIGRATE && s != RUN_SHUTDOWN;
}

static void on_signal(void *arg, short revents)
{
    struct session *s = arg;
    int sig;

    while ((sig = signals_next(&s->signals))) {
        if (sig == SIGUSR1) {
            displays_dump(s->m.displays);
            continue;
        }
        if (sig == SIGTERM && !s->pressed && guest_can_end_it(&s->m)) {
            s->pressed = true;
            fprintf(stderr, "latimer: SIGTERM: power button pressed; a second one ends Latimer\n");
            machine_lock(&s->m);
            machine_power_button(&s->m);
            machine_unlock(&s->m);
            continue;
        }
        s->signal = sig;
        monitors_reason(&s->m, "host-signal");
        machine_request_stop(&s->m, STOP_QUIT, 0);
        /* Should the vCPUs not come back, one more kills. */
        pthread_sigmask(SIG_UNBLOCK, &s->signals.set, NULL);
    }
}

/* One that is ignored (nohup) stays ignored. */
static void add_signal(sigset_t *set, int sig)
{
    struct sigaction sa;

    if (sigaction(sig, NULL, &sa) < 0 || sa.sa_handler != SIG_IGN)
        sigaddset(set, sig);
}

/* Before the threads start: they inherit the mask. */
static void watch_signals(struct session *s, bool dumps)
{
    sigset_t set, usr1;

    sigemptyset(&set);
    add_signal(&set, SIGTERM);
    add_signal(&set, SIGINT);
    add_signal(&set, SIGHUP);
    if (dumps)                  /* asked for, whatever our parent ignores */
        sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signals_begin(&s->signals, &set);
    if (!dumps) {               /* main() has blocked it */
        sigemptyset(&usr1);
        sigaddset(&usr1, SIGUSR1);
        pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    }
    evloop_add(s->m.loop, s->signals.from, POLLIN, on_signal, s);
}

static void report_stats(struct cpu *c)
{
    const struct exec_stats *t = exec_stats(c);
    double lift = exec_stage_ns(t, STAGE_LIFT), opt = exec_stage_ns(t, STAGE_OPT);
    double emit = exec_stage_ns(t, STAGE_EMIT), all = exec_translation_ns(t);

    char names[256];

    features_names(exec_features(c), names, sizeof(names));
    log_msg(LOG_STATS, "CPU %u: translated code uses of the host's features:%s", c->index, names);
#define LL(x) (unsigned long long)(x)
    log_msg(LOG_STATS, "CPU %u: %llu blocks of %llu guest instructions translated to %llu host bytes; %llu blocks "
            "of %llu instructions of them by %llu stencils for %llu forms", c->index, LL(t->blocks), LL(t->insns),
            LL(t->host_bytes), LL(t->copied), LL(t->copied_insns), LL(t->stencils), LL(t->forms));
    log_msg(LOG_STATS, "CPU %u: translation took %.0f ns of CPU time an instruction, about %.0f ms in all: %.0f "
            "by stencils, else %.0f to decode and lift, %.0f in passes, %.0f to emit", c->index, all,
            all * (double)t->insns / 1e6, exec_stage_ns(t, STAGE_COPY), lift, opt, emit);
    if (log_on(LOG_COUNT))
        exec_report_count(c);
    log_msg(LOG_STATS, "CPU %u: %llu lookups, %llu links, %llu run alone, %llu blocks invalidated, %llu regions "
            "of code memory reused", c->index, LL(t->lookups), LL(t->links), LL(t->slow), LL(t->invalidated),
            LL(t->flushes));
    if (t->code_mem)
        log_msg(LOG_STATS, "CPU %u: code memory: %s", c->index, t->code_mem);
#undef LL
}

static struct gdb *open_gdb(struct machine *m, const char *spec)
{
    char err[256];
    bool usage;
    struct gdb *g;

    if (!spec)
        return NULL;
    g = gdb_new(m, spec, err, sizeof(err), &usage);
    if (!g)
        die(usage ? EXIT_CODE_USAGE : EXIT_CODE_HOST, "%s", err);
    return g;
}

static int exit_code(const struct session *s)
{
    if (s->signal)
        return 128 + s->signal;
    switch (s->m.stop) {
    case STOP_DEBUG_EXIT:
        return s->m.stop_code & 0xff;
    case STOP_TRIPLE:
    case STOP_PANIC:
        return EXIT_CODE_GUEST;
    default:
        return 0;
    }
}

/* -loadvm and -incoming: nothing of a machine that is replaced by another one has run before. */
static void begin_with(struct machine *m, const struct options *o)
{
    char why[512];

    if (!o->loadvm && !o->incoming)
        return;
    machine_lock(m);
    if (o->incoming) {
        control_settle(m->control);
        if (!migrate_receive(m, o->incoming, why, sizeof(why)))
            die(EXIT_CODE_HOST, "-incoming: %s", why);
    } else {
        if (!snapshot_load(m, o->loadvm, why, sizeof(why)))
            die(EXIT_CODE_FILE, "-loadvm: %s", why);
        if (!m->cfg.paused)
            control_cont(m->control);
    }
    machine_unlock(m);
}

static bool logs_whole(const char *opt, bool whole)
{
    if (!whole)
        fprintf(stderr, "latimer: %s: not all could be written to the file: is the disk full?\n", opt);
    return whole;
}

int main(int argc, char **argv)
{
    sigset_t early;
    struct session s = { .signal = 0 };
    struct options o;
    bool dumped, profiled, logged, clean;
    int code;

    /* A limit on the size of files is an error like others, not the end. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "image") == 0)
        return image_main(argc - 1, argv + 1);
    /* A screendump asked for before there is a screen waits until signals are watched. */
    sigemptyset(&early);
    sigaddset(&early, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &early, NULL);
    options_parse(&o, argc, argv, PACKAGE_VERSION);
    o.verify = VERIFY;
    if (o.name[0])
        prctl(PR_SET_NAME, (unsigned long)o.name, 0ul, 0ul, 0ul);
    trace_thread("main");
    if (o.daemonize)
        daemon_begin();
    pidfile_write(o.pidfile);
    machine_setup(&s.m, &o);
    evloop_on_quit(s.m.loop, quit, &s);
    crash_init(s.m.phys);
    crash_thread(NULL);
    watch_signals(&s, o.dump);
    displays_start(s.m.displays, &o);
    s.m.gdb = open_gdb(&s.m, o.gdb);
    vcpus_start(&s.m, control_state(s.m.control) != RUN_RUNNING, stopped, &s);
    profile_begin(&s.m, &o);
    begin_with(&s.m, &o);
    daemon_ready();
    evloop_run(s.m.loop);
    profiled = profile_end(s.m.profile);
    vcpus_join(&s.m);
    clean = displays_stop(s.m.displays);
    dumped = displays_dump(s.m.displays);

    code = exit_code(&s);
    gdb_free(s.m.gdb, code);
    term_restore();
    if (s.m.stop == STOP_TRIPLE)
        fault_story(s.m.cpu[0], stderr);
    for (unsigned i = 0; i < s.m.ncpu; i++) {
        report_stats(s.m.cpu[i]);
        if (o.check)
            fprintf(stderr, "latimer: check: %llu blocks compared, no difference\n",
                    (unsigned long long)exec_stats(s.m.cpu[i])->checked);
    }
    if ((!machine_teardown(&s.m, &o) || !dumped || !profiled) && !code)
        code = EXIT_CODE_HOST;
    logged = logs_whole("-D", log_whole()) & logs_whole("-trace", trace_whole());
    if (!logged && !code)
        code = EXIT_CODE_HOST;
    options_free(&o);
    signals_end(&s.signals);
    if (!clean) {
        pidfile_remove();
        fflush(NULL);
        _exit(code);
    }
    return code;
}
