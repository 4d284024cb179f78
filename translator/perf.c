/*
 * perf.c - translated code for the host's perf (perf.h).
 */
#ifndef _GNU_SOURCE             /* gettid */
#define _GNU_SOURCE
#endif
#include "translator/perf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define DUMP_MAGIC   0x4a695444u        /* "JiTD", in the host's byte order */
#define DUMP_VERSION 1u
enum { CODE_LOAD = 0, CODE_CLOSE = 3 };

struct file {
    FILE *f;                    /* NULL: not wanted */
    char name[64];
};

struct perf {
    pthread_mutex_t lock;
    struct file map, dump;
    void *marker;               /* perf's records tell of the dump because it is mapped executable */
    uint64_t index;             /* of the next code in the dump */
};

struct dump_header {
    uint32_t magic, version, size, machine, pad, pid;
    uint64_t time, flags;
};

struct dump_record {
    uint32_t id, size;          /* size: with all that follows it */
    uint64_t time;
};

struct dump_code {
    uint32_t pid, tid;
    uint64_t vma, addr, size, index;
};

/* perf must be told to use the same clock: record -k mono. */
static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The number by which ELF files name this kind of host: that of this very program. */
static uint32_t machine(void)
{
    Elf64_Ehdr h = { .e_machine = EM_NONE };
    FILE *f = fopen("/proc/self/exe", "re");

    if (f) {
        if (fread(&h, sizeof(h), 1, f) != 1)
            h.e_machine = EM_NONE;
        fclose(f);
    }
    return h.e_machine;
}

/* A new file: what an old process of this number left goes, and no link of somebody else's is followed. */
static bool make(struct file *f, char *err, unsigned size)
{
    int fd;

    unlink(f->name);
    fd = open(f->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && (f->f = fdopen(fd, "w")))
        return true;
    snprintf(err, size, "cannot write %s: %s", f->name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return false;
}

static bool begin_dump(struct perf *p, char *err, unsigned size)
{
    struct dump_header h = { DUMP_MAGIC, DUMP_VERSION, sizeof(h), machine(), 0, (uint32_t)getpid(), now(), 0 };

    fwrite(&h, sizeof(h), 1, p->dump.f);
    fflush(p->dump.f);
    p->marker = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(p->dump.f), 0);
    if (p->marker != MAP_FAILED)
        return true;
    p->marker = NULL;
    snprintf(err, size, "cannot map %s executable, by which perf finds it: %s (is its file system mounted noexec?)",
             p->dump.name, strerror(errno));
    return false;
}

struct perf *perf_open(bool map, bool dump, char *err, unsigned size)
{
    struct perf *p = calloc(1, sizeof(*p));

    if (!p)
        die(EXIT_CODE_HOST, "out of memory");
    pthread_mutex_init(&p->lock, NULL);
    snprintf(p->map.name, sizeof(p->map.name), "/tmp/perf-%d.map", (int)getpid());
    snprintf(p->dump.name, sizeof(p->dump.name), "jit-%d.dump", (int)getpid());
    if ((!map || make(&p->map, err, size)) && (!dump || (make(&p->dump, err, size) && begin_dump(p, err, size))))
        return p;
    perf_close(p);
    return NULL;
}

bool perf_wants_no_file(const struct perf *p)
{
    return p && p->map.f;
}

/* Names may be a guest's: none ends the line. */
static void write_name(struct perf *p, const char *name, const void *rx, uint64_t size)
{
    fprintf(p->map.f, "%llx %llx ", (unsigned long long)(uintptr_t)rx, (unsigned long long)size);
    for (; *name; name++)
        fputc((unsigned char)*name < ' ' ? '?' : *name, p->map.f);
    fputc('\n', p->map.f);
}

static void write_code(struct perf *p, const char *name, const void *rx, const void *rw, uint64_t size)
{
    size_t len = strlen(name) + 1;
    struct dump_record r = { CODE_LOAD, (uint32_t)(sizeof(r) + sizeof(struct dump_code) + len + size), now() };
    struct dump_code c = { (uint32_t)getpid(), (uint32_t)gettid(), (uintptr_t)rx, (uintptr_t)rx, size, p->index++ };

    fwrite(&r, sizeof(r), 1, p->dump.f);
    fwrite(&c, sizeof(c), 1, p->dump.f);
    fwrite(name, len, 1, p->dump.f);
    fwrite(rw, size, 1, p->dump.f);
}

void perf_code(struct perf *p, const char *name, const void *rx, const void *rw, uint64_t size)
{
    if (!p || !size)
        return;
    pthread_mutex_lock(&p->lock);
    if (p->map.f)
        write_name(p, name, rx, size);
    if (p->dump.f)
        write_code(p, name, rx, rw, size);
    pthread_mutex_unlock(&p->lock);
}

static bool end(struct file *f)
{
    bool ok;

    if (!f->f)
        return true;
    ok = !ferror(f->f);
    ok &= fclose(f->f) == 0;
    if (!ok)
        fprintf(stderr, "latimer: writing %s failed: %s\n", f->name, strerror(errno));
    return ok;
}

bool perf_close(struct perf *p)
{
    struct dump_record last = { CODE_CLOSE, sizeof(last), now() };
    bool ok;

    if (!p)
        return true;
    if (p->marker) {
        fwrite(&last, sizeof(last), 1, p->dump.f);
        munmap(p->marker, (size_t)sysconf(_SC_PAGESIZE));
    }
    ok = end(&p->map);
    ok &= end(&p->dump);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return ok;
}
