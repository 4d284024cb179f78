/*
 * shm.h - files without a name, to be mapped and shared.
 */
#ifndef BASE_SHM_H
#define BASE_SHM_H

#include <stdint.h>

/* A memfd of this size; -1: errno says why not. */
int shm_memfd(const char *name, uint64_t size);
/* With more of memfd_create(2)'s flags. It can be sealed. */
int shm_memfd_with(const char *name, uint64_t size, unsigned flags);
/* A file of this size that no folder lists; it ends when it is closed and unmapped.  -1: as above. */
int shm_file(const char *folder, uint64_t size);

#endif
