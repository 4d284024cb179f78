/*
 * code_mem.c - the memory that translated code lies in (code_mem.h).
 *
 * Best is a file without a name that is mapped twice, writable and executable, so
 * that no page is ever both at one address: hosts which forbid that (W^X) still
 * allow this as a rule.  Policies differ in which files they let execute, hence
 * several; one view for both comes last, and is right where a host notices stores
 * by their address (backend_code_runs).  A way counts only if code in it has run:
 * some policies take the right to execute away without an error.
 */
#include "translator/code_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/shm.h"
#include "translator/backend.h"

/* What went wrong with each way, for the message if none is left. */
struct tried {
    char text[1024];
    size_t len;
    bool denied;                /* by a policy, at least once */
    bool no_memory;
    bool disagree;              /* two views do not do, whatever they are of */
};

static bool __attribute__((format(printf, 4, 5)))
failed(struct tried *t, const char *way, int error, const char *fmt, ...)
{
    char what[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    t->denied |= error == EACCES || error == EPERM;
    t->no_memory |= error == ENOMEM || error == EAGAIN || error == ENOSPC;
    size_t room = sizeof t->text - t->len;
    int n = snprintf(t->text + t->len, room, "\n  %s: %s%s%s", way, what, error ? ": " : "",
                     error ? strerror(error) : "");
    t->len += n < (int)room ? (size_t)n : room - 1;
    return false;
}

/* ---- does code run there? ---- */

static sigjmp_buf crashed;

static void on_crash(int sig)
{
    siglongjmp(crashed, sig);
}

/* backend_code_runs(), or, if it crashes, the signal, negative. */
static int code_runs(const struct code_mem *m)
{
    static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL };
    struct sigaction old[3], sa = { .sa_handler = on_crash };
    int sig;
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < 3; i++)
        sigaction(sigs[i], &sa, &old[i]);
    sig = sigsetjmp(crashed, 1);
    int runs = sig ? -sig : backend_code_runs(m->rw, m->rx_off);
    for (unsigned i = 0; i < 3; i++)
        sigaction(sigs[i], &old[i], NULL);
    return runs;
}

/* The views are there: are they of use? If not, they go. */
static bool try_out(struct code_mem *m, const char *way, struct tried *t)
{
    int runs = code_runs(m);
    if (runs > 0)
        return true;
    code_mem_unmap(m);
    t->denied |= runs < 0;
    if (runs < 0)
        return failed(t, way, 0, "it is mapped, but executing code there is a %s",
                      runs == -SIGSEGV ? "SIGSEGV" : runs == -SIGBUS ? "SIGBUS" : "SIGILL");
    t->disagree = true;
    return failed(t, way, 0, "what is written through one is not what the other executes");
}

/* ---- the ways ---- */

/* fd: -1 if there is no file, errno says why. Takes it. reserve: its blocks may be lacking later. */
static bool two_views(struct code_mem *m, int fd, bool reserve, const char *way, struct tried *t)
{
    if (fd < 0)
        return failed(t, way, errno, "making it");
    m->rw = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (m->rw == MAP_FAILED) {
        failed(t, way, errno, "mapping it");
        close(fd);
        return false;
    }
    uint8_t *rx = mmap(NULL, m->size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    int error = rx == MAP_FAILED ? errno : reserve ? posix_fallocate(fd, 0, (off_t)m->size) : 0;
    close(fd);
    m->rx_off = rx == MAP_FAILED ? 0 : rx - m->rw;
    if (error) {
        code_mem_unmap(m);
        return failed(t, way, error, rx == MAP_FAILED ? "mapping it executable" : "reserving room in it");
    }
    return try_out(m, way, t);
}

static bool one_view(struct code_mem *m, const char *way, struct tried *t)
{
    m->rx_off = 0;
    m->rw = mmap(NULL, m->size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->rw == MAP_FAILED)
        return failed(t, way, errno, "mapping it");
    return try_out(m, way, t);
}

void code_mem_map(struct code_mem *m, uint64_t size, bool no_file)
{
    static const char one[] = "one view, writable and executable", two[] = "two views of a memfd";
    static const char policy[] =
        "\n  What is not permitted is forbidden by a policy: SELinux (execmem, or execute for such a file),\n"
        "  a file system mounted noexec, PR_SET_MDWE (systemd: MemoryDenyWriteExecute=), a seccomp filter,\n"
        "  a hardened kernel.";
    static const char limit[] = "\n  Where memory or room is lacking (ulimit -v, a container's limit), ask for "
        "less: -accel jit,tb-size=MIB.";
    const char *tmp = getenv("TMPDIR");
    const char *folder[] = { "/dev/shm", tmp && *tmp ? tmp : "/tmp" };
    struct tried t = { .len = 0 };
    m->size = size;
    m->how = one;
    if (no_file && one_view(m, one, &t))
        return;
    m->how = two;
    if (two_views(m, shm_memfd("latimer-code", size), false, two, &t))
        return;
    for (unsigned i = 0; i < 2 && !t.disagree; i++) {
        char way[128];
        snprintf(way, sizeof way, "two views of a file in %s", folder[i]);
        m->how = i ? "two views of a temporary file" : "two views of a file in /dev/shm";
        if (two_views(m, shm_file(folder[i], size), true, way, &t))
            return;
    }
    m->how = one;
    if (!no_file && one_view(m, one, &t))
        return;
    die(EXIT_CODE_HOST, "cannot get %llu MiB of memory to execute translated code in:%s%s%s\n"
        "  %s -accel interp, which needs no such memory and is slow.",
        (unsigned long long)(size >> 20), t.text, t.denied ? policy : "", t.no_memory ? limit : "",
        t.denied ? "Allow one of these ways, or use" : "Or use");
}

void code_mem_unmap(struct code_mem *m)
{
    if (m->rx_off)
        munmap(m->rw + m->rx_off, m->size);
    munmap(m->rw, m->size);
}
