"""What is guessed before anybody answers."""

import base64
import random
import time

import pytest

from llmauth.chat.messages import Usage
from llmauth.governance.estimates import USUAL_OUTPUT, Guess, guess, of_cut, of_untold


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
        ({"max_tokens": 1, "max_completion_tokens": 9e5}, 900_000),
        ({"max_tokens": 1, "max_completion_tokens": "900000"}, USUAL_OUTPUT),
        ({"max_tokens": 5000, "max_completion_tokens": "900000"}, 5000),
        ({"max_tokens": 1, "max_completion_tokens": None}, 1),
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
        (Usage(input=10, output=1), 10_000, Usage(input=10, output=500)),
        (Usage(input=10, output=1), 10**6, Usage(input=10, output=5000)),
        (Usage(output=3), 0, Usage(input=77, output=3)),
        (None, 4000, Usage(input=77, output=200)),
        (None, 0, Usage(input=77)),
    ],
)
def test_whoever_leaves_before_the_end_pays_for_what_has_passed(usage, passed, expected):
    assert of_cut(usage, Guess(77, 500), passed) == expected


@pytest.mark.parametrize(
    ("usage", "passed", "expected"),
    [
        (None, 0, Usage(input=77, output=500)),
        (None, 20_000, Usage(input=77, output=500)),
        (None, 10**6, Usage(input=77, output=5000)),
        (Usage(input=10, output=1), 0, Usage(input=10, output=500)),
        (Usage(input=10, output=900), 0, Usage(input=10, output=900)),
    ],
)
def test_h8_whoever_does_not_tell_pays_what_was_reserved_or_what_has_passed(usage, passed, expected):
    assert of_untold(usage, Guess(77, 500), passed) == expected


def test_h9_words_without_blanks_are_no_picture():
    for words in (
        b"hello_there,my_friend:",
        b"hello_there_my_friend_",
        b"HelloThere_My_Friend_1_",
        b"a=b;c+=1;",
        b"AAAAAAAA",
    ):
        body = b'{"content":"%s"}' % (words * 10_000)
        assert guess(body).prompt == -(-len(body) // 4), words


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_picture_is_one_in_both_alphabets(alphabet):
    picture = alphabet(random.Random(1).randbytes(1_000_000))
    assert guess(b'{"url":"data:image/png;base64,%s"}' % picture).prompt < 50_000


def test_a_body_that_nobody_read_is_searched_for_its_bounds():
    assert guess(b'{"model":"m","max_tokens":7000,"messages":[]}').output == 7000
    assert guess(b'{"generationConfig":{"maxOutputTokens": 9000, "candidateCount": 2}}').output == 18_000
    assert guess(b'{"messages":[{"content":"say \\"max_tokens\\": 5"}]}').output == USUAL_OUTPUT, (
        "a text, and no member"
    )
    assert guess(b'{"tools":[{"properties":{"max_tokens":{"type":"integer"}}}]}').output == USUAL_OUTPUT
    long = b'{"max_tokens":7000,"text":"' + b"some words " * 10_000 + b'"}'
    assert guess(long).output == 7000
    assert guess(b'{"text":"' + b"some words " * 10_000 + b'","max_tokens":8000}').output == 8000


@pytest.mark.parametrize(
    "body",
    [
        b'{"max_tokens":7,"messages":[]}',
        b'{"tools":[{"parameters":{"max_tokens":1}}],"max_tokens":9.0e5}',
        b'{"metadata":{"max_tokens":1},"max\\u005ftokens":900000}',
        b'{"max_tokens":0}',
    ],
)
def test_h9_what_nobody_read_does_not_lower_what_is_reserved(body):
    assert guess(body).output == USUAL_OUTPUT
    assert guess(body[:-1] + b',"n":2}').output == 2 * USUAL_OUTPUT
