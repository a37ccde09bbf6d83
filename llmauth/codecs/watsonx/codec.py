"""watsonx's chat: a dialect of OpenAI's, in which the path says whether to stream and the body for whom."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, ChatResponse, Finish, Reasoning
from llmauth.codecs.base import Asked, StreamDecoder, to_json
from llmauth.codecs.mapping import Table, admit, apply
from llmauth.codecs.openai.answers import parse_answer
from llmauth.codecs.openai.rendering import render_messages, render_output
from llmauth.codecs.openai.table import effort_of
from llmauth.codecs.reading import Malformed, Node, parse_fast
from llmauth.codecs.watsonx import errors, tools
from llmauth.codecs.watsonx.stream import FINISHES_HERE, WatsonxStream
from llmauth.codecs.watsonx.table import TABLE
from llmauth.errors import BrokenAnswer, UpstreamError
from llmauth.http import Headers

# "reasoning_effort (low|medium|high)": the nearest of them.
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


class WatsonxProvider:
    """The ProviderCodec of watsonx.ai. A call belongs to a project or to a space: give exactly one of the two."""

    name = "watsonx"
    table: Table = TABLE

    def __init__(self, model: str, project_id: str | None = None, space_id: str | None = None) -> None:
        if project_id is not None and space_id is not None:
            raise ValueError("a call belongs to a project or to a space, not to both")
        scope = {"project_id": project_id, "space_id": space_id}
        self._whose = {"model_id": model, **{name: id_ for name, id_ in scope.items() if id_ is not None}}

    def render_request(self, request: ChatRequest, *, strict: bool = False) -> Asked:
        """See ProviderCodec. It is the same for `/text/chat` and `/text/chat_stream`."""
        admitted = admit(request, self.table, provider="watsonx", strict=strict)
        messages = render_messages(request.messages, features=admitted.features, developer="system", joined=True)
        body: dict[str, Any] = {**self._whose, "messages": messages, **_tools(request)}
        if request.output is not None:
            body["response_format"] = render_output(request.output)
        if request.reasoning is not None:
            body |= _reasoning(request.reasoning)
        apply(body, admitted, self.table)
        return Asked(body=to_json(body), dropped=admitted.dropped)

    def parse_response(self, body: bytes) -> ChatResponse:
        """See ProviderCodec."""
        try:
            node = Node(parse_fast(body))
            if node.object().get("errors"):
                raise errors.told_failure(node.object())
            answer = parse_answer(node, model="model_id", finishes=FINISHES_HERE)
        except Malformed as malformed:
            raise BrokenAnswer(f"The answer of watsonx is broken: {str(malformed)[:160]}.") from None
        if any(choice.finish is Finish.MALFORMED for choice in answer.choices):
            raise errors.stopped()
        return answer

    def stream_decoder(self) -> StreamDecoder:
        """See ProviderCodec."""
        return WatsonxStream()

    def parse_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """See ProviderCodec."""
        return errors.parse_error(status, headers, body)


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    chosen = tools.choice(request.tool_choice) if request.tool_choice is not None else {}
    return {"tools": [tools.tool(given) for given in request.tools], **chosen}


def _reasoning(reasoning: Reasoning) -> dict[str, Any]:
    """No model is kept from thinking here; what it thought can be kept back."""
    effort = effort_of(reasoning)
    told: dict[str, Any] = {"reasoning_effort": _EFFORTS[effort]} if effort in _EFFORTS else {}
    return {**told, "include_reasoning": False} if effort == "none" or reasoning.shown is False else told
