/*
 * wake.c - the guest's side of idle.py: how long an idle processor takes to wake.
 *
 *   wake timer N     says "begin" and sleeps 10 ms N times; prints how late it woke by its own clock (median, 99 %,
 *                    most, in us), and how many ns the N sleeps took in all
 *   wake serial      gives back each byte of the terminal, until a Z
 *   wake udp PORT    gives back each packet with the time it was read behind it (8 bytes, ns), until one that begins with Z
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PERIOD 10000000LL

static int by_size(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;

    return (x > y) - (x < y);
}

static long long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int timer(int n)
{
    long long *late = calloc((size_t)n, sizeof(*late)), start, due;

    if (!late)
        return 1;
    puts("begin");
    fflush(stdout);
    due = start = now();
    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < n; i++) {
        struct timespec t;

        due += PERIOD;
        t.tv_sec = due / 1000000000;
        t.tv_nsec = due % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        late[i] = now() - due;
    }
    start = now() - start;
    qsort(late, (size_t)n, sizeof(*late), by_size);
    printf("late: %lld %lld %lld took %lld\n", late[n / 2] / 1000, late[n * 99 / 100] / 1000, late[n - 1] / 1000, start);
    return 0;
}

static int serial(void)
{
    struct termios t, before;
    char byte;

    tcgetattr(0, &before);
    t = before;
    cfmakeraw(&t);
    tcsetattr(0, TCSAFLUSH, &t);
    if (write(1, "ready", 5) != 5)
        return 1;
    while (read(0, &byte, 1) == 1 && byte != 'Z')
        if (write(1, &byte, 1) != 1)
            break;
    tcsetattr(0, TCSADRAIN, &before);
    return 0;
}

static int udp(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) }, from;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    char data[1500];

    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(s, data, sizeof(data) - sizeof(long long), 0, (struct sockaddr *)&from, &len);
        long long read = now();

        if (n <= 0 || data[0] == 'Z')
            return 0;
        memcpy(data + n, &read, sizeof(read));
        sendto(s, data, (size_t)n + sizeof(read), 0, (struct sockaddr *)&from, len);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (!strcmp(what, "timer") && argc == 3)
        return timer(atoi(argv[2]));
    if (!strcmp(what, "udp") && argc == 3)
        return udp(atoi(argv[2]));
    return !strcmp(what, "serial") ? serial() : 2;
}
