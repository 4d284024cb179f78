/*
 * help_pvclock.c - the paravirtual clock of KVM guests: MSRs 4B564D00h and 4B564D01h
 * (Documentation/virt/kvm/x86/msr.rst and cpuid.rst in Linux).
 *
 * A guest names a place in its memory and finds there how to make nanoseconds of its TSC: those at
 * tsc_timestamp, and a factor. The guest TSC counts virtual nanoseconds (hw/clock.h), so the factor is 1
 * and exact, and what is there stays true until the guest itself writes its TSC; `version` is odd while it
 * changes. All processors' clocks are the same one, which the stable bit says.
 *
 * Layout of the clock: 0 version, 8 tsc_timestamp, 16 system_time, 24 tsc_to_system_mul, 28 tsc_shift, 29
 * flags; nanoseconds = system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32).
 * Layout of the wall clock at system_time 0: 0 version, 4 seconds, 8 nanoseconds.
 */
#include "base/log.h"
#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

#define NS_PER_SEC 1000000000

enum { VERSION = 0, TSC_TIMESTAMP = 8, SYSTEM_TIME = 16, MUL = 24, SHIFT = 28, FLAGS = 29, CLOCK_LEN = 32 };
enum { WALL_SEC = 4, WALL_NSEC = 8, WALL_LEN = 12 };
enum { ENABLED = 1, TSC_STABLE = 1 };

static void put(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> 8 * i;
}

/* Write a structure that begins with a version; other processors may be reading it. */
static void publish(struct cpu *c, uint64_t pa, uint8_t *s, unsigned len)
{
    struct phys *phys = c->m->phys;
    uint8_t old[4] = { 0 };
    uint32_t version;
    bool ok;

    machine_lock(c->m);
    ok = phys_dma_read(phys, pa, old, sizeof(old));
    version = ((uint32_t)old[0] | old[1] << 8 | old[2] << 16 | (uint32_t)old[3] << 24) | 1;
    put(s, version, 4);
    ok = ok && phys_dma_write(phys, pa, s, 4);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ok = ok && phys_dma_write(phys, pa + 4, s + 4, len - 4);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    put(s, version + 1, 4);
    ok = ok && phys_dma_write(phys, pa, s, 4);
    machine_unlock(c->m);
    if (!ok)
        log_msg(LOG_GUEST, "paravirtual clock at %#llx: that is not memory", (unsigned long long)pa);
}

void pvclock_update(struct cpu *c)
{
    uint8_t s[CLOCK_LEN] = { 0 };
    uint64_t now = clock_now(c->m->clock);

    if (!(c->pvclock[1] & ENABLED))
        return;
    put(s + TSC_TIMESTAMP, now + (uint64_t)c->tsc_offset, 8);
    put(s + SYSTEM_TIME, now, 8);
    put(s + MUL, 1u << 31, 4);
    s[SHIFT] = 1;
    s[FLAGS] = model_has(c->model, FEAT_KVMCLOCK_STABLE) ? TSC_STABLE : 0;
    publish(c, c->pvclock[1] & ~(uint64_t)ENABLED, s, sizeof(s));
}

void pvclock_wall(struct cpu *c)
{
    uint8_t s[WALL_LEN] = { 0 };
    int64_t ns = clock_start_utc(c->m->clock);

    put(s + WALL_SEC, (uint64_t)(ns / NS_PER_SEC), 4);
    put(s + WALL_NSEC, (uint64_t)(ns % NS_PER_SEC), 4);
    publish(c, c->pvclock[0], s, sizeof(s));
}
