"""The response object around the output: what was asked, how it went, what it took."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, Choose, JsonObject, JsonSchema, Named, Text, Tool, Usage
from llmauth.chat.words import Word
from llmauth.codecs.base import Answering
from llmauth.codecs.responses.output import Json, Status

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})


class Frame:
    """One response, told as often as its stream tells it; what was asked is written down once."""

    def __init__(self, answering: Answering) -> None:
        self._id = f"resp_{answering.id}"
        self._created = answering.created
        self._model = answering.model
        self._asked = _asked(answering.request)

    def told(
        self,
        status: Status,
        output: list[Json],
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: Json | None = None,
        service_tier: str | None = None,
    ) -> Json:
        """The response as it stands; `reason` is why it is incomplete."""
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": error,
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self._model,
            "output": output,
            "service_tier": service_tier if service_tier in _TIERS else None,
            "usage": None if usage is None else _tokens(usage),
            **self._asked,
        }


def _tokens(usage: Usage) -> Json:
    """OpenAI counts what the cache gave and took among the input."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def _asked(request: ChatRequest) -> Json:
    """The request's settings. Null where it said nothing: what a provider takes for granted then is its own affair."""
    said = request.parameters
    user = request.named(Word.USER)
    return {
        "background": False,
        "instructions": _instructions(request),
        "max_output_tokens": said.get(Word.MAX_TOKENS),
        "max_tool_calls": None,
        "metadata": said.get(Word.METADATA, {}),
        "parallel_tool_calls": said.get(Word.PARALLEL_TOOL_CALLS, True),
        "previous_response_id": None,
        "prompt_cache_key": said.get(Word.PROMPT_CACHE_KEY),
        "prompt_cache_retention": said.get(Word.PROMPT_CACHE_RETENTION),
        "reasoning": _reasoning(request),
        "safety_identifier": None if user == "user" else said.get(Word.USER),
        "store": False,
        "temperature": said.get(Word.TEMPERATURE),
        "text": _text(request),
        "tool_choice": _choice(request.tool_choice),
        "tools": [_tool(tool) for tool in request.tools],
        "top_logprobs": said.get(Word.TOP_LOGPROBS, 0),
        "top_p": said.get(Word.TOP_P),
        "truncation": said.get(Word.TRUNCATION, "disabled"),
        "user": said.get(Word.USER) if user == "user" else None,
    }


def _instructions(request: ChatRequest) -> str | None:
    """ "A system (or developer) message inserted into the model's context." """
    first = request.messages[0] if request.messages else None
    if first is None or first.role != "system":
        return None
    return "".join(part.text for part in first.parts if isinstance(part, Text))


def _reasoning(request: ChatRequest) -> Json:
    wanted = request.reasoning
    if wanted is None:
        return {"effort": None, "summary": None}
    return {"effort": wanted.effort, "summary": "auto" if wanted.shown else None}


def _text(request: ChatRequest) -> Json:
    told: Json = {"format": _form(request.output)}
    verbosity = request.parameters.get(Word.VERBOSITY)
    return told if verbosity is None else {**told, "verbosity": verbosity}


def _form(output: JsonObject | JsonSchema | None) -> Json:
    if isinstance(output, JsonSchema):
        told = {"type": "json_schema", "name": output.name, "schema": output.schema, "strict": output.strict}
        return {**told, "description": output.description} if output.description else told
    return {"type": "json_object" if isinstance(output, JsonObject) else "text"}


def _choice(choice: Choose | Named | None) -> Any:
    if isinstance(choice, Named):
        return {"type": "function", "name": choice.name}
    return (choice or Choose.AUTO).value


def _tool(tool: Tool) -> Json:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description or None,
        "parameters": tool.schema,
        "strict": tool.strict,
    }
