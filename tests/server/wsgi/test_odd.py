"""Applications that do what applications should not: the server must survive them."""

from __future__ import annotations

import gc
import threading

import pytest

from tests.patience import PATIENCE
from tests.server.apps import Seen, eventually
from tests.server.raw import request
from tests.server.wsgi.apps import PLAIN, Closing, Gate, returning


def test_headers_that_change_while_they_are_looked_at(connect, serve):
    class Pair(tuple):
        __slots__ = ()

        def __len__(self):
            headers.clear()
            gc.collect()
            return 2

        def __iter__(self):
            headers.extend([("X-Late", "1")] * 100)
            return super().__iter__()

    headers: list[tuple[str, ...]] = []

    def app(environ, start_response):
        headers[:] = [("X-A", "b"), Pair(("X-C", "d")), ("X-E", "f")] * 10
        start_response("200 OK", headers)
        return [b"x"]

    client = connect(app)
    for _ in range(3):
        response = client.ask()
        assert (response.status, response.get("x-a")) == (200, "b")


def test_headers_whose_parts_call_back(connect):
    """Into what is being called."""
    seen = Seen()

    def app(environ, start_response):
        class Pair(tuple):
            __slots__ = ()

            def __iter__(self):
                start_response("202 Accepted", [("X-Inner", "1")])
                return super().__iter__()

        try:
            start_response("200 OK", [Pair(("X-Outer", "1"))])
        except RuntimeError as exc:
            seen.put(str(exc))
        return [b"x"]

    response = connect(app).ask()
    assert (response.status, response.body) in ((200, b"x"), (202, b"x"))


def test_pieces_that_call_back(connect):
    """A piece that becomes bytes by code which writes another."""

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)

        class Piece(bytes):
            def __bytes__(self):
                write(b"inner ")
                return b"outer"

        write(Piece(b"ignored"))
        return [Piece(b"ignored"), Piece(b"ignored")]

    client = connect(app)
    for _ in range(2):
        assert client.ask().body.count(b"inner ") == 3


def test_an_iterator_that_writes(connect):
    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        for _ in range(3):
            write(b"written ")
            yield b"yielded "

    assert connect(app).ask().body == b"written yielded " * 3


def test_an_iterator_that_is_called_back_into(connect, serve):
    """A generator that is asked for a piece by its own piece raises, and the call ends."""

    def app(environ, start_response):
        def pieces():
            yield next(generator)

        generator = pieces()
        start_response("200 OK", PLAIN)
        return generator

    server = serve(app)
    assert connect(server).ask().status == 500
    assert "already executing" in str(server.exceptions[0])


def test_close_that_calls_everything(connect, serve):
    """start_response(), write(), the input, and the generator itself."""
    seen = Seen()

    class Result(Closing):
        def __init__(self, environ, start_response):
            super().__init__([b"one"])
            self.environ = environ
            self.start_response = start_response
            self.write = start_response("200 OK", PLAIN)

        def close(self):
            super().close()
            for call in (
                lambda: self.start_response("200 OK", PLAIN),
                lambda: self.write(b"more"),
                self.environ["wsgi.input"].read,
                lambda: self.environ["wsgi.early_hints"]([("a", "b")]),
                lambda: list(self),
            ):
                seen.put(attempt(call))

    server = serve(Result)
    client = connect(server)
    for _ in range(2):
        assert client.ask(method="POST", body=b"abc").body == b"one"
        found = [seen.get() for _ in range(5)]
        assert found == [RuntimeError, RuntimeError, b"abc", None, []]
    assert server.exceptions == []


def attempt(call):
    try:
        return call()
    except Exception as exc:
        return type(exc)


def test_objects_that_die_late_call_everything(connect, serve):
    """In the environ, with which they die: when the call is over."""
    seen = Seen()

    class Last:
        def __init__(self, environ, start_response):
            self.environ = environ
            self.start_response = start_response
            self.write = start_response("200 OK", PLAIN)

        def __del__(self):
            seen.put(
                (
                    attempt(lambda: self.start_response("200 OK", PLAIN)),
                    attempt(lambda: self.write(b"more")),
                    attempt(self.environ["wsgi.input"].read),
                    attempt(lambda: self.environ["wsgi.early_hints"]([("a", "b")])),
                )
            )

    def app(environ, start_response):
        environ["last"] = Last(environ, start_response)
        return [b"one"]

    server = serve(app)
    client = connect(server)
    for _ in range(3):
        assert client.ask(method="POST", body=b"abc").body == b"one"
    eventually(lambda: (gc.collect(), server.counters()["exchanges"] == 0)[1])
    for _ in range(3):
        assert seen.get() == (RuntimeError, RuntimeError, OSError, None)


def test_an_environ_that_is_emptied(connect):
    def app(environ, start_response):
        stream = environ["wsgi.input"]
        environ.clear()
        start_response("200 OK", PLAIN)
        return [stream.read()]

    client = connect(app)
    for _ in range(3):
        assert client.ask(method="POST", body=b"abc").body == b"abc"


def test_what_is_shared_does_not_change(connect):
    """What an application puts into one environ is in no other's."""

    def app(environ, start_response):
        for key in list(environ):
            if key not in ("wsgi.input", "PATH_INFO"):
                environ[key] = None
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode()]

    client = connect(app)
    for number in range(5):
        assert client.ask(f"/{number}", f"X-{number}: a").body == b"/%d" % number


def test_nobody_else_makes_what_the_server_makes(connect):
    def app(environ, start_response):
        for kind in (type(environ["wsgi.input"]), type(start_response("200 OK", PLAIN))):
            with pytest.raises(TypeError):
                kind()
            with pytest.raises(TypeError):
                getattr(kind, "__new__")(kind)  # noqa: B009
            with pytest.raises(TypeError):
                object.__new__(kind)
        wrapper = environ["wsgi.file_wrapper"]
        bare = wrapper.__new__(wrapper)
        with pytest.raises(AttributeError):
            next(bare)
        bare.close()
        return [b"x"]

    assert connect(app).ask().status == 200


def test_other_threads_of_the_application(connect, serve):
    """They may write as long as the call lasts, and are told when it is over."""
    gate, seen = Gate(), Seen()

    def late(write, start_response):
        write(b"from a thread ")
        seen.put("written")
        gate.wait()
        seen.put(attempt(lambda: write(b"late")))
        seen.put(attempt(lambda: start_response("200 OK", PLAIN)))

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        thread = threading.Thread(target=late, args=(write, start_response))
        thread.start()
        assert seen.get() == "written"
        others.append(thread)
        return [b"and from the call"]

    others: list[threading.Thread] = []
    server = serve(app)
    assert connect(server).ask().body == b"from a thread and from the call"
    gate.reach()
    eventually(lambda: server.counters()["running"] == 0)
    gate.open()
    assert [seen.get(), seen.get()] == [RuntimeError] * 2
    others[0].join(PATIENCE)


def test_a_result_that_is_returned_again_and_again(connect, serve):
    """One list for all of them; and an iterator that is at its end the second time."""
    pieces = [b"one", b"two"]
    iterator = iter([b"one", b"two"])
    client = connect(returning(lambda environ: pieces))
    assert [client.ask().body for _ in range(3)] == [b"onetwo"] * 3
    client = connect(returning(lambda environ: iterator))
    assert [client.ask().body for _ in range(3)] == [b"onetwo", b"", b""]


def test_a_list_that_changes_while_it_is_sent(connect):
    class Piece(bytes):
        def __bytes__(self):
            pieces.clear()
            return b"piece"

    pieces: list[bytes] = []

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        pieces[:] = [Piece(b"x"), b"rest"] * 5
        return pieces

    client = connect(app)
    for _ in range(2):
        assert client.ask().body == b"piece"


def test_a_server_within_the_application(connect, serve):
    """A call that asks another server, and waits for its answer."""
    inner = serve(returning(lambda environ: [b"inner"]))

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        client = connect(inner)
        return [b"outer ", client.ask().body]

    client = connect(serve(app))
    assert [client.ask().body for _ in range(2)] == [b"outer inner"] * 2


def test_a_length_of_the_result_that_lies(connect):
    class Lying(list):
        def __len__(self):
            return 1

    client = connect(returning(lambda environ: Lying([b"one", b"two"])))
    assert client.ask().body == b"onetwo"


def test_an_iterator_of_iterators_own(connect, serve):
    class Odd:
        def __iter__(self):
            return 5

    server = serve(returning(lambda environ: Odd()))
    client = connect(server)
    assert client.ask().status == 500
    assert "iter" in str(server.exceptions[0])
    client.send(request())
    assert client.response().status == 500
