"""IBM's compute resource token: where it is looked for, and what in those places is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.credentials.workload_identity.compute_token import IN_A_POD, IN_CODE_ENGINE, compute_token
from llmauth.platform import SimulatedMachine
from llmauth.sources import SourceFailed
from tests.emulators.ibm_iam import jwt

IAM, OTHER = jwt({"aud": ["iam"]}), jwt({"aud": ["https://vault.internal"]})
VAULT, ACCOUNT = IN_A_POD


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({VAULT: IAM, ACCOUNT: IAM, IN_CODE_ENGINE: IAM}, VAULT),
        ({ACCOUNT: IAM, IN_CODE_ENGINE: IAM}, ACCOUNT),
        ({ACCOUNT: jwt({"aud": "iam"})}, ACCOUNT),
        ({IN_CODE_ENGINE: "opaque"}, IN_CODE_ENGINE),
        ({VAULT: OTHER, ACCOUNT: IAM}, ACCOUNT),
    ],
)
def test_the_first_that_is_for_iam(files, place) -> None:
    found = compute_token(SimulatedMachine({}, files), None)
    assert found is not None
    assert found.place == place
    assert found.read() == files[place]
    assert files[place] not in repr(found)


@pytest.mark.parametrize("text", [OTHER, jwt({}), "opaque", "a.b.c", "", jwt({"aud": ["iam.example"]}), "a.\xff.c"])
def test_a_token_for_somebody_else_is_not_ibms(text) -> None:
    """It lies where IBM's would, and must not be sent to IBM."""
    assert compute_token(SimulatedMachine({}, {VAULT: text, ACCOUNT: text}), None) is None


def test_what_is_named_goes_before_what_lies_there() -> None:
    machine = SimulatedMachine({"IBMCLOUD_CR_TOKEN": "@/run/token"}, {ACCOUNT: IAM, "/run/token": OTHER})
    found = compute_token(machine, None)
    assert found is not None
    assert found.read() == OTHER
    given = compute_token(machine, Path("/mounted"))
    assert given is not None
    with pytest.raises(SourceFailed, match=r"^/mounted cannot be read"):
        given.read()


def test_a_variable_may_hold_the_token_itself() -> None:
    found = compute_token(SimulatedMachine({"IBMCLOUD_CR_TOKEN": IAM}), None)
    assert found is not None
    assert (found.place, found.read()) == ("IBMCLOUD_CR_TOKEN", IAM)


@pytest.mark.parametrize("text", ["", "canary 7f3a", "canary-7f3a\n\nx", "canary-7f3\xe4"])
def test_what_is_no_token(text) -> None:
    found = compute_token(SimulatedMachine({}, {"/t": text}), Path("/t"))
    assert found is not None
    with pytest.raises(SourceFailed, match="holds no compute resource token") as caught:
        found.read()
    assert "canary" not in caught.value.reason
