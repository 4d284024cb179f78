/*
 * cpu_mem.c - memory for struct cpu, where translated code needs no stack in front of it.
 */
#include <sys/mman.h>

#include "base/log.h"
#include "translator/backend.h"

static uint64_t cpu_bytes(uint64_t after)
{
    return (uint64_t)JC_OFF + after;
}

struct cpu *backend_cpu_alloc(uint64_t after)
{
    void *p = mmap(NULL, cpu_bytes(after), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die(EXIT_CODE_HOST, "cannot allocate %llu KiB for a CPU", (unsigned long long)(cpu_bytes(after) >> 10));
    return p;
}

void backend_cpu_free(struct cpu *c, uint64_t after)
{
    munmap(c, cpu_bytes(after));
}
