"""The standard library's loggers "granite.error" and "granite.access".

Owns their handlers and levels. Other loggers stay as they are, unless `log_config` names them. Must
not know what is logged. Configured by the main thread; `logging` locks by itself.
"""

from __future__ import annotations

import logging

from granite.errors import reason
from granite.log import sinks
from granite.log.formats import ACCESS_FIELDS, LEVELS
from granite.log.outputs import Output, access_output, error_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.log.sinks import Sink
    from granite.settings.config import Config

__all__ = ["AccessHandler", "ErrorHandler", "configure", "reopen", "reopen_files"]

_traceback = logging.Formatter()


class ErrorHandler(logging.Handler):
    """Write records to the error log."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`."""
        try:
            parts = []
            if record.exc_info:
                parts.append(_traceback.formatException(record.exc_info))
            elif record.exc_text:
                parts.append(record.exc_text)
            if record.stack_info:
                parts.append(record.stack_info)
            level = record.levelname.lower()
            text, details = record.getMessage(), "\n".join(parts)
            self._output.error(level, record.name, text, details, record.created)
        except Exception:
            self.handleError(record)


class AccessHandler(logging.Handler):
    """Write records to the access log. The server's own have the ACCESS_FIELDS as arguments."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    @property
    def sink(self) -> Sink:
        """Where the lines go."""
        return self._output.sink

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`."""
        try:
            if getattr(record, "complete", False):  # its text has the form that is configured
                self._output.sink.write("info", record.getMessage())
                return
            fields = record.args
            if not isinstance(fields, tuple) or len(fields) != len(ACCESS_FIELDS):
                self._output.access(record.getMessage(), (), record.created)
                return
            client, method, target, version, status = fields
            # A quote would end the request line among the words of a text line.
            if isinstance(target, str) and '"' in target:
                quoted = target.replace('"', '\\"')
                text = str(record.msg) % (client, method, quoted, version, status)
            else:
                text = record.getMessage()
            named = (client, method, target, f"HTTP/{version}", status)
            self._output.access(text, named, record.created)
        except Exception:
            self.handleError(record)


def configure(config: Config, owner: tuple[int, int] | None = None, *, fresh: bool = False) -> None:
    """See `granite.log.configure`; `fresh` reads the file of `log_config` again."""
    whole = None
    if config.log_config is not None:
        from granite.log import configuration

        whole = configuration.read(config.log_config, fresh=fresh)
    # Held until others take their place: what is dropped at once is not closed in order.
    _former = [handler for logger in _loggers() for handler in logger.handlers]
    granite, errors, access = _reset()
    granite.setLevel(LEVELS[config.log_level])
    access.setLevel(logging.INFO)
    own_errors = own_access = True
    if config.log_config is not None and whole is not None:
        configuration.apply(config.log_config, whole)
        own_errors, own_access = not errors.hasHandlers(), not access.hasHandlers()
    if not config.log:
        _silence(granite, errors, access)
        return
    if own_errors:
        # Beside a configuration not on "granite", which its "granite.access" may propagate to.
        top = granite if whole is None else errors
        top.handlers = [ErrorHandler(error_output(config, owner))]
        top.propagate = False
    errors.disabled = False
    access.disabled = not config.access_log
    if own_access:
        access.propagate = False
        if config.access_log:
            access.handlers = [AccessHandler(access_output(config, owner))]


def access_sink() -> Sink | None:
    """See `granite.log.access_sink`."""
    logger = logging.getLogger("granite.access")
    if len(logger.handlers) != 1 or logger.filters or logger.propagate:
        return None
    (handler,) = logger.handlers
    if type(handler) is not AccessHandler or handler.filters or handler.level > logging.INFO:
        return None
    return handler.sink if logger.isEnabledFor(logging.INFO) else None


def reopen() -> None:
    """See `granite.log.reopen`."""
    log = logging.getLogger("granite.error")
    for failure in sinks.reopen() + reopen_files():
        log.error("%s", failure)


def reopen_files() -> list[str]:
    """Open the files of the standard library's handlers again, which `log_config` may have made;
    return what went wrong.
    """
    failures = []
    for handler in _file_handlers():
        try:
            stream = handler._open()
        except OSError as exc:
            failures.append(f"cannot open the log {handler.baseFilename!r} again: {reason(exc)}")
            continue
        old = handler.setStream(stream)
        if old is not None:
            old.close()
    return failures


def _file_handlers() -> list[logging.FileHandler]:
    """The handlers of all loggers that have a file open."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    found = {
        handler: None
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, logging.FileHandler) and handler.stream is not None
    }
    return list(found)


def _loggers() -> tuple[logging.Logger, logging.Logger, logging.Logger]:
    return (
        logging.getLogger("granite"),
        logging.getLogger("granite.error"),
        logging.getLogger("granite.access"),
    )


def _reset() -> tuple[logging.Logger, logging.Logger, logging.Logger]:
    loggers = _loggers()
    for logger in loggers:
        logger.handlers = []
        logger.filters = []
        logger.propagate = True
        logger.disabled = False
        logger.setLevel(logging.NOTSET)
    return loggers


def _silence(granite: logging.Logger, *children: logging.Logger) -> None:
    granite.handlers = [logging.NullHandler()]
    granite.propagate = False
    for child in children:
        child.disabled = True
