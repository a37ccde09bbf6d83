"""IBM Cloud IAM: an API key, a trusted profile or a compute resource becomes a Bearer token for watsonx."""

from __future__ import annotations

import re
from typing import ClassVar

from llmauth.authenticators.tokens import Tokens
from llmauth.codecs.base import JSON, Rendered, to_json
from llmauth.context import Identity
from llmauth.errors import GatewayError
from llmauth.http import Request, Response
from llmauth.token_hosts.base import UNKEPT, granted, not_here, parameters, requested, require_grant

_TOKEN = re.compile(r"/(identity|oidc)/token")
_PREFIX = "urn:ibm:params:oauth:grant-type:"
# ibm-watsonx-ai names no grant beside its API key; the service reads one from that.
_DEFAULT = {"grant_type": f"{_PREFIX}apikey"}
_GRANTS = frozenset(_PREFIX + name for name in ("apikey", "assume", "cr-token"))


class IamRefusals:
    """`{"errorCode", "errorMessage", "context"}`."""

    name = "iam"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """The code is ours: those of IBM begin with BXNIM, and mean IBM's own reasons."""
        body = {"errorCode": error.code, "errorMessage": error.sentence, "context": {"requestId": request_id}}
        return Rendered(headers=(JSON, UNKEPT), body=to_json(body))


class Iam:
    """`POST /identity/token`; its parameters may stand in the query, where ibm-watsonx-ai puts a trusted profile's."""

    shape: ClassVar = IamRefusals()
    # `access_token` is a token that this host handed out before: whoever assumes a profile shows it.
    key_fields: ClassVar = ("apikey", "access_token")

    def hosts(self, region: str | None, provider_host: str) -> frozenset[str]:
        return frozenset({"iam.cloud.ibm.com"})

    def is_exchange(self, request: Request) -> bool:
        return requested(request, _TOKEN)

    def answer(self, request: Request, identity: Identity, tokens: Tokens) -> Response:
        """See TokenHost. There is nothing to refresh with: the SDK asks again with its key."""
        if not self.is_exchange(request):
            raise not_here()
        require_grant({**_DEFAULT, **parameters(request)}, _GRANTS)
        issued = tokens.issue(identity)
        return granted(
            {
                "access_token": issued.text,
                "refresh_token": "not_supported",
                "token_type": "Bearer",
                "expires_in": issued.life,
                "expiration": issued.expires_at,
                "scope": "ibm openid",
            }
        )
