"""Exchanges as they come to a token host, without a gateway."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from llmauth.addresses import HostPort
from llmauth.authenticators.tokens import Tokens
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.http import Door, Headers, Request, Url
from llmauth.secrets import Secret

ALICE = Identity(user="alice", method="api_key", key_id="abcdefghij", key_name="ci")

Ask = Callable[..., Request]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(clock: ManualClock) -> Tokens:
    return Tokens(Secret("07" * 32), clock)


@pytest.fixture
def ask() -> Ask:
    """A request in a tunnel to `host`: a form, or these bytes, with these fields."""

    def ask(
        host: str,
        path: str,
        form: dict[str, str] | bytes | None = None,
        *,
        method: str = "POST",
        fields: tuple[tuple[bytes, bytes], ...] = ((b"Content-Type", b"application/x-www-form-urlencoded"),),
    ) -> Request:
        body = urlencode(form).encode() if isinstance(form, dict) else form or b""
        head = Headers(((b"Host", host.encode()), *fields, (b"Content-Length", str(len(body)).encode())))
        url = Url("https", host, 443, path)
        return Request(method=method, url=url, headers=head, door=Door.TUNNEL, body=body, tunnel=HostPort(host, 443))

    return ask
