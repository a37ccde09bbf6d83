"""Microsoft Entra: an application in, by its secret or by a token of a cluster that it trusts; a bearer token out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from llmauth.credentials.bearers import granted, told_by
from llmauth.outbound import Outbound
from llmauth.secrets import Credential, EntraClient, Secret
from llmauth.sources import SourceFailed

HOST = "login.microsoftonline.com"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# Each sovereign cloud has an Entra and names of services of its own; a token of one is worth nothing in another.
_DOMAINS = {
    "login.microsoftonline.us": "azure.us",
    "login.partner.microsoftonline.cn": "azure.cn",
    "login.chinacloudapi.cn": "azure.cn",
}
_AUTHORITY = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::\d{1,5})?")
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_CLIENT = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_REFUSALS = (400, 401, 403)
_CODE = re.compile(r"AADSTS\d{4,9}(?!\d)")
_ERROR = re.compile(r"[a-z_]{1,40}")
# In our own words: what Entra says beside its code names tenants, applications and traces.
_MEANINGS = {
    "AADSTS50027": "the token is not one of a cluster",
    "AADSTS70021": "no federated credential of the application fits the token's issuer, subject and audience",
    "AADSTS700016": "the tenant has no application of this client id",
    "AADSTS700024": "the token has ended, or its time has not begun",
    "AADSTS700211": "no federated credential of the application names the token's issuer",
    "AADSTS700212": "no federated credential of the application names the token's audience",
    "AADSTS700213": "no federated credential of the application names the token's subject",
    "AADSTS7000215": "the client secret is wrong; its value is wanted, not its id",
    "AADSTS7000222": "the client secret has ended",
    "AADSTS90002": "there is no such tenant in this cloud",
    "AADSTS500011": "the tenant does not know the service that the scope names",
    "AADSTS1002012": "the scope has to end in /.default",
}


def authority_of(environ: Mapping[str, str]) -> str:
    """The host, port included where it names one, that AZURE_AUTHORITY_HOST makes the place of Entra.

    It is where the secret goes, so it is https and nothing but a host, as vendors' libraries take it. SourceFailed for
    anything else.
    """
    written = environ.get("AZURE_AUTHORITY_HOST") or HOST
    parts = urlsplit(written if "://" in written else f"https://{written}")
    place = parts.netloc.lower()
    more = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme != "https" or more or not _AUTHORITY.fullmatch(place):
        raise SourceFailed("AZURE_AUTHORITY_HOST is no https:// address of a host alone")
    return place


def openai_scope(authority: str) -> str:
    """What a token for Azure OpenAI is asked for, in the cloud of this Entra."""
    return f"https://cognitiveservices.{_DOMAINS.get(authority, 'azure.com')}/.default"


def tenant_from(text: str, what: str) -> str:
    """The id or the domain of a tenant, which becomes a part of a path; SourceFailed for anything else."""
    if not _TENANT.fullmatch(text) or ".." in text:
        raise SourceFailed(f"{what} is neither the id (a GUID) nor a domain of a tenant")
    return text


def client_from(text: str, what: str) -> str:
    """The client id of an application or identity; SourceFailed for anything else."""
    if not _CLIENT.fullmatch(text):
        raise SourceFailed(f"{what} is no client id (a GUID)")
    return text


class Entra:
    """The token service of Microsoft; which of them, AZURE_AUTHORITY_HOST of this environment says.

    One form is all that it wants. The libraries for it ask for documents first, keep a cluster's token for ten minutes
    after it was replaced, and raise whatever their parsers run into.
    """

    name = "Entra"

    def __init__(self, outbound: Outbound, environ: Mapping[str, str] | None = None) -> None:
        self._outbound = outbound
        self._environ = environ or {}

    def takes(self, credential: Credential) -> bool:
        return isinstance(credential, EntraClient)

    def token(self, credential: Credential) -> tuple[Secret, float]:
        """A token for Azure OpenAI and its life in seconds; blocks. Raises SourceFailed with Entra's code."""
        assert isinstance(credential, EntraClient)
        return self.for_application(credential, openai_scope(authority_of(self._environ)))

    def for_application(self, client: EntraClient, scope: str) -> tuple[Secret, float]:
        """The same, for any scope."""
        proof = {"client_secret": client.client_secret.reveal()}
        return self._token(client.tenant_id, client.client_id, proof, scope, "the application")

    def for_assertion(self, tenant: str, client: str, assertion: Secret, scope: str) -> tuple[Secret, float]:
        """The same for a token of a cluster, which stands for the application that trusts it."""
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion.reveal()}
        return self._token(tenant, client, proof, scope, "the federated token")

    def _token(
        self, tenant: str, client: str, proof: Mapping[str, str], scope: str, shown: str
    ) -> tuple[Secret, float]:
        form = {"grant_type": "client_credentials", "client_id": client, "scope": scope, **proof}
        path = f"/{tenant_from(tenant, 'the tenant id')}/oauth2/v2.0/token"
        answer = self._outbound.post_form(authority_of(self._environ), path, form)
        told = told_by(answer, self.name)
        if answer.status != 200:
            raise SourceFailed(_refusal(told, answer.status, shown))
        return granted(told, self.name)


def _refusal(told: Mapping[str, Any], status: int, shown: str) -> str:
    what = f"refused {shown}" if status in _REFUSALS else "gave no token"
    code = code_in(told.get("error_description"))
    if code is None:
        error = told.get("error")
        known = isinstance(error, str) and _ERROR.fullmatch(error)
        return f"Entra {what}: status {status}" + (f", {error}" if known else "")
    meaning = _MEANINGS.get(code)
    return f"Entra {what}: {code}" + (f", {meaning}" if meaning else "")


def code_in(text: object) -> str | None:
    """The code of Entra that a text begins with, as its descriptions of errors do; nothing else of them is shown."""
    found = _CODE.match(text) if isinstance(text, str) else None
    return found[0] if found else None
