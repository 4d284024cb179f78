/* file.h - whole files read into memory: kernels, initial ramdisks. */
#ifndef HOST_FILE_H
#define HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file {
    const uint8_t *data;
    size_t len;
    bool mapped;
};

/* False: *f is empty and err says what failed and why. Directories and empty files fail. */
bool file_read(struct file *f, const char *path, char *err, size_t errlen);
/* The contents are not needed for a while: let the host have the pages back. */
void file_idle(const struct file *f);
void file_free(struct file *f);

#endif
