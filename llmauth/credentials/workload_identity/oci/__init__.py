"""Credentials of the workload itself at Oracle: a resource principal, a pod's identity in OKE, or the instance's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from llmauth.credentials.base import Options, Surroundings
from llmauth.credentials.workload_identity.label import label_of
from llmauth.credentials.workload_identity.node import check_node, node_refused, not_available
from llmauth.credentials.workload_identity.oci import instance_principal, oke, resource_principal
from llmauth.secrets import Loaded
from llmauth.sources import SourceFailed, SourceUnavailable

_ENDPOINTS = (instance_principal.BASE_URL,)
# With these Oracle's libraries take a pod's identity, where nothing else of a resource principal is set.
_OF_A_POD = frozenset({"1.1", "2.2"})


class OciWorkloadIdentityOptions(Options):
    """`{type: workload_identity, provider: oci}`.

    `allow_node_identity` unset: the instance's own principal is used outside of Kubernetes only, as in a pod it is the
    node's identity and not the pod's. True uses it there as well, false nowhere.
    """

    type: Literal["workload_identity"] = "workload_identity"
    provider: Literal["oci"] = "oci"
    allow_node_identity: bool | None = None


class OciWorkloadIdentity:
    """Each load is a session of its own, with a key of its own: there is nothing to keep, and nothing to forget."""

    def __init__(self, options: OciWorkloadIdentityOptions, surroundings: Surroundings) -> None:
        self._allowed = options.allow_node_identity
        self._surroundings = surroundings
        self.label = label_of("oci", surroundings.platform)

    def unavailable(self) -> str | None:
        if self._own() is not None:
            return None
        return node_refused("oci", self._surroundings, self._allowed, _ENDPOINTS)

    def load(self) -> Loaded:
        reason = self.unavailable()
        if reason is not None:
            raise SourceUnavailable(reason)
        return (self._own() or self._instance_principal)()

    def _own(self) -> Callable[[], Loaded] | None:
        """How the workload's own identity is had here, by what was set up; `None` where it has none."""
        here, environ = self._surroundings, self._surroundings.environ
        if not here.platform.switched.get("oci", True):
            return None
        if self._is_of_a_pod():
            return lambda: oke.load(here.machine, here.outbound)
        if resource_principal.is_meant(environ):
            return lambda: resource_principal.load(here.machine)
        return None

    def _is_of_a_pod(self) -> bool:
        platform, environ = self._surroundings.platform, self._surroundings.environ
        other = (resource_principal.TOKEN, resource_principal.KEY, *resource_principal.ENDPOINTS)
        if not platform.in_kubernetes or any(map(environ.get, other)):
            return False
        version = environ.get(resource_principal.VERSION)
        if version:
            return version in _OF_A_POD
        # Only Oracle's Go library asks for the variable; and who allows the node's identity means that one.
        return platform.has_workload("oci") and not self._allowed

    def _instance_principal(self) -> Loaded:
        here, ends = self._surroundings, time.monotonic() + instance_principal.TIME_LIMIT
        check_node("oci", here, self._allowed, _ENDPOINTS)
        try:
            return instance_principal.load(here.machine, here.outbound, here.clock, ends)
        except instance_principal.NoMetadata as missing:
            if here.platform.machine == "oci" or any(map(here.environ.get, _ENDPOINTS)):
                raise SourceFailed(missing.reason) from None
            raise SourceUnavailable(not_available("oci", here)) from None
