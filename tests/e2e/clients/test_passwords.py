"""Passwords and keys of the environment, as curl and the openai client send them, and what AUTH_MODE makes of them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bcrypt
import pytest

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from llmauth.demo.openai import HOST
from tests.e2e.clients import ways
from tests.e2e.clients.sdks import Sdks
from tests.e2e.clients.test_curl import curl
from tests.fixtures import bypasses
from tests.fixtures.bypasses import BODY, CONVERSE, head
from tests.fixtures.calls import error, refuses_connections
from tests.fixtures.raw import Answer, Wire, basic, tunnel
from tests.fixtures.serving import Serving, provider_environment, start
from tests.llmauth.demo.clients import ClientProblem

PASSWORD = "p@ss:w/ord é"
NATIVE, PATH = "/v1/models", "/transparent/openai/v1/models"
IVY, TEAM = "imported-0123456789-ivy", "imported/0123456789+team="
MODELS = "result = [model.id for model in openai.OpenAI(max_retries=0).models.list()]"


def line(user: str, password: str) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("passwords")
    (made / "users").write_text(line("carol", PASSWORD) + line("ed", "ed's"))
    return made


@pytest.fixture(scope="module")
def own_gateway(folder: Path, shared_emulators: Emulators) -> Iterator[Serving]:
    environ = {
        **provider_environment(shared_emulators),
        "AUTH_MODE": "basic,api_key",
        "BASIC_AUTH_CREDENTIALS": f"dave:{'long ' * 30}x",
        "API_KEY_IVY": IVY,
        "BEDROCK_API_KEY_TEAM_B": f"{TEAM}\n",
        "BEDROCK_API_KEY_IVY": IVY,
    }
    # What the variable does not name is off, though the file has it; of what it names the file has the options.
    methods = ["sigv4", {"type": "basic", "htpasswd": "users"}]
    gateway = start(folder, shared_emulators, environ=environ, auth={"methods": methods})
    yield gateway
    gateway.stop()


@pytest.fixture
def house(own_gateway: Serving, emulators: Emulators) -> Serving:
    return own_gateway


def proxy(gateway: Serving, user: str, password: str) -> Mapping[str, str]:
    url = f"http://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{gateway.port}"
    return {"HTTPS_PROXY": url, **ways.trust(gateway)}


def path_of(gateway: Serving) -> str:
    return ways.plain(gateway, PATH)


def paid_by_us(emulators: Emulators, calls: int) -> bool:
    """Whether every call came with the provider's key, and with nothing of a caller's."""
    seen = emulators.requests(HOST)
    key = [f"Bearer {emulators.credentials.openai_key}".encode()]
    heads = b"".join(one.head for one in seen)
    told = any(text.encode() in heads for text in (IVY, TEAM, "carol", PASSWORD, basic(PASSWORD, "carol")[6:]))
    return len(seen) == calls and all(one.values("authorization") == key for one in seen) and not told


# ---- curl ----------------------------------------------------------------------------------------------------------

Asked = Callable[[Serving, str, str], bytes]


def native(gateway: Serving, environ: Mapping[str, str], *words: str) -> bytes:
    return curl(environ, f"https://{HOST}{NATIVE}", *words)


CURL: dict[str, Asked] = {
    "proxy URL": lambda g, user, password: native(g, proxy(g, user, password)),
    "proxy option": lambda g, user, password: native(
        g, ways.trust(g), "--proxy", g.url, "--proxy-user", f"{user}:{password}"
    ),
    "path": lambda g, user, password: curl({}, path_of(g), "-u", f"{user}:{password}"),
    "in the tunnel": lambda g, user, password: native(g, ways.key_in_the_sdk(g), "-u", f"{user}:{password}"),
}


@pytest.mark.parametrize("way", CURL)
@pytest.mark.parametrize(
    ("user", "password"),
    [("carol", PASSWORD), ("dave", "long " * 30 + "x"), ("anybody", IVY), ("anybody", TEAM)],
    ids=["file", "variable", "imported", "imported by the other prefix"],
)
def test_curl(house: Serving, emulators: Emulators, way: str, user: str, password: str) -> None:
    assert b"gpt-4o" in CURL[way](house, user, password)
    assert paid_by_us(emulators, 1)
    name = {IVY: "ivy", TEAM: "team_b"}.get(password, user)
    assert house.lines("request")[-1]["user"] == name


@pytest.mark.parametrize("way", CURL)
def test_curl_with_a_wrong_password(house: Serving, emulators: Emulators, way: str) -> None:
    for user, password in (("ed", "wrong"), ("dave", "long " * 30), ("anybody", IVY[:-1]), ("ed", IVY[:-1])):
        assert _said(CURL[way], house, user, password) in (b"invalid_api_key", 56)
    assert emulators.connections == ()


def _said(asked: Asked, house: Serving, user: str, password: str) -> bytes | int:
    """The code of the refusal; 56 is how curl ends when its CONNECT is refused."""
    try:
        return str(json.loads(asked(house, user, password))["error"]["code"]).encode()
    except subprocess.CalledProcessError as ended:
        return ended.returncode


# ---- the openai client ---------------------------------------------------------------------------------------------

SDK: dict[str, Callable[[Serving], Mapping[str, str]]] = {
    "a password in the proxy URL": lambda g: {**proxy(g, "carol", PASSWORD), "OPENAI_API_KEY": "sk-placeholder"},
    "an imported key in the proxy URL": lambda g: {**proxy(g, "me", TEAM), "OPENAI_API_KEY": "sk-placeholder"},
    "an imported key in the client": lambda g: {**ways.key_in_the_sdk(g), "OPENAI_API_KEY": IVY},
    "an imported key by path": lambda g: {
        "OPENAI_BASE_URL": ways.plain(g, "/transparent/openai/v1"),
        "OPENAI_API_KEY": TEAM,
    },
    "an imported key in both": lambda g: {**proxy(g, "me", IVY), "OPENAI_API_KEY": IVY},
}


@pytest.mark.parametrize("way", SDK)
def test_openai(house: Serving, emulators: Emulators, sdks: Sdks, way: str) -> None:
    assert "gpt-4o" in sdks.run(MODELS, SDK[way](house))
    assert paid_by_us(emulators, 1)


def test_openai_with_a_password_by_path(house: Serving, emulators: Emulators, sdks: Sdks) -> None:
    """The client writes a header of its own, which this one takes the place of."""
    code = MODELS.replace("max_retries=0", "max_retries=0, default_headers={'Authorization': value}")
    environ = {"OPENAI_BASE_URL": ways.plain(house, "/transparent/openai/v1"), "OPENAI_API_KEY": "unused"}
    assert "gpt-4o" in sdks.run(code, environ, value=basic(PASSWORD, "carol"))
    assert paid_by_us(emulators, 1)


@pytest.mark.parametrize(
    "environ",
    [
        lambda g: {**proxy(g, "carol", "wrong"), "OPENAI_API_KEY": "sk-placeholder"},
        lambda g: {**proxy(g, "carol", "wrong"), "OPENAI_API_KEY": IVY},
        lambda g: {**proxy(g, "carol", PASSWORD), "OPENAI_API_KEY": IVY},
        lambda g: {**ways.key_in_the_sdk(g), "OPENAI_API_KEY": IVY[:-1]},
    ],
    ids=["wrong", "wrong, and a good key", "two users", "a mistyped key"],
)
def test_openai_is_refused(house: Serving, emulators: Emulators, sdks: Sdks, environ: Any) -> None:
    """What is wrong is not mended by what is right beside it."""
    with pytest.raises(ClientProblem, match=r"407|401|403|Connection error"):
        sdks.run(MODELS, environ(house))
    assert emulators.connections == ()


# ---- nothing falls through -----------------------------------------------------------------------------------------


def ask(gateway: Serving, *fields: tuple[str, str], path: str = PATH) -> Answer:
    with Wire(gateway.port) as wire:
        return wire.request("GET", path, [("Host", "gateway"), *fields])


def test_a_wrong_password_beside_a_right_key_is_refused(house: Serving, emulators: Emulators) -> None:
    right = ("X-API-Key", IVY)
    assert ask(house, right).status == 200
    assert ask(house, right, ("Authorization", basic("wrong", "carol"))).status == 401
    assert ask(house, right, ("Authorization", basic(PASSWORD, "carol"))).status == 403
    assert ask(house, right, ("Proxy-Authorization", basic("wrong", "carol"))).status == 401
    assert len(emulators.requests()) == 1


def test_a_stranger_hears_what_a_user_hears(house: Serving) -> None:
    """Else the answers would list the names."""
    told = set()
    for user in ("ed", "mallory", "dave"):
        answer = ask(house, ("Authorization", basic("wrong password", user)))
        shape = tuple(name for name, _ in answer.headers)
        told.add((answer.status, error(answer)["message"], error(answer)["code"], shape))
    assert len(told) == 1, told
    seconds = []
    for user in ("mallory1", "mallory2"):
        began = time.monotonic()
        ask(house, ("Authorization", basic("x", user)))
        seconds.append(time.monotonic() - began)
    assert min(seconds) > 0.03  # a hash was computed


def test_what_auth_mode_does_not_name_is_off(house: Serving, emulators: Emulators) -> None:
    store = open_store(house.settings())
    try:
        _, access, secret = store.create_pair("pair")
    finally:
        store.close()
    data = head("POST", CONVERSE, *bypasses.signed((access, secret.reveal())), body=BODY)
    with Wire(house.port) as wire:
        assert wire.send(data).answer().status == 401
    assert [one.type for one in house.settings().auth.methods] == ["basic", "api_key"]
    assert emulators.connections == ()


def test_a_changed_password_ends_open_tunnels_within_a_second(
    house: Serving, emulators: Emulators, folder: Path
) -> None:
    before = (folder / "users").read_text()
    with Wire(house.port) as wire:
        field = ("Proxy-Authorization", basic("ed's", "ed"))
        assert wire.request("CONNECT", f"{HOST}:443", [("Host", f"{HOST}:443"), field]).status == 200
        wire.start_tls(HOST, house.ca_file)
        inner = [("Host", HOST), ("Authorization", "Bearer sk-placeholder")]
        assert wire.request("GET", NATIVE, inner).status == 200
        (folder / "users").write_text(line("carol", PASSWORD) + line("ed", "new"))
        changed = time.monotonic()
        while (status := wire.request("GET", NATIVE, inner).status) == 200 and time.monotonic() < changed + 3:
            time.sleep(0.02)
        assert status in (401, 407)
        assert time.monotonic() - changed < 1.0
    assert ask(house, ("Authorization", basic("new", "ed"))).status == 200
    assert ask(house, ("Authorization", basic("ed's", "ed"))).status == 401
    (folder / "users").write_text(before)


def test_imported_keys_in_a_tunnel_are_those_of_their_user(house: Serving, emulators: Emulators) -> None:
    with tunnel(house.port, HOST, IVY, house.ca_file) as wire:
        for value, status in (("sk-placeholder", 200), (IVY, 200), (TEAM, 403)):
            fields = [("Host", HOST), ("Authorization", f"Bearer {value}")]
            assert wire.request("GET", NATIVE, fields).status == status
    assert paid_by_us(emulators, 2)


def test_no_imported_key_goes_on_in_a_place_where_nobody_reads_it(house: Serving, emulators: Emulators) -> None:
    """2.9 row 9: a key that a client put elsewhere as well must not reach a provider."""
    fields = [("X-API-Key", IVY), ("Cookie", f"k={IVY}"), ("X-Custom", f"a {TEAM}"), ("Api_Key", IVY)]
    assert ask(house, *fields, path=f"{PATH}?k={quote(IVY)}&keep=1").status == 200
    (seen,) = emulators.requests()
    assert IVY.encode() not in seen.head
    assert TEAM.encode() not in seen.head
    assert b"keep=1" in seen.head


def test_no_secret_is_logged(house: Serving) -> None:
    log = house.log()
    for secret in (IVY, TEAM, PASSWORD, "long long", "wrong password", "ed's"):
        assert secret not in log
        assert json.dumps(secret)[1:-1] not in log


# ---- what does not start -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"AUTH_MODE": "nonsense"}, "environment variable AUTH_MODE: auth.methods[0]: found the value of ${AUTH_MODE}"),
        ({"AUTH_MODE": "api_key,nonsense"}, "environment variable AUTH_MODE: auth.methods[1]: "),
        ({"AUTH_MODE": "basic"}, "The method 'basic' has no users: name an `htpasswd` file, or set BASIC_AUTH_CREDENT"),
        (
            {"AUTH_MODE": "basic", "BASIC_AUTH_CREDENTIALS": "canary"},
            "BASIC_AUTH_CREDENTIALS, entry 1: wanted user:pass",
        ),
        ({"API_KEY_X": "canary"}, "API_KEY_X has less than 16 characters"),
        ({"AUTH_MODE": "mtls"}, "ca_file"),
    ],
)
def test_it_ends_with_a_sentence_and_opens_no_port(
    tmp_path: Path, shared_emulators: Emulators, environ: dict[str, str], said: str
) -> None:
    """2.9 row 2."""
    gateway = start(tmp_path, shared_emulators, environ=environ, wait=False)
    assert gateway.process.wait(20) == 2
    log = gateway.log()
    assert said in log
    assert "Traceback" not in log
    assert "Internal error" not in log
    assert "canary" not in log
    assert refuses_connections(gateway.port)
