"""WebSocket clients as people use them: OpenAI's Realtime client and the `websockets` package, unmodified."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.clients.ways import key_in_the_proxy, key_in_the_sdk, key_in_the_tls_proxy, plain, secure, trust
from tests.fixtures.serving import Serving
from tests.llmauth.demo.clients import cloud_interpreter

_BASE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def run(code: str, environ: Mapping[str, str], folder: Path) -> Any:
    """What a program prints as JSON; the test fails with what it said otherwise."""
    program = folder / "program.py"
    program.write_text(dedent(code))
    done = subprocess.run(
        [cloud_interpreter(), "-I", program], env={**_BASE, **environ}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


REALTIME = """
    import json
    from openai import OpenAI

    with OpenAI().realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", "instructions": "Be short."})
        connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}
        )
        connection.response.create()
        kinds, said = [], ""
        for event in connection:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said += event.delta
            elif event.type == "response.done":
                break
    print(json.dumps([kinds, said]))
"""

WAYS = {
    "the proxy's password": lambda g: {**key_in_the_proxy(g), "OPENAI_API_KEY": "placeholder"},
    "the SDK's own slot": lambda g: {**key_in_the_sdk(g), "OPENAI_API_KEY": g.key()},
    "a base URL": lambda g: {
        "OPENAI_BASE_URL": plain(g, "/transparent/openai/v1"),
        "OPENAI_API_KEY": g.key(),
    },
    "a base URL over TLS": lambda g: {
        "OPENAI_BASE_URL": secure(g, "/transparent/openai/v1"),
        "OPENAI_API_KEY": g.key(),
        **trust(g),
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_openais_realtime_client(gateway: Serving, emulators: Emulators, tmp_path: Path, way: str) -> None:
    kinds, said = run(REALTIME, WAYS[way](gateway), tmp_path)
    assert kinds[:4] == ["session.created", "session.updated", "conversation.item.added", "response.created"]
    assert kinds[-1] == "response.done"
    assert said
    (seen,) = emulators.requests()
    assert seen.values("authorization") == [f"Bearer {emulators.credentials.openai_key}".encode()]
    assert gateway.key().encode() not in seen.head


def test_openais_asynchronous_realtime_client_through_a_proxy_over_tls(gateway: Serving, tmp_path: Path) -> None:
    """The other one cannot: Python's sockets hold no TLS inside of TLS."""
    code = """
        import asyncio, json
        from openai import AsyncOpenAI

        async def kinds():
            async with AsyncOpenAI().realtime.connect(model="gpt-realtime") as connection:
                await connection.response.create()
                seen = []
                async for event in connection:
                    seen.append(event.type)
                    if event.type == "response.done":
                        return seen

        print(json.dumps(asyncio.run(kinds())))
    """
    kinds = run(code, {**key_in_the_tls_proxy(gateway), "OPENAI_API_KEY": "placeholder"}, tmp_path)
    assert (kinds[0], kinds[-1]) == ("session.created", "response.done")


def test_the_websockets_package_with_the_key_among_the_subprotocols(
    gateway: Serving, emulators: Emulators, tmp_path: Path
) -> None:
    """With compression offered and pings of its own, as it comes."""
    code = """
        import json, os
        from websockets.sync.client import connect

        protocols = ["realtime", "openai-insecure-api-key." + os.environ["KEY"]]
        with connect(os.environ["URL"], subprotocols=protocols) as socket:
            created = json.loads(socket.recv())["type"]
            socket.send("echo: \\N{SNOWMAN}" * 1000)
            echoed = socket.recv()
            socket.send(b"\\x00" * 300_000)
            binary = len(socket.recv())
            alive = socket.ping().wait(5)
        print(json.dumps([socket.subprotocol, created, len(echoed), binary, alive, socket.close_code]))
    """
    url = plain(gateway, "/transparent/openai/v1/realtime?model=gpt-realtime&emulator_deflate=1")
    environ = {"URL": url.replace("http", "ws", 1), "KEY": gateway.key()}
    assert run(code, environ, tmp_path) == ["realtime", "session.created", 7000, 300_000, True, 1000]
    (seen,) = emulators.requests()
    assert gateway.key().encode() not in seen.head
    assert seen.values("sec-websocket-extensions") != []


def test_the_websockets_package_is_told_why_it_may_not_go_on(gateway: Serving, tmp_path: Path) -> None:
    code = """
        import json, os, sys
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        with connect(os.environ["URL"], additional_headers={"X-API-Key": os.environ["KEY"]}) as socket:
            socket.recv()
            try:
                socket.recv(timeout=10)
            except ConnectionClosed as closed:
                print(json.dumps([closed.rcvd.code, closed.rcvd.reason]))
    """
    key = gateway.llmauth("keys", "create", "short-socket", "--expires", "4s").strip()
    url = plain(gateway, "/transparent/openai/v1/realtime?model=gpt-realtime").replace("http", "ws", 1)
    assert run(code, {"URL": url, "KEY": key}, tmp_path) == [1008, "the key is no longer valid"]


def test_the_websockets_package_sees_a_cut_as_one(gateway: Serving, tmp_path: Path) -> None:
    code = """
        import json, os
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect

        with connect(os.environ["URL"], additional_headers={"X-API-Key": os.environ["KEY"]}) as socket:
            socket.recv()
            socket.send('{"type": "emulator.cut", "how": "fin"}')
            try:
                socket.recv(timeout=10)
            except ConnectionClosed as closed:
                print(json.dumps([closed.rcvd, socket.close_code]))
    """
    url = plain(gateway, "/transparent/openai/v1/realtime?model=gpt-realtime").replace("http", "ws", 1)
    assert run(code, {"URL": url, "KEY": gateway.key()}, tmp_path) == [None, 1006]
