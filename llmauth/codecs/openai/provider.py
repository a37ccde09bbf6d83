"""The provider half: speaks OpenAI's chat to servers that understand nothing else, each in its dialect."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, ChatResponse, Reasoning
from llmauth.chat.words import Word
from llmauth.codecs.base import Asked, to_json
from llmauth.codecs.mapping import Admitted, Dropped, Ignored, Table, admit, apply
from llmauth.codecs.openai.answers import parse_answer
from llmauth.codecs.openai.chunks import ChatStreamDecoder
from llmauth.codecs.openai.failures import parse_failure, told_failure
from llmauth.codecs.openai.rendering import render_messages, render_output, render_tool, render_tool_choice
from llmauth.codecs.openai.table import COMPATIBLE, Dialect, effort_for, effort_of
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.errors import BrokenAnswer, UpstreamError
from llmauth.http import Headers


class OpenAIProvider:
    """One model behind a server that speaks OpenAI's chat; `kind` is the model where `model` is another name."""

    def __init__(self, model: str, dialect: Dialect = COMPATIBLE, *, kind: str | None = None) -> None:
        self._model = model
        self._dialect = dialect
        self._table = dialect.table_of(kind or model)

    @property
    def name(self) -> str:
        return self._dialect.name

    @property
    def table(self) -> Table:
        return self._table

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """The request as its model is called here; usage is always asked for, since we count it ourselves."""
        table = self._table_for(request)
        admitted = admit(request, table, provider=self._dialect.provider, strict=strict)
        body: dict[str, Any] = {"model": self._model, "messages": self._messages(request, admitted)}
        _put_tools(body, request, admitted)
        if request.output is not None:
            body["response_format"] = render_output(request.output)
        if request.reasoning is not None and Word.REASONING in admitted.features:
            _put_effort(body, request.reasoning, self._model)
        apply(body, admitted, table)
        if request.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return Asked(body=to_json(body), dropped=admitted.dropped)

    def _table_for(self, request: ChatRequest) -> Table:
        """Not to think is what a model that never thinks does unasked."""
        unasked = request.reasoning is not None and effort_of(request.reasoning) in (None, "none")
        if unasked and isinstance(self._table[Word.REASONING], Dropped):
            return {**self._table, Word.REASONING: Ignored()}
        return self._table

    def _messages(self, request: ChatRequest, admitted: Admitted) -> list[dict[str, Any]]:
        return render_messages(
            request.messages,
            features=admitted.features,
            family=self._dialect.family,
            developer=self._dialect.developer,
            joined=self._dialect.joined,
        )

    def parse_response(self, body: bytes) -> ChatResponse:
        """Some tell of a failure with status 200, as an object with `error`."""
        try:
            node = Node(parse_fast(body))
            if node.object().get("error"):
                raise told_failure(node.object())
            return parse_answer(node, family=self._dialect.family)
        except Malformed as fault:
            raise BrokenAnswer(f"The provider's answer cannot be read ({str(fault)[:80]}).") from None

    def stream_decoder(self) -> ChatStreamDecoder:
        """One for each stream."""
        return ChatStreamDecoder(self._dialect.done_required, family=self._dialect.family)

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """Any refusal of the provider."""
        return parse_failure(status, headers, body)


def _put_effort(body: dict[str, Any], reasoning: Reasoning, model: str) -> None:
    effort = effort_for(reasoning, model)
    if effort is not None:
        body["reasoning_effort"] = effort


def _put_tools(body: dict[str, Any], request: ChatRequest, admitted: Admitted) -> None:
    if Word.TOOLS not in admitted.features:
        return
    strict = Word.STRICT_TOOLS in admitted.features or not any(tool.strict for tool in request.tools)
    body["tools"] = [render_tool(tool, features=admitted.features, strict=strict) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = render_tool_choice(request.tool_choice)
