"""What Oracle's Generative AI accepts: the fields of its requests, as tables."""

from __future__ import annotations

from typing import Any

from llmauth.demo.shapes import (
    Check,
    anything,
    filled,
    flag,
    integer,
    list_of,
    mapping,
    number,
    one_of,
    record,
    tagged,
    text,
)

_SERVING = tagged(
    {
        "ON_DEMAND": record({"servingType": text, "modelId": filled}, "modelId"),
        "DEDICATED": record({"servingType": text, "endpointId": filled}, "endpointId"),
    },
    tag="servingType",
)
_ENVELOPE = {"compartmentId": filled, "servingMode": _SERVING}

# ---- GENERIC -------------------------------------------------------------------------------------------------------

_PART = tagged(
    {
        "TEXT": record({"type": text, "text": text}, "text"),
        "IMAGE": record({"type": text, "imageUrl": record({"url": filled, "detail": text}, "url")}, "imageUrl"),
        "AUDIO": record({"type": text, "audioUrl": mapping}, "audioUrl"),
        "VIDEO": record({"type": text, "videoUrl": mapping}, "videoUrl"),
        "DOCUMENT": record({"type": text, "documentUrl": mapping}, "documentUrl"),
    }
)
_CALL = record(
    {"id": filled, "type": one_of("FUNCTION"), "name": filled, "arguments": text}, "type", "id", "name", "arguments"
)
_TURN = {"role": text, "content": list_of(_PART), "name": text}
_MESSAGE = tagged(
    {
        **dict.fromkeys(("SYSTEM", "DEVELOPER", "USER"), record(_TURN, "content")),
        "ASSISTANT": record(
            {**_TURN, "toolCalls": list_of(_CALL), "refusal": text, "annotations": anything, "reasoningContent": text}
        ),
        "TOOL": record({**_TURN, "toolCallId": filled}, "content", "toolCallId"),
    },
    tag="role",
)
_SAMPLING = {
    "isStream": flag,
    "streamOptions": record({"isIncludeUsage": flag}),
    "seed": integer(-(2**63), 2**63 - 1),
    "topK": integer(-1),
    "topP": number(0, 1),
    "temperature": number(0, 2),
    "frequencyPenalty": number(-2, 2),
    "presencePenalty": number(-2, 2),
    "maxTokens": integer(1),
}
_SCHEMA = record({"name": filled, "description": text, "schema": mapping, "isStrict": flag}, "name")
_GENERIC = record(
    {
        "apiFormat": text,
        **_SAMPLING,
        "messages": list_of(_MESSAGE, least=1),
        "numGenerations": integer(1, 5),
        "stop": list_of(text),
        "logProbs": integer(0),
        "maxCompletionTokens": integer(1),
        "logitBias": mapping,
        "prediction": mapping,
        "responseFormat": tagged(
            {
                "TEXT": record({"type": text}),
                "JSON_OBJECT": record({"type": text}),
                "JSON_SCHEMA": record({"type": text, "jsonSchema": _SCHEMA}, "jsonSchema"),
            }
        ),
        "tools": list_of(
            record(
                {"type": one_of("FUNCTION"), "name": filled, "description": text, "parameters": mapping}, "type", "name"
            )
        ),
        "toolChoice": tagged(
            {
                **dict.fromkeys(("NONE", "AUTO", "REQUIRED"), record({"type": text})),
                "FUNCTION": record({"type": text, "name": filled}, "name"),
            }
        ),
        "isParallelToolCalls": flag,
        "reasoningEffort": one_of("NONE", "MINIMAL", "LOW", "MEDIUM", "HIGH"),
        "verbosity": one_of("LOW", "MEDIUM", "HIGH"),
        "serviceTier": one_of("AUTO", "DEFAULT", "PRIORITY"),
        "webSearchOptions": mapping,
        "metadata": mapping,
    },
    "messages",
)

# ---- COHERE --------------------------------------------------------------------------------------------------------

# What both of Cohere's formats take.
_COHERE_SAMPLING: dict[str, Check] = {
    "isStream": flag,
    "streamOptions": record({"isIncludeUsage": flag}),
    "seed": integer(-(2**63), 2**63 - 1),
    "topK": integer(0, 500),
    "topP": number(0, 1),
    "temperature": number(0, 1),
    "frequencyPenalty": number(0, 1),
    "presencePenalty": number(0, 1),
    "maxTokens": integer(1),
    "stopSequences": list_of(text),
    "documents": list_of(mapping),
    "isSearchQueriesOnly": flag,
    "isRawPrompting": flag,
    "safetyMode": one_of("CONTEXTUAL", "STRICT", "OFF"),
    "responseFormat": tagged(
        {"TEXT": record({"type": text}), "JSON_OBJECT": record({"type": text, "schema": mapping})}
    ),
}
_COHERE_CALL = record({"name": filled, "parameters": mapping}, "name", "parameters")
_COHERE_RESULT = record({"call": _COHERE_CALL, "outputs": list_of(mapping, least=1)}, "call", "outputs")
_COHERE_TURN = tagged(
    {
        **dict.fromkeys(("USER", "SYSTEM"), record({"role": text, "message": text}, "message")),
        "CHATBOT": record({"role": text, "message": text, "toolCalls": list_of(_COHERE_CALL, least=1)}),
        "TOOL": record({"role": text, "toolResults": list_of(_COHERE_RESULT, least=1)}, "toolResults"),
    },
    tag="role",
)
_DEFINITION = record({"type": filled, "description": text, "isRequired": flag}, "type")


def _definitions(value: Any) -> None:
    """The parameters of a tool, by their names."""
    mapping(value)
    record(dict.fromkeys(value, _DEFINITION))(value)


_COHERE = record(
    {
        "apiFormat": text,
        **_COHERE_SAMPLING,
        "message": text,
        "chatHistory": list_of(_COHERE_TURN),
        "preambleOverride": text,
        "tools": list_of(
            record({"name": filled, "description": filled, "parameterDefinitions": _definitions}, "name", "description")
        ),
        "toolResults": list_of(_COHERE_RESULT, least=1),
        "isForceSingleStep": flag,
        "maxInputTokens": integer(1),
        "promptTruncation": one_of("OFF", "AUTO_PRESERVE_ORDER"),
        "isEcho": flag,
        "citationQuality": one_of("ACCURATE", "FAST"),
    },
    "message",
)

# ---- COHEREV2 ------------------------------------------------------------------------------------------------------

_V2_IMAGE = record({"url": filled, "detail": one_of("AUTO", "HIGH", "LOW")}, "url")
_V2_PART = tagged(
    {
        "TEXT": record({"type": text, "text": text}, "text"),
        "IMAGE_URL": record({"type": text, "imageUrl": _V2_IMAGE}, "imageUrl"),
        "DOCUMENT": record({"type": text, "document": mapping}, "document"),
        "THINKING": record({"type": text, "thinking": text}, "thinking"),
    }
)
# `function` of a call is any object in Oracle's own models: a name, and arguments as JSON text, as at Cohere.
_V2_CALL = record(
    {
        "id": filled,
        "type": one_of("FUNCTION"),
        "function": record({"name": filled, "arguments": text}, "name", "arguments"),
    },
    *("id", "type", "function"),
)
_V2_TURN: dict[str, Check] = {"role": text, "content": list_of(_V2_PART)}
_V2_MESSAGE = tagged(
    {
        **dict.fromkeys(("SYSTEM", "USER"), record(_V2_TURN, "content")),
        "ASSISTANT": record(
            {**_V2_TURN, "toolPlan": text, "toolCalls": list_of(_V2_CALL, least=1), "citations": anything}
        ),
        "TOOL": record({**_V2_TURN, "toolCallId": filled}, "content", "toolCallId"),
    },
    tag="role",
)
_V2_FUNCTION = record({"name": filled, "description": text, "parameters": mapping}, "name")
_COHERE_V2 = record(
    {
        "apiFormat": text,
        **_COHERE_SAMPLING,
        "messages": list_of(_V2_MESSAGE, least=1),
        "tools": list_of(record({"type": one_of("FUNCTION"), "function": _V2_FUNCTION}, "type", "function"), least=1),
        "toolsChoice": one_of("REQUIRED", "NONE"),
        "isStrictToolsEnabled": flag,
        "isLogProbsEnabled": flag,
        "citationOptions": mapping,
        "priority": integer(0, 999),
        "thinking": record({"type": one_of("ENABLED", "DISABLED"), "tokenBudget": integer(1)}, "type"),
    },
    "messages",
)

# Enumerations are of upper case, and nothing else is taken for them.
chat = record(
    {
        **_ENVELOPE,
        "chatRequest": tagged({"GENERIC": _GENERIC, "COHERE": _COHERE, "COHEREV2": _COHERE_V2}, tag="apiFormat"),
    },
    *("compartmentId", "servingMode", "chatRequest"),
)


embed_text = record(
    {
        **_ENVELOPE,
        "inputs": list_of(text, least=1, most=96),
        "isEcho": flag,
        "truncate": one_of("NONE", "START", "END"),
        "inputType": one_of("SEARCH_DOCUMENT", "SEARCH_QUERY", "CLASSIFICATION", "CLUSTERING", "IMAGE"),
        "outputDimensions": integer(1),
        # The one enumeration in lower case.
        "embeddingTypes": list_of(one_of("float", "int8", "uint8", "binary", "ubinary", "base64"), least=1),
    },
    *("compartmentId", "servingMode", "inputs"),
)

apply_guardrails = record(
    {"compartmentId": filled, "input": mapping, "guardrailConfigs": mapping, "guardrailVersionConfig": mapping},
    *("compartmentId", "input", "guardrailConfigs"),
)
