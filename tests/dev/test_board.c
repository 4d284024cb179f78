/* test_board.c - what boards wire: lines that several chips share. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hw/boards.h"
#include "hw/clock.h"
#include "hw/input_if.h"
#include "hw/pcbase.h"
#include "softmmu/softmmu.h"
#include "tests/run_suite.h"

#define VECTOR 0x40u
#define RIRR   (1u << 14)
#define LEVEL  (1u << 15)

static void line(struct machine *m, unsigned cpu, bool level) { }
static void event(struct machine *m, unsigned cpu) { }
static void kick(struct machine *m) { }
static void sipi(struct machine *m, unsigned cpu, uint8_t vector) { }
static void a20(struct machine *m, bool on) { }
static uint64_t apic_base(struct machine *m, unsigned cpu) { return 0xfee00900u; }
static int current(struct machine *m) { return 0; }
static int64_t tsc_offset(struct machine *m, unsigned cpu) { return 0; }

/* In the place of main's: there are no processors. */
const struct cpu_lines cpu_lines = {
    .intr = line, .nmi = event, .init = event, .sipi = sipi, .smi = event, .ignne = line, .a20 = a20,
    .apic_base = apic_base, .current = current, .tsc_offset = tsc_offset, .kick = kick,
};

static const struct board *const boards[] = { &board_micro, &board_pc, &board_q35 };
static uint8_t bios[0x10000];
static struct machine m;
static struct pcbase *b;

static void start(const struct board *board)
{
    pthread_mutexattr_t recursive;

    memset(&m, 0, sizeof(m));
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m.lock, &recursive);
    m.clock = clock_new_manual(0);
    m.cfg = (struct machine_config){ .board = board, .ram = 16u << 20, .cpus = 1, .bios = bios, .bios_len = sizeof(bios),
                                     .bios_name = "bios" };
    board->init(&m);
    machine_reset(&m);
    b = m.board;
}

static void end(void)
{
    m.cfg.board->free(&m);
    pthread_mutex_destroy(&m.lock);
}

static uint32_t entry(unsigned pin)
{
    phys_io_write(m.phys, IOAPIC_BASE, 0x10 + 2 * pin, 4);
    return (uint32_t)phys_io_read(m.phys, IOAPIC_BASE + 0x10, 4);
}

/* The pin sends as long as somebody asserts it: after an EOI, again. */
static bool asserted(unsigned pin)
{
    phys_io_write(m.phys, IOAPIC_BASE + 0x40, VECTOR, 4);
    return entry(pin) & RIRR;
}

static void level_triggered(unsigned pin)
{
    phys_io_write(m.phys, 0xfee000f0, 0x1ff, 4);
    entry(pin);
    phys_io_write(m.phys, IOAPIC_BASE + 0x10, VECTOR | LEVEL, 4);
}

static void check_state(void)
{
    uint8_t *a, *c;
    size_t n = chips_save(m.chips, &a);

    ck_assert_ptr_null(chips_load(m.chips, a, n));
    ck_assert_uint_eq(chips_save(m.chips, &c), n);
    ck_assert_mem_eq(a, c, n);
    free(a);
    free(c);
}

/* An ISA interrupt, the HPET and PCI may share an input of the I/O APIC. */
START_TEST(shared_inputs)
{
    start(boards[_i]);
    level_triggered(5);
    pcbase_isa_set(b, ISA_LINE(5, 9), true);
    ck_assert(asserted(5));
    pcbase_gsi_set(b, 5, GSI_HPET, true);
    pcbase_gsi_set(b, 5, GSI_HPET, false);
    ck_assert(asserted(5));
    check_state();
    pcbase_gsi_set(b, 5, GSI_HPET, true);
    pcbase_isa_set(b, ISA_LINE(5, 9), false);
    ck_assert(asserted(5));
    pcbase_gsi_set(b, 5, GSI_HPET, false);
    ck_assert(!asserted(5));
    level_triggered(16);
    pcbase_gsi_set(b, 16, GSI_PCI, true);
    pcbase_gsi_set(b, 16, GSI_TEST, true);
    pcbase_gsi_set(b, 16, GSI_PCI, false);
    ck_assert(asserted(16));
    machine_reset(&m);
    level_triggered(16);
    ck_assert(!asserted(16));
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("board");
    TCase *t = tcase_create("lines");

    tcase_add_loop_test(t, shared_inputs, 0, 3);
    suite_add_tcase(s, t);
    return run_suite(s);
}
