/*
 * aml.h - a writer of ACPI machine language (ACPI 6.4, chapter 20), enough for the DSDT we make.
 *
 * Packages whose length comes first (scopes, devices, methods, buffers) are opened and closed in
 * pairs: `size_t at = aml_scope(...); ...; aml_close(a, at);`. The length field always takes its
 * two-byte form (three bytes: up to 1 MiB), so closing patches in place.
 */
#ifndef HW_AML_H
#define HW_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
    uint8_t *buf;
    size_t len, cap;
};

void aml_bytes(struct aml *, const void *, size_t n);
void aml_byte(struct aml *, uint8_t);
void aml_le(struct aml *, uint64_t val, unsigned bytes);

/* A name string: "\\_SB", "PCI0", "\\_SB.PCI0", "^X". Segments are padded to four. */
void aml_path(struct aml *, const char *path);
void aml_int(struct aml *, uint64_t val);
void aml_string(struct aml *, const char *);
void aml_eisaid(struct aml *, const char *id);          /* "PNP0501" */

void aml_name(struct aml *, const char *name);          /* Name (name, <the term that follows>) */
size_t aml_scope(struct aml *, const char *path);
size_t aml_device(struct aml *, const char *name);
size_t aml_method(struct aml *, const char *name, unsigned args);
size_t aml_package(struct aml *, unsigned elements);
void aml_close(struct aml *, size_t at);
/* If (path) { Return (yes) } Return (no) as a method's body. */
void aml_return_either(struct aml *, const char *cond, const char *yes, const char *no);
void aml_store_arg0(struct aml *, const char *to);      /* Store (Arg0, to) */

/* Bodies of methods are written term by term, operands behind their operator. */
enum { AML_LOCAL0 = 0x60, AML_ARG0 = 0x68, AML_STORE = 0x70, AML_AND = 0x7b, AML_OR = 0x7d,
       AML_DWORD_FIELD = 0x8a, AML_LESS = 0x95, AML_RETURN = 0xa4 };
size_t aml_if(struct aml *);                            /* the condition follows, then what is done */
/* OperationRegion (name, PCI_Config, off, len) and Field of whole bytes, named by `names`, over it. */
void aml_pci_region(struct aml *, const char *name, uint8_t off, uint8_t len, const char *const names[]);

/* Resource templates: Name (_CRS, ResourceTemplate () { ... }). */
size_t aml_crs(struct aml *);
size_t aml_resources(struct aml *, const char *name);   /* the same by another name */
void aml_crs_end(struct aml *, size_t at);
void aml_res_io(struct aml *, uint16_t base, uint8_t len);
void aml_res_irq(struct aml *, unsigned irq);           /* edge, active high */
void aml_res_dma(struct aml *, unsigned channel);       /* bytes, compatible timing */
/* One of n interrupts, level-triggered, active high, shared; the number is AML_GSI_AT bytes behind. */
#define AML_GSI_AT 5
void aml_res_gsi(struct aml *, const uint8_t *gsi, unsigned n);
void aml_res_memory(struct aml *, uint32_t base, uint32_t len);
enum { AML_WINDOW_MEMORY, AML_WINDOW_IO, AML_WINDOW_BUS };
/* A window a bridge passes on: inclusive bounds. */
void aml_res_window(struct aml *, unsigned kind, uint32_t first, uint32_t last);
/* Memory above 4 GiB; last 0: none, but as many bytes. */
void aml_res_window64(struct aml *, uint64_t first, uint64_t last);

#endif
