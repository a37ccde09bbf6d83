"""`llmauth k8s client-patch`: one line of JSON, and nothing in it that a shell would take for its own."""

from __future__ import annotations

import json

import pytest

from llmauth.cli import main

PATCH = ("k8s", "client-patch", "--sa", "team-a/app")


def test_it_prints_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PATCH) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    spec = json.loads(told)["spec"]
    assert (spec["serviceAccountName"], spec["containers"][0]["name"]) == ("app", "t")
    assert "@bedrock-proxy.bedrock-system.svc:8080" in spec["containers"][0]["command"][2]


def test_what_is_asked_for_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--container", "main", "--gateway", "https://llm.corp:8443", "--life", "1h", "--ca-configmap", "roots")
    assert main((*PATCH, *more, "--audience", "other", "--region", "eu-west-1")) == 0
    spec = json.loads(capsys.readouterr().out)["spec"]
    (container,) = spec["containers"]
    assert container["name"] == "main"
    assert 'HTTPS_PROXY="https://app:$T@llm.corp:8443"' in container["command"][2]
    assert {"name": "AWS_REGION", "value": "eu-west-1"} in container["env"]
    token = spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]
    assert (token["audience"], token["expirationSeconds"]) == ("other", 3600)
    assert spec["volumes"][1]["configMap"] == {"name": "roots"}


@pytest.mark.parametrize(
    "words",
    [
        ("--sa", "app"),
        ("--sa", "team-a/$(reboot)"),
        ("--sa", "team-a/app;id"),
        ("--gateway", "http://x$(id):8080"),
        ("--gateway", 'http://x";id;":8080'),
        ("--gateway", "http://user:password@x:8080"),
        ("--gateway", "ftp://x"),
        ("--container", "a b"),
        ("--ca-configmap", "../x"),
        ("--region", "us east"),
        ("--life", "5m"),
        ("--life", "48h"),
        ("--life", "soon"),
    ],
)
def test_what_is_no_name_is_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main((*PATCH, *words)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert words[0] in told.err
