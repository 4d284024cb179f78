/*
 * help_cpuid.c - CPU models, -cpu parsing and the CPUID instruction.
 *
 * Which features exist is said once, in cpuid.def; the feature words here are
 * made from it.  Source: SDM vol. 2, CPUID.
 */
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "frontend/cpu_model.h"
#include "frontend/help.h"
#include "hw/machine.h"

struct feature {
    const char *names;
    uint32_t leaf, sub;
    char reg;
    uint8_t bit, attrs;
};
static const struct feature features[FEAT_COUNT] = {
#define FEATURE(id, names_, leaf_, sub_, reg_, bit_, attrs_) \
    [FEAT_##id] = { names_, leaf_, sub_, reg_, bit_, attrs_ },
#include "frontend/cpuid.def"
#undef FEATURE
};

/*
 * IA32_ARCH_CAPABILITIES: nothing here speculates, so every "not affected" bit
 * that lets guests leave mitigations off: RDCL_NO IBRS_ALL SKIP_L1DFL SSB_NO
 * MDS_NO PSCHANGE_MC_NO TAA_NO SBDR_SSDP_NO FBSDP_NO PSDP_NO BHI_NO PBRSB_NO
 * GDS_NO RFDS_NO.
 */
#define ARCH_CAPS_ALL                                                                                      \
    (1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 | 1ull << 13 |      \
     1ull << 14 | 1ull << 15 | 1ull << 20 | 1ull << 24 | 1ull << 26 | 1ull << 27)

static const struct cpu_model models[] = {
    { .name = "latimer64",
      .vendor = "GenuineIntel",
      .brand = "Latimer Virtual CPU",
      .family = 6,
      .model = 143,
      .stepping = 8,
      .arch_capabilities = ARCH_CAPS_ALL },
};

/* Other names for the default model. */
static const char *const aliases[] = { "max", "base", "qemu64" };

/* Is `word` (n bytes) one of the space-separated names? A '-' and a '_' are the same. */
static bool name_in(const char *names, const char *word, size_t n)
{
    while (*names) {
        size_t len = strcspn(names, " ");
        bool same = len == n;

        for (size_t i = 0; same && i < n; i++) {
            char a = names[i] == '_' ? '-' : names[i], b = word[i] == '_' ? '-' : word[i];

            same = a == b;
        }
        if (same)
            return true;
        names += len;
        names += *names == ' ';
    }
    return false;
}

static const char *unknown_feature(const char *word, size_t n, char *err, size_t size)
{
    struct nearest near;
    char name[32];

    snprintf(name, sizeof(name), "%.*s", (int)n, word);
    nearest_init(&near, name, "");
    for (unsigned f = 1; f < FEAT_COUNT; f++)
        if (features[f].attrs & (FA_OK | FA_DYN))
            nearest_try(&near, features[f].names, strcspn(features[f].names, " "));
    if (near.list[0])
        snprintf(err, size, "unknown CPU feature '%s': did you mean %s? (-cpu help lists all)", name, near.list);
    else
        snprintf(err, size, "unknown CPU feature '%s'; -cpu help lists what there is", name);
    return err;
}

/* What QEMU takes among the features: to be told of a feature that is not there is what happens anyway, and so on. */
static bool without_effect(const char *word, size_t n)
{
    return name_in("check enforce migratable", word, n);
}

static const char *set_feature(struct cpu_model *m, const char *word, size_t n, bool on, char *err,
                               size_t size)
{
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        uint64_t bit = (uint64_t)1 << (f % 64);

        if (!name_in(features[f].names, word, n))
            continue;
        if (!on) {
            m->feats[f / 64] &= ~bit;
            return NULL;
        }
        if (!(features[f].attrs & (FA_OK | FA_DYN))) {
            snprintf(err, size,
                     "CPU feature '%.*s' is not implemented; leave it off (-cpu help lists what there is)",
                     (int)n, word);
            return err;
        }
        m->feats[f / 64] |= bit;
        return NULL;
    }
    return unknown_feature(word, n, err, size);
}

const char *cpu_model_parse(const char *spec, struct cpu_model **out)
{
    static _Thread_local char err[400];
    const struct cpu_model *found = NULL;
    struct cpu_model *m;
    size_t n;

    if (!spec || !*spec)
        spec = models[0].name;
    n = strcspn(spec, ",");
    if (n == 4 && !strncmp(spec, "host", 4))
        return "CPU model 'host' needs hardware virtualization, which is not used; "
               "take 'max', all that this one can do";
    for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        if (strlen(models[i].name) == n && !strncmp(spec, models[i].name, n))
            found = &models[i];
    }
    for (unsigned i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strlen(aliases[i]) == n && !strncmp(spec, aliases[i], n))
            found = &models[0];
    }
    if (!found) {
        snprintf(err, sizeof(err),
                 "unknown CPU model '%.*s': there is one processor, latimer64, also called max and qemu64: take that, and "
                 "-cpu latimer64,-FEATURE without what it has too much (-cpu help lists features)", (int)n, spec);
        return err;
    }
    m = malloc(sizeof(*m));
    if (!m)
        return "out of memory";
    *m = *found;
    m->cpus = 1;
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (features[f].attrs & FA_DEF)
            m->feats[f / 64] |= (uint64_t)1 << (f % 64);
    }
    for (spec += n; *spec == ','; spec += n) {
        const char *e, *word = ++spec, *eq;
        size_t len;
        bool on = true;

        n = len = strcspn(spec, ",");
        eq = memchr(word, '=', len);
        if (*word == '+' || *word == '-') {
            on = *word == '+';
            word++;
            len--;
        } else if (eq) {
            size_t vlen = (size_t)(word + len - eq - 1);

            on = name_in("on yes true", eq + 1, vlen);
            if (!on && !name_in("off no false", eq + 1, vlen)) {
                snprintf(err, sizeof(err), "'%.*s': use =on or =off", (int)len, word);
                free(m);
                return err;
            }
            len = (size_t)(eq - word);
        }
        e = without_effect(word, len) ? NULL : set_feature(m, word, len, on, err, sizeof(err));
        if (e) {
            free(m);
            return e;
        }
    }
    *out = m;
    return NULL;
}

const char *cpu_model_nth(unsigned n)
{
    const unsigned nmodels = sizeof(models) / sizeof(models[0]), naliases = sizeof(aliases) / sizeof(aliases[0]);

    return n < nmodels ? models[n].name : n < nmodels + naliases ? aliases[n - nmodels] : NULL;
}

const char *cpu_feature_nth(unsigned n, enum x86_feat *feat)
{
    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        if (!(features[f].attrs & FA_OK) || n--)
            continue;
        *feat = (enum x86_feat)f;
        return features[f].names;
    }
    return NULL;
}

void cpu_model_list(FILE *f)
{
    fprintf(f, "CPU models:\n");
    for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        fprintf(f, "  %-12s %s\n", models[i].name, models[i].brand);
    fprintf(f, "  max          the same\n\nFeatures (+name, -name; * on by default):\n");
    for (unsigned i = 1, col = 0; i < FEAT_COUNT; i++) {
        size_t n = strcspn(features[i].names, " ");

        if (!(features[i].attrs & FA_OK))
            continue;
        fprintf(f, "%s%.*s%s", col ? " " : "  ", (int)n, features[i].names,
                features[i].attrs & FA_DEF ? "*" : "");
        col += (unsigned)n + 2;
        if (col > 80) {
            fprintf(f, "\n");
            col = 0;
        }
    }
    fprintf(f, "\n");
}

/* The feature bits of one register of one leaf. */
static uint32_t word(const struct cpu_model *m, uint32_t leaf, uint32_t sub, char reg)
{
    uint32_t v = 0;

    for (unsigned f = 1; f < FEAT_COUNT; f++) {
        const struct feature *p = &features[f];

        if (p->leaf == leaf && p->sub == sub && p->reg == reg && model_has(m, (enum x86_feat)f))
            v |= 1u << p->bit;
    }
    return v;
}

static uint32_t le32(const char *s)
{
    const uint8_t *p = (const uint8_t *)s;

    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void set(uint32_t r[4], uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    r[0] = a;
    r[1] = b;
    r[2] = c;
    r[3] = d;
}

/* log2 of the logical processors, rounded up: bits of an APIC id below the package number. */
static unsigned apic_bits(unsigned cpus)
{
    unsigned n = 0;

    while (1u << n < cpus)
        n++;
    return n;
}

static uint32_t signature(const struct cpu_model *m)
{
    unsigned fam = m->family > 15 ? 15 : m->family, ext = m->family > 15 ? m->family - 15u : 0;

    return (uint32_t)m->stepping | (m->model & 15u) << 4 | fam << 8 | (m->model >> 4) << 16 | ext << 20;
}

/* Deterministic cache parameters: level, type (1 data, 2 code, 3 unified), ways, sets; 64-byte lines. */
static void leaf4(const struct cpu_model *m, uint32_t sub, uint32_t r[4])
{
    static const struct { uint8_t type, level, ways; uint32_t sets; } cache[] = {
        { 1, 1, 8, 64 }, { 2, 1, 8, 64 }, { 3, 2, 16, 2048 }, { 3, 3, 16, 16384 },
    };
    uint32_t share;

    if (sub >= sizeof(cache) / sizeof(cache[0])) {
        set(r, 0, 0, 0, 0);
        return;
    }
    share = cache[sub].level == 3 ? (1u << apic_bits(m->cpus)) - 1 : 0;
    set(r, cache[sub].type | (uint32_t)cache[sub].level << 5 | 1u << 8 | share << 14 |
           ((1u << apic_bits(m->cpus)) - 1) << 26,
        63u | (cache[sub].ways - 1u) << 22, cache[sub].sets - 1, cache[sub].level == 3 ? 4 : 0);
}

#define MICROCODE 0x2b000571u
#define CPUID_MAX 0x16u
#define CPUID_EXT_MAX 0x80000008u
#define CPUID_HV 0x40000000u
#define CPUID_HV_LEAVES 0x100u
#define CPUID_KVM (CPUID_HV + 1)

void cpu_model_cpuid(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    const struct cpu_model *m = c->model;
    char brand[48];

    /* SDM: a leaf above the maximum answers as the highest basic leaf does. */
    if (leaf < CPUID_HV ? leaf > CPUID_MAX : leaf >= 0x80000000 ? leaf > CPUID_EXT_MAX :
        leaf - CPUID_HV >= CPUID_HV_LEAVES || !model_has(m, FEAT_HYPERVISOR))
        leaf = CPUID_MAX;
    set(r, 0, 0, 0, 0);
    switch (leaf) {
    case 0:
        set(r, CPUID_MAX, le32(m->vendor), le32(m->vendor + 8), le32(m->vendor + 4));
        break;
    case 1:
        set(r, signature(m), c->index << 24 | (1u << apic_bits(m->cpus)) << 16 | 8u << 8, word(m, 1, 0, 'c'),
            word(m, 1, 0, 'd'));
        r[2] &= ~(1u << 27);
        if (model_has(m, FEAT_XSAVE) && (c->cr4 & CR4_OSXSAVE))
            r[2] |= 1u << 27;
        if (!(c->misc_enable & MISC_MONITOR))
            r[2] &= ~(1u << 3);
        if (!(c->apic_base & 0x800))
            r[3] &= ~(1u << 9);
        if (m->cpus > 1)
            r[3] |= 1u << 28;
        break;
    case 2:     /* one call; "caches: see leaf 4", no prefetch size, 64-byte prefetching, TLBs as of old */
        set(r, 0x00feff01, 0xf0, 0, 0);
        break;
    case 4:
        leaf4(m, sub, r);
        break;
    case 5:     /* MONITOR: lines of 64 bytes; MWAIT: masked interrupts may end it, C1 alone */
        if (model_has(m, FEAT_MONITOR))
            set(r, MONITOR_LINE, MONITOR_LINE, 3, 0x10);
        break;
    case 6:     /* ARAT: the APIC timer never stops */
        r[0] = 4;
        break;
    case 7:
        if (sub == 0)
            set(r, 0, word(m, 7, 0, 'b'), word(m, 7, 0, 'c'), word(m, 7, 0, 'd'));
        break;
    case 0xb:
        if (sub == 0)           /* threads: one a core */
            set(r, 0, 1, 1u << 8, c->index);
        else if (sub == 1)
            set(r, apic_bits(m->cpus), m->cpus, 1 | 2u << 8, c->index);
        else
            set(r, 0, 0, sub & 0xff, c->index);
        break;
    case 0xd:
        if (!model_has(m, FEAT_XSAVE))
            break;
        if (sub == 0)           /* x87 and SSE: the 512-byte area and the header */
            set(r, 3, 576, 576, 0);
        else if (sub == 1)
            set(r, word(m, 0xd, 1, 'a'), 0, 0, 0);
        break;
    case 0x15:  /* TSC = crystal * EBX / EAX; the APIC timer counts the crystal */
        set(r, 1, 1, 1000000000, 0);
        break;
    case 0x16:
        set(r, 1000, 1000, 100, 0);
        break;
    case CPUID_HV:              /* guests know the clock by KVM's name alone */
        if (model_has(m, FEAT_KVMCLOCK))
            set(r, CPUID_KVM, le32("KVMK"), le32("VMKV"), 'M');
        else
            set(r, CPUID_HV, le32("Lati"), le32("merE"), le32("mu  "));
        break;
    case CPUID_KVM:
        if (model_has(m, FEAT_KVMCLOCK))
            r[0] = word(m, leaf, 0, 'a');
        break;
    case 0x80000000:
        r[0] = CPUID_EXT_MAX;
        break;
    case 0x80000001:
        r[2] = word(m, leaf, 0, 'c');
        r[3] = word(m, leaf, 0, 'd');
        if (!cpu_64(c))
            r[3] &= ~(1u << 11);        /* SYSCALL exists in 64-bit mode only */
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        memset(brand, 0, sizeof(brand));
        memcpy(brand, m->brand, strnlen(m->brand, sizeof(brand)));
        for (unsigned i = 0; i < 4; i++)
            r[i] = le32(brand + (leaf - 0x80000002) * 16 + i * 4);
        break;
    case 0x80000006:    /* L2: 64-byte lines, 16-way, KiB */
        r[2] = 64 | 8u << 12 | 2048u << 16;
        break;
    case 0x80000007:
        r[3] = word(m, leaf, 0, 'd');
        break;
    case 0x80000008:
        r[0] = MMU_PA_BITS | (model_has(m, FEAT_LM) ? 48u : 32u) << 8;
        break;
    }
}

void help_cpuid(struct cpu *c)
{
    uint32_t r[4];

    cpu_model_cpuid(c, (uint32_t)c->r[R_AX], (uint32_t)c->r[R_CX], r);
    if ((uint32_t)c->r[R_AX] == 1)
        c->ucode_rev = (uint64_t)MICROCODE << 32; /* CPUID 1 loads BIOS_SIGN_ID (SDM vol. 3, 9.11.7.1) */
    c->r[R_AX] = r[0];
    c->r[R_BX] = r[1];
    c->r[R_CX] = r[2];
    c->r[R_DX] = r[3];
}
