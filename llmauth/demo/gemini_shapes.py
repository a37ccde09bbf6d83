"""What Gemini accepts: the members of its requests, as tables, under their names in either case."""

from __future__ import annotations

from typing import Any

from llmauth.demo.shapes import (
    Check,
    Fault,
    Mismatch,
    anything,
    filled,
    flag,
    integer,
    list_of,
    mapping,
    matching,
    number,
    one_of,
    record,
    text,
)

_BLOB = record({"mimeType": filled, "data": filled, "displayName": text}, "mimeType", "data")
_FILE = record({"mimeType": text, "fileUri": filled, "displayName": text}, "fileUri")
_KINDS: dict[str, Check] = {
    "text": text,
    "inlineData": _BLOB,
    "fileData": _FILE,
    "functionCall": record({"id": text, "name": filled, "args": mapping, "partialArgs": anything}, "name"),
    "functionResponse": record(
        {"id": text, "name": filled, "response": mapping, "parts": anything}, "name", "response"
    ),
    "executableCode": mapping,
    "codeExecutionResult": mapping,
}
_BESIDE: dict[str, Check] = {"thought": flag, "thoughtSignature": text, "videoMetadata": mapping}
_part_fields = record({**_KINDS, **_BESIDE, "mediaResolution": anything})


def _part(value: Any) -> None:
    _part_fields(value)
    if len(_KINDS.keys() & value.keys()) != 1:
        raise Mismatch(Fault.WRONG, f"expected exactly one of {', '.join(_KINDS)}")


_CONTENT = record({"role": one_of("user", "model"), "parts": list_of(_part, least=1)}, "parts")
_INSTRUCTION = record({"role": text, "parts": list_of(_part, least=1)}, "parts")
_FUNCTION = record(
    {
        "name": matching(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}"),
        "description": text,
        "behavior": text,
        "parameters": mapping,
        "parametersJsonSchema": anything,
        "response": mapping,
        "responseJsonSchema": anything,
    },
    "name",
)
_TOOL = record(
    {
        "functionDeclarations": list_of(_FUNCTION, least=1),
        **dict.fromkeys(
            ("googleSearch", "googleSearchRetrieval", "retrieval", "codeExecution", "urlContext", "googleMaps"), mapping
        ),
        "enterpriseWebSearch": mapping,
        "computerUse": mapping,
    }
)
_CALLING = record(
    {
        "mode": one_of("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"),
        "allowedFunctionNames": list_of(filled),
        "streamFunctionCallArguments": flag,
    }
)
_THINKING = record(
    {
        "includeThoughts": flag,
        "thinkingBudget": integer(-1),
        "thinkingLevel": one_of("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"),
    }
)
_GENERATION = record(
    {
        "temperature": number(0, 2),
        "topP": number(0, 1),
        "topK": number(0, 1000),
        "candidateCount": integer(1, 8),
        "maxOutputTokens": integer(1),
        "stopSequences": list_of(text, most=5),
        "seed": integer(-(2**31)),
        "presencePenalty": number(-2, 2),
        "frequencyPenalty": number(-2, 2),
        "responseLogprobs": flag,
        "logprobs": integer(0, 20),
        "responseMimeType": filled,
        "responseSchema": mapping,
        "responseJsonSchema": anything,
        "responseModalities": list_of(text),
        "thinkingConfig": _THINKING,
        "mediaResolution": text,
        "speechConfig": mapping,
        "audioTimestamp": flag,
        "routingConfig": mapping,
        "modelConfig": mapping,
        "imageConfig": mapping,
    }
)
_QUESTION: dict[str, Check] = {
    "contents": list_of(_CONTENT, least=1),
    "systemInstruction": _INSTRUCTION,
    "tools": list_of(_TOOL),
    "generationConfig": _GENERATION,
}
_generate = record(
    {
        **_QUESTION,
        "toolConfig": record({"functionCallingConfig": _CALLING, "retrievalConfig": mapping}),
        "safetySettings": list_of(record({"category": filled, "threshold": filled, "method": text}, "category")),
        "cachedContent": text,
        "labels": mapping,
        "serviceTier": text,
        "modelArmorConfig": mapping,
    },
    "contents",
)
_count = record({**_QUESTION, "model": text, "instances": anything}, "contents")
_CONFIG = record(
    {"taskType": text, "title": text, "outputDimensionality": integer(1), "autoTruncate": flag, "documentOcr": flag},
)
_embed = record(
    {
        "content": _INSTRUCTION,
        "title": text,
        "taskType": text,
        "autoTruncate": flag,
        "outputDimensionality": integer(1),
        "embedContentConfig": _CONFIG,
    },
    "content",
)
_embed_batch = record(
    {"requests": list_of(record({"model": text, "content": _INSTRUCTION, "embedContentConfig": _CONFIG}, "content"))},
    "requests",
)
_INSTANCE = record({"content": filled, "task_type": text, "taskType": text, "title": text, "mimeType": text}, "content")
_predict = record({"instances": list_of(_INSTANCE, least=1, most=250), "parameters": mapping}, "instances")

# Members whose own names are the caller's, and are left as they are.
_FREE = frozenset(
    {
        *("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"),
        *("labels", "retrieval"),
    }
)


def camelled(value: Any) -> Any:
    """The same with its members named in camelCase: the server takes snake_case as well, and answers in the former."""
    if isinstance(value, list):
        return [camelled(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {_camel(name): item for name, item in value.items()}
    return {name: item if name in _FREE else camelled(item) for name, item in named.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def generate(body: dict[str, Any]) -> dict[str, Any]:
    """A generateContent request, in camelCase; raises Mismatch."""
    body = camelled(body)
    _generate(body)
    _check_turns(body["contents"])
    return body


def _check_turns(contents: list[dict[str, Any]]) -> None:
    """A function's answers follow its calls, by their names, and by their ids where there are some."""
    calls: list[dict[str, Any]] = []
    for position, content in enumerate(contents):
        answers = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if answers and sorted(one["name"] for one in answers) != sorted(one["name"] for one in calls):
            wanted = "expected as many function responses as there are function calls in the turn before"
            raise Mismatch(Fault.WRONG, wanted, f"contents[{position}]")
        if not {one["id"] for one in answers if "id" in one} <= {one.get("id") for one in calls}:
            raise Mismatch(Fault.WRONG, "expected the ids of the function calls before", f"contents[{position}]")
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]


def count(body: dict[str, Any]) -> None:
    """Check a countTokens request; raises Mismatch."""
    _count(camelled(body))


def embed(body: dict[str, Any]) -> dict[str, Any]:
    """An embedContent request, in camelCase; raises Mismatch."""
    body = camelled(body)
    _embed(body)
    return body


def embed_batch(body: dict[str, Any]) -> dict[str, Any]:
    """A batchEmbedContents request, in camelCase; raises Mismatch."""
    body = camelled(body)
    _embed_batch(body)
    return body


def predict(body: dict[str, Any]) -> None:
    """Check a request to an older embedding model; raises Mismatch."""
    _predict(body)
