# How workers share out the connections of an address.
#
# Theory of operation. Each worker writes on the board, which all of them see, how many connections it has. One that has clearly more
# than the least loaded one is heavy. A heavy worker leaves what comes at a socket that others watch, too, to them: it looks away for
# a moment, and takes one of what is still there then, since the least loaded one may be busy with something else. If that goes on,
# the least loaded one is not counted on for a second, or until its load changes. What comes at a socket that nobody else watches is
# accepted by a heavy worker, too, and put into the pool, a socket that all of them watch. Nothing in the pool depends on who has put
# it there; a worker that drains empties it, and puts nothing into it from then on.

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <unistd.h>

    #ifndef MSG_CMSG_CLOEXEC
    #define MSG_CMSG_CLOEXEC 0
    #endif

    typedef struct {
        int position;
        struct sockaddr_storage peer;
    } granite_parcel;

    typedef union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } granite_control;

    static int granite_give(int pool, int fd, granite_parcel *parcel)
    {
        granite_control control;
        struct iovec piece = {parcel, sizeof(*parcel)};
        struct msghdr message;
        struct cmsghdr *head;
        memset(&message, 0, sizeof(message));
        memset(&control, 0, sizeof(control));
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &fd, sizeof(int));
        return sendmsg(pool, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*parcel);
    }

    static int granite_take(int pool, granite_parcel *parcel)
    {
        granite_control control;
        struct iovec piece = {parcel, sizeof(*parcel)};
        struct msghdr message;
        struct cmsghdr *head;
        ssize_t size;
        int fd = fcntl(pool, F_DUPFD_CLOEXEC, 0);
        /* Where there is none to be had, the system would throw away the one that comes. */
        if (fd < 0)
            return -1;
        close(fd);
        fd = -1;
        memset(&message, 0, sizeof(message));
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = &control;
        message.msg_controllen = CMSG_LEN(sizeof(int));     /* with the padding there would be room for two */
        size = recvmsg(pool, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size < 0)
            return -1;
        head = CMSG_FIRSTHDR(&message);
        if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(head), sizeof(int));
        if (size == sizeof(*parcel) && fd >= 0)
            return fd;
        if (fd >= 0)
            close(fd);
        errno = fd < 0 && message.msg_flags & MSG_CTRUNC ? EMFILE : EPROTO;
        return -1;
    }
    """
    ctypedef struct granite_parcel:
        int position
        uv.sockaddr_storage peer
    bint granite_give(int pool, int fd, granite_parcel *parcel) nogil
    int granite_take(int pool, granite_parcel *parcel) nogil
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long long offset) nogil
    int munmap(void *address, size_t size) nogil
    const int PROT_READ
    const int PROT_WRITE
    const int MAP_SHARED
    void *MAP_FAILED


cdef class Board:
    """The loads of all workers: memory that they share, which the arbiter made.

    Parameters:
        fd: its descriptor, of which nothing is kept. The first seat tells how many others are in use.
        slot: the number of this worker's slot, whose seat it takes.

    Raises:
        OSError: it cannot be mapped.
        ValueError: the board has no seat for this slot.
    """

    def __cinit__(self, int fd, int slot):
        cdef void *memory
        cdef size_t size = os.fstat(fd).st_size
        if not 0 < slot < <int>(size // sizeof(Seat)):
            raise ValueError(f"expected the number of a slot, from 1 to {size // sizeof(Seat) - 1}, got {slot}")
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if memory == MAP_FAILED:
            raise OSError(errno, f"board: {os.strerror(errno)}")
        self.seats = <Seat *>memory
        self.size = size
        self.own = &self.seats[slot]
        self.pid = os.getpid()
        self.own.load = 0
        self.own.silent_until = 0
        self.own.owner = self.pid

    def __dealloc__(self):
        if self.seats is not NULL:
            munmap(self.seats, self.size)

    cdef void note(self, int load) noexcept:
        """This worker has so many connections now."""
        self.load = load
        # Its successor may have the seat already, or may have had it, and be gone.
        if self.own.owner == 0 and not self.left:
            self.own.owner = self.pid
        if self.own.owner == self.pid:
            self.own.load = load
            self.own.silent_until = 0

    cdef Seat *_least(self) noexcept:
        """The least loaded one of the others that are to be counted on, NULL if there is none."""
        cdef Seat *seat
        cdef Seat *least = NULL
        cdef int64_t now = coarse_clock()
        cdef int i
        for i in range(1, min(self.seats[0].load, <int>(self.size // sizeof(Seat)) - 1) + 1):
            seat = &self.seats[i]
            if seat == self.own or seat.owner == 0 or seat.silent_until > now:
                continue
            if least is NULL or seat.load < least.load:
                least = seat
        return least

    cdef bint heavy(self) noexcept:
        """Whether this worker has clearly more than another one."""
        cdef Seat *least
        if self.load <= SLACK:
            return False
        least = self._least()
        return least is not NULL and self.load - least.load > SLACK + least.load // SLACK_SHARE

    cdef bint light(self) noexcept:
        """Whether this worker has clearly less than any other one."""
        cdef Seat *least = self._least()
        return least is not NULL and least.load - self.load > SLACK

    cdef bint has_room(self, int most) noexcept:
        """Whether another worker has less than so many."""
        cdef Seat *least = self._least()
        return least is not NULL and least.load < most

    cdef void waited(self) noexcept:
        """The others have not taken what was left to them."""
        cdef Seat *least = self._least()
        if least is NULL:
            return
        if least != self.awaited or least.load != self.awaited_load:
            self.awaited = least
            self.awaited_load = least.load
            self.waits = 0
        self.waits += 1
        if self.waits >= MOST_WAITS:
            least.silent_until = coarse_clock() + SILENCE
            self.awaited = NULL

    cdef void leave(self) noexcept:
        """Connections go elsewhere from now on."""
        self.left = True
        if self.own.owner == self.pid:
            self.own.owner = 0


cdef class Pool(Listener):
    """The socket through which workers give accepted connections to others, watched like a listening one."""

    def __cinit__(self):
        self.give_fd = -1

    cdef int _open_pool(self, Reactor reactor, Board board, int take_fd, int give_fd) except -1:
        self.board = board
        self.common = True
        self._watch_fd(reactor, os.dup(take_fd))
        try:
            self.give_fd = os.dup(give_fd)
        except BaseException:
            self._close()
            raise
        return 0

    cdef bint give(self, Listener listener, int fd, const uv.sockaddr_storage *peer) noexcept:
        """Hand an accepted connection to whoever takes it; False if there is no room for it."""
        cdef granite_parcel parcel
        if self.state != HANDLE_OPEN:
            return False
        parcel.position = listener.position
        parcel.peer = peer[0]
        if not granite_give(self.give_fd, fd, &parcel):
            return False
        close(fd)
        return True

    cdef int empty(self) except -1:
        """Take all that is there: nobody else may be left."""
        while self._take():
            pass
        return 0

    cdef void _close(self) noexcept:
        if self.give_fd >= 0:
            close(self.give_fd)
            self.give_fd = -1
        Listener._close(self)

    cdef int _take(self) except -1:
        cdef granite_parcel parcel
        cdef int fd
        if self.state != HANDLE_OPEN:
            return 0
        fd = granite_take(self.fd, &parcel)
        if fd < 0:
            if errno == EAGAIN or errno == EINTR:       # somebody else was faster
                return 0
            return 1 if errno == EPROTO else self._on_failed(errno)     # or it was nothing that a worker has put there
        try:
            self._on_given(parcel.position, fd, &parcel.peer)
        except BaseException as exc:        # this one is lost, those behind it are not
            self.reactor.report(exc)
        return 1

    cdef int _on_given(self, int position, int fd, const uv.sockaddr_storage *peer) except -1:
        """Make a connection of what was accepted at the listener of this position, which is this method's to close."""
        raise NotImplementedError
