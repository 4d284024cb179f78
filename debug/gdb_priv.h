/*
 * gdb_priv.h - shared by the files of the debugger's connection: gdb.c (the line), gdb_cmd.c (packets),
 * gdb_points.c (breakpoints, watchpoints, memory), gdb_regs.c (registers and their description),
 * gdb_monitor.c (`monitor`).
 */
#ifndef DEBUG_GDB_PRIV_H
#define DEBUG_GDB_PRIV_H

#include <stdio.h>

#include "debug/control.h"
#include "debug/gdb.h"
#include "frontend/debug.h"
#include "host/evloop.h"

#define GDB_PACKET 0x4000u      /* bytes between $ and #, both ways */
#define GDB_REGS 96
#define GDB_POINTS 65536u       /* breakpoints and watchpoints, each */

/* Signal numbers of the protocol. */
enum { SIG_HUP = 1, SIG_INT = 2, SIG_ILL = 4, SIG_TRAP = 5, SIG_FPE = 8, SIG_BUS = 10, SIG_SEGV = 11 };
/* Error numbers of replies: of the protocol's own choice, errno's of old. */
enum { ERR_NONE = 0, ERR_FAULT = 14, ERR_BAD = 22, ERR_FULL = 28, ERR_SIZE = 90 };

/* Text of bounded length; what does not fit is dropped and noted. */
struct gdb_text {
    char s[GDB_PACKET + 1];
    unsigned n;
    bool full;
};
void text_add(struct gdb_text *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_byte(struct gdb_text *, uint8_t);             /* as two digits */
void text_raw(struct gdb_text *, const void *, size_t);

enum gdb_point_kind { POINT_SW, POINT_HW, POINT_WRITE, POINT_READ, POINT_ACCESS, POINT_KINDS };
struct gdb_point {
    uint64_t addr, len;         /* len: watchpoints' */
    enum gdb_point_kind kind;
};

/* A register as the debugger sees it. */
struct gdb_reg {
    const char *name, *type, *feature;
    unsigned bytes;
    uint8_t kind, n;            /* gdb_regs.c */
};

struct gdb {
    struct machine *m;
    /* the line (gdb.c) */
    int listen, in, out;        /* -1: none */
    char *path;                 /* of the listening socket, to be removed */
    struct evfd *listen_watch, *in_watch;
    bool connected, heard;      /* heard: this client, or one before, has said something */
    enum { IN_IDLE, IN_BODY, IN_SUM1, IN_SUM2 } state;
    uint8_t body[GDB_PACKET + 1];
    unsigned len;
    bool too_long, no_ack, ack_next_off;
    uint8_t sum, sum_got;
    uint8_t *queue;             /* not yet taken by the other side */
    size_t queued, queue_cap;
    struct gdb_text reply;      /* being made */
    char *last;                 /* packet sent last, for one that did not arrive */
    size_t last_len;
    /* the session */
    bool still;                 /* the vCPUs have stood still since this client came */
    bool waiting;               /* the guest runs, and the debugger waits to hear that it stopped */
    bool interrupted;           /* by Ctrl-C */
    unsigned greeted;           /* the last packet, if it was qSupported: its length and sum */
    bool killed;                /* by `k`: lldb waits to hear that it ended, gdb does not */
    bool swbreak, hwbreak;      /* what stop replies it understands */
    bool phys;                  /* memory accesses are physical */
    bool real_linear;           /* `monitor realmode on` */
    unsigned sstep;             /* SSTEP_* */
    unsigned cpu_g, cpu_c;      /* vCPU of register and memory accesses; of s and c */
    bool clock_held;
    struct control_watcher watcher;
    struct cpu_debug *cpu;      /* one each */
    struct debug_points points;
    struct gdb_point *point;
    unsigned npoint, cap_point;
    bool points_changed, watch_changed;
    struct gdb_reg reg[GDB_REGS];
    unsigned nreg;
    char *xml;
    size_t xml_len;
};

#define SSTEP_ENABLE  1u
#define SSTEP_NOIRQ   2u
#define SSTEP_NOTIMER 4u

/* --- gdb.c --- */
void gdb_send(struct gdb *);                    /* g->reply as a packet */
void gdb_console(struct gdb *, const char *text);       /* for people, while the debugger waits */
/* Give the machine back: nothing of the debugger stays. `go`: it runs on. */
void gdb_detach(struct gdb *, bool go);
void gdb_cont(struct gdb *);                    /* the machine goes on, if it may */

/* --- gdb_cmd.c --- */
void gdb_packet(struct gdb *, uint8_t *body, unsigned len);
void gdb_stopped(struct gdb *);                 /* the machine stands still: tell the debugger, who waits */
void gdb_going(struct gdb *);                   /* it is about to run, whoever wants that */

/* --- gdb_points.c --- */
/* ERR_*. */
int gdb_point_add(struct gdb *, enum gdb_point_kind, uint64_t addr, uint64_t len);
int gdb_point_remove(struct gdb *, enum gdb_point_kind, uint64_t addr, uint64_t len);
void gdb_points_clear(struct gdb *);
/* Before the machine runs: what changed takes effect. */
void gdb_points_apply(struct gdb *);
/* Is there a point of this kind at addr? */
bool gdb_point_at(const struct gdb *, enum gdb_point_kind, uint64_t addr);
/* Bytes read, or written; less than len: the next one cannot be. */
unsigned gdb_memory(struct gdb *, struct cpu *, uint64_t addr, uint8_t *buf, unsigned len, bool write);
/*
 * The range around addr of what is mapped with the same rights, or of what is not. A gap at the end of memory has not the
 * very last byte: debuggers count with the address behind a range. False: too many tables to tell, or that byte.
 */
struct gdb_region {
    uint64_t first, last;
    bool mapped, writable, exec;
};
bool gdb_region(struct gdb *, struct cpu *, uint64_t addr, struct gdb_region *);

/* --- gdb_regs.c --- */
void gdb_regs_init(struct gdb *);
void gdb_reg_read(struct gdb *, struct cpu *, const struct gdb_reg *, uint8_t *buf);
/* False: the processor does not take this value. */
bool gdb_reg_write(struct gdb *, struct cpu *, const struct gdb_reg *, const uint8_t *buf);

/* --- gdb_monitor.c --- */
/* What was caught, in words. */
void gdb_tell_stop(struct gdb *, struct cpu *, FILE *f);
/* A command of `monitor`; its output goes to f. */
void gdb_monitor(struct gdb *, const char *line, FILE *f);
const char *gdb_vector_name(unsigned vector);

#endif
