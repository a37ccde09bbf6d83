"""Whose machine the firmware says it is: a cloud's, nobody's, or no word about it."""

from __future__ import annotations

import pytest

from llmauth.platform.firmware import AZURE_TAG, ORACLE_TAG, XEN_UUID, owner
from tests.llmauth.platform.machines import AZURE, GOOGLE, HYPER_V, LAPTOP, NITRO, ORACLE, dmi, machine

XEN = dmi("Xen", "HVM domU", "", "Xen")
VIRTUAL = dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)", "", "SeaBIOS")


@pytest.mark.parametrize(
    ("strings", "whose"),
    [
        (NITRO, "aws"),
        (dmi(bios="Amazon EC2"), "aws"),
        ({**XEN, XEN_UUID: "EC2E1916-9099-7caf-fd21-012345abcdef"}, "aws"),
        ({**XEN, XEN_UUID: "00000000-9099-7caf-fd21-012345abcdef"}, "other"),
        (XEN, None),
        (AZURE, "azure"),
        (HYPER_V, "other"),
        (dmi("Microsoft Corporation", "Virtual Machine"), None),
        (dmi("Microsoft Corporation", "Surface Laptop", ""), "other"),
        (dmi(tag=AZURE_TAG), "azure"),
        (GOOGLE, "gcp"),
        (dmi(product="Google Compute Engine"), "gcp"),
        (dmi(product="Standard PC"), None),
        (ORACLE, "oci"),
        (dmi("QEMU", tag=ORACLE_TAG), "oci"),
        (LAPTOP, "other"),
        (VIRTUAL, "other"),
        (dmi("", "", "", ""), None),
        ({}, None),
    ],
)
def test_whose_machine_it_is(strings: dict[str, str], whose: str | None) -> None:
    assert owner(machine(strings), in_pod=False) == whose


def test_a_sandbox_of_a_pod_describes_itself_and_not_its_node() -> None:
    assert owner(machine(VIRTUAL), in_pod=True) is None
    assert owner(machine(LAPTOP), in_pod=True) == "other"
    assert owner(machine(ORACLE), in_pod=True) == "oci"
