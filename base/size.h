/* size.h - numbers of bytes as users write them. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * "64", "0x40", "1.5G", "10KB", "512b": with suffix K to E, powers of 1024; without one the unit is 1 << shift
 * bytes. At most INT64_MAX. False: it is no size.
 */
bool size_parse(const char *s, unsigned shift, uint64_t *out);

#endif
