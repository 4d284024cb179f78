/*
 * vcpu.h - the vCPU threads: starting, halting, stopping and resetting them.
 */
#ifndef MAIN_VCPU_H
#define MAIN_VCPU_H

#include "frontend/cpu.h"
#include "hw/machine.h"

/*
 * One thread per m->cpu[i], each running exec_run(), and one where there are none. Resets and boots the
 * machine first, and again on every guest reset (unless -no-reboot).
 * stopped(arg) is called once, from a vCPU's thread without the device lock,
 * when the machine has stopped for good: m->stop and m->stop_code say why.
 * With -no-shutdown, soft-off only parks the vCPUs until STOP_QUIT.
 * `paused`: after the first reset they wait for a vcpus_resume() (-S).  When it returns that reset is over.
 */
void vcpus_start(struct machine *m, bool paused, void (*stopped)(void *arg), void *arg);
/* After machine_request_stop(): wait for the threads to end. */
void vcpus_join(struct machine *m);

/*
 * The vCPUs stop soon after, virtual time at once, until as many vcpus_resume() as there were vcpus_pause(). A
 * request to stop the machine gets through. Any thread, with or without the device lock; nothing happens where there
 * are no vCPUs.
 */
void vcpus_pause(struct machine *m);
void vcpus_resume(struct machine *m);
/*
 * After vcpus_pause(): waits until no vCPU executes anything, a reset asked for before included. Not a vCPU's thread;
 * the device lock is held once, and given up meanwhile.
 */
void vcpus_wait_still(struct machine *m);

/* Whether it sleeps: halt, or waits for a start-up IPI. Its own thread, signal handlers included. */
bool vcpu_asleep(const struct cpu *c);

/* The host's number of a vCPU's thread; 0: it has not begun. */
int vcpus_thread_id(struct machine *m, unsigned cpu);
/*
 * They stand still: accesses this thread makes to devices are that vCPU's (local APIC); -1: nobody's, as at
 * first.
 */
void vcpus_act_as(struct machine *m, int cpu);

/* HLT: sleep until c->attn is not 0; returns at once if it is. Own thread, device lock not held. */
void vcpu_halt_wait(struct cpu *c);
/* A store was made that the vCPU waits for (MWAIT). */
void vcpu_wake(struct cpu *c);

#endif
