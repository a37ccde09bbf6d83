"""The proxy of one command: the user's configuration with one door on loopback, and the company's proxy before it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmauth.cli.own_proxy import Teller, main, settings_for

CONFIG = """
server: {host: 0.0.0.0, port: 8080, tls_cert_file: c.pem, tls_key_file: k.pem}
metrics: {port: 9090}
instances: {openai: {type: openai}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path / "c.yaml"


def test_one_door_and_only_for_this_machine(tmp_path: Path, file: Path) -> None:
    """The ports of the configuration may be another server's, and its users are not this command's."""
    settings = settings_for(4711, [file], {"LLMAUTH_HOME": str(tmp_path), "PORT": "8080"})
    assert (settings.server.host, settings.server.port, settings.server.tls_cert_file) == ("127.0.0.1", 4711, None)
    assert settings.metrics is None
    assert list(settings.instances) == ["openai"]


def test_the_companys_proxy_is_the_way_outside(tmp_path: Path, file: Path) -> None:
    environ = {
        "LLMAUTH_HOME": str(tmp_path),
        "LLMAUTH_OUTSIDE_PROXY": "http://proxy.corp:3128",
        "LLMAUTH_OUTSIDE_NO_PROXY": "corp,10.0.0.0/8",
    }
    proxy = settings_for(1, [file], environ).upstream.proxy
    assert proxy is not None
    assert (proxy.url.place.host, proxy.no_proxy) == ("proxy.corp", ("corp", "10.0.0.0/8"))


def test_what_is_configured_counts_before_it(tmp_path: Path, file: Path) -> None:
    file.write_text(CONFIG + "upstream: {proxy: {url: 'http://other.corp:3128'}}\n")
    environ = {"LLMAUTH_HOME": str(tmp_path), "LLMAUTH_OUTSIDE_PROXY": "http://proxy.corp:3128"}
    proxy = settings_for(1, [file], environ).upstream.proxy
    assert proxy is not None
    assert proxy.url.place.host == "other.corp"


def test_what_keeps_it_from_starting_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("instances: {openai: {type: nonsense}}\n")
    assert main(["1", str(tmp_path / "c.yaml")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_its_port_is_told_once_it_listens() -> None:
    told, tells = os.pipe()
    teller = Teller(4711, tells)
    assert teller.chain(lambda gateway, exchanges: [gateway, exchanges])(1, 2) == [1, 2, teller]
    teller.running()
    with open(told, "rb") as reads:
        assert reads.read() == b"4711\n"
