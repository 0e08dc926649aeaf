# A request that turns its connection into a WebSocket (RFC 9110, 7.8; RFC 6455, 4.2).

cdef bint _asks_for_websocket(RequestReader reader) except -1:
    """Whether the fields ask for one. An Upgrade that Connection does not list is no offer, and HTTP/1.0 has none."""
    cdef bytes name
    cdef bytes value
    if not reader.http11:
        return False
    for name, value in reader.fields:
        if name == b"connection" and has_token(value, len(value), b"upgrade", 7):
            return True
    return False


cdef Handshake _judge_upgrade(RequestReader reader):
    """What the client asks for; or with a status why it does not get it."""
    cdef Handshake handshake = reader.http.websockets.judge(reader.fields, True)
    if reader.method != "GET":
        handshake.status = 400
        handshake.why = "the method of a request for a WebSocket is not GET"
    elif reader.codings or reader.parser.content_length:
        handshake.status = 400
        handshake.why = "a request for a WebSocket has a body"
    return handshake


cdef int _write_accept(Http1Session session, Exchange exchange, list fields) except -1:
    cdef Transport transport = session.transport
    cdef char *start
    cdef char *place
    session.start_response(exchange, 101, fields)
    start = out_reserve(transport.pool, &transport.out, END_ROOM)
    place = _put_text(start, b"upgrade: websocket\r\nconnection: Upgrade\r\n\r\n", 43)
    out_commit(&transport.out, place - start)
    exchange.bytes_out += transport.held + (place - start)
    if session.http.note_first_byte:
        exchange.first_byte_at = clock()
    transport.held = 0
    return exchange._set_response(RESPONSE_BODY)


cdef int _take_over(Http1Session session, Exchange exchange) except -1:
    """The connection belongs to the WebSocket from now on; what the client has sent for it is handed over when the current call is through."""
    cdef Session successor = session.http.websockets.open(session.http, session.transport, exchange)
    exchange.protocol = successor
    session.successor = successor
    session.exchange = None
    exchange.bytes_in = session.raw_size
    if session.http.access_log is not None:
        session.http.access_log.append(exchange)
    if session.http.draining:
        successor.drain()
    if session.transport.unsent() >= session.http.write_high_water:
        session.transport.flush()       # the application may wait for that
    if session.feeding:
        return 0
    if session.transport.corked == 0:
        session.transport.flush()
    return session.transport.resume_soon()
