"""granite: a Python application server with a C core.

`Granite` runs the whole server, with its processes; `Server` serves an application on the event
loop that is running; `granite.testing` holds what a test suite needs.

Owns the version and where those names come from: importing the package loads neither asyncio nor
the C core, because the arbiter process imports it too. Any thread may import it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.api import Granite
    from granite.embedded import Server

__all__ = ["Granite", "Server", "__version__"]

__version__ = "0.1.0"

_MODULES = {"Granite": "granite.api", "Server": "granite.embedded"}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
