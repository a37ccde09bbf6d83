"""The echo host: it tells what it received, or gives the body back."""

from __future__ import annotations

import hashlib

from llmauth.demo.behaviour import Behaviour
from llmauth.demo.emulators import Emulators
from tests.llmauth.demo.wire import call

HOST = "unheard-of.example"


def test_tells_what_it_received(emulators: Emulators) -> None:
    seen = call(
        emulators, HOST, "PATCH", "/a%2Fb?c=%20", {"X-Odd": "Case", "x-odd": "again", "x-api-key": "left"}, b"abc"
    ).json()
    assert (seen["method"], seen["target"]) == ("PATCH", "/a%2Fb?c=%20")
    assert ["X-Odd", "Case"] in seen["headers"]
    assert ["x-odd", "again"] in seen["headers"]
    assert seen["body_sha256"] == hashlib.sha256(b"abc").hexdigest()


def test_gives_the_body_back(emulators: Emulators) -> None:
    reply = call(emulators, HOST, "POST", "/echo/x", {"Content-Type": "a/b"}, bytes(range(256)))
    assert (reply.body, reply.header("content-type")) == (bytes(range(256)), "a/b")


def test_fails_when_told_to(emulators: Emulators) -> None:
    emulators.behave(HOST, Behaviour(status=500))
    assert call(emulators, HOST, "GET", "/").status == 500
