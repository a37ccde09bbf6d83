"""Every configuration that is written is valid, and says what its profile promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from llmauth.config.settings import Settings, read_settings
from llmauth.installation.found import Found, look
from llmauth.installation.profiles import (
    MARK,
    OFFERED,
    PRICES,
    PROFILES,
    USUAL,
    Choices,
    Profile,
    instance_name,
    price_table,
    text,
)
from tests.sources import ROOT

WHOLE = {
    "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com",
    "GOOGLE_CLOUD_PROJECT": "demo-project",
    "WATSONX_PROJECT_ID": "2c81fe0c-5ae5-4ac4-9f16-3ee9bbd8a3ae",
    "OCI_COMPARTMENT_ID": "ocid1.compartment.oc1..aaaa",
}


def choices(profile: Profile, found: Found | None = None, **more: object) -> Choices:
    rest = {"providers": OFFERED, "host": "127.0.0.1", "port": 8080, "tls": None, "found": found or Found()}
    return Choices(profile=profile, **{**rest, **more})  # type: ignore[arg-type]


def settings(tmp_path: Path, made: Choices) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text(text(made))
    (tmp_path / PRICES).write_text(price_table())
    return read_settings([file], {"HOME": str(tmp_path)})


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("environ", [{}, WHOLE], ids=["bare", "whole"])
def test_it_is_valid(tmp_path: Path, profile: Profile, environ: dict[str, str]) -> None:
    made = settings(tmp_path, choices(profile, look({**environ, "HOME": str(tmp_path)})))
    types = {one.type for one in made.instances.values()}
    assert types == set(OFFERED if environ else USUAL), "what lacks a value is a comment"
    assert all(one.strategies for one in made.instances.values())
    assert text(choices(profile)).startswith(MARK)


def test_a_laptop(tmp_path: Path) -> None:
    made = settings(tmp_path, choices("laptop", providers=USUAL))
    assert (made.server.host, made.egress.default) == ("127.0.0.1", "tunnel")
    kinds = {name: [one.type for one in each.strategies] for name, each in made.instances.items()}  # type: ignore[attr-defined]
    assert kinds["openai"] == ["keyring", "environment"]
    assert kinds["bedrock_us1"] == ["workload_identity", "aws_profile", "environment"]
    assert "gpt-5-mini*" in made.prices, "what a first answer costs is told"
    assert price_table().startswith(MARK)
    keys = look({"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIA"})
    (first, *_) = settings(tmp_path, choices("laptop", keys)).instances["bedrock_us1"].strategies
    assert first.type == "environment", "whoever has set keys means them"  # type: ignore[attr-defined]


def test_a_server(tmp_path: Path) -> None:
    made = settings(tmp_path, choices("server", host="10.0.0.1", tls=("/etc/tls.crt", "/etc/tls.key")))
    assert (made.server.host, str(made.server.tls_cert_file)) == ("10.0.0.1", "/etc/tls.crt")
    assert (made.egress.default, made.audit.enabled) == ("deny", True)
    assert made.metrics is not None
    assert (made.metrics.host, made.metrics.port) == ("127.0.0.1", 9090)


def test_a_pod_is_what_the_manifests_are_for(tmp_path: Path) -> None:
    made = settings(tmp_path, choices("pod", providers=("bedrock",), host="0.0.0.0"))
    assert (made.ca.create, str(made.ca.folder)) == (False, "/etc/llmauth/ca")
    assert made.metrics is not None
    assert (made.metrics.host, made.metrics.port) == ("0.0.0.0", 9090)
    manifest = sorted((ROOT / "deployments").rglob("configmap.yaml"))[0]
    written = YAML(typ="safe").load(manifest.read_text())
    assert written["metadata"]["name"] == "bedrock-proxy-config"
    (tmp_path / "theirs.yaml").write_text(written["data"]["gateway.yaml"])
    theirs = read_settings([tmp_path / "theirs.yaml"], {"HOME": str(tmp_path)})
    assert made.ca == theirs.ca
    assert made.storage == theirs.storage
    assert made.metrics == theirs.metrics
    assert made.server.gateway_hosts == theirs.server.gateway_hosts
    assert made.instances["bedrock_us1"].strategies == theirs.instances["bedrock_us1"].strategies


@pytest.mark.parametrize("value", ["${SECRET}", "a: b", 'q"uote', "x\n  y: z", "- x", "\u2028"])
def test_what_the_environment_holds_is_a_value_and_nothing_else(value: str) -> None:
    made = choices("laptop", Found(options={"vertex": {"project": value}}), providers=("vertex",))
    written = YAML(typ="safe").load(text(made))
    assert written["instances"]["vertex"]["project"] == value.replace("${", "$${")
    assert written.keys() == {"server", "egress", "prices", "instances"}


def test_names_of_instances() -> None:
    assert instance_name("openai", "eu-west-1") == "openai"
    assert instance_name("bedrock", "ap-southeast-2") == "bedrock_ap2"
