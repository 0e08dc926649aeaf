# The handshake: what a client asks for (RFC 6455, 4.2; RFC 7692, 7.1), and what it is answered.

cdef bytes _GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
cdef const char *_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


cdef class OfferedHandshake(Handshake):
    """A handshake, and what was agreed on of compression."""


cdef bint is_key(bytes key) noexcept:
    """Whether this is 16 octets in base64."""
    cdef const char *base = PyBytes_AS_STRING(<PyObject *>key)
    cdef int i
    if PyBytes_GET_SIZE(<PyObject *>key) != 24 or base[22] != 61 or base[23] != 61:
        return False
    for i in range(22):
        if memchr(_BASE64, base[i], 64) is NULL:
            return False
    return True


cdef bytes _accept_of(bytes key):
    """The value of Sec-WebSocket-Accept."""
    cdef unsigned char digest[21]
    cdef char text[28]
    cdef int i
    cdef uint32_t group
    cdef bytes joined = key + _GUID
    granite_sha1(PyBytes_AS_STRING(<PyObject *>joined), PyBytes_GET_SIZE(<PyObject *>joined), digest)
    digest[20] = 0
    for i in range(7):
        group = <uint32_t>digest[3 * i] << 16 | <uint32_t>digest[3 * i + 1] << 8 | digest[3 * i + 2]
        text[4 * i] = _BASE64[group >> 18]
        text[4 * i + 1] = _BASE64[group >> 12 & 63]
        text[4 * i + 2] = _BASE64[group >> 6 & 63]
        text[4 * i + 3] = _BASE64[group & 63]
    text[27] = 61
    return PyBytes_FromStringAndSize(text, 28)


cdef int _judge(WebSocketContext context, OfferedHandshake handshake, list fields, bint is_http1) except -1:
    """Take a request's fields apart; `status` and `why` say what is wrong with them."""
    cdef bytes key = None
    cdef bytes origin = None
    cdef list versions = []
    cdef list offers = []
    cdef bytes name
    cdef bytes value
    cdef int keys = 0
    for name, value in fields:
        if name == b"origin":
            origin = value
        elif not name.startswith(b"sec-websocket-"):
            continue
        elif name == b"sec-websocket-key":
            keys += 1
            key = value
        elif name == b"sec-websocket-version":
            versions.append(value)
        elif name == b"sec-websocket-protocol":
            for token in value.split(b","):
                token = token.strip(b" \t")
                if token and not is_token(token, len(token)):
                    return _refuse(handshake, 400, "a subprotocol is no token")
                if token:
                    handshake.subprotocols.append(token.decode("ascii"))
        elif name == b"sec-websocket-extensions":
            offers.append(value)
    if versions != [b"13"]:
        return _refuse(handshake, 426, "the version of WebSocket is not 13")
    if is_http1:
        if keys != 1 or not is_key(key):
            return _refuse(handshake, 400, "the value of Sec-WebSocket-Key is not 16 octets in base64")
        handshake.accept = _accept_of(key)
    if origin is not None and context.origins is not None and origin.lower() not in context.origins:
        return _refuse(handshake, 403, "the origin is not in ws_origins")
    if offers and context.deflate.on:
        _negotiate(context, handshake, b",".join(offers))
    return 0


cdef int _refuse(Handshake handshake, int status, str why) except -1:
    handshake.status = status
    handshake.why = why
    return 0


cdef int _negotiate(WebSocketContext context, OfferedHandshake handshake, bytes offers) except -1:
    """Agree to the first offer that can be kept (RFC 7692, 5). What is none is nothing that was asked for."""
    for offer in offers.split(b","):
        parts = [part.strip(b" \t") for part in offer.split(b";")]
        if parts[0].lower() == b"permessage-deflate" and _agree(context, handshake, parts[1:]):
            return 0
    return 0


cdef bint _agree(WebSocketContext context, OfferedHandshake handshake, list parameters) except -1:
    """Whether an offer of permessage-deflate can be kept; then the answer to it is made."""
    cdef Deflate agreed = context.deflate
    cdef set seen = set()
    cdef bytes answer = b"permessage-deflate"
    cdef int bits
    for parameter in parameters:
        name, equals, value = parameter.partition(b"=")
        name = name.rstrip(b" \t").lower()
        value = value.lstrip(b" \t")
        if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
            value = value[1:len(value) - 1]
        if name in seen:
            return False
        seen.add(name)
        if name == b"server_no_context_takeover" and not equals:
            agreed.server_takeover = False
        elif name == b"client_no_context_takeover" and not equals:
            agreed.client_takeover = False
        elif name == b"server_max_window_bits" and equals:
            bits = _bits(value)
            # zlib has no window of 256 bytes.
            if bits < 9:
                return False
            agreed.server_bits = min(agreed.server_bits, bits)
        elif name == b"client_max_window_bits":
            bits = _bits(value) if equals else MOST_BITS
            if bits < 8:
                return False
            agreed.client_bits = min(agreed.client_bits, bits)
        else:
            return False
    if not agreed.server_takeover:
        answer += b"; server_no_context_takeover"
    if not agreed.client_takeover:
        answer += b"; client_no_context_takeover"
    if b"server_max_window_bits" in seen or agreed.server_bits < MOST_BITS:
        answer += b"; server_max_window_bits=%d" % agreed.server_bits
    if b"client_max_window_bits" not in seen:
        agreed.client_bits = MOST_BITS  # RFC 7692, 7.1.2.2: it may not be told
    elif agreed.client_bits < MOST_BITS:
        answer += b"; client_max_window_bits=%d" % agreed.client_bits
    handshake.extensions = answer
    handshake.deflate = agreed
    return True


cdef int _bits(bytes value) noexcept:
    """The size of a window, 8 to 15 without leading zeros; 0 for anything else."""
    cdef const char *base = PyBytes_AS_STRING(<PyObject *>value)
    if PyBytes_GET_SIZE(<PyObject *>value) == 1 and 56 <= base[0] <= 57:
        return base[0] - 48
    if PyBytes_GET_SIZE(<PyObject *>value) == 2 and base[0] == 49 and 48 <= base[1] <= 53:
        return 10 + base[1] - 48
    return 0
