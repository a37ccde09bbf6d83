"""The one name that a platform is shown by, where its signals may speak of several clouds at once."""

from __future__ import annotations

from collections.abc import Mapping, Set

from llmauth.platform import MACHINES, Cloud, PlatformName
from llmauth.platform.signals import Signal

_Rules = Mapping[Signal, PlatformName]

# What only one kind of cluster gives, in the order in which it is believed.
_PROOF: _Rules = {
    Signal.ISSUER_EKS: "eks",
    Signal.ISSUER_AKS: "aks",
    Signal.ISSUER_GKE: "gke",
    Signal.AKS_API: "aks",
    # These run on clusters of their own, of which they show little.
    Signal.CODE_ENGINE_TOKEN: "codeengine",
    Signal.CODE_ENGINE: "codeengine",
    Signal.CONTAINER_APP: "azure",
    Signal.POD_IDENTITY: "eks",
}
# What is legal on any cluster, and stands on its own cloud's nearly always. EKS and AKS sign with issuers of their own,
# and their federation needs those: where the pod's own token has another, these two are not meant.
_FEDERATION: _Rules = {
    Signal.AZURE_FEDERATION: "aks",
    Signal.AZURE_IDENTITY: "aks",
    Signal.IRSA: "eks",
    Signal.CONTAINER_CREDENTIALS: "eks",
    Signal.ECS_CREDENTIALS: "eks",
    Signal.OKE_PRINCIPAL: "oke",
    Signal.OCI_PRINCIPAL: "oke",
    Signal.IBM_TOKEN: "iks",
}
_RULED_OUT = ("eks", "aks")

# What tells a service of a cloud, in the order in which it is believed.
_SERVICES: _Rules = {
    Signal.LAMBDA: "lambda",
    Signal.ECS: "ecs",
    Signal.ECS_CREDENTIALS: "ecs",
    Signal.CODE_ENGINE_TOKEN: "codeengine",
    Signal.CODE_ENGINE: "codeengine",
    Signal.CONTAINER_APP: "azure",
    Signal.APP_SERVICE: "azure",
    Signal.SERVICE_FABRIC: "azure",
    Signal.AZURE_IDENTITY: "azure",
    Signal.POD_IDENTITY: "eks",
}
_ELSEWHERE: _Rules = {
    Signal.AZURE_FEDERATION: "aks",
    Signal.IRSA: "eks",
    Signal.CONTAINER_CREDENTIALS: "eks",
    Signal.OCI_PRINCIPAL: "oci",
    Signal.OCI_PRINCIPAL_OTHER: "oci",
    Signal.OKE_PRINCIPAL: "oke",
    Signal.IBM_TOKEN: "iks",
}

_DMI: Mapping[Signal, Cloud] = {
    Signal.DMI_AWS: "aws",
    Signal.DMI_AZURE: "azure",
    Signal.DMI_GCP: "gcp",
    Signal.DMI_OCI: "oci",
}
_SEARCH: Mapping[Signal, Cloud] = {
    Signal.SEARCH_AWS: "aws",
    Signal.SEARCH_AZURE: "azure",
    Signal.SEARCH_GCP: "gcp",
    Signal.SEARCH_OCI: "oci",
}
_CLUSTER_OF: Mapping[Cloud, PlatformName] = {"aws": "eks", "azure": "aks", "gcp": "gke", "oci": "oke", "ibm": "iks"}
_NAME_OF: Mapping[Cloud, PlatformName] = {cloud: name for name, cloud in MACHINES.items()}


def named(seen: Set[Signal]) -> PlatformName:
    """The platform by its signals; `generic` is a machine that is no cloud's, such as a laptop."""
    return _cluster(seen) if Signal.KUBERNETES in seen else _plain(seen)


def machine_of(seen: Set[Signal]) -> Cloud | None:
    """The cloud that the machine says it is of."""
    return next((cloud for signal, cloud in _DMI.items() if signal in seen), None)


def _is_cloud_run(seen: Set[Signal]) -> bool:
    """Cloud Run itself, of what is neither a pod nor Code Engine: these are Knative, and have its variables as well.

    A laptop on which somebody set them describes itself.
    """
    not_googles = {Signal.DMI_AWS, Signal.DMI_AZURE, Signal.DMI_OCI, Signal.DMI_OTHER} & seen
    return Signal.CLOUD_RUN_JOB in seen or (Signal.KNATIVE in seen and not not_googles)


def _cluster(seen: Set[Signal]) -> PlatformName:
    proven = _first(_PROOF, seen)
    if proven is not None:
        return proven
    federated = _told(_FEDERATION, seen, ruled_out=_RULED_OUT if Signal.ISSUER_OTHER in seen else ())
    if federated is not None:
        return federated
    cloud = _hinted(seen)
    # The tokens of EKS and GKE always have their own issuer. AKS may be without one, OKE and IKS have none to know.
    if cloud is not None and not (cloud in ("aws", "gcp") and Signal.ISSUER_OTHER in seen):
        return _CLUSTER_OF[cloud]
    # The key alone says whose API is called; in a cluster of which nothing else is known it is the best guess.
    return "iks" if cloud is None and Signal.IBM_KEY in seen and Signal.DMI_OTHER not in seen else "kubernetes"


def _plain(seen: Set[Signal]) -> PlatformName:
    service = _first(_SERVICES, seen) or ("cloudrun" if _is_cloud_run(seen) else None)
    if service is not None:
        return service
    told = _told(_ELSEWHERE, seen)
    machine = machine_of(seen)
    return told or (_NAME_OF[machine] if machine is not None else "generic")


def _first(rules: _Rules, seen: Set[Signal]) -> PlatformName | None:
    return next((name for signal, name in rules.items() if signal in seen), None)


def _told(rules: _Rules, seen: Set[Signal], ruled_out: tuple[str, ...] = ()) -> PlatformName | None:
    """The first name that these rules find; where they find several, the one that the machine speaks for."""
    found = [name for signal, name in rules.items() if signal in seen and name not in ruled_out]
    cloud = _hinted(seen)
    likely = _CLUSTER_OF[cloud] if cloud is not None else None
    return likely if likely in found else next(iter(found), None)


def _hinted(seen: Set[Signal]) -> Cloud | None:
    """The cloud of the machine, else of the domain that names are looked for in."""
    return machine_of(seen) or next((cloud for signal, cloud in _SEARCH.items() if signal in seen), None)
