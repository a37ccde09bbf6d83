"""An answer with embeddings as OpenAI's clients read it."""

from __future__ import annotations

import json
import sys
from array import array
from base64 import b64encode
from collections.abc import Iterator, Sequence

from llmauth.codecs.embeddings.request import Encoding


def render(vectors: Sequence[array[float]], *, model: str, tokens: int, encoding: Encoding) -> bytes:
    """The whole answer, in the order of the texts; an embedding counts no tokens but those of its text."""
    usage = json.dumps({"prompt_tokens": tokens, "total_tokens": tokens}, separators=(",", ":"))
    data = ",".join(_items(vectors, encoding))
    return f'{{"object":"list","data":[{data}],"model":{json.dumps(model)},"usage":{usage}}}'.encode("ascii")


def _items(vectors: Sequence[array[float]], encoding: Encoding) -> Iterator[str]:
    """One by one: a thread that writes thousands of vectors lets others have their turn between two of them."""
    for index, vector in enumerate(vectors):
        embedding = (
            f'"{in_base64(vector)}"' if encoding == "base64" else json.dumps(list(vector), separators=(",", ":"))
        )
        yield f'{{"object":"embedding","index":{index},"embedding":{embedding}}}'


def in_base64(vector: array[float]) -> str:
    """The numbers as 32-bit floats, the lowest byte first, in base64."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode("ascii")
