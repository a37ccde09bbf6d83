"""Any server that speaks OpenAI's API: vLLM, Ollama, a company's own gateway."""

from __future__ import annotations

from typing import Literal

from llmauth.codecs.openai.table import COMPATIBLE
from llmauth.context import Operation
from llmauth.providers.named import NOTHING, Call, Named
from llmauth.providers.openai import OpenAIHandler, OpenAIOptions
from llmauth.providers.speaking import Native


class CompatibleOptions(OpenAIOptions):
    """One server. `base_url` is its root, mostly with `/v1` at its end; few have the Responses API."""

    type: Literal["openai_compatible"] = "openai_compatible"  # type: ignore[assignment]
    base_url: str
    responses: bool = False


class CompatibleHandler(OpenAIHandler):
    """What it has of OpenAI's API passes, and Responses are asked for as a chat where it has none."""

    provider = "openai_compatible"
    options_model = CompatibleOptions  # type: ignore[assignment]
    dialect = COMPATIBLE

    def named(self, call: Call) -> Named:
        """Some of these servers take another model within a session."""
        return NOTHING if call.websocket else super().named(call)

    def natively(self, operation: Operation, model: str, *, stream: bool) -> Native | None:
        assert isinstance(self.options, CompatibleOptions)
        if operation == "responses" and not self.options.responses:
            return None
        return super().natively(operation, model, stream=stream)
