/*
 * machine_setup.c - puts the parts together: event loop, host ends, board, processors, kernel.
 *
 * The terminal is in raw mode from the first chardev on; die() gives it back (host/term.c).
 */
#include "main/machine_setup.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "debug/control.h"
#include "debug/migrate.h"
#include "debug/monitor.h"
#include "debug/profile.h"
#include "frontend/cpu.h"
#include "frontend/cpu_model.h"
#include "frontend/decode.h"
#include "host/chardev.h"
#include "host/evloop.h"
#include "host/host_clock.h"
#include "hw/boards.h"
#include "hw/clock.h"
#include "main/audiodevs.h"
#include "main/fsdevs.h"
#include "main/displays.h"
#include "main/firmware.h"
#include "main/load.h"
#include "main/outside.h"
#include "main/options_priv.h"
#include "main/tick.h"
#include "main/vcpu.h"
#include "translator/backend.h"
#include "translator/exec.h"
#include "translator/perf.h"

/* About how many times slower a guest runs under --check: its time passes as much slower. */
#define CHECK_SLOWDOWN 32

/* -serial: a stream of its own, or one of -chardev's. */
static struct chardev *open_serial(struct machine *m, struct options *o, const char *spec, const char *label)
{
    return strncmp(spec, "chardev:", 8) ? chardevs_open_one(m, spec, NULL, label) :
                                          chardevs_take(o->chardevs, spec + 8, label);
}

/* A vCPU has hit a breakpoint or the like. */
static void debug_stopped(struct cpu *c)
{
    control_request(c->m->control, RUN_DEBUG);
}

static struct cpu *make_cpu(struct machine *m, unsigned index, const struct cpu_model *model, const struct options *o)
{
    struct exec_options eo = { .interp = o->interp, .check = o->check,
                               .smp = m->ncpu > 1 || o->tso, .host_tso = o->host_tso,
                               .no_features = o->no_features, .verify = o->verify, .hot = o->hot,
                               .cache_size = o->cache_size, .time = log_on(LOG_STATS), .m = m,
                               .halt = vcpu_halt_wait, .stopped = debug_stopped,
                               .sample = profile_sample, .perf = o->perf };
    struct cpu *c = backend_cpu_alloc(CPU_AFTER);

    c->m = m;
    c->model = model;
    c->index = index;
    m->cpu[index] = c;
    mmu_init(c);
    exec_init(c, &eo);
    return c;
}

/* By -cpu; a board without processors has only had its words checked. */
static void make_cpus(struct machine *m, struct cpu_model *model, const struct options *o)
{
    if (!m->ncpu) {
        free(model);
        return;
    }
    model->cpus = m->cfg.cpus;
    if (model->cpus > 1)        /* MWAIT would not see other processors' stores */
        model->feats[FEAT_MONITOR / 64] &= ~((uint64_t)1 << (FEAT_MONITOR % 64));
    m->cpu = calloc(m->ncpu, sizeof(m->cpu[0]));
    if (!m->cpu)
        die(EXIT_CODE_HOST, "out of memory");
    for (unsigned i = 0; i < m->ncpu; i++)
        make_cpu(m, i, model, o);
}

static const struct control_ops run_control = {
    .pause = vcpus_pause, .resume = vcpus_resume, .wait_still = vcpus_wait_still,
    .act_as = vcpus_act_as,
};

static uint64_t guest_time(void *clock)
{
    return clock_now(clock);
}

void machine_setup(struct machine *m, struct options *o)
{
    static const char *const label[SERIAL_MAX] = { "serial0", "serial1", "serial2", "serial3" };
    static const char *const printer[PARALLEL_MAX] = { "parallel0", "parallel1", "parallel2" };
    pthread_mutexattr_t recursive;
    struct cpu_model *model;
    const char *wrong = cpu_model_parse(o->cpu, &model);

    if (wrong)
        die(EXIT_CODE_USAGE, "-cpu: %s", wrong);
    if (o->cfg.no_smm && o->cfg.board != &board_q35)
        die(EXIT_CODE_USAGE, "-machine %s,smm=off: only q35 can do without system management mode: leave it out",
            o->cfg.board->name);
    memset(m, 0, sizeof(*m));
    m->cfg = o->cfg;
    m->tell = options_tell_event;
    m->fds = o->fds;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    decode_init();
    m->loop = evloop_new();
    if (o->daemonize)
        evloop_claim_stdio(m->loop);
    m->clock = clock_new(&host_clock);
    trace_set_clock(guest_time, m->clock);
    if (o->check)
        clock_set_slowdown(m->clock, CHECK_SLOWDOWN);
    m->control = control_new(m, &run_control, o->incoming ? RUN_INMIGRATE :
                             m->cfg.paused || o->loadvm ? RUN_PRELAUNCH : RUN_RUNNING);
    migrate_new(m);
    monitors_new(m);
    outside_new(m, o);
    symbols_open(m, o);
    chardevs_open(m, o->chardevs);
    for (unsigned i = 0; i < o->nserial; i++)
        m->cfg.serial[i] = open_serial(m, o, o->serial[i], label[i]);
    m->cfg.nserial = o->nserial;
    if (o->debugcon)
        m->cfg.debugcon = open_serial(m, o, o->debugcon, "debugcon");
    for (unsigned i = 0; i < o->nparallel; i++)
        m->cfg.parallel[i] = open_serial(m, o, o->parallel[i], printer[i]);
    m->cfg.nparallel = o->nparallel;
    chardevs_watch(m, o->chardevs, &o->chardevs_watcher);
    monitors_open(m, o);
    m->drives = o->drives;
    m->drive = drives_nth;
    m->settle = drives_settle;
    drives_open(m, o->drives, o->check, o->incoming);
    drives_watch(m, &o->drives_watcher);
    for (unsigned i = 0; i < 2; i++)
        if (m->cfg.pflash[i])
            m->cfg.flash[i] = drive_contents(m->cfg.pflash[i]);
    netdevs_open(m, o->netdevs);
    netdevs_watch(m, o->netdevs, &o->nets_watcher);
    audiodevs_open(m, o->audiodevs);
    fsdevs_open(m, o->fsdevs);
    firmware_roms(m, o);
    m->displays = displays_new(m);
    if (m->cfg.board->firmware && !m->cfg.kernel && !m->cfg.pflash[0])
        firmware_read(m, o);
    objects_open(m, o);
    m->cfg.board->init(m);
    evloop_attach(m->loop, m->clock, &m->lock);
    if (m->cfg.kernel)
        load_kernel(m);

    phys_set_wake(m->phys, vcpu_wake);
    host_perf_open(o);
    make_cpus(m, model, o);
    profile_open(m, o);
}

bool machine_teardown(struct machine *m, struct options *o)
{
    struct cpu_model *model = m->ncpu ? (struct cpu_model *)(uintptr_t)m->cpu[0]->model : NULL;
    bool ok;

    migrate_free(m);
    ok = drives_close(o->drives);

    monitors_close(m, o);
    profile_free(m->profile);
    tick_exit();
    symbols_close(m, o);
    netdevs_close(o->netdevs);
    ok &= audiodevs_close(o->audiodevs);
    fsdevs_close(o->fsdevs);
    objects_close(o);
    for (unsigned i = 0; i < m->cfg.nserial; i++)
        if (strncmp(o->serial[i], "chardev:", 8))
            chardev_close(m->cfg.serial[i]);
    if (o->debugcon && strncmp(o->debugcon, "chardev:", 8))
        chardev_close(m->cfg.debugcon);
    for (unsigned i = 0; i < m->cfg.nparallel; i++)
        if (strncmp(o->parallel[i], "chardev:", 8))
            chardev_close(m->cfg.parallel[i]);
    chardevs_close(o->chardevs);
    for (unsigned i = 0; i < m->ncpu; i++) {
        exec_free(m->cpu[i]);
        mmu_free(m->cpu[i]);
        backend_cpu_free(m->cpu[i], CPU_AFTER);
    }
    ok &= perf_close(o->perf);
    free(m->cpu);
    free(model);
    load_free(m);
    control_free(m->control);
    evloop_free(m->loop);
    trace_set_clock(NULL, NULL);
    m->cfg.board->free(m);
    displays_free(m->displays);
    firmware_free(m);
    for (unsigned i = 0; i < 2; i++)
        free(m->cfg.flash[i]);
    pthread_mutex_destroy(&m->lock);
    return ok;
}
