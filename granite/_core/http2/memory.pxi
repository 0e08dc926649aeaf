# Where nghttp2's sessions lie in memory.
#
# Beside small blocks a session asks for a few large ones: itself, less than a page; a table, a page that is zeros as long as no stream is open; and
# 16 KiB for frames, of which most connections need the beginning only. Each session gets a slot of address space, in which its frames begin on the
# session's own page, and the table has a page that goes back to the system while the connection rests:
#
#     | table | slot, session, beginning of the frames | … | … | … | end of the frames |
#
# That is about pages alone: what has no place in the slot comes from malloc(), and nothing depends on what nghttp2 keeps in a block. A page is given
# back only if all of it is zeros, which is what it reads as from then on.
#
# In the sanitizers' build AddressSanitizer is told what of the slots is in use, as it knows of blocks of malloc().

cdef extern from *:
    """
    #include <sys/mman.h>
    #include <unistd.h>

    #ifndef MADV_NOHUGEPAGE                 /* of Linux alone */
    #define MADV_NOHUGEPAGE MADV_NORMAL
    #endif

    #ifdef __has_feature
    #if __has_feature(address_sanitizer)    /* Clang's word for what GCC defines */
    #define GRANITE_HAS_ASAN
    #endif
    #endif
    #if defined(GRANITE_HAS_ASAN) || defined(__SANITIZE_ADDRESS__)
    #include <sanitizer/asan_interface.h>
    static void granite_forbid(void *place, size_t size) { __asan_poison_memory_region(place, size); }
    static void granite_allow(void *place, size_t size) { __asan_unpoison_memory_region(place, size); }
    static size_t granite_allowed(void *place, size_t size)
    {
        char *end = (char *)__asan_region_is_poisoned(place, size);
        return end ? (size_t)(end - (char *)place) : size;
    }
    #else
    static inline void granite_forbid(void *place, size_t size) { (void)place, (void)size; }
    static inline void granite_allow(void *place, size_t size) { (void)place, (void)size; }
    static inline size_t granite_allowed(void *place, size_t size) { (void)place; return size; }
    #endif
    """
    void granite_forbid(void *place, size_t size)
    void granite_allow(void *place, size_t size)
    size_t granite_allowed(void *place, size_t size)    # how many of the bytes, from the first one on
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long long offset)
    int munmap(void *address, size_t size)
    int madvise(void *address, size_t size, int advice)
    int mincore(void *address, size_t size, unsigned char *pages)
    long sysconf(int name)
    const int PROT_READ
    const int PROT_WRITE
    const int MAP_PRIVATE
    const int MAP_ANONYMOUS
    const int MAP_NORESERVE
    void *MAP_FAILED
    const int MADV_DONTNEED
    const int MADV_NOHUGEPAGE
    const int _SC_PAGESIZE

cdef enum:
    PAGE = 4096
    SLOT_PAGES = 6
    SLOT_SIZE = SLOT_PAGES * PAGE
    SLOT_HEAD = 32                      # bytes of a Slot, so that what follows is aligned like any block
    FIRST_SLOTS = 64                    # that are mapped at first; then as many as there are
    SPARE_SLOTS = 256                   # in no use, whose pages are kept
    SMALL_BLOCK = 2048                  # bytes below which a block is not for the slot
    ROOM_FOR_FRAMES = 512               # bytes of the session's page that frames have at least

cdef enum SlotPart:
    PART_TABLE = 1
    PART_SESSION = 2
    PART_FRAMES = 4


cdef void *_cb_nghttp2_malloc(size_t size, void *user) noexcept:
    cdef void *place = _place(<Slot *>user, size) if size >= SMALL_BLOCK else NULL
    return place if place is not NULL else malloc(size)


cdef void *_cb_nghttp2_calloc(size_t count, size_t size, void *user) noexcept:
    cdef void *place = NULL
    if count <= SLOT_SIZE and size <= SLOT_SIZE and count * size >= SMALL_BLOCK:
        place = _place(<Slot *>user, count * size)
    return memset(place, 0, count * size) if place is not NULL else calloc(count, size)


cdef void *_cb_nghttp2_realloc(void *block, size_t size, void *user) noexcept:
    cdef size_t had
    cdef void *moved
    if block is NULL:
        return _cb_nghttp2_malloc(size, user)
    had = _room_of(<Slot *>user, block)
    if had == 0:
        return realloc(block, size)
    if size <= had:
        return _lend(block, size, had)
    moved = malloc(size)
    if moved is not NULL:
        memcpy(moved, block, granite_allowed(block, had))
        _cb_nghttp2_free(block, user)
    return moved


cdef void _cb_nghttp2_free(void *block, void *user) noexcept:
    cdef Slot *slot = <Slot *>user
    cdef size_t had = _room_of(slot, block)
    if had == 0:
        free(block)
    else:
        slot.parts &= ~_part_at(slot, block)
        granite_forbid(block, had)


cdef inline char *_table(Slot *slot) noexcept:
    """Where a slot begins."""
    return <char *>slot - PAGE


cdef inline void *_lend(void *block, size_t size, size_t room) noexcept:
    """The block, of which so much is in use."""
    granite_forbid(block, room)
    granite_allow(block, size)
    return block


cdef void *_place(Slot *slot, size_t size) noexcept:
    """Room for a block in the slot; NULL: it has none."""
    if size > PAGE:
        if slot.parts & PART_FRAMES or size > SLOT_SIZE - PAGE - slot.frames_at:
            return NULL
        slot.parts |= PART_FRAMES
        return _lend(<char *>slot + slot.frames_at, size, SLOT_SIZE - PAGE - slot.frames_at)
    if size > PAGE - SLOT_HEAD - ROOM_FOR_FRAMES:
        if slot.parts & PART_TABLE:
            return NULL
        slot.parts |= PART_TABLE
        return _lend(_table(slot), size, PAGE)
    if slot.parts & (PART_SESSION | PART_FRAMES):
        return NULL
    slot.parts |= PART_SESSION
    slot.frames_at = SLOT_HEAD + (size + 15 & ~<size_t>15)
    return _lend(<char *>slot + SLOT_HEAD, size, slot.frames_at - SLOT_HEAD)


cdef inline int _part_at(Slot *slot, void *block) noexcept:
    if block == _table(slot):
        return PART_TABLE
    return PART_FRAMES if slot.parts & PART_FRAMES and block == <char *>slot + slot.frames_at else PART_SESSION


cdef inline size_t _room_of(Slot *slot, void *block) noexcept:
    """How many bytes a block of the slot may have; 0: it is none."""
    cdef int part
    if <size_t>(<char *>block - _table(slot)) >= SLOT_SIZE:
        return 0
    part = _part_at(slot, block)
    if part == PART_TABLE:
        return PAGE
    return slot.frames_at - SLOT_HEAD if part == PART_SESSION else SLOT_SIZE - PAGE - slot.frames_at


cdef void _rest(Slot *slot) noexcept:
    """Give the table's page back, if it has nothing."""
    cdef char *table = _table(slot)
    if not slot.parts & PART_TABLE or (table[0] == 0 and memcmp(table, table + 1, granite_allowed(table, PAGE) - 1) == 0):
        madvise(table, PAGE, MADV_DONTNEED)


cdef class Slots:
    """The slots of a context's sessions, of which each keeps this alive."""

    def __init__(self):
        raise TypeError("slots are made by Http2Context")

    def __dealloc__(self):
        cdef int i
        for i in range(self.pieces):
            granite_allow(self.c_pieces[i].base, self.c_pieces[i].slots * SLOT_SIZE)    # whoever has the addresses next
            munmap(self.c_pieces[i].base, self.c_pieces[i].slots * SLOT_SIZE)
        PyMem_RawFree(self.c_free)

    cdef bint _map(self) noexcept:
        """Make more slots, in no use."""
        cdef size_t count = max(self.count, <size_t>FIRST_SLOTS)
        cdef char **grown
        cdef char *base
        cdef size_t i
        if self.pieces == MOST_PIECES:
            return False
        grown = <char **>PyMem_RawRealloc(self.c_free, (self.count + count) * sizeof(char *))
        if grown is NULL:
            return False
        self.c_free = grown
        base = <char *>mmap(NULL, count * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if base == MAP_FAILED:
            return False
        madvise(base, count * SLOT_SIZE, MADV_NOHUGEPAGE)
        granite_forbid(base, count * SLOT_SIZE)
        self.c_pieces[self.pieces].base, self.c_pieces[self.pieces].slots = base, count
        self.pieces += 1
        self.count += count
        for i in range(count):
            self.c_free[self.free] = base + i * SLOT_SIZE
            self.free += 1
        return True

    cdef Slot *take(self) noexcept:
        """A slot for a session, until give(); NULL: there is none."""
        cdef Slot *slot
        if self.free == 0 and not self._map():
            return NULL
        self.free -= 1
        if self.spare:
            self.spare -= 1
        self.live += 1
        slot = <Slot *>(self.c_free[self.free] + PAGE)
        granite_allow(slot, SLOT_HEAD)
        Py_INCREF(<PyObject *>self)
        slot.owner = <PyObject *>self
        slot.frames_at = SLOT_HEAD
        slot.parts = 0
        return slot

    cdef void give(self, Slot *slot) noexcept:
        """Take a slot back of which nothing is in use any more."""
        cdef char *base = _table(slot)
        self.live -= 1
        granite_forbid(base, SLOT_SIZE)
        if self.spare < SPARE_SLOTS:
            self.spare += 1
            self.c_free[self.free] = base
        else:
            madvise(base, SLOT_SIZE, MADV_DONTNEED)
            self.c_free[self.free] = self.c_free[self.free - self.spare]
            self.c_free[self.free - self.spare] = base
        self.free += 1
        Py_DECREF(<PyObject *>self)

    cdef dict figures(self):
        """How many slots are in use, and how many are spare with their pages; how many pages of all slots are in memory."""
        cdef unsigned char pages[SLOT_PAGES]
        cdef Py_ssize_t resident = 0
        cdef size_t slot
        cdef int piece
        cdef int i
        for piece in range(self.pieces):
            for slot in range(self.c_pieces[piece].slots):
                if mincore(self.c_pieces[piece].base + slot * SLOT_SIZE, SLOT_SIZE, pages):
                    raise OSError("the system does not tell which pages are in memory")
                for i in range(SLOT_PAGES):
                    resident += pages[i] & 1
        return {"slots": self.live, "spare": self.spare, "pages": resident}
