/*
 * old.c - code for an old x86-64 processor: that the backend makes it, and that
 * it has nothing in it such a processor does not know.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backend-x86_64/emit.h"
#include "tests/hw/hw.h"
#include "translator/backend.h"

static csh cs;

const bool hw_old_exists = true;

void hw_old_init(void)
{
    if (!backend_disassembler(&cs))
        exit(4);
    cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
}

static bool is_new(const cs_insn *i)
{
    static const uint8_t groups[] = { X86_GRP_SSE3, X86_GRP_SSSE3, X86_GRP_SSE41, X86_GRP_SSE42, X86_GRP_AVX,
                                      X86_GRP_BMI, X86_GRP_BMI2 };

    for (unsigned k = 0; k < sizeof(groups); k++)
        if (cs_insn_group(cs, i, groups[k]))
            return true;
    return i->id == X86_INS_POPCNT || i->id == X86_INS_LZCNT || i->id == X86_INS_TZCNT ||
           i->id == X86_INS_CRC32 || i->id == X86_INS_MOVBE;
}

/* Short jumps are over data (emit_fallback). */
bool hw_old_check(const uint8_t *p, size_t n)
{
    cs_insn *i = cs_malloc(cs);
    uint64_t at = (uint64_t)(uintptr_t)p, end = at + n;
    bool known = true;

    while (known && at < end && cs_disasm_iter(cs, &p, &n, &at, i)) {
        known = !is_new(i);
        if (!known)
            printf("hwtest: code for an old processor has %s %s\n", i->mnemonic, i->op_str);
        if (i->bytes[0] == 0xeb && i->bytes[1] < n) {
            p += i->bytes[1];
            n -= i->bytes[1];
            at += i->bytes[1];
        }
    }
    cs_free(i, 1);
    if (known && at < end)
        printf("hwtest: %zu bytes of code that the disassembler does not know\n", n);
    return known && at == end;
}
