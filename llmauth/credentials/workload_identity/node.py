"""When the machine's own identity may be used: always on a plain machine, in a pod only where that is said."""

from __future__ import annotations

from collections.abc import Sequence

from llmauth.credentials.base import Surroundings
from llmauth.platform import NAMES, Cloud, Platform
from llmauth.sources import SourceUnavailable


def not_available(cloud: Cloud, surroundings: Surroundings) -> str:
    """The sentence that says that a cloud's identity is not to be had here."""
    return f"{NAMES[cloud]} workload identity not available on {surroundings.platform.name}"


def node_refused(
    cloud: Cloud, surroundings: Surroundings, allowed: bool | None, endpoints: Sequence[str] = ()
) -> str | None:
    """Why the identity of this machine may not be used or cannot be there, told without the network; else `None`.

    `allowed` is `allow_node_identity`: in a pod the machine's identity is the node's and not the pod's, so there it has
    to be true. `endpoints` are variables that name the metadata service, which is then asked whatever else is known.
    """
    platform = surroundings.platform
    reason = not_available(cloud, surroundings)
    if not platform.switched.get(cloud, True):
        return f"{reason}: it is turned off by platform.capabilities"
    if platform.in_kubernetes and not allowed:
        if not _may_be_its_node(cloud, platform):
            return reason
        return f"{reason} (on {NAMES[cloud]} nodes, allow_node_identity: true would use the node's own identity)"
    if allowed is False:
        return f"{reason}, and allow_node_identity: false keeps from the machine's own"
    if _is_named(cloud, surroundings, endpoints):
        return None
    # Some machines of a cloud (IBM's VPC) do not say whose they are; who writes `true` may know better.
    unsaid = platform.machine is None and allowed
    return reason if platform.settled and not unsaid else None


def check_node(cloud: Cloud, surroundings: Surroundings, allowed: bool | None, endpoints: Sequence[str] = ()) -> None:
    """SourceUnavailable unless the metadata service of this cloud is worth asking; blocks for 1.5 s at most."""
    reason = node_refused(cloud, surroundings, allowed, endpoints)
    if reason is not None:
        raise SourceUnavailable(reason)
    if not _is_named(cloud, surroundings, endpoints) and not surroundings.probes.answers(cloud):
        raise SourceUnavailable(not_available(cloud, surroundings))


def _is_named(cloud: Cloud, surroundings: Surroundings, endpoints: Sequence[str]) -> bool:
    """Whether this machine is known to be of the cloud: by itself, by the configuration, or by a variable."""
    platform = surroundings.platform
    told = platform.machine == cloud or platform.switched.get(cloud, False)
    return told or any(map(surroundings.environ.get, endpoints))


def _may_be_its_node(cloud: Cloud, platform: Platform) -> bool:
    """Whether the node of this pod can be of the cloud, for all that is known."""
    unknown = platform.machine is None and not platform.settled
    return platform.cloud in (cloud, None) and (platform.machine == cloud or unknown)
