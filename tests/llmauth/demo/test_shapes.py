"""The checks: each accepts what it should, and a mismatch names the path and the fault."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo import shapes
from llmauth.demo.shapes import Check, Fault, Mismatch

PERSON = shapes.record(
    {
        "name": shapes.filled,
        "age": shapes.integer(0, 150),
        "tags": shapes.list_of(shapes.text, most=2),
        "friends": shapes.list_of(shapes.record({"name": shapes.text}, "name")),
        "note": shapes.optional(shapes.text),
        "kind": shapes.one_of("a", "b"),
        "size": shapes.number_of(1, 2),
        "score": shapes.number(0, 1),
        "ok": shapes.flag,
        "code": shapes.matching("[a-z]+"),
        "content": shapes.text_or(shapes.list_of(shapes.mapping)),
        "either": shapes.union({"x": shapes.text, "y": shapes.anything}),
        "block": shapes.tagged({"text": shapes.record({"type": shapes.text, "text": shapes.text}, "text")}),
    },
    "name",
)


@pytest.mark.parametrize(
    "more",
    [
        {"age": 0, "tags": ["a", "b"], "friends": [{"name": ""}], "note": None, "kind": "a", "size": 2},
        {"score": 1, "ok": False, "code": "abc", "content": "text", "either": {"y": None}},
        {"content": [{}], "block": {"type": "text", "text": ""}},
    ],
)
def test_accepts(more: dict[str, Any]) -> None:
    PERSON({"name": "n", **more})


@pytest.mark.parametrize(
    ("more", "path", "fault"),
    [
        ({"name": ""}, "name", Fault.WRONG),
        ({"age": 151}, "age", Fault.WRONG),
        ({"age": True}, "age", Fault.WRONG),
        ({"age": 1.0}, "age", Fault.WRONG),
        ({"tags": ["a", "b", "c"]}, "tags", Fault.WRONG),
        ({"tags": ["a", 1]}, "tags[1]", Fault.WRONG),
        ({"friends": [{}, {}]}, "friends[0].name", Fault.MISSING),
        ({"friends": [{"name": "", "age": 1}]}, "friends[0].age", Fault.UNKNOWN),
        ({"note": 1}, "note", Fault.WRONG),
        ({"kind": "c"}, "kind", Fault.WRONG),
        ({"kind": []}, "kind", Fault.WRONG),
        ({"size": 3}, "size", Fault.WRONG),
        ({"size": True}, "size", Fault.WRONG),
        ({"size": 1.0}, "size", Fault.WRONG),
        ({"score": 1.01}, "score", Fault.WRONG),
        ({"score": True}, "score", Fault.WRONG),
        ({"ok": 1}, "ok", Fault.WRONG),
        ({"code": "abc1"}, "code", Fault.WRONG),
        ({"content": [1]}, "content[0]", Fault.WRONG),
        ({"either": {}}, "either", Fault.WRONG),
        ({"either": {"x": "", "y": 1}}, "either", Fault.WRONG),
        ({"either": {"z": 1}}, "either.z", Fault.UNKNOWN),
        ({"block": {}}, "block.type", Fault.MISSING),
        ({"block": {"type": "image"}}, "block.type", Fault.WRONG),
        ({"block": {"type": "text"}}, "block.text", Fault.MISSING),
        ({"unheard_of": 1}, "unheard_of", Fault.UNKNOWN),
    ],
)
def test_names_the_path_and_the_fault(more: dict[str, Any], path: str, fault: Fault) -> None:
    with pytest.raises(Mismatch) as caught:
        PERSON({"name": "n", **more})
    assert (caught.value.path, caught.value.fault) == (path, fault)


@pytest.mark.parametrize(
    ("check", "wanted"), [(shapes.integer(1, 3), "from 1 to 3"), (shapes.list_of(shapes.text, least=1), "at least 1")]
)
def test_says_what_was_wanted(check: Check, wanted: str) -> None:
    with pytest.raises(Mismatch, match=wanted):
        check(None)


def test_an_open_record_takes_further_members() -> None:
    shapes.record({}, closed=False)({"anything": 1})
