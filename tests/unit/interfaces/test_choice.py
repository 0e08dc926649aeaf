"""By which interface an application is served, and what is said of one that cannot be."""

from __future__ import annotations

import functools

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
        pass


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (asgi, "asgi"),
        (forwarding, "asgi"),
        (functools.partial(asgi), "asgi"),
        (AsgiObject(), "asgi"),
        (AsgiObject().__call__, "asgi"),
        (RsgiObject(), "rsgi"),
        (RsgiClass, "rsgi"),
        (Both(), "rsgi"),
        (print, "asgi"),  # takes whatever it is given
    ],
)
def test_auto(app, interface):
    chosen = choose(app, "auto")
    assert chosen.interface == interface
    assert chosen.call == (app.__rsgi__ if interface == "rsgi" else app)
    assert chosen.app is app


@pytest.mark.parametrize(
    ("app", "interface", "title"),
    [
        (Both(), "asgi", "ASGI"),
        (Both(), "asginl", "ASGI without lifespan"),
        (rsgi, "rsgi", "RSGI"),
        (Both(), "rsgi", "RSGI"),
    ],
)
def test_named(app, interface, title):
    chosen = choose(app, interface)
    assert (chosen.interface, chosen.title) == (interface, title)


@pytest.mark.parametrize(
    ("app", "interface", "match"),
    [
        (rsgi, "auto", "a coroutine function of 2 arguments, as RSGI has; .* interface to rsgi$"),
        (wsgi, "auto", "2 arguments, as WSGI has, which granite does not serve yet$"),
        (WsgiObject(), "auto", "as WSGI has"),
        (Asgi2, "auto", "1 argument, as ASGI 2 has"),
        (wsgi, "asgi", "as WSGI has"),
        (Asgi2, "asginl", "1 argument, as ASGI 2 has"),
        (RsgiObject(), "asgi", "a callable, got an object of type RsgiObject$"),
        (asgi, "rsgi", "an RSGI application, which takes scope and protocol, got one of other"),
        (RsgiObject, "auto", "an RSGI application, which takes scope and protocol, got one of"),
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
