/*
 * aml.c - the AML writer (ACPI 6.4, chapters 20 and 6.4 for resource descriptors).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/aml.h"

enum {
    OP_ZERO = 0x00, OP_ONE = 0x01, OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c,
    OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12,
    OP_METHOD = 0x14, OP_DUAL = 0x2e, OP_MULTI = 0x2f, OP_EXT = 0x5b, OP_ROOT = 0x5c, OP_ARG0 = 0x68,
    OP_STORE = 0x70, OP_STRING = 0x0d,
    OP_REGION = 0x80, OP_FIELD = 0x81, OP_DEVICE = 0x82 /* these after OP_EXT */, OP_IF = 0xa0, OP_RETURN = 0xa4
};

#define PKG_LENGTH 3            /* bytes of a length field in its 20-bit form */

void aml_bytes(struct aml *a, const void *p, size_t n)
{
    if (a->len + n > a->cap) {
        a->cap = (a->len + n) * 2;
        a->buf = realloc(a->buf, a->cap);
        if (!a->buf)
            die(EXIT_CODE_HOST, "out of memory for the ACPI tables");
    }
    memcpy(a->buf + a->len, p, n);
    a->len += n;
}

void aml_byte(struct aml *a, uint8_t b)
{
    aml_bytes(a, &b, 1);
}

void aml_le(struct aml *a, uint64_t val, unsigned n)
{
    while (n--) {
        aml_byte(a, val);
        val >>= 8;
    }
}

/* ---- lengths ---- */

static size_t open_package(struct aml *a)
{
    size_t at = a->len;

    aml_le(a, 0, PKG_LENGTH);
    return at;
}

/* 20.2.4: the length counts itself; 4 bits in the lead byte, 8 in each follower. */
void aml_close(struct aml *a, size_t at)
{
    size_t n = a->len - at;

    assert(n < 1 << 20);
    a->buf[at] = (PKG_LENGTH - 1) << 6 | (n & 15);
    a->buf[at + 1] = n >> 4;
    a->buf[at + 2] = n >> 12;
}

/* ---- names and data ---- */

void aml_path(struct aml *a, const char *path)
{
    unsigned segs = 1;

    while (*path == '\\' || *path == '^')
        aml_byte(a, *path++);
    if (!*path) {
        aml_byte(a, 0);         /* the null name: the root itself */
        return;
    }
    for (const char *p = path; *p; p++)
        segs += *p == '.';
    if (segs == 2) {
        aml_byte(a, OP_DUAL);
    } else if (segs > 2) {
        aml_byte(a, OP_MULTI);
        aml_byte(a, segs);
    }
    while (*path) {
        for (unsigned i = 0; i < 4; i++)
            aml_byte(a, *path && *path != '.' ? *path++ : '_');
        assert(!*path || *path == '.');
        path += *path == '.';
    }
}

void aml_int(struct aml *a, uint64_t v)
{
    if (v <= 1) {
        aml_byte(a, v ? OP_ONE : OP_ZERO);
    } else if (v <= 0xff) {
        aml_byte(a, OP_BYTE);
        aml_le(a, v, 1);
    } else if (v <= 0xffff) {
        aml_byte(a, OP_WORD);
        aml_le(a, v, 2);
    } else if (v <= 0xffffffff) {
        aml_byte(a, OP_DWORD);
        aml_le(a, v, 4);
    } else {
        aml_byte(a, OP_QWORD);
        aml_le(a, v, 8);
    }
}

void aml_string(struct aml *a, const char *s)
{
    aml_byte(a, OP_STRING);
    aml_bytes(a, s, strlen(s) + 1);
}

/* Three letters of 5 bits and four hexadecimal digits, big-endian (ACPI 19.3.4). */
void aml_eisaid(struct aml *a, const char *id)
{
    uint32_t v = (id[0] & 0x1f) << 26 | (id[1] & 0x1f) << 21 | (id[2] & 0x1f) << 16 |
                 (uint32_t)strtoul(id + 3, NULL, 16);

    assert(strlen(id) == 7);
    aml_byte(a, OP_DWORD);
    for (int shift = 24; shift >= 0; shift -= 8)
        aml_byte(a, v >> shift);
}

void aml_name(struct aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    aml_path(a, name);
}

size_t aml_scope(struct aml *a, const char *path)
{
    size_t at;

    aml_byte(a, OP_SCOPE);
    at = open_package(a);
    aml_path(a, path);
    return at;
}

size_t aml_device(struct aml *a, const char *name)
{
    size_t at;

    aml_byte(a, OP_EXT);
    aml_byte(a, OP_DEVICE);
    at = open_package(a);
    aml_path(a, name);
    return at;
}

size_t aml_method(struct aml *a, const char *name, unsigned args)
{
    size_t at;

    aml_byte(a, OP_METHOD);
    at = open_package(a);
    aml_path(a, name);
    aml_byte(a, args);
    return at;
}

size_t aml_package(struct aml *a, unsigned elements)
{
    size_t at;

    assert(elements <= 255);
    aml_byte(a, OP_PACKAGE);
    at = open_package(a);
    aml_byte(a, elements);
    return at;
}

size_t aml_if(struct aml *a)
{
    aml_byte(a, OP_IF);
    return open_package(a);
}

void aml_pci_region(struct aml *a, const char *name, uint8_t off, uint8_t len, const char *const names[])
{
    size_t at;

    aml_byte(a, OP_EXT);
    aml_byte(a, OP_REGION);
    aml_path(a, name);
    aml_byte(a, 2);             /* PCI_Config */
    aml_int(a, off);
    aml_int(a, len);
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_FIELD);
    at = open_package(a);
    aml_path(a, name);
    aml_byte(a, 1);             /* bytes, no lock, preserve */
    for (unsigned i = 0; i < len; i++) {
        aml_path(a, names[i]);
        aml_byte(a, 8);         /* bits */
    }
    aml_close(a, at);
}

void aml_return_either(struct aml *a, const char *cond, const char *yes, const char *no)
{
    size_t at;

    aml_byte(a, OP_IF);
    at = open_package(a);
    aml_path(a, cond);
    aml_byte(a, OP_RETURN);
    aml_path(a, yes);
    aml_close(a, at);
    aml_byte(a, OP_RETURN);
    aml_path(a, no);
}

void aml_store_arg0(struct aml *a, const char *to)
{
    aml_byte(a, OP_STORE);
    aml_byte(a, OP_ARG0);
    aml_path(a, to);
}

/* ---- resource templates (6.4) ---- */

/* Buffer (WordConst size) { bytes }: the size is patched by aml_crs_end(). */
size_t aml_resources(struct aml *a, const char *name)
{
    size_t at;

    aml_name(a, name);
    aml_byte(a, OP_BUFFER);
    at = open_package(a);
    aml_byte(a, OP_WORD);
    aml_le(a, 0, 2);
    return at;
}

size_t aml_crs(struct aml *a)
{
    return aml_resources(a, "_CRS");
}

void aml_crs_end(struct aml *a, size_t at)
{
    size_t data = at + PKG_LENGTH + 3, n;

    aml_byte(a, 0x79);          /* end tag; checksum 0: not computed */
    aml_byte(a, 0);
    n = a->len - data;
    a->buf[data - 2] = n;
    a->buf[data - 1] = n >> 8;
    aml_close(a, at);
}

void aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
    aml_byte(a, 0x47);
    aml_byte(a, 1);             /* decodes 16 bits */
    aml_le(a, base, 2);
    aml_le(a, base, 2);
    aml_byte(a, 1);
    aml_byte(a, len);
}

void aml_res_irq(struct aml *a, unsigned irq)
{
    aml_byte(a, 0x22);
    aml_le(a, 1u << irq, 2);
}

void aml_res_dma(struct aml *a, unsigned channel)
{
    aml_byte(a, 0x2a);
    aml_byte(a, 1u << channel);
    aml_byte(a, 0);             /* 8 bits, no bus master */
}

void aml_res_gsi(struct aml *a, const uint8_t *gsi, unsigned n)
{
    aml_byte(a, 0x89);
    aml_le(a, 2 + 4 * n, 2);
    aml_byte(a, 9);             /* consumer, level, active high, shared */
    aml_byte(a, n);
    for (unsigned i = 0; i < n; i++)
        aml_le(a, gsi[i], 4);
}

void aml_res_memory(struct aml *a, uint32_t base, uint32_t len)
{
    aml_byte(a, 0x86);          /* 32-bit fixed, read-write */
    aml_le(a, 9, 2);
    aml_byte(a, 1);
    aml_le(a, base, 4);
    aml_le(a, len, 4);
}

/* DWord (memory) and Word (I/O, bus number) address space descriptors, minimum and maximum fixed. */
void aml_res_window(struct aml *a, unsigned kind, uint32_t first, uint32_t last)
{
    unsigned n = kind == AML_WINDOW_MEMORY ? 4 : 2;

    aml_byte(a, n == 4 ? 0x87 : 0x88);
    aml_le(a, 3 + 5 * n, 2);
    aml_byte(a, kind);
    aml_byte(a, 0x0c);          /* producer, positive decode, both ends fixed */
    aml_byte(a, kind == AML_WINDOW_MEMORY ? 1 : kind == AML_WINDOW_IO ? 3 : 0);
    aml_le(a, 0, n);            /* granularity */
    aml_le(a, first, n);
    aml_le(a, last, n);
    aml_le(a, 0, n);            /* translation */
    aml_le(a, (uint64_t)last - first + 1, n);
}

#define QWORD_LEN 43u           /* of its body */

void aml_res_window64(struct aml *a, uint64_t first, uint64_t last)
{
    bool some = first <= last && last;

    aml_byte(a, some ? 0x8a : 0x84);            /* a vendor's own descriptor says nothing to anybody */
    aml_le(a, QWORD_LEN, 2);
    aml_byte(a, 0);
    aml_byte(a, 0x0c);
    aml_byte(a, 1);             /* read and write */
    aml_le(a, 0, 8);            /* granularity */
    aml_le(a, some ? first : 0, 8);
    aml_le(a, some ? last : 0, 8);
    aml_le(a, 0, 8);
    aml_le(a, some ? last - first + 1 : 0, 8);
}
