"""Every answer that is a refusal: status, stable code, a sentence for the client, a hint, and whose fault it was.

GatewayError
├── BadRequest 400
│   ├── BodyTooLarge 413
│   ├── HeadTooLarge 431
│   ├── RequestTimeout 408
│   ├── MethodNotAllowed 405
│   └── UpgradeRefused 426
├── Misdirected 421
├── Unauthenticated 401 (407 where the proxy itself asks)
│   └── SecondFactorRequired 401
├── Forbidden 403
│   └── HostNotServed 403
├── NotFound 404
│   ├── UnknownInstance 404
│   └── UnknownModel 404
├── RateLimited 429
├── InternalError 500
│   └── NoCredential 500
├── CredentialRejected 502
├── UpstreamProxyFailed 502
├── UpstreamUnreachable 502
│   └── UpstreamTimeout 504
└── Unavailable 503
    └── Draining 503
"""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["caller", "policy", "provider", "proxy"]


class GatewayError(Exception):
    """A refusal of ours. `message` and `hint` are safe for the client; `detail` goes to the log and nowhere else."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    fault: ClassVar[Fault] = "proxy"
    # Official SDKs obey `x-should-retry`; a refusal that the same call cannot overcome says so.
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        detail: str = "",
        code: str | None = None,
        retry_after: int | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail
        self.retry_after = retry_after
        self.close = close
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
    """A method that no provider needs, or that would echo a credential (TRACE)."""

    status = 405
    code = "method_not_allowed"


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
    """No credential of ours, or a wrong one; `reason` is for metrics and the log, from a closed set."""

    status = 401
    code = "invalid_api_key"
    fault = "caller"

    def __init__(self, message: str, *, reason: str = "missing", hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.reason = reason


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


class RateLimited(GatewayError):
    """A limit of ours was reached."""

    status = 429
    code = "rate_limit_exceeded"
    fault = "policy"
    retryable = True


class InternalError(GatewayError):
    """Something of ours failed; the request was stopped."""

    status = 500
    code = "internal_error"


class NoCredential(InternalError):
    """No strategy gave a credential for the instance."""

    code = "credential_unavailable"


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


class Unavailable(GatewayError):
    """We cannot decide or serve now: overload, or state that cannot be read."""

    status = 503
    code = "unavailable"
    retryable = True


class Draining(Unavailable):
    """This server is shutting down; the next attempt finds another."""

    code = "draining"
