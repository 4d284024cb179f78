/*
 * unix_path.h - sockets in the file system (unix(7)).
 */
#ifndef HOST_UNIX_PATH_H
#define HOST_UNIX_PATH_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/*
 * bind(2) for a socket of this type (SOCK_STREAM, SOCK_DGRAM). A socket there that nobody has any more, since its owner was
 * killed, is replaced; one that is in use and what is no socket stay. False: errno says why.
 */
bool unix_bind(int fd, const struct sockaddr_un *, int type);

#endif
