"""Entra tokens of the workload itself: federated from a cluster's token, of an app service, or of a plain machine."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from llmauth.addresses import is_ip_literal, is_private
from llmauth.credentials import bearers
from llmauth.credentials.base import Options, Surroundings
from llmauth.credentials.entra import Entra, authority_of, client_from, openai_scope, tenant_from
from llmauth.credentials.workload_identity.label import label_of
from llmauth.credentials.workload_identity.node import check_node, node_refused, not_available
from llmauth.credentials.workload_identity.token_file import token_of
from llmauth.outbound import METADATA
from llmauth.outbound.objects import json_object
from llmauth.secrets import BearerToken, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AccessTokenInfo
    from azure.core.pipeline import PipelineResponse

# With the 1.5 s in which an unknown machine is probed, less than the deadline of a load.
METADATA_TIMEOUT = 2.0

_FEDERATION = "AZURE_FEDERATED_TOKEN_FILE"
# App Service, Functions and Container Apps have the first pair, older ones and Azure ML the second.
_APP_PAIRS = (("IDENTITY_ENDPOINT", "IDENTITY_HEADER"), ("MSI_ENDPOINT", "MSI_SECRET"))
_NODE = "AZURE_POD_IDENTITY_AUTHORITY_HOST"

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_ERROR = re.compile(r"[A-Za-z_]{1,40}")

_Tenant = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]|\.[A-Za-z0-9])*$", max_length=253)]
_Client = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
_Scope = Annotated[str, Field(pattern=r"^(https|api)://[A-Za-z0-9][A-Za-z0-9./-]{0,250}/\.default$")]


class AzureWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: azure}`; `tenant_id` and `client_id` beat those of the environment.

    `scope` unset is that of Azure OpenAI in the cloud that AZURE_AUTHORITY_HOST names. `allow_node_identity` unset: the
    machine's managed identity is used outside of Kubernetes only, as in a pod it is the kubelet's and not the pod's.
    True uses it there as well, false nowhere.
    """

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["azure"] = "azure"
    tenant_id: _Tenant | None = None
    client_id: _Client | None = None
    scope: _Scope | None = None
    allow_node_identity: bool | None = None


class AzureWorkloadIdentity:
    """Every load really fetches. Whatever stands ready for the workload is used, and where that fails, nothing else."""

    def __init__(self, options: AzureWorkloadIdentityOptions, surroundings: Surroundings) -> None:
        self._options = options
        self._surroundings = surroundings
        self._environ = surroundings.environ
        self._entra = Entra(surroundings.outbound, surroundings.environ)
        self.label = label_of("azure", surroundings.platform)

    def unavailable(self) -> str | None:
        own = self._environ.get(_FEDERATION) or self._app_pair()
        if own and self._surroundings.platform.switched.get("azure", True):
            return None
        return node_refused("azure", self._surroundings, self._options.allow_node_identity, (_NODE,))

    def load(self) -> Loaded:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        if token_file := self._environ.get(_FEDERATION):
            return self._federated(token_file)
        return self._of_app() if self._app_pair() else self._of_machine()

    @property
    def _scope(self) -> str:
        return self._options.scope or openai_scope(authority_of(self._environ))

    def _app_pair(self) -> tuple[str, str] | None:
        return next((pair for pair in _APP_PAIRS if all(map(self._environ.get, pair))), None)

    # ---- federation ------------------------------------------------------------------------------------------------

    def _federated(self, token_file: str) -> Loaded:
        tenant = tenant_from(*self._wanted(self._options.tenant_id, "tenant_id", "AZURE_TENANT_ID"))
        client = client_from(*self._wanted(self._options.client_id, "client_id", "AZURE_CLIENT_ID"))
        # Read at every load: Kubernetes rotates the token at 80 % of its life.
        assertion = _assertion(token_file)
        wall = self._surroundings.clock.wall()
        token, life = self._entra.for_assertion(tenant, client, assertion, self._scope)
        return Loaded(
            credential=BearerToken(value=token), source=f"federated identity {client}", expires_at=wall + life
        )

    def _wanted(self, chosen: str | None, option: str, variable: str) -> tuple[str, str]:
        value = chosen or self._environ.get(variable)
        if not value:
            raise SourceFailed(f"{_FEDERATION} is set and names no {option}: set {variable} or {option}")
        return value, option if chosen else variable

    # ---- managed identities ----------------------------------------------------------------------------------------

    def _of_app(self) -> Loaded:
        if self._environ.get("IDENTITY_SERVER_THUMBPRINT"):
            raise SourceFailed("a managed identity of Service Fabric (IDENTITY_SERVER_THUMBPRINT) cannot be used here")
        return self._managed("this app")

    def _of_machine(self) -> Loaded:
        check_node("azure", self._surroundings, self._options.allow_node_identity, (_NODE,))
        return self._managed("this machine")

    def _managed(self, whose: str) -> Loaded:
        """What azure-identity finds, which knows each kind of endpoint; it reads the environment of this process."""
        for variable in ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", _NODE):
            _check_inside(variable, self._environ.get(variable))
        client = self._options.client_id or self._environ.get("AZURE_CLIENT_ID") or None
        if client is not None:
            client = client_from(client, "AZURE_CLIENT_ID")
        asked = _Asked()
        try:
            told = self._token(client, asked)
        except Exception as error:
            raise self._refused(whose, client, asked, error) from None
        service = f"the identity endpoint of {whose}"
        token = bearers.token_of(told.token, service)
        bearers.life_of(told.expires_on - self._surroundings.clock.wall(), service)
        named = f"managed identity {client} of {whose}" if client else f"managed identity of {whose}"
        return Loaded(credential=BearerToken(value=token), source=named, expires_at=float(told.expires_on))

    def _token(self, client: str | None, asked: _Asked) -> AccessTokenInfo:
        from azure.core.pipeline.transport import RequestsTransport
        from azure.identity import ManagedIdentityCredential

        from llmauth.outbound.session import session_over

        # It logs what it was answered, as a warning.
        logging.getLogger("azure.identity").setLevel(logging.ERROR)
        outbound = self._surroundings.outbound.trusting(METADATA, time_limit=METADATA_TIMEOUT)
        # Built anew each time: what it keeps, the lease keeps. It would try for 75 s, and wait 300 s for an answer.
        credential = ManagedIdentityCredential(
            client_id=client,
            transport=RequestsTransport(session=session_over(outbound), session_owner=False),
            retry_total=0,
            raw_response_hook=asked.hear,
        )
        told: AccessTokenInfo = credential.get_token_info(self._scope)
        return told

    def _refused(self, whose: str, client: str | None, asked: _Asked, error: Exception) -> Exception:
        endpoint = f"the identity endpoint of {whose}"
        if isinstance(error, SourceFailed | SourceUnavailable):
            return error
        if asked.status is None:
            return SourceFailed(f"{endpoint} gave no token: {_reason(error)}")
        if asked.status == 400 and asked.error == "invalid_request":
            # By Microsoft's table of errors: "Identity not found", an identity that is not assigned to the machine.
            if client is None:
                return SourceUnavailable(
                    f"{not_available('azure', self._surroundings)}: no managed identity is assigned to {whose}"
                )
            return SourceFailed(f"{endpoint} knows no identity of client id {client}: it is not assigned to {whose}")
        if asked.status == 200:
            return SourceFailed(f"{endpoint} answered something that is no token")
        return SourceFailed(f"{endpoint} gave no token: {asked}")


class _Asked:
    """What an endpoint answered, as azure-identity passes it by: of its texts, codes alone."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.error: str | None = None

    def hear(self, response: PipelineResponse[Any, Any]) -> None:
        self.status = int(response.http_response.status_code)
        error = (json_object(response.http_response.body()) or {}).get("error")
        self.error = error if isinstance(error, str) and _ERROR.fullmatch(error) else None

    def __str__(self) -> str:
        return f"status {self.status}" + (f", {self.error}" if self.error else "")


def _reason(error: BaseException) -> str:
    """Our own, where a call of ours ended it, else the class: its text may quote what was received."""
    from requests.exceptions import ConnectionError as Unreached

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Unreached):
            return str(cause)
        # azure-core keeps what it met beside the chain of causes.
        cause = getattr(cause, "inner_exception", None) or cause.__cause__
    return type(error).__name__


def _check_inside(variable: str, url: str | None) -> None:
    """Such an endpoint is asked in clear text, so it has to be on this machine or beside it."""
    if not url:
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    inside = host == "localhost" or (is_ip_literal(host) and is_private(host))
    if parts.scheme != "https" and not (parts.scheme == "http" and inside):
        raise SourceFailed(f"{variable} is no https:// address, and none of this machine or beside it")


def _assertion(path: str) -> Secret:
    token = token_of(path, _FEDERATION)
    if not _JWT.fullmatch(token):
        raise SourceFailed(f"the file that {_FEDERATION} names holds no token of a cluster")
    return Secret(token)
