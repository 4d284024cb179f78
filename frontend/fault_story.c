/*
 * fault_story.c - the story of a triple fault for the person whose kernel it
 * was: the chain of exceptions, the instruction that began it, its page walk,
 * and a likely cause.
 */
#include <capstone/capstone.h>

#include "base/symbols.h"
#include "frontend/fault_story.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"

static const char *const names[32] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM no coprocessor",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack fault",
    "#GP general protection",
    "#PF page fault",
    "vector 15",
    "#MF x87 error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD error",
    "#VE",
    "#CP",
};

static const char *name_of(unsigned vector)
{
    return vector < 32 && names[vector] ? names[vector] : "interrupt";
}

/* Disassemble what is at rip; false if the bytes cannot be read. */
static bool print_insn(struct cpu *c, FILE *f, uint64_t rip)
{
    uint32_t code = c->mode & M_CODE;
    cs_mode m = code == M_CODE64 ? CS_MODE_64 : code == M_CODE32 ? CS_MODE_32 : CS_MODE_16;
    uint8_t b[15];
    unsigned n = 0;
    cs_insn *i = NULL;
    csh h;

    while (n < sizeof(b) && mmu_debug_read(c, cpu_code_lin(c, rip) + n, b + n, 1))
        n++;
    if (!n) {
        fprintf(f, "  instruction: its bytes at linear %llx cannot be read\n",
                (unsigned long long)cpu_code_lin(c, rip));
        return false;
    }
    if (cs_open(CS_ARCH_X86, m, &h) != CS_ERR_OK)
        return true;
    fprintf(f, "  instruction:");
    if (cs_disasm(h, b, n, rip, 1, &i) == 1) {
        for (unsigned k = 0; k < i->size; k++)
            fprintf(f, " %02x", b[k]);
        fprintf(f, "  %s %s\n", i->mnemonic, i->op_str);
        cs_free(i, 1);
    } else {
        for (unsigned k = 0; k < n; k++)
            fprintf(f, " %02x", b[k]);
        fprintf(f, "  (not an instruction)\n");
    }
    cs_close(&h);
    return true;
}

static const char *cause(const struct cpu *c, bool readable)
{
    unsigned first = c->chain[0].vector;
    bool bad_idt = c->idt.limit < (cpu_pe(c) ? cpu_lma(c) ? 16u : 8u : 4u) * 15 - 1;
    bool stack = false;

    for (unsigned i = 1; i < c->chain_len; i++)
        stack |= c->chain[i].vector == EXC_SS ||
                 (c->chain[i].vector == EXC_PF && c->chain[i].cr2 - (c->r[R_SP] - 4096) < 8192);
    if (c->idt.limit == 0)
        return "the IDT limit is 0: a deliberate reset by triple fault, or LIDT was forgotten";
    if (bad_idt)
        return "the IDT is too small for the exception: no handlers were set up yet";
    if (!readable)
        return "execution went where no code is mapped (bad jump, bad return address, or page tables "
               "that do not map the running code)";
    if (stack)
        return "the stack pointer is not usable, so no exception can be delivered (stack overflow or bad "
               "TSS stack)";
    switch (first) {
    case EXC_PF:
        return c->chain[0].cr2 < 4096
                   ? "access through a null pointer before page-fault handling works"
                   : "access to an unmapped page, and the IDT's handlers cannot be reached";
    case EXC_UD:
        return "an instruction this CPU model does not have, or execution of data";
    case EXC_GP:
        return "a general protection fault before its handler was set up (bad selector, MSR or control "
               "register value)";
    case EXC_NM:
        return "x87 or SSE used while CR0.TS or EM is set";
    }
    return "an exception came before its IDT entry was valid";
}

/* c->chain, and where that was. False: the instruction cannot be read. */
static bool tell(struct cpu *c, FILE *f)
{
    char walk[1024], label[SYMBOL_NAME];
    bool readable;
    uint64_t lin;

    for (unsigned i = 0; i < c->chain_len; i++) {
        fprintf(f, "  %u. %s", i + 1, name_of(c->chain[i].vector));
        fprintf(f, ", code %x, at %04x:%llx%s", c->chain[i].code, c->seg[SEG_CS].sel,
                (unsigned long long)c->chain[i].rip,
                symbols_label(c->m->symbols, c, cpu_code_lin(c, c->chain[i].rip), label, sizeof(label)));
        if (c->chain[i].vector == EXC_PF)
            fprintf(f, ", address %llx%s (%s, %s, %s)", (unsigned long long)c->chain[i].cr2,
                    symbols_label(c->m->symbols, c, c->chain[i].cr2, label, sizeof(label)),
                    c->chain[i].code & 1 ? "protection" : "not present",
                    c->chain[i].code & 16 ? "fetch" : c->chain[i].code & 2 ? "write" : "read",
                    c->chain[i].code & 4 ? "user" : "supervisor");
        fprintf(f, "\n");
    }
    readable = print_insn(c, f, c->chain[0].rip);
    fprintf(f, "  mode: %s, CPL %u, CR0 %llx CR3 %llx CR4 %llx EFER %llx\n",
            !cpu_pe(c)   ? "real"
            : cpu_vm(c)  ? "virtual-8086"
            : cpu_64(c)  ? "64-bit"
            : cpu_lma(c) ? "compatibility"
                         : "protected",
            c->cpl, (unsigned long long)c->cr0, (unsigned long long)c->cr3, (unsigned long long)c->cr4,
            (unsigned long long)c->efer);
    fprintf(f, "  SS:SP %04x:%llx  GDT %llx/%x  IDT %llx/%x  TR %04x\n", c->seg[SEG_SS].sel,
            (unsigned long long)c->r[R_SP], (unsigned long long)c->gdt.base, c->gdt.limit,
            (unsigned long long)c->idt.base, c->idt.limit, c->seg[SEG_TR].sel);
    lin = c->chain[0].vector == EXC_PF ? c->chain[0].cr2 : cpu_code_lin(c, c->chain[0].rip);
    walk[0] = 0;
    mmu_explain(c, lin, walk, sizeof(walk));
    fprintf(f, "  page walk of %llx:\n%s%s", (unsigned long long)lin, walk,
            walk[0] ? "" : "  (paging is off)\n");
    return readable;
}

void fault_story(struct cpu *c, FILE *f)
{
    if (!c->chain_len) {
        fprintf(f, "The CPU shut down without an exception on record.\n");
        return;
    }
    fprintf(f, "Triple fault: the guest CPU %u shut down.\n", c->index);
    fprintf(f, "  likely cause: %s\n", cause(c, tell(c, f)));
}

void fault_story_now(struct cpu *c, FILE *f)
{
    unsigned len = c->chain_len;

    if (!len) {
        c->chain[0].vector = c->fault.vector;
        c->chain[0].code = c->fault.code;
        c->chain[0].rip = c->rip;
        c->chain[0].cr2 = c->fault.cr2;
        c->chain_len = 1;
    }
    fprintf(f, "CPU %u is about to take an exception.\n", c->index);
    (void)tell(c, f);
    c->chain_len = (uint8_t)len;
}

void fault_story_last(struct cpu *c, FILE *f)
{
    if (!c->chain_len) {
        fprintf(f, "CPU %u has not shut down, and has taken no exception yet.\n", c->index);
        return;
    }
    fprintf(f, "CPU %u has not shut down. The last it took, told with its registers and page tables of now:\n", c->index);
    (void)tell(c, f);
}

const char *fault_name(unsigned vector)
{
    return name_of(vector);
}
