"""AWS STS: a role becomes temporary keys. They prove nothing, and need not: AWS SDKs sign with whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import ClassVar
from xml.sax.saxutils import escape

from llmauth.authenticators.tokens import LIFETIME, Tokens
from llmauth.codecs.base import Rendered, by_class
from llmauth.context import Identity
from llmauth.errors import BadRequest, Forbidden, GatewayError, RateLimited, Unauthenticated, Unavailable
from llmauth.http import Headers, Request, Response
from llmauth.token_hosts.base import UNKEPT, named, not_here, parameters, requested

_XML = (b"Content-Type", b"text/xml")
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_ROOT = re.compile(r"/")
# DNS suffixes by how a region begins, the dual-stack one second, as AWS gives them to its partitions.
_SUFFIXES = (
    ("cn-", ("amazonaws.com.cn", "api.amazonwebservices.com.cn")),
    ("eusc-", ("amazonaws.eu", "api.amazonwebservices.eu")),
    ("", ("amazonaws.com", "api.aws")),
)
_WITHOUT_GLOBAL = ("cn-", "eusc-", "us-gov-")
_NO_ACCOUNT = "000000000000"
_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_+=,.@-]")  # what no session name may hold
# No token of ours among them: nobody can tell such a signature from a placeholder's, so it would prove nothing.
_KEYS = {
    "AccessKeyId": "ASIAPLACEHOLDER00000",
    "SecretAccessKey": "placeholder".ljust(40, "0"),
    "SessionToken": "placeholder",
}

ERRORS: Mapping[type[GatewayError], str] = {
    GatewayError: "InternalFailure",
    BadRequest: "ValidationError",
    Unauthenticated: "InvalidClientTokenId",
    Forbidden: "AccessDenied",
    RateLimited: "Throttling",
    Unavailable: "ServiceUnavailable",
}


class StsRefusals:
    """`<ErrorResponse><Error>…`, which is where botocore reads code and message of this service."""

    name = "sts"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """A client whose fault it is, is the `Sender`."""
        fields = {
            "Type": "Sender" if error.status < 500 else "Receiver",
            "Code": by_class(ERRORS, error),
            "Message": error.sentence,
        }
        body = f"<Error>{_elements(fields)}</Error><RequestId>{_text(request_id)}</RequestId>"
        return Rendered(headers=(_XML, UNKEPT), body=_document("ErrorResponse", body))


class Sts:
    """The calls that lead to keys, and the one that asks whose they are; as forms, which all AWS SDKs send."""

    shape: ClassVar = StsRefusals()
    # A form holds no lasting secret here: with a web identity the caller is the tunnel's.
    key_fields: ClassVar = ()

    def hosts(self, region: str | None, provider_host: str) -> frozenset[str]:
        region = region or "us-east-1"
        plain, dual_stack = next(suffixes for begins, suffixes in _SUFFIXES if region.startswith(begins))
        names = {f"sts.{region}.{plain}", f"sts.{region}.{dual_stack}"}
        if region.startswith("us-"):
            names.add(f"sts-fips.{region}.{plain}")
        if not region.startswith(_WITHOUT_GLOBAL):
            names.add(f"sts.{plain}")
        return frozenset(names)

    def is_exchange(self, request: Request) -> bool:
        return requested(request, _ROOT)

    def answer(self, request: Request, identity: Identity, tokens: Tokens) -> Response:
        """See TokenHost. Two callers may get the same keys: it is not by them that we know who calls."""
        if not self.is_exchange(request):
            raise not_here()
        action = parameters(request).get("Action", "")
        result = _RESULTS.get(action)
        if result is None:
            raise BadRequest(
                f"{named('The action', action)} is not answered here.", hint=f"Answered are: {', '.join(_RESULTS)}."
            )
        inner = f"<{action}Result>{result(identity, tokens)}</{action}Result>"
        body = _document(f"{action}Response", f"{inner}<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>")
        return Response(status=200, headers=Headers([_XML, UNKEPT]), body=body)


def _credentials(identity: Identity, tokens: Tokens) -> str:
    ends = tokens.now() + LIFETIME if identity.expires_at is None else min(tokens.now() + LIFETIME, identity.expires_at)
    expiration = datetime.fromtimestamp(int(ends), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"<Credentials>{_elements({**_KEYS, 'Expiration': expiration})}</Credentials>"


def _role(identity: Identity, tokens: Tokens) -> str:
    user = {"AssumedRoleId": f"AROAPLACEHOLDER00000:{_session(identity)}", "Arn": _arn(identity)}
    return f"{_credentials(identity, tokens)}<AssumedRoleUser>{_elements(user)}</AssumedRoleUser>"


def _web_identity(identity: Identity, tokens: Tokens) -> str:
    return _role(identity, tokens) + _elements({"SubjectFromWebIdentityToken": _session(identity)})


def _caller(identity: Identity, tokens: Tokens) -> str:
    user = {"Arn": _arn(identity), "UserId": f"AROAPLACEHOLDER00000:{_session(identity)}", "Account": _NO_ACCOUNT}
    return _elements(user)


_RESULTS: Mapping[str, Callable[[Identity, Tokens], str]] = {
    "AssumeRoleWithWebIdentity": _web_identity,
    "AssumeRole": _role,
    "GetSessionToken": _credentials,
    "GetCallerIdentity": _caller,
}


def _arn(identity: Identity) -> str:
    """Of an account that nobody has, so that it is nowhere taken for a real one; the user is ours."""
    return f"arn:aws:sts::{_NO_ACCOUNT}:assumed-role/llmauth/{_session(identity)}"


def _session(identity: Identity) -> str:
    return _UNNAMEABLE.sub("-", identity.user)[:64].ljust(2, "-")


def _elements(fields: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{_text(value)}</{name}>" for name, value in fields.items())


def _text(value: str) -> str:
    """Escaped, and without what XML 1.0 cannot hold."""
    return escape("".join(mark if mark.isprintable() else "?" for mark in value))


def _document(name: str, body: str) -> bytes:
    return f'<{name} xmlns="{_NAMESPACE}">{body}</{name}>'.encode("utf-8", "replace")
