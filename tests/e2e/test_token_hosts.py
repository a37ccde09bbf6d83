"""What SDKs ask before they call their provider, over real sockets: answered by us, for known callers; not sent on."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from llmauth.addresses import HostPort
from llmauth.demo.emulators import Emulators
from llmauth.token_hosts import VENDORS
from tests.fixtures import h2raw
from tests.fixtures.master import Running, run
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import Serving

STS = "sts.us-east-1.amazonaws.com"
IBM, GOOGLE, ENTRA = "iam.cloud.ibm.com", "oauth2.googleapis.com", "login.microsoftonline.com"
API_KEY = "urn:ibm:params:oauth:grant-type:apikey"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROVIDER = "api.openai.com"

CALLS: dict[str, tuple[str, dict[str, str]]] = {
    STS: ("/", {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "WebIdentityToken": "theirs"}),
    IBM: ("/identity/token", {"grant_type": API_KEY, "apikey": "placeholder"}),
    GOOGLE: ("/token", {"grant_type": JWT_BEARER, "assertion": "theirs"}),
    ENTRA: ("/tenant/oauth2/v2.0/token", {"grant_type": "client_credentials", "client_secret": "placeholder"}),
}
INSTANCES = {
    "openai": {"type": "openai"},
    "bedrock": {"type": "bedrock", "region": "us-east-1"},
    "ibm": {"type": "ibm"},
    "vertex": {"type": "vertex", "region": "us-central1"},
    "azure": {"type": "azure", "base_url": "https://resource.openai.azure.com"},
}
KEY_FIELDS = {IBM: "apikey", GOOGLE: "client_secret", ENTRA: "client_secret"}
each_host = pytest.mark.parametrize("host", CALLS)
each_host_with_a_form = pytest.mark.parametrize("host", KEY_FIELDS)


@pytest.fixture(scope="module")
def providers() -> Iterator[Emulators]:
    with Emulators(pace=0.001, tokens=4) as providers:
        yield providers


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, providers: Emulators) -> Iterator[Running]:
    """One with an instance of every vendor. Were anything sent on to a token host, the emulators would see it."""
    here = dict.fromkeys(CALLS, providers.resolve[PROVIDER])
    upstream = {"ca_file": str(providers.ca_file), "resolve": {**providers.resolve, **here}}
    running = run(tmp_path_factory.mktemp("tokens"), providers, instances=INSTANCES, upstream=upstream)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def nothing_leaves(providers: Emulators) -> Iterator[None]:
    """Whatever is asked of a token host, no connection to anywhere is opened for it."""
    providers.clear()
    yield
    assert {one.sni for one in providers.connections} <= {PROVIDER}


def key_of(gateway: Running, name: str) -> str:
    """A new key, by the store of the running gateway."""
    key: str = gateway.call(lambda: gateway.master.gateway._keys.create(name)[1].reveal())
    return key


def inside(gateway: Running, host: str, key: str | None, *, sni: str | None = None) -> Wire:
    wire = Wire(gateway.port)
    answer = wire.connect(f"{host}:443", key)
    assert answer.status == 200, answer
    return wire.start_tls(sni or host, gateway.ca_file if sni is None else None)


def ask(gateway: Running, host: str, key: str | None = None, *headers: tuple[str, str], **more: str) -> Answer:
    """The exchange of this host, in a tunnel with this key, with these fields of the form besides."""
    path, form = CALLS[host]
    with inside(gateway, host, key) as wire:
        return post(wire, host, path, {**form, **more}, *headers)


def post(wire: Wire, host: str, path: str, form: dict[str, str], *headers: tuple[str, str]) -> Answer:
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return wire.request("POST", path, [("Host", host), kind, *headers], urlencode(form).encode())


def token(answer: Answer) -> str:
    assert answer.status == 200, answer
    found: str = json.loads(answer.body)["access_token"]
    return found


def call(gateway: Running, bearer: str, key: str | None = None, *more: tuple[str, str]) -> Answer:
    """A request to a provider with this token, in a tunnel with this key."""
    with inside(gateway, PROVIDER, key) as wire:
        return wire.request("GET", "/v1/models", [("Host", PROVIDER), ("Authorization", f"Bearer {bearer}"), *more])


def handed_out(answer: Answer) -> bool:
    return b"access_token" in answer.body or b"AccessKeyId" in answer.body


# ---- what it is for ------------------------------------------------------------------------------------------------


@each_host
def test_a_caller_of_the_tunnel_gets_a_placeholder(gateway: Running, host: str) -> None:
    answer = ask(gateway, host, gateway.key)
    assert answer.status == 200
    assert handed_out(answer)
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-request-id") is not None


@each_host_with_a_form
def test_a_key_in_the_vendors_own_slot_is_enough(gateway: Running, host: str) -> None:
    assert handed_out(ask(gateway, host, **{KEY_FIELDS[host]: gateway.key}))


def test_ibms_sdk_sends_a_header_of_no_meaning_beside_it(gateway: Running) -> None:
    assert handed_out(ask(gateway, IBM, None, ("Authorization", "Basic Yng6Yng="), apikey=gateway.key))


@each_host_with_a_form
def test_the_token_is_the_caller_where_no_tunnel_says_so(gateway: Running, providers: Emulators, host: str) -> None:
    bearer = token(ask(gateway, host, gateway.key))
    assert call(gateway, bearer).status == 200
    assert call(gateway, bearer, gateway.key).status == 200
    assert len(providers.requests()) == 2
    for sent in providers.requests():
        assert bearer.encode() not in sent.head
        assert gateway.key.encode() not in sent.head


def test_the_keys_of_sts_prove_nothing(gateway: Running) -> None:
    document = ElementTree.fromstring(ask(gateway, STS, gateway.key).body)
    space = {"s": "https://sts.amazonaws.com/doc/2011-06-15/"}
    session = document.findtext(".//s:SessionToken", namespaces=space)
    assert session
    assert call(gateway, session).status == 401


def test_a_connection_is_kept_from_one_exchange_to_the_next(gateway: Running) -> None:
    path, form = CALLS[IBM]
    with inside(gateway, IBM, gateway.key) as wire:
        first, second = (post(wire, IBM, path, form) for _ in range(2))
    assert token(first)
    assert token(second)


# ---- who gets nothing ----------------------------------------------------------------------------------------------


@each_host
def test_without_an_identity_nothing_is_handed_out(gateway: Running, host: str) -> None:
    """A1, A3."""
    for answer in (ask(gateway, host), ask(gateway, host, None, ("Authorization", "Basic Yng6Yng="))):
        assert answer.status == 401, answer
        assert answer.header("connection") == "close"
        assert not handed_out(answer)


def test_the_documents_that_msal_reads_are_not_open_either(gateway: Running) -> None:
    """A3: what is open is /health and /ready."""
    for path in ("/tenant/v2.0/.well-known/openid-configuration", "/common/discovery/instance?api-version=1.1"):
        with inside(gateway, ENTRA, None) as wire:
            assert wire.request("GET", path, [("Host", ENTRA)]).status == 401
        with inside(gateway, ENTRA, gateway.key) as wire:
            assert wire.request("GET", path, [("Host", ENTRA)]).status == 200


@each_host
def test_a_wrong_key_opens_no_tunnel(gateway: Running, host: str) -> None:
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{host}:443", gateway.key[:-1]).status == 407


@each_host_with_a_form
@pytest.mark.parametrize("inner", ["wrong", "of nobody's form"])
def test_a_wrong_key_in_the_form_is_401(gateway: Running, host: str, inner: str) -> None:
    field = {KEY_FIELDS[host]: gateway.key[:-1] + "!" if inner == "wrong" else "sk-placeholder"}
    answer = ask(gateway, host, None, **field)
    assert (answer.status, answer.header("connection")) == (401, "close")
    assert not handed_out(answer)


@each_host_with_a_form
def test_a_wrong_key_in_the_form_is_wrong_in_a_good_tunnel_too(gateway: Running, host: str) -> None:
    answer = ask(gateway, host, gateway.key, **{KEY_FIELDS[host]: gateway.key[:-1] + "!"})
    assert (answer.status, handed_out(answer)) == (401, False)


@each_host_with_a_form
def test_another_users_key_in_the_form_is_403(gateway: Running, host: str) -> None:
    """A8."""
    other = key_of(gateway, f"other-{host}")
    answer = ask(gateway, host, gateway.key, **{KEY_FIELDS[host]: other})
    assert (answer.status, handed_out(answer)) == (403, False)
    answer = ask(gateway, host, None, ("X-API-Key", gateway.key), **{KEY_FIELDS[host]: other})
    assert (answer.status, handed_out(answer)) == (403, False)


def test_two_keys_in_one_slot_of_the_form_are_refused(gateway: Running) -> None:
    """A8."""
    body = urlencode([("grant_type", API_KEY), ("apikey", gateway.key), ("apikey", gateway.key)]).encode()
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    with inside(gateway, IBM, None) as wire:
        answer = wire.request("POST", "/identity/token", [("Host", IBM), kind], body)
    assert (answer.status, answer.header("connection")) == (400, "close")
    with inside(gateway, IBM, None) as wire:
        query = urlencode({"apikey": gateway.key})
        answer = wire.request(
            "POST", f"/identity/token?{query}", [("Host", IBM), kind], body.partition(b"&apikey")[0] + b"&apikey=x"
        )
    assert (answer.status, handed_out(answer)) == (400, False)


@each_host_with_a_form
def test_a_stranger_is_not_read_beyond_a_short_form(gateway: Running, host: str) -> None:
    """B2: longer, or of no announced length, is refused at the head, before a byte of it came."""
    path, _ = CALLS[host]
    for framing in (("Content-Length", "4097"), ("Transfer-Encoding", "chunked")):
        with inside(gateway, host, None) as wire:
            kind = ("Content-Type", "application/x-www-form-urlencoded")
            answer = wire.request("POST", path, [("Host", host), kind, framing])
            assert (answer.status, answer.header("connection")) == (401, "close"), framing


@each_host
def test_a_known_caller_is_not_read_beyond_a_form(gateway: Running, host: str) -> None:
    path, _ = CALLS[host]
    for framing, status in ((("Content-Length", str(16 * 1024 + 1)), 413), (("Transfer-Encoding", "chunked"), 400)):
        with inside(gateway, host, gateway.key) as wire:
            answer = wire.request("POST", path, [("Host", host), framing])
            assert (answer.status, answer.header("connection")) == (status, "close")


def test_a_web_identity_of_some_size_is_read(gateway: Running) -> None:
    assert handed_out(ask(gateway, STS, gateway.key, WebIdentityToken="x" * 12_000))


# ---- what is not forwarded -----------------------------------------------------------------------------------------

ELSEWHERE = (
    "/",
    "/token2",
    "/identity/token/",
    "/v1/iam/apikeys",
    "/identity/keys",
    "/health",
    "/metrics",
    "/token/../x",
)


@each_host
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_everything_else_is_refused(gateway: Running, host: str, method: str) -> None:
    for path in ELSEWHERE:
        with inside(gateway, host, gateway.key) as wire:
            answer = wire.request(method, path, [("Host", host)])
        assert answer.status in (400, 404), (path, answer)
        assert not handed_out(answer)


@each_host
def test_a_refusal_has_the_vendors_shape(gateway: Running, host: str) -> None:
    with inside(gateway, host, gateway.key) as wire:
        answer = wire.request("GET", "/nowhere", [("Host", host)])
    assert answer.status == 404
    if host == STS:
        document = ElementTree.fromstring(answer.body)
        assert document.tag == "{https://sts.amazonaws.com/doc/2011-06-15/}ErrorResponse"
    else:
        assert {"errorCode", "error"} & json.loads(answer.body).keys()


@each_host
def test_the_gateways_door_has_no_such_paths(gateway: Running, host: str) -> None:
    """Whatever its Host says, a request in origin form is a gateway path."""
    path, form = CALLS[host]
    for name in (host, "gateway"):
        with Wire(gateway.port) as wire:
            answer = post(wire, name, path, form, ("X-API-Key", gateway.key))
            assert (answer.status, handed_out(answer)) == (404, False)


@each_host
def test_absolute_form_is_refused(gateway: Running, host: str) -> None:
    path, form = CALLS[host]
    for target, status in ((f"http://{host}{path}", 403), (f"https://{host}{path}", 400)):
        with Wire(gateway.port) as wire:
            answer = post(wire, host, target, form, ("Proxy-Authorization", basic(gateway.key)))
            assert (answer.status, handed_out(answer)) == (status, False), target


@each_host
def test_host_and_tls_name_must_be_the_tunnels(gateway: Running, host: str) -> None:
    """S2."""
    path, form = CALLS[host]
    for named in (PROVIDER, "x" + host, host + ":8443"):
        with inside(gateway, host, gateway.key) as wire:
            answer = post(wire, named, path, form)
            assert (answer.status, handed_out(answer)) == (421, False), named
    with inside(gateway, host, gateway.key, sni=PROVIDER) as wire:
        assert post(wire, host, path, form).status == 421
    with inside(gateway, PROVIDER, gateway.key) as wire:
        assert post(wire, host, path, form).status == 421


@each_host
def test_another_port_is_no_token_host(gateway: Running, host: str) -> None:
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{host}:8443", gateway.key).status == 403


def test_plain_http_in_the_tunnel_is_refused(gateway: Running) -> None:
    path, form = CALLS[IBM]
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{IBM}:443", gateway.key).status == 200
        answer = post(wire, IBM, path, form)
        assert (answer.status, handed_out(answer)) == (400, False)


def test_a_host_of_a_type_that_has_no_instance_is_not_served(serve: Callable[..., Serving]) -> None:
    other = serve(instances={"openai": {"type": "openai"}})
    for host in CALLS:
        with Wire(other.port) as wire:
            assert wire.connect(f"{host}:443", other.key()).status == 403, host


# ---- the token in wrong hands --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bearer(gateway: Running) -> str:
    return token(ask(gateway, IBM, gateway.key))


def test_a_forged_token_is_401(gateway: Running, bearer: str) -> None:
    header, claims, signature = bearer.split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=="))
    body["exp"] += 86_400
    longer = base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"llmauth-placeholder"}').decode().rstrip("=")
    other = base64.urlsafe_b64encode(hmac.digest(b"guess" * 8, f"{header}.{claims}".encode(), "sha256"))
    for forged in (
        f"{header}.{longer}.{signature}",
        f"{none}.{claims}.",
        f"{none}.{claims}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}.",
        bearer[:-1],
        bearer[: len(bearer) // 2],
        bearer + "A",
        f"{header}.{claims}.{other.decode().rstrip('=')}",
    ):
        assert call(gateway, forged).status == 401, forged
    for recognised in (f"{header}.{longer}.{signature}", bearer[:-1], f"{header}.{claims}."):
        assert call(gateway, recognised, gateway.key).status == 401, recognised


def test_one_signed_by_another_gateway_is_401(gateway: Running, serve: Callable[..., Serving]) -> None:
    other = serve(instances=INSTANCES)
    path, form = CALLS[IBM]
    with tunnel(other.port, IBM, None, other.ca_file) as wire:
        theirs = token(post(wire, IBM, path, {**form, "apikey": other.key()}))
    fields = [("Host", PROVIDER), ("Authorization", f"Bearer {theirs}")]
    with tunnel(other.port, PROVIDER, None, other.ca_file) as wire:
        assert wire.request("GET", "/v1/models", fields).status == 200
    assert call(gateway, theirs).status == 401
    assert theirs not in other.log()
    assert other.key() not in other.log()


def test_in_another_users_tunnel_it_is_403(gateway: Running, bearer: str) -> None:
    other = key_of(gateway, "another-tunnel")
    assert call(gateway, bearer, other).status == 403


def test_it_is_no_proxy_password_and_no_key(gateway: Running, bearer: str) -> None:
    for host in (PROVIDER, IBM, "elsewhere.example"):
        with Wire(gateway.port) as wire:
            assert wire.connect(f"{host}:443", bearer).status == 407
    for name in ("X-API-Key", "api-key", "x-goog-api-key", "X-Session-Token", "Proxy-Authorization"):
        with inside(gateway, PROVIDER, None) as wire:
            assert wire.request("GET", "/v1/models", [("Host", PROVIDER), (name, bearer)]).status == 401, name
    with inside(gateway, PROVIDER, gateway.key) as wire:
        assert wire.request("GET", f"/v1/models?key={bearer}", [("Host", PROVIDER)]).status == 401


def test_two_in_one_slot_are_refused(gateway: Running, bearer: str) -> None:
    assert call(gateway, bearer, None, ("Authorization", f"Bearer {bearer}")).status == 400


def test_it_and_a_key_are_two_credentials(gateway: Running, bearer: str) -> None:
    """A8: which of the two is meant would be a guess."""
    assert call(gateway, bearer, None, ("X-API-Key", gateway.key)).status == 403


def test_it_asks_for_another_that_ends_with_it(gateway: Running, bearer: str) -> None:
    answer = ask(gateway, IBM, None, ("Authorization", f"Bearer {bearer}"))
    ends: Callable[[str], Any] = lambda text: json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))["exp"]  # noqa: E731
    assert ends(token(answer)) <= ends(bearer)


def test_it_ends_with_its_key_in_an_open_tunnel(gateway: Running) -> None:
    """A5: within a second."""
    name = "to-be-revoked"
    key = key_of(gateway, name)
    mine = token(ask(gateway, IBM, key))
    fields = [("Host", PROVIDER), ("Authorization", f"Bearer {mine}")]
    with inside(gateway, PROVIDER, None) as wire:
        assert wire.request("GET", "/v1/models", fields).status == 200
        gateway.call(lambda: gateway.master.gateway._keys.revoke(name))
        ends = time.monotonic() + 1.0
        while (status := wire.request("GET", "/v1/models", fields).status) == 200 and time.monotonic() < ends:
            time.sleep(0.05)
    assert status == 401
    assert call(gateway, mine).status == 401
    assert ask(gateway, IBM, None, apikey=key).status == 401


def test_all_vendors_are_tried_here(gateway: Running) -> None:
    table = gateway.master.gateway.plan.token_hosts
    assert {table[HostPort(host, 443)] for host in CALLS} == set(VENDORS.values()) == set(table.values())


# ---- over HTTP/2, and from one start to the next -------------------------------------------------------------------


@each_host_with_a_form
def test_over_http2_a_stranger_is_not_read_either(gateway: Running, host: str) -> None:
    """B2: there a body needs neither a length nor a coding."""
    path, form = CALLS[host]
    kind = ("content-type", "application/x-www-form-urlencoded")
    body = urlencode({**form, KEY_FIELDS[host]: gateway.key}).encode()
    with h2raw.in_tunnel(gateway.port, host, None, gateway.ca_file) as client:
        stream = client.open(h2raw.head(path, host, kind, method="POST"), end=False)
        assert client.answer(stream).status == 401, "before a byte of its body"
    with h2raw.in_tunnel(gateway.port, host, None, gateway.ca_file) as client:
        answer = client.request(h2raw.head(path, host, kind, ("content-length", str(len(body))), method="POST"), body)
        assert (answer.status, b"access_token" in answer.body) == (200, True)


def test_a_token_outlives_a_restart_and_no_wide_key(serve: Callable[..., Serving]) -> None:
    """R4, F5."""
    running = serve(instances=INSTANCES)
    path, form = CALLS[IBM]
    with tunnel(running.port, IBM, running.key(), running.ca_file) as wire:
        mine = token(post(wire, IBM, path, form))
    running.stop()
    key_file = running.home / "token.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    key_file.chmod(0o640)
    command = [sys.executable, "-m", "llmauth", "serve"]
    refused = subprocess.run(command, env=running.environ, capture_output=True, text=True, timeout=20)
    assert refused.returncode != 0
    assert "token.key is open to other users" in refused.stderr
    assert "Traceback" not in refused.stderr
    key_file.chmod(0o600)
    with subprocess.Popen(command, env=running.environ, stderr=subprocess.DEVNULL) as again:
        try:
            assert status_of(running, mine) == 200
        finally:
            again.terminate()


def status_of(running: Serving, bearer: str) -> int:
    """What a provider's API says to this token, as soon as the gateway listens."""
    fields = [("Host", PROVIDER), ("Authorization", f"Bearer {bearer}")]
    for _ in range(200):
        with contextlib.suppress(ConnectionError), tunnel(running.port, PROVIDER, None, running.ca_file) as wire:
            return wire.request("GET", "/v1/models", fields).status
        time.sleep(0.05)
    raise TimeoutError("the gateway did not start again")
