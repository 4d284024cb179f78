/* unix_path.c - see unix_path.h. */
#include "host/unix_path.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * To ask by a socket of another type is answered differently (EPROTOTYPE) by one that lives, and does not disturb it. A
 * file that is no socket refuses the connection as well.
 */
static bool left_over(const struct sockaddr_un *a, int type)
{
    int fd = socket(AF_UNIX, (type == SOCK_STREAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    struct stat st;
    bool left = fd >= 0 && lstat(a->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
                connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 && errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return left;
}

bool unix_bind(int fd, const struct sockaddr_un *a, int type)
{
    if (bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
        return true;
    if (errno != EADDRINUSE)
        return false;
    if (left_over(a, type) && unlink(a->sun_path) == 0 && bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
        return true;
    errno = EADDRINUSE;
    return false;
}
