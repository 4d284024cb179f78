/*
 * features.c - which of the features in features.def this processor has.
 */
#include <cpuid.h>

#include "translator/backend.h"

const struct backend_feature backend_features[] = {
#define F(id, name, leaf, reg, bit, use) { name, use },
#include "backend-x86_64/features.def"
#undef F
};
const unsigned backend_nfeatures = sizeof(backend_features) / sizeof(backend_features[0]);

struct answer {
    unsigned eax, ebx, ecx, edx;
};

static struct answer ask(unsigned leaf)
{
    struct answer a;

    if (!__get_cpuid_count(leaf, 0, &a.eax, &a.ebx, &a.ecx, &a.edx))
        return (struct answer){ 0, 0, 0, 0 };
    return a;
}

uint64_t backend_host_features(void)
{
    uint64_t set = 0, next = 1;

#define F(id, name, leaf, reg, bit, use) set |= ask(leaf).reg >> (bit) & 1 ? next : 0, next <<= 1;
#include "backend-x86_64/features.def"
#undef F
    return set;
}

bool backend_tso(void)
{
    return true;                /* that order is this host's own */
}
