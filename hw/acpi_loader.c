/*
 * acpi_loader.c - the ACPI tables for firmware that places them itself: files etc/acpi/rsdp, etc/acpi/tables
 * and etc/table-loader, a list of 128-byte commands: allocate memory for a file, add a file's address to a
 * field of another, make a sum 0 again.
 */
#include <stdlib.h>
#include <string.h>

#include "hw/acpi.h"
#include "hw/aml.h"
#include "hw/fw_cfg.h"

#define RSDP   "etc/acpi/rsdp"
#define TABLES "etc/acpi/tables"
#define RSDP_LEN  36u
#define TABLES_AT 64u           /* where the first table, the FACS, is in what acpi_tables() makes */

enum { ALLOCATE = 1, ADD_POINTER, ADD_CHECKSUM };
enum { ZONE_HIGH = 1, ZONE_FSEG };
#define COMMAND 128
#define NAME    56

static void name(struct aml *a, const char *file)
{
    char field[NAME] = "";

    memcpy(field, file, strlen(file));
    aml_bytes(a, field, sizeof(field));
}

static void end(struct aml *a)
{
    aml_le(a, 0, COMMAND - a->len % COMMAND);
}

static void allocate(struct aml *a, const char *file, unsigned align, unsigned zone)
{
    aml_le(a, ALLOCATE, 4);
    name(a, file);
    aml_le(a, align, 4);
    aml_byte(a, zone);
    end(a);
}

/* The file that `at` lies in, and where in it. */
static const char *locate(uint32_t *at)
{
    if (*at < TABLES_AT)
        return RSDP;
    *at -= TABLES_AT;
    return TABLES;
}

/* Pointers count from the start of the tables' file: the firmware adds its address. Sums are 0: some firmware takes
   what makes a sum 0 away from the field, some stores it there. */
static uint8_t *tables(const struct acpi_board *b, size_t *len, struct acpi_fixes *f)
{
    uint8_t *t = acpi_tables(b, 0u - TABLES_AT, len, f);

    for (unsigned i = 0; i < f->nsum; i++)
        t[f->sum[i].field] = 0;
    return t;
}

void acpi_fw_cfg_again(const struct acpi_board *b, struct fw_cfg *cfg)
{
    struct acpi_fixes f;
    size_t len;
    uint8_t *t = tables(b, &len, &f);

    fw_cfg_file_again(cfg, TABLES, t + TABLES_AT, len - TABLES_AT);
    free(t);
}

void acpi_fw_cfg_asked(struct fw_cfg *cfg, void (*fn)(void *arg), void *arg)
{
    fw_cfg_file_asked(cfg, TABLES, fn, arg);
}

void acpi_fw_cfg(const struct acpi_board *b, struct fw_cfg *cfg)
{
    struct acpi_fixes f;
    struct aml a = { 0 };
    size_t len;
    uint8_t *t = tables(b, &len, &f);

    allocate(&a, RSDP, 16, ZONE_FSEG);
    allocate(&a, TABLES, 64, ZONE_HIGH);
    for (unsigned i = 0; i < f.npointer; i++) {
        uint32_t at = f.pointer[i].at;

        aml_le(&a, ADD_POINTER, 4);
        name(&a, locate(&at));
        name(&a, TABLES);
        aml_le(&a, at, 4);
        aml_byte(&a, f.pointer[i].size);
        end(&a);
    }
    for (unsigned i = 0; i < f.nsum; i++) {
        uint32_t at = f.sum[i].field, start = f.sum[i].start;

        aml_le(&a, ADD_CHECKSUM, 4);
        name(&a, locate(&at));
        locate(&start);
        aml_le(&a, at, 4);
        aml_le(&a, start, 4);
        aml_le(&a, f.sum[i].len, 4);
        end(&a);
    }
    fw_cfg_file(cfg, RSDP, t, RSDP_LEN);
    fw_cfg_file(cfg, TABLES, t + TABLES_AT, len - TABLES_AT);
    fw_cfg_file(cfg, "etc/table-loader", a.buf, a.len);
    free(a.buf);
    free(t);
}
