/*
 * qmp_trace.c - QMP: events of -trace.
 */
#include <string.h>

#include "base/trace.h"
#include "debug/qmp_int.h"

/* An event that is of no single processor, and there is none that is, may not be asked for by processor. */
static bool named(struct qmp_call *q)
{
    const char *name = qmp_string(q, "name");

    if (json_object_get(q->args, "vcpu"))
        qmp_fail(q, "event \"%.60s\" is not of one processor: leave 'vcpu' out", name);
    else if (!strpbrk(name, "*?[") && !trace_means(name))
        qmp_fail(q, "unknown event \"%.60s\"", name);
    return !q->error[0];
}

void qmp_trace_event_get_state(struct qmp_call *q)
{
    if (!named(q))
        return;
    q->ret = json_array();
    for (unsigned e = 0; e < TRACE_COUNT; e++)
        if (trace_matches(e, qmp_string(q, "name")))
            json_array_append_new(q->ret, json_pack("{s:s, s:s, s:b}", "name", trace_name(e), "state",
                                                    trace_on(e) ? "enabled" : "disabled", "vcpu", 0));
}

void qmp_trace_event_set_state(struct qmp_call *q)
{
    if (named(q))
        trace_switch(qmp_string(q, "name"), qmp_boolean(q, "enable", false));
}
