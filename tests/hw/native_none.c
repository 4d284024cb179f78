/*
 * native_none.c - native.c for hosts that are not x86-64: no instruction can be
 * run here, only compared with what was recorded.
 */
#include <stdlib.h>

#include "tests/hw/hw.h"

bool hw_native_init(void)
{
    return false;
}

bool hw_native_pointers(void)
{
    abort();
}

bool hw_native_has(enum x86_feat f)
{
    abort();
}

void hw_native_cpu(char *name, size_t size)
{
    abort();
}

bool hw_native_differs(const struct hw_case *c)
{
    return false;
}

bool hw_native32_exists(void)
{
    return false;
}

void hw_native32(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off)
{
    abort();
}

void hw_native(struct hw_state *s, const uint8_t *code, unsigned len, unsigned off)
{
    abort();
}
