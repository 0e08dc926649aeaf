# For the tests: the memory of a session, without one.

cdef class SessionMemory:
    """What nghttp2 calls for the memory of a session; blocks are their addresses, 0 is none.

    Parameters:
        beside: a session whose slots it shares; None: it has its own.
    """

    cdef Slots slots
    cdef Slot *c_slot

    def __init__(self, SessionMemory beside=None):
        self.slots = Slots.__new__(Slots) if beside is None else beside.slots
        self.c_slot = self.slots.take()
        if self.c_slot is NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.c_slot is not NULL:
            self.slots.give(self.c_slot)

    def malloc(self, size_t size):
        return <size_t>_cb_nghttp2_malloc(size, self.c_slot)

    def calloc(self, size_t count, size_t size):
        return <size_t>_cb_nghttp2_calloc(count, size, self.c_slot)

    def realloc(self, size_t block, size_t size):
        return <size_t>_cb_nghttp2_realloc(<void *>block, size, self.c_slot)

    def free(self, size_t block):
        _cb_nghttp2_free(<void *>block, self.c_slot)

    def room(self, size_t block):
        return _room_of(self.c_slot, <void *>block)

    def rest(self):
        _rest(self.c_slot)

    def allowed(self, size_t place, size_t size):
        return granite_allowed(<void *>place, size)

    def figures(self):
        return self.slots.figures()
