"""Simulated machines: detected as what they are called, and otherwise as the environment that they were given."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.platform import PLATFORMS
from llmauth.platform.detector import detect
from llmauth.platform.simulated import LAPTOP, SIMULATED, simulated
from tests.llmauth.platform.machines import (
    AZURE_FEDERATION,
    CODE_ENGINE,
    HOST,
    IRSA,
    KNATIVE,
    OCI_PRINCIPAL,
    POD_IDENTITY,
)

BUSY = {
    **HOST,
    **IRSA,
    **POD_IDENTITY,
    **AZURE_FEDERATION,
    **OCI_PRINCIPAL,
    **CODE_ENGINE,
    **KNATIVE,
    "GOOGLE_APPLICATION_CREDENTIALS": "/etc/wif.json",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x",
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
    "IDENTITY_ENDPOINT": "http://127.0.0.1:1",
    "IDENTITY_HEADER": "h",
    "WEBSITE_SITE_NAME": "s",
    "CONTAINER_APP_NAME": "a",
    "GCE_METADATA_HOST": "127.0.0.1:1",
    "OCI_METADATA_BASE_URL": "http://127.0.0.1:1",
    "IBMCLOUD_CR_TOKEN": "@/token",
    "KUBECONFIG": "/elsewhere",
    "IBM_CLOUD_API_KEY": "k",
}
KEPT = {
    "VAULT_ADDR": "https://vault.example:8200",
    "VAULT_TOKEN": "t",
    "OPENAI_API_KEY": "k",
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_REGION": "eu-west-1",
    "HOME": "/home/me",
    "PATH": "/bin",
    "KEYRING": "x",
}


@pytest.mark.parametrize("environ", [{}, KEPT, {**BUSY, **KEPT}], ids=["empty", "kept", "busy"])
@pytest.mark.parametrize("name", SIMULATED)
def test_it_is_detected_as_what_it_is_called(name: str, environ: dict[str, str]) -> None:
    machine = simulated(name, environ)
    assert detect(machine).name == ("generic" if name == LAPTOP else name)
    assert machine.simulated


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("eks", ("aws_workload_identity",)),
        ("aks", ("azure_workload_identity",)),
        ("gke", ("gcp_workload_identity",)),
        ("oke", ("oci_workload_identity",)),
        ("iks", ("ibm_workload_identity",)),
        ("ec2", ("aws_machine_identity",)),
        ("laptop", ()),
        ("kubernetes", ()),
    ],
)
def test_it_offers_what_the_platform_does_and_nothing_of_where_it_is_asked(name: str, features: Any) -> None:
    assert detect(simulated(name, BUSY)).features() == features


@pytest.mark.parametrize("name", SIMULATED)
def test_what_tells_no_platform_is_kept(name: str) -> None:
    kept = {variable: value for variable, value in KEPT.items() if name != "lambda" or "KEY_ID" not in variable}
    assert kept.items() <= simulated(name, {**KEPT, **BUSY}).environ.items()


def test_no_metadata_service_and_no_file_of_this_machine_is_left() -> None:
    left = simulated("laptop", {**BUSY, **KEPT}).environ
    identifiers = {name for name in AZURE_FEDERATION if name != "AZURE_FEDERATED_TOKEN_FILE"}
    assert left.keys() - KEPT.keys() == {"IBM_CLOUD_API_KEY", *identifiers}


def test_a_laptop_has_a_minikube_that_kubectl_would_use() -> None:
    machine = simulated("laptop", {"HOME": "/home/me", "KUBECONFIG": "/elsewhere"})
    assert "current-context: minikube" in (machine.read("/home/me/.kube/config") or "")
    assert "KUBECONFIG" not in machine.environ
    assert not detect(machine).in_kubernetes


def test_a_laptop_without_a_home_is_given_one() -> None:
    machine = simulated("laptop", {})
    assert machine.read(f"{machine.environ['HOME']}/.kube/config")


@pytest.mark.parametrize("name", sorted({*PLATFORMS} - {"iks", "ecs"}))
def test_it_leaves_no_question_for_the_network(name: str) -> None:
    """But for IKS, whose nodes say nothing of themselves."""
    assert detect(simulated(name, {})).settled


def test_a_platform_that_nobody_knows_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no platform is called 'eksx'; wanted one of eks, .*laptop"):
        simulated("eksx", {})
