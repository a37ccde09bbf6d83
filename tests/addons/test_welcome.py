"""The front page: what it says, and that what a claim says stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from addons.welcome import page
from llmauth.context import Identity

NOTHING: dict[str, Any] = dict.fromkeys(
    ("models", "instances", "protocols", "hosts", "methods", "rpm", "tpm", "concurrent", "budget", "until")
)
PLACE = "https://llm.corp:8443"
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</dd></dl><iframe src=//evil.example>",
    "</style><style>*{background:url(//evil.example)}",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "{{7*7}}<!--",
]


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(identity: Identity, place: str = PLACE, **allowed: Any) -> Reader:
    reader = Reader()
    reader.feed(page(identity, {**NOTHING, **allowed}, place).body.decode())
    return reader


PLAIN = read(Identity(user="alice", method="alb"))


def test_it_says_who_one_is_what_one_may_and_how_to_go_on() -> None:
    alice = Identity(user="alice@corp", method="alb", groups=("research", "interns"))
    text = read(alice, models=("claude-*",), rpm=60).text
    for told in ("alice@corp", "research, interns", "claude-*", "60 requests a minute", f"llmauth join {PLACE}"):
        assert told in text


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_claim_says_is_text(attack: str) -> None:
    reader = read(Identity(user=attack, method="alb", groups=(attack,)), place=attack, models=(attack,))
    assert [tag for tag in reader.tags if tag not in ("dt", "dd")] == [
        tag for tag in PLAIN.tags if tag not in ("dt", "dd")
    ]
    assert reader.attributes == PLAIN.attributes
    assert reader.text.count(attack) == 4


@pytest.mark.parametrize("sign", ["\u202e", "\u200b", "\x00", "\x1b", "\ud800"])
def test_signs_that_nobody_sees_are_shown(sign: str) -> None:
    assert sign not in read(Identity(user=f"ali{sign}ce", method="alb")).text


def test_nothing_may_run_be_framed_or_be_kept() -> None:
    answer = page(Identity(user="alice", method="alb"), NOTHING, PLACE)
    policy = answer.headers.get("content-security-policy") or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert f"{name} 'none'" in policy
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode())
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert answer.headers.get("cache-control") == "no-store"
    assert answer.headers.get("x-frame-options") == "DENY"
    assert answer.headers.get("x-content-type-options") == "nosniff"
    assert not {"script", "iframe", "form", "img", "link", "a"} & set(PLAIN.tags)
