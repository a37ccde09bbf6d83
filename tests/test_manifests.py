"""Every Kubernetes manifest that a page shows is one that a strict API server would take."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.llmauth.demo.clients import cloud_interpreter
from tests.sources import ROOT

READER = Path(__file__).parent / "fixtures" / "manifest_reader.py"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RBAC = "rbac.authorization.k8s.io"
# Roles that each cluster brings.
_ROLES = ("system:auth-delegator", "system:service-account-issuer-discovery")


def manifests_in(page: Path) -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    parts = [part for block in blocks for part in block.split("\n---\n") if "apiVersion:" in part]
    return [YAML(typ="safe").load(part) for part in parts]


def told(manifests: list[dict[str, Any]]) -> list[list[str]]:
    """What the official client's models say of each."""
    command = [str(cloud_interpreter()), "-I", str(READER)]
    done = subprocess.run(command, input=json.dumps(manifests), capture_output=True, text=True, check=True, timeout=60)
    answer: list[list[str]] = json.loads(done.stdout)
    return answer


def test_defect_20_every_manifest_in_the_pages_is_one() -> None:
    shown = {page: manifests_in(page) for page in PAGES}
    every = [one for manifests in shown.values() for one in manifests]
    assert len(every) >= 7
    assert [fault for faults in told(every) for fault in faults] == []


@pytest.mark.parametrize("page", [page for page in PAGES if RBAC in page.read_text(encoding="utf-8")], ids=str)
def test_defect_20_a_binding_binds_somebody_to_a_role_that_is_there(page: Path) -> None:
    manifests = manifests_in(page)
    roles = {one["metadata"]["name"]: one for one in manifests if one["kind"] in ("Role", "ClusterRole")}
    bindings = [one for one in manifests if one["kind"].endswith("Binding")]
    assert bindings
    for binding in bindings:
        reference = binding["roleRef"]
        assert reference["apiGroup"] == RBAC
        assert reference["name"] in (*roles, *_ROLES)
        assert all(subject["kind"] == "ServiceAccount" and subject["namespace"] for subject in binding["subjects"])
    for role in roles.values():
        assert all(rule["verbs"] and rule["resources"] and "*" not in rule["verbs"] for rule in role["rules"])


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"kind": "Role", "rules": [{"apiGroups": [""], "resource": ["secrets"], "verbs": ["get"]}]}, "no such field"),
        ({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["secrets"]}]}, "valid list"),
        ({"kind": "Role", "rules": [{"apiGroups": "", "resources": ["secrets"], "verbs": ["get"]}]}, "valid list"),
        ({"kind": "RoleBinding", "subjects": []}, "roleRef"),
    ],
)
def test_what_no_cluster_takes_is_found(wrong: dict[str, Any], fault: str) -> None:
    (faults,) = told([{"apiVersion": f"{RBAC}/v1", "metadata": {"name": "x"}, **wrong}])
    assert any(fault in each for each in faults), faults
