"""A credential in a Secret of Kubernetes: mounted into the pod, or read from the API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from llmauth.credentials.base import Options, Seconds, Surroundings
from llmauth.credentials.fields import credential_at, field_name
from llmauth.credentials.kubernetes import cluster, kubeconfig, mounted, pod
from llmauth.credentials.kubernetes.api import ApiServer, KeptSecret, read_secret
from llmauth.credentials.kubernetes.names import Key, Namespace, SecretName
from llmauth.secrets import Credential, Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

log = logging.getLogger(__name__)

# Of what is read from the API; a mounted secret is followed as every file is.
REFRESH_AFTER = 60.0


class KubernetesSecretOptions(Options):
    """`{type: kubernetes_secret, secret_name: bedrock-credentials}`.

    `mount_path` reads it there and nowhere else. `key` picks one field, which is then the whole secret. `context` is
    a context of the kubeconfig, for a process outside of any cluster.
    """

    type: Literal["kubernetes_secret"] = "kubernetes_secret"
    secret_name: SecretName
    namespace: Namespace | None = None
    key: Key | None = None
    mount_path: Path | None = None
    context: Annotated[str, Field(min_length=1)] | None = None
    refresh_interval: Seconds | None = None

    @model_validator(mode="after")
    def _reads_one_place(self) -> Self:
        if self.mount_path is not None and self.context is not None:
            raise ValueError("`mount_path` reads a mounted secret and `context` asks a cluster; give one of the two")
        return self


class KubernetesSecretStrategy:
    """Looks for the mounted secret first, which needs nobody's permission, and asks the API for one that is not."""

    label = "kubernetes_secret"

    def __init__(self, options: KubernetesSecretOptions, surroundings: Surroundings) -> None:
        self._options = options
        self._surroundings = surroundings
        self._machine = surroundings.machine
        self._told = False

    def unavailable(self) -> str | None:
        try:
            self._found()
        except SourceUnavailable as refusal:
            return refusal.reason
        except SourceFailed:
            return None
        return None

    def load(self) -> Loaded:
        return self._found()()

    def _found(self) -> Callable[[], Loaded]:
        """How the secret is to be had here. Raises SourceUnavailable or SourceFailed; asks no network."""
        name, path = self._options.secret_name, self._options.mount_path
        place = mounted.place_of(name, path, self._machine)
        if place is not None:
            return partial(self._from_mount, place)
        if pod.in_pod(self._machine, self._surroundings.platform):
            reason = pod.refused(self._machine)
            if reason is not None:
                raise SourceUnavailable(reason)
            return self._from_pod
        return partial(self._from_context, self._context())

    def _context(self) -> kubeconfig.Context:
        wanted = self._options.context
        try:
            context = kubeconfig.context_of(self._machine, wanted)
        except SourceUnavailable as refusal:
            looked = f"{mounted.FOLDERS[0]}/{self._options.secret_name}"
            raise SourceUnavailable(f"no secret is mounted at {looked}, this is no pod, and {refusal.reason}") from None
        if wanted is None:
            cluster.check_meant(context)
        return context

    # ---- the three places ------------------------------------------------------------------------------------------

    def _from_mount(self, place: Path) -> Loaded:
        content = mounted.read(place, self._options.key, self._surroundings.provider)
        refresh_after = self._options.refresh_interval or mounted.REFRESH_AFTER
        return Loaded(credential=self._credential(str(place), content), source=str(place), refresh_after=refresh_after)

    def _from_pod(self) -> Loaded:
        return self._from_api(pod.server(self._machine, self._options.namespace))

    def _from_context(self, context: kubeconfig.Context) -> Loaded:
        server = cluster.server(context, self._options.namespace)
        if not self._told:
            self._told = True
            log.info("The secret %s is asked of %s, at %s", self._options.secret_name, server.origin, server.place)
        return self._from_api(server)

    def _from_api(self, server: ApiServer) -> Loaded:
        kept = read_secret(server, self._options.secret_name, self._surroundings.outbound)
        place = f"secret {server.namespace}/{self._options.secret_name} of {server.origin}"
        return Loaded(
            credential=self._credential(place, self._content(kept, place)),
            source=place if kept.version is None else f"{place}, version {kept.version}",
            refresh_after=self._options.refresh_interval or REFRESH_AFTER,
        )

    # ---- what it holds ---------------------------------------------------------------------------------------------

    def _content(self, kept: KeptSecret, place: str) -> Mapping[str, Secret] | str:
        key, provider = self._options.key, self._surroundings.provider
        try:
            if key is None:
                known = [name for name in kept.data if field_name(name, provider) is not None]
                return {name: Secret(kept.text(name)) for name in known}
            return kept.text(key)
        except KeyError:
            raise SourceFailed(f"{place} has no field of the name that `key` gives, {key}") from None
        except SourceFailed as failure:
            raise SourceFailed(f"{place}: {failure.reason}") from None

    def _credential(self, place: str, content: Mapping[str, Secret] | str) -> Credential:
        try:
            return credential_at(place, content, self._surroundings.provider)
        except SourceFailed as failure:
            if isinstance(content, str) or content:
                raise
            raise SourceFailed(f"{failure.reason}; one of another name is picked with `key`") from None
