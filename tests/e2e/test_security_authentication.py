"""A1 to A5 and A8: nobody without a good key gets further than health and readiness, whatever else they send."""

from __future__ import annotations

import base64
import hashlib
import itertools
import ssl
import time
from collections.abc import Iterator

import pytest

from llmauth.demo.emulators import Emulators
from llmauth.storage.key_text import _checksum, new_key
from llmauth.storage.keys import KeyStore
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import Serving, start

OURS = "llm.internal"
PATH = "/transparent/openai/v1/models"
TUNNEL = "api.openai.com"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, shared_emulators: Emulators) -> Iterator[Serving]:
    """A gateway with a name of its own."""
    serving = start(tmp_path_factory.mktemp("door"), shared_emulators, server={"gateway_hosts": [OURS]})
    serving.key()
    yield serving
    serving.stop()


@pytest.fixture
def keys(door: Serving) -> Iterator[KeyStore]:
    store = KeyStore(f"sqlite:///{door.home / 'keys.db'}")
    yield store
    store.close()


def head(method: str, target: str, *fields: str, host: str = "gateway") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode(
        "utf-8", "surrogateescape"
    )


def send(door: Serving, *pieces: bytes, timeout: float = 5.0) -> Answer | None:
    """The last answer on a connection of its own, None where it ended without one."""
    answer = None
    with Wire(door.port, timeout=timeout) as wire:
        for piece in pieces:
            answer = read(wire, piece)
    return answer


def read(wire: Wire, piece: bytes) -> Answer | None:
    try:
        return wire.send(piece).answer(head_only=piece.startswith(b"HEAD"))
    except (EOFError, ConnectionError, ssl.SSLError):
        return None


def refused(answer: Answer | None) -> bool:
    """A refusal by us, and nothing of our open endpoints in it."""
    return answer is None or (400 <= answer.status < 500 and b"healthy" not in answer.body)


# ---- no key at all -------------------------------------------------------------------------------------------------

TRICKS = (
    "",
    "User-Agent: kube-probe/1.31",
    "User-Agent: ELB-HealthChecker/2.0",
    "User-Agent: GoogleHC/1.0",
    "X-Forwarded-For: 127.0.0.1",
    "X-Real-IP: 127.0.0.1",
    "X-Client-IP: ::1",
    "True-Client-IP: 127.0.0.1",
    "Forwarded: for=127.0.0.1;by=127.0.0.1;host=localhost",
    "X-Forwarded-Host: localhost",
    "X-Forwarded-Proto: https",
    "X-Forwarded-User: admin",
    "X-Forwarded-Email: admin@corp",
    "X-Remote-User: admin",
    "Remote-User: admin",
    "X-Auth-Request-User: admin",
    "X-Authenticated-User: admin",
    "X-User: test",
    "X-Service-Account: system",
    "X-Namespace: kube-system",
    "X-Amzn-Oidc-Identity: admin",
    "X-Amzn-Oidc-Data: eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    "X-Forwarded-Client-Cert: By=spiffe://a;URI=spiffe://admin",
    "X-Client-Verified: SUCCESS",
    "X-Original-URL: /health",
    "X-Rewrite-URL: /health",
    "X-Original-URI: /health",
    "X-Forwarded-Uri: /health",
    "X-Forwarded-Prefix: /health",
    "X-HTTP-Method-Override: GET",
    "X-Method-Override: HEAD",
    "X-Custom-IP-Authorization: 127.0.0.1",
    "X-Health-Check: 1",
    "X-Internal: true",
    "X-Llmauth-User: test",
    "X-Llmauth-Internal: 1",
    "Connection: Authorization, X-API-Key",
    "Connection: keep-alive",
    "Cookie: session=admin; X-API-Key=admin",
    "Authorization:",
    "X-API-Key:",
    "Authorization: Bearer",
    "Authorization: Bearer null",
    "Authorization: Bearer undefined",
    "Authorization: None",
    "Authorization: Basic Og==",
    "Authorization: Basic !!!!",
    "Authorization: Negotiate YII=",
    "Authorization: Bearer sk-proj-a-providers-own-key",
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/bedrock/aws4_request, Signature=0",
    "X-API-Key: placeholder",
    "Proxy-Authorization: Bearer x",
    "X-Session-Token: x",
    "X-TOTP-Code: 000000",
)
PATHS = (PATH, "/transparent/anthropic/v1/messages", "/", "/metrics", "/v1/chat/completions", "/auth/login", "/nowhere")


@pytest.mark.parametrize("path", PATHS)
def test_no_header_stands_for_a_key(door: Serving, emulators: Emulators, path: str) -> None:
    wrong = []
    for trick, method in itertools.product(TRICKS, ("GET", "POST", "HEAD")):
        answer = send(door, head(method, path, *([trick] if trick else [])))
        if answer is None or answer.status != 401 or answer.header("connection") != "close":
            wrong.append((method, trick, answer))
    assert wrong == []
    assert emulators.connections == ()


LIKE_HEALTH = (
    "//health",
    "/health/",
    "/HEALTH",
    "/Health",
    "/health?",
    "/health?x",
    "/health#",
    "/health;",
    "/health;x",
    "/health.json",
    "/health%20",
    "/health%00",
    "/health%2f",
    "/%68ealth",
    "/health%0d%0a",
    "/./health",
    "/x/../health",
    "/transparent/../health",
    "/transparent/openai/../../health",
    "/transparent/%2e%2e/health",
    "/transparent/openai/..%2f..%2fhealth",
    "/health/../transparent/openai/v1/models",
    "/health/..%2ftransparent/openai/v1/models",
    "/health%2f..%2ftransparent/openai/v1/models",
    "/health/transparent/openai/v1/models",
    "/health\\..\\metrics",
    "/health;/../metrics",
    "/ready%2f",
    "/ready/",
    "/READY",
    "/ready?full=1",
    "/readyz",
    "/healthz",
    "/livez",
    "/ready/metrics",
    "/health/metrics",
    "/metrics/",
    "/metrics?",
    "/metrics;/health",
    "/metrics%2f..%2fhealth",
    "/%2fhealth",
    "/health\xa0",
    "*",
)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_nothing_but_the_exact_path_is_open(door: Serving, emulators: Emulators, method: str) -> None:
    answers = {path: send(door, head(method, path)) for path in LIKE_HEALTH}
    assert {path: answer for path, answer in answers.items() if not refused(answer)} == {}
    assert emulators.connections == ()


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_nothing_but_the_exact_method_is_open(door: Serving, emulators: Emulators, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "Get", "HEAD2", "GETT", "CONNECT"):
        assert refused(send(door, head(method, path))), method
    assert send(door, head("GET", path)).status == 200
    assert send(door, head("HEAD", path)).status == 200


def test_health_is_open_at_the_gateways_door_alone(door: Serving, emulators: Emulators) -> None:
    assert send(door, head("GET", f"http://{OURS}/health", host=OURS)).status == 407
    with Wire(door.port) as wire:
        assert wire.connect(f"{OURS}:443").status == 200
        wire.start_tls(OURS, door.ca_file)
        assert read(wire, head("GET", "/health", host=OURS)).status == 401


@pytest.mark.parametrize(
    "framing",
    [
        "Transfer-Encoding: gzip, chunked",
        "Transfer_Encoding: chunked",
        "Content_Length: 4",
        "X: a\r\n b",
        "X: a\0b",
        "X: a\rb",
    ],
)
def test_an_open_path_is_no_way_round_the_screening_of_frames(
    door: Serving, emulators: Emulators, framing: str
) -> None:
    answer = send(door, head("GET", "/health", framing))
    assert answer.status == 400
    assert answer.header("connection") == "close"


# ---- wrong keys ----------------------------------------------------------------------------------------------------


def wrong_keys(key: str, other: str) -> dict[str, str]:
    prefix, public, secret = key.split("_")
    unproved = f"{prefix}_{public}_{new_key()[1].reveal().split('_')[2][:-6]}"
    flipped = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    return {
        "the prefix alone": "llmauth_",
        "the public id alone": f"{prefix}_{public}",
        "the public id and nothing": f"{prefix}_{public}_",
        "the first half": key[: len(key) // 2],
        "one character short": key[:-1],
        "one character more": f"{key}x",
        "many characters more": key + "x" * 80,
        "much more": key + "x" * 8000,
        "one character wrong": f"{prefix}_{public}_{flipped}",
        "another key's secret": f"{prefix}_{public}_{other.split('_')[2]}",
        "another key's id": f"{prefix}_{other.split('_')[1]}_{secret}",
        "an unknown id": f"{prefix}_{'0' * len(public)}_{secret}",
        "an unknown id, and no typing error": new_key()[1].reveal(),
        "another secret, and no typing error": f"{unproved}{_checksum(unproved)}",
        "all capitals": key.upper(),
        "all small": key.lower() if key.lower() != key else key.swapcase(),
        "twice": key + key,
        "quoted": f'"{key}"',
        "in brackets": f"<{key}>",
        "percent-encoded": "".join(f"%{ord(c):02x}" for c in key),
        "with a blank": f"{prefix}_{public}_ {secret}",
        "with a comma": f"{key},{key}",
        "in base64": base64.b64encode(key.encode()).decode(),
        "its SHA-256": hashlib.sha256(key.encode()).hexdigest(),
        "its SHA-256 as secret": f"{prefix}_{public}_{hashlib.sha256(key.encode()).hexdigest()}",
        "SQL": f"llmauth_' OR '1'='1_{secret}",
        "SQL in the id": f"llmauth_{public}' --_{secret}",
        "wildcards": "llmauth_%_%",
        "wide letters": key.replace("llmauth", "ｌｌｍａｕｔｈ"),
        "no ASCII": f"{prefix}_{public}_é{secret[1:]}",
        "no UTF-8": f"{prefix}_{public}_\udcff{secret[1:]}",
    }


def slots(value: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Path and headers with a value in each place where a credential may stand."""
    quoted = value.replace(" ", "%20")
    return {
        "X-API-Key": (PATH, (f"X-API-Key: {value}",)),
        "x-api-key": (PATH, (f"x-api-key: {value}",)),
        "api-key": (PATH, (f"api-key: {value}",)),
        "x-goog-api-key": (PATH, (f"x-goog-api-key: {value}",)),
        "Bearer": (PATH, (f"Authorization: Bearer {value}",)),
        "bearer": (PATH, (f"authorization: bearer {value}",)),
        "no scheme": (PATH, (f"Authorization: {value}",)),
        "Basic": (PATH, (f"Authorization: {_basic(value)}",)),
        "Proxy-Authorization": (PATH, (f"Proxy-Authorization: {_basic(value)}",)),
        "?key=": (f"{PATH}?key={quoted}", ()),
        "?x=1&key=": (f"{PATH}?x=1&key={quoted}", ()),
    }


def _basic(value: str) -> str:
    return "Basic " + base64.b64encode(f"test:{value}".encode("utf-8", "surrogateescape")).decode()


def test_a_good_key_is_good_in_every_slot(door: Serving, emulators: Emulators) -> None:
    """Otherwise the next test would prove nothing."""
    for slot, (path, fields) in slots(door.key()).items():
        assert send(door, head("GET", path, *fields)).status == 200, slot


def test_a_key_that_is_nearly_right_is_wrong_in_every_slot(door: Serving, emulators: Emulators) -> None:
    emulators.clear()
    wrong = []
    for name, value in wrong_keys(door.key(), door.key("other")).items():
        for slot, (path, fields) in slots(value).items():
            if name == "percent-encoded" and "?" in slot:
                continue  # that is how a query is written
            answer = send(door, head("GET", path, *fields))
            if answer is None or answer.status not in (400, 401):
                wrong.append((name, slot, answer))
    assert wrong == []
    assert emulators.connections == ()


def test_a_proxy_password_that_is_nearly_right_is_wrong(door: Serving, emulators: Emulators) -> None:
    wrong = []
    for name, value in wrong_keys(door.key(), door.key("other")).items():
        for target in (f"{TUNNEL}:443", "elsewhere.example:443", f"{OURS}:443"):
            answer = send(door, head("CONNECT", target, f"Proxy-Authorization: {_basic(value)}", host=target))
            if answer is None or answer.status != 407:
                wrong.append((name, target, answer))
    assert wrong == []
    assert emulators.connections == ()


def test_a_good_key_in_a_place_that_is_no_slot_proves_nothing(door: Serving, emulators: Emulators) -> None:
    key = door.key()
    user = base64.b64encode(f"{key}:".encode()).decode()
    elsewhere = (
        *(
            f"{name}: {key}"
            for name in ("X_API_Key", "x_api-key", "API_KEY", "X-Auth-Token", "X-Token", "Token", "Key")
        ),
        *(f"{name}: {key}" for name in ("User-Agent", "From", "Referer", "X-Request-Id", "X-Llmauth-Key", "X-Key")),
        *(f"{name}: {key}" for name in ("X-Original-Authorization", "X-Forwarded-Authorization", "X-Access-Token")),
        f"X-Session-Token: {key}",
        f"Cookie: X-API-Key={key}; key={key}; session={key}",
        f"Authorization: Digest {key}",
        f"Authorization: Token {key}",
        f"Authorization: Bearer,{key}",
        f"Authorization: Bearer\t{key}",
        f"Authorization: Bearer Bearer {key}",
        f"Authorization: Basic {user}",
        f"Authorization: Basic {base64.b64encode(key.encode()).decode()}",
        f"Authorization_: Bearer {key}",
        f"Sec-WebSocket-Protocol: openai-insecure-api-key.{key}",
        f"X-API-Key : {key}",
        f" X-API-Key: {key}",
        f"X-API-Key\t: {key}",
    )
    wrong = {field: send(door, head("GET", PATH, field)) for field in elsewhere}
    paths = (
        f"?api_key={key}",
        f"?KEY={key}",
        f"?apikey={key}",
        f"?token={key}",
        f"?a=1;key={key}",
        f"/{key}",
        f"?{key}",
    )
    wrong |= {path: send(door, head("GET", PATH + path)) for path in paths}
    wrong["a body"] = send(door, head("POST", PATH, f"Content-Length: {len(key)}") + key.encode())
    assert {place: answer for place, answer in wrong.items() if not refused(answer)} == {}
    assert emulators.connections == ()


# ---- several credentials (A8) --------------------------------------------------------------------------------------


def test_one_slot_holds_one_value(door: Serving, emulators: Emulators) -> None:
    key = door.key()
    for first, second in itertools.product((key, "x"), (key, "x")):
        for name, scheme in (
            ("X-API-Key", ""),
            ("Authorization", "Bearer "),
            ("api-key", ""),
            ("Proxy-Authorization", ""),
        ):
            fields = (f"{name}: {scheme}{first}", f"{name.lower()}: {scheme}{second}")
            assert send(door, head("GET", PATH, *fields)).status == 400, fields
    assert send(door, head("GET", f"{PATH}?key={key}&key={key}")).status == 400
    assert emulators.connections == ()


def test_two_credentials_of_ours_are_refused_and_a_placeholder_is_none(door: Serving, emulators: Emulators) -> None:
    mine, other = door.key(), door.key("other")
    statuses = {}
    for name, first, second in [
        ("the same twice", mine, mine),
        ("two different", mine, other),
        ("good and wrong", mine, other[:-1]),
        ("wrong and good", other[:-1], mine),
        ("good and a placeholder", mine, "sk-placeholder"),
        ("a placeholder and good", "sk-placeholder", mine),
        ("two placeholders", "sk-placeholder", "unused"),
    ]:
        fields = (f"Authorization: Bearer {first}", f"X-API-Key: {second}")
        statuses[name] = send(door, head("GET", PATH, *fields)).status
    assert statuses == {
        "the same twice": 200,
        "two different": 403,
        "good and wrong": 401,
        "wrong and good": 401,
        "good and a placeholder": 200,
        "a placeholder and good": 200,
        "two placeholders": 401,
    }
    assert all(seen.values("x-api-key") == [] for seen in emulators.requests())
    assert send(door, head("GET", PATH, f"X-API-Key: {mine}", "X-Session-Token: x")).status == 401


# ---- tunnels (A2) --------------------------------------------------------------------------------------------------


def test_in_a_tunnel_another_users_key_is_refused(door: Serving, emulators: Emulators) -> None:
    for inner, status in [(door.key("other"), 403), (door.key("other")[:-1], 401), ("sk-placeholder", 200)]:
        with tunnel(door.port, TUNNEL, door.key(), door.ca_file) as wire:
            answer = read(wire, head("GET", "/v1/models", f"Authorization: Bearer {inner}", host=TUNNEL))
        assert answer.status == status
    assert len(emulators.requests()) == 1


def test_a_tunnel_without_a_key_gives_no_identity(door: Serving, emulators: Emulators) -> None:
    for fields in ((), ("Authorization: Bearer sk-placeholder",), ("X-API-Key: unused",)):
        with tunnel(door.port, TUNNEL, None, door.ca_file) as wire:
            answer = read(wire, head("GET", "/v1/models", *fields, host=TUNNEL))
        assert answer.status == 401
    assert emulators.connections == ()
    with tunnel(door.port, TUNNEL, None, door.ca_file) as wire:
        good = head("GET", "/v1/models", f"Authorization: Bearer {door.key()}", host=TUNNEL)
        assert read(wire, good).status == 200
        # and what one request proved is not the next one's
        assert read(wire, head("GET", "/v1/models", host=TUNNEL)).status == 401
    assert len(emulators.requests()) == 1


def test_only_a_host_that_is_intercepted_is_opened_without_a_key(door: Serving, emulators: Emulators) -> None:
    for target in ("elsewhere.example:443", f"{TUNNEL}:80", "127.0.0.1:443", f"127.0.0.1:{door.port}", "[::1]:443"):
        for fields in ((), (f"X-API-Key: {door.key()}",), (f"Authorization: Bearer {door.key()}",)):
            answer = send(door, head("CONNECT", target, *fields, host=target))
            assert answer.status == 407, (target, fields)
            assert len(answer.values("proxy-authenticate")) == 2


def test_absolute_form_proves_itself_each_time(door: Serving, emulators: Emulators) -> None:
    proof = f"Proxy-Authorization: {basic(door.key())}"
    for target, host in [(f"http://{TUNNEL}/", TUNNEL), ("http://elsewhere.example/", "elsewhere.example")]:
        for fields in ((), (f"X-API-Key: {door.key()}",), ("Proxy-Authorization: Basic Og==",)):
            assert send(door, head("GET", target, *fields, host=host)).status == 407
        assert send(door, head("GET", target, proof, host=host)).status == 403
    assert send(door, head("GET", "https://elsewhere.example/", proof, host="elsewhere.example")).status == 400
    to_us = (f"http://{OURS}{PATH}", OURS)
    with Wire(door.port) as wire:
        assert read(wire, head("GET", to_us[0], proof, host=OURS)).status == 200
        assert read(wire, head("GET", to_us[0], host=OURS)).status == 407


@pytest.mark.parametrize("first", ["elsewhere.example:443", f"{TUNNEL}:80"])
def test_what_a_refused_connect_proved_is_nobody_elses(door: Serving, emulators: Emulators, first: str) -> None:
    """A proxy before us may put the requests of several clients on one connection."""
    key = door.key()
    with Wire(door.port) as wire:
        assert wire.connect(first, key).status == 403
        assert read(wire, head("GET", f"http://{OURS}{PATH}", host=OURS)).status == 407
    with Wire(door.port) as wire:
        assert wire.connect(first, key).status == 403
        assert wire.connect(f"{TUNNEL}:443").status == 200
        wire.start_tls(TUNNEL, door.ca_file)
        assert read(wire, head("GET", "/v1/models", host=TUNNEL)).status == 401
    with Wire(door.port) as wire:
        assert wire.connect(first, key).status == 403
        assert wire.connect(f"{TUNNEL}:443", key[:-1]).status == 407
        assert wire.connect(f"{TUNNEL}:443").status == 200
        wire.start_tls(TUNNEL, door.ca_file)
        assert read(wire, head("GET", "/v1/models", host=TUNNEL)).status == 401
    assert emulators.connections == ()


def test_what_one_gateway_request_proved_is_not_the_next_ones(door: Serving, emulators: Emulators) -> None:
    with Wire(door.port) as wire:
        assert read(wire, head("GET", PATH, f"X-API-Key: {door.key()}")).status == 200
        assert read(wire, head("GET", PATH)).status == 401
        assert wire.ended()
    assert len(emulators.requests()) == 1


def test_origin_form_on_a_proxy_connection_is_refused(door: Serving, emulators: Emulators) -> None:
    proof = f"Proxy-Authorization: {basic(door.key())}"
    for host in (TUNNEL, "elsewhere.example", OURS, "127.0.0.1"):
        with Wire(door.port) as wire:
            read(wire, head("GET", "http://elsewhere.example/", proof, host="elsewhere.example"))
            assert read(wire, head("GET", PATH, f"X-API-Key: {door.key()}", host=host)).status == 400
    assert emulators.connections == ()


# ---- keys that end (A5) --------------------------------------------------------------------------------------------


def test_a_revoked_key_stops_within_a_second_also_in_an_open_tunnel(
    door: Serving, emulators: Emulators, keys: KeyStore
) -> None:
    key = keys.create("leaver")[1].reveal()
    inner = head("GET", "/v1/models", host=TUNNEL)
    path = head("GET", PATH, f"X-API-Key: {key}")
    with tunnel(door.port, TUNNEL, key, door.ca_file) as wire, Wire(door.port) as plain:
        assert read(wire, inner).status == 200
        assert read(plain, path).status == 200
        keys.revoke("leaver")
        revoked = time.monotonic()
        ended = {_until_refused(wire, inner), _until_refused(plain, path)}
    assert ended == {401}
    assert time.monotonic() - revoked < 1.0
    assert send(door, head("CONNECT", f"{TUNNEL}:443", f"Proxy-Authorization: {basic(key)}", host=TUNNEL)).status == 407


def _until_refused(wire: Wire, request: bytes) -> int:
    ends = time.monotonic() + 2
    status = 200
    while status == 200 and time.monotonic() < ends:
        status = read(wire, request).status
        time.sleep(0.01)
    return status


def test_a_key_that_expires_stops_also_in_an_open_tunnel(door: Serving, emulators: Emulators, keys: KeyStore) -> None:
    expires = time.time() + 1.5
    key = keys.create("guest", expires_at=expires)[1].reveal()
    with tunnel(door.port, TUNNEL, key, door.ca_file) as wire:
        assert read(wire, head("GET", "/v1/models", host=TUNNEL)).status == 200
        assert _until_refused(wire, head("GET", "/v1/models", host=TUNNEL)) == 401
    assert expires <= time.time() < expires + 1.0
    assert send(door, head("GET", PATH, f"X-API-Key: {key}")).status == 401


def test_a_key_that_has_expired_never_works(door: Serving, emulators: Emulators, keys: KeyStore) -> None:
    key = keys.create("late", expires_at=time.time() - 1)[1].reveal()
    for path, fields in slots(key).values():
        assert send(door, head("GET", path, *fields)).status == 401
    assert emulators.connections == ()


def test_a_rotated_key_is_replaced(door: Serving, emulators: Emulators, keys: KeyStore) -> None:
    old = keys.create("turner")[1].reveal()
    assert send(door, head("GET", PATH, f"X-API-Key: {old}")).status == 200
    new = keys.rotate("turner")[1].reveal()
    with Wire(door.port) as wire:
        assert _until_refused(wire, head("GET", PATH, f"X-API-Key: {old}")) == 401
    assert send(door, head("GET", PATH, f"X-API-Key: {new}")).status == 200


# ---- methods (S10 in part) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["TRACE", "TRACK", "DEBUG", "PROPFIND", "MOVE", "PURGE", "trace", "Get", "G-ET", "post", "CONNECT "]
)
def test_an_odd_method_is_refused_with_a_key_too(door: Serving, emulators: Emulators, method: str) -> None:
    key = door.key()
    assert send(door, head(method, PATH, f"X-API-Key: {key}")).status in (400, 405)
    with tunnel(door.port, TUNNEL, key, door.ca_file) as wire:
        assert read(wire, head(method, "/v1/models", host=TUNNEL)).status in (400, 405)
    assert emulators.connections == ()


def test_a_method_is_never_overridden_by_a_header(door: Serving, emulators: Emulators) -> None:
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        send(door, head("GET", PATH, f"X-API-Key: {door.key()}", f"{name}: TRACE"))
    assert [seen.method for seen in emulators.requests()] == [b"GET"] * 3
