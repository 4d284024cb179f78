/*
 * pidfile.c - see pidfile.h.
 *
 * The lock is fcntl()'s: whoever starts another machine with the same file is told which process has it, and a file that
 * a killed process left behind is taken over.
 */
#include "main/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static struct {                 /* what is left to do at the end */
    int fd;
    char *path;
    pid_t pid;                  /* whose file it is: children that end leave it alone */
} file = { .fd = -1 };

void pidfile_remove(void)
{
    struct stat ours, there;

    if (file.fd < 0 || file.pid != getpid())
        return;
    /* Nobody else's, who put one there since. */
    if (fstat(file.fd, &ours) == 0 && lstat(file.path, &there) == 0 && ours.st_dev == there.st_dev &&
        ours.st_ino == there.st_ino)
        unlink(file.path);
}

void pidfile_write(const char *path)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char text[24];
    int fd, n;
    struct stat st;

    if (!path)
        return;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0)
        die(EXIT_CODE_FILE, "-pidfile: cannot write %s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        die(EXIT_CODE_FILE, "-pidfile: cannot write %s: it is no plain file", path);
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        lock.l_type = F_WRLCK;
        if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
            die(EXIT_CODE_FILE, "-pidfile: %s: process %d has it, which runs still: use another file", path,
                (int)lock.l_pid);
        die(EXIT_CODE_FILE, "-pidfile: cannot lock %s: %s", path, strerror(errno));
    }
    n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)n) != n)
        die(EXIT_CODE_FILE, "-pidfile: cannot write %s: %s", path, strerror(errno));
    file.path = strdup(path);
    if (!file.path)
        die(EXIT_CODE_HOST, "out of memory");
    file.fd = fd;
    file.pid = getpid();
    atexit(pidfile_remove);     /* die(), too */
}
