/*
 * chardev_socket.h - sockets for byte streams: opened and connected, or listening.
 */
#ifndef HOST_CHARDEV_SOCKET_H
#define HOST_CHARDEV_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

struct chardev_socket {
    int listen, fd;             /* -1: does not listen; nobody is connected */
    char *path;                 /* of the listening one, to be removed and freed at the end; NULL: none */
};

/* False: err says what failed. */
bool chardev_socket_open(const char *spec, const char *label, struct chardev_socket *, char *err, size_t len);
/* [HOST]:PORT[@[HOST]:PORT]: a socket that sends to the first and receives at the second; -1: err says what failed. */
int chardev_udp_open(const char *spec, const char *label, char *err, size_t len);

#endif
