"""The cast: who makes which calls, and who must be refused how."""

from __future__ import annotations

from llmauth.demo.walk.cast import cast
from llmauth.demo.walk.shells import PROXY
from llmauth.storage.key_text import key_id_of, new_key
from tests.llmauth.demo.walk.samples import KEYS, PLACE


def test_both_users_make_every_call_and_curl_only_where_there_is_one() -> None:
    with_curl, without = cast(PLACE, curl=True), cast(PLACE, curl=False)
    assert [len(shell.steps) for shell in with_curl[:2]] == [12, 18]
    assert [len(shell.steps) for shell in without[:2]] == [11, 16]
    assert not any(step.call.startswith("curl.") for shell in without for step in shell.steps)


def test_it_is_known_of_every_answer_what_must_be_heard() -> None:
    steps = [step for shell in cast(PLACE, curl=True) for step in shell.steps]
    unknown = {step.call for step in steps if step.status == 200 and not step.answer}
    assert unknown == {"bedrock.list_foundation_models"}


def test_each_refusal_has_its_own_status() -> None:
    steps = [step for shell in cast(PLACE, curl=False) for step in shell.steps if step.status != 200]
    assert {step.note: step.status for step in steps} == {
        "no key": 401,
        "wrong key": 407,
        "unknown host": 403,
        "key revoked": 401,
    }


def test_a_guess_is_no_key_of_anybody() -> None:
    key = new_key()[1].reveal()
    place = type(PLACE)(port=1, bundle=PLACE.bundle, keys={**KEYS, "alice": key})
    (eve,) = (shell for shell in cast(place, curl=False) if shell.caller == "eve")
    guess = eve.variables["HTTPS_PROXY"].partition("eve:")[2].partition("@")[0]
    assert eve.way == PROXY
    assert guess != key
    assert guess.startswith(f"llmauth_{key_id_of(key)}_")
