/*
 * features.c - which of the features in features.def this processor has, by the kernel's word.
 */
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "translator/backend.h"

/* Kernels of Apple machines (arch/arm64/kernel/process.c there). */
#define LATIMER_PR_SET_MEM_MODEL 0x4d4d444c
#define LATIMER_PR_SET_MEM_MODEL_TSO 1ul

const struct backend_feature backend_features[] = {
#define F(id, name, word, bit, use) { name, use },
#include "backend-aarch64/features.def"
#undef F
};
const unsigned backend_nfeatures = sizeof(backend_features) / sizeof(backend_features[0]);

uint64_t backend_host_features(void)
{
    uint64_t set = 0, next = 1;

#define F(id, name, word, bit, use) set |= getauxval(AT_##word) >> (bit) & 1 ? next : 0, next <<= 1;
#include "backend-aarch64/features.def"
#undef F
    return set;
}

bool backend_tso(void)
{
    return prctl(LATIMER_PR_SET_MEM_MODEL, LATIMER_PR_SET_MEM_MODEL_TSO, 0, 0, 0) == 0;
}
