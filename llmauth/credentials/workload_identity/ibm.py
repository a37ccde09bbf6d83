"""Credentials of the workload itself at IBM: a trusted profile, by a compute resource token or a virtual server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from llmauth.credentials.base import Options, Surroundings
from llmauth.credentials.ibm_iam import HOST, NAME, PATH, given
from llmauth.credentials.workload_identity.compute_token import ComputeToken, compute_token
from llmauth.credentials.workload_identity.label import label_of
from llmauth.credentials.workload_identity.node import check_node, node_refused, not_available
from llmauth.outbound import METADATA, Answer, Outbound
from llmauth.secrets import BearerToken, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

GRANT = "urn:ibm:params:oauth:grant-type:cr-token"
VERSION = "2022-03-01"
DEFAULT_ENDPOINT = "http://169.254.169.254"
SERVICE = "the metadata service of IBM"

# As IBM's command line names them.
PROFILE_VARIABLE = "IBMCLOUD_CR_PROFILE"
ENDPOINT_VARIABLE = "IBMCLOUD_CR_VPC_URL"

_ENDPOINTS = (ENDPOINT_VARIABLE,)
_TIME_LIMIT = 3.5
_METADATA_LIMIT = 1.5
# The token of the first call is shown in the second, a moment later.
_IDENTITY_LIFE = 300

_ID = re.compile(r"Profile-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CRN = re.compile(rf"crn:v1:[^\s]*:profile:({_ID.pattern})")


class IbmWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: ibm, profile: …}`; the profile by its name, its id or its CRN.

    `allow_node_identity` unset: the virtual server's own identity is used outside of Kubernetes only, as in a pod it is
    the node's identity and not the pod's. True uses it there as well, false nowhere.
    """

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["ibm"] = "ibm"
    profile: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=256)] | None = None
    token_file: Path | None = None
    allow_node_identity: bool | None = None


class NoMetadata(SourceFailed):
    """The metadata service cannot be reached, or is none of IBM's."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A trusted profile as it was written: by `id`, or by `name`."""

    kind: Literal["id", "name"]
    value: str

    @classmethod
    def written(cls, text: str) -> Profile:
        """Told by its form: an id, or a CRN that ends with one, and anything else is a name."""
        crn = _CRN.fullmatch(text)
        if crn is not None or _ID.fullmatch(text):
            return cls("id", text if crn is None else crn[1])
        return cls("name", text)


class IbmWorkloadIdentity:
    """Every load really asks; keeping what was given is the cache's work."""

    def __init__(self, options: IbmWorkloadIdentityOptions, surroundings: Surroundings) -> None:
        self._options = options
        self._surroundings = surroundings
        profile = options.profile or surroundings.environ.get(PROFILE_VARIABLE)
        self._profile = Profile.written(profile) if profile else None
        self.label = label_of("ibm", surroundings.platform)

    def unavailable(self) -> str | None:
        if self._compute_token() is not None:
            return None
        return node_refused("ibm", self._surroundings, self._options.allow_node_identity, _ENDPOINTS)

    def load(self) -> Loaded:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        wall = self._surroundings.clock.wall()  # before the calls: the time that they take is of the token's life
        token = self._compute_token()
        (value, life), source = self._by_virtual_server() if token is None else self._by_compute_token(token)
        return Loaded(credential=BearerToken(value=value), source=source, expires_at=wall + life)

    def _compute_token(self) -> ComputeToken | None:
        if not self._surroundings.platform.switched.get("ibm", True):
            return None
        return compute_token(self._surroundings.machine, self._options.token_file)

    # ---- Kubernetes and Code Engine --------------------------------------------------------------------------------

    def _by_compute_token(self, token: ComputeToken) -> tuple[tuple[Secret, float], str]:
        profile = self._profile
        if profile is None:
            raise SourceFailed(f"no trusted profile is named: set `profile` of this strategy, or {PROFILE_VARIABLE}")
        form = {"grant_type": GRANT, "cr_token": token.read(), f"profile_{profile.kind}": profile.value}
        answer = self._surroundings.outbound.within(_TIME_LIMIT).post_form(HOST, PATH, form)
        shown = f"the compute resource token of {token.place} for this trusted profile"
        return given(answer, NAME, shown), f"trusted profile {profile.value}"

    # ---- a virtual server ------------------------------------------------------------------------------------------

    def _by_virtual_server(self) -> tuple[tuple[Secret, float], str]:
        here, profile, ends = self._surroundings, self._profile, time.monotonic() + _TIME_LIMIT
        check_node("ibm", here, self._options.allow_node_identity, _ENDPOINTS)
        service = _Metadata(here.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT, here.outbound, ends)
        try:
            identity = service.identity()
        except NoMetadata as missing:
            if here.platform.switched.get("ibm") or any(map(here.environ.get, _ENDPOINTS)):
                raise SourceFailed(missing.reason) from None
            raise SourceUnavailable(not_available("ibm", here)) from None
        source = f"trusted profile {profile.value}" if profile else "trusted profile of this virtual server"
        return service.token(identity, profile), source


class _Metadata:
    """IBM's metadata service: an identity of this virtual server, and a token of IAM for it."""

    def __init__(self, endpoint: str, outbound: Outbound, ends: float) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._outbound = outbound
        self._ends = ends

    def identity(self) -> Secret:
        """What the second call is authorised by."""
        try:
            answer = self._ask("PUT", "token", {"expires_in": _IDENTITY_LIFE}, min(_METADATA_LIMIT, self._left()))
        except SourceFailed as refusal:
            raise NoMetadata(f"{SERVICE}: {refusal.reason}") from None
        if answer.status in (404, 405):
            raise NoMetadata(
                f"{SERVICE} knows no instance identity: status {answer.status}; turn it on for this server"
            )
        return given(answer, SERVICE, "to tell who this virtual server is")[0]

    def token(self, identity: Secret, profile: Profile | None) -> tuple[Secret, float]:
        """A token of IAM for a profile, or for the one that is the server's default; and its life in seconds."""
        content = {"trusted_profile": {profile.kind: profile.value}} if profile is not None else {}
        shown = {"Authorization": f"Bearer {identity.reveal()}"}
        answer = self._ask("POST", "iam_token", content, self._left(), shown)
        if profile is None and answer.status in (400, 404):
            raise SourceFailed(f"{SERVICE} gave no token: name a trusted profile, as this server has no default one")
        return given(answer, SERVICE, "this virtual server the trusted profile")

    def _left(self) -> float:
        return max(0.1, round(self._ends - time.monotonic(), 1))  # as it is told

    def _ask(
        self, method: str, path: str, content: Mapping[str, object], limit: float, more: Mapping[str, str] | None = None
    ) -> Answer:
        # No redirect and no browser sets the first: the service is not for whoever can make a process send a request.
        fields = {"Metadata-Flavor": "ibm", "Accept": "application/json", "Content-Type": "application/json"}
        url = f"{self._endpoint}/instance_identity/v1/{path}?version={VERSION}"
        body = json.dumps(content).encode("ascii") if content else b""
        outbound = self._outbound.trusting(METADATA, time_limit=limit)
        return outbound.ask(method, url, {**fields, **(more or {})}, body)
