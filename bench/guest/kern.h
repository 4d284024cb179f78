/*
 * kern.h - what the kernels share: system calls, numbers, checksums.
 *
 * Freestanding: no libc.  A kernel is a function k_NAME(n) that does n times a fixed piece of work and
 * returns a checksum of all its results.
 */
#ifndef BENCH_KERN_H
#define BENCH_KERN_H

#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long ul;
typedef unsigned char v16qu __attribute__((vector_size(16)));

#define NOINLINE __attribute__((noinline))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define K(name) u64 k_##name(u32 n);
#include "kern.def"
#undef K

extern char *self_path;         /* this program's, for exec */

/* Linux's numbers on x86-64 */
enum {
    NR_read = 0, NR_write = 1, NR_open = 2, NR_close = 3, NR_mmap = 9, NR_mprotect = 10, NR_munmap = 11,
    NR_sigaction = 13, NR_ioctl = 16, NR_pipe = 22, NR_getpid = 39, NR_fork = 57, NR_execve = 59,
    NR_exit = 60, NR_wait4 = 61, NR_kill = 62, NR_getppid = 110
};

static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(r)
                     : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#define sys0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) sys6(n, (long)(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) sys6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys4(n, a, b, c, d) sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

void *memset(void *d, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
/* Write s to standard error and end. */
void die(const char *s) __attribute__((noreturn));

#define P_R 1
#define P_W 2
#define P_X 4
/* Fresh memory with these rights. */
void *map(size_t n, int prot);

/* A stream of numbers, the same in each run and each file. */
static inline u32 rng(void)
{
    static u32 s = 0x2545f491u;
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    return s;
}

static inline u64 mix(u64 h, u64 v)
{
    h ^= v;
    h = (h << 23) | (h >> 41);
    return h * 0x9e3779b97f4a7c15ull + 0x632be59bd9b4e019ull;
}

static inline u64 dbits(double d)
{
    u64 v;
    __builtin_memcpy(&v, &d, 8);
    return v;
}

static inline u32 fbits(float f)
{
    u32 v;
    __builtin_memcpy(&v, &f, 4);
    return v;
}

#endif
