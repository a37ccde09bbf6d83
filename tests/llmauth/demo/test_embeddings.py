"""Vectors: decided by the text, of length 1, and the same in every spelling."""

from __future__ import annotations

import base64
import math
import struct

import pytest

from llmauth.demo.embeddings import bits, by_type, packed, signs, vector


def test_a_text_decides_its_vector() -> None:
    assert vector("a", 16) == vector("a", 16) != vector("b", 16)
    assert math.dist(vector("日本", 300), [0.0] * 300) == pytest.approx(1, abs=1e-6)


def test_packed_numbers_are_the_same_numbers() -> None:
    values = vector("a", 8)
    assert list(struct.unpack("<8f", base64.b64decode(packed(values)))) == values


def test_bits_are_the_signs() -> None:
    values = [0.5, -0.5, 0.1, 0.2, -0.1, -0.1, -0.1, 0.9]
    assert signs(values) == [1, 0, 1, 1, 0, 0, 0, 1]
    assert (bits(values, signed=False), bits(values, signed=True)) == ([177], [49])


def test_types_of_cohere() -> None:
    values = vector("a", 16)
    assert by_type("float", values) == values
    assert by_type("base64", values) == packed(values)
    small, positive = list(by_type("int8", values)), list(by_type("uint8", values))
    assert [value - 128 for value in positive] == small
    assert min(positive) >= 1
    assert len(by_type("ubinary", values)) == 2
