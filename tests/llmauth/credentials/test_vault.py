"""A secret of a vault becomes a credential: which of its fields, for how long, and what is told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.clock import ManualClock
from llmauth.credentials.base import Surroundings
from llmauth.credentials.vault import VaultOptions, VaultStrategy
from llmauth.secrets import ApiKey, AwsKeys, Secret
from llmauth.sources import SourceFailed, SourceUnavailable
from llmauth.vaults.base import SecretRef, VaultSecret

PATH: dict[str, Any] = {"backend": "hashicorp", "path": "secret/data/llm"}


class Shelf:
    """A vault that holds one thing."""

    def __init__(self, secret: VaultSecret | Exception) -> None:
        self.secret = secret
        self.asked: list[SecretRef] = []
        self.forgotten: list[SecretRef] = []

    def unavailable(self, ref: SecretRef) -> str | None:
        return self.secret.reason if isinstance(self.secret, SourceUnavailable) else None

    def forget(self, ref: SecretRef) -> None:
        self.forgotten.append(ref)

    def read(self, ref: SecretRef) -> VaultSecret:
        self.asked.append(ref)
        if isinstance(self.secret, Exception):
            raise self.secret
        return self.secret


def strategy(secret: VaultSecret | Exception, provider="openai", **options) -> VaultStrategy:
    where = Surroundings(provider=provider, vaults=Shelf(secret), clock=ManualClock())
    return VaultStrategy(VaultOptions(**{**PATH, **options}), where)


def fields(**named: str) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in named.items()}


def test_a_secret_that_is_kept_is_read_again_every_minute() -> None:
    loaded = strategy(VaultSecret(content=fields(api_key="k-1"), version="7")).load()
    assert loaded.credential == ApiKey(value=Secret("k-1"))
    assert (loaded.expires_at, loaded.refresh_after) == (None, 60.0)
    assert loaded.source == "hashicorp:secret/data/llm, version 7"
    assert strategy(VaultSecret(content=Secret("k-1")), refresh_interval="5m").load().refresh_after == 300


def test_one_that_is_lent_ends_when_the_vault_says() -> None:
    keys = fields(access_key_id="ASIAX", secret_access_key="s", session_token="t")
    loaded = strategy(VaultSecret(content=keys, life=900.0), "bedrock").load()
    assert isinstance(loaded.credential, AwsKeys)
    assert loaded.expires_at == ManualClock().wall() + 900
    assert loaded.refresh_after is None


@pytest.mark.parametrize(
    "content",
    [fields(api_key="no", other="k-2"), Secret(json.dumps({"api_key": "no", "other": "k-2"}))],
    ids=["fields", "a JSON object"],
)
def test_one_field_of_several(content) -> None:
    assert strategy(VaultSecret(content=content), field="other").load().credential == ApiKey(value=Secret("k-2"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (fields(api_key="x"), "hashicorp:secret/data/llm has no field of the name that is configured, other"),
        (Secret("canary-7f3a"), "hashicorp:secret/data/llm is one text and has no fields; leave out `field`"),
        (Secret("[1]"), "is one text and has no fields"),
    ],
)
def test_a_field_that_is_not_there(content, reason) -> None:
    with pytest.raises(SourceFailed, match=reason) as caught:
        strategy(VaultSecret(content=content), field="other").load()
    assert "canary" not in caught.value.reason


def test_what_the_vault_says_is_passed_on() -> None:
    absent = strategy(SourceUnavailable("not configured"))
    assert absent.unavailable() == "not configured"
    with pytest.raises(SourceUnavailable):
        absent.load()
    broken = strategy(SourceFailed("sealed"))
    assert broken.unavailable() is None
    with pytest.raises(SourceFailed, match="sealed"):
        broken.load()


def test_what_the_provider_refused_is_not_given_again() -> None:
    shelf = Shelf(VaultSecret(content=Secret("x"), life=60.0))
    VaultStrategy(VaultOptions(**PATH), Surroundings(vaults=shelf)).forget()
    assert shelf.forgotten == [SecretRef(backend="hashicorp", path="secret/data/llm")]


def test_its_label_names_the_backend() -> None:
    assert strategy(VaultSecret(content=Secret("x"))).label == "vault (hashicorp)"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"backend": "hashicorp", "secret_name": "x"}, "backend hashicorp wants `path`"),
        ({"backend": "azure_key_vault", "path": "x"}, "backend azure_key_vault wants `secret_name`"),
        ({**PATH, "secret_name": "x"}, "knows no `secret_name`"),
        ({"backend": "drawer", "path": "x"}, "backend"),
    ],
)
def test_a_secret_is_named_as_its_backend_names_it(options, reason) -> None:
    with pytest.raises(ValidationError, match=reason):
        VaultOptions(**options)
