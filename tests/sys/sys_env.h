/*
 * sys_env.h - one vCPU with RAM, descriptor tables and dummy chips, for tests
 * of the system family's helpers.
 */
#ifndef TESTS_SYS_ENV_H
#define TESTS_SYS_ENV_H

#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "translator/backend.h"

#define S_RAM    (2u << 20)
#define S_GDT    0x1000u
#define S_IDT    0x2000u
#define S_TSS    0x4000u        /* running task: 104 bytes, I/O bitmap behind it at 0x68 + 32 */
#define S_TSS2   0x6000u        /* another one */
#define S_LDT    0x7000u
#define S_HANDLER 0x20000u      /* handler of vector n: + 16 * n */
#define S_STACK0 0x40000u       /* top of the ring 0 stack in the TSS */
#define S_STACK  0x50000u       /* where rSP starts */
#define S_STACK3 0x60000u
#define S_IST1   0x70000u
#define S_PML4   0x80000u

/* GDT selectors. */
enum {
    G_CODE0 = 0x08, G_DATA0 = 0x10, G_CODE3 = 0x18, G_DATA3 = 0x20, G_TSS = 0x28, G_TSS2 = 0x38, G_LDT = 0x48,
    G_CONF = 0x58, G_XONLY = 0x60, G_RO = 0x68, G_NP = 0x70, G_DOWN = 0x78, G_GATE = 0x80, G_TASKGATE = 0x90,
    G_CODE64_3 = 0x98, G_DATA16 = 0xa0, G_CODE1 = 0xa8, G_DATA1 = 0xb0, G_END = 0xb8,
};

enum sys_mode { REAL, PROT, LONG };

struct sys_env {
    struct machine m;
    struct cpu *c;
    uint8_t *ram;
    struct cpu_model *model;
    uint8_t vector;             /* what int_ack gives */
    uint8_t tpr;
    uint64_t msr[0x1000];       /* by low 12 bits */
    bool (*on_halt)(struct sys_env *);  /* whole programs: HLT; false or NULL: sys_run() returns */
};

extern const char *sys_model;   /* -cpu of the machines to come; NULL: the default */

struct sys_env *sys_new(enum sys_mode mode);
void sys_free(struct sys_env *e);
void sys_poke(struct sys_env *e, uint64_t pa, unsigned size, uint64_t v);
uint64_t sys_peek(struct sys_env *e, uint64_t pa, unsigned size);
/* IDT entry of the mode: type 0xe or 0xf with DPL; ist for LONG. */
void sys_gate(struct sys_env *e, unsigned vector, unsigned type, unsigned dpl, uint16_t sel, unsigned ist);
/* To ring 3 (flat, of the mode) or virtual-8086 mode as if returned to. */
void sys_ring3(struct sys_env *e);
void sys_v86(struct sys_env *e, unsigned iopl);

/* To run whole programs by the run loop: prepare it for one engine, run from c->rip until HLT. */
void sys_exec(struct sys_env *e, bool interp);
/* Add a loop test for each engine this host has; its loop variable is sys_exec()'s `interp`. */
#define tcase_add_engines(tc, test) tcase_add_loop_test(tc, test, !backend_exists, 2)
void sys_run(struct sys_env *e);

#define OK 0xff                 /* no fault expected */
/* A helper's answer: fault `vector` with `code`, or none. */
void expect(struct cpu *c, bool faulted, unsigned vector, uint32_t code, const char *what);

#endif
