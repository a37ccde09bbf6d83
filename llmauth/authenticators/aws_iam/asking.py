"""Our own GetCallerIdentity in the caller's name: written anew, sent to one place, and its answer read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from llmauth.authenticators.aws_iam.presigned import HEADER, Presigned
from llmauth.authenticators.base import wrong
from llmauth.authenticators.reach import NotReached, unavailable
from llmauth.outbound import Answer, Outbound
from llmauth.sources import SourceFailed

TIME_LIMIT = 3.0
_MOST = 16 * 1024
_NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>|\"Code\" ?: ?\"([A-Za-z0-9.]{1,64})\"")
# What AWS says of the caller's own signature or keys. Anything else is no word about the caller.
_OF_THE_CALLER = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "IncompleteSignature", "SignatureDoesNotMatch"),
        *("InvalidClientTokenId", "UnrecognizedClientException", "MissingAuthenticationToken", "InvalidAction"),
        *("InvalidSignatureException", "IncompleteSignatureException", "AuthFailure", "InvalidIdentityToken"),
    }
)
# GetCallerIdentity needs no permission, so it is the policy of an endpoint that denies it.
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_PROBE = "/?Action=GetCallerIdentity&Version=2011-06-15"


class Sts:
    """Where tokens are asked about: the host that each was signed for, or `endpoint` in the place of all of them.

    With an endpoint the connection, its TLS name and its certificate are the endpoint's; the field `Host` stays the one
    that was signed, as AWS's private endpoints have it.
    """

    def __init__(self, outbound: Outbound, *, endpoint: str | None, server_id: str) -> None:
        self._outbound = outbound.within(TIME_LIMIT)
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._server_id = server_id

    def place_of(self, presigned: Presigned) -> str:
        """The host that will be asked."""
        return presigned.host if self._endpoint is None else str(urlsplit(self._endpoint).hostname)

    def caller(self, presigned: Presigned) -> str:
        """The ARN of whoever signed. Unauthenticated where AWS refuses the signature, NotReached, Unavailable."""
        answer = self._asked(presigned.host, presigned.target(), {HEADER: self._server_id})
        if answer.status == 200:
            return _arn(answer)
        code = _code(answer)
        if answer.status // 100 == 4 and code in _OF_THE_CALLER:
            raise wrong("bad_key", f"aws_iam: AWS refused the signed request: {code}")
        # Of one caller alone, perhaps: an endpoint's policy may deny this account and let others in.
        if answer.status // 100 == 4 and code:
            reason = "its endpoint's policy denies GetCallerIdentity" if code in _DENIED else "it refused to tell"
            raise unavailable("AWS STS", f"{reason} ({answer.status} {code})")
        raise NotReached(f"{self.place_of(presigned)} answered {answer.status}{f' {code}' if code else ''}")

    def probe(self, host: str) -> Callable[[], None]:
        """Asks, unsigned, whether AWS answers there: it then says that a signature is missing."""

        def look() -> None:
            answer = self._asked(host, _PROBE, {})
            if answer.status // 100 != 4 or not _code(answer):
                raise NotReached(f"{host} answered {answer.status}")

        return look

    def _asked(self, host: str, target: str, fields: dict[str, str]) -> Answer:
        base = self._endpoint or f"https://{host}"
        try:
            return self._outbound.ask(
                "GET", base + target, {"Host": host, "Accept": "application/json", **fields}, most=_MOST
            )
        except SourceFailed as failure:
            raise NotReached(failure.reason) from None


def _code(answer: Answer) -> str:
    match = _CODE.search(answer.body)
    return (match[1] or match[2]).decode("ascii") if match else ""


def _arn(answer: Answer) -> str:
    """The ARN of an answer in JSON or XML, whose account is that of its Account; NotReached for any other answer."""
    told = _of_json(answer.body) if answer.body.lstrip().startswith(b"{") else _of_xml(answer.body)
    arn, account = told.get("Arn"), told.get("Account")
    if not isinstance(arn, str) or not isinstance(account, str) or arn.split(":")[4:5] != [account]:
        raise NotReached("AWS STS answered with no identity")
    return arn


def _of_json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotReached("AWS STS answered with no identity") from None
    return told if isinstance(told, dict) else {}


def _of_xml(body: bytes) -> dict[str, Any]:
    # Whatever could declare an entity begins like this, in every encoding that has the bytes of ASCII.
    if b"<!" in body or b"\0" in body or not body.isascii():
        raise NotReached("AWS STS answered with no identity")
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError):
        raise NotReached("AWS STS answered with no identity") from None
    results = root.findall(f"{_NAMESPACE}GetCallerIdentityResult")
    if root.tag != f"{_NAMESPACE}GetCallerIdentityResponse" or len(results) != 1:
        raise NotReached("AWS STS answered with no identity")
    tags = [each.tag.removeprefix(_NAMESPACE) for each in results[0]]
    if len(set(tags)) != len(tags):
        raise NotReached("AWS STS answered with no identity")
    return dict(zip(tags, (each.text for each in results[0]), strict=True))
