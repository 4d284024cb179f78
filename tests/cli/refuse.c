/*
 * refuse.c - run a command on a host that refuses some system calls, as policies do.
 *
 *   refuse RULE... -- COMMAND [ARG...]
 *
 *   memfd      memfd_create() fails with ENOSYS
 *   file       no file without a name (O_TMPFILE, O_EXCL): EACCES
 *   shared     nothing that is shared may be mapped executable: EACCES
 *   both       nothing may be mapped writable and executable: EACCES
 *   nomem      for shared or anonymous memory that is executable: ENOMEM
 *   mdwe       PR_SET_MDWE, what systemd's MemoryDenyWriteExecute= does
 *
 * Libraries go on being loaded: they are private mappings of files.  Exit status 77: this host cannot refuse
 * that, standard error says why.
 */
#ifndef _GNU_SOURCE             /* O_TMPFILE */
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65          /* Linux 6.3 */
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0                  /* the filter then lets everything pass */
#endif
#define SKIP 77
/* Its low half: hosts are little-endian. */
#define ARG(n) ((uint32_t)offsetof(struct seccomp_data, args[n]))

static struct sock_filter code[64];
static unsigned short n;

static void add(uint16_t op, uint32_t k, uint8_t yes, uint8_t no)
{
    code[n++] = (struct sock_filter)BPF_JUMP(op, k, yes, no);
}

static void load(uint32_t at)
{
    add(BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
}

/* If system call nr has all bits of `all` in argument arg, and one of `any` in argument arg2: error. */
static void refuse(uint32_t nr, unsigned arg, uint32_t all, unsigned arg2, uint32_t any, int error)
{
    load(offsetof(struct seccomp_data, nr));
    add(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 6);
    load(ARG(arg));
    add(BPF_ALU | BPF_AND | BPF_K, all, 0, 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, all, 0, 3);
    load(ARG(arg2));
    add(BPF_JMP | BPF_JSET | BPF_K, any, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA), 0, 0);
}

static int rule(const char *name)
{
    if (!strcmp(name, "memfd")) {
        load(offsetof(struct seccomp_data, nr));
        add(BPF_JMP | BPF_JEQ | BPF_K, __NR_memfd_create, 0, 1);
        add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
    } else if (!strcmp(name, "file")) {
        refuse(__NR_openat, 2, O_TMPFILE, 2, O_TMPFILE, EACCES);
        refuse(__NR_openat, 2, O_EXCL, 2, O_EXCL, EACCES);
    } else if (!strcmp(name, "shared")) {
        refuse(__NR_mmap, 2, PROT_EXEC, 3, MAP_SHARED, EACCES);
    } else if (!strcmp(name, "both")) {
        refuse(__NR_mmap, 2, PROT_WRITE | PROT_EXEC, 2, PROT_EXEC, EACCES);
        refuse(__NR_mprotect, 2, PROT_WRITE | PROT_EXEC, 2, PROT_EXEC, EACCES);
    } else if (!strcmp(name, "nomem")) {
        refuse(__NR_mmap, 2, PROT_EXEC, 3, MAP_SHARED | MAP_ANONYMOUS, ENOMEM);
    } else if (!strcmp(name, "mdwe")) {
        if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0ul, 0ul, 0ul) < 0) {
            fprintf(stderr, "refuse: no PR_SET_MDWE: %s (Linux 6.3 has it)\n", strerror(errno));
            return SKIP;
        }
    } else {
        fprintf(stderr, "refuse: unknown rule %s\n", name);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sock_fprog prog = { .filter = code };
    int k, failed;

    load(offsetof(struct seccomp_data, arch));
    add(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    for (k = 1; k < argc && strcmp(argv[k], "--"); k++) {
        failed = rule(argv[k]);
        if (failed)
            return failed;
    }
    if (k + 1 >= argc) {
        fprintf(stderr, "usage: refuse RULE... -- COMMAND [ARG...]\n");
        return 2;
    }
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    prog.len = n;
    if (!ARCH || prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0ul, 0ul) < 0) {
        fprintf(stderr, "refuse: no seccomp filter on this host: %s\n", strerror(errno));
        return SKIP;
    }
    execvp(argv[k + 1], argv + k + 1);
    fprintf(stderr, "refuse: %s: %s\n", argv[k + 1], strerror(errno));
    return 127;
}
