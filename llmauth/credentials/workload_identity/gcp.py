"""Google credentials of the workload itself: federation by a credential file, GKE's, or on a plain machine its own."""

from __future__ import annotations

from typing import Literal

from llmauth.credentials.base import Options, Surroundings
from llmauth.credentials.google.credential_file import FEDERATED, VARIABLE, CredentialFile, named
from llmauth.credentials.google.federation import account_of, federated
from llmauth.credentials.google.grants import SCOPE
from llmauth.credentials.google.metadata import ENDPOINT, Account, MetadataServer
from llmauth.credentials.workload_identity.label import label_of
from llmauth.credentials.workload_identity.node import check_node, node_refused, not_available
from llmauth.secrets import BearerToken, Loaded
from llmauth.sources import SourceFailed, SourceUnavailable

_ENDPOINTS = (ENDPOINT,)


class GcpWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: gcp}`.

    `allow_node_identity` unset: the machine's service account is used outside of Kubernetes only, as in a pod it is the
    node's identity and not the pod's. True uses it there as well, false nowhere.
    """

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["gcp"] = "gcp"
    allow_node_identity: bool | None = None


class GcpWorkloadIdentity:
    """Every load really fetches, so that what is leased has proved itself; keeping it is the cache's work."""

    def __init__(self, options: GcpWorkloadIdentityOptions, surroundings: Surroundings) -> None:
        self._allowed = options.allow_node_identity
        self._surroundings = surroundings
        self.label = label_of("gcp", surroundings.platform)

    def unavailable(self) -> str | None:
        if self._surroundings.platform.switched.get("gcp", True):
            try:
                if self._file() is not None:
                    return None
            except SourceFailed:
                return None
            if self._may_be_the_pods():
                return None
        return node_refused("gcp", self._surroundings, self._allowed, _ENDPOINTS)

    def load(self) -> Loaded:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        # A file that is meant and broken ends it here: who meant to be the workload shall not become the node.
        file = self._file()
        return self._federated(file) if file is not None else self._by_metadata()

    def _file(self) -> CredentialFile | None:
        file = named(self._surroundings.machine)
        return file if file is not None and file.type == FEDERATED else None

    def _federated(self, file: CredentialFile) -> Loaded:
        account = account_of(file.info)
        grant = federated(file.info, self._surroundings)
        source = f"federation by {VARIABLE}" + (f", as {account}" if account else "")
        return Loaded(credential=BearerToken(value=grant.token), source=source, expires_at=grant.ends)

    # ---- the metadata server ---------------------------------------------------------------------------------------

    def _may_be_the_pods(self) -> bool:
        """In a pod of Google's the metadata server speaks for the pod, where the cluster has workload identity."""
        platform = self._surroundings.platform
        told = "gcp" in (platform.cloud, platform.machine) or platform.has_workload("gcp")
        return platform.in_kubernetes and (told or bool(self._surroundings.environ.get(ENDPOINT)))

    def _by_metadata(self) -> Loaded:
        here = self._surroundings
        if not self._may_be_the_pods():
            check_node("gcp", here, self._allowed, _ENDPOINTS)
        server = MetadataServer(here.environ, here.outbound)
        account = self._account(server)
        wall = here.clock.wall()
        try:
            token, life = server.token()
        except SourceFailed as failure:
            hint = "may it use that account (roles/iam.workloadIdentityUser)?" if here.platform.in_kubernetes else ""
            raise SourceFailed(f"{account.email}: {failure.reason}" + (f"; {hint}" if hint else "")) from None
        return Loaded(
            credential=BearerToken(value=token), source=f"metadata server, {account.email}", expires_at=wall + life
        )

    def _account(self, server: MetadataServer) -> Account:
        here = self._surroundings
        reason = not_available("gcp", here)
        try:
            account = server.account()
        except SourceUnavailable as absent:
            raise SourceUnavailable(f"{reason}: {absent.reason}") from None
        except SourceFailed as failure:
            # Failed and not unavailable: that it does not answer in a pod's first seconds is normal, and what failed is
            # asked again within a second.
            early = "; in the first seconds of a pod that is normal" if here.platform.in_kubernetes else ""
            raise SourceFailed(f"{failure.reason}{early}") from None
        if here.platform.in_kubernetes:
            if account.nodes and not self._allowed:
                raise SourceUnavailable(
                    f"{reason}: the metadata server offers the node's own account, {account.email}; "
                    "allow_node_identity: true would use it"
                )
        elif account.scopes and SCOPE not in account.scopes:
            raise SourceFailed(
                f"the access scopes of this machine keep {account.email} from Google's APIs: it needs cloud-platform"
            )
        return account
