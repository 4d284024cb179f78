/* qmp_fds.c - QMP: descriptors that a client gives along with a command (SCM_RIGHTS), by name and in sets (base/fds.h). */
#include <unistd.h>

#include "base/fds.h"
#include "debug/action.h"
#include "debug/qmp_int.h"

void qmp_getfd(struct qmp_call *q)
{
    char err[200];

    if (!action_getfd(q->m, q->mon, qmp_string(q, "fdname"), err, sizeof(err)))
        qmp_fail(q, "%s", err);
}

void qmp_closefd(struct qmp_call *q)
{
    char err[200];

    if (!action_closefd(q->m, qmp_string(q, "fdname"), err, sizeof(err)))
        qmp_fail(q, "%s", err);
}

void qmp_add_fd(struct qmp_call *q)
{
    int64_t set = qmp_integer(q, "fdset-id", -1);
    int fd = chardev_take_fd(q->mon->chr);

    if (fd < 0) {
        qmp_fail(q, "No file descriptor supplied via SCM_RIGHTS");
    } else if (json_object_get(q->args, "fdset-id") && set < 0) {
        close(fd);
        qmp_fail(q, "Parameter 'fdset-id' expects a non-negative value");
    } else {
        set = fds_add(q->m->fds, set, fd, qmp_string(q, "opaque"));
        q->ret = json_pack("{s:I, s:i}", "fdset-id", (json_int_t)set, "fd", fd);
    }
}

void qmp_remove_fd(struct qmp_call *q)
{
    int64_t set = qmp_integer(q, "fdset-id", 0), fd = qmp_integer(q, "fd", -1);
    bool one = json_object_get(q->args, "fd");

    if ((one && (fd < 0 || fd > INT32_MAX)) || !fds_remove(q->m->fds, set, (int)fd))
        qmp_fail(q, one ? "File descriptor named 'fdset-id:%lld, fd:%lld' not found" :
                 "File descriptor named 'fdset-id:%lld' not found", (long long)set, (long long)fd);
}

void qmp_query_fdsets(struct qmp_call *q)
{
    struct fds_view v;
    json_t *fds = NULL;
    int64_t last = -1;

    q->ret = json_array();
    for (unsigned i = 0; fds_nth(q->m->fds, i, &v); i++) {
        json_t *j = json_pack("{s:i}", "fd", v.fd);

        if (v.set != last) {
            fds = json_array();
            json_array_append_new(q->ret, json_pack("{s:I, s:o}", "fdset-id", (json_int_t)v.set, "fds", fds));
        }
        if (v.opaque)
            json_object_set_new(j, "opaque", json_string(v.opaque));
        json_array_append_new(fds, j);
        last = v.set;
    }
}
