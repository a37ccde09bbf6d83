"""As whom a pod works, on simulated machines: by IRSA, by Pod Identity, by nothing, and with tokens gone bad."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace

import pytest

from llmauth.doctor.findings import Finding
from llmauth.doctor.patient import Patient
from llmauth.doctor.pod.identity import examine
from llmauth.platform import SimulatedMachine
from llmauth.platform.simulated import simulated
from tests.llmauth.doctor.conftest import Make

BEDROCK = {"bedrock": {"type": "bedrock"}}
WEB_TOKEN = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
AGENT_TOKEN = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/token"


def token(audience: str, *, begun: float = -600, ends: float = 3000) -> str:
    now = time.time()
    claims = {
        "iss": "https://oidc.eks.us-east-1.amazonaws.com/id/X",
        "aud": [audience],
        "iat": now + begun,
        "exp": now + ends,
    }
    parts = ({"alg": "RS256"}, claims)
    return ".".join(
        (*(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts), "canary7f3a")
    )


def eks(**files: str) -> SimulatedMachine:
    machine = simulated("eks", {})
    return replace(machine, files={**machine.files, **files})


def told(patient: Patient) -> list[Finding]:
    return list(examine(patient))


def test_irsa_is_named_with_its_role_and_its_tokens_age(patient: Make) -> None:
    machine = eks(**{WEB_TOKEN: token("sts.amazonaws.com")})
    found = told(patient(machine=machine, instances=BEDROCK))
    assert found[0].what == "role arn:aws:iam::123456789012:role/simulated via IRSA"
    assert found[-1].what == "token for sts.amazonaws.com, 10 min old, ends in 49 min" or "50 min" in found[-1].what
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (token("sts.amazonaws.com", ends=-120), "min ago"),  # made when the tests are collected
        (token("https://kubernetes.default.svc"), "is for https://kubernetes.default.svc"),
        ("", "cannot be read"),
    ],
)
def test_a_token_that_is_of_no_use_is_a_fault(patient: Make, text: str, said: str) -> None:
    found = told(patient(machine=eks(**{WEB_TOKEN: text}), instances=BEDROCK))
    assert [said in one.what for one in found if one.verdict == "fail"] == [True]


def test_pod_identity_is_told_from_irsa(patient: Make) -> None:
    machine = simulated("kubernetes", {})
    environ = {
        **machine.environ,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": AGENT_TOKEN,
    }
    files = {**machine.files, AGENT_TOKEN: token("pods.eks.amazonaws.com")}
    one = patient(machine=SimulatedMachine(environ, files), instances=BEDROCK)
    one.once("standing", lambda: {"bedrock": {"strategy": "workload_identity"}})
    found = told(one)
    assert found[0].what == "role via Pod Identity (workload_identity)"
    assert found[-1].what.startswith("token for pods.eks.amazonaws.com")


def test_a_pod_without_a_role_is_warned_where_bedrock_is_wanted(patient: Make) -> None:
    found = told(patient(machine=simulated("kubernetes", {}), instances=BEDROCK))
    assert (found[0].verdict, "eks.amazonaws.com/role-arn" in (found[0].fix or "")) == ("warn", True)


def test_half_of_irsa_is_a_fault(patient: Make) -> None:
    machine = eks()
    environ = {name: value for name, value in machine.environ.items() if name != "AWS_ROLE_ARN"}
    found = told(patient(machine=replace(machine, environ=environ), instances=BEDROCK))
    assert found[0].what == "AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not"


def test_other_clouds_are_named(patient: Make) -> None:
    found = told(
        patient(
            machine=simulated("aks", {}),
            instances={"azure": {"type": "azure", "base_url": "https://x.openai.azure.com"}},
        )
    )
    assert found[0].what == "workload identity of Azure (aks)"


def test_a_laptop_is_no_pod(patient: Make) -> None:
    (found,) = told(patient(machine=simulated("generic", {})))
    assert found.fix == "kubectl exec deploy/bedrock-proxy -- llmauth doctor --k8s"
