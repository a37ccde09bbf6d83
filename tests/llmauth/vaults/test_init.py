"""Every vault is there whatever is configured, and says by itself that it is not."""

from __future__ import annotations

from typing import NoReturn, get_args

import pytest
from pydantic import ValidationError

from llmauth.platform import SimulatedMachine
from llmauth.sources import SourceUnavailable
from llmauth.vaults import BACKENDS, VaultsOptions, build
from llmauth.vaults.base import BackendName, Identities, VaultSurroundings


def nobody(*_: object) -> NoReturn:
    raise SourceUnavailable("nobody here")


def absent() -> str:
    return "nobody here"


HERE = VaultSurroundings(
    machine=SimulatedMachine({}),
    identities=Identities(aws=nobody, azure=nobody, gcp=nobody, no_aws=absent, no_azure=absent, no_gcp=absent),
)


def test_each_name_has_a_backend() -> None:
    assert set(build(VaultsOptions(), HERE)) == set(BACKENDS) == set(get_args(BackendName))


def test_one_that_is_not_configured_says_so_without_being_asked() -> None:
    for backend in build(VaultsOptions(), HERE).values():
        assert backend.unavailable()


def test_an_unknown_vault_or_key_is_a_fault() -> None:
    faults: list[dict[str, dict[str, str]]] = [{"drawer": {}}, {"hashicorp": {"adress": "x"}}]
    for written in faults:
        with pytest.raises(ValidationError):
            VaultsOptions.model_validate(written)
