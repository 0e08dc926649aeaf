"""Applications of RSGI, and what they try."""

from __future__ import annotations

import pytest


def served(handler):
    """An application of RSGI."""

    class App:
        async def __rsgi__(self, scope, protocol):
            await handler(scope, protocol)

    return App()


def raises(error, call, *arguments):
    """Whether a call raises just this, and what it says."""
    with pytest.raises(error) as caught:
        call(*arguments)
    assert caught.type is error
    return str(caught.value)
