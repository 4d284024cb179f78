/*
 * probe.h - what format is an image in?
 *
 * The user may say; else its first bytes do.  A raw image begins with bytes that the guest has written, so
 * a guest could make its disk look like another format the next time - one whose header names a file of the
 * host as backing file, and the guest would read that.  Hence, where "raw" was only a guess, nothing may be
 * written to the first 512 bytes that makes them look like another format: the guest gets an I/O error for
 * it (raw.c).  Formats that other programs know but not Latimer count, too.
 */
#ifndef BLOCK_PROBE_H
#define BLOCK_PROBE_H

#include <stddef.h>

#define PROBE_BYTES 512

/* The format's name ("raw" if no other), and why Latimer cannot read it in *refused, or NULL. */
const char *probe_format(const void *first, size_t len, const char **refused);

#endif
