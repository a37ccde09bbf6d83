"""When the machine's own identity may be used, for every place that a process may be in."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.credentials.workload_identity.node import check_node, node_refused
from llmauth.platform import Platform
from llmauth.platform.probes import Probes
from llmauth.sources import SourceUnavailable

POD: dict[str, Any] = {"in_kubernetes": True}
HINT = " (on AWS nodes, allow_node_identity: true would use the node's own identity)"


@pytest.mark.parametrize(
    ("platform", "allowed", "reason"),
    [
        (Platform(name="ec2", machine="aws", settled=True), None, None),
        (Platform(name="ec2", machine="aws", settled=True), True, None),
        (
            Platform(name="ec2", machine="aws", settled=True),
            False,
            "AWS workload identity not available on ec2, and allow_node_identity: false keeps from the machine's own",
        ),
        (Platform(), None, None),
        (Platform(settled=True), None, "AWS workload identity not available on generic"),
        (Platform(name="eks", machine="aws", **POD), None, f"AWS workload identity not available on eks{HINT}"),
        (Platform(name="eks", machine="aws", **POD), True, None),
        (Platform(name="kubernetes", **POD), None, f"AWS workload identity not available on kubernetes{HINT}"),
        (Platform(name="kubernetes", **POD), True, None),
        (Platform(name="kubernetes", settled=True, **POD), None, "AWS workload identity not available on kubernetes"),
        (Platform(name="kubernetes", settled=True, **POD), True, None),  # who says so may know better than the firmware
        (Platform(machine="gcp", settled=True, **POD), True, "AWS workload identity not available on generic"),
        (Platform(name="aks", **POD), None, "AWS workload identity not available on aks"),
        (Platform(name="gke", machine="gcp", **POD), None, "AWS workload identity not available on gke"),
        (
            Platform(name="ec2", machine="aws", switched={"aws": False}),
            True,
            "AWS workload identity not available on ec2: it is turned off by platform.capabilities",
        ),
        (Platform(settled=True, switched={"aws": True}), None, None),
    ],
)
def test_the_rule(standing, platform, allowed, reason) -> None:
    assert node_refused("aws", standing(platform=platform), allowed) == reason


def test_a_variable_that_names_the_service_is_enough(standing) -> None:
    here = standing(environ={"ENDPOINT": "http://127.0.0.1:1"}, platform=Platform(settled=True))
    assert node_refused("aws", here, None, ["ENDPOINT"]) is None
    assert node_refused("aws", here, None, ["OTHER"]) is not None


class _Counting(Probes):
    def __init__(self, answer: bool) -> None:
        super().__init__()
        self.answer, self.asked = answer, 0

    def answers(self, cloud) -> bool:
        self.asked += 1
        return self.answer


def test_the_network_is_asked_where_nothing_else_can_tell(standing) -> None:
    no = _Counting(False)
    with pytest.raises(SourceUnavailable, match=r"^AWS workload identity not available on generic$"):
        check_node("aws", standing(platform=Platform(), probes=no), None)
    check_node("aws", standing(platform=Platform(), probes=_Counting(True)), None)
    check_node("aws", standing(platform=Platform(name="ec2", machine="aws"), probes=no), None)
    assert no.asked == 1
