"""S2, S4: a request line with http:// inside a TLS tunnel contradicts the tunnel; an id that holds a key is no id."""

from __future__ import annotations

import pytest

from llmauth.demo.emulators import Emulators
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving

HOST = ("Host", "api.openai.com")


@pytest.mark.parametrize(("scheme", "status"), [("http", 400), ("https", 200)])
def test_absolute_form_inside_a_tunnel(gateway: Serving, emulators: Emulators, scheme: str, status: int) -> None:
    with tunnel(gateway.port, "api.openai.com", gateway.key(), gateway.ca_file) as wire:
        answer = wire.request("GET", f"{scheme}://api.openai.com/v1/models", [HOST])
    assert answer.status == status
    assert len(emulators.requests()) == (1 if status == 200 else 0)


def test_a_key_is_no_request_id(gateway: Serving, emulators: Emulators) -> None:
    key = gateway.key()
    with Wire(gateway.port) as wire:
        headers = [HOST, ("X-API-Key", key), ("X-Request-Id", key)]
        wire.request("GET", "/transparent/openai/v1/models", headers)
    (seen,) = emulators.requests()
    assert key.encode() not in seen.head
    assert key not in gateway.log()
