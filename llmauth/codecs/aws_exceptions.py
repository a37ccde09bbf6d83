"""Exceptions of AWS in neutral words, from a whole answer and from within a stream."""

from __future__ import annotations

import json
from typing import Any

from llmauth.codecs.statuses import cause_of, kept
from llmauth.errors import Cause, UpstreamError
from llmauth.framing.eventstream import Message as Frame
from llmauth.http import Field, Headers

_LONGEST = 1000
_CAUSES: dict[str, Cause] = {
    "ValidationException": "invalid_request",
    "ServiceQuotaExceededException": "quota",
    "ConflictException": "conflict",
    "AccessDeniedException": "permission",
    "ResourceNotFoundException": "not_found",
    "ModelTimeoutException": "timeout",
    "ModelErrorException": "server",
    "ModelStreamErrorException": "server",
    "ThrottlingException": "rate_limited",
    "ModelNotReadyException": "overloaded",
    "InternalServerException": "server",
    "ServiceUnavailableException": "overloaded",
}
# The gateway's own credential or signature is at fault: no word of this is for the client. The message may even hold
# the canonical request, and with it the session token.
_OURS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NO_MODEL = "Bedrock does not serve this model in this region, or not any more: ask for another one."


def of_answer(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """From the header first, as every SDK of AWS; `Name:http://…` and `namespace#Name` are the name alone."""
    told = _object(body)
    name = _name(headers.get("x-amzn-errortype") or told.get("__type") or told.get("code"))
    fallback = f"Bedrock refused the call with status {status}."
    return _error(name, _cause(name, status), _message(told) or fallback, kept(headers))


def of_stream(frame: Frame) -> UpstreamError:
    """What ends a stream: an exception with a body, or an error that is all in its headers.

    The same names begin with a small letter here.
    """
    headers = frame.headers
    written = headers.get(":exception-type") or headers.get(":error-code") or ""
    name = _name(written[:1].upper() + written[1:])
    said = _message(_object(frame.payload)) or headers.get(":error-message") or "Bedrock broke the answer off."
    return _error(name, _cause(name, 500), said, ())


def of_members(told: dict[str, Any]) -> UpstreamError | None:
    """A failure that came with a status of success: AWS names it in `__type`."""
    name = _name(told.get("__type"))
    return _error(name, _cause(name, 500), _message(told) or "Bedrock failed.", ()) if name else None


def _error(name: str, cause: Cause, message: str, again: tuple[Field, ...]) -> UpstreamError:
    if name in _OURS:
        return UpstreamError("Bedrock refused the gateway's own credential.", cause="server", detail=name, kept=again)
    if cause == "invalid_request" and "model identifier is invalid" in message:
        cause = "not_found"
    hint = _NO_MODEL if cause == "not_found" else ""
    return UpstreamError(message[:_LONGEST], cause=cause, hint=hint, detail=name[:100], kept=again)


def _cause(name: str, status: int) -> Cause:
    # A 401 is about the gateway, since nobody else was asked who it is; a 424 about the model.
    return _CAUSES.get(name) or ("server" if status in (401, 424) else cause_of(status))


def _name(told: object) -> str:
    return told.partition(":")[0].rpartition("#")[2].strip() if isinstance(told, str) else ""


def _message(told: dict[str, Any]) -> str:
    found = (told.get(name) for name in ("message", "Message", "originalMessage"))
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
