"""A whole generateContent response, read as a stream of one chunk."""

from __future__ import annotations

from llmauth.chat.collecting import collect
from llmauth.chat.messages import ChatResponse
from llmauth.codecs.gemini.chunks import Chunks
from llmauth.codecs.gemini.errors import told_failure
from llmauth.codecs.reading import Malformed, parse_fast
from llmauth.errors import BrokenAnswer


def parse_response(body: bytes) -> ChatResponse:
    """BrokenAnswer for what is no response; UpstreamError where it tells of a failure."""
    chunks = Chunks()
    try:
        value = parse_fast(body)
        failure = told_failure(value)
        if failure is not None:
            raise failure
        events = chunks.take(value)
        ended = chunks.end(whole=True)
    except RecursionError:
        raise BrokenAnswer("The answer of Gemini cannot be read: nested too deeply.") from None
    except Malformed as malformed:
        raise BrokenAnswer(f"The answer of Gemini cannot be read: {malformed}.") from None
    if ended is None:
        raise BrokenAnswer("The answer of Gemini holds no candidate, and no reason for that.")
    return collect(events + ended)
