/*
 * debug.h - what a debugger wants of the vCPUs, as the code that executes sees it: breakpoints, watchpoints,
 * events to be caught, and how to go on.  How each takes effect: translator/exec_debug.c.
 *
 * struct debug_points is one for the machine and changes only while it stands still; struct cpu_debug is the
 * vCPU's own. c->debug is NULL while no debugger is attached.
 */
#ifndef FRONTEND_DEBUG_H
#define FRONTEND_DEBUG_H

#include "frontend/cpu.h"

/* Why a vCPU stopped by itself. */
enum debug_event {
    DEBUG_NONE,
    DEBUG_BREAK,                /* before an instruction with a breakpoint */
    DEBUG_STEP,                 /* the step is done */
    DEBUG_WATCH,                /* behind an instruction that accessed what is watched */
    DEBUG_FAULT,                /* an exception is about to be delivered */
    DEBUG_INTERRUPT,            /* an interrupt was delivered: at the handler's first instruction */
    DEBUG_TRIPLE,               /* the processor is about to shut down */
    DEBUG_RESET,                /* behind a reset, before the first instruction */
    DEBUG_MSR,                  /* before RDMSR or WRMSR */
    DEBUG_IO,                   /* before an instruction that accesses a port */
};

struct debug_stop {
    enum debug_event event;
    uint64_t rip;               /* where it stands because of that */
    uint64_t lin;               /* DEBUG_WATCH: first watched byte accessed */
    uint32_t number;            /* vector, MSR or port */
    bool write;                 /* DEBUG_MSR, DEBUG_IO */
    bool on_read, on_write;     /* DEBUG_WATCH: what the watchpoint asks for */
};

struct debug_watch {
    uint64_t lin, len;
    bool on_read, on_write;
};

/* Registers or ports [first, last]. */
struct debug_range {
    uint32_t first, last;
};
#define DEBUG_RANGES 16

struct debug_points {
    uint64_t *brk;              /* linear addresses, ascending, each once */
    unsigned nbrk;
    struct debug_watch *watch;
    unsigned nwatch;
    struct {
        uint64_t vector[4];     /* a bit each: exceptions before they are delivered, interrupts behind that */
        struct debug_range msr[DEBUG_RANGES], io[DEBUG_RANGES];
        unsigned nmsr, nio;
        bool triple, reset;
    } catch;
};

/* How a vCPU goes on. */
enum debug_go { DEBUG_RUN, DEBUG_STEPS };

struct cpu_debug {
    const struct debug_points *points;
    enum debug_go go;
    uint64_t from, to;          /* DEBUG_STEPS: as long as RIP is in [from, to), at least once */
    bool hold_interrupts;       /* DEBUG_STEPS: they wait meanwhile */
    bool alone;                 /* the next instruction runs alone, whatever points to it */
    bool raise;                 /* watchpoints and catches may put an instruction off */
    bool raised;                /* the exception to be delivered is a fault of the instruction at RIP */
    bool pending;               /* an exception was caught: when the vCPU goes on, with the same RIP, it is */
    bool again;                 /* ... raised by the instruction once more (else c->fault is delivered) */
    bool deliver;               /* ... and not caught again */
    struct debug_stop stop;     /* cleared by whoever lets it go on */
};

/* Is there a breakpoint in [lo, hi)? */
bool debug_break_in(const struct debug_points *, uint64_t lo, uint64_t hi);
/* M_BP if there is a breakpoint in lin's page. */
uint32_t debug_mode(const struct cpu *c, uint64_t lin);
/* Does it run one instruction at a time now? */
static inline bool debug_single(const struct cpu_debug *d)
{
    return d->alone || d->go == DEBUG_STEPS;
}
/* The vCPU stops before its next instruction (or behind the one that runs). */
void debug_stop(struct cpu *c, enum debug_event);

/* For the MMU: is some byte of the page watched, such that an access must take the slow way? */
bool debug_page_watched(const struct debug_points *, uint64_t page, bool write);
/* An access is about to be made. True: not yet, c->fault is set (FAULT_WATCH). */
bool debug_access(struct cpu *c, uint64_t lin, unsigned size, bool read, bool write);

/* True: c->fault is set (FAULT_CATCH), the instruction waits. */
bool debug_io(struct cpu *c, uint16_t port, unsigned size, bool write);
bool debug_msr(struct cpu *c, uint32_t n, bool write);
/* c->fault is about to be delivered (or #DF). True: it waits, see `pending`. */
bool debug_fault(struct cpu *c);
/* An interrupt or INT n was delivered. */
void debug_interrupt(struct cpu *c, unsigned vector);
/* The vCPU is about to shut down. True: that waits. */
bool debug_triple(struct cpu *c);
/* It was reset. */
void debug_reset(struct cpu *c);

#endif
