"""What an answer holds: kept or lent, by which names, for how long."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.answers import Lent, missing, secret_in
from llmauth.vaults.hashicorp.calls import Answer

AWS = {"access_key": "ASIA1", "secret_key": "s"}


def found(data: Any, **frame: Any) -> Lent:
    return secret_in(Answer(status=200, content={"lease_id": "", "lease_duration": 0, "data": data, **frame}), "a/b")


def names(lent: Lent) -> dict[str, str]:
    return {name: value.reveal() for name, value in lent.content.items()}


def test_keys_of_aws_get_the_names_of_here_and_keep_theirs() -> None:
    """A configured `field` may name either."""
    old = found(AWS | {"security_token": "t"})
    assert names(old) == AWS | {
        "security_token": "t",
        "access_key_id": "ASIA1",
        "secret_access_key": "s",
        "session_token": "t",
    }
    new = found(AWS | {"security_token": "t", "session_token": "t2"})
    assert names(new)["session_token"] == "t2"
    for none in (None, ""):
        assert "session_token" not in names(found(AWS | {"security_token": none, "session_token": none}))


def test_other_secrets_keep_their_names() -> None:
    assert names(found({"security_token": "t", "private_key": "k"})) == {"security_token": "t", "private_key": "k"}


@pytest.mark.parametrize(
    ("data", "frame", "life", "renewable"),
    [
        ({"api_key": "k"}, {"lease_duration": 2764800}, None, False),
        ({"api_key": "k", "ttl": 30}, {"lease_duration": 30}, None, False),
        ({"api_key": "k"}, {"lease_id": "x", "lease_duration": 60, "renewable": True}, 60, True),
        ({"api_key": "k"}, {"lease_id": "x", "lease_duration": 60, "renewable": "yes"}, 60, False),
        (AWS | {"session_token": "t", "ttl": 3599}, {"lease_id": "x", "lease_duration": 3600}, 3599, False),
        (AWS | {"session_token": "t", "ttl": 900}, {"lease_id": "x", "lease_duration": 0}, 900, False),
        (AWS | {"session_token": "t", "ttl": 900}, {}, 900, False),
        (AWS | {"session_token": "t", "ttl": "900"}, {}, None, False),
        (AWS, {"lease_duration": 2764800}, None, False),
        ({"token": "ya29", "token_ttl": 3599}, {}, 3599, False),
    ],
)
def test_lives(data: Any, frame: Any, life: float | None, renewable: bool) -> None:
    lent = found(data, **frame)
    assert (lent.life, lent.renewable) == (life, renewable)


def test_what_ends_with_its_token() -> None:
    lease = {"lease_id": "x", "lease_duration": 60}
    assert found({"api_key": "k"}).outlives_its_token
    assert found(AWS | {"session_token": "t"}, **lease).outlives_its_token
    assert not found(AWS, **lease).outlives_its_token


def test_a_version_1_secret_may_look_a_little_like_version_2() -> None:
    data = {"data": "x", "metadata": "y"}
    assert names(found(data)) == data
    assert names(found({"data": {"a": "b"}, "metadata": {"version": 1}, "api_key": "k"})) == {"api_key": "k"}


@pytest.mark.parametrize("version", [True, -1, "canary-7f3a", 10**30, None])
def test_a_version_is_a_number(version: Any) -> None:
    data = {"data": {"api_key": "k"}, "metadata": {"version": version, "created_time": ""}}
    assert found(data).version is None


@pytest.mark.parametrize("data", [None, [], "canary-7f3a", {}, {"a": 1}])
def test_no_secret(data: Any) -> None:
    with pytest.raises(SourceFailed) as failure:
        found(data)
    assert "a/b" in failure.value.reason
    assert "canary" not in failure.value.reason


def test_the_reasons_of_a_404() -> None:
    def reason(content: Any) -> str:
        return missing(Answer(status=404, content=content), "a/b").reason

    deleted = {"deletion_time": "2027", "destroyed": False, "version": 3}
    assert "is deleted in Vault, its version 3" in reason({"data": {"data": None, "metadata": deleted}})
    unknown = {"deletion_time": "2027", "version": "canary-7f3a"}
    assert "is deleted in Vault, its newest version" in reason({"data": {"metadata": unknown}})
    assert "wants data/" in reason({"warnings": ["Invalid path"]})
    assert "no secret at a/b (HTTP 404)" in reason({"errors": []})
