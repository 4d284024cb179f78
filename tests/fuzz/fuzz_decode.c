/*
 * fuzz_decode.c - random bytes through the decoder alone.
 *
 * Rules: the length is 1 to 15 and never more than was given; what decodes from
 * n bytes decodes the same from more, and asks for more from fewer; the bytes
 * lie at the end of their own allocation, so that AddressSanitizer sees a read
 * too far.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static const uint32_t modes[] = { M_CODE16, M_CODE16 | M_PE | M_VM, M_CODE16 | M_PE, M_CODE32 | M_PE,
                                  M_CODE32 | M_PE | M_LMA, M_CODE64 | M_PE | M_LMA };

static bool wrong(const char *what, const uint8_t *p, unsigned n, uint32_t mode)
{
    fprintf(stderr, "fuzz: decoder: %s: mode %x:", what, mode);
    for (unsigned k = 0; k < n; k++)
        fprintf(stderr, " %02x", p[k]);
    fprintf(stderr, "\n");
    return false;
}

static bool one(const uint8_t *bytes, uint32_t mode)
{
    struct insn whole, part;
    enum decode_result r = decode(&whole, bytes, 15, mode, NULL), q;
    unsigned len = whole.len;

    if (r == DECODE_MORE)
        return wrong("wants more than 15 bytes", bytes, 15, mode);
    if (r == DECODE_OK && (!whole.row || whole.nops > 4))
        return wrong("no row or too many operands", bytes, 15, mode);
    if (len > 15 || (!len && r == DECODE_OK))
        return wrong("impossible length", bytes, 15, mode);
    for (unsigned n = 0; n <= 15; n++) {
        uint8_t *p = malloc(n ? n : 1);
        bool same;

        memcpy(p, bytes, n);
        q = decode(&part, p, n, mode, NULL);
        free(p);
        if (r != DECODE_OK)
            same = q == r || q == DECODE_MORE;
        else if (n < len)
            same = q == DECODE_MORE;
        else
            same = q == DECODE_OK && part.len == len && part.row == whole.row && part.imm == whole.imm &&
                   part.disp == whole.disp;
        if (!same)
            return wrong("truncation changes the result", bytes, n, mode);
    }
    return true;
}

bool fuzz_decode(struct hw_rng *r, unsigned long count)
{
    static const uint8_t prefix[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x48, 0x41, 0x0f };
    bool ok = true;

    while (count-- && ok) {
        uint8_t b[15];
        unsigned n = hw_below(r, 2) ? 0 : (unsigned)hw_below(r, 15);

        for (unsigned k = 0; k < 15; k++)
            b[k] = (uint8_t)(k < n ? prefix[hw_below(r, sizeof(prefix))] : hw_rand(r));
        for (unsigned k = 0; k < sizeof(modes) / sizeof(modes[0]); k++)
            ok = one(b, modes[k]) && ok;
    }
    return ok;
}
