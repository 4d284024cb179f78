/*
 * linux_guest.h - what a guest's Linux kernel says of itself in its memory: its symbols, where it was moved to, how
 * its functions keep their stacks, what its processes are called.
 *
 * Nothing in the guest helps: the page-fault gate of the IDT leads into the kernel's image, which is one piece of
 * physical memory. All of it is the guest's, and is checked. A guest that is no Linux has none of this.
 */
#ifndef DEBUG_LINUX_GUEST_H
#define DEBUG_LINUX_GUEST_H

#include "base/symbols.h"
#include "frontend/cpu.h"

struct linux_guest;

/* kallsyms: look for the kernel's own symbols, too, and not only where the tables that follow it are to be. */
struct linux_guest *linux_guest_new(struct symbols *, bool kallsyms);
void linux_guest_free(struct linux_guest *);

/*
 * c's own thread, or it stands still; held until linux_guest_done(). Brings symbols up to date first, which costs a
 * read where nothing changed.
 */
void linux_guest_begin(struct linux_guest *, struct cpu *c);
void linux_guest_done(struct linux_guest *);

/* --- between the two --- */

#define LINUX_COMM 16
/* The name of the process that runs on c; false: it is not known. */
bool linux_guest_comm(const struct linux_guest *, struct cpu *c, char name[LINUX_COMM]);

/* How to go from a frame to its caller (arch/x86/include/asm/orc_types.h), in the words of Linux 6.4 and later. */
enum orc_reg { ORC_UNDEFINED, ORC_PREV_SP, ORC_DX, ORC_DI, ORC_BP, ORC_SP, ORC_R10, ORC_R13, ORC_BP_INDIRECT,
               ORC_SP_INDIRECT };
enum orc_type { ORC_NOTHING, ORC_END, ORC_CALL, ORC_REGS, ORC_REGS_PARTIAL };
struct orc {
    int16_t sp_offset, bp_offset;
    uint8_t sp_reg, bp_reg, type;
};
/* What the kernel's unwind tables say of an address; false: nothing. */
bool linux_guest_orc(const struct linux_guest *, uint64_t ip, struct orc *);
/* They are there. */
bool linux_guest_has_orc(const struct linux_guest *);

#endif
