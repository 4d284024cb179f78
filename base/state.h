/*
 * state.h - tables of what a part of the machine has for state, and that state as a stream of bytes.
 *
 * One table of fields serves saving, loading, dumping and the test that saves, loads and saves again. The stream names
 * everything, and its numbers are little-endian, so that it means the same on every host:
 *   u8 length, instance's name; u8 length, type's name; u16 number of fields, then a field:
 *     u8 length, name; u16 width; u16 count; count * width bytes
 */
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct field {
    const char *name;
    uint32_t offset;
    uint16_t width;             /* bytes of one element: 1 2 4 8 */
    uint16_t count;
    uint64_t max;               /* largest value of an element that is loaded; 0: any */
};
/* A bool is 0 or 1; what is an index, a length or the number of a state has a bound, which loading checks. */
#define FIELD_BOUND(element) _Generic((element), bool: 1, default: 0)
#define FIELD_MAX(type, member, max) { #member, offsetof(type, member), sizeof(((type *)0)->member), 1, max }
#define FIELD_ARRAY_MAX(type, member, max)                                              \
    { #member, offsetof(type, member), sizeof(((type *)0)->member[0]),                  \
      sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), max }
#define FIELD(type, member) FIELD_MAX(type, member, FIELD_BOUND(((type *)0)->member))
#define FIELD_ARRAY(type, member) FIELD_ARRAY_MAX(type, member, FIELD_BOUND(((type *)0)->member[0]))
#define FIELD_END { 0, 0, 0, 0, 0 }

/* A stream that grows; zero to begin with. buf is malloc'ed. Dies when memory runs out. */
struct state_out {
    uint8_t *buf;
    size_t len, cap;
};
void state_put(struct state_out *, const void *data, size_t n);
void state_put_num(struct state_out *, uint64_t v, unsigned width);
void state_put_name(struct state_out *, const char *s);         /* of at most 255 bytes */
/* `obj` as its table says; fields NULL: it has none. */
void state_put_fields(struct state_out *, const char *name, const char *type, const struct field *fields,
                      const void *obj);

/* A stream that is read. `bad`: it ended too early; all that follows reads as zero. */
struct state_in {
    const uint8_t *p;
    size_t left;
    bool bad;
};
const uint8_t *state_get(struct state_in *, size_t n);          /* NULL: not so much is left */
uint64_t state_get_num(struct state_in *, unsigned width);
bool state_name_is(struct state_in *, const char *want);
/*
 * What differs where a chip's name and type, or the end (name NULL), were expected and something else is, for the user: a
 * text that holds until the thread's next call.
 */
const char *state_differs(struct state_in at, const char *name, const char *type);
/*
 * What state_put_fields() wrote. obj NULL: it is only checked. Returns NULL or what is wrong, a text that holds until the
 * thread's next call; obj may be changed then.
 */
const char *state_get_fields(struct state_in *, const char *name, const char *type, const struct field *fields,
                             void *obj);

#endif
