"""The final values of all settings, frozen.

Owns the attributes and their types; a test holds them against the table. Hand-written so that type
checkers see it, and without dataclasses, whose import costs the arbiter 2.5 MiB. Immutable: any
thread may read it.
"""

from __future__ import annotations

from granite.errors import UsageError
from granite.settings import BY_NAME, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from granite.settings.base import Value

__all__ = ["Config"]


class Config:
    """One attribute per setting, each with its final value.

    `Config(port=0, log_level="debug")` takes the named values, parsed and checked as from any other
    source, and the defaults for the rest. Raises UsageError for a wrong value and for an unknown
    name. Timeouts are in seconds, sizes in bytes.
    """

    __slots__ = tuple(setting.name for setting in SETTINGS)

    host: str
    port: int
    backlog: int
    interface: str
    factory: bool
    working_dir: str | None
    loop: str
    lifespan: str
    url_path_prefix: str
    graceful_timeout: float
    server_header: str
    keep_alive_timeout: float
    request_head_timeout: float
    max_head_size: int
    write_high_water: int
    write_low_water: int
    body_high_water: int
    log_level: str
    access_log: bool

    def __init__(self, **values: object) -> None:
        parsed: dict[str, Value] = {}
        for name, value in values.items():
            setting = BY_NAME.get(name)
            if setting is None:
                raise UsageError(f"unknown setting {name!r}{suggestion(name, BY_NAME)}")
            parsed[name] = setting.parse(value, name)
        self._fill(parsed)

    @classmethod
    def of(cls, parsed: Mapping[str, Value]) -> Config:
        """Make a Config of values that are already parsed; settings that are not named get their
        defaults.
        """
        config = cls.__new__(cls)
        config._fill(parsed)
        return config

    def _fill(self, parsed: Mapping[str, Value]) -> None:
        for setting in SETTINGS:
            object.__setattr__(self, setting.name, parsed.get(setting.name, setting.default))
        if self.write_low_water > self.write_high_water:
            raise UsageError(
                f"write_low_water: expected at most write_high_water ({self.write_high_water}), "
                f"got {self.write_low_water}"
            )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Config is read-only; {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a Config is read-only; {name} cannot be deleted")

    def __repr__(self) -> str:
        values = ", ".join(
            f"{setting.name}={getattr(self, setting.name)!r}" for setting in SETTINGS
        )
        return f"Config({values})"


def suggestion(name: str, known: Mapping[str, object]) -> str:
    """Return ` (did you mean 'x'?)` for the nearest of `known`, or the empty string when none is
    near.
    """
    from difflib import get_close_matches  # costs 1 MiB, and only a mistake needs it

    nearest = get_close_matches(name, known, n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
