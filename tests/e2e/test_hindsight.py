"""Over real sockets: what becomes of a request is found again, by whoever may know it and by nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmauth.cli import main
from llmauth.cli.past import Here
from llmauth.demo.emulators import Emulators
from llmauth.hindsight.records import Records
from llmauth.rules import Rules
from llmauth.storage.stores import open_keys
from tests.fixtures.calls import CHAT, CHAT_PATH, DOORS, JSON, OPENAI, STREAM, begin, call, eventually, get
from tests.fixtures.raw import Answer, Wire
from tests.fixtures.serving import Serving

GATE, TUNNEL = DOORS
CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
REQUESTS = "/auth/requests"


@pytest.fixture(autouse=True)
def at_home(gateway: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands are its operator's."""
    monkeypatch.setenv("LLMAUTH_HOME", str(gateway.home))
    monkeypatch.setenv("HOME", str(gateway.home))
    for name in ("HTTPS_PROXY", "https_proxy", "LLMAUTH_PROXY", "LLMAUTH_KEY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(list(words)) == code
    return capsys.readouterr().out


def last(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The last request, as soon as it was told of: its client may know it a moment before."""
    time.sleep(0.05)
    return json.loads(said(capsys, "last", "--json"))


def asked(gateway: Serving, path: str, key: str | None = None) -> Answer:
    fields = [] if key == "" else [("Authorization", f"Bearer {key or gateway.key()}")]
    return get(gateway, path, *fields)


def limited(gateway: Serving, **rules: Any) -> str:
    name = f"limited-{time.monotonic_ns()}"
    store = open_keys(gateway.settings().storage.url)
    try:
        return store.create(name, user="alice", rules=Rules(**rules))[1].reveal()
    finally:
        store.close()


# ---- the operator --------------------------------------------------------------------------------------------------


def test_a_request_through_the_tunnel_is_told_as_it_was(gateway: Serving, capsys) -> None:
    with TUNNEL.open(gateway) as wire:
        answer = begin(gateway, wire, door=TUNNEL).answer()
    one = last(capsys)
    assert (one["user"], one["door"], one["host"], one["path"]) == ("test", "forward", OPENAI, CHAT_PATH)
    assert (one["asked"], one["instance"], one["status"]) == ("gpt-4o", "openai", 200)
    assert one["input_tokens"] > 0
    assert one["ms"] >= one["upstream_ms"] > 0
    provider = answer.header("x-request-id")
    assert one["provider_request_id"] == provider
    row = said(capsys, "last").split("  ")
    assert [cell.strip() for cell in row[:7]] == [
        *(one["short"], "test", "forward", OPENAI, CHAT_PATH, "gpt-4o", "200"),
    ]
    # By each of its names.
    explained = [said(capsys, "explain", str(name)) for name in (one["request_id"], one["short"], provider)]
    assert explained[0] == explained[1] == explained[2]
    for words in (
        "1 auth      test via the tunnel's proof (api_key test)",
        "2 mode      transparent: openai, door forward, tunnel api.openai.com:443 (owns the host)",
        "3 model     gpt-4o, as the body says, any is allowed",
        "5 creds     environment from environment variable OPENAI_API_KEY, age 00:",
        "6 vault     n/a",
        "headers     -authorization(placeholder) +x-request-id +authorization(real)",
    ):
        assert words in explained[0]
    assert f"unchanged, {len(CHAT)} B, sha256 " in explained[0]  # it runs at debug level
    assert "as before" not in explained[0]


def test_a_head_that_comes_again_was_decided_before(gateway: Serving, capsys) -> None:
    with GATE.open(gateway) as wire:
        for _ in range(2):
            assert begin(gateway, wire).answer().status == 200
    told = json.loads(said(capsys, "explain", last(capsys)["request_id"], "--json"))
    assert [each.get("as_before") for each in told["decisions"]] == [True] * 6
    assert all(each["ms"] > 0 for each in told["decisions"][:5])
    assert told["headers"]["removed"][0] == {"name": "authorization", "was": "proof"}


def test_a_signed_and_translated_one_tells_what_was_changed(gateway: Serving, capsys) -> None:
    body = json.dumps({"model": CLAUDE, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}).encode()
    fields = [("Host", "gateway"), ("Authorization", f"Bearer {gateway.key()}"), JSON, ("User-Agent", "codex/0.15 (x)")]
    with Wire(gateway.port) as wire:
        assert wire.request("POST", "/openai/bedrock_us1/chat/completions", fields, body).status == 200
    one = last(capsys)
    assert (one["client"], one["door"], one["protocol"], one["answer"]) == (
        "codex/0.15",
        "path",
        "openai",
        "translated",
    )
    assert f"{CLAUDE} → bedrock_us1 (translated)" in said(capsys, "last")
    told = json.loads(said(capsys, "explain", one["request_id"], "--json"))
    assert {"name": "authorization", "was": "proof"} in told["headers"]["removed"]
    added = {each["name"]: each.get("is") for each in told["headers"]["added"]}
    assert (added["authorization"], added["x-amz-date"]) == ("real", None)
    assert (told["body"]["came"], told["body"]["unchanged"]) == (len(body), False)


def test_a_stream_tells_when_it_began(gateway: Serving, capsys) -> None:
    assert call(gateway, STREAM).status == 200
    eventually(lambda: last(capsys)["ms"] > 0)
    one = last(capsys)
    assert one["stream"] is True
    assert one["first_byte_ms"] <= one["ms"]


def test_a_wrong_proxy_password_is_explained_by_the_id_of_the_log(gateway: Serving, capsys) -> None:
    with Wire(gateway.port) as wire:
        refused = wire.connect(f"{OPENAI}:443", "llmauth_WRONG")
    assert refused.status == 407
    assert refused.header("x-llmauth-fault") == "caller"
    time.sleep(0.05)
    (access,) = [one for one in gateway.lines("request") if one["request_id"] == refused.header("x-request-id")]
    warning = gateway.lines("auth_failed")[-1]
    known = {name: access[name] for name in ("reason", "source", "fp")}
    assert known == {name: warning[name] for name in known}
    assert list(warning)[4:7] == ["reason", "source", "fp"]  # as `grep 'auth_failed reason=… source=… fp=…'` finds it
    told = said(capsys, "explain", access["request_id"])
    assert f"auth_failed reason={access['reason']} source=127.0.0.1 fp={access['fp']}" in told
    assert "refused     407 invalid_api_key, fault caller, by 1 auth" in told
    assert "2 mode      not reached" in told
    assert "to do       It may be mistyped" in told


def test_a_model_that_is_not_allowed_says_what_is_and_whom_to_ask(gateway: Serving, capsys) -> None:
    key = limited(gateway, models=("claude-*",))
    fields = [("Host", "gateway"), ("Authorization", f"Bearer {key}"), JSON]
    eventually(lambda: asked(gateway, "/auth/whoami", key).status == 200)
    with Wire(gateway.port) as wire:
        refused = wire.request("POST", f"{GATE.path}{CHAT_PATH}", fields, CHAT)
    error = json.loads(refused.body)["error"]
    assert (refused.status, error["code"], refused.header("x-llmauth-fault")) == (403, "model_not_allowed", "policy")
    assert error["message"].endswith("Allowed: claude-*. Ask whoever runs this gateway, or run: llmauth whoami")
    told = said(capsys, "explain", error["request_id"])
    assert "refused     403 model_not_allowed, fault policy, by the caller's rules, after 3 model" in told
    assert "5 creds     not reached" in told


def test_what_a_head_is_refused_for_before_any_router_is_found_as_well(gateway: Serving, capsys) -> None:
    with Wire(gateway.port) as wire:
        refused = wire.request("TRACE", "/v1/models", [("Host", "gateway")])
    name = refused.header("x-request-id")
    assert name is not None
    time.sleep(0.05)
    assert "before any router" in said(capsys, "explain", name)


def test_no_secret_and_no_body_is_told(gateway: Serving, emulators: Emulators, capsys) -> None:
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "canary-prompt"}]}).encode()
    fields = [*GATE.headers(gateway), ("X-Canary", "canary-header"), ("Content-Length", str(len(body)))]
    with Wire(gateway.port) as wire:
        assert wire.request("POST", f"{GATE.path}{CHAT_PATH}?q=canary-query", fields[:-1], body).status == 200
    told = said(capsys, "explain", last(capsys)["request_id"], "--json") + said(capsys, "last", "--json")
    assert "canary" not in told.replace("x-canary", "")
    assert gateway.key() not in told
    assert emulators.credentials.openai_key not in told


def test_what_a_client_writes_says_nothing_to_the_terminal(gateway: Serving, capsys) -> None:
    body = json.dumps({"model": "\x1b]0;owned\x07\x1b[31m", "messages": []}).encode()
    fields = [*GATE.headers(gateway), ("User-Agent", "\x1b[2Jx/1")]
    with Wire(gateway.port) as wire:
        wire.request("POST", "/openai/openai/chat/completions", fields, body)
    with Wire(gateway.port) as wire:
        wire.request("POST", f"{GATE.path}/v1/%1b[31m%0a", [*GATE.headers(gateway)], CHAT)
    time.sleep(0.05)
    for words in (["last", "-n", "2"], ["explain", last(capsys)["request_id"]]):
        assert all(line.isprintable() for line in said(capsys, *words).splitlines())


def test_what_is_over_is_followed_at_once(gateway: Serving) -> None:
    told: list[dict[str, Any]] = []

    def follow() -> None:
        for one in Here(home=gateway.home).follow("test"):
            told.append({**one, "seen": time.monotonic()})

    threading.Thread(target=follow, daemon=True).start()
    time.sleep(0.3)  # until it asks: what was over before is not told
    answer = call(gateway)
    ended = time.monotonic()
    eventually(lambda: told != [])
    assert [one["provider_request_id"] for one in told] == answer.values("x-request-id")
    assert told[0]["seen"] - ended < 1  # 0.02 on an idle machine


def test_what_no_process_remembers_the_record_tells(gateway: Serving) -> None:
    answer = call(gateway)
    (name,) = answer.values("x-request-id")
    eventually(lambda: Records(gateway.home).find(name) != [])
    (one,) = Records(gateway.home).find(name)
    assert (one["user"], one["instance"], one["status"]) == ("test", "openai", 200)
    assert [each["router"] for each in one["decisions"]] == ["auth", "mode", "model", "provider", "credential", "vault"]
    assert one["decisions"][4]["outcome"] == "environment"


# ---- callers -------------------------------------------------------------------------------------------------------


def test_a_caller_asks_for_its_own(gateway: Serving, capsys) -> None:
    mine = call(gateway).values("x-request-id")[0]
    answer = asked(gateway, f"{REQUESTS}?limit=1")
    (one,) = json.loads(answer.body)["requests"]
    assert one["provider_request_id"] == mine
    assert "source" not in one
    assert answer.header("cache-control") == "no-store"
    told = json.loads(asked(gateway, f"{REQUESTS}/{one['short']}").body)["requests"][0]
    assert [each["router"] for each in told["decisions"]] == ["auth", "mode", "model", "provider"]
    assert "OPENAI_API_KEY" not in json.dumps(told)
    # And by the command, without the state folder.
    words = ["--proxy", gateway.proxy()]
    assert said(capsys, "last", *words).startswith(one["short"])
    assert "5 creds" not in said(capsys, "explain", mine, *words)


def test_a_cursor_leads_on(gateway: Serving) -> None:
    cursor = json.loads(asked(gateway, REQUESTS).body)["cursor"]
    mine = [call(gateway).values("x-request-id")[0] for _ in range(2)]
    answer = json.loads(asked(gateway, f"{REQUESTS}?after={cursor}").body)
    assert [one["provider_request_id"] for one in answer["requests"]] == mine
    assert json.loads(asked(gateway, f"{REQUESTS}?after={answer['cursor']}").body)["requests"] == []


def test_nobody_hears_of_anothers_request(gateway: Serving, capsys) -> None:
    """A1: by no id, no beginning of one and no list, and not even that there is one."""
    mine = call(gateway).values("x-request-id")[0]
    name = last(capsys)["request_id"]
    other = gateway.key("other")
    eventually(lambda: asked(gateway, "/auth/whoami", other).status == 200)
    answers = [asked(gateway, f"{REQUESTS}/{one}", other) for one in (name, name[:10], mine, "req_" + "0" * 32)]
    assert {one.status for one in answers} == {404}

    def plain(one: Answer) -> Any:
        error = json.loads(one.body)["error"]
        kept = [(field.lower(), value) for field, value in one.headers if field.lower() != "x-request-id"]
        return {**error, "request_id": ""}, kept

    assert all(plain(one) == plain(answers[-1]) for one in answers)
    told = asked(gateway, REQUESTS, other).body.decode()
    assert name not in told
    assert mine not in told
    assert asked(gateway, f"{REQUESTS}?user=test&of=test&limit=100", other).body.decode().count('"user": "test"') == 0


def test_who_is_unknown_is_told_nothing(gateway: Serving) -> None:
    for path in (REQUESTS, f"{REQUESTS}/req_x"):
        assert asked(gateway, path, "").status == 401
        assert asked(gateway, path, "llmauth_WRONG").status == 401


def test_at_a_providers_host_the_path_is_the_providers(gateway: Serving, emulators: Emulators) -> None:
    emulators.clear()
    with TUNNEL.open(gateway) as wire:
        answer = wire.request("GET", REQUESTS, TUNNEL.headers(gateway))
    assert b"cursor" not in answer.body
    assert answer.header("x-llmauth-fault") is None  # the provider's own answer
    with Wire(gateway.port) as wire:
        answer = wire.request("GET", f"/transparent/openai{REQUESTS}", GATE.headers(gateway))
    assert b"cursor" not in answer.body


def test_several_workers_are_one_memory(serve: Callable[..., Serving], capsys, monkeypatch) -> None:
    two = serve(options=["--workers", "2"])
    monkeypatch.setenv("LLMAUTH_HOME", str(two.home))
    mine = set()
    ends = time.monotonic() + 10
    workers: set[Any] = set()
    while len(workers) < 2 and time.monotonic() < ends:
        mine.add(call(two).values("x-request-id")[0])
        workers = {one.get("worker") for one in two.lines("request") if "instance" in one}
    assert len(workers) == 2
    told = [json.loads(line) for line in said(capsys, "last", "-n", "1000", "--json").splitlines()]
    assert {one["provider_request_id"] for one in told} == mine
    assert [one["at"] for one in told] == sorted(one["at"] for one in told)
    for name in mine:
        assert json.loads(asked(two, f"{REQUESTS}/{name}").body)["found"] == 1
    listed = json.loads(asked(two, f"{REQUESTS}?limit=100").body)
    assert {one["provider_request_id"] for one in listed["requests"]} == mine
    assert listed["cursor"].count(":") == 2
