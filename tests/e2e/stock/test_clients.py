"""The official openai client, unmodified, through a stock tool: by proxy and by base URL, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_openai import PLACEHOLDER, SAYS, SYNC, holds_only_our_credential
from tests.fixtures.serving import Serving


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    sdks = Sdks()
    yield sdks
    sdks.close()


def by_proxy(gateway: Serving) -> Mapping[str, str]:
    return {**ways.key_in_the_proxy(gateway), "OPENAI_API_KEY": PLACEHOLDER}


def by_base_url(gateway: Serving) -> Mapping[str, str]:
    return {"OPENAI_BASE_URL": ways.plain(gateway, "/transparent/openai/v1"), "OPENAI_API_KEY": gateway.key()}


@pytest.mark.parametrize("way", [by_proxy, by_base_url])
def test_the_openai_client_is_answered(gateway: Serving, emulators: Emulators, sdks: Sdks, way: ways.Way) -> None:
    said = sdks.run(SYNC, way(gateway))
    assert said["whole"].startswith(SAYS)
    assert said["streamed"] == said["responses"] == said["whole"]
    assert holds_only_our_credential(gateway, emulators)
