"""What a pod is given, and its script run as it stands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from llmauth.clients.pods import TOKEN_FOLDER, Workload, overrides, script
from llmauth.clients.served import ServedProxy
from llmauth.clients.trust import REPLACING
from tests.test_manifests import told

URL = "http://bedrock-proxy.bedrock-system.svc:8080"
APP = Workload(
    service_account="app",
    container="t",
    proxy=ServedProxy(url=URL, user="app"),
    audience="llmauth",
    ca_configmap="llmauth-ca",
    seconds=3600,
    region="eu-west-1",
)
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl-_"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    shell = script(APP).replace(TOKEN_FOLDER, str(folder))
    command = ["sh", "-c", shell, "llmauth", *words]
    return subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=20)


def test_the_command_finds_the_token_where_programs_look(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(JWT)
    lines = run(tmp_path, "env").stdout.splitlines()
    for name in ("HTTPS_PROXY", "https_proxy"):
        assert f"{name}=http://app:{JWT}@bedrock-proxy.bedrock-system.svc:8080" in lines
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"):
        assert f"{name}={JWT}" in lines
    assert not any(line.startswith("T=") for line in lines)


def test_words_of_the_command_stay_words(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(JWT)
    asked = "print('a  b'); $(exit 3) `exit 4` \"$T\""
    assert run(tmp_path, "printf", "%s", asked).stdout == asked


def test_without_a_token_nothing_runs(tmp_path: Path) -> None:
    done = run(tmp_path, "echo", "ran")
    assert (done.returncode, done.stdout) == (1, "")


def test_the_token_is_in_no_part_of_the_pod() -> None:
    """It is made for the pod, in the pod, and whoever may read pods reads none."""
    (container,) = overrides(APP)["spec"]["containers"]
    named = {one["name"]: one["value"] for one in container["env"]}
    assert "HTTPS_PROXY" not in named
    assert named["NO_PROXY"].endswith("bedrock-proxy.bedrock-system.svc")
    assert {named[name] for name in REPLACING} == {"/var/run/llmauth-ca/bundle.pem"}


def test_volumes_and_mounts_are_of_each_other() -> None:
    spec = overrides(APP)["spec"]
    (container,) = spec["containers"]
    assert [one["name"] for one in container["volumeMounts"]] == [one["name"] for one in spec["volumes"]]
    token = spec["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]
    assert token == {"audience": "llmauth", "path": "token", "expirationSeconds": 3600}
    assert spec["serviceAccountName"] == "app"


def test_merged_into_what_kubectl_run_makes_it_is_a_pod() -> None:
    made = overrides(APP)
    (container,) = made["spec"]["containers"]
    merged = {**made["spec"], "containers": [{**container, "image": "python:3.12", "args": ["python", "-c", "1"]}]}
    assert told([{**made, "metadata": {"name": "t", "namespace": "team-a"}, "spec": merged}]) == [[]]
