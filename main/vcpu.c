/*
 * vcpu.c - the vCPU threads, and the lines boards pull on them (struct cpu_lines).
 *
 * Whoever wants something of a vCPU stores what it wants, ORs a bit into
 * c->attn and then looks whether the vCPU sleeps; a vCPU that goes to sleep
 * says so first and then looks at c->attn. Both orders are sequentially
 * consistent, so one of the two sees the other and no wake-up is lost.
 *
 * They also tell the machine's clock what time the host has given them (vcpus_ran()): CPU time, and that in
 * which they sleep. A vCPU sleeps until somebody signals it, not until it runs again: that may take long.
 *
 * All vCPUs park together: the last one to arrive decides whether the machine
 * ends or, after a reset, runs again. Where there are none a thread is there that
 * only does that.
 */
#ifndef _GNU_SOURCE             /* gettid */
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "frontend/debug.h"
#include "frontend/help_sys.h"
#include "host/host_clock.h"
#include "hw/clock.h"
#include "main/crash.h"
#include "main/tick.h"
#include "main/vcpu.h"
#include "translator/backend_hooks.h"
#include "translator/exec.h"

#define ATTN_MINE (ATTN_EXIT | ATTN_INIT | ATTN_SIPI)   /* handled here, not by exec_run() */

struct vcpu {
    struct cpu *c;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int asleep;                 /* atomic */
    uint64_t idle_since;        /* host's ns, 0: it has something to do (v->mutex) */
    uint64_t idle;              /* how long it had nothing to do until then, ns (v->mutex) */
    uint64_t ran;               /* CPU time and idle time at the clock's last question, ns */
    clockid_t cpu_time;         /* the thread's (v->mutex) */
    bool has_thread;            /* it has begun and not ended: cpu_time is valid (v->mutex) */
    int tid;                    /* the thread's number, 0: it has not begun (atomic) */
};

struct vcpus {
    struct machine *m;
    unsigned n, threads;        /* threads: that park, n or the one of nobody() */
    pthread_t nobody;
    pthread_key_t self;         /* the thread's struct vcpu */
    pthread_mutex_t mutex;      /* guards the rest */
    pthread_cond_t go;
    unsigned parked, generation;
    unsigned pauses;            /* how many asked for it */
    unsigned held;              /* vCPUs that wait because of them */
    pthread_cond_t still;       /* held or parked has grown, or over is set */
    bool over;
    void (*stopped)(void *);
    void *arg;
    struct vcpu v[];
};

/* m->stop may be set by any thread. */
static enum stop_reason stopping(const struct machine *m)
{
    return __atomic_load_n(&m->stop, __ATOMIC_SEQ_CST);
}

/* ---- time ---- */

static void idle_begin(struct vcpu *v)
{
    v->idle_since = host_clock.now(host_clock.arg);
}

static void idle_end(struct vcpu *v)
{
    if (v->idle_since)
        v->idle += host_clock.now(host_clock.arg) - v->idle_since;
    v->idle_since = 0;
}

/* clock_pace(): what the vCPU that had least has had since the last call, of ns at most. */
static uint64_t vcpus_ran(void *arg, uint64_t ns)
{
    struct vcpus *s = arg;
    uint64_t least = ns;

    for (unsigned i = 0; i < s->n; i++) {
        struct vcpu *v = &s->v[i];
        struct timespec t = { 0, 0 };
        uint64_t total, had;

        pthread_mutex_lock(&v->mutex);
        total = v->idle + (v->idle_since ? host_clock.now(host_clock.arg) - v->idle_since : 0);
        if (v->has_thread && clock_gettime(v->cpu_time, &t) == 0)
            total += (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
        pthread_mutex_unlock(&v->mutex);
        had = total > v->ran ? total - v->ran : 0;
        v->ran = total;
        least = had < least ? had : least;
    }
    return least;
}

/* ---- sleeping and waking ---- */

static void sleep_until(struct vcpu *v, uint32_t bits)
{
    pthread_mutex_lock(&v->mutex);
    idle_begin(v);
    __atomic_store_n(&v->asleep, 1, __ATOMIC_SEQ_CST);
    while (!(__atomic_load_n(&v->c->attn, __ATOMIC_SEQ_CST) & bits)) {
        if (!v->idle_since)
            idle_begin(v);      /* woken for what it does not wait for */
        pthread_cond_wait(&v->wake, &v->mutex);
    }
    __atomic_store_n(&v->asleep, 0, __ATOMIC_SEQ_CST);
    idle_end(v);
    pthread_mutex_unlock(&v->mutex);
    tick_wake(v->c);
}

static void attend(struct vcpu *v, uint32_t bits)
{
    __atomic_fetch_or(&v->c->attn, bits, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&v->asleep, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&v->mutex);
    idle_end(v);
    pthread_mutex_unlock(&v->mutex);
    pthread_cond_signal(&v->wake);      /* behind it, or the thread would wake only to wait for the mutex */
}

void vcpu_halt_wait(struct cpu *c)
{
    sleep_until(&c->m->vcpus->v[c->index], UINT32_MAX);
}

/* ---- lines ---- */

/* NULL while the board is being wired and there are no vCPUs yet. */
static struct vcpu *vcpu_of(struct machine *m, unsigned cpu)
{
    return m->vcpus && cpu < m->vcpus->n ? &m->vcpus->v[cpu] : NULL;
}

static void line_intr(struct machine *m, unsigned cpu, bool level)
{
    struct vcpu *v = vcpu_of(m, cpu);

    if (!v)
        return;
    __atomic_store_n(&v->c->intr_pending, level, __ATOMIC_SEQ_CST);
    if (level)
        attend(v, ATTN_INTR);
}

static void line_nmi(struct machine *m, unsigned cpu)
{
    struct vcpu *v = vcpu_of(m, cpu);

    if (!v)
        return;
    __atomic_store_n(&v->c->nmi_pending, 1, __ATOMIC_SEQ_CST);
    attend(v, ATTN_NMI);
}

static void line_init(struct machine *m, unsigned cpu)
{
    struct vcpu *v = vcpu_of(m, cpu);

    if (!v)
        return;
    __atomic_store_n(&v->c->sipi_pending, 0, __ATOMIC_SEQ_CST);    /* one that came before is void */
    __atomic_store_n(&v->c->init_pending, 1, __ATOMIC_SEQ_CST);
    attend(v, ATTN_INIT | ATTN_EXIT);
}

static void line_sipi(struct machine *m, unsigned cpu, uint8_t vector)
{
    struct vcpu *v = vcpu_of(m, cpu);

    if (!v)
        return;
    __atomic_store_n(&v->c->sipi_pending, (uint16_t)(vector + 1), __ATOMIC_SEQ_CST);
    attend(v, ATTN_SIPI | ATTN_EXIT);
}

static void line_smi(struct machine *m, unsigned cpu)
{
    struct vcpu *v = vcpu_of(m, cpu);

    if (!v)
        return;
    __atomic_store_n(&v->c->smi_pending, 1, __ATOMIC_SEQ_CST);
    attend(v, ATTN_SMI);
}

static void line_ignne(struct machine *m, unsigned cpu, bool level)
{
    if (m->cpu && m->cpu[cpu])
        __atomic_store_n(&m->cpu[cpu]->ignne, level, __ATOMIC_SEQ_CST);
}

static void line_a20(struct machine *m, bool on)
{
    phys_set_a20(m->phys, on);
}

static uint64_t line_apic_base(struct machine *m, unsigned cpu)
{
    return m->cpu[cpu]->apic_base;
}

static int line_current(struct machine *m)
{
    struct vcpu *v = m->vcpus ? pthread_getspecific(m->vcpus->self) : NULL;

    return v ? (int)v->c->index : -1;
}

static int64_t line_tsc_offset(struct machine *m, unsigned cpu)
{
    return m->cpu && m->cpu[cpu] ? m->cpu[cpu]->tsc_offset : 0;
}

static void line_kick(struct machine *m)
{
    if (!m->vcpus)
        return;
    for (unsigned i = 0; i < m->vcpus->n; i++)
        attend(&m->vcpus->v[i], ATTN_EXIT);
    pthread_mutex_lock(&m->vcpus->mutex);
    pthread_cond_broadcast(&m->vcpus->go);      /* one that is parked after soft-off, or nobody() */
    pthread_mutex_unlock(&m->vcpus->mutex);
}

static bool line_in_smm(struct machine *m)
{
    int n = line_current(m);

    return n >= 0 && m->cpu[n]->smm;
}

const struct cpu_lines cpu_lines = {
    .intr = line_intr, .nmi = line_nmi, .init = line_init, .sipi = line_sipi, .smi = line_smi,
    .ignne = line_ignne, .a20 = line_a20, .apic_base = line_apic_base, .current = line_current,
    .tsc_offset = line_tsc_offset, .in_smm = line_in_smm, .kick = line_kick,
};

void vcpu_wake(struct cpu *c)
{
    struct vcpu *v = vcpu_of(c->m, c->index);

    if (v)
        attend(v, ATTN_STORE);
}

/* ---- INIT and start-up IPIs (SDM vol. 3, 8.4.2) ---- */

static void take_init(struct vcpu *v)
{
    struct cpu *c = v->c;
    struct machine *m = c->m;

    __atomic_store_n(&v->c->init_pending, 0, __ATOMIC_SEQ_CST);
    cpu_reset(c, true);
    if (m->apic_init)
        m->apic_init(m, c->index);
    c->stopped = c->index != 0;         /* the boot processor goes to the reset vector */
}

static void take_sipi(struct vcpu *v, unsigned vector)
{
    struct cpu *c = v->c;
    struct seg *cs = &c->seg[SEG_CS];

    c->stopped = 0;
    cs->sel = vector << 8;
    cs->base = (uint64_t)vector << 12;
    c->rip = 0;
    seg_update(c, SEG_CS);
    cpu_update_mode(c);
    log_msg(LOG_INT, "CPU %u: start-up at %05x", c->index, vector << 12);
}

/* ---- pausing ---- */

/*
 * Waits while somebody wants the machine to stand still. Who does may look at the vCPU and change it from another thread:
 * meanwhile nothing of its state is in this one's registers.
 */
static void hold(struct vcpu *v)
{
    struct vcpus *s = v->c->m->vcpus;

    backend_fp_sync(v->c);
    pthread_mutex_lock(&s->mutex);
    if (s->pauses)
        backend_fp_sync(v->c);          /* who made us wait may look at registers that this thread holds */
    s->held++;
    pthread_cond_broadcast(&s->still);
    while (s->pauses && stopping(s->m) == STOP_NONE)
        pthread_cond_wait(&s->go, &s->mutex);
    s->held--;
    pthread_mutex_unlock(&s->mutex);
    backend_fp_changed(v->c);
}

void vcpus_pause(struct machine *m)
{
    struct vcpus *s = m->vcpus;

    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->pauses++;
    clock_pause(m->clock, true);        /* in one step with the count, as in vcpus_resume(): any thread may ask */
    pthread_mutex_unlock(&s->mutex);
    for (unsigned i = 0; i < s->n; i++)
        attend(&s->v[i], ATTN_EXIT);
}

void vcpus_resume(struct machine *m)
{
    struct vcpus *s = m->vcpus;

    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    if (s->pauses && !--s->pauses) {
        pthread_cond_broadcast(&s->go);
        clock_pause(m->clock, false);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* s->mutex is held. A request to stop or reset that is being carried out is waited for. */
static bool still(const struct vcpus *s)
{
    if (s->over)
        return true;
    switch (stopping(s->m)) {
    case STOP_NONE:
        return s->held == s->n;
    case STOP_POWEROFF:
        return s->m->cfg.no_shutdown && s->parked == s->threads;
    default:
        return false;
    }
}

void vcpus_wait_still(struct machine *m)
{
    struct vcpus *s = m->vcpus;

    if (!s)
        return;
    machine_unlock(m);          /* a vCPU may wait for it */
    pthread_mutex_lock(&s->mutex);
    while (!still(s))
        pthread_cond_wait(&s->still, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    machine_lock(m);
}

void vcpus_act_as(struct machine *m, int cpu)
{
    if (m->vcpus)
        pthread_setspecific(m->vcpus->self, cpu < 0 ? NULL : &m->vcpus->v[cpu]);
}

static void run(struct vcpu *v)
{
    struct cpu *c = v->c;
    struct machine *m = c->m;

    for (;;) {
        int sipi;

        /* Clear first, look after: what comes in between is seen in the next round. */
        __atomic_fetch_and(&c->attn, ~ATTN_MINE, __ATOMIC_SEQ_CST);
        hold(v);
        if (stopping(m))
            return;
        if (__atomic_load_n(&v->c->init_pending, __ATOMIC_SEQ_CST)) {
            if (c->smm)
                c->init_waits = 1;
            else
                take_init(v);
        }
        sipi = __atomic_exchange_n(&v->c->sipi_pending, 0, __ATOMIC_SEQ_CST);
        if (sipi && c->stopped)
            take_sipi(v, sipi - 1);     /* one for a running processor is ignored */
        if (c->stopped)
            sleep_until(v, ATTN_MINE);
        else
            exec_run(c);
    }
}

/* ---- parking, resetting ---- */

static void reset_all(struct machine *m)
{
    struct vcpus *s = m->vcpus;

    machine_lock(m);
    if (m->stop != STOP_QUIT)           /* a request to leave must not drown in the reset */
        __atomic_store_n(&m->stop, STOP_NONE, __ATOMIC_SEQ_CST);
    machine_unlock(m);
    for (unsigned i = 0; i < s->n; i++) {
        struct cpu *c = s->v[i].c;

        __atomic_fetch_and(&c->attn, ATTN_WORK | ATTN_SAMPLE, __ATOMIC_SEQ_CST);      /* code that was overwritten stays so */
        c->init_pending = 0;
        c->sipi_pending = 0;
        cpu_reset(c, false);
        backend_fp_changed(c);
        c->intr_pending = c->nmi_pending = c->smi_pending = 0;
        c->halted = 0;
        c->stopped = c->index != 0;
    }
    if (m->settle)
        m->settle(m);                   /* the memory is the new start's */
    machine_reset(m);                   /* after the CPUs: chips set their lines */
    machine_lock(m);
    if (m->boot)
        m->boot(m);
    machine_unlock(m);
    for (unsigned i = 0; i < s->n; i++)
        if (s->v[i].c->debug)
            debug_reset(s->v[i].c);
}

/* What the last vCPU to park decides; s->mutex is held. True: run again. */
static bool decide(struct vcpus *s)
{
    struct machine *m = s->m;
    enum stop_reason why = stopping(m);

    if (why == STOP_POWEROFF && m->cfg.no_shutdown) {
        pthread_cond_broadcast(&s->still);
        while ((why = stopping(m)) == STOP_POWEROFF)
            pthread_cond_wait(&s->go, &s->mutex);
        if (why == STOP_RESET)          /* a monitor's: switched on again */
            return true;
    }
    if (why == STOP_NONE || ((why == STOP_RESET || why == STOP_TRIPLE) && !m->cfg.no_reboot))
        return true;
    pthread_cond_broadcast(&s->still);
    return false;
}

/* True: run; false: the machine has ended. */
static bool park(struct vcpus *s)
{
    unsigned generation;
    bool over;

    pthread_mutex_lock(&s->mutex);
    generation = s->generation;
    if (++s->parked == s->threads) {
        if (decide(s)) {
            /* Unlocked: chips pull on lines. Nobody else runs, and nobody else can be last. */
            pthread_mutex_unlock(&s->mutex);
            reset_all(s->m);
            pthread_mutex_lock(&s->mutex);
            s->parked = 0;
            s->generation++;
        } else {
            s->over = true;
        }
        pthread_cond_broadcast(&s->go);
        pthread_cond_broadcast(&s->still);
        over = s->over;
        pthread_mutex_unlock(&s->mutex);
        if (over)
            s->stopped(s->arg);
        return !over;
    }
    while (!s->over && s->generation == generation)
        pthread_cond_wait(&s->go, &s->mutex);
    over = s->over;
    pthread_mutex_unlock(&s->mutex);
    return !over;
}

static void *thread(void *arg)
{
    struct vcpu *v = arg;
    struct vcpus *s = v->c->m->vcpus;
    char name[16];

    snprintf(name, sizeof(name), "cpu%u", v->c->index);
    trace_thread(name);
    pthread_setspecific(s->self, v);
    __atomic_store_n(&v->tid, (int)gettid(), __ATOMIC_SEQ_CST);
    crash_thread(v->c);
    exec_thread(v->c);
    tick_thread(v->c);
    pthread_mutex_lock(&v->mutex);
    if (pthread_getcpuclockid(pthread_self(), &v->cpu_time) != 0)
        die(EXIT_CODE_HOST, "the host does not tell the CPU time of threads");
    v->has_thread = true;
    pthread_mutex_unlock(&v->mutex);
    for (;;) {
        bool again = park(s);

        pthread_mutex_lock(&v->mutex);
        v->has_thread = again;
        if (again)
            idle_end(v);
        pthread_mutex_unlock(&v->mutex);
        if (!again)
            return NULL;
        run(v);
        pthread_mutex_lock(&v->mutex);
        idle_begin(v);
        pthread_mutex_unlock(&v->mutex);
    }
}

/* In the place of vCPUs where there are none. */
static void *nobody(void *arg)
{
    struct vcpus *s = arg;

    trace_thread("nobody");
    crash_thread(NULL);
    while (park(s)) {
        pthread_mutex_lock(&s->mutex);
        while (stopping(s->m) == STOP_NONE)
            pthread_cond_wait(&s->go, &s->mutex);
        pthread_mutex_unlock(&s->mutex);
    }
    return NULL;
}

bool vcpu_asleep(const struct cpu *c)
{
    return __atomic_load_n(&c->m->vcpus->v[c->index].asleep, __ATOMIC_SEQ_CST);
}

int vcpus_thread_id(struct machine *m, unsigned cpu)
{
    struct vcpu *v = vcpu_of(m, cpu);

    return v ? __atomic_load_n(&v->tid, __ATOMIC_SEQ_CST) : 0;
}

void vcpus_start(struct machine *m, bool paused, void (*stopped)(void *arg), void *arg)
{
    struct vcpus *s = calloc(1, sizeof(*s) + m->ncpu * sizeof(s->v[0]));
    int err;

    if (!s || (err = pthread_key_create(&s->self, NULL)) != 0)
        die(EXIT_CODE_HOST, "out of memory for %u vCPUs", m->ncpu);
    s->m = m;
    s->n = m->ncpu;
    s->threads = s->n ? s->n : 1;
    s->stopped = stopped;
    s->arg = arg;
    s->pauses = paused;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->go, NULL);
    pthread_cond_init(&s->still, NULL);
    for (unsigned i = 0; i < s->n; i++) {
        s->v[i].c = m->cpu[i];
        idle_begin(&s->v[i]);
        pthread_mutex_init(&s->v[i].mutex, NULL);
        pthread_cond_init(&s->v[i].wake, NULL);
    }
    m->vcpus = s;
    if (paused)
        clock_pause(m->clock, true);
    for (unsigned i = 0; i < s->n; i++) {
        err = pthread_create(&s->v[i].thread, NULL, thread, &s->v[i]);
        if (err)
            die(EXIT_CODE_HOST, "cannot start the thread of CPU %u: %s: try a smaller -smp", i,
                strerror(err));
    }
    if (!s->n && (err = pthread_create(&s->nobody, NULL, nobody, s)) != 0)
        die(EXIT_CODE_HOST, "cannot start a thread: %s", strerror(err));
    clock_pace(m->clock, vcpus_ran, s);
    /* What a monitor does to chips from now on is not undone by the first reset. */
    pthread_mutex_lock(&s->mutex);
    while (!s->generation && !s->over)
        pthread_cond_wait(&s->go, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
}

void vcpus_join(struct machine *m)
{
    struct vcpus *s = m->vcpus;

    for (unsigned i = 0; i < s->n; i++)
        pthread_join(s->v[i].thread, NULL);
    if (!s->n)
        pthread_join(s->nobody, NULL);
    clock_pace(m->clock, NULL, NULL);
    for (unsigned i = 0; i < s->n; i++) {
        pthread_cond_destroy(&s->v[i].wake);
        pthread_mutex_destroy(&s->v[i].mutex);
    }
    pthread_cond_destroy(&s->go);
    pthread_cond_destroy(&s->still);
    pthread_mutex_destroy(&s->mutex);
    pthread_key_delete(s->self);
    m->vcpus = NULL;
    free(s);
}
