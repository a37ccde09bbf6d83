"""The page of `llmauth serve --web` as a person sees it, in a real browser."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.fixtures.browser import PROGRAM, Browser
from tests.fixtures.calls import JSON, OPENAI, STREAM, begin, call, get
from tests.fixtures.raw import Wire, tunnel
from tests.fixtures.serving import Serving, free_port, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")]
EVIL = "/v1/models/<img/src=x/onerror=document.title=1>"
ROWS = "document.querySelectorAll('.flow-table tbody tr.has-request').length"
PICTURE = "LLMAUTH_PICTURE"  # where a person wants one


@pytest.fixture
def gateway(tmp_path: Path, shared_emulators: Emulators) -> Iterator[Serving]:
    gateway = start(tmp_path, shared_emulators, options=["--web", "--web-port", str(free_port())], level="info")
    yield gateway
    gateway.stop()
    shared_emulators.clear()


def ask(gateway: Serving, path: str, body: bytes, *more: tuple[str, str]) -> None:
    with Wire(gateway.port) as wire:
        wire.request("POST", path, [("Host", "gateway"), ("X-API-Key", gateway.key()), JSON, *more], body)


def send(gateway: Serving) -> None:
    """Requests of several kinds, by every door."""
    question = [{"role": "user", "content": "Who are you?"}]
    call(gateway)
    call(gateway, STREAM)
    with tunnel(gateway.port, OPENAI, gateway.key(), gateway.ca_file) as wire:
        wire.request("GET", "/v1/models?limit=3", [("Host", OPENAI), ("Authorization", "Bearer sk-placeholder")])
    said = json.dumps({"model": "claude-sonnet-5", "max_tokens": 50, "messages": question}).encode()
    ask(gateway, "/transparent/anthropic/v1/messages", said, ("anthropic-version", "2023-06-01"))
    model = "bedrock_us1/anthropic.claude-3-sonnet-20240229-v1:0"
    ask(gateway, "/v1/chat/completions", json.dumps({"model": model, "messages": question, "stream": True}).encode())
    get(gateway, "/transparent/openai/v1/models", ("X-API-Key", "llmauth_abcdefghij_mistyped"))
    get(gateway, EVIL, ("X-API-Key", gateway.key()))


def test_it_shows_what_passes_and_what_we_decided(gateway: Serving, shared_emulators: Emulators) -> None:
    gateway.key("alice")
    gateway._keys["test"] = gateway.key("alice")
    address = (gateway.home / "web-token").read_text().strip()
    with Browser() as browser, Wire(gateway.port) as running:
        browser.do("Page.navigate", url=address)
        browser.until("document.querySelector('.connection-indicator.established') !== null")
        assert "token" not in browser.run("location.href + document.referrer")
        send(gateway)
        shared_emulators.behave(OPENAI, Behaviour(stall_after=700))
        begin(gateway, running, STREAM)
        browser.until(f"{ROWS} == 8")
        browser.until("(document.body.innerText.match(/· running/g) || []).length == 1")
        shown = browser.run("document.body.innerText")
        assert re.search(r"alice → openai · \d+ in, 12 out", shown)
        assert "⛔" in shown
        # What a client wrote is text.
        assert EVIL in shown
        assert browser.run("document.title") == "mitmproxy"
        # One of them, and what was decided about it.
        browser.run("document.querySelectorAll('.flow-table tbody tr.has-request')[4].click()")
        browser.run("[...document.querySelectorAll('.flow-detail nav a')].find(a => a.text == 'Comment').click()")
        told = browser.until("(document.querySelector('.flow-detail') || {}).innerText")
        assert "credential: bedrock_us1 → environment" in told
        assert "host: replaced" in told
        # What it cannot do is not offered.
        for word in ("Replay", "Delete", "Edit", "Intercept", "Resume"):
            assert word not in browser.run("document.body.innerText")
        if PICTURE in os.environ:
            browser.picture(Path(os.environ[PICTURE]))
        said = json.dumps(browser.events) + shown + told
        for secret in (gateway.key(), shared_emulators.credentials.openai_key, "Signature="):
            assert secret not in said
        assert not [one for one in browser.events if one["method"] == "Runtime.exceptionThrown"]
