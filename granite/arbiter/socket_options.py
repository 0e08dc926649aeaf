"""The TCP options of the listening sockets, which on Linux each accepted connection inherits.

Owns which setting is which option. Must not know where a socket comes from. Main thread of the
arbiter.
"""

from __future__ import annotations

import _socket

from granite.errors import BootError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.settings.config import Config

__all__ = ["set_tcp_options"]


def set_tcp_options(sock: _socket.socket, config: Config) -> None:
    """Set what `config` wants of a TCP socket; what a setting leaves to the system is not touched.

    Raises BootError, which names the setting, for an option that the system does not have.
    """
    wanted = [("tcp_nodelay", _socket.IPPROTO_TCP, "TCP_NODELAY", int(config.tcp_nodelay))]
    if config.tcp_keepalive_idle > 0:
        wanted += [
            ("tcp_keepalive_idle", _socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
            _tcp("tcp_keepalive_idle", "TCP_KEEPIDLE", _whole(config.tcp_keepalive_idle)),
            _tcp("tcp_keepalive_interval", "TCP_KEEPINTVL", _whole(config.tcp_keepalive_interval)),
            _tcp("tcp_keepalive_count", "TCP_KEEPCNT", config.tcp_keepalive_count),
        ]
    if config.tcp_user_timeout > 0:
        milliseconds = _whole(config.tcp_user_timeout * 1000)
        wanted.append(_tcp("tcp_user_timeout", "TCP_USER_TIMEOUT", milliseconds))
    if config.tcp_fastopen > 0:
        wanted.append(_tcp("tcp_fastopen", "TCP_FASTOPEN", config.tcp_fastopen))
    if config.tcp_defer_accept > 0:
        seconds = _whole(config.tcp_defer_accept)
        wanted.append(_tcp("tcp_defer_accept", "TCP_DEFER_ACCEPT", seconds))
    for setting, level, name, value in wanted:
        option = getattr(_socket, name, None)
        try:
            if option is not None:
                sock.setsockopt(level, option, value)
                continue
            why = "this system does not have it"
        except OSError as exc:
            why = f"the system refuses it: {reason(exc)}"
        raise BootError(f"{setting}: cannot set {name} to {value}: {why}")


def _tcp(setting: str, name: str, value: int) -> tuple[str, int, str, int]:
    return setting, _socket.IPPROTO_TCP, name, value


def _whole(number: float) -> int:
    # Never 0, which would mean the system's default.
    return max(1, round(number))
