"""Where the way to a provider ends: its name, a private address, the connection, TLS, or nowhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.doctor.findings import Finding
from llmauth.doctor.upstream import examine
from tests.fixtures.corporate import corporate
from tests.llmauth.doctor.conftest import Make

OPENAI = "api.openai.com"
INSTANCES = {"openai": {"type": "openai"}}


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as emulators:
        yield emulators


def only(patient: Make, **sections: Any) -> Finding:
    (found,) = examine(patient(instances=INSTANCES, **sections))
    return found


def test_one_that_answers_is_well_and_was_shown_no_credential(patient: Make, providers: Emulators) -> None:
    providers.clear()
    one = only(patient, upstream={"ca_file": str(providers.ca_file), "resolve": providers.resolve})
    assert (one.verdict, one.what) == ("ok", f"{OPENAI} reachable, TLS verified")
    (asked,) = providers.requests()
    assert (asked.method, asked.values("authorization"), asked.values("x-api-key")) == (b"HEAD", [], [])


def test_a_certificate_of_a_strange_authority_names_who_signed_it(patient: Make, providers: Emulators) -> None:
    one = only(patient, upstream={"resolve": providers.resolve})
    assert one.verdict == "fail"
    assert "signed by '" in one.what
    assert one.fix == "upstream: {ca_file: FILE}, with the CA that signed it"


def test_nobody_who_listens_is_told_with_address_and_port(patient: Make) -> None:
    one = only(patient, upstream={"resolve": {OPENAI: "127.0.0.1:1"}})
    assert (one.verdict, "127.0.0.1, port 1" in one.what) == ("fail", True)
    assert "firewall" in (one.fix or "")


def test_a_name_that_leads_inside_names_the_setting(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.8", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    one = only(patient)
    assert one.fix == f"upstream: {{allow_private: [{OPENAI}]}} if that is meant (a VPC endpoint)"


def test_a_name_that_nobody_knows_is_told(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert only(patient).what == f"{OPENAI}: DNS does not know {OPENAI}"


def test_the_companys_proxy_is_told_where_it_is_the_end(patient: Make) -> None:
    one = only(patient, upstream={"proxy": {"url": "http://127.0.0.1:1"}})
    assert (one.verdict, "through the proxy 127.0.0.1:1" in one.what) == ("fail", True)


def test_the_companys_proxy_is_the_way_where_one_is_set(patient: Make, providers: Emulators) -> None:
    with corporate(providers.resolve) as company:
        one = only(patient, upstream={"ca_file": str(providers.ca_file), "proxy": {"url": company.url}})
        assert (one.verdict, company.targets()) == ("ok", [f"{OPENAI}:443"])
        company.behave = refuse
        other = only(patient, upstream={"ca_file": str(providers.ca_file), "proxy": {"url": company.url}})
    assert other.verdict == "fail"
    assert company.password not in str(other)


def refuse(sock: socket.socket, _: bytes) -> bool:
    sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    return False


def test_without_instances_nobody_is_looked_for(patient: Make) -> None:
    assert [one.verdict for one in examine(patient())] == ["skip"]
