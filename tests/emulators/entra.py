"""Microsoft Entra: the token endpoint of one tenant, and the documents that vendors' libraries read before it.

It checks that a token is asked for with a form, by a known application, for a known service and its `/.default`, and by
one of two proofs: the application's secret, or a token of a cluster (RS256, signed with the key of `cluster`, its
issuer, subject and audience as the application's federated credential has them, within its time). Refusals have the
codes that Entra's have. The tokens that it gives are signed JWTs, which `opened` reads and checks.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from llmauth.addresses import HostPort
from llmauth.demo.certificates import Authority
from llmauth.outbound import Outbound
from tests.emulators.service import Call, Reply, Service
from tests.emulators.trust import Trust

HOST = "login.microsoftonline.com"
TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
SECRET = "entra-secret-canary-7f3a"
ISSUER = "https://westeurope.oic.prod-aks.azure.com/tenant/cluster/"
SUBJECT = "system:serviceaccount:llm:llmauth"
AUDIENCE = "api://AzureADTokenExchange"
SERVICES = ("https://cognitiveservices.azure.com", "https://ai.azure.com", "https://vault.azure.net")

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CLUSTER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_ENTRA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def cluster_token(*, life: float = 3600, **claims: Any) -> str:
    """A projected token of the service account; `claims` put others in the place of the good ones."""
    now = int(time.time())
    good = {"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "iat": now, "exp": int(now + life)}
    return jwt.encode(good | claims, _CLUSTER_KEY, algorithm="RS256", headers={"kid": "cluster"})


def issued(resource: str, *, client: str = CLIENT, tenant: str = TENANT, life: float = 3600) -> str:
    """A token of Entra for a service."""
    now = int(time.time())
    claims = {"aud": resource, "iss": f"https://sts.windows.net/{tenant}/", "tid": tenant, "appid": client}
    more = {"iat": now, "nbf": now, "exp": int(now + life), "uti": uuid.uuid4().hex}
    return jwt.encode(claims | more, _ENTRA_KEY, algorithm="RS256", headers={"kid": "entra"})


def opened(token: str, resource: str) -> Mapping[str, Any]:
    """The claims of a token that Entra gave for this service; jwt.InvalidTokenError for any other."""
    claims: Mapping[str, Any] = jwt.decode(token, _ENTRA_KEY.public_key(), algorithms=["RS256"], audience=resource)
    return claims


def reaching(folder: Path, *services: Service) -> Outbound:
    """The way to public services by which the names of these lead to them; they share one authority."""
    places = {name: HostPort("127.0.0.1", service.port) for service in services for name in service._names}
    return Outbound(ca_file=services[0].write_ca(folder), resolve=places)


class EntraEmulator(Service):
    """`secrets` are those of the application; one that is mapped to False has ended. `life` is that of its tokens.

    `trusts` is the issuer of the federated credential, in the place of the cluster.
    """

    def __init__(
        self,
        *,
        tls: Sequence[str] = (HOST,),
        authority: Authority | None = None,
        life: int = 3599,
        trusts: Trust | None = None,
    ) -> None:
        super().__init__(tls=tls, authority=authority)
        self.trusts = trusts
        self.secrets = {SECRET: True}
        self.life = life

    def answer(self, call: Call) -> Reply:
        parts = call.path.strip("/").split("/")
        if parts == ["common", "discovery", "instance"] and call.method == "GET":
            return self._instances()
        if len(parts) < 2 or "v2.0" not in parts:
            return Reply(404, b"", {"Content-Type": "text/html"})
        if parts[0] != TENANT:
            return _refused(400, "invalid_request", 90002, f"Tenant '{parts[0]}' not found.")
        if parts[1:] == ["v2.0", ".well-known", "openid-configuration"] and call.method == "GET":
            return self._configuration()
        if parts[1:] == ["oauth2", "v2.0", "token"] and call.method == "POST":
            return self._token(call)
        return Reply(404, b"", {"Content-Type": "text/html"})

    def refusal(self, call: Call) -> Reply:
        return _refused(400, "unauthorized_client", 53003, "Access has been blocked by Conditional Access policies.")

    @property
    def _root(self) -> str:
        return f"{self.url}/{TENANT}"

    def _instances(self) -> Reply:
        names = [name if ":" in name else f"{name}:{self.port}" for name in self._names]
        metadata = [{"preferred_network": names[0], "preferred_cache": names[0], "aliases": [*names, *self._names]}]
        endpoint = f"{self._root}/v2.0/.well-known/openid-configuration"
        return Reply(200, {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": metadata})

    def _configuration(self) -> Reply:
        return Reply(
            200,
            {
                "issuer": f"https://{self._names[0]}/{TENANT}/v2.0",
                "token_endpoint": f"{self._root}/oauth2/v2.0/token",
                "authorization_endpoint": f"{self._root}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{self._root}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{self._root}/discovery/v2.0/keys",
            },
        )

    def _token(self, call: Call) -> Reply:
        if call.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return _refused(400, "invalid_request", 900144, "The request body must contain: 'grant_type'.")
        form = call.form
        for name in ("grant_type", "client_id", "scope"):
            if not form.get(name):
                return _refused(400, "invalid_request", 900144, f"The request body must contain: '{name}'.")
        if form["grant_type"] != "client_credentials":
            return _refused(400, "unsupported_grant_type", 70003, "The grant type is not supported.")
        if form["client_id"] != CLIENT:
            return _refused(400, "unauthorized_client", 700016, f"Application '{form['client_id']}' was not found.")
        resource, _, rest = form["scope"].rpartition("/")
        if rest != ".default":
            return _refused(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        if resource not in SERVICES:
            return _refused(400, "invalid_resource", 500011, f"The resource principal named {resource} was not found.")
        return self._proved(form) or self._given(resource)

    def _proved(self, form: Mapping[str, str]) -> Reply | None:
        if "client_assertion" in form:
            if form.get("client_assertion_type") != _ASSERTION:
                return _refused(400, "invalid_request", 900144, "The body must contain: 'client_assertion_type'.")
            return _assertion_refused(form["client_assertion"], self.trusts)
        if "client_secret" not in form:
            return _refused(401, "invalid_client", 7000216, "'client_assertion' or 'client_secret' is required.")
        good = self.secrets.get(form["client_secret"])
        if good is None:
            return _refused(401, "invalid_client", 7000215, "Invalid client secret provided.")
        return (
            None if good else _refused(401, "invalid_client", 7000222, "The provided client secret keys are expired.")
        )

    def _given(self, resource: str) -> Reply:
        token = issued(resource, life=self.life)
        return Reply(
            200,
            {"token_type": "Bearer", "expires_in": self.life, "ext_expires_in": self.life, "access_token": token},
        )


def _assertion_refused(assertion: str, trusts: Trust | None) -> Reply | None:
    """In the order in which Entra looks: form, time, and the three of the federated credential."""
    try:
        claims = _cluster_claims(assertion) if trusts is None else trusts.claims(assertion)
    except jwt.ExpiredSignatureError:
        return _refused(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")
    except jwt.PyJWTError:
        return _refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims["iss"] != (ISSUER if trusts is None else trusts.issuer):
        return _refused(401, "invalid_client", 700211, "No matching federated identity record: issuer.")
    if claims["sub"] != SUBJECT:
        return _refused(401, "invalid_client", 700213, "No matching federated identity record: subject.")
    if AUDIENCE not in audiences:
        return _refused(401, "invalid_client", 700212, "No matching federated identity record: audience.")
    return None


def _cluster_claims(assertion: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(
        assertion,
        _CLUSTER_KEY.public_key(),
        algorithms=["RS256"],
        options={"verify_aud": False, "require": ["exp", "iss", "sub", "aud"]},
    )
    return claims


def _refused(status: int, error: str, code: int, text: str) -> Reply:
    trace = str(uuid.uuid4())
    return Reply(
        status,
        {
            "error": error,
            "error_description": f"AADSTS{code}: {text} canary-7f3a Trace ID: {trace} Correlation ID: {trace}",
            "error_codes": [code],
            "trace_id": trace,
            "correlation_id": trace,
        },
    )
