/*
 * qmp_job.c - QMP: snapshots as jobs, which clients follow by events and dismiss (QEMU's schema, JobStatus).
 *
 * The machine stands still while it is saved or loaded, so a job is concluded when its command is answered. All images that
 * can have a snapshot have one: a client that names fewer is told, since what is on the others would be of another time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "block/disk.h"
#include "debug/qmp_int.h"
#include "debug/snapshot.h"

struct qmp_job {
    struct qmp_job *next;
    const char *type;
    char *id, *error;           /* error NULL: it went well */
};

static void tell(struct machine *m, const char *id, const char *status)
{
    qmp_tell(m, QMP_JOB_STATUS_CHANGE, json_pack("{s:s, s:s}", "id", id, "status", status));
}

static struct qmp_job **find(struct machine *m, const char *id)
{
    struct qmp_job **at = &m->monitors->jobs;

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static void release(struct qmp_job *j)
{
    free(j->id);
    free(j->error);
    free(j);
}

void qmp_jobs_free(struct monitors *all)
{
    for (struct qmp_job *j = all->jobs, *next; j; j = next) {
        next = j->next;
        release(j);
    }
}

static bool keeps_snapshots(const struct drive *d)
{
    return d->disk && block_has_snapshots(disk_block(d->disk));
}

static bool named(const struct qmp_call *q, const char *id)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(q->args, "devices"), i, one)
        if (json_is_string(one) && strcmp(json_string_value(one), id) == 0)
            return true;
    return false;
}

/* Each image that the machine would use, and no other. */
static bool right_devices(struct qmp_call *q)
{
    struct drive *d;
    size_t have = 0;

    for (unsigned n = 0; (d = q->m->drive(q->m, n)); n++) {
        if (!keeps_snapshots(d))
            continue;
        if (!named(q, d->id))
            qmp_fail(q, "Parameter 'devices' must name '%s', too: all images of a machine are of one time", d->id);
        have++;
    }
    if (!q->error[0] && json_array_size(json_object_get(q->args, "devices")) != have)
        qmp_fail(q, "Parameter 'devices' names what has no snapshots: qcow2 images that can be written have");
    return !q->error[0];
}

/* The state of the machine is in the first of them. */
static bool right_vmstate(struct qmp_call *q)
{
    const char *want = qmp_string(q, "vmstate");
    struct drive *d;
    unsigned n = 0;

    while ((d = q->m->drive(q->m, n)) && !keeps_snapshots(d))
        n++;
    if (!d || strcmp(d->id, want) != 0)
        qmp_fail(q, d ? "Parameter 'vmstate' must be '%s', the first image that can keep it" :
                 "No image can keep a machine's state", d ? d->id : "");
    return d && !q->error[0];
}

static void run(struct qmp_call *q, const char *type, bool state,
                bool (*what)(struct machine *, const char *tag, char *why, size_t len))
{
    const char *id = qmp_string(q, "job-id"), *tag = qmp_string(q, "tag");
    struct qmp_job **end = find(q->m, id), *j;
    char why[512];

    if (*end)
        qmp_fail(q, "Job ID '%.60s' already in use", id);
    else if (strchr(tag, '/'))
        qmp_fail(q, "Parameter 'tag' is the name of a snapshot in images: it has no '/'");
    if (q->error[0] || !right_devices(q) || (state && !right_vmstate(q)))
        return;
    j = calloc(1, sizeof(*j));
    if (!j || !(j->id = strdup(id)))
        die(EXIT_CODE_HOST, "out of memory for QMP");
    j->type = type;
    *end = j;
    tell(q->m, id, "created");
    tell(q->m, id, "running");
    if (!what(q->m, tag, why, sizeof(why)))
        j->error = strdup(why);
    tell(q->m, id, "concluded");
}

void qmp_snapshot_save(struct qmp_call *q)
{
    run(q, "snapshot-save", true, snapshot_save);
}

void qmp_snapshot_load(struct qmp_call *q)
{
    run(q, "snapshot-load", true, snapshot_load);
}

void qmp_snapshot_delete(struct qmp_call *q)
{
    run(q, "snapshot-delete", false, snapshot_delete);
}

void qmp_query_jobs(struct qmp_call *q)
{
    q->ret = json_array();
    for (struct qmp_job *j = q->m->monitors->jobs; j; j = j->next) {
        json_t *one = json_pack("{s:s, s:s, s:s, s:i, s:i}", "id", j->id, "type", j->type, "status", "concluded",
                                "current-progress", 1, "total-progress", 1);

        if (j->error)
            json_object_set_new(one, "error", json_string(j->error));
        json_array_append_new(q->ret, one);
    }
}

void qmp_job_dismiss(struct qmp_call *q)
{
    struct qmp_job **at = find(q->m, qmp_string(q, "id")), *j = *at;

    if (!j) {
        qmp_fail(q, "Job not found");
        return;
    }
    *at = j->next;
    tell(q->m, j->id, "null");
    release(j);
}
