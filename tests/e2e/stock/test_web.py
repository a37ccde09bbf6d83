"""mitmweb's API, in the hands of whoever has its password: it shows, and changes nothing that a promise rests on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.e2e.stock.test_life import SOFTWARE, UNSAFE
from tests.e2e.stock.web import Web
from tests.fixtures.calls import CHAT, JSON, OPENAI, STREAM, begin, call, eventually, get
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


@pytest.mark.parametrize("name", INSTEAD)
def test_an_option_that_a_promise_rests_on_stays(shared_web: Web, emulators: Emulators, name: str) -> None:
    before = shared_web.option(name)
    assert before != INSTEAD[name]
    said = shared_web.ask("PUT", "/options", {"showhost": True, name: INSTEAD[name]})
    assert said.status == 400
    assert f"The option {name} cannot be changed" in said.body.decode()
    assert shared_web.option(name) == before


def test_a_change_that_fails_half_way_changes_nothing(shared_web: Web, emulators: Emulators) -> None:
    """mitmproxy sets one value after the other, and a wrong type in the second leaves the first one set."""
    for update in ({"ssl_insecure": True, "showhost": "no"}, {"showhost": True, "ssl_insecure": "yes"}):
        assert shared_web.ask("PUT", "/options", update).status == 400
        assert shared_web.option("ssl_insecure") is False
    assert call(shared_web.gateway).status == 200


def test_how_things_look_may_be_changed(shared_web: Web, emulators: Emulators) -> None:
    assert shared_web.ask("PUT", "/options", {"web_columns": ["path"], "showhost": False}).status == 200
    assert shared_web.option("web_columns") == ["path"]


def test_a_script_cannot_be_added(shared_web: Web, emulators: Emulators, tmp_path: Any) -> None:
    script = tmp_path / "evil.py"
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    scripts = shared_web.option("scripts")
    assert shared_web.ask("PUT", "/options", {"scripts": [*scripts, str(script)]}).status == 400
    assert shared_web.option("scripts") == scripts
    assert not (tmp_path / "ran").exists()


COMMANDS = {
    "set": ["ssl_insecure", "true"],
    "script.run": ["@all", "/x.py"],
    "replay.client": ["@all"],
    "save.file": ["@all", "/x"],
    "export.file": ["curl", "@focus", "/x"],
    "options.reset": [],
    "view.flows.create": ["get", "http://evil.example/"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_there_are_no_commands(shared_web: Web, emulators: Emulators, command: str) -> None:
    assert shared_web.ask("GET", "/commands.json").json == {}
    said = shared_web.ask("POST", f"/commands/{command}", {"arguments": COMMANDS[command]})
    assert "Unknown command" in said.json["error"]
    assert shared_web.option("ssl_insecure") is False
    assert emulators.connections == ()


def test_giving_up_the_script_ends_the_process(serve: Callable[..., Serving]) -> None:
    web = Web(serve(tool="mitmweb"))
    with pytest.raises(OSError):
        web.ask("PUT", "/options", {"scripts": []})
    assert web.gateway.process.wait(5) == SOFTWARE
    assert web.gateway.lines("The chain was unloaded or reloaded; the process ends")


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


def everything(web: Web) -> bytes:
    """All that the API gives of flows, log and options."""
    shown = [web.ask("GET", path).body for path in ("/flows.json", "/flows/dump", "/events.json", "/options.json")]
    for flow in web.ask("GET", "/flows.json").json:
        shown += [web.ask("GET", f"/flows/{flow['id']}/{part}/content.data").body for part in ("request", "response")]
    return b"\n".join(shown)


def test_flows_are_shown_and_no_secret_is_in_them(shared_web: Web, emulators: Emulators) -> None:
    gateway = shared_web.gateway
    shared_web.ask("POST", "/clear")
    key = gateway.key()
    assert call(gateway).status == 200
    assert call(gateway, STREAM).status == 200
    with tunnel(gateway.port, OPENAI, key, gateway.ca_file) as wire:
        assert (
            wire.request("GET", "/v1/models?limit=3", [("Host", OPENAI), ("Authorization", "Bearer sk-x")]).status
            == 200
        )
    with Wire(gateway.port) as wire:
        fields = [("Host", "x"), ("X-API-Key", key), ("X-Also", f"my key is {key}"), JSON]
        path = "/transparent/anthropic/v1/messages"
        assert wire.request("POST", path, fields, f'{{"key": "{key}"}}'.encode()).status >= 200
        path = "/transparent/bedrock/model/anthropic.claude-3-sonnet-20240229-v1:0/invoke"
        wire.request("POST", path, fields, CHAT)
    assert get(gateway, f"/transparent/openai/v1/models?key={key}&limit=4").status == 200
    assert get(gateway, f"/transparent/openai/v1/models?token={key}", ("X-API-Key", key)).status == 200
    assert get(gateway, f"/transparent/openai/v1/models/{key}", ("X-API-Key", key)).status == 400
    assert get(gateway, f"/{key.replace('_', '%5F')}/x", ("X-API-Key", key)).status == 404
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert get(gateway, f"/transparent/openai/v1/models?key={wrong}", ("X-API-Key", wrong)).status == 401
    assert get(gateway, "/transparent/nobody/x", ("X-API-Key", key), ("Cookie", "session=oatmeal")).status == 404
    emulators.behave(OPENAI, Behaviour(hang=True))
    with Wire(gateway.port) as wire:
        begin(gateway, wire)
        emulators.wait(lambda seen: any(one.status is None for one in seen))
        flows = shared_web.ask("GET", "/flows.json").json
        # In flight it is not shown at all.
        assert len(flows) == 11
        wire.reset()
    eventually(lambda: len(shared_web.ask("GET", "/flows.json").json) == 12)
    assert {"limit=3", "limit=4"} <= {one["request"]["path"].partition("?")[2] for one in flows}
    assert [flow["response"]["status_code"] for flow in flows][:2] == [200, 200]
    found = everything(shared_web)
    assert b"hello" in found, "the flows themselves are to be seen"
    for secret in [*secrets(shared_web, emulators), wrong.encode(), b"oatmeal"]:
        assert secret not in found


def test_a_flow_cannot_be_loaded_or_sent_again(shared_web: Web, emulators: Emulators) -> None:
    """Loaded flows walk through the chain, where a good key in them would have them signed."""
    assert call(shared_web.gateway).status == 200
    flows = shared_web.ask("GET", "/flows.json").json
    dump = shared_web.ask("GET", "/flows/dump").body
    emulators.clear()
    assert shared_web.ask("POST", f"/flows/{flows[-1]['id']}/replay", {}).status == 500
    assert shared_web.ask("POST", "/flows/dump", dump).status == 500
    assert shared_web.ask("GET", "/flows.json").json == []
    assert emulators.connections == ()


def test_an_edit_of_a_flow_brings_nothing_back(shared_web: Web, emulators: Emulators) -> None:
    gateway = shared_web.gateway
    emulators.behave(OPENAI, Behaviour(stall_after=50))
    with Wire(gateway.port) as wire:
        begin(gateway, wire, STREAM)
        eventually(lambda: len(shared_web.ask("GET", "/flows.json").json) == 1)
        (flow,) = shared_web.ask("GET", "/flows.json").json
        edit = {"request": {"host": "evil.example", "headers": [["x", "y"]]}}
        assert shared_web.ask("PUT", f"/flows/{flow['id']}", edit).status == 200
        shared_web.ask("POST", f"/flows/{flow['id']}/duplicate", {})
        shared_web.ask("POST", f"/flows/{flow['id']}/revert", {})
        found = everything(shared_web)
        for secret in secrets(shared_web, emulators):
            assert secret not in found
        assert {one.host for one in emulators.requests()} == {OPENAI}


def test_the_log_holds_neither_token_nor_secret(shared_web: Web, emulators: Emulators) -> None:
    """The token is printed once, beside the log."""
    call(shared_web.gateway)
    log = [line for line in shared_web.gateway.log().splitlines() if line.startswith("{")]
    assert shared_web.token not in json.dumps(log)
    for secret in secrets(shared_web, emulators):
        assert secret.decode() not in "\n".join(log)
