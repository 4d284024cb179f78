/*
 * features.c - which of the features in features.def this processor has.
 */
#include <cpuid.h>

#include <string.h>

#include "backend-x86_64/emit.h"
#include "translator/vec.h"

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

/* ---- what no bit tells ---- */

static bool does_as_we(enum ir_op op, unsigned vl, const union vreg *a, const union vreg *b, const union vreg *host)
{
    struct ir_ins i = { .op = op, .aux = (uint16_t)vl, .type = TY_V128, .imm = 0xff };
    struct fp_env env = { .mxcsr = MX_DEFAULT };
    union vreg want;

    vec_op(&i, &want, a, b, b, &env);
    return memcmp(&want, host, sizeof want) == 0;
}

/*
 * The approximations' tables, and which of several NaNs a sum keeps, are each maker's own; vec.c has Intel's.  A guest must
 * see the same on every host, whichever engine runs it.
 */
static bool as_intel(bool sse4_1)
{
    bool same = true;

    for (unsigned k = 0; k < 64; k++) {
        union vreg v, host, nan = { .d = { 0x7fc00001u + k, 0xffc00100u + k, 0x7fd00000u + k, 0xffe00000u } };

        for (unsigned n = 0; n < 4; n++)
            v.f[n] = 1.0f + (float)(4 * k + n) / 256;
        __asm__("rcpps %1, %0" : "=x"(host) : "x"(v));
        same &= does_as_we(IR_VFRCP, VL_F32, NULL, &v, &host);
        __asm__("rsqrtps %1, %0" : "=x"(host) : "x"(v));
        same &= does_as_we(IR_VFRSQRT, VL_F32, NULL, &v, &host);
        if (!sse4_1)
            continue;
        host = v;
        __asm__("dpps $0xff, %1, %0" : "+x"(host) : "x"(nan));
        same &= does_as_we(IR_VFDP, VL_F32, &v, &nan, &host);
    }
    return same;
}

uint64_t backend_host_features(void)
{
    uint64_t set = 0, next = 1;

#define F(id, name, leaf, reg, bit, use) set |= (leaf) && (ask(leaf).reg >> (bit) & 1) ? next : 0, next <<= 1;
#include "backend-x86_64/features.def"
#undef F
    if (as_intel(set >> HF_SSE4_1 & 1))
        set |= (uint64_t)1 << HF_AS_INTEL;
    return set;
}

bool backend_tso(void)
{
    return true;                /* that order is this host's own */
}
