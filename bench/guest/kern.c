/*
 * kern.c - small fixed-work kernels for measuring x86 emulators.
 *
 *      kern NAME N     runs kernel NAME N times over and prints one checksum that depends on every result,
 *                      so that a wrong emulator shows
 *      kern nop        does nothing (what k_exec executes)
 *      kern seed       fills the kernel's random pool
 *
 * One static ELF for x86-64 Linux without libc: the compiler's flags are in guest.sh.
 */
#include "kern.h"

char *self_path;

void *memset(void *d, int c, size_t n)
{
    u8 *p = d;
    while (n--)
        *p++ = (u8)c;
    return d;
}

void *memcpy(void *d, const void *s, size_t n)
{
    u8 *p = d;
    const u8 *q = s;
    while (n--)
        *p++ = *q++;
    return d;
}

static size_t slen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static int streq(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static void put(int fd, const char *s)
{
    sys3(NR_write, fd, s, slen(s));
}

static void puthex(u64 v)
{
    char b[18];
    for (int i = 0; i < 16; i++)
        b[i] = "0123456789abcdef"[(v >> (60 - 4 * i)) & 15];
    b[16] = '\n';
    sys3(NR_write, 1, b, 17);
}

void die(const char *s)
{
    put(2, s);
    put(2, "\n");
    sys1(NR_exit, 2);
    __builtin_unreachable();
}

void *map(size_t n, int prot)
{
    long r = sys6(NR_mmap, 0, (long)n, prot, 0x22, -1, 0);      /* MAP_PRIVATE | MAP_ANONYMOUS */
    if (r < 0 && r > -4096)
        die("mmap failed");
    return (void *)r;
}

/*
 * Credit the guest kernel's random pool with fixed bytes, so that the first program to ask for randomness
 * does not pay for the kernel's jitter loop (about a second on a CPU model without RDRAND).
 */
static int seed(void)
{
    struct { int bits, bytes; u32 data[16]; } pool_info = { 512, 64, { 0 } };
    for (u32 i = 0; i < 16; i++)
        pool_info.data[i] = rng();
    long fd = sys2(NR_open, "/dev/random", 1);
    return fd < 0 || sys3(NR_ioctl, fd, 0x40085203, &pool_info) < 0;    /* RNDADDENTROPY */
}

static const struct { const char *name; u64 (*fn)(u32); } tab[] = {
#define K(name) { #name, k_##name },
#include "kern.def"
#undef K
};

__attribute__((used)) int cmain(long *sp)
{
    char **argv = (char **)(sp + 1);
    if (*sp == 2 && streq(argv[1], "nop"))
        return 0;
    if (*sp == 2 && streq(argv[1], "seed"))
        return seed();
    self_path = argv[0];
    for (u32 i = 0; *sp == 3 && i < ARRAY_LEN(tab); i++)
        if (streq(argv[1], tab[i].name)) {
            u32 n = 0;
            for (const char *p = argv[2]; *p >= '0' && *p <= '9'; p++)
                n = n * 10 + (u32)(*p - '0');
            puthex(tab[i].fn(n));
            return 0;
        }
    put(2, "usage: kern NAME N\n");
    return 1;
}

__asm__(".globl _start\n_start: mov %rsp,%rdi\n\tand $-16,%rsp\n\tcall cmain\n\t"
        "mov %eax,%edi\n\tmov $60,%eax\n\tsyscall");
