"""Google's OAuth 2.0, STS and IAM credentials: an assertion, a refresh or federated token, an impersonation."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import ClassVar

from llmauth.authenticators.tokens import Issued, Tokens
from llmauth.context import Identity
from llmauth.http import Request, Response
from llmauth.token_hosts.base import OAuthRefusals, asked_host, granted, not_here, parameters, requested, require_grant

_OAUTH, _STS, _IAM = "oauth2.googleapis.com", "sts.googleapis.com", "iamcredentials.googleapis.com"
_PATHS = {_OAUTH: re.compile(r"/token"), _STS: re.compile(r"/v1/token")}
# Whoever federates most often goes on to a service account, with the token that it just got: it must not leave.
_IMPERSONATES = re.compile(r"/v1/projects/-/serviceAccounts/[A-Za-z0-9.@%_-]+:generateAccessToken")
_GRANTS = {
    _OAUTH: frozenset({"urn:ietf:params:oauth:grant-type:jwt-bearer", "refresh_token"}),
    _STS: frozenset({"urn:ietf:params:oauth:grant-type:token-exchange"}),
}


class Google:
    """`POST /token`; for an identity of another cloud `POST /v1/token`, and then `…:generateAccessToken`."""

    shape: ClassVar = OAuthRefusals()
    # Of the credentials of a user (`authorized_user`), both of which the SDK keeps in one file.
    key_fields: ClassVar = ("refresh_token", "client_secret")

    def hosts(self, region: str | None, provider_host: str) -> frozenset[str]:
        return frozenset({*_PATHS, _IAM})

    def is_exchange(self, request: Request) -> bool:
        path = _PATHS.get(asked_host(request))
        return path is not None and requested(request, path)

    def answer(self, request: Request, identity: Identity, tokens: Tokens) -> Response:
        """See TokenHost. `id_token` is the same placeholder, for those who asked for one."""
        host = asked_host(request)
        if host == _IAM and requested(request, _IMPERSONATES):
            return _impersonated(tokens.issue(identity))
        if not self.is_exchange(request):
            raise not_here()
        require_grant(parameters(request), _GRANTS[host])
        issued = tokens.issue(identity)
        answer = {"access_token": issued.text, "expires_in": issued.life, "token_type": "Bearer"}
        if host == _OAUTH:
            return granted({**answer, "id_token": issued.text})
        return granted({**answer, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})


def _impersonated(issued: Issued) -> Response:
    ends = datetime.fromtimestamp(issued.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return granted({"accessToken": issued.text, "expireTime": ends})
