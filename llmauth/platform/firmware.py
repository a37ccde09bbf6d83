"""Whose machine this is, by what its firmware says: strings that everybody may read, and that no pod can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from llmauth.platform import Cloud
from llmauth.platform.machine import Machine

FOLDER = "/sys/class/dmi/id"
XEN_UUID = "/sys/hypervisor/uuid"

AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
ORACLE_TAG = "OracleCloud.com"
AMAZON = "Amazon EC2"

# Sandboxes of pods are small machines of their own, and describe themselves instead of the node.
_SANDBOXES = frozenset({"QEMU", "KVM", "Cloud Hypervisor", "Kata Containers"})


def owner(machine: Machine, in_pod: bool) -> Cloud | Literal["other"] | None:
    """The cloud, or `other` where it is clearly none of them; `None` where the firmware is hidden or leaves it open.

    "Microsoft Corporation" is the vendor of every Hyper-V machine, and of a Surface: only the tag tells Azure's.
    """
    vendor, product, tag, bios = (
        machine.read(f"{FOLDER}/{name}") for name in ("sys_vendor", "product_name", "chassis_asset_tag", "bios_vendor")
    )
    hypervisor = machine.read(XEN_UUID)
    told: dict[Cloud, Callable[[], bool]] = {
        "aws": lambda: AMAZON in (vendor, bios) or (hypervisor or "").lower().startswith("ec2"),
        "azure": lambda: tag == AZURE_TAG,
        "oci": lambda: tag == ORACLE_TAG,
        "gcp": lambda: (product or "").startswith("Google"),
    }
    cloud = next((cloud for cloud, is_its in told.items() if is_its()), None)
    if cloud is not None:
        return cloud
    open_still = (in_pod and vendor in _SANDBOXES) or (vendor == "Xen" and hypervisor is None)
    return "other" if vendor and tag is not None and not open_still else None
