"""What is asked of a provider, by the path: which answers tell of tokens, which cost none, and which nobody knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from urllib.parse import unquote

from llmauth.context import ProviderType
from llmauth.usage.formats import (
    CONVERSE,
    GEMINI,
    GEMINI_ARRAY,
    INVOKE,
    MESSAGES,
    OPENAI,
    ORACLE,
    PREDICT,
    WATSONX,
    Format,
)


class Operation(Enum):
    """Two kinds of paths without a format."""

    FREE = "no model works: lists, files, counts of tokens, management"
    UNKNOWN = "maybe one does"


FREE, UNKNOWN = Operation.FREE, Operation.UNKNOWN
_Words = Mapping[str, Format | Operation]

# By the last word of a path, in lower case: Azure looks at no case.
_OPENAI: _Words = {
    **dict.fromkeys(("completions", "responses", "compact", "embeddings"), OPENAI),
    **dict.fromkeys(("generations", "edits", "variations"), OPENAI),
    **dict.fromkeys(("transcriptions", "translations", "speech"), OPENAI),
    **dict.fromkeys(("input_tokens", "cancel"), FREE),
}
_ANTHROPIC: _Words = {"messages": MESSAGES, "count_tokens": FREE}
_BEDROCK: _Words = {
    **_OPENAI,
    **_ANTHROPIC,
    **dict.fromkeys(("converse", "converse-stream"), CONVERSE),
    **dict.fromkeys(("invoke", "invoke-with-response-stream"), INVOKE),
    "count-tokens": FREE,
}
_VERTEX: _Words = {
    "completions": OPENAI,
    "generatecontent": GEMINI,
    "streamgeneratecontent": GEMINI_ARRAY,
    **dict.fromkeys(("embedcontent", "batchembedcontents"), GEMINI),
    "predict": PREDICT,
    **dict.fromkeys(("counttokens", "computetokens"), FREE),
}
_IBM: _Words = {
    **_OPENAI,
    **dict.fromkeys(("chat", "chat_stream", "embeddings"), WATSONX),
    **dict.fromkeys(("generation", "generation_stream", "rerank"), WATSONX),
    "tokenization": FREE,
}
_ORACLE: _Words = {
    **_OPENAI,
    **dict.fromkeys(("chat", "embedtext", "reranktext", "generatetext", "summarizetext"), ORACLE),
    "applyguardrails": FREE,
}
# What a provider that has no line here speaks, if anything.
_COMMON: _Words = {**_OPENAI, **_ANTHROPIC}
_WORDS: Mapping[ProviderType, _Words] = {
    "openai": _OPENAI,
    "azure": _COMMON,
    "anthropic": _ANTHROPIC,
    "bedrock": _BEDROCK,
    "vertex": _VERTEX,
    "ibm": _IBM,
    "oracle": _ORACLE,
}

# Of OpenAI's and Anthropic's APIs: words of a path below which no model answers at once.
_STORED = frozenset(
    {
        *("files", "uploads", "batches", "models", "moderations", "fine_tuning", "vector_stores", "containers"),
        *("conversations", "evals", "assistants", "threads", "organization", "skills", "sessions", "client_secrets"),
        *("api", "agents", "environments", "chatkit"),
    }
)
# Where surely no model works, neither at once nor later, as for a batch: what ends so, and at OpenAI, Azure and
# Anthropic what begins so, behind the version. Of management nobody knows what it sets going.
_WORKS_NOT = re.compile(
    r"/(count_tokens|count-tokens|input_tokens|tokenization|cancel)\Z|:(counttokens|computetokens)\Z|"
    r"\A(/openai)?(/v1)?/(files|uploads|vector_stores|containers|organization|skills|moderations)(/|\Z)"
)
# A path that one server reads so and another otherwise.
_ODD = re.compile(r"[#;\\?%\x00-\x20]|//|/\.{1,2}(/|\Z)")
# The last words of paths that give numbers and no text; some providers name the model before.
_EMBEDS = re.compile(
    r"(/embeddings|/actions/embedtext|:embedcontent|:batchembedcontents|/models?/[^/]*embed[^/]*(/invoke|:predict))\Z"
)
# Of the other providers: where models answer, all else being management.
_INFERENCE: Mapping[ProviderType, tuple[str, ...]] = {
    "bedrock": ("/model/", "/async-invoke", "/openai/", "/v1/"),
    "vertex": ("/publishers/",),
    "ibm": ("/ml/v1/text/", "/ml/v1/deployments/", "/ml/gateway/"),
    "oracle": ("/actions/", "/openai/"),
}


def operation_of(provider: ProviderType, path: str) -> Format | Operation:
    """What a POST to this path asks for; `path` is the provider's own, as it stands on the wire, with its query."""
    return _operation_of(provider, _plain(path))


def needs_no_model(provider: ProviderType, path: str) -> bool:
    """Whether a POST to this path is answered without a model, now and later: files, lists, counts of tokens."""
    route = _plain(path)
    if _WORKS_NOT.search(route) is None or _ODD.search(route) is not None:
        return False
    return _operation_of(provider, route) is FREE


def embeds(path: str) -> bool:
    """Whether what is asked for gives numbers and no text."""
    route = _plain(path)
    return _EMBEDS.search(route) is not None and _ODD.search(route) is None


def _plain(path: str) -> str:
    """Without its query, in lower case."""
    route = path.partition("?")[0]
    if "%" in route:
        route = unquote(route)
    return route.rstrip("/").lower()


def _operation_of(provider: ProviderType, route: str) -> Format | Operation:
    word = route[max(route.rfind("/"), route.rfind(":") if provider == "vertex" else -1) + 1 :]
    found = _WORDS.get(provider, _COMMON).get(word)
    if found is None:
        return _rest(provider, route, word)
    return FREE if _means_another(word, route) else found


def _rest(provider: ProviderType, route: str, word: str) -> Format | Operation:
    if word in ("rawpredict", "streamrawpredict"):
        return _raw(route)
    places = _INFERENCE.get(provider)
    if places is not None:
        return UNKNOWN if any(place in route for place in places) else FREE
    return UNKNOWN if _STORED.isdisjoint(route.split("/")) else FREE


def _means_another(word: str, route: str) -> bool:
    """Guardrails of Bedrock are invoked too, and threads of Azure have messages."""
    return (word == "invoke" and "/model/" not in route) or (word == "messages" and "/threads/" in route)


def _raw(route: str) -> Format | Operation:
    """Models of partners on Vertex, each with its own API: Anthropic's, or one like OpenAI's."""
    if "/publishers/anthropic/" not in route:
        return OPENAI
    return FREE if "/models/count-tokens:" in route else MESSAGES
