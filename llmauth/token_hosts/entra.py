"""Microsoft Entra: what MSAL reads about a tenant, and an application's secret or assertion for a Bearer token."""

from __future__ import annotations

import re
from typing import ClassVar

from llmauth.authenticators.tokens import Tokens
from llmauth.codecs.base import JSON, Rendered, to_json
from llmauth.context import Identity
from llmauth.errors import GatewayError
from llmauth.http import Request, Response
from llmauth.token_hosts.base import (
    UNKEPT,
    asked_host,
    granted,
    not_here,
    oauth_error,
    parameters,
    requested,
    require_grant,
)

# Which login host a cloud has, told by the end of its resources' names.
_CLOUDS = (
    (".azure.us", "login.microsoftonline.us"),
    (".azure.cn", "login.partner.microsoftonline.cn"),
    ("", "login.microsoftonline.com"),
)
_TENANT = r"/([A-Za-z0-9][A-Za-z0-9.-]{0,199})"
_TOKEN = re.compile(_TENANT + r"/oauth2/v2\.0/token")
_ABOUT_TENANT = re.compile(_TENANT + r"/v2\.0/\.well-known/openid-configuration")
_ABOUT_HOST = re.compile(r"/common/discovery/instance")
_GRANTS = frozenset({"client_credentials"})


class EntraRefusals:
    """RFC 6749's members, with the two by which Microsoft's SDKs tell one failure from another."""

    name = "entra"

    def render_error(self, error: GatewayError, request_id: str) -> Rendered:
        """Without an AADSTS number: those mean Microsoft's own reasons."""
        body = {**oauth_error(error), "error_codes": [], "trace_id": request_id, "correlation_id": request_id}
        return Rendered(headers=(JSON, UNKEPT), body=to_json(body))


class Entra:
    """The two documents that MSAL reads before it asks, and `POST /{tenant}/oauth2/v2.0/token`."""

    shape: ClassVar = EntraRefusals()
    key_fields: ClassVar = ("client_secret",)

    def hosts(self, region: str | None, provider_host: str) -> frozenset[str]:
        return frozenset({next(login for suffix, login in _CLOUDS if provider_host.endswith(suffix))})

    def is_exchange(self, request: Request) -> bool:
        return requested(request, _TOKEN)

    def answer(self, request: Request, identity: Identity, tokens: Tokens) -> Response:
        """See TokenHost."""
        if self.is_exchange(request):
            require_grant(parameters(request), _GRANTS)
            issued = tokens.issue(identity)
            times = {"expires_in": issued.life, "ext_expires_in": issued.life}
            return granted({"token_type": "Bearer", **times, "access_token": issued.text})
        if requested(request, _ABOUT_HOST, "GET"):
            return granted(_instance(asked_host(request)))
        if requested(request, _ABOUT_TENANT, "GET"):
            return granted(_tenant(asked_host(request), request.url.route_path.split("/")[1]))
        raise not_here()


def _tenant(host: str, tenant: str) -> dict[str, object]:
    base = f"https://{host}/{tenant}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _instance(host: str) -> dict[str, object]:
    names = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
    about = f"https://{host}/common/v2.0/.well-known/openid-configuration"
    return {"tenant_discovery_endpoint": about, "api-version": "1.1", "metadata": [names]}
