"""What is guessed before anybody answers."""

import base64
import time

import pytest

from llmauth.chat.messages import Usage
from llmauth.governance.estimates import USUAL_OUTPUT, Guess, guess, of_cut


def test_a_prompt_by_its_length():
    assert guess(b"x" * 4001, {}).prompt == 1001
    assert guess(b"", None) == Guess(0, USUAL_OUTPUT)
    assert guess(b"", None, answers=False) == Guess(0, 0)


def test_pictures_are_few_tokens():
    picture = base64.b64encode(bytes(range(256)) * 4000)
    found = guess(b'{"text": "%s", "image": "%s"}' % (b"some words " * 100, picture), {})
    assert 1600 < found.prompt < 10_000, "and not a third of a million"


ODD: tuple[object, ...] = (0, -1, True, "50", 1.5, None, [])


@pytest.mark.parametrize(
    ("asked", "output"),
    [
        ({"max_tokens": 50}, 50),
        ({"max_completion_tokens": 60}, 60),
        ({"max_output_tokens": 70}, 70),
        ({"max_tokens": 50, "n": 4}, 200),
        ({"inferenceConfig": {"maxTokens": 80}}, 80),
        ({"generationConfig": {"maxOutputTokens": 90, "candidateCount": 2}}, 180),
        ({"parameters": {"max_new_tokens": 10}}, 10),
        ({"chatRequest": {"maxTokens": 11}}, 11),
        ({"max_gen_len": 12}, 12),
        ({"max_tokens": 50, "max_completion_tokens": 60}, 60),
        *(({"max_tokens": odd}, USUAL_OUTPUT) for odd in ODD),
        ({"max_tokens": 10**30, "n": 10**30}, 10_000_000),
        ([1], USUAL_OUTPUT),
        ({}, USUAL_OUTPUT),
    ],
)
def test_an_answer_by_what_is_asked_for(asked, output):
    assert guess(b"", asked).output == output


def test_a_large_body_is_looked_through_fast():
    body = (b"words and " * 100 + b"A" * 4096) * 6000  # 30 MB
    began = time.perf_counter()
    assert guess(body, {}).prompt > 6000
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("usage", "passed", "expected"),
    [
        (Usage(input=10, output=1), 4000, Usage(input=10, output=200)),
        (Usage(input=10, output=300), 4000, Usage(input=10, output=300)),
        (Usage(input=10, output=1), 10**9, Usage(input=10, output=500)),
        (None, 4000, Usage(input=77, output=200)),
        (None, 0, Usage(input=77)),
    ],
)
def test_whoever_leaves_before_the_end_pays_for_what_has_passed(usage, passed, expected):
    assert of_cut(usage, Guess(77, 500), passed) == expected


def test_a_body_that_nobody_read_is_searched_for_its_bounds():
    assert guess(b'{"model":"m","max_tokens":7,"messages":[]}').output == 7
    assert guess(b'{"generationConfig":{"maxOutputTokens": 9, "candidateCount": 2}}').output == 18
    assert guess(b'{"messages":[{"content":"say \\"max_tokens\\": 5"}]}').output == USUAL_OUTPUT, (
        "a text, and no member"
    )
    assert guess(b'{"tools":[{"properties":{"max_tokens":{"type":"integer"}}}]}').output == USUAL_OUTPUT
    long = b'{"max_tokens":7,"text":"' + b"some words " * 10_000 + b'"}'
    assert guess(long).output == 7
    assert guess(b'{"text":"' + b"some words " * 10_000 + b'","max_tokens":8}').output == 8
