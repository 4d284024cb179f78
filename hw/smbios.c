/*
 * smbios.c - SMBIOS structures (DSP0134 2.8, chapter 7) and their entry point (5.2.1).
 *
 * A structure is a formatted area that begins with type, length and handle, then its strings, each ended by a
 * zero, and one zero more (two where there are no strings).
 */
#include "hw/smbios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/aml.h"

#define MIB ((uint64_t)1 << 20)
#define MAKER "Latimer"

struct writer {
    struct aml out;             /* a buffer that grows; nothing here is AML */
    struct aml strings;         /* of the current structure, each with its zero */
    uint8_t nstrings;
    size_t at;                  /* the current structure */
    unsigned count, max;
    const struct smbios_given *given;
};

static void begin(struct writer *w, uint8_t type, uint8_t len, uint16_t handle)
{
    w->at = w->out.len;
    w->strings.len = 0;
    w->nstrings = 0;
    aml_byte(&w->out, type);
    aml_byte(&w->out, len);
    aml_le(&w->out, handle, 2);
}

/* The field is the number of a text; NULL or empty: 0, there is none. */
static void text(struct writer *w, const char *s)
{
    if (s && *s) {
        aml_bytes(&w->strings, s, strlen(s) + 1);
        w->nstrings++;
    }
    aml_byte(&w->out, s && *s ? w->nstrings : 0);
}

/* The n-th of several: PREFIX N. */
static void numbered(struct writer *w, const char *prefix, unsigned n)
{
    char s[256];

    snprintf(s, sizeof(s), "%s %u", prefix, n);
    text(w, s);
}

/* The user's text, or the machine's. */
static const char *given(const struct writer *w, enum smbios_text id, const char *usual)
{
    return w->given && w->given->text[id] ? w->given->text[id] : usual;
}

static bool asked_for(const struct writer *w, unsigned type)
{
    return w->given && w->given->type[type];
}

/* The formatted area is filled up with zeros. */
static void end(struct writer *w)
{
    size_t len;

    while (w->out.len - w->at < w->out.buf[w->at + 1])
        aml_byte(&w->out, 0);
    if (w->nstrings)
        aml_bytes(&w->out, w->strings.buf, w->strings.len);
    aml_le(&w->out, 0, w->nstrings ? 1 : 2);
    len = w->out.len - w->at;
    w->max = len > w->max ? len : w->max;
    w->count++;
}

static void bios(struct writer *w)
{
    begin(w, 0, 0x18, 0);
    text(w, given(w, SMBIOS_BIOS_VENDOR, MAKER));
    text(w, given(w, SMBIOS_BIOS_VERSION, "none (kernel loaded directly)"));
    aml_le(&w->out, 0xf000, 2);         /* segment */
    text(w, given(w, SMBIOS_BIOS_DATE, NULL));
    aml_byte(&w->out, 0);               /* size: 64 KiB */
    aml_le(&w->out, 8, 8);              /* characteristics: not given */
    aml_le(&w->out, 0x1001, 2);         /* ACPI; a virtual machine */
    aml_le(&w->out, asked_for(w, 0) ? w->given->release[0] | w->given->release[1] << 8 : 0xffff, 2);
    aml_le(&w->out, 0xffff, 2);         /* of an embedded controller: none */
    end(w);
}

static void system_info(struct writer *w, const char *product, const uint8_t *uuid)
{
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };  /* 7.2.1 */

    begin(w, 1, 0x1b, 0x100);
    text(w, given(w, SMBIOS_SYSTEM_MAKER, MAKER));
    text(w, given(w, SMBIOS_SYSTEM_PRODUCT, product));
    text(w, given(w, SMBIOS_SYSTEM_VERSION, NULL));
    text(w, given(w, SMBIOS_SYSTEM_SERIAL, NULL));
    for (unsigned i = 0; i < 16; i++)
        aml_byte(&w->out, uuid[order[i]]);
    aml_byte(&w->out, 6);               /* woken by the power switch */
    text(w, given(w, SMBIOS_SYSTEM_SKU, NULL));
    text(w, given(w, SMBIOS_SYSTEM_FAMILY, NULL));
    end(w);
}

static void baseboard(struct writer *w, const char *product)
{
    begin(w, 2, 0x0f, 0x200);
    text(w, given(w, SMBIOS_BOARD_MAKER, MAKER));
    text(w, given(w, SMBIOS_BOARD_PRODUCT, product));
    text(w, given(w, SMBIOS_BOARD_VERSION, NULL));
    text(w, given(w, SMBIOS_BOARD_SERIAL, NULL));
    text(w, given(w, SMBIOS_BOARD_ASSET, NULL));
    aml_byte(&w->out, 1);               /* hosts the system */
    text(w, given(w, SMBIOS_BOARD_LOCATION, NULL));
    aml_le(&w->out, 0x300, 2);          /* in this chassis */
    aml_byte(&w->out, 0x0a);            /* a mother board */
    end(w);
}

static void chassis(struct writer *w)
{
    begin(w, 3, 0x16, 0x300);
    text(w, given(w, SMBIOS_CHASSIS_MAKER, MAKER));
    aml_byte(&w->out, 1);               /* type: other */
    text(w, given(w, SMBIOS_CHASSIS_VERSION, NULL));
    text(w, given(w, SMBIOS_CHASSIS_SERIAL, NULL));
    text(w, given(w, SMBIOS_CHASSIS_ASSET, NULL));
    aml_le(&w->out, 0x03030303, 4);     /* states of boot, power supply, heat: safe; security: none */
    aml_le(&w->out, 0, 8);              /* OEM's, height, power cords, parts: not given */
    text(w, given(w, SMBIOS_CHASSIS_SKU, NULL));
    end(w);
}

static void processor(struct writer *w, unsigned n)
{
    begin(w, 4, 0x2a, 0x400 + n);
    numbered(w, given(w, SMBIOS_CPU_SOCKET, "CPU"), n);
    aml_byte(&w->out, 3);               /* a central processor of another family */
    aml_byte(&w->out, 1);
    text(w, given(w, SMBIOS_CPU_MAKER, MAKER));
    aml_le(&w->out, 0, 8);              /* ID: not given */
    text(w, given(w, SMBIOS_CPU_VERSION, NULL));
    aml_byte(&w->out, 0);               /* voltage, clocks: not given */
    aml_le(&w->out, 0, 6);
    aml_byte(&w->out, 0x41);            /* populated and enabled */
    aml_byte(&w->out, 1);               /* upgrade: other */
    for (unsigned i = 0; i < 3; i++)    /* caches: not described */
        aml_le(&w->out, 0xffff, 2);
    text(w, given(w, SMBIOS_CPU_SERIAL, NULL));
    text(w, given(w, SMBIOS_CPU_ASSET, NULL));
    text(w, given(w, SMBIOS_CPU_PART, NULL));
    aml_le(&w->out, 0x010101, 3);       /* cores, enabled cores, threads */
    aml_le(&w->out, 2, 2);              /* characteristics: unknown */
    aml_le(&w->out, 1, 2);
    end(w);
}

static void oem_texts(struct writer *w)
{
    begin(w, 11, 5, 0xe00);
    aml_byte(&w->out, w->given->noem);
    for (unsigned i = 0; i < w->given->noem; i++)
        aml_bytes(&w->strings, w->given->oem[i], strlen(w->given->oem[i]) + 1);
    w->nstrings = w->given->noem;
    end(w);
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
    end(w);

    begin(w, 17, 0x28, 0x1100);         /* one module */
    aml_le(&w->out, 0x1000, 2);
    aml_le(&w->out, 0xfffe, 2);
    aml_le(&w->out, 0xffff, 2);         /* widths: unknown */
    aml_le(&w->out, 0xffff, 2);
    aml_le(&w->out, mib < 0x7fff ? mib : 0x7fff, 2);
    aml_byte(&w->out, 9);               /* DIMM */
    aml_byte(&w->out, 0);
    numbered(w, given(w, SMBIOS_DIMM_LOCATOR, "DIMM"), 0);
    text(w, given(w, SMBIOS_DIMM_BANK, NULL));
    aml_byte(&w->out, 7);               /* RAM */
    aml_le(&w->out, 2, 2);
    aml_le(&w->out, 0, 2);              /* speed */
    text(w, given(w, SMBIOS_DIMM_MAKER, MAKER));
    text(w, given(w, SMBIOS_DIMM_SERIAL, NULL));
    text(w, given(w, SMBIOS_DIMM_ASSET, NULL));
    text(w, given(w, SMBIOS_DIMM_PART, NULL));
    aml_byte(&w->out, 0);
    aml_le(&w->out, mib < 0x7fff ? 0 : mib, 4);
    end(w);

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
        end(w);
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
    struct writer w = { .given = m->given };
    struct aml a = { 0 };

    if (m->bios || asked_for(&w, 0))
        bios(&w);
    system_info(&w, m->product, m->uuid ? m->uuid : none);
    if (asked_for(&w, 2))
        baseboard(&w, m->product);
    chassis(&w);
    for (unsigned i = 0; i < m->ncpu; i++)
        processor(&w, i);
    if (asked_for(&w, 11))
        oem_texts(&w);
    memory(&w, m);
    begin(&w, 32, 0x0b, 0x2000);        /* boot status: no error */
    end(&w);
    begin(&w, 127, 4, 0x7f00);
    end(&w);

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
    free(w.strings.buf);
    *len = w.out.len;
    return w.out.buf;
}
