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
    if scan.verdict != FRAME_SOUND:
        return 0
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

    RFC 9113, 5.1: neither DATA nor HEADERS may come of a stream that the client has ended. Of the last ones that is known; of a stream that the server
    has ended they may have been on their way, and of one that the client has reset another of its threads may have been about to send them.
    """
    cdef uint8_t kind = scan.head[3]
    cdef uint8_t flags = scan.head[4]
    cdef uint32_t id = _number_at(scan.head + 5)
    cdef EndedStream *ended
    if scan.in_block:                   # nghttp2 knows what may follow, and counts each part of a head that comes in parts
        scan.in_block = flags & nghttp2.NGHTTP2_FLAG_END_HEADERS == 0
        scan.continuations += 1
        return FRAME_OF_ENDLESS_BLOCK if scan.continuations > MOST_CONTINUATIONS else FRAME_SOUND
    if kind == nghttp2.NGHTTP2_DATA or kind == nghttp2.NGHTTP2_HEADERS:
        scan.in_block = kind == nghttp2.NGHTTP2_HEADERS and flags & nghttp2.NGHTTP2_FLAG_END_HEADERS == 0
        scan.continuations = 0
        ended = _ended_stream(scan, id)
        if ended is NULL:
            if flags & nghttp2.NGHTTP2_FLAG_END_STREAM:
                _note_ended(scan, id, END_OF_REQUEST)
        elif ended.end == END_OF_REQUEST:
            return FRAME_OF_ENDED_STREAM
        elif ended.end == END_BY_RESET:
            ended.end = END_IS_LATE
            scan.late = True
    elif kind == nghttp2.NGHTTP2_RST_STREAM:
        if _ended_stream(scan, id) is NULL:
            _note_ended(scan, id, END_BY_RESET)
    elif kind == nghttp2.NGHTTP2_PRIORITY:
        # RFC 9113, 6.3; RFC 7540, 5.3.1. Nothing is made of such priorities.
        if id == 0 or scan.held > FRAME_HEAD and _number_at(scan.head + FRAME_HEAD) == id:
            return FRAME_OF_BAD_PRIORITY
    return FRAME_SOUND


cdef EndedStream *_ended_stream(FrameScan *scan, uint32_t id) noexcept:
    cdef int i
    for i in range(ENDED_STREAMS):
        if scan.ended[i].id == id and id:
            return &scan.ended[i]
    return NULL


cdef void _note_ended(FrameScan *scan, uint32_t id, StreamEnd end) noexcept:
    scan.ended[scan.oldest].id, scan.ended[scan.oldest].end = id, end
    scan.oldest = (scan.oldest + 1) % ENDED_STREAMS


cdef uint32_t _next_late(FrameScan *scan) noexcept:
    """A stream of whose end the client is to be told again, as more of it has come; 0: there is none."""
    cdef int i
    for i in range(ENDED_STREAMS):
        if scan.ended[i].end == END_IS_LATE:
            scan.ended[i].end = END_IS_TOLD
            return scan.ended[i].id
    scan.late = False
    return 0
