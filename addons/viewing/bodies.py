"""A body as it may be shown: text of a known form, decoded, cut and masked; of anything else only how much it is."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from addons.viewing.masks import MASKED, Ambiguous, Masks, is_secret_name, needs_parser
from llmauth.authenticators.stripping import holds_foreign
from llmauth.framing.eventstream import Decoder, Message
from llmauth.http import Headers
from llmauth.usage.codings import CODINGS, Decoded
from llmauth.usage.meter import Reading

KEPT = 256 * 1024
"""How much of a body is kept to be shown."""

_EVENT_STREAM = "application/vnd.amazon.eventstream"
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_TEXTS = (
    "text/",
    "application/json",
    "application/x-ndjson",
    "application/jsonl",
    "application/xml",
    _FORM,
    _MULTIPART,
)
# Others are read by views as what the masks have not looked for.
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
# No credential has these in it: what stands behind the last of them is left out where more was to come.
_BREAKS = (b"\n", b" ", b'"', b"'", b"&", b",", b";", b"<", b">", b"{", b"}", b"[", b"]", b"\r", b"\t")
_HEAD = 4096
_PARTS = 5000
_PART_NAME = re.compile(rb'(?i)\bname="?([^"\r\n;]{0,200})')


def shown(content: bytes, total: int, headers: Headers, masks: Masks, *, over: bool = True) -> bytes:
    """What a viewer gets of a body of `total` bytes that begins with `content`; `over` when all of it came."""
    if not content:
        return b""
    kind, charset = _kind(headers)
    whole = over and len(content) == total
    plain, all_decoded = _decoded(content, headers)
    if plain is None or charset not in _CHARSETS:
        return _told(total, "in a coding that is not shown")
    whole = whole and all_decoded
    if kind == _EVENT_STREAM:
        plain, kind = _events(plain), "text/event-stream"
    elif not _is_text(kind):
        return _told(total, f"of {_printable(kind)}, not shown")
    elif not whole:
        plain = _cut(plain)
    if b"\0" in plain or not _is_utf8(plain, whole=whole) or holds_foreign(plain):
        return _told(total, "that may hold a credential, not shown")
    try:
        masked = _masked(plain, kind, masks, whole=whole)
    except (RecursionError, Ambiguous):
        return _told(total, "that cannot be judged, not shown")
    return masked if whole or not over else masked + b"\n" + _told(total, "in all; this is their beginning")


def _kind(headers: Headers) -> tuple[str, str]:
    """The media type in lower case, and the charset, which is UTF-8 unless another is told."""
    text = (headers.get("content-type") or "").lower()
    kind, *parameters = [part.strip() for part in text.split(";")]
    charsets = [
        value.strip("\"' ")
        for name, _, value in (each.partition("=") for each in parameters)
        if name.strip() == "charset"
    ]
    return kind, charsets[0] if charsets else "utf-8"


def _is_text(kind: str) -> bool:
    return not kind or kind.startswith(_TEXTS) or kind.endswith(("+json", "+xml"))


def _told(total: int, what: str) -> bytes:
    return f"[{total:,} bytes {what}]".encode("utf-8", "replace")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:80])


class _Beginning:
    """Takes what a coding gives, up to what is kept."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, data: bytes) -> None:
        self.data += data[: max(0, KEPT + 1 - len(self.data))]

    def reading(self, *, cut: bool = False) -> Reading:
        return Reading(None, None)


def _decoded(content: bytes, headers: Headers) -> tuple[bytes | None, bool]:
    """The beginning without its coding, and whether that is all of it; None where it cannot be read."""
    named = (headers.get("content-encoding") or "identity").strip().lower().encode("ascii", "replace")
    if named in (b"identity", b""):
        return content, True
    if named not in CODINGS:
        return None, True
    beginning = _Beginning()
    meter = Decoded(beginning, named)
    meter.feed(content)
    whole = meter.reading().lacks is None and len(beginning.data) <= KEPT
    return bytes(beginning.data[:KEPT]), whole


def _cut(text: bytes) -> bytes:
    """The text up to where its last word begins, which may be the beginning of a secret."""
    return text[: max(map(text.rfind, _BREAKS)) + 1]


def _is_utf8(text: bytes, *, whole: bool) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return not whole and error.start > len(text) - 4
    return True


# ---- by what it is -------------------------------------------------------------------------------------------------


def _masked(text: bytes, kind: str, masks: Masks, *, whole: bool) -> bytes:
    if kind == _FORM:
        return masks.value(b"&".join([_parameter(each, masks) for each in _few(text.split(b"&"))]))
    if kind == _MULTIPART:
        return masks.text(b"\r\n--".join(map(_part, _few(text.split(b"\r\n--")))))
    if kind == "text/event-stream" or kind.startswith(("application/x-ndjson", "application/jsonl")):
        if needs_parser(text):
            lines = text.split(b"\n")
            for place in _few([place for place, line in enumerate(lines) if needs_parser(line)]):
                lines[place] = _line(lines[place], masks)
            text = b"\n".join(lines)
        return masks.text(text)
    return _document(text, masks) if whole else masks.text(text)


def _document(text: bytes, masks: Masks) -> bytes:
    try:
        return masks.json(text)
    except ValueError:
        return masks.text(text)


def _line(line: bytes, masks: Masks) -> bytes:
    """A line of a stream: what stands in it as JSON is read as such."""
    head, mark, data = line.partition(b"data:") if line.startswith(b"data:") else (b"", b"", line)
    return head + mark + _document(data, masks)


def _few[Part](parts: list[Part]) -> list[Part]:
    """Not more than may be looked at one by one while others wait."""
    if len(parts) > _PARTS:
        raise Ambiguous
    return parts


def _parameter(text: bytes, masks: Masks) -> bytes:
    name, mark, value = text.partition(b"=")
    plain = unquote_to_bytes(value.replace(b"+", b" "))
    called = unquote_to_bytes(name).decode("utf-8", "replace")
    if is_secret_name(called) or called == "code":
        return name + mark + MASKED
    return name + mark + MASKED if masks.text(plain) != plain else text


def _part(part: bytes) -> bytes:
    """A part of a form, between two lines that may be boundaries."""
    head, mark, data = part.partition(b"\r\n\r\n")
    names = [found.decode("utf-8", "replace") for found in _PART_NAME.findall(head[:_HEAD])]
    return head + mark + (MASKED if data and any(map(is_secret_name, names)) else data)


def _events(content: bytes) -> bytes:
    """AWS's binary frames as lines. What one of InvokeModel holds is coded once more."""
    decoder = Decoder()
    lines = [_event(message) for message in decoder.feed(content)]
    if decoder.fault:
        lines.append(b": " + decoder.fault.encode("utf-8", "replace"))
    return b"\n".join(lines)


def _event(message: Message) -> bytes:
    name = message.headers.get(":event-type") or message.headers.get(":exception-type") or "message"
    return f"event: {_printable(name)}\ndata: ".encode("utf-8", "replace") + _inner(message.payload) + b"\n"


def _inner(payload: bytes) -> bytes:
    try:
        read = json.loads(payload)
        coded = read["bytes"] if isinstance(read, Mapping) and isinstance(read.get("bytes"), str) else None
        return payload if coded is None else base64.b64decode(coded, validate=True)
    except (ValueError, RecursionError, binascii.Error):
        return payload
