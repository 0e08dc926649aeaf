# What the access log hears of a request that never became an exchange.

cdef Exchange _record_of(RequestReader reader):
    """What is known of a request that is refused, which may be no more than that it came."""
    cdef Exchange exchange = reader.http.record(reader.transport, reader.fields, reader.forwarded if reader.declined else 0)
    exchange.head_only = reader.head_only
    if reader.method is not None:
        exchange.method = reader.method
        exchange.http_version = _HTTP11 if reader.http11 else _HTTP10
        _set_raw_target(exchange, PyBytes_FromStringAndSize(reader.target, reader.target_size))
    elif reader.line is not None:
        _split_line(exchange, reader.line)
    return exchange


cdef int _split_line(Exchange exchange, bytes line) except -1:
    """Take a request line apart that need not be one."""
    method, blank, target = line.rstrip(b"\r\n").partition(b" ")
    exchange.method = method.decode("ascii", "surrogateescape")
    if blank:
        before, mark, version = target.rpartition(b" HTTP/")
        if mark:
            exchange.http_version = version.decode("ascii", "surrogateescape")
        _set_raw_target(exchange, before if mark else target)
    return 0


cdef int _set_raw_target(Exchange exchange, bytes target) except -1:
    exchange.raw_path, mark, query = target.partition(b"?")
    exchange.query_string = query if mark else None
    return 0
