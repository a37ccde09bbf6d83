"""The golden bytes of every format of embeddings, written by hand from the providers' documentation."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

from llmauth.codecs.embeddings.base import EmbeddingFormat, Vectors
from llmauth.codecs.embeddings.request import EmbeddingRequest
from llmauth.codecs.reading import Malformed
from llmauth.http import Headers

FOLDER = Path(__file__).parents[3] / "golden" / "embeddings"
FIRST, SECOND = array("d", [0.25, -0.5, 1.0]), array("d", [0.0, 1.0, 2.0])


def asked(*inputs: str, **more: Any) -> EmbeddingRequest:
    """A request for these texts, or for the two of the golden files."""
    return EmbeddingRequest(model="m", inputs=inputs or ("Bonjour", "le monde"), **more)


def bodies(form: EmbeddingFormat, request: EmbeddingRequest) -> list[Any]:
    """The calls that a request becomes."""
    return [json.loads(piece.body) for piece in form.render(request)]


def request_of(name: str) -> list[Any]:
    """The golden calls."""
    told: list[Any] = json.loads((FOLDER / f"{name}.request.json").read_text())
    return told


def read(form: EmbeddingFormat, name: str, *fields: tuple[bytes, bytes]) -> Vectors:
    """What the golden answer says."""
    return form.parse((FOLDER / f"{name}.response.json").read_bytes(), Headers(fields))


def survives(form: EmbeddingFormat, name: str) -> int:
    """How many mutations of a golden answer are refused; Malformed is the only exception that one may cause."""
    golden = (FOLDER / f"{name}.response.json").read_text()
    wrongs = [golden[:cut] for cut in range(0, len(golden), 7)]
    for old in ("[0.25, -0.5, 1.0]", "3", "2", "5", "{"):
        for new in ("null", "[]", '["x"]', "[NaN]", "[1e999]", "[1e39]", "{}", '"x"', "-1", "true", "[" * 2000):
            wrongs.append(golden.replace(old, new))
    refused = 0
    for wrong in wrongs:
        try:
            form.parse(wrong.encode(), Headers())
        except Malformed:
            refused += 1
    return refused
