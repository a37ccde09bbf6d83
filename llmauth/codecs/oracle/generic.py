"""Requests in Oracle's GENERIC format, which every model but Cohere's speaks: OpenAI's, with names of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llmauth.chat.messages import (
    Audio,
    ChatRequest,
    Choose,
    Document,
    Image,
    JsonSchema,
    Link,
    Message,
    Named,
    Part,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import Word
from llmauth.codecs.mapping import Admitted, Dropped, Sent, Table
from llmauth.codecs.oracle import rules
from llmauth.codecs.reading import Node

_EFFORTS = {"none": "NONE", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
# Models of OpenAI's: the one family that knows developers, and that counts its thinking among the tokens.
_OPENAI = "openai."


def _prediction(value: Any) -> dict[str, Any]:
    content = Node(value, Word.PREDICTION.value).need("content")
    parts = [content.text()] if isinstance(content.value, str) else [part.text_of("text") for part in content.items()]
    return {"type": "CONTENT", "content": [_text(text) for text in parts]}


def _web_search(value: Any) -> dict[str, Any]:
    asked = Node(value, Word.WEB_SEARCH.value)
    options: dict[str, Any] = {}
    if size := asked.get("search_context_size"):
        options["searchContextSize"] = size.one_of("low", "medium", "high").upper()
    place = (asked.get("user_location") or Node({})).get("approximate")
    if place is not None:
        told = {name: place.text_of(name) for name in ("city", "region", "country", "timezone")}
        options["userLocation"] = {name: text for name, text in told.items() if text}
    return options


BASE: Table = {
    **rules.SHARED,
    Word.MAX_TOKENS: Sent("maxTokens"),
    Word.TEMPERATURE: Sent("temperature"),
    Word.TOP_P: Sent("topP"),
    Word.TOP_K: Sent("topK"),
    Word.STOP: Sent("stop"),
    Word.SEED: Sent("seed"),
    Word.N: Sent("numGenerations"),
    Word.PRESENCE_PENALTY: Sent("presencePenalty"),
    Word.FREQUENCY_PENALTY: Sent("frequencyPenalty"),
    Word.LOGIT_BIAS: Sent("logitBias"),
    # "If the log probability is 5, the API returns a list of the 5 most likely tokens": one number for both.
    Word.LOGPROBS: Sent("logProbs", lambda _: 1),
    Word.TOP_LOGPROBS: Sent("logProbs", lambda count: max(1, count)),
    Word.METADATA: Sent("metadata"),
    Word.SERVICE_TIER: Sent("serviceTier", rules.upper(Word.SERVICE_TIER, "AUTO", "DEFAULT", "PRIORITY")),
    Word.VERBOSITY: Sent("verbosity", rules.upper(Word.VERBOSITY, "LOW", "MEDIUM", "HIGH")),
    Word.PARALLEL_TOOL_CALLS: Sent("isParallelToolCalls"),
    Word.PREDICTION: Sent("prediction", rules.read_by(_prediction)),
    Word.WEB_SEARCH: Sent("webSearchOptions", rules.read_by(_web_search)),
    Word.SYSTEM: Sent("messages", note="role SYSTEM; DEVELOPER with models of OpenAI's"),
    Word.SYSTEM_LATER: Sent("messages", note="where it stands"),
    Word.IMAGE_DATA: Sent("messages.content.imageUrl"),
    Word.IMAGE_URL: Sent("messages.content.imageUrl", note="as it is"),
    Word.DOCUMENT_DATA: Sent("messages.content.documentUrl"),
    Word.DOCUMENT_URL: Sent("messages.content.documentUrl"),
    Word.AUDIO_INPUT: Sent("messages.content.audioUrl"),
    Word.TOOLS: Sent("tools"),
    Word.TOOL_CHOICE_NONE: Sent("toolChoice"),
    Word.TOOL_CHOICE_REQUIRED: Sent("toolChoice"),
    Word.TOOL_CHOICE_NAMED: Sent("toolChoice"),
    Word.TOOL_ERROR: Dropped("the result itself says it"),
    Word.TOOL_RESULT_IMAGE: Sent("messages.content.imageUrl"),
    Word.JSON_OBJECT: Sent("responseFormat"),
    Word.JSON_SCHEMA: Sent("responseFormat.jsonSchema"),
    Word.REASONING: Sent("reasoningEffort", note="xhigh and max count as high; a budget as the effort it comes to"),
    Word.THINKING_BACK: Sent("messages.reasoningContent", note="without what another family signed"),
}


def table(model: str) -> Table:
    """OpenAI's models take `maxCompletionTokens`: "visible output tokens and reasoning tokens"."""
    return {**BASE, Word.MAX_TOKENS: Sent("maxCompletionTokens")} if model.startswith(_OPENAI) else BASE


def body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The structure of `chatRequest`: what is no parameter."""
    told: dict[str, Any] = {"messages": [one for message in request.messages for one in _messages(message, model)]}
    if request.tools:
        told["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            told["toolChoice"] = _choice(request.tool_choice)
    if request.output is not None:
        told["responseFormat"] = _output(request)
    effort = rules.effort_of(request.reasoning) if request.reasoning else None
    if effort is not None:
        told["reasoningEffort"] = _EFFORTS.get(effort, "HIGH")
    return told


def mended(told: dict[str, Any], admitted: Admitted) -> None:
    """One number stands for two words, whichever of them was said first."""
    if Word.TOP_LOGPROBS in admitted.parameters:
        told["logProbs"] = max(1, admitted.parameters[Word.TOP_LOGPROBS])


def _messages(message: Message, model: str) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield from (_result(part) for part in message.parts if isinstance(part, ToolResult))
    elif message.role == "assistant":
        yield _assistant(message)
    else:
        yield _named(message, _role(message.role, model))


def _role(role: str, model: str) -> str:
    return "SYSTEM" if role == "developer" and not model.startswith(_OPENAI) else role.upper()


def _named(message: Message, role: str) -> dict[str, Any]:
    told: dict[str, Any] = {"role": role, "content": [_content(part) for part in message.parts]}
    if message.name:
        told["name"] = message.name
    return told


def _assistant(message: Message) -> dict[str, Any]:
    """No `content` where there is none: an empty text beside tool calls is refused."""
    texts = [_text(part.text) for part in message.parts if isinstance(part, Text)]
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCall)]
    told: dict[str, Any] = {"role": "ASSISTANT"}
    if texts or not calls:
        told["content"] = texts
    if message.name:
        told["name"] = message.name
    if refusal := "".join(part.text for part in message.parts if isinstance(part, Refusal)):
        told["refusal"] = refusal
    if thinking := rules.own_thinking(message.parts):
        told["reasoningContent"] = thinking
    if calls:
        told["toolCalls"] = calls
    return told


def _result(result: ToolResult) -> dict[str, Any]:
    content = [_content(part) for part in result.content] or [_text("")]
    return {"role": "TOOL", "toolCallId": result.call_id, "content": content}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "FUNCTION", "id": call.id, "name": call.name, "arguments": call.arguments or "{}"}


def _text(text: str) -> dict[str, Any]:
    return {"type": "TEXT", "text": text}


def _content(part: Part) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "IMAGE", "imageUrl": rules.image_url(part)}
    if isinstance(part, Document):
        return {"type": "DOCUMENT", "documentUrl": {"url": _document_url(part)}}
    if isinstance(part, Audio):
        return {"type": "AUDIO", "audioUrl": {"url": _audio_url(part)}}
    assert isinstance(part, Text | Refusal)
    return _text(part.text)


def _document_url(document: Document) -> str:
    """ "Example with a document uri: data:application/pdf;uri,<document uri>" """
    source = document.source
    if isinstance(source, Link):
        return f"data:{source.media_type or 'application/pdf'};uri,{source.url}"
    return f"data:{source.media_type};base64,{source.base64}"


def _audio_url(audio: Audio) -> str:
    """ "Example for an mp3 audio: data:audio/mp3;base64,<base64 encoded audio content>" """
    kind = "audio/mp3" if audio.source.media_type == "audio/mpeg" else audio.source.media_type
    return f"data:{kind};base64,{audio.source.base64}"


def _tool(tool: Tool) -> dict[str, Any]:
    """Flat, without OpenAI's inner `function`."""
    told: dict[str, Any] = {"type": "FUNCTION", "name": tool.name}
    if tool.description:
        told["description"] = tool.description
    return {**told, "parameters": rules.schema_of(tool)}


def _choice(choice: Choose | Named) -> dict[str, Any]:
    return {"type": "FUNCTION", "name": choice.name} if isinstance(choice, Named) else {"type": choice.name}


def _output(request: ChatRequest) -> dict[str, Any]:
    output = request.output
    if not isinstance(output, JsonSchema):
        return {"type": "JSON_OBJECT"}
    schema: dict[str, Any] = {"name": output.name, "schema": dict(output.schema)}
    if output.description:
        schema["description"] = output.description
    if output.strict is not None:
        schema["isStrict"] = output.strict
    return {"type": "JSON_SCHEMA", "jsonSchema": schema}
