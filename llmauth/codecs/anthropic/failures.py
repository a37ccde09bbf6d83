"""What a provider of Messages refuses, in neutral words: Anthropic's own errors, and Google's for Claude at Vertex."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.codecs.statuses import cause_of, kept
from llmauth.errors import Cause, UpstreamError
from llmauth.http import Field, Headers

_LONGEST = 1000
_SPEND_CAP = "enforced_spend_limit_reached"

_OF_TYPE: Mapping[str, Cause] = {
    "invalid_request_error": "invalid_request",
    "billing_error": "quota",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limited",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    # The key is ours, so its refusal is no fault of the caller's.
    "authentication_error": "server",
    # `api_error` is not here: the status says it better.
}


def told_by(top: Node) -> UpstreamError:
    """An error object of Anthropic's, in a body or an event. Malformed where it is none."""
    error = top.need("error")
    return UpstreamError(_sentence(error.text_of("message")), cause=_cause(error) or "server")


def parse_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """Any refusal, whatever its body holds."""
    value = _json(body)
    cause = _named(value) or (cause_of(status) if status != 401 else "server")
    return UpstreamError(_sentence(_message(value)), cause=cause, kept=kept(headers) or _retry_info(value))


def _json(body: bytes) -> Any:
    try:
        return parse_fast(body)
    except Malformed:
        return None


def _named(value: Any) -> Cause | None:
    """The cause that a body names beside its status."""
    try:
        error = Node(value).get("error")
        return None if error is None else _cause(error)
    except Malformed:
        return None


def _cause(error: Node) -> Cause | None:
    """A spend cap looks like a rate limit: its code tells that no second attempt overcomes it."""
    details = error.get("details")
    if details is not None and details.text_of("error_code") == _SPEND_CAP:
        return "quota"
    return _OF_TYPE.get(error.text_of("type"))


def _message(value: Any) -> str:
    """`message`, or `error.message`, or an `error` that is text."""
    if not isinstance(value, dict):
        return ""
    inner = value.get("error")
    places = (
        value.get("message"),
        value.get("Message"),
        inner,
        inner.get("message") if isinstance(inner, dict) else "",
    )
    return next((text for text in places if isinstance(text, str) and text), "")


def _sentence(message: str) -> str:
    return f"The provider refused: {message[:_LONGEST]}" if message else "The provider refused, and did not say why."


def _retry_info(value: Any) -> tuple[Field, ...]:
    """Google's RetryInfo says `retryDelay: "3.5s"` where others have a header."""
    try:
        error = Node(value).get("error")
        details = [] if error is None else error.list_of("details")
        delays = [node.text_of("retryDelay") for node in details]
    except Malformed:
        return ()
    found = next((match for text in delays if (match := re.fullmatch(r"(\d{1,6})(\.\d+)?s", text))), None)
    return () if found is None else ((b"retry-after", str(int(found[1]) + bool(found[2])).encode("ascii")),)
