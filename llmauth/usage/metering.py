"""Chooses, at the head of an answer, the meter that will see its body pass."""

from __future__ import annotations

from llmauth.context import ProviderType
from llmauth.http import Headers
from llmauth.usage.bodies import Growing, Sums, Whole
from llmauth.usage.codings import CODINGS, Decoded
from llmauth.usage.events import Events
from llmauth.usage.formats import INVOKE, Format
from llmauth.usage.frames import Frames
from llmauth.usage.meter import Meter, Reason, Unread
from llmauth.usage.operations import FREE, UNKNOWN, operation_of
from llmauth.usage.told import Told, count

_SWITCHING = 101
_EMPTY = frozenset({204, 205})
_NONE = (b"",)
_PLAIN = frozenset({b"", b"identity"})
_COUNTED = {
    "input": "x-amzn-bedrock-input-token-count",
    "output": "x-amzn-bedrock-output-token-count",
    "cache_read": "x-amzn-bedrock-cache-read-input-token-count",
    "cache_write": "x-amzn-bedrock-cache-write-input-token-count",
}


def meter_for(provider: ProviderType, *, method: str, path: str, status: int, headers: Headers) -> Meter | None:
    """The meter of an answer with this status and these headers, `None` where there is nothing to be metered.

    `method` and `path` (the provider's own, with its query) are those of the request. Nothing is metered where no model
    worked: errors, lists, files, counts of tokens. Where one worked and the answer cannot be read, the meter says why.
    """
    if status == _SWITCHING:
        return Unread(Reason.WEBSOCKET)
    if method != "POST" or not 200 <= status < 300 or status in _EMPTY:
        return None
    operation = operation_of(provider, path)
    if operation is FREE:
        return None
    if operation is UNKNOWN:
        return Unread(Reason.OPERATION)
    assert isinstance(operation, Format)
    return _meter(operation, headers)


def _meter(format_: Format, headers: Headers) -> Meter:
    index = headers.index()
    head = _told_by_head(headers) if format_ is INVOKE else None
    plain = _of_plain(format_, index.get(b"content-type", _NONE)[0], head)
    codings = index.get(b"content-encoding")
    if codings is None:
        return plain
    coding = b",".join(codings).strip().lower()
    if coding in _PLAIN:
        return plain
    return Decoded(plain, coding) if coding in CODINGS else Unread(Reason.ENCODING, head)


def _of_plain(format_: Format, content_type: bytes, head: Told | None) -> Meter:
    kind = content_type.partition(b";")[0].strip().lower()
    if kind in (b"application/json", b"") or kind.endswith(b"+json"):
        if format_.sums:
            return Sums()
        return Growing(format_) if format_.grows else Whole(format_, head)
    if kind == b"text/event-stream":
        return Events(format_)
    if kind == b"application/vnd.amazon.eventstream":
        return Frames(format_)
    return Unread(Reason.CONTENT, head)


def _told_by_head(headers: Headers) -> Told | None:
    """Bedrock counts the tokens of every model's whole answer in its head; the body may tell more."""
    told = {}
    for field, name in _COUNTED.items():
        value = headers.get(name)
        if value is not None and value.isascii() and value.isdigit() and len(value) < 16:
            number = count({name: int(value)}, name)
            if number is not None:
                told[field] = number
    return Told(told, beside=True) if told else None
