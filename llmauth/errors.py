"""Every answer that is a refusal: status, stable code, a sentence for the client, a hint, and whose fault it was.

GatewayError
├── BadRequest 400
│   ├── UnsupportedParameter 400
│   ├── BodyTooLarge 413
│   ├── HeadTooLarge 431
│   ├── RequestTimeout 408
│   ├── MethodNotAllowed 405
│   └── UpgradeRefused 426
├── Misdirected 421
├── Unauthenticated 401 (407 where the proxy itself asks)
│   └── SecondFactorRequired 401
├── Forbidden 403
│   ├── HostNotServed 403
│   └── ModelNotAllowed 403
├── NotFound 404
│   ├── UnknownInstance 404
│   ├── UnknownModel 404
│   └── UnknownRequest 404
├── RateLimited 429
│   └── InsufficientQuota 429
├── InternalError 500
│   ├── NoCredential 500
│   └── InstanceIncomplete 500
├── CredentialRejected 502
├── UpstreamProxyFailed 502
├── UpstreamUnreachable 502
│   ├── BrokenAnswer 502
│   └── UpstreamTimeout 504
├── UpstreamError 500, or as the provider said
└── Unavailable 503
    └── Draining 503
"""

from __future__ import annotations

from typing import Literal

SERVED_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
Fault = Literal["caller", "policy", "provider", "proxy"]
Cause = Literal[
    "invalid_request",
    "content_filter",
    "permission",
    "not_found",
    "conflict",
    "too_large",
    "rate_limited",
    "quota",
    "overloaded",
    "timeout",
    "server",
]


class GatewayError(Exception):
    """A refusal of ours. `message` and `hint` are safe for the client; `detail` goes to the log and nowhere else.

    `param` is the member of the client's body that is at fault, as its protocol names it.
    """

    status: int = 500
    code: str = "internal_error"
    fault: Fault = "proxy"
    # Official SDKs obey `x-should-retry`; a refusal that the same call cannot overcome says so.
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        detail: str = "",
        code: str | None = None,
        retry_after: int | None = None,
        close: bool = False,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        self.retry_after = retry_after
        self.close = close
        self.param = param
        if code is not None:
            self.code = code

    @property
    def sentence(self) -> str:
        """Message and hint, as one text for people."""
        return f"{self.message} {self.hint}" if self.hint else self.message


class BadRequest(GatewayError):
    """The request cannot be understood or is not allowed to be written like this."""

    status = 400
    code = "bad_request"
    fault = "caller"


class UnsupportedParameter(BadRequest):
    """The provider that would answer has no way to do what is asked, and to leave it out would change the meaning."""

    code = "unsupported_parameter"


class BodyTooLarge(BadRequest):
    """The body is over the limit."""

    status = 413
    code = "request_too_large"


class HeadTooLarge(BadRequest):
    """The request head is over the limit."""

    status = 431
    code = "headers_too_large"


class RequestTimeout(BadRequest):
    """The client did not send its request in time."""

    status = 408
    code = "request_timeout"
    retryable = True


class MethodNotAllowed(BadRequest):
    """A method that no provider needs, or that would echo a credential (TRACE), or that a path of ours has no use for.

    `allow` are those that it takes.
    """

    status = 405
    code = "method_not_allowed"

    def __init__(
        self, message: str, *, hint: str = "", detail: str = "", allow: tuple[str, ...] = SERVED_METHODS
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.allow = allow


class UpgradeRefused(BadRequest):
    """A protocol upgrade that is not carried here; the client should use plain HTTP."""

    status = 426
    code = "upgrade_refused"


class Misdirected(GatewayError):
    """CONNECT target, SNI, Host and authority do not name the same place."""

    status = 421
    code = "misdirected"
    fault = "caller"


class Unauthenticated(GatewayError):
    """No credential of ours, or a wrong one; `reason` is for metrics and the log, from a closed set.

    `fp` is what the log calls the value that was presented; it can be turned into no value.
    """

    status = 401
    code = "invalid_api_key"
    fault = "caller"

    def __init__(self, message: str, *, reason: str = "missing", hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.reason = reason
        self.fp = ""


class SecondFactorRequired(Unauthenticated):
    """The key is right, and the second factor is missing or wrong."""

    code = "second_factor_required"


class Forbidden(GatewayError):
    """The caller is known and may not do this."""

    status = 403
    code = "forbidden"
    fault = "policy"


class HostNotServed(Forbidden):
    """A host that is no provider of ours and that the egress policy does not let through."""

    code = "host_not_allowed"


class ModelNotAllowed(Forbidden):
    """A model that the caller's rules do not name."""

    code = "model_not_allowed"


class NotFound(GatewayError):
    """Nothing is served at this path."""

    status = 404
    code = "not_found"
    fault = "caller"


class UnknownInstance(NotFound):
    """No instance or provider type of that name."""

    code = "instance_not_found"


class UnknownModel(NotFound):
    """No model of that name."""

    code = "model_not_found"


class UnknownRequest(NotFound):
    """No request of this caller's that is remembered has this id."""

    code = "request_not_found"


class RateLimited(GatewayError):
    """A limit of ours was reached. `limit` is its kind, from a closed set; `standing` what is left of each.

    What stands there is for the header fields of answers, and no concern of this floor.
    """

    status = 429
    code = "rate_limit_exceeded"
    fault = "policy"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        detail: str = "",
        code: str | None = None,
        retry_after: int | None = None,
        close: bool = False,
        limit: str = "",
        standing: object = None,
    ) -> None:
        super().__init__(message, hint=hint, detail=detail, code=code, retry_after=retry_after, close=close)
        self.limit = limit
        self.standing = standing


class InsufficientQuota(RateLimited):
    """A budget is spent; nothing helps until it renews."""

    code = "insufficient_quota"
    retryable = False


class InternalError(GatewayError):
    """Something of ours failed; the request was stopped."""

    status = 500
    code = "internal_error"


class NoCredential(InternalError):
    """No strategy gave a credential for the instance."""

    code = "credential_unavailable"


class InstanceIncomplete(InternalError):
    """The instance lacks an option that only protocol mode needs."""

    code = "instance_incomplete"


class CredentialRejected(GatewayError):
    """The provider refused our credential; never passed on as a 401, which clients read as their own key being bad."""

    status = 502
    code = "credential_rejected"


class UpstreamUnreachable(GatewayError):
    """The provider cannot be reached, has a bad certificate, or gave a broken answer."""

    status = 502
    code = "provider_unreachable"
    fault = "provider"
    retryable = True


class UpstreamProxyFailed(GatewayError):
    """The proxy through which the outside is reached did not open a way there."""

    status = 502
    code = "upstream_proxy_failed"
    retryable = True


class UpstreamTimeout(UpstreamUnreachable):
    """The provider did not begin to answer in time."""

    status = 504
    code = "provider_timeout"


class BrokenAnswer(UpstreamUnreachable):
    """The provider answered, and what it said cannot be read as its own format."""

    code = "provider_answer_broken"


_STATUS: dict[Cause, int] = {
    "invalid_request": 400,
    "content_filter": 400,
    "permission": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limited": 429,
    "quota": 429,
    "overloaded": 503,
    "timeout": 504,
    "server": 500,
}
_CODE: dict[Cause, str] = {
    "invalid_request": "invalid_request",
    "content_filter": "content_filter",
    "permission": "permission_denied",
    "not_found": "model_not_found",
    "conflict": "conflict",
    "too_large": "request_too_large",
    "rate_limited": "rate_limit_exceeded",
    "quota": "insufficient_quota",
    "overloaded": "overloaded",
    "timeout": "provider_timeout",
    "server": "provider_error",
}
_OF_THE_CALLER: frozenset[Cause] = frozenset(
    {"invalid_request", "content_filter", "not_found", "too_large", "conflict"}
)


class UpstreamError(GatewayError):
    """What a provider itself refused, in neutral words: `cause` tells every client protocol what to make of it.

    `kept` are header fields of its answer that tell when to try again; they go to the client as they came. `code` is
    the provider's own where the client's protocol has the same one.
    """

    code = _CODE["server"]
    fault: Fault = "provider"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        cause: Cause = "server",
        hint: str = "",
        kept: tuple[tuple[bytes, bytes], ...] = (),
        code: str | None = None,
        param: str | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code or _CODE[cause], param=param, detail=detail)
        self.cause = cause
        self.kept = kept
        self.status = _STATUS[cause]
        self.fault = "caller" if cause in _OF_THE_CALLER else "provider"


class Unavailable(GatewayError):
    """We cannot decide or serve now: overload, or state that cannot be read."""

    status = 503
    code = "unavailable"
    retryable = True


class Draining(Unavailable):
    """This server is shutting down; the next attempt finds another."""

    code = "draining"
