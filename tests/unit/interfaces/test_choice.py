"""By which interface an application is served, and what is said of one that cannot be."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from granite.errors import LoadError
from granite.interfaces.choice import choose, is_application


async def asgi(scope, receive, send):
    pass


async def rsgi(scope, protocol):
    pass


def wsgi(environ, start_response):
    pass


def forwarding(scope, receive, send):
    return asgi(scope, receive, send)


class AsgiObject:
    async def __call__(self, scope, receive, send):
        pass


class RsgiObject:
    async def __rsgi__(self, scope, protocol):
        pass


class RsgiClass:
    @staticmethod
    async def __rsgi__(scope, protocol):
        pass


class Both(AsgiObject, RsgiObject):
    pass


class Asgi2:
    def __init__(self, scope):
        pass

    async def __call__(self, receive, send):
        pass


class WsgiObject:
    def __call__(self, environ, start_response):
        return []


class WsgiClass:
    """An iterable that is made for each request, as PEP 3333 has it."""

    def __init__(self, environ, start_response):
        pass

    def __iter__(self):
        yield b""


class AsgiClass:
    def __init__(self, scope, receive, send):
        pass

    def __await__(self):
        yield


class StaticWsgi:
    @staticmethod
    def __call__(environ, start_response):
        return []


class ClassWsgi:
    @classmethod
    def __call__(cls, environ, start_response):
        return []


class Framework:
    """Its objects are applications."""

    def __init__(self, name, folder=None, debug=False):
        pass

    def __call__(self, environ, start_response):
        return []


class Anything:
    def __call__(self, *args, **kwargs):
        pass


class AsyncAnything:
    async def __call__(self, *args):
        pass


class Proxied:
    """An object whose signature is told by what it stands for, as monitoring agents make them."""

    def __init__(self, app):
        self.__wrapped__ = app

    def __call__(self, *args, **kwargs):
        return self.__wrapped__(*args, **kwargs)


def decorated(app):
    @functools.wraps(app)
    def inner(*args, **kwargs):
        return app(*args, **kwargs)

    return inner


def old_wsgi(environ, start_response, exc_info=None):
    return []


def with_scope_and_more(scope, receive, send, *, debug=False):
    pass


def create_app(config=None, debug=False):
    pass


def lonely(*, config):
    pass


def asgi_2(scope):
    return asgi


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (asgi, "asgi"),
        (forwarding, "asgi"),
        (with_scope_and_more, "asgi"),
        (functools.partial(asgi), "asgi"),
        (functools.partial(forwarding), "asgi"),
        (functools.partial(lambda debug, scope, receive, send: None, True), "asgi"),
        (AsgiObject(), "asgi"),
        (AsgiObject().__call__, "asgi"),
        (AsgiClass, "asgi"),
        (AsyncAnything(), "asgi"),
        (decorated(asgi), "asgi"),
        (decorated(forwarding), "asgi"),
        (Proxied(AsgiObject()), "asgi"),
        (RsgiObject(), "rsgi"),
        (RsgiClass, "rsgi"),
        (Both(), "rsgi"),
        (wsgi, "wsgi"),
        (old_wsgi, "wsgi"),
        (functools.partial(wsgi), "wsgi"),
        (functools.partial(lambda debug, environ, start_response: [], True), "wsgi"),
        (functools.partial(lambda environ, start_response, debug: [], debug=True), "wsgi"),
        (WsgiObject(), "wsgi"),
        (WsgiObject().__call__, "wsgi"),
        (WsgiClass, "wsgi"),
        (StaticWsgi(), "wsgi"),
        (ClassWsgi(), "wsgi"),
        (Framework("name"), "wsgi"),
        (decorated(wsgi), "wsgi"),
        (decorated(WsgiObject().__call__), "wsgi"),
        (Proxied(wsgi), "wsgi"),
        # What takes whatever it is given says nothing.
        (Anything(), "wsgi"),
        (lambda *args: None, "wsgi"),
        (print, "wsgi"),
    ],
)
def test_auto(app, interface):
    chosen = choose(app, "auto")
    assert chosen.interface == interface
    assert chosen.call == (app.__rsgi__ if interface == "rsgi" else app)
    assert chosen.app is app
    assert chosen.is_async == (interface != "wsgi")


@pytest.mark.parametrize(
    ("module", "name", "interface"),
    [
        ("flask", "Flask('name')", "wsgi"),
        ("falcon", "App()", "wsgi"),
        ("falcon.asgi", "App()", "asgi"),
        ("bottle", "Bottle()", "wsgi"),
        ("django.core.handlers.wsgi", "WSGIHandler.__new__(WSGIHandler)", "wsgi"),
        ("django.core.handlers.asgi", "ASGIHandler.__new__(ASGIHandler)", "asgi"),
        ("starlette.applications", "Starlette()", "asgi"),
        ("starlette.endpoints", "HTTPEndpoint", "asgi"),
        ("fastapi", "FastAPI()", "asgi"),
        ("litestar", "Litestar()", "asgi"),
        ("quart", "Quart('name')", "asgi"),
    ],
)
def test_frameworks(module, name, interface):
    found = pytest.importorskip(module)
    assert choose(eval(name, vars(found)), "auto").interface == interface


@pytest.mark.parametrize(
    ("app", "interface", "title"),
    [
        (Both(), "asgi", "ASGI"),
        (Both(), "asginl", "ASGI without lifespan"),
        (rsgi, "rsgi", "RSGI"),
        (Both(), "rsgi", "RSGI"),
        (wsgi, "wsgi", "WSGI"),
        (create_app, "wsgi", "WSGI"),
        (Framework, "wsgi", "WSGI"),
        (Anything(), "asgi", "ASGI"),
        (Anything(), "wsgi", "WSGI"),
        (print, "rsgi", "RSGI"),
    ],
)
def test_named(app, interface, title):
    chosen = choose(app, interface)
    assert (chosen.interface, chosen.title) == (interface, title)


@pytest.mark.parametrize(
    ("app", "interface", "match"),
    [
        (rsgi, "auto", "a coroutine function of 2 arguments, as RSGI has; .* interface to rsgi$"),
        (Asgi2, "auto", "a WSGI application, .*, got one of 1 argument, as ASGI 2 has, which gran"),
        (asgi_2, "auto", "1 argument, as ASGI 2 has"),
        (asgi_2, "asgi", "an ASGI application, .*, got one of 1 argument, as ASGI 2 has"),
        (
            wsgi,
            "asgi",
            "one of 2 arguments, as WSGI has; where it is .* set the interface to wsgi$",
        ),
        (Asgi2, "asginl", "1 argument, as ASGI 2 has"),
        (
            RsgiObject(),
            "asgi",
            "an ASGI application, a callable, got an object of type RsgiObject$",
        ),
        (RsgiObject(), "wsgi", "a WSGI application, a callable, got an object of type RsgiObject$"),
        (
            asgi,
            "rsgi",
            "takes scope and protocol, got a coroutine function of 3 arguments, as ASGI",
        ),
        (forwarding, "rsgi", "got one of 3 arguments, as ASGI has; .* set the interface to asgi$"),
        (asgi, "wsgi", "takes environ and start_response, got a coroutine function of 3 arguments"),
        (rsgi, "wsgi", "got a coroutine function of 2 arguments, as RSGI has"),
        (AsyncAnything(), "wsgi", "got a coroutine function of 2 arguments, as RSGI has"),
        (forwarding, "wsgi", "got one of 3 arguments, as ASGI has; .* set the interface to asgi$"),
        (RsgiObject, "auto", "an RSGI application, .* protocol, got one of other arguments$"),
        (lambda: None, "auto", "one of no arguments; where it makes the application, set factory$"),
        (create_app, "auto", "got one that can be called with fewer; .* application, set factory$"),
        (Framework, "auto", "got a class that can be called with fewer; where it makes"),
        (lonely, "auto", "one of other arguments$"),
        (lambda a, b, c, d: None, "auto", "one of other arguments$"),
        (lambda a, b, c, d: None, "asgi", "one of other arguments$"),
    ],
)
def test_refused(app, interface, match):
    with pytest.raises(LoadError, match=match) as caught:
        choose(app, interface)
    assert "\n" not in str(caught.value)


def test_is_application():
    assert is_application(asgi)
    assert is_application(RsgiObject())
    assert not is_application(object())


def test_what_is_chosen_without_inspect():
    """It costs a worker a megabyte."""
    code = (
        "import sys; from granite.interfaces.choice import choose\n"
        "def app(environ, start_response): ...\n"
        "class Object: __call__ = lambda self, environ, start_response: None\n"
        "for found in (app, Object(), Object().__call__):\n"
        "    assert choose(found, 'auto').interface == 'wsgi'\n"
        "assert not {'inspect', 'asyncio'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
