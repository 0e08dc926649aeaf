/* Opens TLS 1.3 connections to 127.0.0.1, one request each, for some seconds: handshakes MODE PORT SECONDS.
 *
 * MODE is `full`, or `resumed`: then each connection but the first of a client offers the ticket that the one before has got.
 * A few clients take turns, each a process that waits for its answers, so that the server finds several connections in a turn.
 * Whoever measures counts the server's processor time: a client's share of a handshake costs more than a server's.
 *
 * Prints `connections N resumed N failed N seconds S`.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 8

typedef struct {
    long connections, resumed, failed;
} counts_t;

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
static SSL_SESSION *ticket;

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec * 1e-9;
}

/* A connection from its beginning to its end: whether the whole answer came. */
static int visit(SSL_CTX *context, const struct sockaddr_in *to, int *resumed)
{
    char answer[4096];
    int size, total = 0, one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    SSL *ssl = SSL_new(context);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (ticket != NULL)
        SSL_set_session(ssl, ticket);
    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 &&
        SSL_write(ssl, REQUEST, sizeof(REQUEST) - 1) > 0)
        while ((size = SSL_read(ssl, answer + (total ? 12 : 0), sizeof(answer) - 12)) > 0)
            total += size;
    *resumed = SSL_session_reused(ssl);
    SSL_shutdown(ssl); /* else OpenSSL takes the session for a broken one */
    SSL_free(ssl);
    close(fd);
    return total > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

static counts_t go_on(SSL_CTX *context, const struct sockaddr_in *to, double until)
{
    counts_t counts = {0, 0, 0};
    int resumed;
    while (now() < until) {
        if (visit(context, to, &resumed))
            counts.connections++;
        else
            counts.failed++;
        counts.resumed += resumed;
    }
    return counts;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    counts_t all = {0, 0, 0}, one;
    int i, first, ends[2];
    double began = now();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (argc != 4 || context == NULL || pipe(ends) != 0)
        return 2;
    to.sin_port = htons((unsigned short)atoi(argv[2]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (strcmp(argv[1], "resumed") == 0)
        SSL_CTX_sess_set_new_cb(context, keep_ticket);
    for (i = 0; i < CLIENTS; i++)
        if (fork() == 0) {
            if (strcmp(argv[1], "resumed") == 0)
                visit(context, &to, &first); /* gets a ticket, and counts for nothing */
            one = go_on(context, &to, began + atof(argv[3]));
            _exit(write(ends[1], &one, sizeof(one)) != sizeof(one));
        }
    close(ends[1]);
    while (read(ends[0], &one, sizeof(one)) == sizeof(one)) {
        all.connections += one.connections;
        all.resumed += one.resumed;
        all.failed += one.failed;
    }
    while (wait(NULL) > 0)
        ;
    printf("connections %ld resumed %ld failed %ld seconds %.3f\n", all.connections, all.resumed, all.failed, now() - began);
    return 0;
}
