/* kern_sys.c - system calls, page faults, mprotect, context switches, fork, exec, signals. */
#include "kern.h"

u64 k_syscall(u32 n)
{
    u64 s = 0;
    for (u32 r = 0; r < n; r++)
        s += sys0(NR_getppid) != 0;
    return mix(25, s);
}

u64 k_pf(u32 n)
{
    u64 h = 26;
    for (u32 r = 0; r < n; r++) {
        u8 *a = map(1 << 20, P_R | P_W);
        for (u32 i = 0; i < 1 << 20; i += 4096)
            a[i] = (u8)r;
        h = mix(h, a[(r & 255) << 12]);
        sys2(NR_munmap, a, 1 << 20);
    }
    return h;
}

u64 k_mprot(u32 n)
{
    u8 *a = map(65536, P_R | P_W);
    u64 h = 27;
    for (u32 r = 0; r < n; r++) {
        for (u32 i = 0; i < 65536; i += 4096)
            a[i] += (u8)r;
        sys3(NR_mprotect, a, 65536, P_R);
        h += a[(r & 15) << 12];
        sys3(NR_mprotect, a, 65536, P_R | P_W);
    }
    return h;
}

u64 k_ctx(u32 n)
{
    int p[2], q[2];
    u32 v = 0;
    sys1(NR_pipe, p);
    sys1(NR_pipe, q);
    if (sys0(NR_fork) == 0) {
        sys1(NR_close, p[1]);
        while (sys3(NR_read, p[0], &v, 4) == 4) {
            v = v * 5 + 1;
            sys3(NR_write, q[1], &v, 4);
        }
        sys1(NR_exit, 0);
    }
    for (u32 r = 0; r < n; r++) {
        v ^= r;
        sys3(NR_write, p[1], &v, 4);
        sys3(NR_read, q[0], &v, 4);
    }
    sys1(NR_close, p[1]);
    sys4(NR_wait4, -1, 0, 0, 0);
    return mix(28, v);
}

u64 k_fork(u32 n)
{
    u64 h = 29;
    for (u32 r = 0; r < n; r++) {
        int st = 0;
        if (sys0(NR_fork) == 0)
            sys1(NR_exit, r & 127);
        sys4(NR_wait4, -1, &st, 0, 0);
        h = mix(h, (u32)st);
    }
    return h;
}

u64 k_exec(u32 n)
{
    u64 h = 30;
    for (u32 r = 0; r < n; r++) {
        int st = 0;
        if (sys0(NR_fork) == 0) {
            char *av[] = { self_path, (char *)"nop", 0 }, *ev[] = { 0 };
            sys3(NR_execve, self_path, av, ev);
            sys1(NR_exit, 99);
        }
        sys4(NR_wait4, -1, &st, 0, 0);
        h = mix(h, (u32)st);
    }
    return h;
}

static volatile u32 sig_count;
static void on_sig(int s)
{
    sig_count += (u32)s;
}
__asm__(".text\nsig_ret: mov $15,%eax\n\tsyscall");
extern void sig_ret(void);

u64 k_sig(u32 n)
{
    struct { void (*fn)(int); ul flags; void (*rest)(void); u64 mask; } sa =
        { on_sig, 0x04000000, sig_ret, 0 };
    if (sys4(NR_sigaction, 10, &sa, 0, 8) < 0)
        die("sigaction");
    long pid = sys0(NR_getpid);
    for (u32 r = 0; r < n; r++)
        sys2(NR_kill, pid, 10);
    return mix(31, sig_count);
}
