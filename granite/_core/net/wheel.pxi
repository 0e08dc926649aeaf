# The coarse timer wheel.
#
# A node hangs in the slot of the tick at which it must be looked at. Arming a node later than that only stores the new deadline: when
# the slot comes up, the node moves on. So a keep-alive timeout that is re-armed with every request costs one store per request.
#
# The event loop is the application's, which may keep it for longer than any deadline. So a tick takes note of the time, has libuv look at all
# sockets once more, and judges by that time: what had come by then was read, and has put its deadline off.

cdef void _cb_wheel_tick(uv.uv_timer_t *timer) noexcept:
    (<TimerWheel>timer.data)._on_tick()


cdef void _cb_wheel_closed(uv.uv_handle_t *handle) noexcept:
    cdef TimerWheel wheel = <TimerWheel>handle.data
    wheel.state = HANDLE_CLOSED
    wheel.reactor.handles -= 1
    wheel.reactor = None
    _unpin(wheel)


cdef class TimerWheel:
    """Deadlines of one reactor, met within two WHEEL_TICKs and never early."""

    def __cinit__(self):
        cdef int i
        for i in range(WHEEL_SLOTS):
            self.slots[i].next = self.slots[i].previous = &self.slots[i]

    cdef int _open(self, Reactor reactor) except -1:
        cdef int code = uv.uv_timer_init(&reactor.loop, &self.timer)
        if code < 0:
            raise _uv_error(code, "timer")
        self.timer.data = <void *>self
        self.reactor = reactor
        self.state = HANDLE_OPEN
        reactor.handles += 1
        _pin(self)
        return 0

    cdef void _close(self) noexcept:
        if self.state == HANDLE_OPEN:
            self.state = HANDLE_CLOSING
            uv.uv_close(<uv.uv_handle_t *>&self.timer, _cb_wheel_closed)

    cdef int arm(self, WheelNode *node, uint64_t deadline) except -1:
        """Have the node's callback run at `deadline`, on the reactor's clock, in place of what was armed before; 0 disarms."""
        node.deadline = deadline
        if deadline == 0:
            return 0
        if node.next is not NULL:
            if node.due * WHEEL_TICK <= deadline + WHEEL_TICK:
                return 0
            self.unlink(node)
        if self.linked == 0 and self.state == HANDLE_OPEN:
            self.tick = self.reactor.now() // WHEEL_TICK
            uv.uv_timer_start(&self.timer, _cb_wheel_tick, WHEEL_TICK, WHEEL_TICK)
            self.reactor.touch()
        self._link(node)
        return 0

    cdef void _link(self, WheelNode *node) noexcept:
        cdef uint64_t due = node.deadline // WHEEL_TICK + 1
        cdef WheelNode *slot
        if due <= self.tick:
            due = self.tick + 1
        elif due >= self.tick + WHEEL_SLOTS:
            due = self.tick + WHEEL_SLOTS - 1
        slot = &self.slots[due % WHEEL_SLOTS]
        node.due = due
        node.previous = slot.previous
        node.next = slot
        slot.previous.next = node
        slot.previous = node
        self.linked += 1

    cdef void unlink(self, WheelNode *node) noexcept:
        if node.next is NULL:
            return
        node.previous.next = node.next
        node.next.previous = node.previous
        node.next = node.previous = NULL
        self.linked -= 1

    cdef void _on_tick(self) noexcept:
        if self.noted == 0:
            self.noted = self.reactor.now()
            uv.uv_timer_start(&self.timer, _cb_wheel_tick, 0, WHEEL_TICK)
            self.reactor.stale = True
            return
        self._judge()
        self.noted = 0
        if self.linked == 0:
            uv.uv_timer_stop(&self.timer)

    cdef void _judge(self) noexcept:
        """Call whose deadlines had passed at the time that was noted."""
        cdef uint64_t now = self.noted
        cdef uint64_t until = now // WHEEL_TICK
        cdef WheelNode *slot
        cdef WheelNode *node
        cdef WheelNode due
        cdef bint called = False
        while self.tick < until:
            self.tick += 1
            slot = &self.slots[self.tick % WHEEL_SLOTS]
            if slot.next is slot:
                continue
            # The slot's nodes move to a list of their own: a callback may link and unlink what it likes.
            due.next = slot.next
            due.previous = slot.previous
            due.next.previous = due.previous.next = &due
            slot.next = slot.previous = slot
            while due.next is not &due:
                node = due.next
                self.unlink(node)
                if node.deadline == 0:
                    continue
                if node.deadline > now:
                    self._link(node)
                    continue
                node.deadline = 0
                called = True
                node.on_due(node.owner)
        # libuv runs its timers last: what a callback closed is only seen in another round.
        self.reactor.stale = self.reactor.stale or called
