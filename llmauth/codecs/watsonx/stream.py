"""watsonx's streams: OpenAI's chunks in named events, without a `[DONE]`, and endings that are failures."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.chat.events import Event, Failed, Finished
from llmauth.chat.messages import Finish
from llmauth.codecs.openai.answers import FINISHES
from llmauth.codecs.openai.chunks import ChatStreamDecoder
from llmauth.codecs.watsonx.errors import stopped, told_failure

FINISHES_HERE: Mapping[str, Finish] = {
    **FINISHES,
    "eos_token": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "time_limit": Finish.LENGTH,
    "cancelled": Finish.MALFORMED,
    "error": Finish.MALFORMED,
}


class WatsonxStream:
    """As OpenAI's, with the choices' `finish_reason` as its end; a choice that ended in a failure fails the stream."""

    def __init__(self) -> None:
        self._inner = ChatStreamDecoder(False, model="model_id", finishes=FINISHES_HERE, failure=told_failure)
        self._deaf = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return [] if self._deaf else self._judged(self._inner.feed(data))

    def close(self) -> list[Event]:
        """The body is over."""
        return [] if self._deaf else self._judged(self._inner.close())

    def _judged(self, events: list[Event]) -> list[Event]:
        for place, event in enumerate(events):
            if isinstance(event, Finished) and event.finish is Finish.MALFORMED:
                self._deaf = True
                return [*events[:place], Failed(stopped())]
        return events
