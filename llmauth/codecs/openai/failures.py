"""Refusals of those who speak OpenAI's chat, read into neutral causes: OpenAI's own shape, Azure's, and strays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.codecs.reading import Malformed, parse_fast
from llmauth.codecs.statuses import CAUSES, cause_of, kept
from llmauth.errors import Cause, UpstreamError
from llmauth.http import Field, Headers

LONGEST = 1000
_CODES: Mapping[str, Cause] = {
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "ResponsibleAIPolicyViolation": "content_filter",
    "context_length_exceeded": "invalid_request",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "model_not_found": "not_found",
    "DeploymentNotFound": "not_found",
    "rate_limit_exceeded": "rate_limited",
    "server_overloaded": "overloaded",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limited",
    "invalid_request_error": "invalid_request",
    "server_error": "server",
}
# Those that OpenAI's clients act upon; the others are told in the message alone.
_OWN = frozenset({"context_length_exceeded", "unsupported_parameter", "unsupported_value", "invalid_value"})


def parse_failure(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """A refusal with this status; whatever the body holds, this gives an error."""
    return _error(_read(body), status, kept(headers))


def told_failure(chunk: Mapping[str, Any]) -> UpstreamError:
    """A failure told in a stream, where there is no status any more but the one that the provider may name."""
    return _error(chunk, None, ())


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        value = parse_fast(body)
    except Malformed:
        return {}
    return value if isinstance(value, dict) else {}


def _error(told: Mapping[str, Any], status: int | None, again: tuple[Field, ...]) -> UpstreamError:
    fields = _fields(told)
    words = [fields.get("code"), fields.get("type"), _inner_code(fields)]
    cause = _cause([word for word in words if isinstance(word, str)], status or _status_in(fields))
    code, param = fields.get("code"), fields.get("param")
    return UpstreamError(
        _message(fields, status),
        cause=cause,
        kept=again,
        code=code if isinstance(code, str) and code in _OWN else None,
        param=param[:200] if isinstance(param, str) else None,
    )


def _fields(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the members of the error are: inside `error`, or (API gateways, old vLLM) at the top."""
    error = told.get("error")
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else told


def _inner_code(fields: Mapping[str, Any]) -> object:
    inner = fields.get("innererror")
    return inner.get("code") if isinstance(inner, dict) else None


def _cause(words: list[str], status: int) -> Cause:
    """A code says more than a status, but a general type only where the status says nothing."""
    for word in words:
        cause = _CODES.get(word)
        if cause is not None and not (cause in ("invalid_request", "server") and status in CAUSES):
            return cause
    return cause_of(status)


def _status_in(fields: Mapping[str, Any]) -> int:
    """Azure's front door writes the status as a code, in digits; others as a number."""
    code = fields.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:3])
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _message(fields: Mapping[str, Any], status: int | None) -> str:
    for name in ("message", "detail"):
        text = fields.get(name)
        if isinstance(text, str) and text.strip():
            return text[:LONGEST]
    return "The provider failed." if status is None else f"The provider answered with status {status}."
