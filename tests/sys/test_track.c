/*
 * test_track.c - a display beside translated code: another thread copies the pages it is told of while the vCPU
 * writes. What it has at the end must be what memory holds, though it was not told of most pages in the end.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/decode.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"
#include "translator/exec.h"

#define CODE  0x30000u
#define AREA  0x100000u
#define PAGES 64u

struct viewer {
    struct track *track;
    const uint8_t *ram;
    uint8_t *copy;
    bool stop;
    unsigned long looks, pages;
};

static void look(struct viewer *w)
{
    uint64_t bits = 0;

    track_take(w->track, &bits);
    w->looks++;
    for (unsigned i = 0; i < PAGES; i++) {
        if (!(bits >> i & 1))
            continue;
        w->pages++;
        for (unsigned k = 0; k < PAGE_SIZE; k += 4) {
            const uint32_t *from = (const uint32_t *)(const void *)(w->ram + i * PAGE_SIZE + k);
            uint32_t val = __atomic_load_n(from, __ATOMIC_RELAXED);

            memcpy(w->copy + i * PAGE_SIZE + k, &val, 4);
        }
    }
}

static void *viewer(void *arg)
{
    struct viewer *w = arg;

    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE))
        look(w);
    return NULL;
}

START_TEST(viewed)
{
    /* A page for 1024 rounds, then the next; a push goes to the last page but one. */
    static const uint8_t code[] = {
        0x69, 0xc0, 0x6d, 0x4e, 0xc6, 0x41,     /* again: imul eax, eax, 0x41c64e6d */
        0x05, 0x39, 0x30, 0x00, 0x00,           /* add eax, 12345 */
        0x89, 0xca,                             /* mov edx, ecx */
        0xc1, 0xe2, 0x02,                       /* shl edx, 2 */
        0x81, 0xe2, 0x00, 0xf0, 0x03, 0x00,     /* and edx, 0x3f000 */
        0x89, 0xc3,                             /* mov ebx, eax */
        0xc1, 0xeb, 0x06,                       /* shr ebx, 6 */
        0x81, 0xe3, 0xfc, 0x0f, 0x00, 0x00,     /* and ebx, 0xffc */
        0x09, 0xda,                             /* or edx, ebx */
        0x89, 0x04, 0x16,                       /* mov [rsi + rdx], eax */
        0x50, 0x5b,                             /* push rax; pop rbx */
        0xff, 0xc9,                             /* dec ecx */
        0x75, 0xd4,                             /* jnz again */
        0xf4
    };
    struct sys_env *e = sys_new(LONG);
    struct viewer w = { .ram = e->ram + AREA, .copy = malloc(PAGES * PAGE_SIZE) };
    unsigned differ = 0;
    uint64_t end = 0;
    pthread_t thread;

    w.track = track_new(e->m.phys, e->ram + AREA, PAGES * PAGE_SIZE);
    decode_init();
    sys_exec(e, _i);
    exec_thread(e->c);
    memcpy(e->ram + CODE, code, sizeof(code));
    memcpy(w.copy, w.ram, PAGES * PAGE_SIZE);
    e->c->rip = CODE;
    e->c->r[R_SI] = AREA;
    e->c->r[R_AX] = 1;
    e->c->r[R_CX] = _i ? 200000 : 6000000;
    e->c->r[R_SP] = AREA + 63 * PAGE_SIZE;
    ck_assert_int_eq(pthread_create(&thread, NULL, viewer, &w), 0);
    sys_run(e);
    __atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < 3; i++) {          /* what is open now; closed; nothing */
        end = 0;
        look(&w);
        mmu_work(e->c);
    }
    track_take(w.track, &end);
    ck_assert_uint_eq(end, 0);
    for (unsigned i = 0; i < PAGES * PAGE_SIZE; i++)
        differ += w.copy[i] != w.ram[i];
    ck_assert_uint_eq(differ, 0);
    ck_assert_uint_gt(w.looks, 3);
    ck_assert_uint_gt(w.pages, PAGES);
    free(w.copy);
    sys_free(e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("track-exec");
    TCase *t = tcase_create("track");

    tcase_set_timeout(t, 120);
    tcase_add_engines(t, viewed);
    suite_add_tcase(s, t);
    return run_suite(s);
}
