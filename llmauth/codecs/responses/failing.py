"""How a response that fails in the middle of its stream is told, so that every client notices."""

from __future__ import annotations

from llmauth.codecs.openai.errors import error_fields
from llmauth.codecs.responses.output import Json
from llmauth.errors import Cause, GatewayError, RateLimited, UpstreamError

# The codes of a failed response are a closed set of OpenAI's, narrower than those of its refusals.
_CODES: dict[Cause, str] = {
    "invalid_request": "invalid_prompt",
    "content_filter": "invalid_prompt",
    "too_large": "invalid_prompt",
    "rate_limited": "rate_limit_exceeded",
    "quota": "rate_limit_exceeded",
}


def failure(error: GatewayError) -> Json:
    """The `error` of a response object."""
    if isinstance(error, UpstreamError):
        code = _CODES.get(error.cause, "server_error")
    else:
        code = "rate_limit_exceeded" if isinstance(error, RateLimited) else "server_error"
    return {"code": code, "message": error.sentence}


def told(error: GatewayError) -> Json:
    """The members of an `error` event.

    OpenAI's types have them beside each other; its clients raise only where they stand in an object called `error`.
    """
    fields = error_fields(error)
    return {**{name: fields[name] for name in ("code", "message", "param")}, "error": fields}
