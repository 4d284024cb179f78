/*
 * help_io.c - IN, OUT, INS, OUTS: permission (IOPL, the TSS's I/O bitmap), I/O
 * breakpoints, and the ports themselves under the device lock.
 *
 * SDM vol. 1, chapter 19 (input/output); vol. 2 for the string forms.
 */
#include "frontend/debug.h"
#include "frontend/help.h"
#include "hw/machine.h"
#include "softmmu/softmmu.h"
#include "translator/ir.h"

static bool io_allowed(struct cpu *c, uint16_t port, unsigned size)
{
    const struct seg *tr = &c->seg[SEG_TR];
    uint64_t map, bits;

    if (!cpu_pe(c) || (!cpu_vm(c) && c->cpl <= (c->eflags & FL_IOPL) >> 12))
        return false;
    if (!(tr->attr & 8) || tr->limit < 0x67)
        return fault_gp(c, 0);
    if (sys_read(c, tr->base + 0x66, 2, &map))
        return true;
    if (map + port / 8 + 1 > tr->limit)
        return fault_gp(c, 0);
    if (sys_read(c, tr->base + map + port / 8, 2, &bits))
        return true;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return fault_gp(c, 0);
    return false;
}

static uint32_t port_in(struct cpu *c, uint16_t port, unsigned size)
{
    uint32_t v;

    machine_lock(c->m);
    v = ports_read(c->m->ports, port, size);
    machine_unlock(c->m);
    if (c->mode & M_TF)
        dr_io_hit(c, port, size);
    return size == 4 ? v : v & ((1u << (8 * size)) - 1);
}

static void port_out(struct cpu *c, uint16_t port, uint32_t v, unsigned size)
{
    machine_lock(c->m);
    ports_write(c->m->ports, port, size == 4 ? v : v & ((1u << (8 * size)) - 1), size);
    machine_unlock(c->m);
    if (c->mode & M_TF)
        dr_io_hit(c, port, size);
}

bool help_in(struct cpu *c, uint64_t port, uint64_t size)
{
    if (io_allowed(c, (uint16_t)port, (unsigned)size) ||
        (c->debug && debug_io(c, (uint16_t)port, (unsigned)size, false)))
        return true;
    c->hret = port_in(c, (uint16_t)port, (unsigned)size);
    return false;
}

bool help_out(struct cpu *c, uint64_t port, uint64_t val, uint64_t size)
{
    if (io_allowed(c, (uint16_t)port, (unsigned)size) ||
        (c->debug && debug_io(c, (uint16_t)port, (unsigned)size, true)))
        return true;
    port_out(c, (uint16_t)port, (uint32_t)val, (unsigned)size);
    /* An SMI or interrupt that a chip raises for this comes before the next instruction. */
    c->hret = __atomic_load_n(&c->attn, __ATOMIC_SEQ_CST) != 0;
    return false;
}

/* ---- strings ---- */

/* Elements done at once before interrupts are looked at. */
#define IO_CHUNK 2048

static uint64_t reg_read(const struct cpu *c, unsigned r, unsigned how)
{
    return how & STR_ADDR16 ? (uint16_t)c->r[r] : how & STR_ADDR32 ? (uint32_t)c->r[r] : c->r[r];
}

static void reg_add(struct cpu *c, unsigned r, unsigned how, int64_t d)
{
    uint64_t v = c->r[r] + (uint64_t)d;

    if (how & STR_ADDR16)
        c->r[r] = (c->r[r] & ~(uint64_t)0xffff) | (v & 0xffff);
    else
        c->r[r] = how & STR_ADDR32 ? (uint32_t)v : v;
}

/* Linear address of seg:off for `size` bytes; true: faulted. */
static bool str_addr(struct cpu *c, unsigned seg, uint64_t off, unsigned size, bool write, uint64_t *lin)
{
    if (cpu_64(c)) {
        *lin = off + (seg == SEG_FS || seg == SEG_GS ? c->seg[seg].base : 0);
        return false;
    }
    if (help_segcheck(c, seg | (write ? SEGCHK_WRITE : 0), off, size))
        return true;
    *lin = (uint32_t)(c->seg[seg].base + off);
    return false;
}

static bool io_string(struct cpu *c, unsigned how, unsigned seg, bool in)
{
    unsigned size = how & 15, r = in ? R_DI : R_SI;
    uint16_t port = (uint16_t)c->r[R_DX];
    int64_t step = c->eflags & FL_DF ? -(int64_t)size : (int64_t)size;
    enum mmu_idx idx = cpu_data_idx(c, c->cpl);
    uint64_t n = how & STR_REP ? reg_read(c, R_CX, how) : 1;

    c->hret = 0;
    if (!n)
        return false;
    if (io_allowed(c, port, size) || (c->debug && debug_io(c, port, size, !in)))
        return true;
    if (n > IO_CHUNK) {
        n = IO_CHUNK;
        c->hret = 1;
    }
    if ((how & STR_REP) && n > 1 && ((c->mode & M_TF) || (c->debug && debug_single(c->debug)))) {
        n = 1;
        c->hret = 1;
    }
    for (; n; n--) {
        uint64_t lin;
        uint8_t b[4];
        uint32_t v;

        if (str_addr(c, seg, reg_read(c, r, how), size, in, &lin))
            return true;
        if (in) {
            /* The port is read only when the store cannot fault: reading has effects. */
            unsigned head = PAGE_SIZE - (lin & (PAGE_SIZE - 1));

            if (head > size)
                head = size;
            if (mmu_check(c, lin, head, ACC_WRITE, idx) ||
                (head < size && mmu_check(c, lin + head, size - head, ACC_WRITE, idx)))
                return true;
            v = port_in(c, port, size);
            for (unsigned i = 0; i < size; i++)
                b[i] = (uint8_t)(v >> (8 * i));
            if (mmu_store(c, lin, size, idx, b))
                return true;
        } else {
            if (mmu_load(c, lin, size, idx, false, b))
                return true;
            v = 0;
            for (unsigned i = 0; i < size; i++)
                v |= (uint32_t)b[i] << (8 * i);
            port_out(c, port, v, size);
        }
        reg_add(c, r, how, step);
        if (how & STR_REP)
            reg_add(c, R_CX, how, -1);
    }
    return false;
}

bool help_ins(struct cpu *c, uint64_t how, uint64_t seg)
{
    return io_string(c, (unsigned)how, SEG_ES, true);
}

bool help_outs(struct cpu *c, uint64_t how, uint64_t seg)
{
    return io_string(c, (unsigned)how, (unsigned)seg, false);
}
