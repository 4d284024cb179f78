/*
 * test_place.c - which guest instruction a host address belongs to (translator/exec_place.c): every address
 * of a block, its straight way and what lies out of line, thunks, and what is neither.
 */
#include <check.h>
#include <string.h>

#include "frontend/decode.h"
#include "tests/host_env.h"
#include "tests/run_suite.h"
#include "tests/sys/sys_env.h"
#include "translator/exec_priv.h"

#define CODE 0x30000u
#define DATA 0x60000u

/* mov eax,[rbx]; mov ecx,[rsi+4]; add eax,ecx; mov [rdi],eax; hlt: #GP, whose handler ends the run */
static const uint8_t code[] = { 0x8b, 0x03, 0x8b, 0x4e, 0x04, 0x01, 0xc8, 0x89, 0x07, 0xf4 };
static const uint8_t begins[] = { 0, 2, 5, 7, 9 };
#define LOADS_AND_STORE(at) ((at) == 0 || (at) == 2 || (at) == 7)

/* Translated as a whole; from stencils, where there are some. */
static const unsigned hots[] = { 0, 1u << 30 };

static struct sys_env *e;
static const struct block *b;
static const uint8_t *rx;

static void halt(struct cpu *c)
{
    __atomic_fetch_or(&c->attn, ATTN_EXIT, __ATOMIC_SEQ_CST);
}

static void start(unsigned hot)
{
    struct exec_options o = { .cache_size = 8u << 20, .verify = true, .halt = halt, .hot = hot };
    struct cpu *c;

    e = sys_new(LONG);
    c = e->c;
    o.m = &e->m;
    decode_init();
    e->m.cpu = &e->c;
    e->m.ncpu = 1;
    host_env(&o);
    exec_init(c, &o);
    sys_poke(e, S_HANDLER + 16 * EXC_GP, 1, 0xf4);
    memcpy(e->ram + CODE, code, sizeof(code));
    sys_ring3(e);
    c->rip = CODE;
    c->r[R_BX] = c->r[R_SI] = c->r[R_DI] = DATA;
    exec_run(c);
    ck_assert_uint_eq(c->cpl, 0);
    for (unsigned i = 0; i < c->exec->cache.region[0].n; i++)
        if (c->exec->cache.region[0].block[i]->pa == CODE)
            b = c->exec->cache.region[0].block[i];
    ck_assert_ptr_nonnull(b);
    ck_assert_uint_eq(b->copied, hot && backend_has_stencils);
    rx = block_rx(&c->exec->cache, b);
    c->pc_page = CODE;          /* as while it runs */
}

static struct exec_place place(const void *host, const void *lr)
{
    struct exec_place p;

    exec_place(e->c, host, lr, &p);
    return p;
}

/* Offset of the guest instruction. */
static unsigned at(const void *host)
{
    struct exec_place p = place(host, NULL);

    ck_assert_int_eq(p.where, EXEC_BLOCK);
    ck_assert_ptr_eq(p.block, b);
    ck_assert_uint_eq(p.lin, p.rip);
    ck_assert_uint_ge(p.rip, CODE);
    return (unsigned)p.rip - CODE;
}

/* On the straight way instructions come in order, each of them. */
START_TEST(test_straight)
{
    unsigned n = 0, size, last;

    start(hots[_i]);
    last = b->nmarks - 1u;
    size = b->mark[last].pc == MARK_BEHIND ? b->mark[last].off : b->size;
    for (unsigned off = 0; off < size; off++) {
        unsigned got = at(rx + off);

        if (got != begins[n])
            n++;
        ck_assert_uint_lt(n, sizeof(begins));
        ck_assert_uint_eq(got, begins[n]);
    }
    ck_assert_uint_eq(n, sizeof(begins) - 1);
}
END_TEST

/* Out of line each sequence calls a thunk: the call and what leads to it are of the same instruction, and so
 * is what follows (where something does: a jump back). */
START_TEST(test_cold)
{
    unsigned n = 0, jump = backend_dead_ra;     /* bytes of a call, which are those of a jump */

    start(hots[_i]);
    for (unsigned i = 0; i < b->nfaults; i++) {
        const struct host_fault *f = &b->fault[i];
        unsigned want = (unsigned)f->pc - (CODE & 0xfff);

        ck_assert_uint_eq(at(rx + f->ra - jump), want);
        if (b->copied || !LOADS_AND_STORE(want) || i + 1u == b->nfaults || b->fault[i + 1].ra - f->ra <= jump)
            continue;           /* a stub: nothing but the call */
        n++;
        ck_assert_uint_eq(at(rx + f->ra), want);
        ck_assert_uint_eq(at(rx + f->ra - 2 * jump), want);     /* its arguments are stored */
    }
    ck_assert_uint_ge(n, b->copied ? 0 : 3);
}
END_TEST

START_TEST(test_elsewhere)
{
    const struct cache *k;
    const uint8_t *thunk, *ra = NULL;
    struct exec_place p;

    start(hots[_i]);
    k = &e->c->exec->cache;
    thunk = k->mem.rw + k->mem.rx_off;
    for (unsigned i = 0; i < b->nfaults; i++)
        if (b->fault[i].pc == (CODE & 0xfff) + 2)
            ra = rx + b->fault[i].ra;
    ck_assert_ptr_nonnull(ra);
    p = place(thunk, ra);
    ck_assert_int_eq(p.where, EXEC_THUNK);
    ck_assert_uint_eq(p.rip, CODE + 2);
    p = place(thunk + k->mem.size - 64, NULL);
    ck_assert_int_eq(p.where, EXEC_NO_BLOCK);
    ck_assert_ptr_null(p.block);
    p = place((const void *)(uintptr_t)exec_place, NULL);
    ck_assert_int_eq(p.where, EXEC_ELSEWHERE);
}
END_TEST

/* What is printed: all of the guest's code, the host's around the address, and an arrow in both. */
START_TEST(test_show)
{
    char text[16384];
    FILE *f;
    struct exec_place p;
    unsigned off = 0;

    start(hots[_i]);
    while (at(rx + off) != 5)
        off++;
    p = place(rx + off, NULL);
    f = fmemopen(text, sizeof(text), "w");
    exec_show_guest(e->c, &p, f);
    exec_show_host(e->c, &p, f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "      30000  mov eax, dword ptr [rbx]\n"));
    ck_assert_ptr_nonnull(strstr(text, "=>      30005  add eax, ecx\n"));
    snprintf(strchr(text, 0) + 1, 64, "=> %10llx  ", (unsigned long long)(uintptr_t)p.host);
    ck_assert_ptr_nonnull(strstr(text, strchr(text, 0) + 1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("place");
    TCase *tc = tcase_create("place");

    tcase_add_loop_test(tc, test_straight, 0, 2);
    tcase_add_loop_test(tc, test_cold, 0, 2);
    tcase_add_loop_test(tc, test_elsewhere, 0, 2);
    tcase_add_loop_test(tc, test_show, 0, 2);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
