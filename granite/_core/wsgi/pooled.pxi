# A request whose application runs in a thread: what the reactor does for it, and what it sees of it in the thread (see pool.pxi).

cdef enum:
    STACK_FRAMES = 30                   # of a call that takes too long, which are logged
    LOG_WARNING = 30                    # logging.WARNING


cdef class PooledExchange(WsgiExchange):
    """One request to a WSGI application that runs in a thread."""

    def __cinit__(self):
        pthread_cond_init(&self.changed, NULL)

    def __dealloc__(self):
        pthread_cond_destroy(&self.changed)

    # on the reactor's thread

    cdef int prepare(self) except -1:
        """It is about to be queued: all that a thread does not look up by itself."""
        self.environ = self._make_environ()
        return self._feed()

    cdef int on_body(self) except -1:
        return WsgiExchange.on_body(self) if self.stage == STAGE_HELD else self._feed()

    cdef int on_writable(self) except -1:
        pthread_mutex_lock(&self.pool.mutex)
        self.choked = False
        pthread_cond_signal(&self.changed)
        pthread_mutex_unlock(&self.pool.mutex)
        return 0

    cdef int on_disconnect(self) except -1:
        pthread_mutex_lock(&self.pool.mutex)
        self.client_over = True
        pthread_cond_signal(&self.changed)
        pthread_mutex_unlock(&self.pool.mutex)
        return WsgiExchange.on_disconnect(self)

    cdef int _resume(self) except -1:
        return 0

    cdef int _feed(self) except -1:
        """Give the thread more of the request's body, if it has taken what it was given."""
        cdef Protocol protocol = self.protocol
        cdef bytes piece = None
        if self.has_piece or self.body_over:
            return 0
        if self.body is not None:
            piece = self.take_body()
        pthread_mutex_lock(&self.pool.mutex)
        self.piece = piece
        self.has_piece = piece is not None
        self.body_over = self.body_complete
        pthread_cond_signal(&self.changed)
        pthread_mutex_unlock(&self.pool.mutex)
        if protocol is not None and not self.disconnected and (self.wants_body or self.has_piece):
            self.body_withheld = False
            protocol.body_wanted(self)
        return 0

    cdef int deliver(self) except -1:
        """Do what the thread has left."""
        cdef list interims
        cdef list pieces
        cdef tuple file
        cdef bint begins, last, fails, leaves, over
        pthread_mutex_lock(&self.pool.mutex)
        self.in_news = False
        interims, self.interims = self.interims, None
        pieces, self.pieces = self.pieces, None
        file, self.file = self.file, None
        begins, last, fails, leaves, over = self.begins, self.last, self.fails, self.leaves, self.over
        self.begins = self.last = self.fails = self.leaves = False
        self.pieces_size = 0
        pthread_mutex_unlock(&self.pool.mutex)
        if self.stage == STAGE_ENDED:
            if file is not None:
                os.close(file[0])
            return 0
        try:
            if interims is not None:
                for fields in interims:
                    WsgiExchange._put_interim(self, fields)
            self._deliver_response(begins, pieces, file, last)
        except Exception as exc:
            self.report(exc)
            fails = True
        if fails:
            self.fail()
            self.disconnected = True    # so that the call ends
        elif leaves:
            self.leave()
        if over:
            return self._end()
        return self._feed()

    cdef int _deliver_response(self, bint begins, list pieces, tuple file, bint last) except -1:
        cdef Protocol protocol
        cdef Py_ssize_t i
        cdef Py_ssize_t count = len(pieces) if pieces is not None else 0
        try:
            if self.protocol is None or self.disconnected or self.response == RESPONSE_DONE:
                return 0
            if begins:
                self._begin_response()
            for i in range(count):
                protocol = self.carrier()
                protocol.send_body(self, pieces[i], not last or i < count - 1 or file is not None)
            if file is not None and self.protocol is not None and not self.disconnected:
                self.send_range(file[0], file[1], file[2], False)       # behind what write() has sent
            protocol = self.protocol
            if count == 0 or last or protocol is None:
                return 0
            protocol.push(self)
            choked = not protocol.writable(self)
        finally:
            if file is not None:
                os.close(file[0])
        pthread_mutex_lock(&self.pool.mutex)
        self.choked = choked
        pthread_cond_signal(&self.changed)
        pthread_mutex_unlock(&self.pool.mutex)
        return 0

    cdef int _end(self) except -1:
        if self.read_at and self.called_at:
            observe(&self.wsgi.queue_time, self.called_at - self.read_at)
        return WsgiExchange._end(self)

    cdef bint abort(self) except -1:
        """A thread can't be ended: say what it does."""
        frame = sys._current_frames().get(self.thread) if self.thread else None
        if frame is not None:
            import traceback            # for this alone

            text = "the call has not returned, and its thread can't be ended: %s"
            stack = traceback.format_stack(frame, STACK_FRAMES)
            _log.detailed(LOG_WARNING, text, self.name(), details="".join(stack).rstrip())      # as tracebacks are: line by line
        return False

    # the application's side: in a thread

    cdef dict _environ(self):
        cdef dict environ = self.environ
        self.environ = None
        self.called_at = clock()
        return environ

    cdef int _post(self, bint urgent) except -1:
        """Have deliver() called; not at once if more follows that is `urgent`. Called with the mutex, which it gives back."""
        cdef Pool pool = self.pool
        if not pool.closed:
            if not self.in_news:
                self.in_news = True
                self.c_next_news = NULL
                Py_INCREF(<PyObject *>self)
                if pool.c_last_news is not NULL:
                    (<PooledExchange>pool.c_last_news).c_next_news = <PyObject *>self
                else:
                    pool.c_first_news = <PyObject *>self
                pool.c_last_news = <PyObject *>self
            if urgent and not pool.woken:
                pool.woken = True
                pool.waker.wake()
        pthread_mutex_unlock(&pool.mutex)
        return 0

    cdef int _begin(self) except -1:
        if not self.begun:
            self.begun = self.begins = True
        return 0

    cdef int _put(self, bytes piece, bint more) except -1:
        cdef list pieces = [piece]
        # Who returns a list has no close(): the end of its call follows at once.
        cdef bint urgent = more or not PyList_CheckExact(<PyObject *>self.result)
        pthread_mutex_lock(&self.pool.mutex)
        self._begin()
        if self.pieces is None:
            self.pieces = pieces
        else:
            self.pieces.append(piece)
        self.pieces_size += PyBytes_GET_SIZE(<PyObject *>piece)
        self.last = not more
        return self._post(urgent)

    cdef bint _put_file(self, int fd, int64_t offset, int64_t count) except -1:
        cdef tuple file
        if self.disconnected:
            raise self._gone()
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        file = (os.dup(fd), offset, count)      # the application may close its own before it is sent
        pthread_mutex_lock(&self.pool.mutex)
        if self.pool.closed:
            pthread_mutex_unlock(&self.pool.mutex)
            os.close(file[0])
            return True
        self._begin()
        self.file = file
        self.last = True
        self._post(True)
        return True

    cdef int _put_interim(self, list fields) except -1:
        cdef list interims = [fields]
        pthread_mutex_lock(&self.pool.mutex)
        if self.interims is None:
            self.interims = interims
        else:
            self.interims.append(fields)
        return self._post(True)

    cdef int _put_failure(self, bint gone) except -1:
        pthread_mutex_lock(&self.pool.mutex)
        self.leaves = gone
        self.fails = not gone
        return self._post(True)

    cdef bint _has_room(self) except -1:
        if self.choked or self.pieces_size >= self.pool.high_water:
            self._await_change(True)
        if self.disconnected:
            raise self._gone()
        return True

    cdef bint _gives_way(self) except -1:
        return False                    # it has a thread of its own

    cdef int _wait_for_room(self) except -1:
        self._has_room()
        return 0

    cdef bytes _fetch(self):
        cdef bytes piece
        while True:
            pthread_mutex_lock(&self.pool.mutex)
            if self.has_piece:
                piece, self.piece = self.piece, None
                self.has_piece = False
                if self.body_over:
                    pthread_mutex_unlock(&self.pool.mutex)
                else:
                    self._post(True)    # there may be more
                return piece
            if self.body_over:
                pthread_mutex_unlock(&self.pool.mutex)
                return b""
            if self.client_over:
                pthread_mutex_unlock(&self.pool.mutex)
                raise self._gone()
            self.wants_body = True
            self._post(True)
            self._await_change(False)

    cdef int _await_change(self, bint for_room) except -1:
        """Wait, without the interpreter's lock, for room or for more of the body."""
        cdef pthread_mutex_t *mutex = &self.pool.mutex
        cdef size_t high_water = self.pool.high_water
        with nogil:
            pthread_mutex_lock(mutex)
            if for_room:
                while (self.choked or self.pieces_size >= high_water) and not self.client_over:
                    pthread_cond_wait(&self.changed, mutex)
            else:
                while not self.has_piece and not self.body_over and not self.client_over:
                    pthread_cond_wait(&self.changed, mutex)
            pthread_mutex_unlock(mutex)
        return 0

    cdef int _over(self) except -1:
        self.thread = 0
        self.environ = None             # which refers to the exchange, if the application was not called
        pthread_mutex_lock(&self.pool.mutex)
        self.over = True
        return self._post(True)
