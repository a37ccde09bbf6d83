"""S1 to S4, S7, S8: whatever a caller with a good key names, no credential goes anywhere but to its own provider."""

from __future__ import annotations

import contextlib
import itertools
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest

from llmauth.demo.certificates import Authority
from llmauth.demo.emulators import Emulators
from tests.fixtures.hello import start_tls_as
from tests.fixtures.raw import Answer, Wire, basic
from tests.fixtures.serving import Serving, free_port, start

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
OURS = "llm.internal"
# Each of them would be dialled if it were named: they are in `upstream.resolve`, and belong to no instance.
OTHERS = ("evil.example", "api.openai.com.evil.example", "xapi.openai.com", "openai.com")
ATTEMPTS = 1000


@dataclass
class Range:
    """A gateway, emulated providers and strangers, and a count of what was tried."""

    gateway: Serving
    emulators: Emulators
    tried: int = 0

    @property
    def key(self) -> str:
        return self.gateway.key()


@pytest.fixture(scope="module")
def range_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    with Emulators(pace=0.002, tokens=4, echo_hosts=OTHERS) as emulators:
        folder = tmp_path_factory.mktemp("range")
        (folder / "listener.pem").write_bytes(Authority.create().issue(["proxy.example"]))
        files = {f"tls_{part}_file": str(folder / "listener.pem") for part in ("cert", "key")}
        server = {"gateway_hosts": [OURS], "tls_port": free_port(), **files}
        gateway = start(folder, emulators, server=server)
        gateway.key()
        yield Range(gateway, emulators)
        gateway.stop()


@dataclass(frozen=True)
class Outcome:
    """What a client saw (None where the connection ended without an answer) and where its request arrived."""

    status: int | None
    closing: bool
    arrived: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return self.arrived == () and (self.status is None or 400 <= self.status < 500)


def get(target: str, host: str | None, *fields: str) -> bytes:
    """A GET, byte by byte."""
    lines = [f"GET {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *fields, "", ""]
    return "\r\n".join(lines).encode("utf-8")


def attempt(range_: Range, wire: Wire, *requests: bytes) -> Outcome:
    """Send these on a connection, one after the other, and look at the last answer and at the record."""
    range_.tried += 1
    range_.emulators.clear()
    status, closing = None, True
    for request in requests:
        answer = _read(wire, request)
        status, closing = (answer.status, answer.header("connection") == "close") if answer else (None, True)
        if answer is None:
            break
    return Outcome(status, closing, tuple(_arrived(range_)))


def _read(wire: Wire, request: bytes) -> Answer | None:
    try:
        return wire.send(request).answer()
    except TimeoutError:
        raise AssertionError(f"no answer and no end to {request!r}") from None
    except (EOFError, ConnectionError, ssl.SSLError):
        return None


def _arrived(range_: Range) -> Iterator[str]:
    """Where requests arrived; each must be whole: one host in TLS name and Host, with that host's credential alone."""
    credentials = range_.emulators.credentials
    right = {OPENAI: credentials.openai_key, ANTHROPIC: credentials.anthropic_key}
    for seen in range_.emulators.requests():
        assert range_.key.encode() not in seen.head + seen.body
        assert seen.sni == seen.host
        assert seen.values("host") == [seen.host.encode()]
        for host, secret in right.items():
            assert (secret.encode() in seen.head) == (host == seen.host)
        yield seen.host
    for connected in range_.emulators.connections:
        assert connected.sni in (OPENAI, ANTHROPIC, BEDROCK), f"{connected.sni} was dialled"


def inside(range_: Range, connect: str, sni: str | bytes | None, *requests: bytes) -> Outcome:
    """A tunnel, TLS with that name in it, and these requests inside. Without TLS where `sni` is the word plain."""
    with Wire(range_.gateway.port) as wire:
        proof = f"Proxy-Authorization: {basic(range_.key)}"
        asked = attempt(range_, wire, f"CONNECT {connect} HTTP/1.1\r\nHost: {connect}\r\n{proof}\r\n\r\n".encode())
        if asked.status != 200:
            return asked
        if sni != "plain":
            try:
                start_tls_as(wire, sni.encode() if isinstance(sni, str) else sni)
            except ConnectionError:
                return attempt(range_, wire)
        return attempt(range_, wire, *requests)


# ---- every combination of the four names ---------------------------------------------------------------------------

PLACES = (OPENAI, ANTHROPIC, OURS, OTHERS[0])


@pytest.mark.parametrize("connect", [OPENAI, ANTHROPIC, BEDROCK, OURS])
def test_names_that_disagree_are_refused_in_every_combination(range_: Range, connect: str) -> None:
    places = PLACES if connect in PLACES else (*PLACES, connect)
    wrong = []
    for sni, host, authority in itertools.product((None, *places), places, (None, *places)):
        target = "/v1/models" if authority is None else f"https://{authority}/v1/models"
        outcome = inside(range_, f"{connect}:443", sni, get(target, host))
        agreed = {sni, host, authority} <= {None, connect}
        right = (
            _goes_home(outcome, connect) if agreed else outcome.status == 421 and outcome.closing and outcome.refused
        )
        if not right:
            wrong.append((sni, host, authority, outcome))
    assert wrong == []


def _goes_home(outcome: Outcome, connect: str) -> bool:
    """A name of our own answers for itself, and asks nobody."""
    return (outcome.status, outcome.arrived) == (200, ()) if connect == OURS else outcome.arrived == (connect,)


def test_a_tunnel_to_a_host_that_is_nobodys_is_not_opened(range_: Range) -> None:
    for other, port in itertools.product(OTHERS, (443, 80, 8443)):
        outcome = inside(range_, f"{other}:{port}", other, get("/", other))
        assert outcome.refused, (other, port, outcome)
        assert outcome.status == 403


@pytest.mark.parametrize("port", [80, 1, 8080, 8443, 444, 65535])
def test_a_providers_host_on_another_port_is_nobodys(range_: Range, port: int) -> None:
    outcome = inside(range_, f"{OPENAI}:{port}", OPENAI, get("/v1/models", f"{OPENAI}:{port}"))
    assert outcome.status == 403
    assert outcome.refused


@pytest.mark.parametrize("port", ["80", "8443", "0", "65536", "443x", "+443", "-1", "4 43", "٤٤٣", "443,443", ""])
def test_a_port_in_host_or_authority_that_is_not_the_tunnels_is_refused(range_: Range, port: str) -> None:
    for target, host in [("/v1/models", f"{OPENAI}:{port}"), (f"https://{OPENAI}:{port}/v1/models", OPENAI)]:
        outcome = inside(range_, f"{OPENAI}:443", OPENAI, get(target, host))
        # An empty port is the default one (RFC 3986, 3.2.3), and may be taken for it.
        assert outcome.refused or (port == "" and outcome.arrived == (OPENAI,)), (target, host, outcome)


# ---- odd spellings -------------------------------------------------------------------------------------------------

# They normalise to the provider's own name, or are refused; they never lead elsewhere.
EQUAL = (
    "API.OPENAI.COM",
    "Api.OpenAI.com",
    "api.openai.com.",
    "api.openai.com:443",
    "API.openai.COM.:443",
    "ａｐｉ.openai.com",
    "api。openai。com",
    "api.openai.com:0443",
    "api.openai.com:",
    "api.openai.com\x0b",
    "api.openai.com\u200b",
)
# They never lead anywhere.
WRONG = (
    *OTHERS,
    "api.openai.com..",
    ".api.openai.com",
    "api..openai.com",
    "api.openai.com.:443.",
    "api.openai.com:443:443",
    "user@api.openai.com",
    "user:pw@api.openai.com",
    "api.openai.com@evil.example",
    "api.openai.com:443@evil.example:443",
    "evil.example#api.openai.com",
    "evil.example#@api.openai.com",
    "evil.example?@api.openai.com",
    "evil.example\\@api.openai.com",
    "evil.example\\.api.openai.com",
    "api.openai.com%00.evil.example",
    "api.openai.com%2eevil.example",
    "api%2eopenai%2ecom",
    "%61pi.openai.com",
    "api.openai.com%20",
    "api.openai.com\tevil.example",
    "api.openai.com evil.example",
    "api.openai.com,evil.example",
    "api.openai.com;evil.example",
    "api.openai.com/evil.example",
    "api.openai.com\x7f",
    "https://api.openai.com",
    "аpi.openai.com",
    "api.openaı.com",
    "xn--pi-7lc.openai.com",
    "*",
    "*.openai.com",
    "api.openai.com*",
    "",
    ".",
    "-",
    "127.0.0.1",
    "127.0.0.1:443",
    "127.1",
    "127.0.1",
    "0127.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::1]:443",
    "::1",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[api.openai.com]",
    "localhost",
    "localhost:443",
    "localhost.localdomain",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "168.63.129.16",
    "kubernetes.default.svc",
    "10.0.0.1",
    "192.168.0.1",
    "gateway.invalid",
    "gateway.invalid:1",
    "origin-form.invalid",
)


def _asked(range_: Range, name: str, place: str) -> Outcome:
    match place:
        case "connect":
            return inside(
                range_, name if ":" in name.rpartition("]")[2] else f"{name}:443", OPENAI, get("/v1/models", OPENAI)
            )
        case "sni":
            return inside(range_, f"{OPENAI}:443", name.encode(), get("/v1/models", OPENAI))
        case "host":
            return inside(range_, f"{OPENAI}:443", OPENAI, get("/v1/models", name))
        case "authority":
            return inside(range_, f"{OPENAI}:443", OPENAI, get(f"https://{name}/v1/models", OPENAI))
        case _:  # plain http:// through the proxy
            with Wire(range_.gateway.port) as wire:
                proof = f"Proxy-Authorization: {basic(range_.key)}"
                return attempt(range_, wire, get(f"{place}://{name}/v1/models", name, proof))


@pytest.mark.parametrize("place", ["connect", "sni", "host", "authority"])
def test_a_spelling_of_a_name_leads_there_or_nowhere(range_: Range, place: str) -> None:
    for name in EQUAL:
        outcome = _asked(range_, name, place)
        assert outcome.refused or outcome.arrived == (OPENAI,), (name, outcome)


@pytest.mark.parametrize("place", ["connect", "sni", "host", "authority", "http", "https", "HTTP", "ftp", "ws"])
def test_what_is_not_the_name_leads_nowhere(range_: Range, place: str) -> None:
    wrong = []
    for name in WRONG:
        if (place, name) in (("sni", ""), ("authority", "api.openai.com/evil.example")):
            continue  # an empty server name cannot be sent, and after a slash there is a path
        outcome = _asked(range_, name, place)
        if not outcome.refused:
            wrong.append((name, outcome))
    assert wrong == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", [OPENAI, ANTHROPIC, BEDROCK])
@pytest.mark.parametrize("port", ["", ":80", ":443", ":8080"])
def test_a_provider_is_not_reached_in_absolute_form(range_: Range, scheme: str, host: str, port: str) -> None:
    """S4: no credential over clear text, and no TLS that the client did not ask for."""
    for fields in [("Proxy-Authorization: " + basic(range_.key),), ("X-API-Key: " + range_.key,)]:
        with Wire(range_.gateway.port) as wire:
            outcome = attempt(range_, wire, get(f"{scheme}://{host}{port}/v1/models", f"{host}{port}", *fields))
        assert outcome.refused, (fields, outcome)
        known = "Proxy" in fields[0]
        assert outcome.status == (407 if not known else 400 if scheme == "https" else 403), (fields, outcome)


# ---- one connection, several requests ------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [ANTHROPIC, BEDROCK, OURS, *OTHERS, "127.0.0.1"])
def test_a_tunnel_is_judged_at_every_request(range_: Range, elsewhere: str) -> None:
    first = get("/v1/models", OPENAI)
    for second in (
        get("/v1/models", elsewhere),
        get(f"https://{elsewhere}/v1/models", OPENAI),
        get(f"https://{elsewhere}/v1/models", elsewhere),
        get(f"http://{elsewhere}/v1/models", elsewhere),
        get("/v1/models", OPENAI, f"Host: {elsewhere}"),
        get("/v1/models", elsewhere, f"Host: {OPENAI}"),
        get(f"https://{OPENAI}/v1/models", elsewhere),
    ):
        outcome = inside(range_, f"{OPENAI}:443", OPENAI, first, second)
        assert outcome.arrived == (OPENAI,), (second, outcome)
        assert outcome.status in (400, 421), (second, outcome)
        pipelined = inside(range_, f"{OPENAI}:443", OPENAI, first + second)
        assert set(pipelined.arrived) <= {OPENAI}, second
        assert len(pipelined.arrived) <= 1, second


def test_a_tunnel_opens_no_other_tunnel(range_: Range) -> None:
    for target in (f"{ANTHROPIC}:443", f"{OTHERS[0]}:443", f"{OPENAI}:443"):
        connect = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
        for sni in (OPENAI, "plain"):
            outcome = inside(range_, f"{OPENAI}:443", sni, connect)
            assert outcome.refused, (target, sni, outcome)


def test_clear_text_in_a_tunnel_is_refused(range_: Range) -> None:
    for target, host in itertools.product(
        ("/v1/models", f"http://{OPENAI}/v1/models", f"https://{OPENAI}/v1/models"), (OPENAI, OTHERS[0])
    ):
        outcome = inside(range_, f"{OPENAI}:443", "plain", get(target, host))
        assert outcome.refused, (target, host, outcome)
        assert outcome.closing


def test_bytes_right_behind_a_connect_are_judged_as_what_is_inside(range_: Range) -> None:
    connect = f"CONNECT {OPENAI}:443 HTTP/1.1\r\nHost: {OPENAI}:443\r\nProxy-Authorization: {basic(range_.key)}\r\n\r\n"
    for behind in (get("/v1/models", OPENAI), get(f"http://{OPENAI}/", OPENAI), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with Wire(range_.gateway.port) as wire:
            outcome = attempt(range_, wire, connect.encode() + behind, b"")
        assert outcome.refused, (behind, outcome)


def _doors(key: str) -> dict[str, bytes]:
    proof = f"Proxy-Authorization: {basic(key)}"
    return {
        "gateway": get("/transparent/openai/v1/models", "gateway", f"X-API-Key: {key}"),
        "gateway, named like a provider": get("/v1/models", ANTHROPIC, f"X-API-Key: {key}"),
        "gateway, named like a stranger": get("/v1/models", OTHERS[0], f"X-API-Key: {key}"),
        "native path": get("/v1/models", OPENAI, f"X-API-Key: {key}"),
        "absolute": get(f"http://{OTHERS[0]}/", OTHERS[0], proof),
        "absolute to a provider": get(f"http://{ANTHROPIC}/v1/models", ANTHROPIC, proof),
        "absolute and secure": get(f"https://{ANTHROPIC}/v1/models", ANTHROPIC, proof),
        "absolute to us": get(f"http://{OURS}/transparent/openai/v1/models", OURS, proof),
        "connect elsewhere": f"CONNECT {OTHERS[0]}:443 HTTP/1.1\r\nHost: {OTHERS[0]}:443\r\n{proof}\r\n\r\n".encode(),
        "star": b"OPTIONS * HTTP/1.1\r\nHost: " + ANTHROPIC.encode() + b"\r\n\r\n",
    }


def test_doors_mixed_on_one_connection_never_mix_destinations(range_: Range) -> None:
    doors = _doors(range_.key)
    for first, second, third in itertools.permutations(doors, 3):
        if first.startswith("star"):
            continue
        with Wire(range_.gateway.port) as wire:
            outcome = attempt(range_, wire, doors[first], doors[second], doors[third])
        assert set(outcome.arrived) <= {OPENAI}, (first, second, third, outcome)


@pytest.mark.parametrize("host", [OPENAI, ANTHROPIC, BEDROCK, *OTHERS, "127.0.0.1", "169.254.169.254", "localhost"])
def test_the_host_header_of_a_gateway_path_chooses_nothing(range_: Range, host: str) -> None:
    fields = (f"X-API-Key: {range_.key}",)
    with Wire(range_.gateway.port) as wire:
        outcome = attempt(range_, wire, get("/v1/files", host, *fields))
        assert outcome.refused, outcome
    with Wire(range_.gateway.port) as wire:  # a list that the gateway answers itself, whatever the host
        outcome = attempt(range_, wire, get("/v1/models", host, *fields))
        assert (outcome.status, outcome.arrived) == (200, ())
    with Wire(range_.gateway.port) as wire:
        outcome = attempt(range_, wire, get("/transparent/openai/v1/models", host, *fields))
        assert outcome.arrived == (OPENAI,)
    with Wire(range_.gateway.port) as wire:  # absolute form where the first request was a gateway path
        first = get("/transparent/openai/v1/models", "gateway", *fields)
        outcome = attempt(range_, wire, first, get(f"https://{host}/v1/files", host, *fields))
        assert outcome.arrived == (OPENAI,)
        assert outcome.status == 400


# Steering by header (S7): the request is served as if they were not there.
STEERING = (
    *(f"{name}: {value}" for name in ("X-Forwarded-Host", "X-Host", "X-HTTP-Host-Override") for value in OTHERS[:2]),
    "Forwarded: host=evil.example;proto=http",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Port: 80",
    "X-Original-URL: https://evil.example/",
    "X-Rewrite-URL: /transparent/anthropic/v1/models",
    "X-Original-Host: evil.example",
    "X-Real-Host: evil.example",
    "Connection: Host",
    "Connection: close, Host, X-Api-Key, Authorization, Content-Length",
    "Proxy-Connection: keep-alive",
    "Alt-Used: evil.example",
    "Origin: https://evil.example",
    "Referer: https://evil.example/",
    "X-Base-URL: https://evil.example",
    "api_base: https://evil.example",
    "Host_: evil.example",
    "X-Llmauth-Instance: anthropic",
    "x-llmauth-target: evil.example",
    ":authority: evil.example",
    "Host : evil.example",
    "hOST: evil.example",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    "Upgrade: TLS/1.0\r\nConnection: Upgrade",
)


@pytest.mark.parametrize("field", STEERING, ids=lambda field: field.partition("\r")[0])
def test_no_header_steers_a_request(range_: Range, field: str) -> None:
    with Wire(range_.gateway.port) as wire:
        path = get("/transparent/openai/v1/models", "gateway", f"X-API-Key: {range_.key}", field)
        outcome = attempt(range_, wire, path)
    native = inside(range_, f"{OPENAI}:443", OPENAI, get("/v1/models", OPENAI, field))
    for each in (outcome, native):
        assert each.refused or each.arrived == (OPENAI,), each


# ---- other protocols -----------------------------------------------------------------------------------------------

CLIENT_HELLO = (
    bytes.fromhex("16030100510100004d0303")
    + bytes(32)
    + bytes.fromhex("000002c02b0100002200000013001100000e")
    + b"api.openai.com"
)
STRANGE: dict[str, bytes] = {
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"),
    "TLS hello": CLIENT_HELLO,
    "SOCKS5": b"\x05\x01\x00",
    "SOCKS4": b"\x04\x01\x01\xbb\x7f\x00\x00\x01\x00",
    "PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "PROXY protocol 2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    "HTTP/0.9": b"GET /transparent/openai/v1/models\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "smtp": b"EHLO evil.example\r\n\r\n",
    "nothing but NUL": bytes(64) + b"\r\n\r\n",
    "RTSP": b"OPTIONS rtsp://evil.example/ RTSP/1.0\r\nHost: evil.example\r\n\r\n",
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("door", ["plain", "tunnel", "tunnel with TLS"])
def test_another_protocol_is_refused_or_waited_on(range_: Range, name: str, door: str) -> None:
    """Some look like the beginning of something longer: then nothing happens at all."""
    with Wire(range_.gateway.port, timeout=0.2) as wire:
        if door != "plain":
            assert wire.connect(f"{OPENAI}:443", range_.key).status == 200
        if door == "tunnel with TLS":
            start_tls_as(wire, OPENAI.encode())
        range_.tried += 1
        range_.emulators.clear()
        with contextlib.suppress(TimeoutError, EOFError, ConnectionError):
            assert 400 <= wire.send(STRANGE[name]).answer().status < 500
    assert list(_arrived(range_)) == []


def test_http2_that_was_not_agreed_on_inside_a_tunnel(range_: Range) -> None:
    with Wire(range_.gateway.port) as wire:
        assert wire.connect(f"{OPENAI}:443", range_.key).status == 200
        start_tls_as(wire, OPENAI.encode(), alpn=[b"http/1.1"])
        outcome = attempt(range_, wire, STRANGE["HTTP/2 preface"])
    assert outcome.refused


# ---- the TLS listener ----------------------------------------------------------------------------------------------


def behind_tls(
    range_: Range, outer: bytes | None, connect: str, inner: bytes | Literal["plain"] | None, *requests: bytes
) -> Outcome:
    """TLS to the proxy itself, in it a tunnel, and in that TLS again unless it is to be plain."""
    assert range_.gateway.tls_port is not None
    with Wire(range_.gateway.tls_port) as wire:
        start_tls_as(wire, outer)
        proof = f"Proxy-Authorization: {basic(range_.key)}"
        asked = attempt(range_, wire, f"CONNECT {connect} HTTP/1.1\r\nHost: {connect}\r\n{proof}\r\n\r\n".encode())
        if asked.status != 200:
            return asked
        if inner != "plain":
            try:
                start_tls_as(wire, inner)
            except ConnectionError:
                return attempt(range_, wire)
        return attempt(range_, wire, *requests)


def test_behind_tls_to_the_proxy_only_the_inner_name_counts(range_: Range) -> None:
    names = (None, b"proxy.example", b"evil.example", ANTHROPIC.encode(), OPENAI.encode())
    wrong = []
    for outer, inner, host in itertools.product(names, names, (OPENAI, ANTHROPIC, OTHERS[0])):
        outcome = behind_tls(range_, outer, f"{OPENAI}:443", inner, get("/v1/models", host))
        agreed = inner in (None, OPENAI.encode()) and host == OPENAI
        if not (outcome.arrived == (OPENAI,) if agreed else outcome.status == 421 and outcome.refused):
            wrong.append((outer, inner, host, outcome))
    assert wrong == []


def test_behind_tls_to_the_proxy_clear_text_in_a_tunnel_is_still_clear_text(range_: Range) -> None:
    for outer, target in itertools.product((None, OPENAI.encode()), ("/v1/models", f"https://{OPENAI}/v1/models")):
        outcome = behind_tls(range_, outer, f"{OPENAI}:443", "plain", get(target, OPENAI))
        assert outcome.status == 400, (outer, target, outcome)
        assert outcome.refused
        assert outcome.closing


def test_behind_tls_to_the_proxy_the_server_name_chooses_no_upstream(range_: Range) -> None:
    assert range_.gateway.tls_port is not None
    for sni, host in itertools.product((None, OPENAI, ANTHROPIC, OTHERS[0]), (OPENAI, ANTHROPIC, OTHERS[0])):
        for path, expected in (("/v1/models", ()), ("/transparent/openai/v1/models", (OPENAI,))):
            with Wire(range_.gateway.tls_port) as wire:
                start_tls_as(wire, sni.encode() if sni else None)
                outcome = attempt(range_, wire, get(path, host, f"X-API-Key: {range_.key}"))
            assert outcome.arrived == expected, (sni, host, path, outcome)


def test_the_tls_listener_takes_nothing_in_the_clear_and_no_tls_in_its_tls(range_: Range) -> None:
    assert range_.gateway.tls_port is not None
    with Wire(range_.gateway.tls_port) as wire:
        outcome = attempt(range_, wire, get("/transparent/openai/v1/models", "x", f"X-API-Key: {range_.key}"))
    assert outcome == Outcome(None, True, ())
    with Wire(range_.gateway.tls_port) as wire:
        start_tls_as(wire, None)
        with pytest.raises(ConnectionError):
            start_tls_as(wire, OPENAI.encode())
        assert attempt(range_, wire) == Outcome(None, True, ())


def test_enough_was_tried(range_: Range) -> None:
    """Last in this file: the figure to reach is 0 of at least 500."""
    assert range_.tried >= ATTEMPTS
