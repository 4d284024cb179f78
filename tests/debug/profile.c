/*
 * profile.c - a guest whose times are known: heavy() runs three times as long as light(), both under work(). With
 * -DPROGRAM it is a Linux program that says when it begins and ends, else a multiboot kernel (protected mode, no paging) that
 * never ends. Without libraries, and with frame pointers.
 */
static volatile unsigned sink;

/* The compiler must not see through these. */
#define APART __attribute__((noinline, noclone))

static APART void heavy(void)
{
    for (unsigned i = 0; i < 30000; i++)
        sink = sink * 5 + i;
}

static APART void light(void)
{
    for (unsigned i = 0; i < 10000; i++)
        sink = sink * 5 + i;
}

static APART void work(void)
{
    heavy();
    light();
    __asm__ volatile("");       /* no tail call */
}

#ifdef PROGRAM
static long call(long number, long a, const void *b, long c)
{
    long r;

    __asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}

void _start(void)
{
    for (unsigned i = 0; i < 5000; i++)
        work();
    call(1, 1, "spun\n", 5);
    call(60, 0, 0, 0);
    for (;;)
        ;
}
#else
void run(void);
void run(void)
{
    for (;;)
        work();
}

static const unsigned header[3] __attribute__((used, section(".head"), aligned(4))) = { 0x1badb002, 0, -0x1badb002u };
__asm__(".section .bss\n.skip 16384\nstack:\n"
        ".section .text\n.globl _start\n.type _start, @function\n"
        "_start: mov $stack, %esp\nxor %ebp, %ebp\ncall run\n.size _start, . - _start\n");
#endif
