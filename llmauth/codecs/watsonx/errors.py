"""Refusals as watsonx writes them, ours and its own: `{"errors": [{"code", "message"}], "trace", "status_code"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmauth.codecs.base import JSON, Rendered, to_json
from llmauth.codecs.reading import Malformed, parse_fast
from llmauth.codecs.statuses import cause_of, kept
from llmauth.errors import Cause, GatewayError, UpstreamError
from llmauth.http import Field, Headers

_MORE = "https://cloud.ibm.com/apidocs/watsonx-ai"

_LONGEST = 1000
_CAUSES: Mapping[str, Cause] = {
    "invalid_request_entity": "invalid_request",
    "invalid_input_argument": "invalid_request",
    "json_validation_error": "invalid_request",
    "json_type_error": "invalid_request",
    "missing_field": "invalid_request",
    "invalid_query_parameter": "invalid_request",
    "invalid_instance_status_error": "permission",
    "authentication_token_not_valid": "permission",
    "authentication_token_expired": "permission",
    "authorization_rejected": "permission",
    "no_associated_service_instance_error": "permission",
    "model_not_supported": "not_found",
    "model_no_support_for_function": "invalid_request",
    "not_found": "not_found",
    "consumption_limit_reached": "rate_limited",
    "rate_limit_reached_requests": "rate_limited",
    "token_quota_reached": "quota",
    "downstream_request_failed": "overloaded",
    "internal_server_error": "server",
}


class WatsonxRefusals:
    """The shape that ibm-watsonx-ai reads codes and messages from."""

    name = "watsonx"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """IBM's codes are words of lower case, as ours are; its trace is what its support asks for, as our id is."""
        fields = {"code": error.code, "message": error.sentence, "more_info": _MORE}
        body = {"errors": [fields], "trace": request_id, "status_code": error.status}
        return Rendered(headers=(JSON,), body=to_json(body))


REFUSALS = WatsonxRefusals()


def parse_error(status: int, headers: Headers, body: bytes) -> UpstreamError:
    """What watsonx refused; a body that is none of its errors leaves the status to tell."""
    try:
        told = parse_fast(body)
    except Malformed:
        told = None
    return _error(told, status, f"watsonx answered with status {status}.", kept(headers))


def told_failure(told: Mapping[str, Any]) -> UpstreamError:
    """A failure that a stream or an answer of status 200 tells of."""
    status = told.get("status_code")
    known = isinstance(status, int) and 400 <= status < 600
    return _error(told, status if known and isinstance(status, int) else 500, "watsonx failed.", ())


def stopped() -> UpstreamError:
    """An answer whose end was `error` or `cancelled`."""
    return UpstreamError("watsonx stopped before the answer was complete.", cause="server")


def _error(told: object, status: int, otherwise: str, again: tuple[Field, ...]) -> UpstreamError:
    code, message = _first(told)
    cause = _CAUSES.get(code) or cause_of(status)
    return UpstreamError(message[:_LONGEST] or otherwise, cause=cause, kept=again)


def _first(told: object) -> tuple[str, str]:
    """Code and message of the first error, empty where there is none."""
    listed = told.get("errors") if isinstance(told, dict) else None
    error = listed[0] if isinstance(listed, list) and listed else None
    found = [error.get(name) if isinstance(error, dict) else None for name in ("code", "message")]
    code, message = (value if isinstance(value, str) else "" for value in found)
    return code, message
