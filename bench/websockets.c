/* Sends messages over WebSockets to 127.0.0.1 and waits for their echoes, for some seconds: websockets CONNECTIONS BYTES PORT SECONDS.
 *
 * Each connection has one message of so many bytes (at most 125) on the way. Without SECONDS left the last echoes are not waited for.
 *
 * Prints `messages N failed N seconds S`; a connection that is refused, ends or answers something else counts as failed.
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

static const char HANDSHAKE[] =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

typedef struct {
    int fd;
    size_t have; /* bytes of the echo that have come */
} connection_t;

static unsigned char message[6 + 125], echo[2 + 125];
static size_t message_size, echo_size;

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
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 && send(fd, HANDSHAKE, sizeof(HANDSHAKE) - 1, 0) > 0)
        while (size < MOST - 1 && (more = recv(fd, answer + size, MOST - 1 - size, 0)) > 0) {
            size += (size_t)more;
            answer[size] = 0;
            if (strstr(answer, "\r\n\r\n") != NULL)
                return strncmp(answer, "HTTP/1.1 101", 12) == 0 ? fd : -1;
        }
    return -1;
}

/* Read on: 1 if the echo is whole, 0 if more of it is to come, -1 if it is none. */
static int take(connection_t *from)
{
    unsigned char data[256];
    ssize_t size = recv(from->fd, data, echo_size - from->have, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return 0;
    if (size <= 0 || memcmp(data, echo + from->have, (size_t)size) != 0)
        return -1;
    from->have = (from->have + (size_t)size) % echo_size;
    return from->have == 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN}, events[64];
    long messages = 0, failed = 0;
    int i, got, count, found, epoll = epoll_create1(0);
    connection_t *all;
    double began, until;
    if (argc != 5 || (count = atoi(argv[1])) < 1 || atoi(argv[2]) > 125)
        return 2;
    prepare((size_t)atoi(argv[2]));
    to.sin_port = htons((unsigned short)atoi(argv[3]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    all = calloc((size_t)count, sizeof(*all));
    for (i = 0; i < count; i++) {
        all[i].fd = open_one(&to);
        event.data.ptr = &all[i];
        if (all[i].fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event) != 0)
            failed++;
    }
    began = now();
    until = began + atof(argv[4]);
    for (i = 0; i < count; i++)
        if (all[i].fd >= 0)
            send(all[i].fd, message, message_size, MSG_NOSIGNAL);
    while (now() < until && failed < count) {
        found = epoll_wait(epoll, events, 64, 100);
        for (i = 0; i < found; i++) {
            connection_t *from = events[i].data.ptr;
            got = take(from);
            if (got < 0 || (got && send(from->fd, message, message_size, MSG_NOSIGNAL) < 0)) {
                failed++;
                close(from->fd);
            }
            messages += got > 0;
        }
    }
    printf("messages %ld failed %ld seconds %.3f\n", messages, failed, now() - began);
    return 0;
}
