/*
 * qmp_int.h - what QMP's files share: a command under way.
 */
#ifndef DEBUG_QMP_INT_H
#define DEBUG_QMP_INT_H

#include <jansson.h>

#include "debug/monitor_int.h"

struct qmp_call {
    struct mon *mon;
    struct machine *m;
    json_t *args;               /* an object, checked against the row */
    json_t *ret;                /* the answer; NULL: an empty object */
    char error[600];            /* not empty: it failed */
    const char *class;          /* of the error */
};

enum qmp_event {
#define CMD(id, name, when, args)
#define EVENT(id, name, ms) QMP_##id,
#include "debug/qmp.def"
#undef CMD
#undef EVENT
    QMP_EVENTS
};

struct qmp_row {
    const char *name;
    bool still;
    const char *args;
    void (*run)(struct qmp_call *);
};

/* The n-th command; NULL behind the last. The n-th event's name likewise. */
const struct qmp_row *qmp_nth(unsigned n);
const char *qmp_event_name(unsigned n);

/* GenericError. */
void qmp_fail(struct qmp_call *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Arguments; NULL, `otherwise` or false where one that may be missing is. */
const char *qmp_string(const struct qmp_call *, const char *name);
int64_t qmp_integer(const struct qmp_call *, const char *name, int64_t otherwise);
bool qmp_boolean(const struct qmp_call *, const char *name, bool otherwise);

/* A message to one client; takes j over. */
void qmp_send(struct mon *, json_t *j, bool event);
/* To all that have negotiated; takes data over (NULL: none). */
void qmp_tell(struct machine *, enum qmp_event, json_t *data);

json_t *qmp_version(void);

/* qmp_types.c: the type of a CPU model's processors, and the place of one among the objects. */
void qmp_cpu_type(const char *model, char *buf, size_t len);
struct memdev;
/* The host's nodes of a memory backend. */
json_t *qmp_memdev_nodes(const struct memdev *);
/* What memory backends take, as a schema has members. */
void qmp_object_members(json_t *list);
void qmp_cpu_path(unsigned cpu, char *buf, size_t len);

#define CMD(id, name, when, args) void qmp_##id(struct qmp_call *);
#define EVENT(id, name, ms)
#include "debug/qmp.def"
#undef CMD
#undef EVENT

#endif
