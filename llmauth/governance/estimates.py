"""What a request may use, guessed from its body before anybody answers: what is reserved until it is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from llmauth.chat.messages import Usage

# A token is some four letters of English; what is guessed too low is settled afterwards.
_BYTES_A_TOKEN = 4
# Where no bound is asked for: a usual answer, not the longest that a model could give.
USUAL_OUTPUT = 1024
# Pictures and sounds travel as long runs of base64, and count as a few tokens. A long body is looked at in places
# only: to read a megabyte takes longer than all else that is done for a request.
_LARGE = 16 * 1024
_PLACES = 64
_PLACE = 64
_PICTURE = 1_500_000
_PICTURE_TOKENS = 1_600
_MOST = 10_000_000
# A streamed token with what its event has around it: from twenty bytes (Gemini) to two hundred (OpenAI's chats).
_BYTES_A_STREAMED_TOKEN = 20

# Where the protocols write how many tokens an answer may have, and how many answers there shall be.
_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens", "maxOutputTokens", "max_new_tokens")
_BOUNDS_MORE = ("max_gen_len", "max_tokens_to_sample", "maxTokenCount", "maxCompletionTokens")
_ALL_BOUNDS = (*_BOUNDS, *_BOUNDS_MORE)
_WITHIN = ("inferenceConfig", "generationConfig", "parameters", "textGenerationConfig", "chatRequest", "chat_request")
_ANSWERS = ("n", "candidateCount", "numGenerations", "num_generations")


# All names begin alike, so that a search runs over a long body as fast as memory is read.
_BOUND = re.compile(rb'"max(?:%s)"\s*:\s*(\d{1,9})\b' % "|".join(name[3:] for name in _ALL_BOUNDS).encode())


class _Number(NamedTuple):
    name: bytes
    pattern: re.Pattern[bytes]


_NUMBERS = [_Number(f'"{name}"'.encode(), re.compile(rb'"%s"\s*:\s*(\d{1,4})\b' % name.encode())) for name in _ANSWERS]


class Guess(NamedTuple):
    """Tokens of the prompt, and of the answer at most."""

    prompt: int
    output: int


def guess(body: bytes, asked: Any = None, *, answers: bool = True) -> Guess:
    """From the body, and what it holds where it was read as JSON. `answers` is False for what gives no text.

    A body that nobody has read is searched for the members that bound an answer, a long one at both its ends: inside of
    a text these cannot stand, since their quotation marks would be escaped there.
    """
    if not answers:
        return Guess(_prompt(body), 0)
    return Guess(_prompt(body), _output(asked) if asked is not None else _searched(body))


def of_cut(usage: Usage | None, reserved: Guess, passed: int) -> Usage:
    """What an answer has used that was cut after so many bytes: what it told, and what it did not come to tell.

    Providers tell the length of an answer at its end: whoever leaves just before it would have it for nothing.
    """
    told = usage or Usage(input=reserved.prompt)
    likely = min(reserved.output, passed // _BYTES_A_STREAMED_TOKEN)
    return replace(told, output=max(told.output, likely))


def _prompt(body: bytes) -> int:
    if len(body) <= _LARGE:
        return -(-len(body) // _BYTES_A_TOKEN)
    step = len(body) // _PLACES
    packed = sum(_is_packed(body[at : at + _PLACE]) for at in range(0, step * _PLACES, step)) * step
    pictures = -(-packed // _PICTURE)
    return min(_MOST, -(-(len(body) - packed) // _BYTES_A_TOKEN) + pictures * _PICTURE_TOKENS)


def _is_packed(text: bytes) -> bool:
    """Whether so many bytes are one word: no language has such a word, and none of it would be escaped."""
    return text.isascii() and not (b" " in text or b"\\" in text or b'"' in text)


def _searched(body: bytes) -> int:
    if len(body) > _LARGE:
        body = body[: _LARGE // 2] + b"\n" + body[-_LARGE // 2 :]
    bounds = [int(found[1]) for found in _BOUND.finditer(body)]
    answers = [int(found[1]) for one in _NUMBERS if one.name in body for found in one.pattern.finditer(body)]
    return min(_MOST, max([bound for bound in bounds if bound], default=USUAL_OUTPUT) * max(answers, default=1))


def _output(asked: Any) -> int:
    if not isinstance(asked, Mapping):
        return USUAL_OUTPUT
    places = [asked, *(asked[name] for name in _WITHIN if isinstance(asked.get(name), Mapping))]
    bounds = [found for place in places for name in _ALL_BOUNDS if (found := _count(place.get(name)))]
    answers = [found for place in places for name in _ANSWERS if (found := _count(place.get(name)))]
    return min(_MOST, max(bounds, default=USUAL_OUTPUT) * max(answers, default=1))


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return min(value, _MOST) if is_count else None
