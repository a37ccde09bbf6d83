"""Where each wire format tells its tokens: in a whole answer, and in the events of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmauth.usage.told import Counts, Told, count, counts, disjoint, member

Reader = Callable[[dict[str, Any]], Told | None]
"""What a whole answer or one event tells; `None` where it tells nothing of tokens."""

_MESSAGES = {
    "input": "input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
    "output": "output_tokens",
}
_CONVERSE = {
    "input": "inputTokens",
    "cache_read": "cacheReadInputTokens",
    "cache_write": "cacheWriteInputTokens",
    "output": "outputTokens",
}
_METRICS = {
    "input": "inputTokenCount",
    "cache_read": "cacheReadInputTokenCount",
    "cache_write": "cacheWriteInputTokenCount",
    "output": "outputTokenCount",
}


def openai(value: dict[str, Any]) -> Told | None:
    """Chat, Responses (whose events hold the answer as `response`), embeddings, images, transcripts."""
    answer = value.get("response")
    usage = member(answer if isinstance(answer, dict) else value, "usage")
    prompt = count(usage, "prompt_tokens", "input_tokens")
    output = count(usage, "completion_tokens", "output_tokens")
    if prompt is None and output is None:
        return None
    details = member(usage, "prompt_tokens_details") or member(usage, "input_tokens_details")
    told = disjoint(prompt, count(details, "cached_tokens"), count(details, "cache_write_tokens"))
    details = member(usage, "completion_tokens_details") or member(usage, "output_tokens_details")
    return Told(_said(told, output, count(details, "reasoning_tokens")), final=not _goes_on(value))


def _said(told: Counts, output: int | None, reasoning: int | None) -> Counts:
    if output is not None:
        told["output"] = output
    if reasoning is not None:
        told["reasoning"] = reasoning
    return told


def _goes_on(chunk: dict[str, Any]) -> bool:
    """Some servers tell in every chunk what it cost so far."""
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(choice, dict) and "delta" in choice and choice.get("finish_reason") is None


def messages(value: dict[str, Any]) -> Told | None:
    """Anthropic's: the first event tells of the prompt, the last but one of the whole, cumulatively."""
    begins = value.get("type") == "message_start"
    usage = member(value.get("message") if begins else value, "usage")
    told = counts(usage, _MESSAGES)
    thought = count(member(usage, "output_tokens_details"), "thinking_tokens")
    if thought is not None:
        told["reasoning"] = thought
    return Told(told, final=not begins) if told else None


def converse(value: dict[str, Any]) -> Told | None:
    """Bedrock's Converse; thinking is told where the client asked for that field of the model's own answer."""
    told = counts(value.get("usage"), _CONVERSE)
    final = bool(told)
    own = member(member(value.get("additionalModelResponseFields"), "usage"), "output_tokens_details")
    thought = count(own, "thinking_tokens")
    if thought is not None:
        told["reasoning"] = thought
    return Told(told, final=final) if told else None


def invoke(value: dict[str, Any]) -> Told | None:
    """A model's own answer to InvokeModel: each family has its way; the last event has Bedrock's own count beside."""
    told = _of_family(value)
    beside = counts(value.get("amazon-bedrock-invocationMetrics"), _METRICS)
    if told is None:
        return Told(beside, beside=True) if beside else None
    return Told({**beside, **told.counts}, final=told.final or bool(beside))


def _of_family(value: dict[str, Any]) -> Told | None:
    usage = value.get("usage")
    if isinstance(usage, dict) and "prompt_tokens" in usage:
        return openai(value)
    nova = value.get("metadata")
    return messages(value) or converse(value) or (converse(nova) if isinstance(nova, dict) else None) or _older(value)


def _older(value: dict[str, Any]) -> Told | None:
    """Titan's texts and embeddings, and Llama."""
    told: Counts = {}
    prompt = count(value, "inputTextTokenCount", "prompt_token_count")
    if prompt is not None:
        told["input"] = prompt
    results = value.get("results")
    said = [count(one, "tokenCount") for one in results] if isinstance(results, list) else []
    output = count(value, "totalOutputTextTokenCount", "generation_token_count")
    if output is None and any(number is not None for number in said):
        output = sum(number or 0 for number in said)
    if output is not None:
        told["output"] = output
    streams = "outputText" in value or "generation" in value
    ended = value.get("completionReason") is not None or value.get("stop_reason") is not None
    return Told(told, final=ended or not streams) if told else None


def gemini(value: dict[str, Any]) -> Told | None:
    """Gemini's: cached tokens are inside the prompt, and thoughts beside what the candidates say."""
    usage = value.get("usageMetadata")
    prompt = count(usage, "promptTokenCount")
    said, thought = count(usage, "candidatesTokenCount"), count(usage, "thoughtsTokenCount")
    if prompt is None and said is None and thought is None:
        return None
    tools = count(usage, "toolUsePromptTokenCount") or 0
    told = disjoint(None if prompt is None else prompt + tools, count(usage, "cachedContentTokenCount"), None)
    output = None if said is None and thought is None else (said or 0) + (thought or 0)
    return Told(_said(told, output, thought), final=_is_last(value))


def _is_last(chunk: dict[str, Any]) -> bool:
    """A chunk with candidates goes on until one tells why it ended; other answers have none."""
    candidates = chunk.get("candidates")
    if not isinstance(candidates, list):
        return True
    return any(member(candidate, "finishReason") is not None for candidate in candidates)


def watsonx(value: dict[str, Any]) -> Told | None:
    """OpenAI's for chat; embeddings count their input alone, and the older texts have counts with each result."""
    told = openai(value)
    if told is not None:
        return told
    results = value.get("results")
    result = results[0] if isinstance(results, list) and results else None
    # In a stream the first event alone tells of the input; the others have a 0 there.
    prompt = count(value, "input_token_count") or count(result, "input_token_count") or None
    found = _said({} if prompt is None else {"input": prompt}, count(result, "generated_token_count"), None)
    return Told(found, final=member(result, "stop_reason") != "not_finished") if found else None


def oracle(value: dict[str, Any]) -> Told | None:
    """Oracle's: a whole answer holds the chat's, an event of a stream is it."""
    answer = value.get("chatResponse")
    usage = member(answer if isinstance(answer, dict) else value, "usage")
    prompt, output = count(usage, "promptTokens"), count(usage, "completionTokens")
    if prompt is None and output is None:
        return None
    told = disjoint(prompt, count(member(usage, "promptTokensDetails"), "cachedTokens"), None)
    thought = count(member(usage, "completionTokensDetails"), "reasoningTokens")
    return Told(_said(told, output, thought))
