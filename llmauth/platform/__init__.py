"""Which platform this process runs on, and which identities it may use there: a set of them, and one name to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from llmauth.platform.machine import Machine, SimulatedMachine, ThisMachine

__all__ = ["CLOUDS", "PLATFORMS", "Cloud", "Machine", "Platform", "PlatformName", "SimulatedMachine", "ThisMachine"]

Cloud = Literal["aws", "azure", "gcp", "oci", "ibm"]
PlatformName = Literal[
    "eks",
    "ecs",
    "lambda",
    "ec2",
    "aks",
    "azure",
    "gke",
    "cloudrun",
    "gce",
    "oke",
    "oci",
    "iks",
    "codeengine",
    "kubernetes",
    "generic",
]
CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
PLATFORMS: tuple[PlatformName, ...] = get_args(PlatformName)

CLUSTERS: frozenset[PlatformName] = frozenset({"eks", "aks", "gke", "oke", "iks", "kubernetes"})
"""Those that are Kubernetes by their name alone."""
MACHINES: Mapping[PlatformName, Cloud] = {"ec2": "aws", "azure": "azure", "gce": "gcp", "oci": "oci"}
"""Those that are a cloud's plain machines, where the machine's identity is the one to use."""

_CLOUD_OF: Mapping[PlatformName, Cloud] = {
    **dict.fromkeys(("eks", "ecs", "lambda", "ec2"), "aws"),
    **dict.fromkeys(("aks", "azure"), "azure"),
    **dict.fromkeys(("gke", "cloudrun", "gce"), "gcp"),
    **dict.fromkeys(("oke", "oci"), "oci"),
    **dict.fromkeys(("iks", "codeengine"), "ibm"),
}
NAMES: Mapping[Cloud, str] = {"aws": "AWS", "azure": "Azure", "gcp": "GCP", "oci": "OCI", "ibm": "IBM"}
"""How a cloud is called in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What was detected, without asking the network.

    `workload` are the clouds whose workload identity stands ready: variables, token files or the kind of cluster tell.
    On GKE that is the metadata server, which gives the node's account where workload identity is off: whoever asks it
    `in_kubernetes` has to look whose account it names. `machine` is the cloud that this machine belongs to by its own
    description; where that says nothing, `settled` is false, and asking the metadata services is the only way to know.
    `switched` are the clouds that the configuration turns on or off. `signals` names what was seen, never its values.
    """

    name: PlatformName = "generic"
    workload: frozenset[Cloud] = frozenset()
    in_kubernetes: bool = False
    machine: Cloud | None = None
    settled: bool = False
    switched: Mapping[Cloud, bool] = field(default_factory=dict)
    signals: tuple[str, ...] = ()
    forced: bool = False

    @property
    def cloud(self) -> Cloud | None:
        """The cloud that the platform is of; `None` for plain Kubernetes and for a laptop."""
        return _CLOUD_OF.get(self.name)

    def features(self) -> tuple[str, ...]:
        """What it gives to strategies, by name: `aws_workload_identity`, `gcp_machine_identity`."""
        ready = [f"{cloud}_workload_identity" for cloud in CLOUDS if self.has_workload(cloud)]
        machine = self.machine if not self.in_kubernetes and self.switched.get(self.machine or "aws", True) else None
        return (*ready, *([f"{machine}_machine_identity"] if machine is not None else []))

    def has_workload(self, cloud: Cloud) -> bool:
        """Whether the workload identity of a cloud stands ready, or the configuration says that it does."""
        return self.switched.get(cloud, cloud in self.workload)
