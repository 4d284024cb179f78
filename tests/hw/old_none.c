/*
 * old_none.c - old.c where the backend is not x86-64's: there is no old processor
 * to make code for.
 */
#include <stdlib.h>

#include "tests/hw/hw.h"

const bool hw_old_exists = false;

void hw_old_init(void)
{
    abort();
}

bool hw_old_check(const uint8_t *p, size_t n)
{
    abort();
}
