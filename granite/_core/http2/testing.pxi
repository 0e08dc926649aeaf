# For the tests: the memory of a session, without one.

@cython.final
@cython.no_gc
cdef class SessionMemory:
    """What nghttp2 calls for the memory of a session; blocks are their addresses, 0 is none.

    Parameters:
        beside: a session whose slots it shares; None: it has its own.
    """

    cdef Slots slots
    cdef Slot *c_slot
    cdef set blocks

    def __cinit__(self, SessionMemory beside=None):
        self.blocks = {0}
        self.slots = Slots.__new__(Slots) if beside is None else beside.slots
        self.c_slot = self.slots.take()
        if self.c_slot is NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.c_slot is not NULL:
            for block in self.blocks:
                _cb_nghttp2_free(<void *><size_t>block, self.c_slot)
            self.slots.give(self.c_slot)

    cdef void *_known(self, size_t block) except? NULL:
        if block not in self.blocks:
            raise ValueError(f"no block: {block:#x}")
        return <void *>block

    cdef size_t _note(self, void *block) except? 0:
        self.blocks.add(<size_t>block)
        return <size_t>block

    def malloc(self, size_t size):
        return self._note(_cb_nghttp2_malloc(size, self.c_slot))

    def calloc(self, size_t count, size_t size):
        return self._note(_cb_nghttp2_calloc(count, size, self.c_slot))

    def realloc(self, size_t block, size_t size):
        cdef void *moved = _cb_nghttp2_realloc(self._known(block), size, self.c_slot)
        if block and (moved is not NULL or size == 0):
            self.blocks.discard(block)
        return self._note(moved)

    def free(self, size_t block):
        _cb_nghttp2_free(self._known(block), self.c_slot)
        if block:
            self.blocks.discard(block)

    def room(self, size_t block):
        return _room_of(self.c_slot, <void *>block)

    def rest(self):
        _rest(self.c_slot)

    def allowed(self, size_t place, size_t size):
        return granite_allowed(<void *>place, size)

    def figures(self):
        return self.slots.figures()
