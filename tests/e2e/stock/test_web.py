"""mitmweb's API, in the hands of whoever has its password: it shows, and changes nothing that a promise rests on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.stock.test_life import UNSAFE
from tests.e2e.stock.web import Web
from tests.fixtures.calls import CHAT, JSON, OPENAI, begin, call, eventually, get
from tests.fixtures.raw import Wire, basic, tunnel
from tests.fixtures.serving import Serving, free_port

INSTEAD: dict[str, Any] = {
    **UNSAFE,
    **{name: True for name, value in UNSAFE.items() if value == "true"},
    **{name: [UNSAFE[name]] for name in ("ignore_hosts", "allow_hosts", "tcp_hosts", "map_remote", "modify_headers")},
    "client_replay": ["flows"],
    "validate_inbound_headers": False,
    "listen_port": 9,
    "mode": ["transparent"],
    "upstream_cert": True,
    "certs": ["x.pem"],
    "client_certs": "x",
    "connect_addr": "127.0.0.2",
    "confdir": "elsewhere",
    "llmauth_config": [],
    "web_host": "0.0.0.0",
    "tcp_timeout": 1,
    "ssl_verify_upstream_trusted_ca": None,
    "tls_version_server_min": "UNBOUNDED",
    "intercept": "~all",
    "rfile": "x",
    "server_replay": ["x"],
    "stickyauth": "~all",
}
del INSTEAD["server"]


def test_nobody_without_the_token(shared_web: Web, emulators: Emulators) -> None:
    for path in ("/flows.json", "/options.json", "/flows/dump", "/commands.json"):
        assert shared_web.ask("GET", path, token="wrong").status == 403


def test_no_option_can_be_changed(shared_web: Web, emulators: Emulators) -> None:
    """Not even those of the looks: what is off needs no judgement of its values."""
    before = shared_web.ask("GET", "/options.json").json
    for name, value in {**INSTEAD, "showhost": True, "scripts": []}.items():
        assert shared_web.ask("PUT", "/options", {name: value}).status == 403
    assert shared_web.ask("GET", "/options.json").json == before
    assert call(shared_web.gateway).status == 200


COMMANDS = {
    "set": ["ssl_insecure", "true"],
    "script.run": ["@all", "/x.py"],
    "replay.client": ["@all"],
    "save.file": ["@all", "/x"],
    "export.file": ["curl", "@focus", "/x"],
    "options.reset": [],
    "view.flows.create": ["get", "http://evil.example/"],
}


def test_there_are_no_commands(shared_web: Web, emulators: Emulators) -> None:
    assert shared_web.ask("GET", "/commands.json").json == {}
    for command, words in COMMANDS.items():
        assert shared_web.ask("POST", f"/commands/{command}", {"arguments": words}).status == 403
    assert shared_web.option("ssl_insecure") is False
    assert emulators.connections == ()


def test_nobody_is_led_to_its_page(serve: Callable[..., Serving]) -> None:
    """S8, A9: whatever the configuration allows; it stands on loopback, and its callers are no workloads."""
    port = free_port()
    gateway = serve(
        trusted=True,
        tool="mitmweb",
        options=["--web-port", str(port)],
        egress={"allow": [f"web.example:{port}"]},
        upstream={"resolve": {"web.example": f"127.0.0.1:{port}"}},
    )
    with Wire(gateway.port) as wire:
        assert wire.connect(f"web.example:{port}", gateway.key()).status == 403


# ---- what it shows -------------------------------------------------------------------------------------------------


def secrets(web: Web, emulators: Emulators) -> list[bytes]:
    credentials, key = emulators.credentials, web.gateway.key()
    return [
        *(
            key.encode(),
            key.removeprefix("llmauth_").encode(),
            basic(key).encode(),
            basic(key).removeprefix("Basic ").encode(),
        ),
        *(credentials.openai_key.encode(), credentials.anthropic_key.encode()),
        *(credentials.aws_access_key_id.encode(), credentials.aws_secret_access_key.encode()),
        *([credentials.aws_session_token.encode()] if credentials.aws_session_token else []),
        *(b"Signature=", b"Credential="),
    ]


def test_flows_are_shown_and_no_secret_is_in_them(shared_web: Web, emulators: Emulators) -> None:
    """More of it, with every slot, is in tests/e2e/test_web.py: the page and its copies are the same."""
    gateway, before = shared_web.gateway, len(shared_web.flows())
    key = gateway.key()
    assert call(gateway).status == 200
    with tunnel(gateway.port, OPENAI, key, gateway.ca_file) as wire:
        fields = [("Host", OPENAI), ("Authorization", "Bearer sk-x")]
        assert wire.request("GET", "/v1/models?limit=3", fields).status == 200
    with Wire(gateway.port) as wire:
        fields = [("Host", "x"), ("X-API-Key", key), ("X-Also", f"my key is {key}"), JSON]
        path = "/transparent/anthropic/v1/messages"
        assert wire.request("POST", path, fields, f'{{"key": "{key}"}}'.encode()).status >= 200
        path = "/transparent/bedrock_us1/model/anthropic.claude-3-sonnet-20240229-v1:0/invoke"
        wire.request("POST", path, fields, CHAT)
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert get(gateway, f"/transparent/openai/v1/models?key={wrong}", ("X-API-Key", wrong)).status == 401
    assert get(gateway, "/transparent/nobody/x", ("X-API-Key", key), ("Cookie", "session=oatmeal")).status == 404
    emulators.behave(OPENAI, Behaviour(hang=True))
    with Wire(gateway.port) as wire:
        begin(gateway, wire, b'{"say": "in flight", "password": "oatmeal"}')
        emulators.wait(lambda seen: any(one.status is None for one in seen))
        eventually(lambda: len(shared_web.flows()) == before + 7)
        found = shared_web.everything()
        assert b"in flight" in found
        wire.reset()
    eventually(lambda: "state: over" in shared_web.flows()[-1]["comment"])
    found += shared_web.everything()
    assert b"hello" in found, "the flows themselves are to be seen"
    for secret in [*secrets(shared_web, emulators), wrong.encode(), b"oatmeal"]:
        assert secret not in found


def test_a_flow_cannot_be_loaded_edited_or_sent_again(shared_web: Web, emulators: Emulators) -> None:
    """Loaded flows would walk through the chain, where a good key in them would have them signed."""
    number = call(shared_web.gateway).header("x-request-id")
    eventually(lambda: f"id: {number}\n" in shared_web.flows()[-1]["comment"])
    eventually(lambda: "state: over" in shared_web.flows()[-1]["comment"])
    flows = shared_web.flows()
    dump = shared_web.ask("GET", "/flows/dump").body
    emulators.clear()
    place = f"/flows/{flows[-1]['id']}"
    for method, path, content in (
        *(("POST", f"{place}/replay", {}), ("POST", "/flows/dump", dump), ("POST", "/clear", {})),
        *(
            ("PUT", place, {"request": {"host": "evil.example"}}),
            ("POST", f"{place}/duplicate", {}),
            ("DELETE", place, {}),
        ),
    ):
        assert shared_web.ask(method, path, content).status == 403
    assert shared_web.flows() == flows
    assert emulators.connections == ()


def test_the_log_holds_neither_token_nor_secret(shared_web: Web, emulators: Emulators) -> None:
    """The token is printed once, beside the log."""
    call(shared_web.gateway)
    log = [line for line in shared_web.gateway.log().splitlines() if line.startswith("{")]
    assert shared_web.token not in json.dumps(log)
    for secret in secrets(shared_web, emulators):
        assert secret.decode() not in "\n".join(log)
