"""What changes under a running gateway is obeyed without a restart: keys, credentials, and a store that is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.emulators import Emulators
from tests.fixtures.calls import CHAT, CHAT_PATH, JSON, OPENAI, call, code, eventually, get
from tests.fixtures.raw import Answer, Wire, tunnel
from tests.fixtures.serving import Serving


def inside(wire: Wire) -> Answer:
    return wire.request("POST", CHAT_PATH, [("Host", OPENAI), ("Authorization", "Bearer sk-placeholder"), JSON], CHAT)


def test_a_revoked_key_ends_inside_an_open_tunnel_within_a_second(gateway: Serving, emulators: Emulators) -> None:
    """A5. The command's own time to start is not counted: it has returned before."""
    key = gateway.key("to-be-revoked")
    with tunnel(gateway.port, OPENAI, key, gateway.ca_file) as wire, Wire(gateway.port) as other:
        headers = [("Host", "gateway"), ("X-API-Key", key), JSON]
        assert inside(wire).status == 200
        assert other.request("POST", f"/transparent/openai{CHAT_PATH}", headers, CHAT).status == 200
        gateway.llmauth("keys", "revoke", "to-be-revoked")
        time.sleep(1)
        before = len(emulators.requests())
        answer = inside(wire)
        assert (answer.status, code(answer)) == (401, "invalid_api_key")
        assert other.request("POST", f"/transparent/openai{CHAT_PATH}", headers, CHAT).status == 401
    assert len(emulators.requests()) == before


def test_a_new_key_works_at_once(gateway: Serving) -> None:
    key = gateway.key("new")
    with Wire(gateway.port) as wire:
        answer = wire.request(
            "POST", f"/transparent/openai{CHAT_PATH}", [("Host", "gateway"), ("X-API-Key", key), JSON], CHAT
        )
    assert answer.status == 200


def test_the_last_use_is_written(gateway: Serving) -> None:
    key = gateway.key("used")
    began = time.time()

    def last_used() -> float | None:
        (found,) = [one for one in json.loads(gateway.llmauth("keys", "list", "--json")) if one["name"] == "used"]
        moment: str | None = found["last_used"]
        return None if moment is None else datetime.fromisoformat(moment).timestamp()

    assert last_used() is None
    get(gateway, "/transparent/openai/v1/models", ("X-API-Key", key))
    eventually(lambda: last_used() is not None, timeout=5)
    assert abs((last_used() or 0) - began) < 5


def test_a_credential_in_a_file_follows_its_rotation(tmp_path: Path, serve: Callable[..., Serving]) -> None:
    """As Kubernetes rotates a mounted secret: another folder behind the same link."""
    first, second = DemoCredentials.random(), DemoCredentials.random()
    mount = tmp_path / "mount"
    for name, credentials in (("one", first), ("two", second)):
        (mount / name).mkdir(parents=True)
        (mount / name / "api_key").write_text(credentials.openai_key)
    (mount / "..data").symlink_to("one")
    with Emulators(credentials=first, tokens=2, pace=0) as own:
        strategies = [{"type": "file", "path": str(mount / "..data" / "api_key")}]
        instances = {"openai": {"type": "openai", "authentication": {"strategies": strategies}}}
        gateway = serve(emulators=own, instances=instances, environ={})
        assert call(gateway).status == 200
        own.credentials = second
        (mount / "..new").symlink_to("two")
        (mount / "..new").rename(mount / "..data")
        took = eventually(lambda: call(gateway).status == 200, timeout=5)
    assert took < 5


def test_a_lost_key_store_stops_callers_and_nothing_else(serve: Callable[..., Serving], emulators: Emulators) -> None:
    """F2: 503 with Retry-After, /health stays, /ready says no, and all is well again without a restart."""
    gateway = serve()
    store, aside = gateway.home / "keys.db", gateway.home / "aside.db"
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        assert inside(wire).status == 200
        store.rename(aside)
        store.write_bytes(b"garbage" * 1000)
        store.chmod(0o600)
        time.sleep(1.2)
        seen = len(emulators.requests())
        for answer in (inside(wire), call(gateway)):
            assert (answer.status, code(answer)) == (503, "unavailable")
            assert answer.header("retry-after") is not None
    with Wire(gateway.port) as wire:
        assert wire.connect(f"{OPENAI}:443", gateway.key()).status == 503
    assert get(gateway, "/health").status == 200
    ready = get(gateway, "/ready")
    assert (ready.status, json.loads(ready.body)["keys"]) == (503, "unreadable")
    assert len(emulators.requests()) == seen
    aside.rename(store)
    eventually(lambda: call(gateway).status == 200, timeout=15)
    # Keys, pairs and sessions are followed each for itself.
    eventually(lambda: get(gateway, "/ready").status == 200, timeout=1)


def test_authentication_can_be_off_on_loopback(serve: Callable[..., Serving], emulators: Emulators) -> None:
    gateway = serve(auth={"enabled": False})
    assert any("Authentication is off" in line["message"] for line in gateway.lines())
    with Wire(gateway.port) as wire:
        assert wire.request("POST", f"/transparent/openai{CHAT_PATH}", [("Host", "x"), JSON], CHAT).status == 200
    with tunnel(gateway.port, OPENAI, None, gateway.ca_file) as wire:
        assert inside(wire).status == 200
    assert all(
        seen.values("authorization") == [f"Bearer {emulators.credentials.openai_key}".encode()]
        for seen in emulators.requests()
    )
