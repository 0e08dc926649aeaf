# libuv, as far as granite uses it.

from libc.stdint cimport uint64_t, int64_t

cdef extern from "sys/socket.h" nogil:
    cdef struct sockaddr:
        unsigned short sa_family
    cdef struct sockaddr_storage:
        unsigned short ss_family
    ctypedef unsigned int socklen_t
    int getsockname(int fd, sockaddr *addr, socklen_t *length)
    int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
    const int AF_INET
    const int AF_INET6
    const int AF_UNIX

cdef extern from "netinet/in.h" nogil:
    cdef struct in_addr:
        pass
    cdef struct in6_addr:
        pass
    cdef struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        unsigned short sin6_port
        in6_addr sin6_addr
    const int IPPROTO_TCP
    unsigned short ntohs(unsigned short value)

cdef extern from "netinet/tcp.h" nogil:
    const int TCP_NODELAY

cdef extern from "uv.h" nogil:
    const int UV_EOF
    const int UV_EAGAIN

    ctypedef int uv_os_sock_t
    ctypedef int uv_os_fd_t

    ctypedef struct uv_buf_t:
        char *base
        size_t len

    ctypedef struct uv_loop_t:
        void *data
    ctypedef struct uv_handle_t:
        void *data
        uv_loop_t *loop
    ctypedef struct uv_stream_t:
        void *data
    ctypedef struct uv_tcp_t:
        void *data
    ctypedef struct uv_pipe_t:
        void *data
    ctypedef struct uv_timer_t:
        void *data
    ctypedef struct uv_poll_t:
        void *data
    ctypedef struct uv_async_t:
        void *data
    ctypedef struct uv_write_t:
        void *data

    ctypedef enum uv_run_mode:
        UV_RUN_NOWAIT

    ctypedef enum uv_poll_event:
        UV_READABLE


# uv_run() is only ever called with the GIL held, so its callbacks hold it too.
cdef extern from "uv.h":
    ctypedef void (*uv_alloc_cb)(uv_handle_t *, size_t, uv_buf_t *) noexcept
    ctypedef void (*uv_read_cb)(uv_stream_t *, ssize_t, const uv_buf_t *) noexcept
    ctypedef void (*uv_write_cb)(uv_write_t *, int) noexcept
    ctypedef void (*uv_poll_cb)(uv_poll_t *, int, int) noexcept
    ctypedef void (*uv_async_cb)(uv_async_t *) noexcept
    ctypedef void (*uv_close_cb)(uv_handle_t *) noexcept
    ctypedef void (*uv_timer_cb)(uv_timer_t *) noexcept

cdef extern from "uv.h" nogil:
    const char *uv_version_string()
    const char *uv_strerror(int)

    int uv_loop_init(uv_loop_t *)
    int uv_loop_close(uv_loop_t *)
    int uv_run(uv_loop_t *, uv_run_mode)
    int uv_backend_fd(const uv_loop_t *)
    int uv_backend_timeout(const uv_loop_t *)
    uint64_t uv_now(const uv_loop_t *)
    void uv_update_time(uv_loop_t *)

    void uv_close(uv_handle_t *, uv_close_cb)
    int uv_fileno(const uv_handle_t *, uv_os_fd_t *)

    int uv_timer_init(uv_loop_t *, uv_timer_t *)
    int uv_timer_start(uv_timer_t *, uv_timer_cb, uint64_t, uint64_t)
    int uv_timer_stop(uv_timer_t *)

    int uv_tcp_init(uv_loop_t *, uv_tcp_t *)
    int uv_tcp_open(uv_tcp_t *, uv_os_sock_t)
    int uv_tcp_getsockname(const uv_tcp_t *, sockaddr *, int *)
    int uv_tcp_close_reset(uv_tcp_t *, uv_close_cb)

    int uv_pipe_init(uv_loop_t *, uv_pipe_t *, int)
    int uv_pipe_open(uv_pipe_t *, int)

    int uv_poll_init(uv_loop_t *, uv_poll_t *, int)
    int uv_poll_start(uv_poll_t *, int, uv_poll_cb)
    int uv_poll_stop(uv_poll_t *)

    int uv_async_init(uv_loop_t *, uv_async_t *, uv_async_cb)
    int uv_async_send(uv_async_t *) nogil

    int uv_read_start(uv_stream_t *, uv_alloc_cb, uv_read_cb)
    int uv_read_stop(uv_stream_t *)
    size_t uv_stream_get_write_queue_size(const uv_stream_t *)
    int uv_try_write(uv_stream_t *, const uv_buf_t *, unsigned int)
    int uv_write(uv_write_t *, uv_stream_t *, const uv_buf_t *, unsigned int, uv_write_cb)
