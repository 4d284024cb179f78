/*
 * qmp.c - QMP, the monitor for programs: messages taken out of the stream, the negotiation, checking
 * arguments by the table (qmp.def), answers and errors.
 *
 * A message is a JSON object; where it ends is found by counting brackets, so that one that is wrong costs no
 * more than itself. Its size and depth are bounded before it is parsed. After one that cannot be read the
 * rest of its line is left out, or all up to a byte FFh, by which clients ask for a fresh start.
 */
#include "debug/qmp_int.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fds.h"
#include "base/log.h"
#include "config.h"
#include "debug/hmp.h"

#define MESSAGE_MAX (1u << 20)
#define DEPTH_MAX   64u

enum { LIVE, STILL };

struct qmp {
    bool ready;                 /* capabilities have been negotiated */
    char *s;                    /* the message so far */
    size_t len, size;
    unsigned depth;
    bool string, escape, skip;  /* within a string; behind a backslash; until the line's end */
};

static const struct qmp_row rows[] = {
#define CMD(id, name, when, args) { name, when == STILL, args, qmp_##id },
#define EVENT(id, name, ms)
#include "debug/qmp.def"
#undef CMD
#undef EVENT
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const struct qmp_row *qmp_nth(unsigned n)
{
    return n < ROWS ? &rows[n] : NULL;
}

/* ---- out ---- */

void qmp_send(struct mon *mon, json_t *j, bool event)
{
    char *s = json_dumps(j, mon->mode == MONITOR_QMP_PRETTY ? JSON_INDENT(4) : JSON_COMPACT), *line;
    size_t n;

    json_decref(j);
    if (!s)
        die(EXIT_CODE_HOST, "out of memory for a QMP message");
    n = strlen(s);
    line = realloc(s, n + 3);
    if (!line)
        die(EXIT_CODE_HOST, "out of memory for a QMP message");
    memcpy(line + n, "\r\n", 3);
    if ((event && monitor_full(mon)) || !monitor_put(mon, line, n + 2)) {
        mon->lost++;
        log_msg(LOG_DEV, "QMP: the client does not read: %u messages are lost", mon->lost);
    }
    free(line);
}

static void send_error(struct mon *mon, json_t *id, const char *class, const char *text)
{
    json_t *j = json_pack("{s:{s:s, s:s}}", "error", "class", class, "desc", text);

    if (id)
        json_object_set(j, "id", id);
    qmp_send(mon, j, false);
}

/*
 * Clients decide by the number under "qemu" what messages look like, and some refuse old ones: it is that of the QEMU
 * whose schema ours is taken from (qmp.def). Who is asking is told by "package".
 */
json_t *qmp_version(void)
{
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", 7, "minor", 2, "micro", 0, "package",
                     "Latimer " PACKAGE_VERSION);
}

/* ---- calls ---- */

void qmp_fail(struct qmp_call *q, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(q->error, sizeof(q->error), fmt, ap);
    va_end(ap);
    q->class = "GenericError";
}

const char *qmp_string(const struct qmp_call *q, const char *name)
{
    return json_string_value(json_object_get(q->args, name));
}

int64_t qmp_integer(const struct qmp_call *q, const char *name, int64_t otherwise)
{
    const json_t *j = json_object_get(q->args, name);

    return j ? json_integer_value(j) : otherwise;
}

bool qmp_boolean(const struct qmp_call *q, const char *name, bool otherwise)
{
    const json_t *j = json_object_get(q->args, name);

    return j ? json_is_true(j) : otherwise;
}

static bool type_is(const json_t *j, char type, const char **name)
{
    switch (type) {
    case 's': *name = "string"; return json_is_string(j);
    case 'i': *name = "integer"; return json_is_integer(j);
    case 'b': *name = "boolean"; return json_is_boolean(j);
    case 'l': *name = "array"; return json_is_array(j);
    case 'o': *name = "object"; return json_is_object(j);
    default:  return true;
    }
}

/* The type of an argument and whether it may be missing; 0: there is no such argument. */
static char argument(const char *args, const char *name, bool *optional)
{
    size_t n = strlen(name);

    *optional = true;
    for (const char *s = args; *s; s += strcspn(s, " "), s += *s == ' ') {
        if (strncmp(s, name, n) == 0 && s[n] == ':') {
            *optional = s[n + 2] == '?';
            return s[n + 1];
        }
        if (*s == '*')
            return 'a';
    }
    return 0;
}

static void check(struct qmp_call *q, const struct qmp_row *r)
{
    const char *name, *type;
    bool optional;
    json_t *val;

    json_object_foreach(q->args, name, val) {
        char t = argument(r->args, name, &optional);

        if (!t)
            qmp_fail(q, "Parameter '%.100s' is unexpected", name);
        else if (!type_is(val, t, &type))
            qmp_fail(q, "Invalid parameter type for '%s', expected: %s", name, type);
        if (*q->error)
            return;
    }
    for (const char *s = r->args; *s; s += strcspn(s, " "), s += *s == ' ') {
        char word[40];

        snprintf(word, sizeof(word), "%.*s", (int)strcspn(s, ":"), s);
        argument(s, word, &optional);
        if (!optional && !json_object_get(q->args, word)) {
            qmp_fail(q, "Parameter '%s' is missing", word);
            return;
        }
    }
}

static const struct qmp_row *find(struct qmp_call *q, const char *name)
{
    const struct qmp *p = q->mon->qmp;

    q->class = "CommandNotFound";
    if (!p->ready && strcmp(name, "qmp_capabilities")) {
        snprintf(q->error, sizeof(q->error), "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (p->ready && strcmp(name, "qmp_capabilities") == 0) {
        snprintf(q->error, sizeof(q->error), "Capabilities negotiation is already complete, command ignored");
        return NULL;
    }
    for (unsigned i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    snprintf(q->error, sizeof(q->error), "The command %.200s has not been found", name);
    return NULL;
}

static void call(struct mon *mon, json_t *message)
{
    struct qmp_call q = { .mon = mon, .m = mon->all->m };
    json_t *id = json_object_get(message, "id"), *execute = json_object_get(message, "execute"), *val;
    const struct qmp_row *r = NULL;
    const char *name;

    q.args = json_object_get(message, "arguments");
    json_object_foreach(message, name, val)
        if (!*q.error && strcmp(name, "id") && strcmp(name, "execute") && strcmp(name, "arguments"))
            qmp_fail(&q, "QMP input member '%.100s' is unexpected", name);
    if (!*q.error && !execute)
        qmp_fail(&q, "QMP input lacks member 'execute'");
    else if (!*q.error && !json_is_string(execute))
        qmp_fail(&q, "QMP input member 'execute' must be a string");
    else if (!*q.error && q.args && !json_is_object(q.args))
        qmp_fail(&q, "QMP input member 'arguments' must be an object");
    if (!*q.error)
        r = find(&q, json_string_value(execute));
    if (r) {
        q.args = q.args ? json_incref(q.args) : json_object();
        check(&q, r);
        if (!*q.error) {
            if (r->still)
                control_hold(q.m->control);
            r->run(&q);
            if (r->still)
                control_release(q.m->control);
        }
        json_decref(q.args);
    }
    if (*q.error) {
        json_decref(q.ret);
        send_error(mon, id, q.class, q.error);
        return;
    }
    val = json_object();
    json_object_set_new(val, "return", q.ret ? q.ret : json_object());
    if (id)
        json_object_set(val, "id", id);
    qmp_send(mon, val, false);
}

void qmp_capabilities(struct qmp_call *q)
{
    json_t *list = json_object_get(q->args, "enable");

    if (json_array_size(list))
        qmp_fail(q, "Capability '%.60s' is not available", json_is_string(json_array_get(list, 0)) ?
                 json_string_value(json_array_get(list, 0)) : "?");
    else
        q->mon->qmp->ready = true;
}

/* Bytes of the UTF-8 character at s (RFC 3629), of at most n; 0: there is none. */
static size_t utf8(const char *text, size_t n)
{
    const uint8_t *s = (const uint8_t *)text;
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, a surrogate, behind 10FFFFh. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

void qmp_human_monitor_command(struct qmp_call *q)
{
    int64_t cpu = qmp_integer(q, "cpu-index", q->m->monitor_cpu);
    struct text_buf answer;

    if (json_object_get(q->args, "cpu-index") && (cpu < 0 || cpu >= (int64_t)q->m->ncpu)) {
        qmp_fail(q, "Invalid CPU index %lld: there are %u processors", (long long)cpu, q->m->ncpu);
        return;
    }
    text_buf_init(&answer, MONITOR_TEXT_MAX);
    hmp_run_on(q->m, (unsigned)cpu, qmp_string(q, "command-line"), &answer.text);
    if (answer.cut)
        memcpy(answer.s + answer.len - 4, "...\n", 4);
    for (size_t i = 0, n; i < answer.len; i += n ? n : 1) {     /* names may be of any bytes */
        n = utf8(answer.s + i, answer.len - i);
        if (!n || answer.s[i] == 0x7f || ((uint8_t)answer.s[i] < 0x20 && answer.s[i] != '\n'))
            answer.s[i] = '?';
    }
    q->ret = json_stringn(text_buf_get(&answer), answer.len);
    text_buf_free(&answer);
}

/* ---- in ---- */

static void fresh(struct qmp *p, bool skip)
{
    p->len = p->depth = 0;
    p->string = p->escape = false;
    p->skip = skip;
}

static void whole(struct mon *mon)
{
    struct qmp *p = mon->qmp;
    json_error_t e;
    json_t *j = json_loadb(p->s, p->len, JSON_REJECT_DUPLICATES, &e);

    fresh(p, false);
    if (!j) {
        char text[300];

        snprintf(text, sizeof(text), "JSON parse error, %s", e.text);
        send_error(mon, NULL, "GenericError", text);
    } else if (!json_is_object(j)) {
        send_error(mon, NULL, "GenericError", "QMP input must be a JSON object");
    } else {
        call(mon, j);
    }
    json_decref(j);
}

static void keep(struct qmp *p, uint8_t c)
{
    if (p->len == p->size) {
        p->size = p->size ? 2 * p->size : 256;
        p->s = realloc(p->s, p->size);
        if (!p->s)
            die(EXIT_CODE_HOST, "out of memory for a QMP message");
    }
    p->s[p->len++] = (char)c;
}

static void byte(struct mon *mon, uint8_t c)
{
    struct qmp *p = mon->qmp;
    const char *wrong = NULL;

    if (c == 0xff) {
        fresh(p, false);
        return;
    }
    if (p->skip) {
        p->skip = c != '\n';
        return;
    }
    if (!p->depth && isspace(c))
        return;
    if (!p->depth && c != '{' && c != '[')
        wrong = "JSON parse error, a message begins with '{'";
    else if (p->len == MESSAGE_MAX)
        wrong = "JSON parse error, the message is longer than 1 MiB";
    else if (p->depth == DEPTH_MAX && !p->string && (c == '{' || c == '['))
        wrong = "JSON parse error, the message is nested too deeply";
    if (wrong) {
        fresh(p, c != '\n');
        send_error(mon, NULL, "GenericError", wrong);
        return;
    }
    keep(p, c);
    if (p->escape)
        p->escape = false;
    else if (p->string && c == '\\')
        p->escape = true;
    else if (c == '"')
        p->string = !p->string;
    else if (!p->string && (c == '{' || c == '['))
        p->depth++;
    else if (!p->string && (c == '}' || c == ']') && !--p->depth)
        whole(mon);
}

void qmp_input(struct mon *mon, const uint8_t *buf, unsigned n)
{
    while (n--)
        byte(mon, *buf++);
}

/* Another client, who may know what this one had given. */
static bool others(const struct mon *mon)
{
    const struct mon *o = mon->all->first;

    while (o && (o == mon || !o->qmp || !o->connected))
        o = o->next;
    return o;
}

void qmp_open(struct mon *mon, bool open)
{
    struct qmp *p = mon->qmp;

    if (!p)
        p = mon->qmp = calloc(1, sizeof(*p));
    if (!p)
        die(EXIT_CODE_HOST, "out of memory for QMP");
    if (!open && p->ready && !others(mon))
        fds_forget(mon->all->m->fds);
    p->ready = false;
    fresh(p, false);
    if (open)
        qmp_send(mon, json_pack("{s:{s:o, s:[]}}", "QMP", "version", qmp_version(), "capabilities"), false);
}

bool qmp_ready(const struct mon *mon)
{
    return mon->qmp && mon->qmp->ready && mon->connected;
}

void qmp_free(struct mon *mon)
{
    if (mon->qmp)
        free(mon->qmp->s);
    free(mon->qmp);
}
