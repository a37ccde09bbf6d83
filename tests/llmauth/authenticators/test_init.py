"""The table of methods; that an unknown one refuses to start is the configuration's to test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmauth.authenticators import METHODS, build
from llmauth.clock import ManualClock
from llmauth.storage.keys import KeyStore
from tests.fixtures.methods import surroundings

# What each method cannot do without.
LEAST: dict[str, dict[str, Any]] = {
    "api_key": {},
    "basic": {"htpasswd": "users.htpasswd"},
    "mtls": {"ca_file": "clients-ca.pem"},
    "sigv4": {},
    "oidc": {"issuer": "https://idp.example", "audience": ["llm-proxy"]},
    "alb": {
        "region": "us-east-1",
        "signer": "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/web/0123456789abcdef",
        "trusted_peers": ["10.0.0.0/16"],
    },
    "aws_iam": {"server_id": "llm.corp", "accounts": ["111122223333"]},
    "service_account": {"allowed": ["team-a/app"]},
}


def test_every_method_is_known_here() -> None:
    assert LEAST.keys() == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_from_its_least_options(name: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    options, _ = METHODS[name]
    store = KeyStore(tmp_path / "keys.db")
    built = build(options.model_validate({"type": name, **LEAST[name]}), surroundings(store, ManualClock()))  # type: ignore[arg-type]
    assert built.name == name
    store.close()


@pytest.mark.parametrize("name", METHODS)
def test_the_options_of_every_method_forbid_what_they_do_not_know(name: str) -> None:
    options, _ = METHODS[name]
    with pytest.raises(ValueError, match="surplus"):
        options.model_validate({"type": name, **LEAST[name], "surplus": 1})
