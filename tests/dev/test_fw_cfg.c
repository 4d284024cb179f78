/*
 * test_fw_cfg.c - the firmware's configuration by ports and by DMA; the ACPI tables as a firmware places
 * them; SMBIOS structures.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/acpi.h"
#include "hw/fw_cfg.h"
#include "hw/ich9.h"
#include "hw/smbios.h"
#include "tests/dev/chipset_env.h"
#include "tests/run_suite.h"

static struct env *e;
static struct fw_cfg *s;
static uint8_t ram[0x100000];

static void setup(void)
{
    e = env_new();
    memset(ram, 0xee, sizeof(ram));
    phys_map_ram(e->phys, 0, sizeof(ram), ram, false, "ram");
    s = fw_cfg_new(e->chips, e->ports, e->phys);
    fw_cfg_number(s, FW_CFG_RAM_SIZE, 0x123456789a, 8);
    fw_cfg_file(s, "etc/one", "abc", 3);
    fw_cfg_file_number(s, "etc/two", 0x3f8, 8);
}

static void teardown(void)
{
    env_check_state(e);
    fw_cfg_free(s);
    env_free(e);
}

static void take(unsigned key, void *buf, unsigned n)
{
    ports_write(e->ports, 0x510, key, 2);
    for (unsigned i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = ports_read(e->ports, 0x511, 1);
}

static uint64_t be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* The key and length of a file; 0: there is none. */
static unsigned file(const char *name, uint32_t *len)
{
    uint8_t b[64];
    uint32_t n;

    take(0x19, b, 4);
    n = be(b, 4);
    while (n--) {
        for (unsigned i = 0; i < sizeof(b); i++)
            b[i] = ports_read(e->ports, 0x511, 1);
        if (strcmp((char *)b + 8, name))
            continue;
        *len = be(b, 4);
        return be(b + 4, 2);
    }
    return 0;
}

START_TEST(by_port)
{
    uint8_t b[16];
    uint32_t len;
    unsigned key;

    take(0, b, 4);
    ck_assert_mem_eq(b, "QEMU", 4);
    take(1, b, 4);
    ck_assert_mem_eq(b, "\3\0\0\0", 4);
    take(FW_CFG_RAM_SIZE, b, 10);
    ck_assert_mem_eq(b, "\x9a\x78\x56\x34\x12\0\0\0\0\0", 10);
    take(0x77, b, 2);                           /* no such item */
    ck_assert_mem_eq(b, "\0", 2);
    key = file("etc/one", &len);
    ck_assert_uint_ge(key, 0x20);
    ck_assert_uint_eq(len, 3);
    take(key, b, 5);
    ck_assert_mem_eq(b, "abc\0", 5);
    ck_assert_uint_ne(file("etc/two", &len), key);
    ck_assert_uint_eq(len, 8);
    ck_assert_uint_eq(file("etc/three", &len), 0);
    take(key, b, 1);
    env_check_state(e);
    ck_assert_uint_eq(ports_read(e->ports, 0x511, 1), 'b');
    ports_write(e->ports, 0x511, 'x', 1);       /* nothing is writable */
    take(key, b, 3);
    ck_assert_mem_eq(b, "abc", 3);
}
END_TEST

/* The request at 1000h: its control word afterwards. */
static uint32_t dma(uint32_t control, uint32_t len, uint64_t to)
{
    for (unsigned i = 0; i < 4; i++) {
        ram[0x1000 + i] = control >> (24 - 8 * i);
        ram[0x1004 + i] = len >> (24 - 8 * i);
    }
    for (unsigned i = 0; i < 8; i++)
        ram[0x1008 + i] = to >> (56 - 8 * i);
    ports_write(e->ports, 0x514, 0, 4);
    ports_write(e->ports, 0x518, 0x00100000, 4);
    return be(ram + 0x1000, 4);
}

START_TEST(by_dma)
{
    uint32_t len, key = file("etc/one", &len);

    ck_assert_uint_eq(ports_read(e->ports, 0x514, 4), 0x554d4551);
    ck_assert_uint_eq(ports_read(e->ports, 0x51b, 1), 'G');
    ck_assert_uint_eq(dma(key << 16 | 8 | 2, 2, 0x2000), 0);
    ck_assert_mem_eq(ram + 0x2000, "ab\xee", 3);
    ck_assert_uint_eq(dma(2, 3, 0x2000), 0);
    ck_assert_mem_eq(ram + 0x2000, "c\0\0\xee", 4);
    ck_assert_uint_eq(dma(key << 16 | 8 | 4, 1, 0), 0);
    ck_assert_uint_eq(ports_read(e->ports, 0x511, 1), 'b');
    ck_assert_uint_eq(dma(key << 16 | 8 | 2, 5000, 0x2fff), 0);  /* longer than a piece */
    ck_assert_mem_eq(ram + 0x2fff, "abc\0", 4);
    ck_assert_uint_eq(ram[0x2fff + 4999], 0);
    ck_assert_uint_eq(ram[0x2fff + 5000], 0xee);
    ck_assert_uint_eq(dma(key << 16 | 8 | 16, 1, 0x2000), 1);    /* write */
    ck_assert_uint_eq(dma(2, 0xffffffff, 0xff000), 1);           /* beyond memory */
    ck_assert_uint_eq(dma(4, 0xffffffff, 0), 0);
    ck_assert_uint_eq(dma(4, 0xffffffff, 0), 0);
    ck_assert_uint_eq(ports_read(e->ports, 0x511, 1), 0);
    ports_write(e->ports, 0x514, 0x01000000, 4);                 /* a request where nothing is */
    ports_write(e->ports, 0x518, 0x00100000, 4);
}
END_TEST

static unsigned wrote;

static void on_write(void *arg, const uint8_t *data, size_t len)
{
    ck_assert(arg == &wrote && len == 8);
    wrote++;
}

START_TEST(written)
{
    uint32_t len, key = file("etc/two", &len);
    uint8_t b[8];

    fw_cfg_file_writable(s, "etc/two", on_write, &wrote);
    wrote = 0;
    memcpy(ram + 0x2000, "ABCDEFGHIJ", 10);
    ck_assert_uint_eq(dma(key << 16 | 8 | 16, 8, 0x2000), 0);
    take(key, b, 8);
    ck_assert_mem_eq(b, "ABCDEFGH", 8);
    ck_assert_uint_eq(dma(key << 16 | 8 | 4, 3, 0), 0);
    ck_assert_uint_eq(dma(16, 2, 0x2008), 0);
    take(key, b, 8);
    ck_assert_mem_eq(b, "ABCIJFGH", 8);
    ck_assert_uint_eq(wrote, 2);
    ck_assert_uint_eq(dma(key << 16 | 8 | 16, 9, 0x2000), 1);    /* longer than the file */
    ck_assert_uint_eq(dma(key << 16 | 8 | 4, 7, 0), 0);
    ck_assert_uint_eq(dma(16, 2, 0x2000), 1);
    ck_assert_uint_eq(dma(16, 0xffffffff, 0x2000), 1);
    ck_assert_uint_eq(dma(key << 16 | 8 | 16, 8, 0xffffc), 1);   /* not all of it is memory */
    take(key, b, 8);
    ck_assert_mem_eq(b, "ABCIJFGH", 8);
    ck_assert_uint_eq(wrote, 2);
    fw_cfg_file_writable(s, "etc/two", NULL, NULL);
}
END_TEST

START_TEST(smi_features)
{
    struct ich9_smi *smi = ich9_smi_new(e->chips, s);
    uint32_t len, key = file("etc/smi/requested-features", &len), ok = file("etc/smi/features-ok", &len);
    uint8_t b[8];

    take(file("etc/smi/supported-features", &len), b, 8);
    ck_assert_mem_eq(b, "\1\0\0\0\0\0\0\0", 8);
    chips_reset(e->chips);
    memcpy(ram + 0x2000, "\3\0\0\0\0\0\0\0", 8);             /* one that is not there */
    ck_assert_uint_eq(dma(key << 16 | 8 | 16, 8, 0x2000), 0);
    take(ok, b, 1);
    ck_assert(b[0] == 0 && !ich9_smi_broadcast(smi));
    ram[0x2000] = 1;
    ck_assert_uint_eq(dma(key << 16 | 8 | 16, 8, 0x2000), 0);
    ck_assert(!ich9_smi_broadcast(smi));
    take(ok, b, 1);
    ck_assert(b[0] == 1 && ich9_smi_broadcast(smi));
    ram[0x2000] = 0;                                             /* settled */
    dma(key << 16 | 8 | 16, 8, 0x2000);
    take(ok, b, 1);
    ck_assert(b[0] == 1 && ich9_smi_broadcast(smi));
    take(key, b, 8);
    ck_assert_uint_eq(b[0], 1);
    env_check_state(e);
    chips_reset(e->chips);
    ck_assert(!ich9_smi_broadcast(smi));
    take(key, b, 8);
    ck_assert_uint_eq(b[0], 0);
}
END_TEST

/* ---- a firmware's table loader ---- */

static uint64_t le(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | p[n];
    return v;
}

static const char *const names[] = { "etc/acpi/rsdp", "etc/acpi/tables" };
static const uint32_t place[] = { 0xf0010, 0x40040 };

static unsigned which(const uint8_t *name)
{
    ck_assert(!strcmp((const char *)name, names[0]) || !strcmp((const char *)name, names[1]));
    return strcmp((const char *)name, names[0]) != 0;
}

static unsigned pirq(unsigned slot, unsigned pin)
{
    return (slot + pin) & 3;
}

static unsigned asked;

static void ask(void *arg)
{
    asked++;
    acpi_fw_cfg_again(arg, s);
}

START_TEST(table_loader)
{
    struct acpi_board b = { .ncpu = 2, .lapic = 0xfee00000, .ioapic = 0xfec00000, .hpet = 0xfed00000, .pm = 0x600,
                            .sci = 9, .pm_len = ACPI_PM_LEN, .reset_port = 0xcf9, .pci_lo = 0xc0000000,
                            .pci_hi = 0xfec00000, .links = 4, .pirq = pirq, .fw_cfg = 0x510,
                            .mmconfig = 0xd0000000 };
    static uint8_t script[8192];
    size_t want_len;
    uint8_t *want = acpi_tables(&b, place[1] - 64, &want_len, NULL);
    uint32_t len, key, size[2] = { 0 };
    bool there[2] = { false };

    /* Made for other places first, and again when they are read. */
    b.mmconfig = 0xe0000000;
    acpi_fw_cfg(&b, s);
    b.mmconfig = 0xd0000000;
    acpi_fw_cfg_asked(s, ask, &b);
    key = file("etc/table-loader", &len);
    ck_assert(key && len <= sizeof(script) && len % 128 == 0);
    take(key, script, len);
    for (const uint8_t *c = script; c < script + len; c += 128) {
        unsigned f = which(c + 4), g;

        switch (le(c, 4)) {
        case 1:
            key = file(names[f], &size[f]);
            ck_assert(key && !there[f]);
            there[f] = true;
            take(key, ram + place[f], size[f]);
            ck_assert_uint_eq(place[f] % le(c + 60, 4), 0);
            ck_assert_uint_eq(c[64], f ? 1 : 2);
            break;
        case 2: {
            uint32_t at = le(c + 116, 4), n = c[120];
            uint64_t v;

            g = which(c + 60);
            ck_assert(there[f] && there[g] && at + n <= size[f]);
            v = le(ram + place[f] + at, n) + place[g];
            for (unsigned i = 0; i < n; i++)
                ram[place[f] + at + i] = v >> 8 * i;
            break;
        }
        case 3: {
            uint32_t at = le(c + 60, 4), start = le(c + 64, 4), n = le(c + 68, 4);

            ck_assert(there[f] && start + n <= size[f] && at - start < n);
            ck_assert_uint_eq(ram[place[f] + at], 0);
            for (uint32_t i = start, field = place[f] + at, sum = 0; i <= start + n; i++) {
                if (i == start + n)
                    ram[field] -= sum;
                else
                    sum += ram[place[f] + i];
            }
            break;
        }
        default:
            ck_abort_msg("command %u", (unsigned)le(c, 4));
        }
    }
    /* The same as if they had been made for that place. */
    ck_assert_uint_eq(asked, 1);
    ck_assert_uint_eq(size[1], want_len - 64);
    ck_assert_mem_eq(ram + place[0], want, 36);
    ck_assert_mem_eq(ram + place[1], want + 64, size[1]);
    free(want);
}
END_TEST

/* ---- SMBIOS ---- */

START_TEST(smbios)
{
    struct smbios_info info = { .product = "Test", .ncpu = 3, .ram_low = 3ull << 30, .ram_high = 61ull << 30,
                                .bios = _i };
    uint8_t anchor[SMBIOS_ANCHOR], sum = 0, *t, *p;
    unsigned n = 0, max = 0, seen[128] = { 0 };
    size_t len;

    t = smbios_tables(&info, 0xf1230, &len, anchor);
    ck_assert_mem_eq(anchor, "_SM_", 4);
    ck_assert_mem_eq(anchor + 16, "_DMI_", 5);
    for (unsigned i = 0; i < SMBIOS_ANCHOR; i++)
        sum += anchor[i];
    ck_assert_uint_eq(sum, 0);
    for (unsigned i = 16; i < SMBIOS_ANCHOR; i++)
        sum += anchor[i];
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(le(anchor + 22, 2), len);
    ck_assert_uint_eq(le(anchor + 24, 4), 0xf1230);
    for (p = t; p < t + len; n++) {
        uint8_t *next = p + p[1];
        unsigned strings = 0;

        ck_assert_uint_lt(p[0], 128);
        seen[p[0]]++;
        ck_assert_uint_ge(p[1], 4);
        for (; next[0] || next[1]; next++)
            strings += !next[1];
        next += 2;
        if (p[0] == 1) {
            ck_assert_uint_eq(strings, 2);
            ck_assert_str_eq((char *)p + p[1], "Latimer");
            ck_assert_str_eq((char *)p + p[1] + 8, "Test");
        }
        if (p[0] == 17) {
            ck_assert_uint_eq(le(p + 12, 2), 0x7fff);           /* 64 GiB: in the extended field */
            ck_assert_uint_eq(le(p + 0x1c, 4), 65536);
        }
        if (p[0] == 127)
            ck_assert_ptr_eq(next, t + len);
        max = next - p > (long)max ? next - p : max;
        p = next;
    }
    ck_assert_ptr_eq(p, t + len);
    ck_assert_uint_eq(le(anchor + 28, 2), n);
    ck_assert_uint_eq(le(anchor + 8, 2), max);
    ck_assert_uint_eq(seen[0], _i);
    ck_assert_uint_eq(seen[4], 3);
    ck_assert_uint_eq(seen[19], 2);
    ck_assert_uint_eq(seen[127], 1);
    free(t);
}
END_TEST

/* String number n of a structure, NULL: there is none. */
static const char *smbios_text(const uint8_t *p, unsigned n)
{
    const char *t = (const char *)p + p[1];

    while (n && --n && *t)
        t += strlen(t) + 1;
    return *t ? t : NULL;
}

/* What the user gives takes the place of what the machine has, and makes structures that it has not. */
START_TEST(smbios_of_the_user)
{
    static const struct { uint8_t type, at; enum smbios_text id; } fields[] = {    /* DSP0134, chapter 7 */
        { 0, 4, SMBIOS_BIOS_VENDOR }, { 0, 5, SMBIOS_BIOS_VERSION }, { 0, 8, SMBIOS_BIOS_DATE }, { 1, 4, SMBIOS_SYSTEM_MAKER },
        { 1, 5, SMBIOS_SYSTEM_PRODUCT }, { 1, 6, SMBIOS_SYSTEM_VERSION }, { 1, 7, SMBIOS_SYSTEM_SERIAL },
        { 1, 25, SMBIOS_SYSTEM_SKU }, { 1, 26, SMBIOS_SYSTEM_FAMILY }, { 2, 4, SMBIOS_BOARD_MAKER },
        { 2, 5, SMBIOS_BOARD_PRODUCT }, { 2, 6, SMBIOS_BOARD_VERSION }, { 2, 7, SMBIOS_BOARD_SERIAL }, { 2, 8, SMBIOS_BOARD_ASSET },
        { 2, 10, SMBIOS_BOARD_LOCATION }, { 3, 4, SMBIOS_CHASSIS_MAKER }, { 3, 6, SMBIOS_CHASSIS_VERSION },
        { 3, 7, SMBIOS_CHASSIS_SERIAL }, { 3, 8, SMBIOS_CHASSIS_ASSET }, { 3, 21, SMBIOS_CHASSIS_SKU }, { 4, 7, SMBIOS_CPU_MAKER },
        { 4, 16, SMBIOS_CPU_VERSION }, { 4, 32, SMBIOS_CPU_SERIAL }, { 4, 33, SMBIOS_CPU_ASSET }, { 4, 34, SMBIOS_CPU_PART },
        { 17, 17, SMBIOS_DIMM_BANK }, { 17, 23, SMBIOS_DIMM_MAKER }, { 17, 24, SMBIOS_DIMM_SERIAL }, { 17, 25, SMBIOS_DIMM_ASSET },
        { 17, 26, SMBIOS_DIMM_PART },
    };
    struct smbios_given given = { .release = { 3, 7 }, .oem = { "one", "two=2" }, .noem = 2 };
    struct smbios_info info = { .product = "Test", .ncpu = 1, .ram_low = 1 << 30, .given = &given };
    uint8_t anchor[SMBIOS_ANCHOR], *t, *p;
    char words[SMBIOS_TEXTS][8];
    unsigned found = 0;
    size_t len;

    for (unsigned i = 0; i < SMBIOS_TEXTS; i++) {
        snprintf(words[i], sizeof(words[i]), "word%u", i);
        given.text[i] = words[i];
    }
    given.type[0] = given.type[2] = given.type[11] = true;
    given.text[SMBIOS_CHASSIS_ASSET] = "";
    t = smbios_tables(&info, 0, &len, anchor);
    for (p = t; p < t + len;) {
        for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
            if (fields[i].type != p[0])
                continue;
            found++;
            if (fields[i].id == SMBIOS_CHASSIS_ASSET)
                ck_assert_uint_eq(p[fields[i].at], 0);
            else
                ck_assert_str_eq(smbios_text(p, p[fields[i].at]), words[fields[i].id]);
        }
        if (p[0] == 0)
            ck_assert(p[20] == 3 && p[21] == 7);
        if (p[0] == 11) {
            found += 100;
            ck_assert_uint_eq(p[4], 2);
            ck_assert_str_eq(smbios_text(p, 1), "one");
            ck_assert_str_eq(smbios_text(p, 2), "two=2");
        }
        for (p += p[1]; p[0] || p[1]; p++)
            continue;
        p += 2;
    }
    ck_assert_uint_eq(found, 100 + sizeof(fields) / sizeof(fields[0]));
    free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fw_cfg");
    TCase *t = tcase_create("fw_cfg");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, by_port);
    tcase_add_test(t, by_dma);
    tcase_add_test(t, written);
    tcase_add_test(t, smi_features);
    tcase_add_test(t, table_loader);
    tcase_add_loop_test(t, smbios, 0, 2);
    tcase_add_test(t, smbios_of_the_user);
    suite_add_tcase(suite, t);
    return run_suite(suite);
}
