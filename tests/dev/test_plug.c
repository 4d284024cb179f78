/*
 * test_plug.c - properties of devices that are added, and where they are put.
 */
#include <check.h>
#include <string.h>

#include "hw/boards.h"
#include "hw/disk_if.h"
#include "hw/plug.h"
#include "tests/run_suite.h"

struct things {
    struct plug_common c;
    uint64_t number, size;
    bool flag;
    const char *text;
    uint8_t mac[6];
    struct drive *drive;
    struct net *net;
    struct chardev_slot *chr;
    struct audio *audio;
};

static const struct prop props[] = {
    { "number", PROP_NUMBER, offsetof(struct things, number), 3, 300, "" },
    { "size", PROP_SIZE, offsetof(struct things, size), 512, (uint64_t)1 << 40, "" },
    { "flag", PROP_BOOL, offsetof(struct things, flag), 0, 0, "" },
    { "text", PROP_STRING, offsetof(struct things, text), 0, 0, "" },
    { "mac", PROP_MAC, offsetof(struct things, mac), 0, 0, "" },
    { "drive", PROP_DRIVE, offsetof(struct things, drive), 0, 0, "" },
    { "netdev", PROP_NETDEV, offsetof(struct things, net), 0, 0, "" },
    { "chardev", PROP_CHARDEV, offsetof(struct things, chr), 0, 0, "" },
    { "audiodev", PROP_AUDIODEV, offsetof(struct things, audio), 0, 0, "" },
    PROP_END
};
static const struct things defaults = { .c = { .slot = 5 }, .number = 7, .flag = true, .text = "t" };

static void *made_on[4];
static char made_name[4][48];
static unsigned made;

static void make(struct plug_env *env, void *bus, const void *p)
{
    made_on[made] = bus;
    strcpy(made_name[made++], ((const struct plug_common *)p)->name);
}

static const struct plug isa = { "thing", "a thing", "ISA", sizeof(struct things), &defaults, props, make };
static const struct plug scsi = { "leaf", "a leaf", "SCSI", sizeof(struct things), NULL, props, make };
static const struct plug pci = { "card", "a card", "PCI", sizeof(struct things), NULL, props, make };

static struct drive a_drive;

static struct drive *find_drive(void *arg, const char *id)
{
    return strcmp(id, "d0") == 0 ? &a_drive : NULL;
}

static const struct plug_names names = { .drive = find_drive };
static char why[200];

static bool set(struct plug_use *u, const char *name, const char *val)
{
    const struct prop *p = plug_prop(u->plug, name);

    ck_assert_ptr_nonnull(p);
    return plug_set(u, p, val, &names, why, sizeof(why));
}

START_TEST(values)
{
    struct plug_use *u = plug_use_new(&isa);
    struct things *t = (struct things *)u->props;

    ck_assert_int_eq(t->c.slot, -1);
    ck_assert_int_eq(t->c.bootindex, -1);
    ck_assert(t->number == 7 && t->flag && strcmp(t->text, "t") == 0 && !t->drive);
    ck_assert(set(u, "number", "0x10") && t->number == 16);
    ck_assert(set(u, "number", "300") && t->number == 300);
    ck_assert(set(u, "number", "3"));
    for (const char *const *v = (const char *const[]){ "2", "301", "-1", "", "0x", "4k", "99999999999999999999",
                                                       " 5", 0 }; *v; v++) {
        ck_assert_msg(!set(u, "number", *v), "%s", *v);
        ck_assert_str_eq(why, "use a number from 3 to 300");
    }
    ck_assert(set(u, "size", "4K") && t->size == 4096);
    ck_assert(set(u, "size", "1024") && t->size == 1024);
    ck_assert(!set(u, "size", "511") && !set(u, "size", "2T") && !set(u, "size", "4X"));
    ck_assert(set(u, "flag", "off") && !t->flag && set(u, "flag", "yes") && t->flag && set(u, "flag", "false") &&
              !t->flag);
    ck_assert(!set(u, "flag", "1") && strstr(why, "on or off"));
    ck_assert(set(u, "text", "hello") && strcmp(t->text, "hello") == 0);
    ck_assert(set(u, "mac", "52:54:00:12:34:fE") && memcmp(t->mac, "\x52\x54\0\x12\x34\xfe", 6) == 0);
    ck_assert(!set(u, "mac", "52:54:00:12:34") && !set(u, "mac", "52:54:00:12:34:56:78") &&
              !set(u, "mac", "52:54:00:12:34:5g") && strstr(why, "52:54"));
    ck_assert(set(u, "drive", "d0") && t->drive == &a_drive);
    ck_assert(!set(u, "drive", "d1") && strcmp(why, "there is no -drive with id=d1") == 0 && t->drive == &a_drive);
    ck_assert(!set(u, "netdev", "n") && strstr(why, "-netdev"));
    ck_assert(!set(u, "chardev", "n") && strstr(why, "-chardev"));
    ck_assert(!set(u, "audiodev", "n") && strstr(why, "-audiodev"));
    ck_assert(set(u, "bootindex", "4") && t->c.bootindex == 4);
    ck_assert(!set(u, "bootindex", "-2") && !set(u, "bootindex", "4294967296"));
    ck_assert(set(u, "addr", "1f.7") && t->c.slot == 31 && t->c.fn == 7);
    ck_assert(set(u, "addr", "4") && t->c.slot == 4 && t->c.fn == 0);
    for (const char *const *v = (const char *const[]){ "20", "1.8", "1.", "", "-1", "+1", "x", "1.-1", "1.2.3",
                                                       0 }; *v; v++)
        ck_assert_msg(!set(u, "addr", *v), "%s", *v);
    ck_assert_ptr_null(plug_prop(&isa, "nothing"));
    plug_use_free(u);
}
END_TEST

static struct plug_env env;
static struct machine m;
static struct plug_use *first, *second, *card;

static void setup(void)
{
    static const struct board board = { .name = "bench" };

    memset(&env, 0, sizeof(env));
    m.cfg.board = &board;
    env.m = &m;
    made = 0;
    first = plug_use_new(&scsi);
    second = plug_use_new(&scsi);
    first->next = second;
    card = plug_use_new(&pci);
}

static void teardown(void)
{
    plug_use_free(first);
    plug_use_free(second);
    plug_use_free(card);
    plug_buses_free(&env);
}

START_TEST(places)
{
    int a, b;

    plug_bus_add(&env, "IDE", "i.0", &made);
    plug_bus_add(&env, "SCSI", "s.0", &a);
    plug_bus_add(&env, "SCSI", "s.1", &b);
    set(second, "bus", "s.1");
    set(second, "id", "x");
    plugs_make(&env, first);
    ck_assert_uint_eq(made, 2);
    ck_assert_ptr_eq(made_on[0], &a);
    ck_assert_ptr_eq(made_on[1], &b);
    ck_assert_str_eq(made_name[0], "leaf#0");
    ck_assert_str_eq(made_name[1], "leaf/x");
}
END_TEST

START_TEST(short_names)
{
    ck_assert_ptr_eq(plug_find("virtio-blk"), plug_find("virtio-blk-pci"));
    ck_assert_ptr_nonnull(plug_find("virtio-blk"));
    ck_assert_ptr_null(plug_find("virtio"));
    ck_assert_ptr_null(plug_find("virtio-"));
    ck_assert_ptr_null(plug_find("pci"));
}
END_TEST

/* Each of these ends the program, which says why. */
START_TEST(impossible)
{
    switch (_i) {
    case 0: plugs_make(&env, card); break;         /* no PCI */
    case 1: plugs_make(&env, first); break;     /* no SCSI */
    case 2:
        plug_bus_add(&env, "SCSI", "s.0", &env);
        set(second, "bus", "t");
        plugs_make(&env, first);
        break;
    case 3:
        plug_bus_add(&env, "SCSI", "s.0", &env);
        set(first, "id", "x");
        set(second, "id", "x");
        plugs_make(&env, first);
        break;
    case 4:
        plug_bus_add(&env, "SCSI", "s.0", &env);
        set(first, "id", "a-name-that-is-too-long-for-the-list-of-the-machine's-chips");
        plugs_make(&env, first);
        break;
    case 5: plug_isa_irq(&env, 5); break;
    }
    ck_abort();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plug");
    TCase *t = tcase_create("plug");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, values);
    tcase_add_test(t, places);
    tcase_add_test(t, short_names);
    tcase_add_loop_exit_test(t, impossible, 2, 0, 6);
    suite_add_tcase(s, t);
    return run_suite(s);
}
