"""wsgi.file_wrapper: files that are sent as they are, and what has to be read."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tempfile

import pytest

from tests.server.apps import eventually
from tests.server.wsgi.apps import PLAIN

DATA = bytes(range(256)) * 1500
SMALL = b"small"


def wrapping(make, *headers, block=8192):
    """An application that returns a wrapped file, which it makes for each request."""

    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, *headers])
        return environ["wsgi.file_wrapper"](make(), block)

    return app


@pytest.fixture(params=[DATA, SMALL, b""], ids=["large", "small", "empty"])
def content(request):
    return request.param


@pytest.fixture
def path(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def buffered(path):
    return path.open("rb")


def unbuffered(path):
    return path.open("rb", buffering=0)


def updated(path):
    return path.open("r+b")


def temporary(path):
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(path.read_bytes())
    file.seek(0)
    return file


def named(path):
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(path.read_bytes())
    file.seek(0)
    return file


@pytest.mark.parametrize("make", [buffered, unbuffered, updated, temporary, named])
def test_files(connect, path, content, make):
    """Their lengths are known, so that the response has them."""
    made = []

    def opened():
        made.append(make(path))
        return made[-1]

    client = connect(wrapping(opened))
    for _ in range(2):
        response = client.ask()
        assert (response.body, response.framing) == (content, "length")
        head = client.ask(method="HEAD")
        assert head.status == 200
        assert head.get("content-length") == (str(len(content)) if content else None)
    eventually(lambda: all(file.closed for file in made))


def spooled(path):
    file = tempfile.SpooledTemporaryFile(max_size=10**7)  # noqa: SIM115
    file.write(path.read_bytes())
    file.seek(0)
    return file


class Delegating:
    """A file within a file, as frameworks have them, that reads as the one within."""

    def __init__(self, file):
        self.file = file

    read = property(lambda self: self.file.read)

    def close(self):
        self.file.close()


class Upper:
    """A file that changes what is read from the one within."""

    def __init__(self, file):
        self.file = file

    def read(self, size=-1):
        return self.file.read(size).swapcase()

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()


class Counting(io.FileIO):
    """A file of one's own."""

    def read(self, size=-1):
        return (super().read(size) or b"").swapcase()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: io.BytesIO(path.read_bytes()),
        spooled,
        lambda path: Delegating(path.open("rb")),
        lambda path: Delegating(io.BytesIO(path.read_bytes())),
        lambda path: io.BufferedReader(io.BytesIO(path.read_bytes())),
        lambda path: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(path.read_bytes()))),
    ],
    ids=["BytesIO", "spooled", "delegating", "delegating BytesIO", "buffered BytesIO", "gzip"],
)
def test_what_is_like_a_file(connect, path, content, make):
    client = connect(wrapping(lambda: make(path), block=1000))
    for _ in range(2):
        assert client.ask().body == content


@pytest.mark.parametrize("make", [lambda path: Upper(path.open("rb")), Counting])
def test_files_that_change_what_they_read_are_read(connect, path, content, make):
    """What lies on the disk may be encrypted, for one."""
    assert connect(wrapping(lambda: make(path))).ask().body == content.swapcase()


def test_a_pipe(connect):
    """It has a descriptor, but neither a position nor a length."""
    processes = []

    def output():
        process = subprocess.Popen(["printf", "%s", "from a process"], stdout=subprocess.PIPE)
        processes.append(process)
        return process.stdout

    client = connect(wrapping(output))
    for _ in range(2):
        assert client.ask().body == b"from a process"
    for process in processes:
        process.wait()


def test_a_device(connect):
    response = connect(wrapping(lambda: open("/dev/null", "rb"))).ask()  # noqa: PTH123, SIM115
    assert (response.status, response.body) == (200, b"")


def test_a_text_file_is_the_applications_error(connect, serve, tmp_path):
    (tmp_path / "file").write_text("text")
    server = serve(wrapping(lambda: (tmp_path / "file").open()))
    assert connect(server).ask().status == 500
    assert "expected bytes, got str" in str(server.exceptions[0])


def test_a_file_that_is_closed_is_the_applications_error(connect, serve, tmp_path):
    file = (tmp_path / "file").open("wb+")
    file.close()
    server = serve(wrapping(lambda: file))
    assert connect(server).ask().status == 500
    assert isinstance(server.exceptions[0], ValueError)


# where it begins, and where it ends


@pytest.mark.parametrize("content", [DATA], indirect=True, ids=["large"])
@pytest.mark.parametrize("offset", [1, 200_000, len(DATA), len(DATA) + 5])
@pytest.mark.parametrize("make", [buffered, unbuffered])
def test_it_begins_where_the_file_stands(connect, path, make, offset):
    def opened():
        file = make(path)
        file.seek(offset)
        return file

    response = connect(wrapping(opened)).ask()
    assert (response.body, response.framing) == (DATA[offset:], "length")


@pytest.mark.parametrize("content", [DATA], indirect=True, ids=["large"])
def test_what_was_read_ahead_is_not_sent(connect, path):
    """The descriptor stands behind what the buffer has read."""

    def opened():
        file = path.open("rb")
        assert file.read(10) == DATA[:10]
        file.peek(100)
        return file

    assert connect(wrapping(opened)).ask().body == DATA[10:]


@pytest.mark.parametrize("content", [DATA], indirect=True, ids=["large"])
@pytest.mark.parametrize("length", [0, 1, 100_000])
def test_no_more_than_the_length(connect, path, length):
    """A range of a file: from where it stands, as much as Content-Length says."""

    def opened():
        file = path.open("rb")
        file.seek(1000)
        return file

    client = connect(wrapping(opened, ("Content-Length", str(length))))
    for _ in range(2):
        assert client.ask().body == DATA[1000 : 1000 + length]


@pytest.mark.parametrize("length", [None, 30_010, 100, 10], ids=str)
def test_a_file_behind_what_was_written(connect, serve, tmp_path, length):
    """It comes last, and takes what is left of the length."""
    path = tmp_path / "file"
    path.write_bytes(b"f" * 30_000)
    fields = [] if length is None else [("Content-Length", str(length))]

    def app(environ, start_response):
        start_response("200 OK", [*PLAIN, *fields])(b"w" * 10)
        return environ["wsgi.file_wrapper"](path.open("rb"))

    server = serve(app)
    client = connect(server)
    for _ in range(20):
        assert client.ask().body == (b"w" * 10 + b"f" * 30_000)[:length]
    assert server.exceptions == []


@pytest.mark.parametrize("content", [DATA, SMALL], indirect=True, ids=["large", "small"])
def test_a_file_that_is_shorter_than_the_length(connect, path, content, log):
    """The client can tell."""
    client = connect(wrapping(lambda: path.open("rb"), ("Content-Length", "1000000")))
    client.request()
    rest = client.rest()
    assert rest.endswith(b"\r\n\r\n" + content)
    eventually(lambda: "shorter than its content-length" in "".join(log.messages))


@pytest.mark.parametrize("content", [DATA], indirect=True, ids=["large"])
def test_a_file_that_is_deleted_while_it_is_sent(connect, path):
    def opened():
        file = path.open("rb")
        path.unlink()
        return file

    client = connect(wrapping(opened), receive_buffer=4096)
    assert client.ask().body == DATA


def test_a_large_file_for_a_slow_client(connect, serve, tmp_path):
    """Others are served meanwhile, and nothing of it is kept in memory."""
    size = 50_000_000
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", size)

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] == "/quick":
            return [b"quick"]
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    server = serve(app)
    slow, quick = connect(server, receive_buffer=4096), connect(server)
    slow.request()
    slow.until(b"\r\n\r\n")
    for _ in range(3):
        assert quick.ask("/quick").body == b"quick"
    assert server.counters()["files"] == 1
    assert len(slow.read(1_000_000)) == 1_000_000
    slow.close()
    eventually(lambda: server.counters()["files"] == 0)


# the wrapper itself


def test_the_wrapper_as_an_iterator(connect):
    def app(environ, start_response):
        wrapper = environ["wsgi.file_wrapper"](io.BytesIO(b"abcdefg"), 3)
        assert (wrapper.blksize, iter(wrapper)) == (3, wrapper)
        start_response("200 OK", PLAIN)
        return [b"|".join(wrapper)]

    assert connect(app).ask().body == b"abc|def|g"


def test_a_wrapper_within_something_else_is_read(connect, tmp_path):
    """Only one that is returned as it is may be sent as it is."""
    (tmp_path / "file").write_bytes(b"abc")

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        with (tmp_path / "file").open("rb") as file:
            for piece in environ["wsgi.file_wrapper"](file):
                yield piece.upper()

    assert connect(app).ask().body == b"ABC"


def test_a_wrapper_of_ones_own(connect, tmp_path):
    (tmp_path / "file").write_bytes(b"abc")

    def app(environ, start_response):
        wrapper = environ["wsgi.file_wrapper"]
        own = type("Own", (wrapper,), {"__next__": lambda self: wrapper.__next__(self).upper()})
        start_response("200 OK", PLAIN)
        return own((tmp_path / "file").open("rb"))

    assert connect(app).ask().body == b"ABC"


def test_the_file_is_closed_once(connect, tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    closed = []

    def opened():
        file = (tmp_path / "file").open("rb")
        close = file.close

        def closing():
            closed.append(file)
            close()

        file.close = closing  # as Django has it
        return file

    client = connect(wrapping(opened))
    for method in ("GET", "HEAD"):
        assert client.ask(method=method).status == 200
    eventually(lambda: len(closed) == 2)
    assert closed[0] is not closed[1]
    closed.clear()


def test_a_file_that_can_not_be_closed(connect):
    class Bare:
        def __init__(self):
            self.pieces = [b"a", b"b", b""]

        def read(self, size):
            return self.pieces.pop(0)

    assert connect(wrapping(Bare)).ask().body == b"ab"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_content(connect, tmp_path, status):
    (tmp_path / "file").write_bytes(DATA)

    def app(environ, start_response):
        start_response(status, [])
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    client = connect(app)
    for _ in range(2):
        assert client.ask().status == int(status[:3])


def test_werkzeug(connect, tmp_path):
    send_file = pytest.importorskip("werkzeug.utils").send_file
    (tmp_path / "file.bin").write_bytes(DATA)

    def app(environ, start_response):
        response = send_file(tmp_path / "file.bin", environ, conditional=True)
        return response(environ, start_response)

    client = connect(app)
    response = client.ask()
    assert (response.body, response.get("content-length")) == (DATA, str(len(DATA)))
    part = client.ask("/", "Range: bytes=1000-200999")
    assert (part.status, part.body) == (206, DATA[1000:201_000])
    assert client.ask("/", f"If-None-Match: {response.get('etag')}").status == 304
    assert client.ask(method="HEAD").get("content-length") == str(len(DATA))
