"""Client certificates on the TLS port, by real handshakes: who is let in, by which door, and who only seems to be."""

from __future__ import annotations

import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import OPENAI
from tests.fixtures.certificates import HOST, listener
from tests.fixtures.client_certificates import DAY, SERVER, Made, authority, client, revocations, showing
from tests.fixtures.nested import Nested
from tests.fixtures.raw import Answer, basic
from tests.fixtures.serving import Serving, start

NATIVE = "/v1/models"
PATH = f"/transparent/openai{NATIVE}"
SPIFFE = "spiffe://corp/ns/team-a/sa/app"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@dataclass(frozen=True)
class House:
    """A gateway that takes keys and client certificates, and everybody who comes to its TLS port."""

    gateway: Serving
    folder: Path
    ca_file: Path
    root: Made
    port: int
    wires: list[Nested | socket.socket] = field(default_factory=list)

    def file(self, made: Made) -> Path:
        return made.file(self.folder, f"client-{made.certificate.serial_number}")

    def enter(self, made: Made | None, *, version: ssl.TLSVersion | None = None, careless: bool = False) -> Nested:
        """A connection to the TLS port that shows a certificate, `careless` whatever it is."""
        context = showing(self.ca_file, None if made is None else self.file(made), version=version, careless=careless)
        return self.kept(Nested(self.port)).secure(context, HOST)

    def kept[W: Nested | socket.socket](self, wire: W) -> W:
        """To be closed when the test is over."""
        self.wires.append(wire)
        return wire

    def leave(self) -> None:
        while self.wires:
            self.wires.pop().close()

    def inner(self, made: Made | None = None) -> ssl.SSLContext:
        return showing(self.gateway.ca_file, None if made is None else self.file(made))


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("clients")
    server, ca_file = listener(folder)
    root = authority()
    (folder / "clients-ca.pem").write_bytes(root.pem)
    methods = ["api_key", {"type": "mtls", "ca_file": "clients-ca.pem"}]  # relative to the configuration
    gateway = start(folder, shared_emulators, server=server, auth={"methods": methods})
    yield House(gateway, folder, ca_file, root, server["tls_port"])
    gateway.stop()


@pytest.fixture
def house(own_house: House, emulators: Emulators) -> Iterator[House]:
    yield own_house
    own_house.leave()


def call(wire: Nested, *more: tuple[str, str], path: str = PATH, host: str = HOST) -> Answer:
    return wire.request("GET", path, [("Host", host), *more])


def key(house: House, name: str = "test") -> tuple[str, str]:
    return "X-API-Key", house.gateway.key(name)


# ---- who is let in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_is_enough(house: House, emulators: Emulators, version: ssl.TLSVersion) -> None:
    wire = house.enter(client(house.root, units=["team-a"]), version=version)
    for _ in range(3):
        assert call(wire, ("Authorization", "Bearer sk-placeholder")).status == 200
    assert [
        value for one in emulators.requests() for name, value in one.headers if name.lower() == b"authorization"
    ] == [f"Bearer {emulators.credentials.openai_key}".encode()] * 3
    assert "alice" in {line.get("user") for line in house.gateway.lines()}


def test_who_shows_none_is_as_before(house: House, emulators: Emulators) -> None:
    assert call(house.enter(None)).status == 401
    assert call(house.enter(None), key(house)).status == 200
    assert len(emulators.requests()) == 1


def test_a_certificate_is_that_of_its_connection_alone(house: House, emulators: Emulators) -> None:
    made = client(house.root)
    with house.enter(made) as one, house.enter(None) as other:
        assert call(one).status == 200
        assert call(other).status == 401
        assert call(one).status == 200
    assert len(emulators.requests()) == 2


def test_another_method_beside_it_must_name_the_same_user(house: House, emulators: Emulators) -> None:
    with house.enter(client(house.root)) as wire:
        assert call(wire, key(house, "alice")).status == 200
        assert call(wire, key(house, "bob")).status == 403
        assert call(wire, ("X-API-Key", "llmauth_abcdefghij_wrong")).status == 401
    assert len(emulators.requests()) == 1


def test_a_certificate_of_nobody_we_know_is_nothing(house: House) -> None:
    made = client(authority("Somebody else"))
    assert call(house.enter(made)).status == 401
    assert call(house.enter(made), key(house)).status == 200


def test_a_forged_one_is_wrong_and_no_key_makes_it_right(house: House, emulators: Emulators) -> None:
    fake = authority()
    expired = client(house.root, since=-4 * DAY, until=-DAY)
    for made in (client(fake), client(authority("Middle", by=fake)), expired):
        for more in ([], [key(house)], [key(house, "alice")]):
            assert call(house.enter(made), *more).status == 401
    assert emulators.requests() == ()
    failed = {line["reason"] for line in house.gateway.lines("auth_failed") if line["method"] == "mtls"}
    assert failed == {"bad_key"}


def test_a_chain_comes_whole(house: House) -> None:
    middle = authority("Middle", by=house.root)
    for version in VERSIONS:
        with house.enter(client(middle, "carol"), version=version) as wire:
            assert call(wire).status == 200


@pytest.mark.parametrize(
    ("common", "alternative", "user"),
    [
        ("alice", [], "alice"),
        ("alice", [x509.DNSName("app.corp.example")], "app.corp.example"),
        (None, [x509.DNSName("app.corp.example"), x509.RFC822Name("al@corp.example")], "al@corp.example"),
        ("alice", [x509.RFC822Name("al@corp.example"), x509.UniformResourceIdentifier(SPIFFE)], SPIFFE),
    ],
)
def test_whom_a_certificate_names(
    house: House, common: str | None, alternative: list[x509.GeneralName], user: str
) -> None:
    with house.enter(client(house.root, common, alternative=alternative, units=["team-a", "ops"])) as wire:
        told = json.loads(call(wire, path="/auth/whoami").body)
    assert (told["user"], told["groups"], told["method"]) == (user, ["team-a", "ops"], "mtls")


def odd(house: House) -> dict[str, Made]:
    """Certificates that a TLS library sends without a word, and that prove nothing."""
    root = house.root
    leaf = client(root, "mallory")
    alone = authority("alice")
    return {
        "a server's": client(root, usages=[SERVER]),
        "expired": client(root, since=-4 * DAY, until=-DAY),
        "not yet valid": client(root, since=DAY, until=2 * DAY),
        "signed by itself": alone,
        "signed by itself, under our authority's name": authority(),
        "signed by a client": client(Made(certificate=leaf.certificate, key=leaf.key, above=leaf.above), "admin"),
        "of an authority of the same name": client(authority()),
        "below an authority that may have none below": client(
            authority("Below", by=authority("Bounded", by=root, path_length=0))
        ),
        "a name with a blank": client(root, "alice smith"),
        "a wildcard": client(root, None, alternative=[x509.DNSName("*.corp.example")]),
        "no name at all": client(root, None, alternative=[x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]),
        "a short key": client(root, key=rsa.generate_private_key(65537, 1024)),
    }


def test_certificates_that_prove_nothing(house: House, emulators: Emulators) -> None:
    statuses = {}
    for name, made in odd(house).items():
        # OpenSSL's own rules for what a client may show are no protection: an attacker brings a library without them.
        with house.enter(made, careless=True) as wire:
            statuses[name] = call(wire).status
        with house.enter(made, careless=True) as wire:
            connected = wire.request("CONNECT", f"{OPENAI}:443", [("Host", f"{OPENAI}:443")]).status
            # Nobody's certificate is nothing, and nothing may open a tunnel in which each request proves its own.
            assert connected == (200 if name in ("signed by itself", "signed by a client") else 407), name
    assert set(statuses.values()) == {401}, statuses
    assert emulators.connections == ()


@pytest.mark.parametrize("name", ["X-Forwarded-Client-Cert", "X-Client-Cert", "Ssl-Client-Cert", "Client-Cert"])
def test_no_header_is_a_certificate(house: House, emulators: Emulators, name: str) -> None:
    """Certificates are public: whoever tells one does not hold its key."""
    pem = client(house.root).pem.decode().replace("\n", "")
    for value in (pem, f'By=spiffe://x;URI=spiffe://alice;Cert="{pem}"'):
        assert call(house.enter(None), (name, value)).status == 401
    assert emulators.requests() == ()


# ---- tunnels -------------------------------------------------------------------------------------------------------


def connect(house: House, made: Made | None, *more: tuple[str, str]) -> tuple[Nested, Answer]:
    wire = house.enter(made)
    return wire, wire.request("CONNECT", f"{OPENAI}:443", [("Host", f"{OPENAI}:443"), *more])


def test_a_tunnel_of_a_certificate_carries_it(house: House, emulators: Emulators) -> None:
    wire, answer = connect(house, client(house.root))
    assert answer.status == 200
    wire.secure(house.inner(), OPENAI)
    for _ in range(2):
        told = ("Authorization", "Bearer sk-placeholder")
        assert call(wire, told, path=NATIVE, host=OPENAI).status == 200
    assert call(wire, key(house, "bob"), path=NATIVE, host=OPENAI).status == 403
    assert len(emulators.requests()) == 2


def test_a_tunnel_without_one_asks_for_none_inside(house: House, emulators: Emulators) -> None:
    """What a client shows in a tunnel it shows to the provider, for whom we stand there."""
    made = client(house.root)
    wire, answer = connect(house, None)
    assert answer.status == 200
    wire.secure(house.inner(made), OPENAI)
    assert call(wire, path=NATIVE, host=OPENAI).status == 401
    plain = house.kept(Nested(house.gateway.port))
    assert plain.connect(f"{OPENAI}:443").status == 200
    plain.secure(house.inner(made), OPENAI)
    assert call(plain, path=NATIVE, host=OPENAI).status == 401
    assert emulators.requests() == ()


def test_a_certificate_and_a_proxy_password_name_one_user(house: House) -> None:
    made = client(house.root)
    assert connect(house, made, ("Proxy-Authorization", basic(house.gateway.key("alice"))))[1].status == 200
    assert connect(house, made, ("Proxy-Authorization", basic(house.gateway.key("bob"))))[1].status == 403
    assert connect(house, made, ("Proxy-Authorization", basic("llmauth_x")))[1].status == 407
    fake = client(authority())
    assert connect(house, fake)[1].status == 407
    assert connect(house, fake, ("Proxy-Authorization", basic(house.gateway.key())))[1].status == 407


# ---- sessions of TLS -----------------------------------------------------------------------------------------------


def handshake(house: House, made: Made | None, version: int, session: SSL.Session | None = None) -> SSL.Connection:
    """By OpenSSL itself, which resumes a session whatever certificate is loaded."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    if made is not None:
        context.use_certificate_chain_file(str(house.file(made)))
        context.use_privatekey_file(str(house.file(made)))
    sock = house.kept(socket.create_connection(("127.0.0.1", house.port), 10))
    sock.settimeout(None)
    wire = SSL.Connection(context, sock)
    if session is not None:
        wire.set_session(session)
    wire.set_tlsext_host_name(HOST.encode())
    wire.set_connect_state()
    wire.do_handshake()
    return wire


def status(wire: SSL.Connection) -> int:
    wire.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return int(wire.recv(65536).split(b" ")[1])


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_a_session_is_not_resumed_with_the_certificate_of_another(house: House, version: int) -> None:
    alice, carol = client(house.root), client(authority("Middle", by=house.root), "carol")
    first = handshake(house, alice, version)
    assert status(first) == 200
    session = first.get_session()
    assert status(handshake(house, None, version, session)) == 401
    assert status(handshake(house, carol, version, session)) == 200
    anonymous = handshake(house, None, version)
    assert status(anonymous) == 401
    assert status(handshake(house, carol, version, anonymous.get_session())) == 200
    users = [line.get("user") for line in house.gateway.lines() if line.get("user") in ("alice", "carol")]
    assert users[-1] == "carol"


@pytest.mark.parametrize("version", VERSIONS)
def test_clients_that_resume_by_themselves_get_through(house: House, version: ssl.TLSVersion) -> None:
    """OpenSSL fails a resumption where a certificate is asked for and the server set no session id context."""
    context = showing(house.ca_file, house.file(client(house.root)), version=version)
    session = None
    for _ in range(3):
        plain = socket.create_connection(("127.0.0.1", house.port), 10)
        with context.wrap_socket(plain, server_hostname=HOST, session=session) as wire:
            wire.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert wire.recv(65536).startswith(b"HTTP/1.1 200")
            assert not wire.session_reused
            session = wire.session


def test_the_handshake_names_the_authorities(house: House) -> None:
    wire = handshake(house, None, SSL.TLS1_2_VERSION)
    assert [name.CN for name in wire.get_client_ca_list()] == ["Corp clients"]


# ---- real clients and changing files -------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
@pytest.mark.parametrize("http", ["--http1.1", "--http2"])
def test_curl(house: House, http: str) -> None:
    made = house.file(client(house.root))
    words = ["curl", "-sS", http, "--cacert", str(house.ca_file), "--resolve", f"{HOST}:{house.port}:127.0.0.1"]
    url = f"https://{HOST}:{house.port}{PATH}"
    shown = subprocess.run(
        [*words, "--cert", str(made), "-w", "%{http_code}", url], capture_output=True, text=True, timeout=20
    )
    assert shown.stdout.endswith("200"), shown.stderr
    hidden = subprocess.run([*words, "-w", "%{http_code}", url], capture_output=True, text=True, timeout=20)
    assert hidden.stdout.endswith("401"), hidden.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_curl_by_a_proxy_over_tls(house: House, emulators: Emulators) -> None:
    made = house.file(client(house.root))
    words = ["curl", "-sS", "--proxy", f"https://{HOST}:{house.port}", "--cacert", str(house.gateway.ca_file)]
    words += ["--resolve", f"{HOST}:{house.port}:127.0.0.1", "--proxy-cacert", str(house.ca_file)]
    url = f"https://{OPENAI}{NATIVE}"
    shown = subprocess.run(
        [*words, "--proxy-cert", str(made), "-H", "Authorization: Bearer sk-placeholder", url],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert "gpt-4o" in shown.stdout, shown.stderr
    hidden = subprocess.run([*words, "--cert", str(made), url], capture_output=True, text=True, timeout=20)
    assert "invalid_api_key" in hidden.stdout  # shown to the provider, for whom we stand there
    assert len(emulators.requests()) == 1


def test_a_revocation_reaches_open_connections(tmp_path: Path, shared_emulators: Emulators) -> None:
    server, ca_file = listener(tmp_path)
    root = authority()
    made, other = client(root), client(root, "bob")
    middle = authority("Middle", by=root)
    below = client(middle, "dora")
    (tmp_path / "ca.pem").write_bytes(root.pem)
    (tmp_path / "crl.pem").write_bytes(_pem(root) + _pem(middle))
    methods = [{"type": "mtls", "ca_file": "ca.pem", "crl_file": "crl.pem"}]
    gateway = start(tmp_path, shared_emulators, server=server, auth={"methods": methods})
    house = House(gateway, tmp_path, ca_file, root, server["tls_port"])
    try:
        path, (tunnel, _) = house.enter(made), connect(house, made)
        tunnel.secure(house.inner(), OPENAI)
        hanging = house.enter(below)
        assert call(path).status == call(hanging).status == 200
        assert call(tunnel, path=NATIVE, host=OPENAI).status == 200
        (tmp_path / "crl.pem").write_bytes(_pem(root, made, middle) + _pem(middle))
        revoked = time.monotonic()
        while (answered := call(path).status) == 200 and time.monotonic() < revoked + 3:
            time.sleep(0.05)
        assert answered == 401
        assert time.monotonic() - revoked < 1.0
        assert call(hanging).status == 401  # of an issuer that was revoked
        assert call(house.enter(below)).status == 401
        assert call(tunnel, path=NATIVE, host=OPENAI).status in (401, 407)
        with house.enter(made) as again, house.enter(other) as third:
            assert call(again).status == 401
            assert call(third).status == 200
    finally:
        house.leave()
        gateway.stop()


def test_without_a_tls_port_it_does_not_start(tmp_path: Path, shared_emulators: Emulators) -> None:
    (tmp_path / "ca.pem").write_bytes(authority().pem)
    gateway = start(tmp_path, shared_emulators, auth={"methods": [{"type": "mtls", "ca_file": "ca.pem"}]}, wait=False)
    assert gateway.process.wait(20) == 2
    assert "the method 'mtls' needs the TLS port; set server.tls_cert_file and server.tls_key_file" in gateway.log()


def _pem(root: Made, *revoked: Made) -> bytes:
    return revocations(root, *revoked).public_bytes(Encoding.PEM)
