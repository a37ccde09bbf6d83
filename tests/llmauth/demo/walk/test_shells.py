"""The cast: who holds what, and who must be refused how."""

from __future__ import annotations

from llmauth.demo.walk.shells import PROXY, cast
from llmauth.storage.key_text import key_id_of, new_key
from tests.llmauth.demo.walk.samples import KEYS, PLACE, shell_of


def test_both_users_make_every_call_and_curl_only_where_there_is_one() -> None:
    with_curl, without = cast(PLACE, curl=True), cast(PLACE, curl=False)
    assert [len(shell.steps) for shell in with_curl[:2]] == [11, 11]
    assert [len(shell.steps) for shell in without[:2]] == [10, 10]


def test_each_refusal_has_its_own_status() -> None:
    steps = [step for shell in cast(PLACE, curl=False) for step in shell.steps if step.status != 200]
    assert {step.note: step.status for step in steps} == {
        "no key": 401,
        "wrong key": 407,
        "unknown host": 403,
        "key revoked": 401,
    }


def test_an_sdk_behind_the_proxy_keeps_its_own_addresses_and_holds_no_key() -> None:
    variables = shell_of("alice").variables
    assert variables["HTTPS_PROXY"] == f"http://alice:{KEYS['alice']}@127.0.0.1:8080"
    assert not any("BASE_URL" in name or "ENDPOINT" in name for name in variables)
    assert KEYS["alice"] not in (variables["OPENAI_API_KEY"], variables["ANTHROPIC_API_KEY"])


def test_an_sdk_with_a_base_url_has_no_proxy() -> None:
    variables = shell_of("bob").variables
    assert "HTTPS_PROXY" not in variables
    assert {variables[name] for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "LLMAUTH_KEY")} == {KEYS["bob"]}


def test_a_guess_is_no_key_of_anybody() -> None:
    key = new_key()[1].reveal()
    place = type(PLACE)(port=1, bundle=PLACE.bundle, keys={**KEYS, "alice": key})
    (eve,) = (shell for shell in cast(place, curl=False) if shell.caller == "eve")
    guess = eve.variables["HTTPS_PROXY"].partition("eve:")[2].partition("@")[0]
    assert eve.way == PROXY
    assert guess != key
    assert guess.startswith(f"llmauth_{key_id_of(key)}_")
