"""Log lines: one JSON object a line for machines, one line of text on a terminal; facts as fields, and no secrets."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import math
import re
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from types import TracebackType
from typing import Any, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

from llmauth.addresses import HostPort
from llmauth.secrets import MASK, Secret

Format = Literal["json", "console"]

MAX_TEXT = 512
MAX_MESSAGE = 4096
_MAX_ENTRIES = 50
_MAX_FRAMES = 12

_OWN = ("llmauth", "addons")
# Held at WARNING at any level of ours: their lower lines carry headers, URLs, signed requests and statements.
_LIBRARIES = (
    *("mitmproxy", "hpack", "h2", "asyncio", "sqlalchemy"),
    *("botocore", "urllib3", "requests", "httpx", "keyring", "azure", "msal", "google", "hvac"),
)
_LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {logging.WARNING: "WARN", logging.CRITICAL: "ERROR"}
IN_WORDS = "in_words"
"""A field of a record whose sentence tells people what the other fields tell programs: the console leaves those out."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", IN_WORDS}

# Which of several processes writes the lines; nothing where there is one.
_writer: dict[str, int | str] = {}

_TELLING: ContextVar[str | None] = ContextVar("llmauth_request", default=None)

_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False)
_BARE = re.compile(r"[^\s\"=]+")

# What a terminal obeys, what ends a line for some reader, what reorders text, and what UTF-8 cannot hold.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def configure(level: str = "info", format: Format | None = None, stream: TextIO | None = None) -> None:
    """Send every record to `stream` (standard error), as lines of text on a terminal and as JSON elsewhere by default.

    Calling it again replaces what the last call did. ValueError for an unknown level or format.
    """
    number = _number(level)
    if format not in ("json", "console", None):
        raise ValueError(f"unknown log format {format[:20]!r}; wanted json or console")
    output = stream if stream is not None else sys.stderr
    _write_utf8(output)
    handler = _Lines(output)
    handler.setFormatter(_Console() if (format or _fitting(output)) == "console" else _Json())
    root = logging.getLogger()
    for other in [handler for handler in root.handlers if isinstance(handler, _Lines)]:
        root.removeHandler(other)
    root.addHandler(handler)
    _set_levels(root, number)
    _collect_less()


def set_level(level: str) -> None:
    """Log from this level on, in the form and to the place that `configure` chose. ValueError for an unknown one."""
    _set_levels(logging.getLogger(), _number(level))


def _number(level: str) -> int:
    number = _LEVELS.get(level.lower())
    if number is None:
        raise ValueError(f"unknown log level {level[:20]!r}; wanted debug, info, warning or error")
    return number


def name_worker(worker: int | str) -> None:
    """Have every further line of this process say which of several it is."""
    _writer["worker"] = worker


class about:
    """While this lasts every record bears the id of this request, unless it names one itself; also those of tasks that
    begin meanwhile."""

    __slots__ = ("_before", "_request_id")

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def __enter__(self) -> None:
        self._before = _TELLING.set(self._request_id)

    def __exit__(self, *_: object) -> None:
        _TELLING.reset(self._before)


def _collect_less() -> None:
    """No record of ours shows thread, process or task; to find them out costs more than the rest of a record."""
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)


def _set_levels(root: logging.Logger, number: int) -> None:
    root.setLevel(max(number, logging.WARNING))
    for name in _OWN:
        logging.getLogger(name).setLevel(number)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _fitting(stream: TextIO | None) -> Format:
    try:
        return "console" if stream is not None and stream.isatty() else "json"
    except (OSError, ValueError):
        return "json"


def tell(logger: logging.Logger, level: int, message: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Log many lines of one kind as one record: each of `lines` holds its facts, as plain values.

    They are written in one call and bear one time, which makes a line three times as cheap as a record of its own.
    """
    if lines and logger.isEnabledFor(level):
        record = logging.LogRecord(logger.name, level, "", 0, message, None, None)
        record.batch = lines
        logger.handle(record)


def _write_utf8(stream: TextIO | None) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        with contextlib.suppress(OSError, ValueError):
            reconfigure(encoding="utf-8", errors="backslashreplace")


class _Lines(logging.StreamHandler[Any]):
    """Writes lines, and goes on without a word when they cannot be written: logging stops no request."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_safe(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """The stream is closed or broken, and there is no other place to say so."""


class _Json(JsonFormatter):
    """One object a line, UTF-8 as it is."""

    def __init__(self) -> None:
        super().__init__(json_serializer=lambda data, **_: _ENCODER.encode(data))

    def format(self, record: logging.LogRecord) -> str:
        """A record that brings many lines of plain values, as `tell` makes it, is written as is."""
        lines = record.__dict__.get("batch")
        if lines is None or record.exc_info:
            return super().format(record)
        head = _ENCODER.encode(_head(record, record.msg)).removesuffix("}") + ", "
        return "\n".join([_printable(head + _ENCODER.encode(facts).removeprefix("{")) for facts in lines])

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data.update(_head(record, record.message))
        log_data.update(_facts(record))

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        # A JSON reader gets every character back; the line itself holds none that breaks or hides it.
        return _UNSAFE.sub(_json_escape, super().serialize_log_record(log_data))


class _Console(logging.Formatter):
    """`2025-01-15 10:23:45 INFO  message key=value`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        message = _named() + _clip(record.getMessage(), MAX_MESSAGE)
        head = f"{_local_second(int(record.created))} {_level(record):<5} {message}"
        lines = record.__dict__.get("batch")
        facts = {} if record.__dict__.get(IN_WORDS) else _facts(record)
        return "\n".join(_console_line(head, one) for one in (lines or [facts]))


def _printable(line: str) -> str:
    # Nearly every line is printable ASCII, and holds nothing that a search would find.
    return line if line.isascii() and line.isprintable() else _UNSAFE.sub(_json_escape, line)


def _console_line(head: str, facts: Mapping[str, Any]) -> str:
    fields = (f" {name}={_console_value(_plain(value))}" for name, value in facts.items())
    return _UNSAFE.sub(_text_escape, head + "".join(fields))


def _head(record: logging.LogRecord, message: str) -> dict[str, Any]:
    return {
        "timestamp": f"{_utc_second(int(record.created))}.{int(record.msecs):03d}Z",
        "level": _level(record),
        "logger": record.name,
        "message": _clip(message, MAX_MESSAGE),
        **_writer,
    }


def _named() -> str:
    return f"[{_writer['worker']}] " if _writer else ""


@lru_cache(maxsize=2)
def _utc_second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


@lru_cache(maxsize=2)
def _local_second(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname)


def _safe(record: logging.LogRecord) -> logging.LogRecord:
    """The record without the text of exceptions, and without the words of libraries: both may quote secrets."""
    own = record.name.partition(".")[0] in _OWN
    if own and not record.exc_info and not record.exc_text:
        return record
    safe = copy.copy(record)
    safe.exc_info = safe.exc_text = safe.stack_info = None
    if record.exc_info and record.exc_info[1] is not None:
        safe.exception, safe.frames = _classes(record.exc_info[1]), _frames(record.exc_info[2])
    if not own:
        safe.msg, safe.args = _template(record), None
        safe.at = f"{record.module}:{record.lineno}"
    return safe


def _template(record: logging.LogRecord) -> str:
    # mitmproxy puts header bytes and URLs into the text itself. Elsewhere a text that takes arguments is a constant of
    # the code, and is shown without them.
    constant = record.args and isinstance(record.msg, str) and not record.name.startswith("mitmproxy")
    return record.msg if constant else f"a message of {record.name}"


def _classes(error: BaseException) -> str:
    """The class of an error and of what caused it: `UpstreamTimeout from ReadTimeout`."""
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < 5:
        names.append(type(current).__name__)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return " from ".join(names)


def _frames(trace: TracebackType | None) -> list[str]:
    """Where it was raised, outermost first, without source lines."""
    frames = traceback.extract_tb(trace)[-_MAX_FRAMES:]
    return [f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}" for frame in frames]


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, value in record.__dict__.items():
        if name not in _STANDARD:
            facts[name] = _plain(value)
    telling = _TELLING.get()
    if telling is not None and "request_id" not in facts:
        facts["request_id"] = telling
    return facts


def _plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON may show it. What is no plain value is named by its class: it may hold a request or a secret."""
    match value:
        case str():
            return _clip(str(value), MAX_TEXT)
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Secret():
            return MASK
        case Enum():
            return _plain(value.value, depth + 1)
        case PurePath() | HostPort():
            return _clip(str(value), MAX_TEXT)
        case datetime():
            return value.isoformat()
        case BaseException():
            return _classes(value)
        case Mapping() if depth < 3:
            entries = list(value.items())[:_MAX_ENTRIES]
            return {_clip(str(name), MAX_TEXT): _plain(entry, depth + 1) for name, entry in entries}
        case list() | tuple() | set() | frozenset() if depth < 3:
            return [_plain(entry, depth + 1) for entry in list(value)[:_MAX_ENTRIES]]
        case _:
            return f"<{type(value).__name__}>"


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _console_value(value: Any) -> str:
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else _ENCODER.encode(value)
    return _ENCODER.encode(value)


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _text_escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
