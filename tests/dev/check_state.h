/* check_state.h - what is saved of chips can be loaded, and is the same when it is saved again; for the tests' environments. */
#ifndef TESTS_DEV_CHECK_STATE_H
#define TESTS_DEV_CHECK_STATE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/dev.h"

static inline void check_state(struct chip_list *chips)
{
    uint8_t *a, *b;
    size_t n = chips_save(chips, &a), k;

    ck_assert_ptr_null(chips_load(chips, a, n));
    k = chips_save(chips, &b);
    ck_assert_uint_eq(n, k);
    ck_assert_int_eq(memcmp(a, b, n), 0);
    free(a);
    free(b);
}

#endif
