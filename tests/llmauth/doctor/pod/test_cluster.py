"""The API server, by an emulator of it: reachable or not, and with or without leave to review tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmauth.doctor.pod.cluster import examine
from llmauth.platform import ThisMachine
from tests.emulators.kubernetes_api import KubernetesApi
from tests.fixtures.kubernetes import Pod
from tests.llmauth.doctor.conftest import Make


@pytest.fixture(scope="module")
def api() -> Iterator[KubernetesApi]:
    with KubernetesApi() as running:
        yield running


def method(**more: Any) -> dict[str, Any]:
    return {"methods": [{"type": "service_account", "allowed": ["team-a/app"], **more}]}


def test_reviews_are_allowed_by_the_role_and_denied_without_it(
    patient: Make, api: KubernetesApi, tmp_path: Path
) -> None:
    pod = Pod(api, tmp_path / "root", account="reviewer")
    one = patient(machine=pod.machine, auth=method())
    reached, review = examine(one)
    assert reached.what == f"API server answers (https://127.0.0.1:{api.port})"
    assert (review.verdict, "system:auth-delegator" in (review.fix or "")) == ("fail", True)
    (_, by_keys) = examine(patient(machine=pod.machine, auth=method(verify="jwks")))
    assert by_keys.verdict == "ok"
    api.allow(pod.user, "create", "tokenreviews")
    assert [found.verdict for found in examine(one)] == ["ok", "ok"]


def test_one_that_cannot_be_reached_names_the_network_policy(patient: Make, api: KubernetesApi, tmp_path: Path) -> None:
    pod = Pod(api, tmp_path / "root", account="cut-off")
    environ = {**pod.machine.environ, "KUBERNETES_SERVICE_PORT": "1"}
    (found,) = examine(patient(machine=ThisMachine(environ, tmp_path / "root"), auth=method()))
    assert (found.verdict, "NetworkPolicy" in (found.fix or "")) == ("fail", True)
    assert "canary" not in found.what


def test_without_the_method_nobody_needs_it(patient: Make) -> None:
    (found,) = examine(patient())
    assert found.verdict == "skip"
