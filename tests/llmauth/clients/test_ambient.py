"""Whether the user has an identity at a cloud already."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmauth.clients import ambient
from llmauth.clients.ambient import ambient_of


@pytest.fixture(autouse=True)
def nobodys_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ambient, "_MAKER", tmp_path / "sys_vendor")


def test_nothing_is_there(tmp_path: Path) -> None:
    found = ambient_of({"HOME": str(tmp_path)})
    assert (found.aws, found.google) == (False, False)
    assert ambient_of({}) == found


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_a_variable_of_aws(name: str) -> None:
    assert ambient_of({name: "x"}).aws


def test_files(tmp_path: Path) -> None:
    for file in (".aws/config", ".config/gcloud/application_default_credentials.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    found = ambient_of({"HOME": str(tmp_path)})
    assert (found.aws, found.google) == (True, True)


@pytest.mark.parametrize(("maker", "aws", "google"), [("Amazon EC2", True, False), ("Google", False, True)])
def test_a_machine_of_a_cloud(tmp_path: Path, maker: str, aws: bool, google: bool) -> None:
    (tmp_path / "sys_vendor").write_text(maker)
    found = ambient_of({})
    assert (found.aws, found.google) == (aws, google)
