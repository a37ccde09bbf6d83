"""Tunnels that nobody reads: bytes both ways as they come, for callers that are known, and while they are."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from llmauth.demo.certificates import Authority, Certificate, server_context
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import call, eventually, get, memory, seconds
from tests.fixtures.certificates import listener
from tests.fixtures.hosts import Host, echo, head_of, host
from tests.fixtures.raw import Wire, basic, tunnel
from tests.fixtures.serving import Serving, environment, start

GIT = "git.example"
GREETING = b"220 ready\r\n"


@pytest.fixture(scope="module")
def git() -> Iterator[Host]:
    with host(echo) as listening:
        yield listening


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators, git: Host) -> Iterator[Serving]:
    """Lets tunnels through to one host, on 443 and 2222."""
    resolve = {**shared_emulators.resolve, GIT: git.place}
    egress = {"allow": [GIT, f"{GIT}:2222"], "drain_timeout": "1s", "max_tunnels": 8}
    folder = tmp_path_factory.mktemp("tunnels")
    serving = start(folder, shared_emulators, upstream={"resolve": resolve}, egress=egress)
    serving.key()
    yield serving
    serving.stop()


def dug(gateway: Serving, target: str = f"{GIT}:443", key: str | None = None) -> Wire:
    """A tunnel whose host has greeted."""
    wire = Wire(gateway.port)
    answer = wire.connect(target, gateway.key() if key is None else key)
    assert answer.status == 200, answer
    assert wire._exactly(len(GREETING)) == (GREETING, True)
    return wire


def told(gateway: Serving) -> list[dict[str, Any]]:
    return gateway.lines("tunnel")


# ---- bytes ---------------------------------------------------------------------------------------------------------


def test_bytes_that_are_no_tls_pass_both_ways_as_they_are(gateway: Serving) -> None:
    """The host speaks first; what follows looks like HTTP to us, like TLS to nobody, and like itself to both ends."""
    for said in (
        b"\0\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
        b"\x16\x03garbage",
        os.urandom(9999),
    ):
        with dug(gateway) as wire:
            assert wire.send(said)._exactly(len(said)) == (said, True)


def test_an_entry_may_name_a_port(gateway: Serving) -> None:
    with dug(gateway, f"{GIT}:2222") as wire:
        assert wire.send(b"ssh")._exactly(3) == (b"ssh", True)


def test_the_end_of_one_direction_is_not_the_end_of_the_other(gateway: Serving) -> None:
    with dug(gateway) as wire:
        wire.send(b"all")
        wire._sock.shutdown(socket.SHUT_WR)
        assert wire._rest() == b"allbye"


def test_what_is_sent_ahead_of_the_answer_arrives(gateway: Serving) -> None:
    with Wire(gateway.port) as wire:
        head = f"CONNECT {GIT}:443 HTTP/1.1\r\nHost: {GIT}:443\r\nProxy-Authorization: {basic(gateway.key())}\r\n\r\n"
        answer = wire.send(head.encode() + b"early").answer()
        assert answer.status == 200
        assert wire._exactly(len(GREETING) + 5) == (GREETING + b"early", True)


def test_20_mb_both_ways_at_once_arrive_whole(gateway: Serving) -> None:
    sent = os.urandom(1 << 20) * 20
    with dug(gateway) as wire:
        writer = threading.Thread(target=_send_all, args=(wire, sent))
        writer.start()
        back = wire._rest()
        writer.join()
    assert hashlib.sha256(back).digest() == hashlib.sha256(sent + b"bye").digest()


def _send_all(wire: Wire, data: bytes) -> None:
    wire.send(data)
    wire._sock.shutdown(socket.SHUT_WR)


def test_who_does_not_read_stops_the_sender_and_costs_no_memory(tmp_path: Path, shared_emulators: Emulators) -> None:
    sent = [0]

    def pour(sock: socket.socket) -> None:
        while True:
            sent[0] += sock.send(bytes(65536))

    with host(pour) as listening:
        resolve = {**shared_emulators.resolve, GIT: listening.place}
        egress = {"allow": [GIT], "drain_timeout": "1s"}
        gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
        before = memory(gateway.process.pid)
        with Wire(gateway.port) as wire:
            assert wire.connect(f"{GIT}:443", gateway.key()).status == 200
            eventually(lambda: _stands_still(sent))
            assert sent[0] < 32 << 20
            assert memory(gateway.process.pid) - before < 16 << 20
        gateway.stop()


def _stands_still(counter: list[int]) -> bool:
    before = counter[0]
    time.sleep(0.3)
    return before > 0 and counter[0] == before


def test_a_direction_that_stands_still_does_not_stop_the_other(tmp_path: Path, shared_emulators: Emulators) -> None:
    """A client that uploads and does not read, to a host that answers without end and reads."""
    received = [0]

    def talk(sock: socket.socket) -> None:
        threading.Thread(target=_pour, args=(sock,), daemon=True).start()
        while data := sock.recv(65536):
            received[0] += len(data)

    with host(talk) as listening:
        resolve = {**shared_emulators.resolve, GIT: listening.place}
        egress = {"allow": [GIT], "drain_timeout": "1s"}
        gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
        with Wire(gateway.port) as wire:
            assert wire.connect(f"{GIT}:443", gateway.key()).status == 200
            time.sleep(0.5)
            wire.send(bytes(8 << 20))
            eventually(lambda: received[0] == 8 << 20)
        gateway.stop()


def _pour(sock: socket.socket) -> None:
    try:
        while True:
            sock.sendall(bytes(65536))
    except OSError:
        return


def test_a_proxy_behind_tls_tunnels_alike(tmp_path: Path, shared_emulators: Emulators, git: Host) -> None:
    """The TLS of the TLS port ends here, the caller's own does not."""
    server, ca_file = listener(tmp_path)
    resolve = {**shared_emulators.resolve, GIT: git.place}
    egress = {"allow": [GIT], "drain_timeout": "1s"}
    gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress, server=server)
    assert gateway.tls_port is not None
    with Wire(gateway.tls_port).start_tls("llm.internal", ca_file) as wire:
        assert wire.connect(f"{GIT}:443").status == 407
        assert wire.connect(f"{GIT}:443", gateway.key()).status == 200
        sent = os.urandom(1 << 20)
        assert wire._exactly(len(GREETING)) == (GREETING, True)
        assert wire.send(sent)._exactly(len(sent)) == (sent, True)
        gateway.llmauth("keys", "revoke", "test")
        assert seconds(wire.ended) < 1.0
    gateway.stop()


def test_hosts_are_written_down_while_the_policy_learns(tmp_path: Path, shared_emulators: Emulators, git: Host) -> None:
    resolve = {**shared_emulators.resolve, GIT: git.place, "other.example": git.place}
    egress = {"default": "learn", "drain_timeout": "1s"}
    gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
    for target in (f"{GIT}:443", "OTHER.example.:443", f"{GIT}:443"):
        with dug(gateway, target):
            pass
    with Wire(gateway.port) as wire:
        assert wire.connect("third.example:22", gateway.key()).status == 403
    learned = gateway.home / "learned-hosts.txt"
    eventually(lambda: learned.exists() and learned.read_text().count("\n") == 2)
    assert sorted(learned.read_text().split()) == [f"{GIT}:443", "other.example:443"]
    assert {line["target"] for line in told(gateway)} <= {f"{GIT}:443", "other.example:443"}
    gateway.stop()


def test_without_an_entry_the_log_does_not_tell_where_a_tunnel_led(
    tmp_path: Path, shared_emulators: Emulators, git: Host
) -> None:
    resolve = {**shared_emulators.resolve, GIT: git.place}
    egress = {"default": "tunnel", "drain_timeout": "1s"}
    gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
    with dug(gateway):
        pass
    eventually(lambda: bool(told(gateway)))
    assert "target" not in told(gateway)[0]
    assert GIT not in gateway.log()
    gateway.stop()


# ---- who may -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "wrong", "llmauth_aaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"])
def test_a_tunnel_needs_the_proxy_password(gateway: Serving, git: Host, key: str | None) -> None:
    """A2: who proves nothing is asked, whatever the host; nothing is dialled."""
    before = git.connections
    with Wire(gateway.port) as wire:
        answer = wire.connect(f"{GIT}:443", key)
    assert answer.status == 407
    assert answer.values("proxy-authenticate")
    assert git.connections == before


def test_a_key_in_another_slot_opens_no_tunnel(gateway: Serving, git: Host) -> None:
    before = git.connections
    for field in ("Authorization", "X-API-Key"):
        with Wire(gateway.port) as wire:
            value = f"Bearer {gateway.key()}" if field == "Authorization" else gateway.key()
            assert wire.request("CONNECT", f"{GIT}:443", [("Host", f"{GIT}:443"), (field, value)]).status == 407
    assert git.connections == before


def test_after_a_refusal_the_same_connection_may_ask_again(gateway: Serving) -> None:
    """git and Java send the password only when they are asked for it."""
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{GIT}:443").status == 407
        assert wire.connect("evil.example:443", gateway.key()).status == 403
        assert wire.connect(f"{GIT}:443", gateway.key()).status == 200
        assert wire._exactly(len(GREETING)) == (GREETING, True)


def test_after_a_tunnel_was_refused_a_provider_can_be_called_on_that_connection(gateway: Serving) -> None:
    with Wire(gateway.port) as wire:
        assert wire.connect("evil.example:443", gateway.key()).status == 403
        assert wire.connect("api.openai.com:443", gateway.key()).status == 200
        wire.start_tls("api.openai.com", gateway.ca_file)
        assert wire.request("GET", "/v1/models", [("Host", "api.openai.com")]).status == 200


def test_a_provider_is_never_tunnelled(gateway: Serving) -> None:
    """What its TLS shows is our certificate: it ends at us."""
    wire = tunnel(gateway.port, "api.openai.com", gateway.key(), gateway.ca_file)
    assert wire.request("GET", "/v1/models", [("Host", "api.openai.com")]).status == 200
    wire.close()


# ---- for how long --------------------------------------------------------------------------------------------------


def test_a_revoked_key_ends_its_tunnels_within_a_second_and_no_others(gateway: Serving) -> None:
    """A5, in the middle of a tunnel that is in use."""
    key = gateway.key("to-be-revoked")
    with dug(gateway, key=key) as wire, dug(gateway) as other:
        assert wire.send(b"x")._exactly(1) == (b"x", True)
        gateway.llmauth("keys", "revoke", "to-be-revoked")
        assert seconds(wire.ended) < 1.0
        assert other.send(b"y")._exactly(1) == (b"y", True)
    line = eventually_told(gateway, "to-be-revoked")
    assert line["ended_by"] == "key"


def eventually_told(gateway: Serving, user: str) -> dict[str, Any]:
    eventually(lambda: any(line["user"] == user for line in told(gateway)))
    return next(line for line in told(gateway) if line["user"] == user)


def test_a_key_that_expires_ends_its_tunnels(gateway: Serving) -> None:
    key = gateway.llmauth("keys", "create", "short", "--expires", "2s").strip()
    with dug(gateway, key=key) as wire:
        assert seconds(wire.ended) < 3.2


def test_a_revoked_tunnel_ends_even_when_its_client_reads_nothing(tmp_path: Path, shared_emulators: Emulators) -> None:
    ended = threading.Event()

    def pour(sock: socket.socket) -> None:
        _pour(sock)
        ended.set()

    with host(pour) as listening:
        resolve = {**shared_emulators.resolve, GIT: listening.place}
        gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress={"allow": [GIT]})
        with Wire(gateway.port) as wire:
            assert wire.connect(f"{GIT}:443", gateway.key()).status == 200
            time.sleep(0.3)
            gateway.llmauth("keys", "revoke", "test")
            assert ended.wait(1.0)
        gateway.stop()


def test_too_many_tunnels_are_refused_and_their_places_come_back(gateway: Serving) -> None:
    open_ones = [dug(gateway) for _ in range(8)]
    with Wire(gateway.port) as wire:
        answer = wire.connect(f"{GIT}:443", gateway.key())
        assert answer.status == 503
        assert answer.header("retry-after") == "5"
    for wire in open_ones:
        wire.close()
    eventually(lambda: _opens(gateway))


def _opens(gateway: Serving) -> bool:
    with Wire(gateway.port) as wire:
        return wire.connect(f"{GIT}:443", gateway.key()).status == 200


def test_a_drain_waits_for_tunnels_up_to_their_own_limit(
    tmp_path: Path, shared_emulators: Emulators, git: Host
) -> None:
    resolve = {**shared_emulators.resolve, GIT: git.place}
    egress = {"allow": [GIT], "drain_timeout": "1s"}
    gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
    with dug(gateway) as wire:
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        time.sleep(0.4)
        assert wire.send(b"still")._exactly(5) == (b"still", True)
        took = seconds(wire.ended)
        stopping.join()
    assert 0.3 < took < 2.5
    assert gateway.process.returncode == 0
    assert told(gateway)[-1]["ended_by"] == "drain"


def test_a_silent_tunnel_ends(tmp_path: Path, shared_emulators: Emulators, git: Host) -> None:
    resolve = {**shared_emulators.resolve, GIT: git.place}
    egress = {"allow": [GIT], "idle_timeout": "1s"}
    gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
    with dug(gateway) as wire:
        assert 0.8 < seconds(wire.ended) < 2.5
    gateway.stop()


# ---- what is told --------------------------------------------------------------------------------------------------


def test_a_tunnel_is_told_once_with_its_sizes_and_none_of_its_bytes(gateway: Serving) -> None:
    key = gateway.key("counted")
    with dug(gateway, key=key) as wire:
        wire.send(b"a-secret-inside")._exactly(15)
    eventually(lambda: any(line["user"] == "counted" for line in told(gateway)))
    (line,) = [line for line in told(gateway) if line["user"] == "counted"]
    assert (line["sent"], line["target"]) == (15, f"{GIT}:443")
    assert line["received"] - len(GREETING) in (15, 18)  # whether the host's last word came before the client was gone
    assert line["ms"] > 0
    assert "a-secret-inside" not in gateway.log()


def test_metrics_name_no_host(gateway: Serving) -> None:
    """R3: labels come from closed sets."""
    body = get(gateway, "/metrics", ("X-API-Key", gateway.key())).body.decode()
    assert re.search(r'tunnels_total\{end="client"\} [1-9]', body)
    assert re.search(r'tunnel_bytes_total\{direction="sent"\} [1-9]', body)
    assert GIT not in body


def test_providers_are_served_as_ever_while_tunnels_are_open(gateway: Serving) -> None:
    with dug(gateway):
        assert call(gateway).status == 200


# ---- hosts that go wrong -------------------------------------------------------------------------------------------


def test_a_host_that_cannot_be_reached_is_said_before_the_tunnel_opens(
    tmp_path: Path, shared_emulators: Emulators
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        resolve = {**shared_emulators.resolve, GIT: f"127.0.0.1:{nobody.getsockname()[1]}"}
        egress = {"allow": [GIT, "no-such-name.invalid"]}
        gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress=egress)
        with Wire(gateway.port) as wire:
            assert wire.connect(f"{GIT}:443", gateway.key()).status == 502
            assert wire.connect("no-such-name.invalid:443", gateway.key()).status == 502
            assert wire.connect(f"{GIT}:443", gateway.key()).status == 502
        gateway.stop()


def test_a_host_that_resets_ends_its_tunnel_alone(
    gateway: Serving, tmp_path: Path, shared_emulators: Emulators
) -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with host(reset) as listening:
        resolve = {**shared_emulators.resolve, GIT: listening.place}
        own = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress={"allow": [GIT]})
        with Wire(own.port) as wire:
            assert wire.connect(f"{GIT}:443", own.key()).status == 200
            assert wire.send(b"x").ended()
        assert call(own).status == 200
        own.stop()


# ---- real clients --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[tuple[Serving, Path]]:
    """A site over TLS of an authority that only its clients trust, and a gateway that tunnels to it."""
    folder = tmp_path_factory.mktemp("site")
    authority = Authority.create()
    (folder / "site-ca.pem").write_bytes(authority.pem)
    context = server_context(authority, (GIT,), Certificate.VALID)

    def speak(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            head = head_of(tls)
            body = b"seen " + head.split(b"\r\n")[0]
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))

    with host(speak) as listening:
        resolve = {**shared_emulators.resolve, GIT: listening.place}
        gateway = start(folder, shared_emulators, upstream={"resolve": resolve}, egress={"allow": [GIT]})
        gateway.key()
        yield gateway, folder / "site-ca.pem"
        gateway.stop()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_verifies_the_real_host(site: tuple[Serving, Path]) -> None:
    gateway, ca_file = site
    command = ["curl", "-sS", "-m", "10", "-x", gateway.proxy(), f"https://{GIT}/a?b=c"]
    done = subprocess.run([*command, "--cacert", str(ca_file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "seen GET /a?b=c HTTP/1.1")
    with_ours = subprocess.run([*command, "--cacert", str(gateway.ca_file)], capture_output=True, check=False)
    assert with_ours.returncode == 60  # curl: the peer's certificate cannot be authenticated with known CA certificates
    refused = [gateway.proxy("llmauth_wrong_key") if word == gateway.proxy() else word for word in command]
    assert subprocess.run(refused, capture_output=True, check=False).returncode == 56


def test_requests_goes_through(site: tuple[Serving, Path]) -> None:
    gateway, ca_file = site
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": gateway.proxy()}
        assert session.get(f"https://{GIT}/py", verify=str(ca_file), timeout=10).text == "seen GET /py HTTP/1.1"


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_clones_a_repository(tmp_path: Path, shared_emulators: Emulators) -> None:
    bare, authority = tmp_path / "r.git", Authority.create()
    (tmp_path / "site-ca.pem").write_bytes(authority.pem)
    own = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    environ = {**environment(), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_SSL_CAINFO": str(tmp_path / "site-ca.pem")}
    for command in (
        [*own, "init", "-q", str(tmp_path / "r")],
        [*own, "-C", str(tmp_path / "r"), "commit", "-q", "--allow-empty", "-m", "one"],
        [*own, "clone", "-q", "--bare", str(tmp_path / "r"), str(bare)],
        [*own, "-C", str(bare), "update-server-info"],
    ):
        subprocess.run(command, check=True, env=environ, capture_output=True)
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        site.socket = server_context(authority, (GIT,), Certificate.VALID).wrap_socket(site.socket, server_side=True)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        resolve = {**shared_emulators.resolve, GIT: f"127.0.0.1:{site.server_port}"}
        gateway = start(tmp_path, shared_emulators, upstream={"resolve": resolve}, egress={"allow": [GIT]})
        command = ["git", "-c", f"http.proxy={gateway.proxy()}", "clone", "-q", f"https://{GIT}/r.git"]
        done = subprocess.run([*command, str(tmp_path / "copy")], env=environ, capture_output=True, timeout=30)
        site.shutdown()
        gateway.stop()
    assert done.returncode == 0, done.stderr
    log = subprocess.run([*own, "-C", str(tmp_path / "copy"), "log", "--format=%s"], env=environ, capture_output=True)
    assert log.stdout == b"one\n"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
