/*
 * monitor_int.h - what the files of the monitors share.
 */
#ifndef DEBUG_MONITOR_INT_H
#define DEBUG_MONITOR_INT_H

#include "base/text.h"
#include "debug/control.h"
#include "debug/monitor.h"

#define KEY_STEPS 1024          /* that wait to be done */
#define KEY_GAP_MS 30           /* between two calls of sendkey: a guest may poll its keyboard */

struct key_step {
    unsigned key;
    bool down;
    unsigned wait_ms;           /* not 0: wait, there is no key */
};
struct key_queue {
    struct key_step step[KEY_STEPS];
    unsigned first, n;
    bool busy;                  /* the timer runs */
    struct timer timer;
};

/* A client that does not read gets no more than this kept for it; see monitor.c for what happens then. */
#define MONITOR_PENDING (4u << 20)
#define MONITOR_TEXT_MAX (4u << 20)     /* of one command's answer in lines: guests map much (info mem) */
#define MONITOR_ANSWER  (2 * MONITOR_TEXT_MAX + 65536)  /* as it is sent: each byte may become two */

struct line_editor;
struct qmp;
struct qmp_limits;

struct mon {
    struct monitors *all;
    struct chardev *chr;
    enum monitor_mode mode;
    bool connected, busy;       /* busy: a command runs; more input waits */
    bool waits;                 /* a command goes on by itself; so does input, until line_resume() */
    char *out;                  /* what the stream did not take yet */
    size_t out_len, out_size;
    unsigned lost;              /* events, since it was full */
    struct line_editor *line;
    struct qmp *qmp;
    struct mon *next;
};

struct monitors {
    struct machine *m;
    struct mon *first;
    struct mon *asks;           /* whose line is being carried out; NULL: none is */
    struct control_watcher watcher;
    enum run_state last;        /* that clients know of */
    struct key_queue keys;
    unsigned buttons, at[2];    /* that are down, and where the pointer is, as monitors said */
    bool reset_by_user;         /* the reset that is being asked for */
    const char *quit_reason;
    struct qmp_limits *limits;
    struct qmp_job *jobs;       /* that no client has dismissed */
};

/* To the client; QMP's messages whole or not at all (false). */
bool monitor_put(struct mon *, const char *s, size_t n);
/* There is too much that it has not read yet: do not do more for it. */
bool monitor_full(const struct mon *);

/* action.c */
void action_keys_init(struct monitors *);

/* monitor_line.c */
void line_open(struct mon *, bool open);    /* a client came or went */
void line_input(struct mon *, const uint8_t *, unsigned n);
/* The command that let it wait is done; text (lines that end in '\n'; "" for none): what it has to say. */
void line_resume(struct mon *, const char *text);
/* The n-th line that was typed there, oldest first; NULL behind the last, and where nobody types. */
const char *line_past(const struct mon *, unsigned n);
void line_free(struct mon *);

/* qmp.c */
void qmp_open(struct mon *, bool open);
void qmp_input(struct mon *, const uint8_t *, unsigned n);
void qmp_free(struct mon *);
bool qmp_ready(const struct mon *);     /* it has negotiated: events may come */

/* qmp_event.c */
void qmp_news(struct machine *, enum machine_news, const char *who, int64_t n);
void qmp_state(void *monitors, enum run_state now);
void qmp_events_init(struct monitors *);
void qmp_events_free(struct monitors *);

/* qmp_job.c */
void qmp_jobs_free(struct monitors *);

#endif
