from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.proxy import mode_specs

from addons.launch.listeners import Listeners, listeners, own_ports, unopened
from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from tests.fixtures.certificates import listener


def settings(folder: Path, **options: Any) -> Settings:
    environ = {"LLMAUTH_HOME": str(folder), "LLMAUTH_CONFIG": str(_file(folder, options))}
    return read_settings([], environ)


def _file(folder: Path, options: Mapping[str, Any]) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(options))
    return file


def opened(folder: Path, **options: Any) -> Listeners:
    return listeners(settings(folder, **options))


def test_the_plain_port_alone(tmp_path: Path) -> None:
    ports = opened(tmp_path, server={"port": 8000})
    assert (ports.modes, ports.doors) == (["regular@127.0.0.1:8000"], ["http://127.0.0.1:8000"])
    assert (ports.tls_mode, ports.certificate, ports.roots) == (None, None, None)


def test_both_ports(tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    ports = opened(tmp_path, server={"port": 8000, **server, "tls_port": 8001})
    assert ports.doors == ["http://127.0.0.1:8000", "https://127.0.0.1:8001"]
    assert ports.tls_mode == mode_specs.ProxyMode.parse("regular@127.0.0.1:8001")
    assert ports.certificate is not None
    assert ports.certificate.cert.altnames[0].value == "llm.internal"


def test_ports_that_the_system_chooses_are_different_ones(tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    ports = opened(tmp_path, server={**server, "port": 0, "tls_port": 0})
    numbers = [int(mode.rpartition(":")[2]) for mode in ports.modes]
    assert 0 not in numbers
    assert numbers[0] != numbers[1]


def test_the_ports_that_nobody_is_led_back_to(tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    read = settings(tmp_path, server={**server, "port": 8000, "tls_port": 8001}, metrics={"port": 9090})
    assert own_ports(read, listeners(read)) == {8000, 8001, 9090}


def test_an_ipv6_address_stands_in_brackets_for_people(tmp_path: Path) -> None:
    ports = opened(tmp_path, server={"host": "::1", "port": 8000})
    assert ports.doors == ["http://[::1]:8000"]
    mode = mode_specs.ProxyMode.parse(ports.modes[0])
    assert (mode.listen_host(), mode.listen_port()) == ("::1", 8000)


@pytest.mark.parametrize("spoilt", ["tls.crt", "tls.key"])
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_files_that_hold_something_else(tmp_path: Path, spoilt: str, content: bytes) -> None:
    server, _ = listener(tmp_path)
    (tmp_path / spoilt).write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        opened(tmp_path, server=server)
    assert str(tmp_path / spoilt) in str(raised.value)


def test_the_key_of_another_certificate(tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ConfigError, match="belongs to another key"):
        opened(tmp_path, server={**server, "tls_key_file": listener(other)[0]["tls_key_file"]})


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    server, _ = listener(tmp_path)
    (tmp_path / "tls.key").unlink()
    with pytest.raises(FileNotFoundError) as raised:
        opened(tmp_path, server=server)
    assert raised.value.filename == str(tmp_path / "tls.key")


def test_a_private_authority_joins_the_public_ones(tmp_path: Path) -> None:
    _, ca_file = listener(tmp_path)
    ports = opened(tmp_path, upstream={"ca_file": str(ca_file)})
    assert ports.roots is not None
    roots = Path(ports.roots)
    assert roots.read_bytes().endswith(ca_file.read_bytes())
    assert roots.read_bytes().count(b"BEGIN CERTIFICATE") > 100
    assert roots.parent == tmp_path


def test_servers_that_share_a_folder_do_not_share_their_authorities(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    one, another = (opened(tmp_path, upstream={"ca_file": str(listener(f)[1])}).roots for f in (tmp_path, other))
    assert one != another
    assert opened(tmp_path, upstream={"ca_file": str(tmp_path / "tls-ca.pem")}).roots == one


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("garbage")
    with pytest.raises(ConfigError, match=r"upstream\.ca_file: holds no certificate"):
        opened(tmp_path, upstream={"ca_file": str(tmp_path / "ca.pem")})


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EADDRINUSE, "taken by another program"), (errno.EACCES, "above 1023"), (None, "no address")],
)
def test_why_a_port_could_not_be_opened(number: int | None, words: str) -> None:
    failed = unopened("127.0.0.1", 80, OSError(number, "x") if number else OSError("x"), "server.tls_port")
    sentence = str(failed.strerror)
    assert words in sentence
    assert "server.tls_port" in sentence
    assert "80" in sentence


def test_no_port_of_an_address_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no address that can be listened on"):
        opened(tmp_path, server={"host": "192.0.2.1", "port": 0})


def test_roots_are_merged_in_a_state_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    _, ca_file = listener(tmp_path)
    state = tmp_path / "state"
    environ = {
        "LLMAUTH_HOME": str(state),
        "LLMAUTH_CONFIG": str(_file(tmp_path, {"upstream": {"ca_file": str(ca_file)}})),
    }
    ports = listeners(read_settings([], environ))
    assert ports.roots is not None
    assert Path(ports.roots).parent == state
    assert state.stat().st_mode & 0o777 == 0o700
