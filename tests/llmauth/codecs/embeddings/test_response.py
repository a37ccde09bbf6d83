"""OpenAI's answer: in order, exact as numbers, and little-endian 32-bit floats in base64."""

import base64
import json
import struct
import sys
from array import array

from hypothesis import given
from hypothesis import strategies as st

from llmauth.codecs.embeddings.response import in_base64, render
from tests.llmauth.codecs.embeddings.goldens import FIRST, SECOND


def test_the_answer_is_openais():
    told = json.loads(render([FIRST, SECOND], model="m", tokens=5, encoding="float"))
    assert told == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1.0]},
            {"object": "embedding", "index": 1, "embedding": [0.0, 1.0, 2.0]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }


def test_base64_is_little_endian_whatever_the_machine(monkeypatch):
    assert in_base64(array("d", [1.0, -2.0])) == base64.b64encode(struct.pack("<2f", 1.0, -2.0)).decode()
    monkeypatch.setattr(sys, "byteorder", "big")
    assert in_base64(array("d", [1.0, -2.0])) == base64.b64encode(struct.pack(">2f", 1.0, -2.0)).decode()


def test_a_models_name_cannot_leave_its_place():
    told = json.loads(render([FIRST], model='m","usage":{"x":"é\ud800', tokens=1, encoding="base64"))
    assert told["model"] == 'm","usage":{"x":"é\ud800'
    assert told["usage"]["prompt_tokens"] == 1


@given(st.lists(st.floats(-1e30, 1e30, allow_nan=False), min_size=1, max_size=20))
def test_no_number_changes_on_its_way(numbers):
    told = json.loads(render([array("d", numbers)], model="m", tokens=0, encoding="float"))
    assert told["data"][0]["embedding"] == numbers
    packed = base64.b64decode(in_base64(array("d", numbers)))
    assert packed == struct.pack(f"<{len(numbers)}f", *numbers)
