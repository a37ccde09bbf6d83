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
# A streamed token with what its event has around it. With one token an event Anthropic's streams take 122 bytes for
# each, Bedrock's Converse 186 and InvokeModel 255, OpenAI's Responses 260 and chats 275, Gemini's 273; where an event
# holds whole phrases, as Gemini's mostly do, it comes to some twenty.
_FEWEST_BYTES_A_TOKEN = 20
_MOST_BYTES_A_TOKEN = 200

# What base64 is written with, in both its alphabets, and how a picture in it looks: letters of both cases and digits,
# hardly any of the signs. Of words that are joined by such signs instead of blanks none looks so.
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_SIGNS = b"+/=_-"
_DIGITS = b"0123456789"
_MOST_SIGNS = 9

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

    A body that nobody has read is searched for the members that bound an answer, a long one at both its ends. Such a
    member may stand in the schema of a tool, or be a second one that nobody heeds, so what is found there only raises
    what is reserved: whoever says less than is usual is believed where the body was really read.
    """
    if not answers:
        return Guess(_prompt(body), 0)
    return Guess(_prompt(body), _output(asked) if asked is not None else _searched(body))


def of_cut(usage: Usage | None, reserved: Guess, passed: int) -> Usage:
    """What an answer has used that was cut after so many bytes: what it told, and what it did not come to tell.

    Providers tell the length of an answer at its end: whoever leaves just before it would have it for nothing. So each
    20 bytes are a token, as where an event holds a phrase, up to what was reserved; and each 200 are one whatever was
    reserved, as where each token has an event: a reserve is the caller's own word, and no bound of what it pays.
    """
    told = _with_prompt(usage, reserved)
    likely = max(min(reserved.output, passed // _FEWEST_BYTES_A_TOKEN), passed // _MOST_BYTES_A_TOKEN)
    return replace(told, output=max(told.output, likely))


def of_untold(usage: Usage | None, reserved: Guess, passed: int) -> Usage:
    """What an answer has used that came to its end and did not tell, or not so that we could read it.

    It is what was reserved, and more where more has passed: the caller chooses by its headers and members whether an
    answer tells.
    """
    told = _with_prompt(usage, reserved)
    return replace(told, output=max(told.output, reserved.output, passed // _MOST_BYTES_A_TOKEN))


def _with_prompt(usage: Usage | None, reserved: Guess) -> Usage:
    if usage is None:
        return Usage(input=reserved.prompt)
    return usage if usage.prompt else replace(usage, input=reserved.prompt)


def _prompt(body: bytes) -> int:
    if len(body) <= _LARGE:
        return -(-len(body) // _BYTES_A_TOKEN)
    step = len(body) // _PLACES
    packed = sum(_is_packed(body[at : at + _PLACE]) for at in range(0, step * _PLACES, step)) * step
    pictures = -(-packed // _PICTURE)
    return min(_MOST, -(-(len(body) - packed) // _BYTES_A_TOKEN) + pictures * _PICTURE_TOKENS)


def _is_packed(text: bytes) -> bool:
    """Whether so many bytes are of base64: neither prose nor code is, however it is spelled."""
    if text.translate(None, _BASE64):
        return False
    letters = text.translate(None, _SIGNS)
    if len(text) - len(letters) > _MOST_SIGNS or len(letters.translate(None, _DIGITS)) == len(letters):
        return False
    return letters != letters.lower() and letters != letters.upper()


def _searched(body: bytes) -> int:
    if len(body) > _LARGE:
        body = body[: _LARGE // 2] + b"\n" + body[-_LARGE // 2 :]
    bound = max([int(found[1]) for found in _BOUND.finditer(body)], default=0)
    answers = [int(found[1]) for one in _NUMBERS if one.name in body for found in one.pattern.finditer(body)]
    return min(_MOST, max(bound, USUAL_OUTPUT) * max(answers, default=1))


def _output(asked: Any) -> int:
    """By what a body says that was read. A bound that we do not understand is none that may be lower than is usual."""
    if not isinstance(asked, Mapping):
        return USUAL_OUTPUT
    places = [asked, *(asked[name] for name in _WITHIN if isinstance(asked.get(name), Mapping))]
    bounds = [_count(place[name]) for place in places for name in _ALL_BOUNDS if place.get(name) is not None]
    answers = [found for place in places for name in _ANSWERS if (found := _count(place.get(name)))]
    understood = [bound for bound in bounds if bound is not None]
    least = 0 if bounds and len(understood) == len(bounds) else USUAL_OUTPUT
    return min(_MOST, max(*understood, least, 1) * max(answers, default=1))


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return min(value, _MOST) if is_count else None
