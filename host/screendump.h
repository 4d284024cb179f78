/* screendump.h - the picture as a file. */
#ifndef HOST_SCREENDUMP_H
#define HOST_SCREENDUMP_H

#include "hw/display_if.h"

/*
 * May there be a file of that name? It is tried, and what is there stays as it is; where a link leads, one may be made.
 * Devices and FIFOs are not opened. False: err says why not.
 */
bool screendump_possible(const char *path, char *err, size_t len);
/* A PNG, put in its place when it is whole; devices, FIFOs and links are written to. False: err says what failed. */
bool screendump_png(const struct surface *, const char *path, char *err, size_t len);
/* The same as a PPM (P6). */
bool screendump_ppm(const struct surface *, const char *path, char *err, size_t len);
/* The text of a text mode as UTF-8, a line each, without trailing blanks. False: no text mode, or as above. */
bool screendump_text(const struct surface *, const char *path, char *err, size_t len);
/* A character of code page 437 as UTF-8, as VGAs show it; returns its length, 1 to 3. Control codes are glyphs, too. */
unsigned cp437_utf8(uint8_t code, char out[4]);

#endif
