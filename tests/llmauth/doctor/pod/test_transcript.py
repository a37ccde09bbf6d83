"""`llmauth doctor --k8s` as people see it in a pod of EKS: the lines of the walk, in their order."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from llmauth.cli import doctor as module
from llmauth.cli import main
from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from llmauth.doctor.pod import endpoints
from llmauth.http import Headers
from llmauth.outbound import Answer
from llmauth.platform.simulated import simulated
from tests.fixtures.serving import provider_environment
from tests.llmauth.doctor.pod.test_identity import WEB_TOKEN, token

STS, RUNTIME = "sts.us-east-1.amazonaws.com", "bedrock-runtime.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/bedrock-proxy"
STREAM = "bedrock:InvokeModelWithResponseStream"


def test_the_lines_of_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Emulators(pace=0.001, tokens=4) as emulators:
        config = tmp_path / "provider-instances.yaml"
        upstream = {"ca_file": str(emulators.ca_file), "resolve": {**emulators.resolve, STS: "127.0.0.1:1"}}
        config.write_text(
            json.dumps(
                {
                    "server": {"port": 0},
                    "upstream": upstream,
                    "instances": {"bedrock_us1": {"type": "bedrock", "region": "us-east-1"}},
                }
            )
        )
        eks = simulated("eks", {})
        environ = {
            **eks.environ,
            **provider_environment(emulators),
            "AWS_ROLE_ARN": ROLE,
            "LLMAUTH_HOME": str(tmp_path / "home"),
            "AWS_ENDPOINT_URL_IAM": "http://127.0.0.1:1",
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        machine = replace(eks, environ=environ, files={**eks.files, WEB_TOKEN: token("sts.amazonaws.com")})
        monkeypatch.setattr(module, "ThisMachine", lambda _: machine)
        monkeypatch.setattr(endpoints, "addresses_of", lambda place: ["10.0.3.7"])
        answer = Answer(status=302, body=b"", headers=Headers([(b"date", time.strftime("%c").encode())]))
        monkeypatch.setattr(endpoints, "_asked", lambda outbound, place: answer)
        monkeypatch.setattr(endpoints, "_is_allowed", lambda *_: True)
        user = "arn:aws:sts::123456789012:assumed-role/bedrock-proxy/pod"
        body = json.dumps({"message": f"User: {user} is not authorized to perform: {STREAM}"}).encode()
        denial = Behaviour(status=403, error="AccessDeniedException", body=body)
        emulators.behave(RUNTIME, denial, path="/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke-with")
        words = ["--only", "pod", "--only", "endpoints", "--only", "bedrock"]
        assert main(["doctor", "--k8s", "--config", str(config), *words]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"✓ role {ROLE} via IRSA")
    assert f"✓ sts VPC endpoint   ✓ bedrock-runtime VPC endpoint (signing host {RUNTIME})" in lines
    assert any(line.startswith("✓ bedrock:InvokeModel   ✓ bedrock:ListFoundationModels") for line in lines)
    assert f"✗ {STREAM} denied → streaming will fail. Add it to policy bedrock-proxy." in lines
