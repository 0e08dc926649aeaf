# The client's frames by their heads: what it must not send, and nghttp2 does not look at, or passes over without a word.

cdef enum:
    MOST_CONTINUATIONS = 8              # frames of one block of fields
    PRIORITY_SIZE = 5                   # bytes that a PRIORITY frame says


cdef inline uint32_t _number_at(const uint8_t *place) noexcept:
    """A number of 31 bits."""
    return <uint32_t>(place[0] & 0x7F) << 24 | <uint32_t>place[1] << 16 | <uint32_t>place[2] << 8 | place[3]


cdef inline size_t _size_of_payload(const uint8_t *head) noexcept:
    return <size_t>head[0] << 16 | <size_t>head[1] << 8 | head[2]


cdef inline size_t _size_to_judge(const FrameScan *scan) noexcept:
    """How much of the frame has to be there: its head, and of a PRIORITY frame the stream that it names."""
    if scan.held >= FRAME_HEAD and scan.head[3] == nghttp2.NGHTTP2_PRIORITY and _size_of_payload(scan.head) == PRIORITY_SIZE:
        return FRAME_HEAD + STREAM_ID
    return FRAME_HEAD


cdef void _start_scan(FrameScan *scan) noexcept:
    memset(scan, 0, sizeof(FrameScan))
    scan.rest = nghttp2.NGHTTP2_CLIENT_MAGIC_LEN


cdef bint _hold(FrameScan *scan, const uint8_t *base, size_t size, size_t *at) noexcept:
    """Keep more of the next frame's head; whether enough of it is there."""
    cdef size_t lacking = _size_to_judge(scan) - scan.held
    cdef size_t step
    while lacking:
        step = min(lacking, size - at[0])
        memcpy(scan.head + scan.held, base + at[0], step)
        scan.held += step
        at[0] += step
        if step < lacking:
            return False
        lacking = _size_to_judge(scan) - scan.held
    return True


cdef size_t _scan(FrameScan *scan, const uint8_t *base, size_t size) noexcept:
    """Read on; return how much there is ahead of a frame that the client must not send, of which the verdict is set then, or else all."""
    cdef size_t at = 0
    cdef size_t begun
    cdef size_t step
    while True:
        step = min(scan.rest, size - at)
        scan.rest -= step
        at += step
        begun = at
        if not _hold(scan, base, size, &at):
            return size
        scan.verdict = _judge(scan)
        if scan.verdict != FRAME_SOUND:
            return begun
        scan.rest = _size_of_payload(scan.head) + FRAME_HEAD - scan.held
        scan.held = 0


cdef FrameVerdict _judge(FrameScan *scan) noexcept:
    """What is wrong with a frame by its head, if nghttp2 does not say so.

    RFC 9113, 5.1: nothing may come of a stream that the client has ended, or reset. Of the last ones that is known; of a stream that the server has
    ended more may have been on its way.
    """
    cdef uint8_t kind = scan.head[3]
    cdef uint8_t flags = scan.head[4]
    cdef uint32_t id = _number_at(scan.head + 5)
    if scan.in_block:                   # nghttp2 knows what may follow, and counts each part of a head that comes in parts
        scan.in_block = flags & nghttp2.NGHTTP2_FLAG_END_HEADERS == 0
        scan.continuations += 1
        return FRAME_OF_ENDLESS_BLOCK if scan.continuations > MOST_CONTINUATIONS else FRAME_SOUND
    if kind == nghttp2.NGHTTP2_DATA or kind == nghttp2.NGHTTP2_HEADERS:
        if _is_ended(scan, id):
            return FRAME_OF_ENDED_STREAM
        if flags & nghttp2.NGHTTP2_FLAG_END_STREAM:
            _note_ended(scan, id)
        scan.in_block = kind == nghttp2.NGHTTP2_HEADERS and flags & nghttp2.NGHTTP2_FLAG_END_HEADERS == 0
        scan.continuations = 0
    elif kind == nghttp2.NGHTTP2_RST_STREAM:
        if not _is_ended(scan, id):
            _note_ended(scan, id)
    elif kind == nghttp2.NGHTTP2_PRIORITY:
        # RFC 9113, 6.3; RFC 7540, 5.3.1. Nothing is made of such priorities.
        if id == 0 or scan.held > FRAME_HEAD and _number_at(scan.head + FRAME_HEAD) == id:
            return FRAME_OF_BAD_PRIORITY
    return FRAME_SOUND


cdef bint _is_ended(const FrameScan *scan, uint32_t id) noexcept:
    cdef int i
    for i in range(ENDED_STREAMS):
        if scan.ended[i] == id:
            return id != 0
    return False


cdef void _note_ended(FrameScan *scan, uint32_t id) noexcept:
    scan.ended[scan.oldest] = id
    scan.oldest = (scan.oldest + 1) % ENDED_STREAMS
