"""A key with a second factor, and the session that both are exchanged for, as unmodified clients use them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pyotp
import pytest

from llmauth.config.stores import open_store
from llmauth.demo.emulators import Emulators
from llmauth.storage.factors import Enrolment
from llmauth.storage.registry import KeyRegistry
from tests.emulators.issuer import AUDIENCE, HOST, Issuer
from tests.fixtures.calls import CHAT, JSON
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving, start

MODELS = "/transparent/openai/v1/models"
PROVIDER = "api.openai.com"
Serve = Callable[..., Serving]


@contextmanager
def store_of(gateway: Serving) -> Iterator[KeyRegistry]:
    store = open_store(gateway.settings())
    try:
        yield store
    finally:
        store.close()


def enrolled(gateway: Serving, name: str) -> tuple[str, Enrolment]:
    """A key with a second factor."""
    with store_of(gateway) as store:
        _, key = store.create(name)
        return key.reveal(), store.enrol(name)


def code(enrolment: Enrolment, step: int = 0) -> str:
    """The code of this step, or of one before or after it."""
    return pyotp.TOTP(enrolment.secret.reveal()).at(int(time.time()) + 30 * step)


def ask(gateway: Serving, method: str, path: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    with Wire(gateway.port, timeout=20) as wire:
        return wire.request(method, path, [("Host", "gateway"), *headers], body)


def log_in(gateway: Serving, **members: Any) -> Answer:
    return ask(gateway, "POST", "/auth/login", JSON, body=json.dumps(members).encode())


def session(gateway: Serving, key: str, totp_code: str) -> str:
    answer = log_in(gateway, api_key=key, totp_code=totp_code)
    assert answer.status == 200, answer.body
    told = json.loads(answer.body)
    assert told["expires_in"] == pytest.approx(43_200, abs=2)
    text: str = told["session_token"]
    return text


def test_a_key_alone_is_not_enough_and_a_code_is_taken_once(gateway: Serving) -> None:
    key, enrolment = enrolled(gateway, "factor-once")
    header = ("X-API-Key", key)
    refused = ask(gateway, "GET", MODELS, header)
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (401, "second_factor_required")
    assert "/auth/login" in refused.body.decode()
    first = ("X-TOTP-Code", code(enrolment))
    assert ask(gateway, "GET", MODELS, header, first).status == 200
    assert ask(gateway, "GET", MODELS, header, first).status == 401
    assert ask(gateway, "GET", MODELS, header, ("X-TOTP-Code", code(enrolment, 1))).status == 200
    assert ask(gateway, "GET", MODELS, header, ("X-TOTP-Code", code(enrolment))).status == 401
    backup = ("X-TOTP-Code", enrolment.backup_codes[0].reveal())
    assert [ask(gateway, "GET", MODELS, header, backup).status for _ in range(2)] == [200, 401]


def test_a_code_is_for_one_request_of_a_connection(gateway: Serving, emulators: Emulators) -> None:
    key, enrolment = enrolled(gateway, "factor-connection")
    headers = [("Host", "gateway"), ("X-API-Key", key)]
    with Wire(gateway.port) as wire:
        assert wire.request("GET", MODELS, [*headers, ("X-TOTP-Code", code(enrolment))]).status == 200
        assert wire.request("GET", MODELS, headers).status == 401
    (seen,) = emulators.requests()
    assert seen.values("x-totp-code") == []


def test_a_session_is_good_wherever_a_key_is(gateway: Serving) -> None:
    key, enrolment = enrolled(gateway, "factor-session")
    token = session(gateway, key, code(enrolment))
    for header in (("X-Session-Token", token), ("Authorization", f"Bearer {token}"), ("X-API-Key", token)):
        answer = ask(gateway, "POST", "/transparent/openai/v1/chat/completions", header, JSON, body=CHAT)
        assert answer.status == 200, (header[0], answer.body)
    with tunnel(gateway.port, PROVIDER, token, gateway.ca_file) as wire:
        assert (
            wire.request("GET", "/v1/models", [("Host", "api.openai.com"), ("Authorization", "Bearer sk-x")]).status
            == 200
        )
        # The factor that opened the tunnel holds for its key inside.
        assert (
            wire.request("GET", "/v1/models", [("Host", "api.openai.com"), ("Authorization", f"Bearer {key}")]).status
            == 200
        )
    told = json.loads(ask(gateway, "GET", "/auth/whoami", ("X-Session-Token", token)).body)
    assert (told["user"], told["method"], told["second_factor"]) == ("factor-session", "session", True)
    assert ask(gateway, "GET", MODELS, ("X-Session-Token", "llmauth_nonsense")).status == 401
    assert ask(gateway, "GET", f"{MODELS}?key={token}").status == 401


def test_a_session_ends_with_its_key_and_by_its_own(gateway: Serving) -> None:
    key, enrolment = enrolled(gateway, "factor-ends")
    one, other = session(gateway, key, code(enrolment)), session(gateway, key, code(enrolment, 1))
    assert ask(gateway, "POST", "/auth/logout", ("X-Session-Token", one), body=b"").status == 200
    time.sleep(1.0)
    assert ask(gateway, "GET", MODELS, ("X-Session-Token", one)).status == 401
    with tunnel(gateway.port, PROVIDER, other, gateway.ca_file) as wire:
        host = [("Host", "api.openai.com")]
        assert wire.request("GET", "/v1/models", host).status == 200
        gateway.llmauth("keys", "revoke", "factor-ends")
        time.sleep(1.0)
        assert wire.request("GET", "/v1/models", host).status == 401
    assert ask(gateway, "GET", MODELS, ("X-Session-Token", other)).status == 401


def test_wrong_codes_lock_and_a_restart_does_not_unlock(serve: Serve, emulators: Emulators) -> None:
    gateway = serve()
    key, enrolment = enrolled(gateway, "factor-locked")
    wrong = [log_in(gateway, api_key=key, totp_code=f"{number:06}").status for number in range(20)]
    assert wrong == [401] * 20
    locked = log_in(gateway, api_key=key, totp_code=code(enrolment))
    assert locked.status == 401
    assert "locked" in locked.body.decode()
    gateway.stop(9)
    again = start(gateway.config.parent, emulators)
    try:
        assert "locked" in log_in(again, api_key=key, totp_code=code(enrolment)).body.decode()
    finally:
        again.stop()


def test_of_many_at_once_one_code_lets_in_one(gateway: Serving) -> None:
    key, enrolment = enrolled(gateway, "factor-race")
    now, statuses = code(enrolment), []
    threads = [
        threading.Thread(target=lambda: statuses.append(log_in(gateway, api_key=key, totp_code=now).status))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, *[401] * 15]


def test_what_is_no_login(gateway: Serving) -> None:
    key = gateway.key()
    for body in (b"[]", b"nonsense", b'{"api_key": 1}', b'{"user": "x"}', b'{"api_key": "a", "api_key": "b"}', b"\xff"):
        assert ask(gateway, "POST", "/auth/login", JSON, body=body).status == 400, body
    assert ask(gateway, "POST", "/auth/login", JSON, body=b"{}").status == 401
    assert log_in(gateway, api_key="sk-not-ours").status == 401
    assert ask(gateway, "POST", "/auth/login", JSON, body=b'{"api_key": "' + b"x" * 4096 + b'"}').status == 413
    assert ask(gateway, "GET", "/auth/login", ("X-API-Key", key)).status == 405
    assert ask(gateway, "POST", "/auth/login", ("X-API-Key", key), body=b"").status == 200
    token = session(gateway, key, "000000")
    assert log_in(gateway, api_key=token).status == 403
    for path in ("/auth/login/", "/auth/login%2f", "/auth//login", "/auth", "/auth/other"):
        assert ask(gateway, "POST", path, ("X-API-Key", key), body=b"").status in (400, 404), path
    assert ask(gateway, "GET", "/auth/whoami").status == 401


def test_where_all_must_show_one(serve: Serve) -> None:
    gateway = serve(auth={"require_2fa": True})
    plain = ask(gateway, "GET", MODELS, ("X-API-Key", gateway.key("plain")))
    assert (plain.status, json.loads(plain.body)["error"]["code"]) == (403, "second_factor_not_enrolled")
    assert "llmauth keys enrol-totp plain" in plain.body.decode()
    key, enrolment = enrolled(gateway, "safe")
    token = session(gateway, key, code(enrolment))
    assert ask(gateway, "GET", MODELS, ("Authorization", f"Bearer {token}")).status == 200
    assert key not in gateway.log()
    assert token not in gateway.log()


def test_a_person_with_a_password_logs_in_until_the_password_is_taken_away(serve: Serve, tmp_path: Path) -> None:
    users = tmp_path / "users.htpasswd"
    lines = {user: f"{user}:{bcrypt.hashpw(user.encode(), bcrypt.gensalt(4)).decode()}\n" for user in ("ada", "bob")}
    users.write_text("".join(lines.values()))
    gateway = serve(auth={"methods": ["api_key", {"type": "basic", "htpasswd": str(users)}]})
    tokens = []
    for user in lines:
        proof = "Basic " + base64.b64encode(f"{user}:{user}".encode()).decode()
        answer = ask(gateway, "POST", "/auth/login", ("Authorization", proof), body=b"")
        assert answer.status == 200, answer.body
        tokens.append(json.loads(answer.body)["session_token"])
    ada, bob = tokens
    with tunnel(gateway.port, PROVIDER, ada, gateway.ca_file) as wire:
        host = [("Host", PROVIDER)]
        until = time.monotonic() + 10
        status = wire.request("GET", "/v1/models", host).status
        assert status == 200
        users.write_text(lines["bob"])
        while status == 200 and time.monotonic() < until:
            time.sleep(0.2)
            status = wire.request("GET", "/v1/models", host).status
        assert status == 401
    statuses = [ask(gateway, "GET", MODELS, ("X-Session-Token", one)).status for one in (ada, bob)]
    assert statuses == [401, 200]


def test_a_session_from_before_a_second_factor_was_required_is_of_no_use(serve: Serve, emulators: Emulators) -> None:
    gateway = serve()
    token = session(gateway, gateway.key("before"), "000000")
    header = ("X-Session-Token", token)
    assert ask(gateway, "GET", MODELS, header).status == 200
    gateway.stop()
    strict = start(gateway.config.parent, emulators, auth={"require_2fa": True})
    try:
        assert ask(strict, "GET", MODELS, header).status == 403
    finally:
        strict.stop()


def test_a_token_of_an_issuer_is_exchanged_for_a_session_that_outlives_it(
    serve: Serve, emulators: Emulators, tmp_path: Path
) -> None:
    with Issuer() as issuer:
        issuer.add()
        ca_file = str(issuer.write_ca(tmp_path))
        oidc = {"type": "oidc", "issuer": issuer.issuer, "audience": [AUDIENCE], "ca_file": ca_file}
        resolve = {**emulators.resolve, HOST: f"127.0.0.1:{issuer.port}"}
        gateway = serve(auth={"methods": [oidc]}, upstream={"resolve": resolve})
        # It is over in two seconds; Keycloak's groups have a slash.
        bearer = ("Authorization", f"Bearer {issuer.token(exp=int(time.time()) + 2, groups=['/staff/llm'])}")
        until = time.monotonic() + 10
        while (answer := ask(gateway, "POST", "/auth/login", bearer, body=b"")).status == 503:
            assert time.monotonic() < until, "the issuer's keys did not come"
            time.sleep(0.05)
        told = json.loads(answer.body)
        assert (answer.status, told["user"], told["expires_in"]) == (200, "alice", 43_200)
        token = told["session_token"]
        while ask(gateway, "GET", "/auth/whoami", bearer).status == 200:
            assert time.monotonic() < until, "the token does not end"
            time.sleep(0.2)
        with tunnel(gateway.port, PROVIDER, token, gateway.ca_file) as wire:
            assert wire.request("GET", "/v1/models", [("Host", PROVIDER)]).status == 200
        facts = json.loads(ask(gateway, "GET", "/auth/whoami", ("X-Session-Token", token)).body)
        assert (facts["user"], facts["groups"], facts["method"]) == ("alice", ["/staff/llm"], "session")
        (kept,) = json.loads(gateway.llmauth("keys", "list", "--sessions", "--json"))
        gateway.llmauth("keys", "revoke", kept["id"])
        while ask(gateway, "GET", "/auth/whoami", ("X-Session-Token", token)).status == 200:
            assert time.monotonic() < until, "a session is not ended by its id"
            time.sleep(0.1)
