"""deployments/terraform: what the role may do, who may have it, and that terraform takes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sources import ROOT

FOLDER = ROOT / "deployments" / "terraform"
# Where a machine without a way to the registry has its providers.
MIRROR = Path("/opt/tf-plugins")
BEDROCK = {
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "bedrock:ListFoundationModels",
    "bedrock:GetFoundationModel",
}
needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None or not MIRROR.is_dir(), reason="no terraform with its providers on this machine"
)


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def block(source: str, head: str) -> str:
    """From a head to the brace at the beginning of a line that ends it."""
    return source.partition(head)[2].partition("\n}\n")[0]


def test_the_role_may_do_the_four_things_that_the_pages_name() -> None:
    policy = block(text("iam.tf"), 'data "aws_iam_policy_document" "bedrock"')
    assert set(re.findall(r'"(bedrock[\w-]*:\w+)"', policy)) == BEDROCK
    assert not re.search(r'"[\w-]+:\*"|actions\s*=\s*\["\*"\]', policy)
    # All is the one that has no resource.
    assert len(re.findall(r'resources\s*=\s*\["\*"\]', policy)) == 1
    readme = (ROOT / "docs" / "credentials" / "aws.md").read_text(encoding="utf-8")
    assert all(action in readme for action in BEDROCK)


def test_one_service_account_may_have_it_by_a_token_for_aws() -> None:
    trust = block(text("iam.tf"), 'data "aws_iam_policy_document" "trust"')
    assert trust.count('test     = "StringEquals"') == 2
    assert '"system:serviceaccount:${var.namespace}:${var.service_account}"' in trust
    assert 'values   = ["sts.amazonaws.com"]' in trust
    assert "StringLike" not in text("iam.tf")


def test_names_are_those_of_the_manifests() -> None:
    account = (ROOT / "deployments" / "kubernetes" / "serviceaccount.yaml").read_text(encoding="utf-8")
    for variable, word in (("namespace", "bedrock-system"), ("service_account", "bedrock-proxy")):
        assert f'default     = "{word}"' in block(text("variables.tf"), f'variable "{variable}"')
        assert word in account
    assert '"eks.amazonaws.com/role-arn"' in block(text("outputs.tf"), 'output "service_account_annotation"')


def test_nobody_reaches_a_model_past_the_role() -> None:
    policy = block(text("endpoints.tf"), 'data "aws_iam_policy_document" "bedrock_endpoint"')
    assert set(re.findall(r'"(bedrock:\w+)"', policy)) == BEDROCK
    assert "aws:PrincipalArn" in policy
    assert "cidr" not in text("endpoints.tf")  # from the pods' security group alone


def test_every_variable_of_the_example_is_one() -> None:
    known = set(re.findall(r'(?m)^variable "(\w+)"', text("variables.tf")))
    assert set(re.findall(r"(?m)^(\w+) +=", text("example.tfvars"))) <= known


def test_versions_are_pinned() -> None:
    assert re.search(r'required_version = ">= [\d.]+, < 2\.0"', text("versions.tf"))
    assert re.search(r'version = "~> \d+\.\d+\.\d+"', text("versions.tf"))


@needs_terraform
def test_terraform_takes_it(tmp_path: Path) -> None:
    settings = tmp_path / "terraform.rc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{MIRROR}"\n  }}\n}}\n')
    for file in FOLDER.glob("*.tf"):
        shutil.copy(file, tmp_path)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TF_CLI_CONFIG_FILE": str(settings)}
    for words in (["fmt", "-check"], ["init", "-backend=false", "-input=false"], ["validate"]):
        done = subprocess.run(
            ["terraform", *words], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=50
        )
        assert done.returncode == 0, done.stdout + done.stderr
