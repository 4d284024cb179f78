/*
 * fetch.c - the guest's side of net.py: HTTP/1.1 with the host, 10.0.2.2.
 *
 *   fetch get PORT CONNECTIONS BYTES...   fetches /BYTES for each, by so many connections that stay open
 *   fetch put PORT BYTES                  sends so many
 *
 * Prints "fetch: N bytes", or what went wrong.
 */
#define _GNU_SOURCE             /* strcasestr */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char buf[1 << 18];

static void fail(const char *what)
{
    printf("fetch: ");
    fflush(stdout);
    perror(what);
    exit(1);
}

static int dial(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
    int s = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "10.0.2.2", &a.sin_addr);
    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
        fail("connect");
    return s;
}

static void send_all(int s, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = write(s, p, n);

        if (sent <= 0)
            fail("write");
        p += sent;
        n -= (size_t)sent;
    }
}

/* Reads an answer's head and all its body; returns the body's length. */
static long long answer(int s)
{
    size_t have = 0;
    char *end = NULL, *field;
    long long length, left;

    while (!end) {
        ssize_t n = read(s, buf + have, sizeof(buf) - 1 - have);

        if (n <= 0)
            fail("read");
        have += (size_t)n;
        buf[have] = 0;
        end = strstr(buf, "\r\n\r\n");
    }
    field = strcasestr(buf, "Content-Length:");
    if (strncmp(buf, "HTTP/1.1 200", 12) != 0 || !field || field > end)
        fail("answer");
    length = left = atoll(field + 15);
    left -= (long long)(buf + have - end - 4);
    while (left > 0) {
        ssize_t n = read(s, buf, left < (long long)sizeof(buf) ? (size_t)left : sizeof(buf));

        if (n <= 0)
            fail("read");
        left -= n;
    }
    return length;
}

/* Every step-th of the files. */
static void get(int port, char **size, int step)
{
    int s = dial(port);

    for (; *size; size += step) {
        char request[100];
        int n = snprintf(request, sizeof(request), "GET /%s HTTP/1.1\r\nHost: 10.0.2.2\r\n\r\n", *size);

        send_all(s, request, (size_t)n);
        if (answer(s) != atoll(*size))
            fail("length");
        for (int i = 0; i < step; i++)
            if (!size[i])
                return;
    }
}

static int get_all(int port, int connections, char **size)
{
    long long bytes = 0;
    int status;

    for (char **s = size; *s; s++)
        bytes += atoll(*s);
    for (int i = 0; i < connections && size[i]; i++) {
        if (fork() == 0) {
            get(port, size + i, connections);
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        if (status)
            return 1;
    printf("fetch: %lld bytes\n", bytes);
    return 0;
}

static int put(int port, long long bytes)
{
    char head[200];
    int s = dial(port), n = snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: 10.0.2.2\r\n"
                                     "Content-Length: %lld\r\n\r\n", bytes);

    send_all(s, head, (size_t)n);
    memset(buf, 'x', sizeof(buf));
    for (long long left = bytes; left > 0; left -= (long long)sizeof(buf))
        send_all(s, buf, left < (long long)sizeof(buf) ? (size_t)left : sizeof(buf));
    answer(s);
    printf("fetch: %lld bytes\n", bytes);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 4 && !strcmp(argv[1], "get") && atoi(argv[3]) > 0)
        return get_all(atoi(argv[2]), atoi(argv[3]), argv + 4);
    return argc == 4 && !strcmp(argv[1], "put") ? put(atoi(argv[2]), atoll(argv[3])) : 2;
}
