"""The detector as a whole: every platform by its signals, what the configuration forces, and what is told of it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from llmauth.platform import PLATFORMS, Platform
from llmauth.platform.detector import announce, detect
from llmauth.platform.firmware import XEN_UUID
from tests.llmauth.platform.machines import (
    AKS,
    AZURE,
    AZURE_FEDERATION,
    CODE_ENGINE,
    CODE_ENGINE_TOKEN,
    EKS,
    EXTERNAL_ACCOUNT,
    GKE,
    GOOGLE,
    HOST,
    HYPER_V,
    IBM_TOKEN,
    IRSA,
    KNATIVE,
    LAPTOP,
    NITRO,
    OCI_PRINCIPAL,
    OKE_PRINCIPAL,
    ORACLE,
    OWN,
    POD_IDENTITY,
    SERVICE_ACCOUNT,
    dmi,
    machine,
    pod,
    searching,
)

Parts = tuple[dict[str, str], ...]

# (parts of the machine, name, workload, machine)
TABLE: dict[str, tuple[Parts, str, str, str | None]] = {
    "EKS, IRSA": ((pod(EKS), IRSA, NITRO), "eks", "aws", "aws"),
    "EKS, IRSA, by its variables alone": ((IRSA,), "eks", "aws", None),
    "EKS, Pod Identity": ((pod(EKS), POD_IDENTITY, NITRO), "eks", "aws", "aws"),
    "EKS, Pod Identity, IPv6": (
        (pod(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1/credentials"}),
        "eks",
        "aws",
        None,
    ),
    "EKS on Fargate, whose firmware is hidden": ((pod(EKS), IRSA), "eks", "aws", None),
    "EKS, a pod without an identity": ((pod(EKS), NITRO), "eks", "", "aws"),
    "EKS, a pod without a token": ((pod(), NITRO), "eks", "", "aws"),
    "EKS, by its domain": (
        (pod(), searching("default.svc.cluster.local", "eu-west-1.compute.internal")),
        "eks",
        "",
        None,
    ),
    "ECS on Fargate": (
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"},),
        "ecs",
        "aws",
        None,
    ),
    "ECS on EC2 without a task role": (
        ({"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}, NITRO),
        "ecs",
        "",
        "aws",
    ),
    "Lambda": (({"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"},), "lambda", "", None),
    "EC2, Nitro": ((NITRO,), "ec2", "", "aws"),
    "EC2, Xen": (
        (dmi("Xen", "HVM domU", "", "Xen"), {XEN_UUID: "ec2e1916-9099-7caf-fd21-012345abcdef"}),
        "ec2",
        "",
        "aws",
    ),
    "AKS": ((pod(AKS), AZURE_FEDERATION, AZURE), "aks", "azure", "azure"),
    "AKS, by its variables alone": ((AZURE_FEDERATION,), "aks", "azure", None),
    "AKS, a pod without an identity": ((pod(AKS),), "aks", "", None),
    "AKS without an issuer of its own": ((pod(OWN), AZURE), "aks", "", "azure"),
    "AKS, by the name of its API": (
        ({**HOST, "KUBERNETES_SERVICE_HOST": "c-1.hcp.westeurope.azmk8s.io"},),
        "aks",
        "",
        None,
    ),
    "App Service": (
        ({"IDENTITY_ENDPOINT": "http://127.0.0.1:4/msi/token", "IDENTITY_HEADER": "h", "WEBSITE_SITE_NAME": "s"},),
        "azure",
        "azure",
        None,
    ),
    "App Service, older": (({"MSI_ENDPOINT": "http://127.0.0.1:4/", "MSI_SECRET": "s"},), "azure", "azure", None),
    "App Service without an identity": (({"WEBSITE_SITE_NAME": "s"},), "azure", "", None),
    "Container Apps, which run on Kubernetes": (
        (HOST, {"IDENTITY_ENDPOINT": "http://localhost:4/", "IDENTITY_HEADER": "h", "CONTAINER_APP_NAME": "a"}),
        "azure",
        "azure",
        None,
    ),
    "Azure VM": ((AZURE,), "azure", "", "azure"),
    "GKE": ((pod(GKE), GOOGLE, searching("c.p.internal", "google.internal")), "gke", "gcp", "gcp"),
    "GKE in gVisor": ((pod(GKE),), "gke", "gcp", None),
    "GKE, a pod without a token": ((pod(), searching("c.p.internal", "google.internal.")), "gke", "gcp", None),
    "Cloud Run": ((KNATIVE, GOOGLE), "cloudrun", "gcp", "gcp"),
    "Cloud Run, whose firmware is hidden": ((KNATIVE,), "cloudrun", "gcp", "gcp"),
    "Cloud Run, a job": (({"CLOUD_RUN_JOB": "j", "CLOUD_RUN_EXECUTION": "j-1"},), "cloudrun", "gcp", "gcp"),
    "GCE": ((GOOGLE,), "gce", "", "gcp"),
    "federation with Google, anywhere": ((EXTERNAL_ACCOUNT, LAPTOP), "generic", "gcp", None),
    "OKE": ((pod(OWN), OKE_PRINCIPAL, ORACLE), "oke", "oci", "oci"),
    "OKE, by its variables alone": ((HOST, OKE_PRINCIPAL), "oke", "oci", None),
    "OKE, by its machine": ((pod(OWN), ORACLE), "oke", "oci", "oci"),
    "OKE, by its domain": ((pod(OWN), searching("sub.vcn.oraclevcn.com")), "oke", "oci", None),
    "OKE, a pod without a token": ((pod(), ORACLE), "oke", "", "oci"),
    "OCI, resource principal": ((OCI_PRINCIPAL,), "oci", "oci", None),
    "OCI, resource principal of a version that is not read": (
        ({**OCI_PRINCIPAL, "OCI_RESOURCE_PRINCIPAL_VERSION": "3.0"},),
        "oci",
        "",
        None,
    ),
    "OCI instance": ((ORACLE,), "oci", "", "oci"),
    "IKS, trusted profile": ((pod(OWN), IBM_TOKEN), "iks", "ibm", None),
    "IKS, by the key of its API": ((pod(OWN), {"IBM_CLOUD_API_KEY": "k"}), "iks", "", None),
    "Code Engine": ((CODE_ENGINE, CODE_ENGINE_TOKEN, KNATIVE, HOST), "codeengine", "ibm", None),
    "Code Engine without a token": ((CODE_ENGINE, KNATIVE), "codeengine", "", None),
    "plain Kubernetes": ((pod(OWN), LAPTOP), "kubernetes", "", None),
    "plain Kubernetes without a token": ((HOST,), "kubernetes", "", None),
    "a laptop": ((LAPTOP,), "generic", "", None),
    "nothing at all": ((), "generic", "", None),
}


@pytest.mark.parametrize(("parts", "name", "workload", "whose"), TABLE.values(), ids=TABLE)
def test_every_platform_by_its_signals(parts: Parts, name: str, workload: str, whose: str | None) -> None:
    found = detect(machine(*parts))
    assert (found.name, sorted(found.workload), found.machine) == (name, workload.split(), whose)


def test_the_table_holds_every_platform() -> None:
    assert {row[1] for row in TABLE.values()} == set(PLATFORMS)


@pytest.mark.parametrize(
    ("parts", "settled"),
    [
        ((NITRO,), True),
        ((LAPTOP,), True),
        ((HYPER_V,), True),
        ((KNATIVE,), True),
        (({"AWS_LAMBDA_FUNCTION_NAME": "f"},), True),
        ((pod(EKS), IRSA), False),
        ((), False),
        ((dmi("", "", "", ""),), False),
    ],
)
def test_whose_machine_it_is_is_settled_or_left_open(parts: Parts, settled: bool) -> None:
    assert detect(machine(*parts)).settled is settled


@pytest.mark.parametrize(
    ("parts", "inside"),
    [
        ((HOST,), True),
        (({"KUBERNETES_SERVICE_HOST": ""},), False),
        (({f"{SERVICE_ACCOUNT}/token": "t"},), True),
        (({f"{SERVICE_ACCOUNT}/namespace": "default"},), True),
        (({"/etc/hosts": "# Kubernetes-managed hosts file.\n127.0.0.1 localhost"},), True),
        (({"/etc/hosts": "127.0.0.1 localhost\n# Kubernetes-managed hosts file."},), False),
        ((IRSA,), False),
    ],
)
def test_a_pod_is_known_even_if_its_environment_was_emptied(parts: Parts, inside: bool) -> None:
    """R1: in a pod the machine's identity is the node's; no `env -i` makes a process pass for the node itself."""
    assert detect(machine(*parts)).in_kubernetes is inside


# Forced


def test_a_name_is_forced() -> None:
    found = detect(machine(pod(EKS), IRSA, NITRO), "aks")
    assert (found.name, found.forced, found.machine) == ("aks", True, "aws")
    assert found.workload == {"aws"}


@pytest.mark.parametrize("name", ["generic", "ec2", "ecs"])
def test_no_forced_name_makes_a_pod_a_plain_machine(name: Any) -> None:
    assert detect(machine(pod(EKS), NITRO), name).in_kubernetes


@pytest.mark.parametrize("name", ["eks", "aks", "gke", "oke", "iks", "kubernetes"])
def test_the_name_of_a_cluster_brings_the_caution_of_a_pod(name: Any) -> None:
    assert detect(machine(NITRO), name).in_kubernetes


@pytest.mark.parametrize(("name", "whose"), [("ec2", "aws"), ("azure", "azure"), ("gce", "gcp"), ("oci", "oci")])
def test_the_name_of_a_machine_speaks_for_hidden_firmware(name: Any, whose: str) -> None:
    found = detect(machine(), name)
    assert (found.machine, found.settled) == (whose, True)
    assert detect(machine(NITRO), name).machine == "aws"


def test_a_forced_generic_is_no_clouds_machine() -> None:
    found = detect(machine(NITRO), "generic")
    assert (found.machine, found.settled, found.features()) == (None, True, ())


@pytest.mark.parametrize(("name", "cloud"), [("gke", "gcp"), ("cloudrun", "gcp")])
def test_a_forced_name_brings_what_the_platform_has_without_variables(name: Any, cloud: str) -> None:
    assert detect(machine(), name).workload == {cloud}


def test_each_cloud_is_switched_by_itself() -> None:
    found = detect(machine(pod(EKS), IRSA, NITRO), switched={"aws": False, "gcp": True})
    assert found.features() == ("gcp_workload_identity",)
    assert found.name == "eks"
    assert not found.forced


# What is told


def told(caplog: pytest.LogCaptureFixture, platform: Platform) -> list[logging.LogRecord]:
    with caplog.at_level(logging.DEBUG, logger="llmauth.platform"):
        announce(platform)
    return caplog.records


@pytest.mark.parametrize(
    ("parts", "name", "features"),
    [
        ((pod(EKS), IRSA, NITRO), "eks", "aws_workload_identity=true"),
        ((pod(AKS), AZURE_FEDERATION, AZURE), "aks", "azure_workload_identity=true"),
        ((pod(AKS), AZURE_FEDERATION, IRSA), "aks", "aws_workload_identity=true, azure_workload_identity=true"),
        ((NITRO,), "ec2", "aws_machine_identity=true"),
        ((LAPTOP,), "generic", "none"),
    ],
)
def test_two_lines_are_what_users_look_for(
    parts: Parts, name: str, features: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = told(caplog, detect(machine(*parts)))
    wanted = [f"Platform detected: {name}", f"Features available: {features}", "Platform told by its signals"]
    assert [line.getMessage() for line in lines] == wanted
    assert [line.levelname for line in lines] == ["INFO", "INFO", "DEBUG"]
    assert vars(lines[0])["signals"] == vars(lines[2])["signals"]


def test_one_line_names_every_signal_and_no_value(caplog: pytest.LogCaptureFixture) -> None:
    """S4: names alone; a role, a path and an endpoint are the operator's own business."""
    line = told(caplog, detect(machine(pod(EKS), IRSA, POD_IDENTITY, NITRO)))[-1]
    facts = vars(line)
    assert facts["signals"] == [
        "kubernetes", "service_account_token", "issuer_eks", "irsa", "eks_pod_identity", "dmi_aws",
    ]  # fmt: skip
    assert (facts["in_kubernetes"], facts["machine"]) == (True, "aws")
    shown = json.dumps({name: value for name, value in facts.items() if isinstance(value, (str, list, dict))})
    assert not any(value in shown for value in (*IRSA.values(), *POD_IDENTITY.values(), EKS, "10.0.0.1"))


@pytest.mark.parametrize(("parts", "said"), [((LAPTOP,), "none"), ((), "unknown"), ((AZURE,), "azure")])
def test_the_line_tells_nobodys_machine_from_an_unknown_one(
    parts: Parts, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert vars(told(caplog, detect(machine(*parts)))[-1])["machine"] == said


def test_what_is_forced_is_said(caplog: pytest.LogCaptureFixture) -> None:
    line = told(caplog, detect(machine(pod(EKS)), "gke", {"aws": True, "ibm": False}))[-1]
    assert line.getMessage() == "Platform forced by configuration"
    assert vars(line)["type"] == "gke"
    assert vars(line)["capabilities"] == {"aws": "on", "ibm": "off"}


def test_a_switch_alone_is_forced_as_well(caplog: pytest.LogCaptureFixture) -> None:
    line = told(caplog, detect(machine(LAPTOP), switched={"aws": True}))[-1]
    assert line.getMessage() == "Platform forced by configuration"
    assert not hasattr(line, "type")
