/*
 * smbios.c - SMBIOS structures (DSP0134 2.8, chapter 7) and their entry point (5.2.1).
 *
 * A structure is a formatted area that begins with type, length and handle, then its strings, each ended by a
 * zero, and one zero more (two where there are no strings).
 */
#include "hw/smbios.h"

#include <stdlib.h>
#include <string.h>

#include "hw/aml.h"

#define MIB ((uint64_t)1 << 20)
#define MAKER "Latimer"

struct writer {
    struct aml out;             /* a buffer that grows; nothing here is AML */
    size_t at;                  /* the current structure */
    unsigned count, max;
};

static void begin(struct writer *w, uint8_t type, uint8_t len, uint16_t handle)
{
    w->at = w->out.len;
    aml_byte(&w->out, type);
    aml_byte(&w->out, len);
    aml_le(&w->out, handle, 2);
}

/* strings: separated by '\n'; NULL: none. The formatted area is filled up with zeros. */
static void end(struct writer *w, const char *strings)
{
    size_t len;

    while (w->out.len - w->at < w->out.buf[w->at + 1])
        aml_byte(&w->out, 0);
    for (const char *p = strings; p && *p; p++)
        aml_byte(&w->out, *p == '\n' ? 0 : *p);
    aml_le(&w->out, 0, 2);
    len = w->out.len - w->at;
    w->max = len > w->max ? len : w->max;
    w->count++;
}

static void bios(struct writer *w)
{
    begin(w, 0, 0x18, 0);
    aml_byte(&w->out, 1);               /* vendor, version, segment, date, size in 64 KiB - 1 */
    aml_byte(&w->out, 2);
    aml_le(&w->out, 0xf000, 2);
    aml_byte(&w->out, 0);
    aml_byte(&w->out, 0);
    aml_le(&w->out, 8, 8);              /* characteristics: not given */
    aml_le(&w->out, 0x1001, 2);         /* ACPI; a virtual machine */
    aml_le(&w->out, 0xffffffff, 4);     /* releases: not given */
    end(w, MAKER "\nnone (kernel loaded directly)");
}

static void system_info(struct writer *w, const char *product, const uint8_t *uuid)
{
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };  /* 7.2.1 */

    char strings[128];

    begin(w, 1, 0x1b, 0x100);
    aml_byte(&w->out, 1);               /* manufacturer, product; no version nor serial number */
    aml_byte(&w->out, 2);
    aml_le(&w->out, 0, 2);
    for (unsigned i = 0; i < 16; i++)
        aml_byte(&w->out, uuid[order[i]]);
    aml_byte(&w->out, 6);               /* woken by the power switch */
    strcpy(strings, MAKER "\n");
    strncat(strings, product, sizeof(strings) - strlen(strings) - 1);
    end(w, strings);
}

static void chassis(struct writer *w)
{
    begin(w, 3, 0x16, 0x300);
    aml_byte(&w->out, 1);
    aml_byte(&w->out, 1);               /* type: other; no version, serial number, asset tag */
    aml_le(&w->out, 0, 3);
    aml_le(&w->out, 0x03030303, 4);     /* states of boot, power supply, heat: safe; security: none */
    end(w, MAKER);
}

static void processor(struct writer *w, unsigned n)
{
    begin(w, 4, 0x2a, 0x400 + n);
    aml_byte(&w->out, 1);               /* socket */
    aml_byte(&w->out, 3);               /* a central processor of another family */
    aml_byte(&w->out, 1);
    aml_byte(&w->out, 2);
    aml_le(&w->out, 0, 8);              /* ID, version, voltage, clocks: not given */
    aml_le(&w->out, 0, 8);
    aml_byte(&w->out, 0x41);            /* populated and enabled */
    aml_byte(&w->out, 1);               /* upgrade: other */
    for (unsigned i = 0; i < 3; i++)    /* caches: not described */
        aml_le(&w->out, 0xffff, 2);
    aml_le(&w->out, 0, 3);
    aml_le(&w->out, 0x010101, 3);       /* cores, enabled cores, threads */
    aml_le(&w->out, 2, 2);              /* characteristics: unknown */
    aml_le(&w->out, 1, 2);
    end(w, "CPU\n" MAKER);
}

static void memory(struct writer *w, const struct smbios_info *m)
{
    uint64_t total = m->ram_low + m->ram_high, mib = total / MIB;
    const struct { uint64_t at, len; } range[] = { { 0, m->ram_low }, { (uint64_t)1 << 32, m->ram_high } };

    begin(w, 16, 0x17, 0x1000);         /* array */
    aml_byte(&w->out, 1);               /* location: other; system memory; error correction: none */
    aml_byte(&w->out, 3);
    aml_byte(&w->out, 3);
    aml_le(&w->out, total / 1024 < 0x80000000u ? total / 1024 : 0x80000000u, 4);
    aml_le(&w->out, 0xfffe, 2);
    aml_le(&w->out, 1, 2);
    aml_le(&w->out, total / 1024 < 0x80000000u ? 0 : total, 8);
    end(w, NULL);

    begin(w, 17, 0x28, 0x1100);         /* one module */
    aml_le(&w->out, 0x1000, 2);
    aml_le(&w->out, 0xfffe, 2);
    aml_le(&w->out, 0xffff, 2);         /* widths: unknown */
    aml_le(&w->out, 0xffff, 2);
    aml_le(&w->out, mib < 0x7fff ? mib : 0x7fff, 2);
    aml_byte(&w->out, 9);               /* DIMM */
    aml_byte(&w->out, 0);
    aml_byte(&w->out, 1);
    aml_byte(&w->out, 0);
    aml_byte(&w->out, 7);               /* RAM */
    aml_le(&w->out, 2, 2);
    aml_le(&w->out, 0, 2);              /* speed */
    aml_le(&w->out, 0x0002, 4);         /* manufacturer, and three that are not given */
    aml_byte(&w->out, 0);
    aml_le(&w->out, mib < 0x7fff ? 0 : mib, 4);
    end(w, "DIMM 0\n" MAKER);

    for (unsigned i = 0; i < 2; i++) {
        uint64_t last = range[i].at + range[i].len - 1;
        bool wide = last >> 10 >= UINT32_MAX;

        if (!range[i].len)
            continue;
        begin(w, 19, 0x1f, 0x1300 + i); /* where the array is */
        aml_le(&w->out, wide ? UINT32_MAX : range[i].at >> 10, 4);
        aml_le(&w->out, wide ? UINT32_MAX : last >> 10, 4);
        aml_le(&w->out, 0x1000, 2);
        aml_byte(&w->out, 1);
        aml_le(&w->out, wide ? range[i].at : 0, 8);
        aml_le(&w->out, wide ? last : 0, 8);
        end(w, NULL);
    }
}

static void checksum(uint8_t *p, size_t n, uint8_t *field)
{
    *field = 0;
    while (n--)
        if (p + n != field)
            *field -= p[n];
}

uint8_t *smbios_tables(const struct smbios_info *m, uint32_t pa, size_t *len, uint8_t anchor[SMBIOS_ANCHOR])
{
    static const uint8_t none[16];
    struct writer w = { .count = 0 };
    struct aml a = { 0 };

    if (m->bios)
        bios(&w);
    system_info(&w, m->product, m->uuid ? m->uuid : none);
    chassis(&w);
    for (unsigned i = 0; i < m->ncpu; i++)
        processor(&w, i);
    memory(&w, m);
    begin(&w, 32, 0x0b, 0x2000);        /* boot status: no error */
    end(&w, NULL);
    begin(&w, 127, 4, 0x7f00);
    end(&w, NULL);

    aml_bytes(&a, "_SM_", 4);
    aml_byte(&a, 0);
    aml_byte(&a, SMBIOS_ANCHOR);
    aml_byte(&a, 2);
    aml_byte(&a, 8);
    aml_le(&a, w.max, 2);
    aml_le(&a, 0, 6);                   /* entry point revision, formatted area */
    aml_bytes(&a, "_DMI_", 5);
    aml_byte(&a, 0);
    aml_le(&a, w.out.len, 2);
    aml_le(&a, pa, 4);
    aml_le(&a, w.count, 2);
    aml_byte(&a, 0x28);
    checksum(a.buf + 16, 15, a.buf + 21);
    checksum(a.buf, SMBIOS_ANCHOR, a.buf + 4);
    memcpy(anchor, a.buf, SMBIOS_ANCHOR);
    free(a.buf);
    *len = w.out.len;
    return w.out.buf;
}
