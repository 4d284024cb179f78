/*
 * pcfirm.c - the firmware of PC boards: its ROM, its configuration; and, in its place, ACPI and SMBIOS
 * tables for a kernel that is loaded directly.
 */
#include "hw/pcfirm.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/floppy.h"
#include "hw/fw_cfg.h"
#include "hw/pflash.h"
#include "hw/rtc.h"

#define TABLES     0xe0000u
#define SMBIOS     0xf0000u             /* anchor; the structures follow */
#define SMBIOS_AT  (SMBIOS + 0x20)
#define TABLES_MAX (SMBIOS - TABLES)
#define SMBIOS_MAX (0x100000u - SMBIOS_AT)
#define ROM_UNIT   0x10000u
#define ROM_MAX    0x1000000u
#define ROM_LOW    0x20000u             /* of its end, below 1 MiB */

/* CMOS, as firmware for these boards reads it. */
#define CMOS_FLOPPIES  0x10             /* kinds: drive A in the upper half, B in the lower */
#define CMOS_EQUIPMENT 0x14
#define CMOS_BOOT3     0x38             /* third boot device in the upper half; bit 0: floppy disks need no signature */
#define CMOS_BOOT12    0x3d             /* first in the lower half, second in the upper */
#define CMOS_CPUS      0x5f             /* processors beside the first */
enum { BOOT_FLOPPY = 1, BOOT_DISK, BOOT_CD, BOOT_NETWORK };
#define BOOT_ORDER "cad"

#define DMA2_MASK   0xd4                /* channel 4: the cascade */
#define DMA2_MODE   0xd6
#define DMA_CASCADE 0xc0

static bool in_smm(void *machine)
{
    return cpu_lines.in_smm(machine);
}

/* Flash memories: the first ends at 4 GiB, where a firmware starts, the other lies below it. */
static void make_flash(struct machine *m)
{
    static const char *const names[2] = { "pflash0", "pflash1" };
    uint64_t end = 1ull << 32, low;
    struct pflash *flash;

    for (unsigned i = 0; i < 2 && m->cfg.pflash[i]; i++) {
        uint64_t len = m->cfg.pflash[i]->disk->size;

        if (!len || len % PFLASH_BLOCK || len > ROM_MAX / 2)
            die(EXIT_CODE_FILE, "drive %s: %llu bytes: a flash memory has a multiple of 4 KiB, at most 8 MiB",
                m->cfg.pflash[i]->id, (unsigned long long)len);
        end -= len;
        flash = pflash_new(m->chips, m->phys, names[i], end, m->cfg.flash[i], len, m->cfg.pflash[i]);
        if (m->cfg.flash_secure)
            pflash_secure(flash, in_smm, m);
        low = len < ROM_LOW ? len : ROM_LOW;
        if (!i)
            phys_map_ram(m->phys, 0x100000 - low, low, m->cfg.flash[i] + len - low, true, "firmware-low");
    }
}

static void map_rom(struct machine *m)
{
    size_t len = m->cfg.bios_len, low = len < ROM_LOW ? len : ROM_LOW;
    uint8_t *rom = (uint8_t *)(uintptr_t)m->cfg.bios;   /* only read */

    if (len % ROM_UNIT || len > ROM_MAX)
        die(EXIT_CODE_FILE, "%s: %zu bytes: a firmware image has a multiple of 64 KiB, at most 16 MiB",
            m->cfg.bios_name, len);
    phys_map_ram(m->phys, (1ull << 32) - len, len, rom, true, "firmware");
    phys_map_ram(m->phys, 0x100000 - low, low, rom + len - low, true, "firmware-low");
}

static void put_le(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> 8 * i;
}

/* Where to boot from, in this order; letters as on the command line, NULL: the usual. */
static void boot_order(struct rtc *rtc, const char *order, bool any_floppy)
{
    static const char letters[] = "acdn";
    uint8_t device[3] = { 0 };

    if (!order)
        order = BOOT_ORDER;
    for (unsigned i = 0; i < 3 && order[i]; i++)
        device[i] = (uint8_t)(strchr(letters, order[i]) - letters) + BOOT_FLOPPY;
    rtc_cmos_set(rtc, CMOS_BOOT12, device[0] | device[1] << 4);
    rtc_cmos_set(rtc, CMOS_BOOT3, device[2] << 4 | any_floppy);
}

/* m->boot_set */
static void boot_set(struct machine *m)
{
    const struct pcbase *b = m->board;

    boot_order(b->rtc, m->cfg.firmware.order, m->cfg.firmware.any_floppy);
}

/* Bits 7-6: floppy drives beside the first; 2: mouse; 1: coprocessor; 0: there are floppy drives. */
static uint8_t equipment(const struct pcbase *board)
{
    bool a = floppy_type(board->floppy, 0), b = floppy_type(board->floppy, 1);

    return 0x06 | (a || b) | (a && b ? 0x40 : 0);
}

/* -fw_cfg: after all that the machine has of its own. */
static void tell_users(struct pcfirm *f, const struct machine *m)
{
    for (const struct fw_file *u = m->cfg.fw_files; u; u = u->next) {
        if (fw_cfg_has_file(f->cfg, u->name))
            die(EXIT_CODE_USAGE, "-fw_cfg: name=%s: the machine has this file itself: use a name that begins with opt/", u->name);
        fw_cfg_file(f->cfg, u->name, u->data, u->len);
    }
}

/* What the firmware is told. */
static void tell(struct pcfirm *f, struct machine *m, const struct acpi_board *acpi,
                 const struct smbios_info *info)
{
    struct pcbase *b = m->board;
    const struct { uint64_t at, len; } ram[] = { { 0, m->ram_low }, { 1ull << 32, m->ram_high } };
    uint8_t e820[2][20], anchor[SMBIOS_ANCHOR], *tables;
    char *order;
    unsigned n = 0;
    size_t len;

    for (unsigned i = 0; i < 2; i++) {
        if (!ram[i].len)
            continue;
        put_le(e820[n], ram[i].at, 8);
        put_le(e820[n] + 8, ram[i].len, 8);
        put_le(e820[n++] + 16, 1, 4);
    }
    fw_cfg_item(f->cfg, FW_CFG_UUID, m->cfg.uuid, sizeof(m->cfg.uuid));
    fw_cfg_number(f->cfg, FW_CFG_RAM_SIZE, m->ram_low, 8);
    fw_cfg_number(f->cfg, FW_CFG_NB_CPUS, m->ncpu, 2);
    fw_cfg_number(f->cfg, FW_CFG_MAX_CPUS, m->ncpu, 2);
    fw_cfg_number(f->cfg, FW_CFG_NUMA, 0, 8);
    fw_cfg_number(f->cfg, FW_CFG_BOOT_MENU, m->cfg.firmware.menu, 2);
    if (m->cfg.firmware.splash_ms)
        fw_cfg_file_number(f->cfg, "etc/boot-menu-wait", m->cfg.firmware.splash_ms, 2);
    if (m->cfg.firmware.retry_ms)
        fw_cfg_file_number(f->cfg, "etc/boot-fail-wait", (uint32_t)m->cfg.firmware.retry_ms, 4);
    order = plugs_boot_order(m->cfg.devices, m->cfg.firmware.strict);
    if (order)
        fw_cfg_file(f->cfg, "bootorder", order, strlen(order) + 1);
    free(order);
    fw_cfg_number(f->cfg, FW_CFG_IRQ0_OVERRIDE, 1, 4);
    fw_cfg_file(f->cfg, "etc/e820", e820, n * sizeof(e820[0]));
    acpi_fw_cfg(acpi, f->cfg);
    tables = smbios_tables(info, 0, &len, anchor);
    fw_cfg_file(f->cfg, "etc/smbios/smbios-anchor", anchor, sizeof(anchor));
    fw_cfg_file(f->cfg, "etc/smbios/smbios-tables", tables, len);
    free(tables);
    if ((b->plugs.serial & 1) && m->cfg.serial_screen)        /* nobody looks at the screen */
        fw_cfg_file_number(f->cfg, "etc/sercon-port", PC_COM1, 8);
    tell_users(f, m);
    rtc_cmos_set(b->rtc, CMOS_EQUIPMENT, equipment(b));
    rtc_cmos_set(b->rtc, CMOS_FLOPPIES, floppy_type(b->floppy, 0) << 4 | floppy_type(b->floppy, 1));
    boot_order(b->rtc, m->cfg.firmware.once ? m->cfg.firmware.once : m->cfg.firmware.order,
               m->cfg.firmware.any_floppy);
    rtc_cmos_set(b->rtc, CMOS_CPUS, m->ncpu - 1);
}

void pcfirm_init(struct pcfirm *f, struct machine *m)
{
    f->cfg = fw_cfg_new(m->chips, m->ports, m->phys);
}

void pcfirm_configure(struct pcfirm *f, struct machine *m, struct acpi_board *acpi, struct smbios_info *info)
{
    const struct pcbase *b = m->board;

    acpi->ncpu = info->ncpu = m->ncpu;
    acpi->serial = b->plugs.serial;
    acpi->parallel = b->plugs.parallel;
    acpi->floppy = b->floppy;
    acpi->pvpanic = b->plugs.pvpanic;
    info->uuid = m->cfg.uuid;
    info->given = m->cfg.smbios;
    info->ram_low = m->ram_low;
    info->ram_high = m->ram_high;
    tell(f, m, acpi, info);
    m->boot_set = boot_set;
    make_flash(m);
    if (!m->cfg.kernel) {
        if (!m->cfg.pflash[0])
            map_rom(m);
        return;
    }
    info->bios = true;
    f->tables = acpi_tables(acpi, TABLES, &f->tables_len, NULL);
    f->smbios = smbios_tables(info, SMBIOS_AT, &f->smbios_len, f->anchor);
    if (f->tables_len > TABLES_MAX || f->smbios_len > SMBIOS_MAX)
        die(EXIT_CODE_HOST, "the ACPI and SMBIOS tables (%zu and %zu bytes) do not fit below 1 MiB",
            f->tables_len,
            f->smbios_len);
    m->rsdp = TABLES;
}

bool pcfirm_order_known(const char *order)
{
    for (const char *p = order; *p; p++)
        if (!strchr("acdn", *p) || strchr(p + 1, *p))
            return false;
    return true;
}

void pcfirm_reset(struct pcfirm *f, struct machine *m)
{
    const struct pcbase *b = m->board;

    if (f->started++ && m->cfg.firmware.once)
        boot_order(b->rtc, m->cfg.firmware.order, m->cfg.firmware.any_floppy);
}

void pcfirm_place(const struct pcfirm *f, struct machine *m)
{
    ports_write(m->ports, DMA2_MODE, DMA_CASCADE, 1);
    ports_write(m->ports, DMA2_MASK, 0, 1);
    if (m->video_text)
        m->text_screen = m->video_text(m->video);
    phys_write(m->phys, TABLES, f->tables, f->tables_len);
    phys_write(m->phys, SMBIOS, f->anchor, sizeof(f->anchor));
    phys_write(m->phys, SMBIOS_AT, f->smbios, f->smbios_len);
}

void pcfirm_free(struct pcfirm *f)
{
    fw_cfg_free(f->cfg);
    free(f->tables);
    free(f->smbios);
}
