/* Sends messages over WebSockets to 127.0.0.1 for some seconds: websockets MODE CONNECTIONS BYTES PORT SECONDS.
 *
 * echo: each connection has one message of so many bytes (at most 125) on the way, which comes back. Without SECONDS left the last
 * ones are not waited for. broadcast: the first connection sends a message, which has to come to all of them; then it sends the next.
 *
 * Prints `ready` when all are open, and at the end `messages N failed N seconds S`, where N are those that came. A connection that is
 * refused, ends, answers something else, or gets a message twice counts as failed, and ends a broadcast.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define PATIENCE 10 /* seconds for an answer to the handshake, and without any message */

static const char HANDSHAKE[] =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

typedef struct {
    int fd;
    size_t have; /* bytes of the next message that have come */
    long got;    /* messages */
} connection_t;

static unsigned char message[6 + 125], echo[2 + 125];
static size_t message_size, echo_size;
static connection_t *all;
static int count, failed, epoll;
static long messages;

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec * 1e-9;
}

static void prepare(size_t size)
{
    size_t i;
    message[0] = echo[0] = 0x81;
    message[1] = (unsigned char)(0x80 | size);
    echo[1] = (unsigned char)size;
    memcpy(message + 2, "mask", 4);
    for (i = 0; i < size; i++) {
        echo[2 + i] = (unsigned char)('a' + i % 26);
        message[6 + i] = echo[2 + i] ^ message[2 + i % 4];
    }
    message_size = 6 + size;
    echo_size = 2 + size;
}

/* A WebSocket that is open; -1 where there is none. */
static int open_one(const struct sockaddr_in *to)
{
    char answer[MOST];
    size_t size = 0;
    ssize_t more;
    struct timeval patience = {.tv_sec = PATIENCE};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 && send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0) > 0)
        while (size < MOST - 1 && (more = recv(fd, answer + size, MOST - 1 - size, 0)) > 0) {
            size += (size_t)more;
            answer[size] = 0;
            if (strstr(answer, "\r\n\r\n") != NULL)
                return strncmp(answer, "HTTP/1.1 101", 12) == 0 ? fd : -1;
        }
    return -1;
}

static void open_all(const struct sockaddr_in *to)
{
    struct epoll_event event = {.events = EPOLLIN};
    int i;
    for (i = 0; i < count && !failed; i++) {
        all[i].fd = open_one(to);
        event.data.ptr = &all[i];
        if (all[i].fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event) != 0)
            failed++;
    }
}

/* Read on: 1 if the message is whole, 0 if more of it is to come, -1 if it is none. */
static int take(connection_t *from)
{
    unsigned char data[256];
    ssize_t size = recv(from->fd, data, echo_size - from->have, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return 0;
    if (size <= 0 || memcmp(data, echo + from->have, (size_t)size) != 0)
        return -1;
    from->have = (from->have + (size_t)size) % echo_size;
    from->got += from->have == 0;
    return from->have == 0;
}

static int say(connection_t *to)
{
    return send(to->fd, message, message_size, MSG_NOSIGNAL) == (ssize_t)message_size;
}

static void run_echo(double until)
{
    struct epoll_event events[64];
    int i, got, found;
    for (i = 0; i < count; i++)
        say(&all[i]);
    while (now() < until && failed < count) {
        found = epoll_wait(epoll, events, 64, 100);
        for (i = 0; i < found; i++) {
            connection_t *from = events[i].data.ptr;
            got = take(from);
            if (got < 0 || (got && !say(from))) {
                failed++;
                close(from->fd);
            }
            messages += got > 0;
        }
    }
}

/* Wait until all have the message of this round. */
static void await_all(long round)
{
    struct epoll_event events[256];
    int i, got, found, missing = count;
    while (missing && !failed) {
        found = epoll_wait(epoll, events, 256, PATIENCE * 1000);
        if (found <= 0)
            failed = missing;
        for (i = 0; i < found; i++) {
            connection_t *from = events[i].data.ptr;
            got = take(from);
            failed += got < 0 || from->got > round;
            missing -= got > 0;
            messages += got > 0;
        }
    }
}

static void run_broadcast(double until)
{
    long round;
    for (round = 1; now() < until && !failed; round++) {
        failed = !say(&all[0]);
        await_all(round);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    double began;
    if (argc != 6 || (count = atoi(argv[2])) < 1 || atoi(argv[3]) > 125)
        return 2;
    prepare((size_t)atoi(argv[3]));
    to.sin_port = htons((unsigned short)atoi(argv[4]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    all = calloc((size_t)count, sizeof(*all));
    epoll = epoll_create1(0);
    open_all(&to);
    puts("ready");
    fflush(stdout);
    began = now();
    if (!failed)
        (strcmp(argv[1], "broadcast") == 0 ? run_broadcast : run_echo)(began + atof(argv[5]));
    printf("messages %ld failed %d seconds %.3f\n", messages, failed, now() - began);
    return 0;
}
