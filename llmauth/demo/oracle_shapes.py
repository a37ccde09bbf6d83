"""What Oracle's Generative AI accepts: the fields of its requests, as tables."""

from __future__ import annotations

from llmauth.demo.shapes import (
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
_CALL = record({"id": filled, "type": one_of("FUNCTION"), "name": filled, "arguments": text}, "type")
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
                "JSON_SCHEMA": record({"type": text, "jsonSchema": mapping}, "jsonSchema"),
            }
        ),
        "tools": list_of(
            record({"type": one_of("FUNCTION"), "name": filled, "description": text, "parameters": mapping}, "type")
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

_COHERE_CALL = record({"name": filled, "parameters": mapping}, "name", "parameters")
_COHERE_RESULT = record({"call": _COHERE_CALL, "outputs": list_of(mapping)}, "call", "outputs")
_COHERE_TURN = tagged(
    {
        **dict.fromkeys(("USER", "SYSTEM"), record({"role": text, "message": text}, "message")),
        "CHATBOT": record({"role": text, "message": text, "toolCalls": list_of(_COHERE_CALL)}),
        "TOOL": record({"role": text, "toolResults": list_of(_COHERE_RESULT)}, "toolResults"),
    },
    tag="role",
)
_COHERE = record(
    {
        "apiFormat": text,
        **_SAMPLING,
        "message": text,
        "chatHistory": list_of(_COHERE_TURN),
        "preambleOverride": text,
        "tools": list_of(
            record({"name": filled, "description": text, "parameterDefinitions": mapping}, "name", "description")
        ),
        "toolResults": list_of(_COHERE_RESULT),
        "isForceSingleStep": flag,
        "stopSequences": list_of(text),
        "responseFormat": mapping,
        "documents": list_of(mapping),
        "isSearchQueriesOnly": flag,
        "promptTruncation": one_of("OFF", "AUTO_PRESERVE_ORDER"),
        "isEcho": flag,
        "isRawPrompting": flag,
        "citationQuality": one_of("ACCURATE", "FAST"),
        "safetyMode": one_of("CONTEXTUAL", "STRICT", "OFF"),
    },
    "message",
)

# Enumerations are of upper case, and nothing else is taken for them.
chat = record(
    {**_ENVELOPE, "chatRequest": tagged({"GENERIC": _GENERIC, "COHERE": _COHERE}, tag="apiFormat")},
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
        "embeddingTypes": list_of(text),
    },
    *("compartmentId", "servingMode", "inputs"),
)

apply_guardrails = record(
    {"compartmentId": filled, "input": mapping, "guardrailConfigs": mapping, "guardrailVersionConfig": mapping},
    *("compartmentId", "input", "guardrailConfigs"),
)
