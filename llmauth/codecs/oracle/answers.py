"""What all of Oracle's formats say alike at the end of an answer: why it ended, and how many tokens it took."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from llmauth.chat.messages import Finish, Part, Refusal, ToolCall, Usage
from llmauth.codecs.oracle.errors import failure
from llmauth.codecs.reading import Node

# "finishReason" is seen in lower case with OpenAI's words, and in upper case with Cohere's.
_FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "complete": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "tool_call": Finish.TOOL_CALLS,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "error_toxic": Finish.CONTENT_FILTER,
    "content_filter": Finish.CONTENT_FILTER,
    "content_filtered": Finish.CONTENT_FILTER,
    "safety": Finish.CONTENT_FILTER,
    "recitation": Finish.CONTENT_FILTER,
    "blocklist": Finish.CONTENT_FILTER,
    "prohibited_content": Finish.CONTENT_FILTER,
    "spii": Finish.CONTENT_FILTER,
}
_FAILURES = ("error", "error_limit", "user_cancel", "cancelled")


def finish(reason: str, *, calls: bool, refused: bool = False, message: str = "") -> Finish:
    """Why an answer ended; one that nobody knows counts as a stop. UpstreamError where it ended in a failure.

    COHERE says COMPLETE too where it asks for tools, and some models of GENERIC say `stop`.
    """
    word = reason.lower()
    if word in _FAILURES:
        raise failure(reason, message or f"Oracle's model ended its answer with '{reason}'.")
    found = _FINISHES.get(word, Finish.STOP)
    if found is not Finish.STOP:
        return found
    if calls:
        return Finish.TOOL_CALLS
    return Finish.REFUSAL if refused else Finish.STOP


def finish_of(reason: str, parts: Sequence[Part], message: str = "") -> Finish:
    """The same for an answer whose parts are known."""
    calls = any(isinstance(part, ToolCall) for part in parts)
    return finish(reason, calls=calls, refused=any(isinstance(part, Refusal) for part in parts), message=message)


def usage(node: Node) -> Usage:
    """Tokens; Oracle counts the cached ones among the prompt's."""
    prompt = node.count_of("promptTokens")
    of_prompt, of_output = node.get("promptTokensDetails"), node.get("completionTokensDetails")
    cached = min(prompt, of_prompt.count_of("cachedTokens")) if of_prompt else 0
    reasoning = of_output.count_of("reasoningTokens") if of_output else 0
    return Usage(
        input=prompt - cached, cache_read=cached, output=node.count_of("completionTokens"), reasoning=reasoning
    )


def usage_of(answer: Node) -> Usage | None:
    """The tokens of a whole answer, where it tells them."""
    told = answer.get("usage")
    return None if told is None else usage(told)


def call_id(position: int, name: str, arguments: str) -> str:
    """An id for a call that came without one: the same whenever the same call stands at the same place."""
    told = json.dumps([position, name, arguments])
    return f"call_{hashlib.sha256(told.encode('ascii')).hexdigest()[:24]}"
