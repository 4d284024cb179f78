/*
 * unwind.h - who called whom in the guest, from registers and stack, without help of the guest.
 *
 * Stacks are walked by frame pointers (System V ABI, chapter 3: [rBP] is the caller's rBP, the return address is behind
 * it), in a Linux kernel that keeps none by its own tables (ORC), through interrupts and system calls into the program
 * beneath. A return address counts only where a call is in front of it, so a register that is used for something else
 * ends the walk and does not make up callers; optimised programs without frame pointers show their innermost
 * function alone.
 */
#ifndef DEBUG_UNWIND_H
#define DEBUG_UNWIND_H

#include "debug/linux_guest.h"
#include "frontend/cpu.h"

#define UNWIND_MAX 128          /* frames */

/* OFF: the innermost frame only; FP: frame pointers only; AUTO: ORC where there is some. */
enum unwind_how { UNWIND_AUTO, UNWIND_FP, UNWIND_OFF };

struct frame {
    uint64_t ip;                /* linear; for all but the first within the call, not behind it */
    bool user;                  /* CPL 3 */
};
/*
 * The frames of what runs on c, innermost first; at least one. c's own thread between two blocks, or c stands still. g:
 * between linux_guest_begin() and linux_guest_done(), or NULL.
 */
unsigned unwind(struct cpu *c, const struct linux_guest *g, enum unwind_how, struct frame f[UNWIND_MAX]);

#endif
