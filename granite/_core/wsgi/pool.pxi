# The threads of a worker, and what goes to and fro between them and the reactor.
#
# Theory of operation: the reactor alone knows protocols; a thread runs one call after the other and sees of its exchange what lies under
# the pool's mutex. The reactor queues calls at the end of its turns, those of a turn in one go, and starts threads as long as more calls wait
# than threads are idle. What a thread has for the reactor it leaves with its exchange, which it links to the news; the first of the news wakes the
# reactor, which takes all of them at once. So it is woken once for many.
#
# The mutex is taken with the interpreter's lock held or without it. So whoever has it must not wait for that lock, nor do anything that may run
# Python code: no object is made nor freed under it.

cdef class Pool(Runner):
    """Calls applications in threads.

    Parameters:
        config: the settings, of which those about threads and back-pressure are read.
    """

    def __init__(self, config):
        self.most = config.blocking_threads
        self.idle_timeout = config.blocking_threads_idle_timeout
        self.high_water = config.write_high_water
        self.timing = config.metrics

    def __cinit__(self, config):
        pthread_mutex_init(&self.mutex, NULL)
        if granite_cond_init(&self.work) != 0:
            raise MemoryError()

    def __dealloc__(self):
        # Threads hold it, and exchanges that are linked hold the interface, which has it.
        pthread_cond_destroy(&self.work)
        pthread_mutex_destroy(&self.mutex)

    cdef int attach(self, LoopTurn turn) except -1:
        Runner.attach(self, turn)
        self.waker = turn.waker(self)
        return 0

    cdef WsgiExchange new_exchange(self):
        cdef PooledExchange exchange = PooledExchange.__new__(PooledExchange)
        exchange.pool = self
        return exchange

    # on the reactor's thread

    cdef int turn_ended(self) except -1:
        self._take_news()
        return self._hand_out() if self.queue else 0

    cdef int _take_news(self) except -1:
        cdef PooledExchange exchange
        cdef PyObject *current
        cdef PyObject *following
        pthread_mutex_lock(&self.mutex)
        current = self.c_first_news
        self.c_first_news = self.c_last_news = NULL
        self.woken = False
        pthread_mutex_unlock(&self.mutex)
        while current is not NULL:
            exchange = <PooledExchange>current
            following = exchange.c_next_news
            Py_DECREF(current)
            try:
                exchange.deliver()
            except BaseException as exc:
                _log.error("unexpected error in the server", exc_info=exc)
            current = following
        return 0

    cdef int _hand_out(self) except -1:
        cdef PooledExchange exchange
        cdef list queue
        cdef int count = 0
        cdef int missing
        queue, self.queue = self._prepared(self.queue), []
        pthread_mutex_lock(&self.mutex)
        for exchange in queue:
            Py_INCREF(<PyObject *>exchange)
            exchange.c_next_job = NULL
            if self.c_last_job is not NULL:
                (<PooledExchange>self.c_last_job).c_next_job = <PyObject *>exchange
            else:
                self.c_first_job = <PyObject *>exchange
            self.c_last_job = <PyObject *>exchange
            count += 1
        self.queued += count
        missing = min(self.queued - self.idle, self.most - self.alive)
        if missing > 0:
            self.alive += missing
        count = min(count, self.idle)
        while count > 0:
            pthread_cond_signal(&self.work)
            count -= 1
        pthread_mutex_unlock(&self.mutex)
        return self._grow(missing) if missing > 0 else 0

    cdef list _prepared(self, list exchanges):
        """Those of the exchanges that are ready for a thread."""
        cdef PooledExchange exchange
        cdef list ready = []
        for exchange in exchanges:
            if exchange.stage != STAGE_QUEUED:
                continue
            try:
                exchange.prepare()
                ready.append(exchange)
            except Exception as exc:
                exchange.report(exc)
                exchange.fail()
                exchange._end()
        return ready

    cdef int _grow(self, int missing) except -1:
        import threading                # which who has no threads does without

        while missing > 0:
            missing -= 1
            self.named += 1
            try:
                threading.Thread(target=self._work_in_thread, name=f"granite-blocking-{self.named}", daemon=True).start()
            except RuntimeError as exc:
                pthread_mutex_lock(&self.mutex)
                self.alive -= missing + 1
                alone = self.alive == 0
                pthread_mutex_unlock(&self.mutex)
                _log.error("no thread for the application: %s", exc)
                if alone:
                    raise
                return 0
        return 0

    cdef int detach(self) except -1:
        pthread_mutex_lock(&self.mutex)
        self.closed = True
        pthread_cond_broadcast(&self.work)
        pthread_mutex_unlock(&self.mutex)
        return self._take_news()

    cdef int cancel(self) except -1:
        """What threads go on with is nobody's business any more; what waits for one never begins."""
        cdef PyObject *current
        cdef PooledExchange exchange
        while True:
            pthread_mutex_lock(&self.mutex)
            current = self._pop()
            pthread_mutex_unlock(&self.mutex)
            if current is NULL:
                break
            exchange = <PooledExchange>current
            Py_DECREF(current)
            exchange.environ = None     # nobody else may have it any more
            exchange._end()
        while self.wsgi.c_oldest is not NULL:
            exchange = <PooledExchange>self.wsgi.c_oldest
            exchange._end()
        return 0

    cdef void export_threads(self, int64_t *snapshot) noexcept:
        pthread_mutex_lock(&self.mutex)
        snapshot[BLOCKING_THREADS] = self.alive
        snapshot[BLOCKING_QUEUE] = self.queued
        snapshot[BLOCKING_IDLE_CUMULATIVE] = self.idle_time // 1000
        snapshot[BLOCKING_BUSY_CUMULATIVE] = self.busy_time // 1000
        snapshot[PY_WAIT_CUMULATIVE] = self.lock_time // 1000
        pthread_mutex_unlock(&self.mutex)

    # in a thread

    def _work_in_thread(self):
        self._work()

    cdef int _work(self) except -1:
        """Run calls until there is nothing to do for long."""
        cdef Fields known = Fields.__new__(Fields)
        cdef PooledExchange exchange
        cdef PyObject *job
        cdef int64_t began
        while True:
            job = self._next_job()
            if job is NULL:
                return 0
            exchange = <PooledExchange>job
            Py_DECREF(job)
            exchange.known = known
            exchange.thread = PyThread_get_thread_ident()
            began = clock() if self.timing else 0
            try:
                exchange.run()
            except BaseException as exc:
                _log.error("unexpected error in the server", exc_info=exc)
            exchange = None             # not to be held while the thread is idle
            if began:
                began = clock() - began
                pthread_mutex_lock(&self.mutex)
                self.busy_time += began
                pthread_mutex_unlock(&self.mutex)

    cdef PyObject *_next_job(self) except? NULL:
        """An exchange, with a reference; NULL: the thread is to end."""
        cdef PyObject *job
        cdef int64_t began
        pthread_mutex_lock(&self.mutex)
        job = self._pop()
        pthread_mutex_unlock(&self.mutex)
        if job is not NULL:
            return job
        with nogil:
            job = self._wait_for_job()
            began = clock() if self.timing else 0
        if began and job is not NULL:
            began = clock() - began
            pthread_mutex_lock(&self.mutex)
            self.lock_time += began
            pthread_mutex_unlock(&self.mutex)
        return job

    cdef PyObject *_wait_for_job(self) noexcept nogil:
        cdef int64_t began = clock() if self.timing else 0
        cdef PyObject *job
        cdef int late = 0
        pthread_mutex_lock(&self.mutex)
        self.idle += 1
        while True:
            job = self._pop()
            if job is not NULL or self.closed or (late and self.alive > 1):
                break
            late = granite_cond_wait_for(&self.work, &self.mutex, self.idle_timeout)
        self.idle -= 1
        if job is NULL:
            self.alive -= 1
        if began:
            self.idle_time += clock() - began
        pthread_mutex_unlock(&self.mutex)
        return job

    cdef PyObject *_pop(self) noexcept nogil:
        """Take the first of those that wait, with the reference that the queue had."""
        cdef PyObject *job = self.c_first_job
        if job is not NULL:
            self.c_first_job = (<PooledExchange>job).c_next_job
            if self.c_first_job is NULL:
                self.c_last_job = NULL
            self.queued -= 1
        return job
