"""As whom Google Secret Manager is asked: the account of a credential file, else the workload; kept while young."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmauth.clock import ManualClock
from llmauth.credentials.base import Surroundings
from llmauth.credentials.identities import identities
from llmauth.platform import Platform
from llmauth.sources import SourceFailed, SourceUnavailable
from tests.emulators.gcp_metadata import GKE, WORKLOAD, GcpMetadata
from tests.emulators.google_sts import ACCOUNT, GoogleTokens, leading, service_account_file

GKE_POD = Platform(name="gke", in_kubernetes=True, machine="gcp", settled=True)


@pytest.fixture
def tokens() -> Iterator[GoogleTokens]:
    with GoogleTokens() as running:
        yield running


@pytest.fixture
def here(standing: Callable[..., Surroundings], tokens: GoogleTokens, tmp_path) -> Callable[..., Surroundings]:
    def make(environ: dict[str, str], files: dict[str, str] | None = None, **more: Any) -> Surroundings:
        return standing("openai", environ, files, outbound=leading(tmp_path, tokens), **more)

    return make


def test_the_account_of_a_file_comes_first(here, tokens) -> None:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": "/g", "GOOGLE_API_KEY": "AIza-not-for-vaults"}
    found = identities(here(environ, {"/g": json.dumps(service_account_file())}))
    assert found.no_gcp() is None
    assert tokens.directory.principal(found.gcp().value.reveal()) == ACCOUNT
    assert len(tokens.calls) == 1


def test_many_threads_share_one_token_until_it_is_no_longer_young(here) -> None:
    clock = ManualClock()
    with GcpMetadata(server=GKE) as metadata:
        found = identities(here(metadata.environ, platform=GKE_POD, clock=clock))
        given: list[str] = []
        threads = [threading.Thread(target=lambda: given.append(found.gcp().value.reveal())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert metadata.directory.principal(given[0]) == WORKLOAD
        assert (len(given), len(set(given)), metadata.directory.given) == (8, 1, 1)
        metadata.forget()
        clock.advance(2500)
        assert found.gcp().value.reveal() == given[0]
        clock.advance(100)
        assert found.gcp().value.reveal() != given[0]


def test_nobody(here) -> None:
    found = identities(here({}))
    reason = (
        "this process has no identity of Google: the environment variable GOOGLE_APPLICATION_CREDENTIALS is not set; "
        "GCP workload identity not available on generic"
    )
    assert found.no_gcp() == reason
    with pytest.raises(SourceUnavailable) as caught:
        found.gcp()
    assert caught.value.reason == reason


def test_a_broken_file_is_told_and_nobody_else_is_asked(here) -> None:
    with GcpMetadata() as metadata:
        found = identities(here(metadata.environ | {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}))
        assert found.no_gcp() is None
        with pytest.raises(SourceFailed, match="GOOGLE_APPLICATION_CREDENTIALS names cannot be read"):
            found.gcp()
        assert not metadata.calls
