/*
 * cpu_model.h - named CPU models and their feature sets (cpuid.def).
 */
#ifndef FRONTEND_CPU_MODEL_H
#define FRONTEND_CPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/decode.h"

/* attrs of cpuid.def */
#define FA_DEF 1u
#define FA_OK  2u
#define FA_DYN 4u

struct cpu_model {
    const char *name;
    char vendor[13];
    char brand[49];
    uint8_t family, model, stepping;    /* effective, as software computes them */
    unsigned cpus;                      /* logical processors of the machine: topology leaves */
    uint64_t feats[(FEAT_COUNT + 63) / 64];     /* what decode() takes */
    uint64_t arch_capabilities;         /* MSR 10Ah */
};

static inline bool model_has(const struct cpu_model *m, enum x86_feat f)
{
    return m->feats[f / 64] >> (f % 64) & 1;
}

/*
 * -cpu NAME[,+feat|,-feat|,feat=on|,feat=off]...  spec NULL: the default.  On success NULL is
 * returned and *out is malloc'ed; else a message (static) that says what is wrong and what there is.
 */
const char *cpu_model_parse(const char *spec, struct cpu_model **out);
/* The name of the n-th; NULL behind the last. */
const char *cpu_model_nth(unsigned n);
/* The n-th feature that can be turned on and off: its names, parted by blanks; NULL behind the last. */
const char *cpu_feature_nth(unsigned n, enum x86_feat *);
/* The names, for -cpu help: one model a line, then the features. */
#include <stdio.h>
void cpu_model_list(FILE *f);
/* CPUID's answer for the model with c's control registers. regs: EAX EBX ECX EDX. */
struct cpu;
void cpu_model_cpuid(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t regs[4]);

#endif
