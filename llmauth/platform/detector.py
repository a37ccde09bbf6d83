"""From signals to a platform: environment and files first, then what the machine says of itself; never the network."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Set
from typing import Literal

from llmauth.platform import CLUSTERS, MACHINES, Cloud, Platform, PlatformName
from llmauth.platform.machine import Machine
from llmauth.platform.naming import machine_of, named
from llmauth.platform.signals import Signal, look

log = logging.getLogger(__name__)

_Type = PlatformName | Literal["auto"]

# Services in which no other cloud's machine is to be met, and no machine at all but where the service has one.
_SERVICES: frozenset[PlatformName] = frozenset({"lambda", "azure", "cloudrun", "codeengine"})

_READY: Mapping[Signal, Cloud] = {
    Signal.IRSA: "aws",
    Signal.POD_IDENTITY: "aws",
    Signal.CONTAINER_CREDENTIALS: "aws",
    Signal.ECS_CREDENTIALS: "aws",
    Signal.LAMBDA_KEYS: "aws",
    Signal.AZURE_FEDERATION: "azure",
    Signal.AZURE_IDENTITY: "azure",
    Signal.GOOGLE_FEDERATION: "gcp",
    Signal.OCI_PRINCIPAL: "oci",
    Signal.IBM_TOKEN: "ibm",
    Signal.CODE_ENGINE_TOKEN: "ibm",
}


def detect(
    machine: Machine,
    name: _Type = "auto",
    switched: Mapping[Cloud, bool] | None = None,
) -> Platform:
    """The platform of a machine; a `name` other than `auto`, and each switch, is what the configuration forces.

    Takes well under a millisecond and never raises, whatever environment and files hold.
    """
    seen = look(machine)
    shown = named(seen) if name == "auto" else name
    return Platform(
        name=shown,
        workload=_workload(seen, shown),
        # A name that is forced adds its caution, and takes away none: a pod is a pod by any name.
        in_kubernetes=Signal.KUBERNETES in seen or (name in CLUSTERS),
        machine=_machine(seen, name, shown),
        settled=machine_of(seen) is not None or Signal.DMI_OTHER in seen or _is_known(name, shown),
        switched=dict(switched or {}),
        signals=tuple(signal.value for signal in Signal if signal in seen),
        forced=name != "auto",
    )


def announce(platform: Platform, more: Iterable[str] = ()) -> None:
    """Log what was detected, once at start-up: two lines for whoever looks for them, and one that says why.

    People read the last one where the configuration decided, or at debug level; in JSON the first line has it all.
    `more` are features that are none of a cloud's, each with its value.
    """
    features = ", ".join((*(f"{feature}=true" for feature in platform.features()), *more)) or "none"
    facts = _facts(platform)
    log.info("Platform detected: %s", platform.name, extra={"in_words": True, **facts})
    log.info("Features available: %s", features)
    forced = platform.forced or bool(platform.switched)
    message = "Platform forced by configuration" if forced else "Platform told by its signals"
    log.log(logging.INFO if forced else logging.DEBUG, message, extra=facts)


def _facts(platform: Platform) -> dict[str, object]:
    facts: dict[str, object] = {
        "signals": list(platform.signals),
        "in_kubernetes": platform.in_kubernetes,
        "machine": platform.machine or ("none" if platform.settled else "unknown"),
    }
    if platform.forced:
        facts["type"] = platform.name
    if platform.switched:
        facts["capabilities"] = {cloud: "on" if on else "off" for cloud, on in platform.switched.items()}
    return facts


def _workload(seen: Set[Signal], name: PlatformName) -> frozenset[Cloud]:
    ready: set[Cloud] = {cloud for signal, cloud in _READY.items() if signal in seen}
    # There is no variable on GKE: the pod's identity comes from the metadata server, if at all.
    if name in ("gke", "cloudrun"):
        ready.add("gcp")
    # A pod of OKE shows its own token to its cluster.
    if name == "oke" and {Signal.SERVICE_ACCOUNT, Signal.OKE_PRINCIPAL} & seen:
        ready.add("oci")
    return frozenset(ready)


def _machine(seen: Set[Signal], name: _Type, shown: PlatformName) -> Cloud | None:
    """By the firmware; where that is silent, a name that the configuration forces speaks for it, or against all."""
    if name == "generic":
        return None
    if shown == "cloudrun":
        return "gcp"
    return machine_of(seen) or (MACHINES.get(name) if name != "auto" else None)


def _is_known(name: _Type, shown: PlatformName) -> bool:
    """Whether the platform leaves no question of whose machine it is, although its firmware may be hidden."""
    return shown in _SERVICES or name == "generic" or name in MACHINES
