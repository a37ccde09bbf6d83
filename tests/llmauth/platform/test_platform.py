"""The value that strategies ask: which cloud, which identities, and what the configuration makes of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from llmauth.platform import CLOUDS, CLUSTERS, MACHINES, NAMES, PLATFORMS, Platform, PlatformName


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        *(("eks", "aws"), ("ecs", "aws"), ("lambda", "aws"), ("ec2", "aws"), ("aks", "azure"), ("azure", "azure")),
        *(("gke", "gcp"), ("cloudrun", "gcp"), ("gce", "gcp"), ("oke", "oci"), ("oci", "oci")),
        *(("iks", "ibm"), ("codeengine", "ibm"), ("kubernetes", None), ("generic", None)),
    ],
)
def test_each_platform_is_of_one_cloud_or_of_none(name: Any, cloud: str | None) -> None:
    assert Platform(name=name).cloud == cloud


@pytest.mark.parametrize(
    ("said", "features"),
    [
        ({}, ()),
        ({"workload": {"aws"}}, ("aws_workload_identity",)),
        ({"workload": {"ibm", "aws"}}, ("aws_workload_identity", "ibm_workload_identity")),
        ({"machine": "gcp"}, ("gcp_machine_identity",)),
        ({"machine": "gcp", "in_kubernetes": True}, ()),
        ({"machine": "gcp", "switched": {"gcp": False}}, ()),
        ({"machine": "gcp", "switched": {"aws": False}}, ("gcp_machine_identity",)),
        ({"workload": {"aws"}, "switched": {"aws": False}}, ()),
        ({"switched": {"oci": True}}, ("oci_workload_identity",)),
    ],
)
def test_features_are_what_may_be_used(said: dict[str, Any], features: tuple[str, ...]) -> None:
    assert Platform(**said).features() == features


def test_the_tables_name_what_there_is() -> None:
    assert set(PLATFORMS) == set(get_args(PlatformName))
    assert set(PLATFORMS) >= CLUSTERS | MACHINES.keys()
    assert NAMES.keys() == set(CLOUDS)
