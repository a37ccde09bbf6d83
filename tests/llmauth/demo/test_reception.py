"""Names: the Host header finds the emulator, and must be the name in the TLS hello."""

from __future__ import annotations

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.llmauth.demo.wire import Reply, connect, head, read_reply

OTHER = "api.anthropic.com"


def knock(emulators: Emulators, sni: str | None, host: str) -> Reply:
    with connect(emulators, sni) as connection:
        key = f"Authorization: Bearer {emulators.credentials.openai_key}"
        connection.sendall(head("GET", "/v1/models", f"Host: {host}", key))
        return read_reply(connection)


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:443"])
def test_the_same_name_in_hello_and_host_is_served(emulators: Emulators, host: str) -> None:
    assert knock(emulators, HOST, host).status == 200
    (seen,) = emulators.requests(HOST)
    assert (seen.sni, seen.host) == (HOST, HOST)


@pytest.mark.parametrize(
    ("sni", "host"),
    [
        (OTHER, HOST),
        (None, HOST),
        (HOST, OTHER),
        (HOST, "api.openai.com."),
        (HOST, f"{HOST}:80"),
        (HOST, f"x{HOST}"),
        (HOST, f"{HOST}@{OTHER}"),
        (HOST, "unknown.example"),
    ],
)
def test_names_that_disagree_are_misdirected_and_recorded(emulators: Emulators, sni: str | None, host: str) -> None:
    reply = knock(emulators, sni, host)
    assert reply.status == 421
    assert reply.json()["error"]["type"] == "misdirected_request"
    (seen,) = emulators.requests()
    assert (seen.sni, seen.status) == (sni, 421)


def test_an_alias_is_reached_with_the_port_and_counts_as_its_host() -> None:
    with Emulators(aliases={"localhost": HOST}, pace=0) as emulators:
        assert knock(emulators, "localhost", f"localhost:{emulators.port}").status == 200
        assert knock(emulators, "localhost", "localhost").status == 421
        assert knock(emulators, HOST, f"localhost:{emulators.port}").status == 421
        assert len(emulators.requests(HOST)) == 2


def test_every_answer_is_dated(emulators: Emulators) -> None:
    assert (knock(emulators, HOST, HOST).header("date") or "").endswith(" GMT")
