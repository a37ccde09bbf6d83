"""Settings become strategies: each instance's own, in its order, and all of them in the same surroundings."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth import providers
from llmauth.clock import ManualClock
from llmauth.config.settings import Settings, read_settings
from llmauth.gateway.sourcing import outbound_of, proxy_of, strategies_of, surroundings_of
from llmauth.platform import SimulatedMachine


@pytest.fixture
def read(tmp_path: Path):
    def settings(text: str) -> Settings:
        (tmp_path / "c.yaml").write_text(text)
        return read_settings([tmp_path / "c.yaml"], {"LLMAUTH_HOME": str(tmp_path)})

    return settings


def labels(settings: Settings, machine: SimulatedMachine) -> dict[str, list[str]]:
    clock = ManualClock()
    handlers = {name: providers.build(name, one, clock) for name, one in settings.instances.items()}
    surroundings = surroundings_of(settings, machine, outbound_of(settings), clock)
    made = strategies_of(settings, handlers, surroundings)
    return {name: [one.label for one in ordered] for name, ordered in made.items()}


def test_each_instance_has_its_own_in_their_order(read) -> None:
    text = (
        "instances:\n  a: {type: openai, authentication: {strategies: [{type: file, path: x}, {type: keyring}]}}\n"
        "  b: {type: bedrock}\n"
    )
    assert labels(read(text), SimulatedMachine({})) == {
        "a": ["file", "keyring"],
        "b": ["environment", "workload_identity (aws)", "aws_profile"],
    }


def test_a_platform_that_is_forced_is_what_all_stand_on(read) -> None:
    settings = read("platform: {type: eks}\ninstances: {b: {type: bedrock}}\n")
    assert labels(settings, SimulatedMachine({}))["b"][1] == "workload_identity"
    surroundings = surroundings_of(settings, SimulatedMachine({}), outbound_of(settings), ManualClock())
    assert (surroundings.platform.name, surroundings.platform.forced) == ("eks", True)


def test_the_way_out_is_that_of_providers(read) -> None:
    settings = read("upstream: {proxy: {url: 'http://proxy.corp:3128', no_proxy: [inside.corp]}}\n")
    proxy = proxy_of(settings)
    assert proxy is not None
    assert (proxy.serves("iam.cloud.ibm.com"), proxy.serves("inside.corp")) == (True, False)
    assert proxy_of(read("{}")) is None


def test_in_a_young_pod_a_silent_metadata_server_is_asked_again_soon(read) -> None:
    """That of GKE needs some seconds after a pod's start; elsewhere the answer is kept for a minute."""
    pod = SimulatedMachine({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    for machine, young in ((pod, True), (SimulatedMachine({}), False)):
        surroundings = surroundings_of(read("{}"), machine, outbound_of(read("{}")), ManualClock())
        assert (surroundings.probes._young_until > 0) is young
