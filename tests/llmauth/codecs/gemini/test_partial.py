"""Arguments that come in pieces."""

import time

import pytest

from llmauth.codecs.gemini.partial import PartialCall
from llmauth.codecs.reading import Malformed, Node


def args(*pieces):
    call = PartialCall("f", "", None)
    for piece in pieces:
        call.take(Node(piece))
    return call.args


def piece(path, more=None, **value):
    return {"jsonPath": path, **value, **({} if more is None else {"willContinue": more})}


def test_values_of_every_kind_find_their_places():
    assert args(
        piece("$.a", stringValue="x"),
        piece("$.b.c", numberValue=1.5),
        piece("$.b.d[0]", boolValue=False),
        piece("$.b.d[1].e", nullValue="NULL_VALUE"),
        piece("$['odd name']", stringValue="y"),
        piece('$["it\'s"]', stringValue="z"),
        piece(r"$['q\'q']", stringValue="w"),
        piece("$.größe", numberValue=0),
    ) == {
        "a": "x",
        "b": {"c": 1.5, "d": [False, {"e": None}]},
        "odd name": "y",
        "it's": "z",
        "q'q": "w",
        "größe": 0,
    }


def test_a_string_goes_on_until_it_ends():
    pieces = [piece("$.a", True, stringValue=text) for text in ("on", "e ")]
    assert args(*pieces, piece("$.a", False, stringValue="two")) == {"a": "one two"}
    assert args(*pieces, piece("$.a")) == {"a": "one "}
    assert args(piece("$.a", stringValue="one"), piece("$.a", stringValue="two")) == {"a": "two"}


@pytest.mark.parametrize(
    "pieces",
    [
        [{"stringValue": "x"}],
        [piece("", stringValue="x")],
        [piece("$", stringValue="x")],
        [piece("a", stringValue="x")],
        [piece("$[0]", stringValue="x")],
        [piece("$..a", stringValue="x")],
        [piece("$.a[*]", stringValue="x")],
        [piece("$.a[1]", stringValue="x")],
        [piece("$.a[999999999]", stringValue="x")],
        [piece("$" + ".a" * 101, stringValue="x")],
        [piece("$.a", stringValue="x"), piece("$.a.b", stringValue="x")],
        [piece("$.a[0]", stringValue="x"), piece("$.a.b", stringValue="x")],
        [piece("$.a", True, stringValue="x"), piece("$.a", numberValue=1)],
        [piece("$.a", True, numberValue=1), piece("$.a", stringValue="x")],
        [piece("$.a", numberValue="1")],
        [piece("$.a", "yes", stringValue="x")],
    ],
)
def test_what_fits_nowhere_is_malformed(pieces):
    with pytest.raises(Malformed):
        args(*pieces)


def test_a_string_in_many_pieces_costs_what_it_is_long():
    begun = time.process_time()
    assert args(*[piece("$.a", more=True, stringValue="x" * 100)] * 40_000) == {"a": "x" * 4_000_000}
    assert time.process_time() - begun < 2
