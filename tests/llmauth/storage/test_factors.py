"""A6: second factors: each code once, five failures and a lock, backup codes that are only hashed."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest

from llmauth.clock import ManualClock
from llmauth.storage.home import StateUnusable
from llmauth.storage.keys import KeyNotFound
from llmauth.storage.sealing import SealingKey

AT = 1_800_000_000.0


@pytest.fixture
def key(store):
    return store.create("ci")[0]


@pytest.fixture
def enrolled(store, key):
    return store.enrol("ci")


def code_of(enrolment, at: float = AT, steps: int = 0) -> str:
    return pyotp.TOTP(enrolment.secret.reveal()).generate_otp(int(at // 30) + steps)


def wrong_code(enrolment, at: float = AT) -> str:
    right = {code_of(enrolment, at, steps) for steps in range(-3, 4)}
    return next(code for code in map("{:06}".format, range(99)) if code not in right)


def outcomes(store, key, code, at=AT, times=1):
    return [store.prove_factor(key.id, code, at).outcome for _ in range(times)]


def test_what_an_authenticator_app_is_given(enrolled):
    uri = urlsplit(enrolled.provisioning_uri.reveal())
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", "/llmauth:ci")
    assert parse_qs(uri.query) == {"secret": [enrolled.secret.reveal()], "issuer": ["llmauth"]}
    assert re.fullmatch("[A-Z2-7]{32}", enrolled.secret.reveal()), "160 bits"
    assert len(enrolled.backup_codes) == 10
    assert len({code.reveal() for code in enrolled.backup_codes}) == 10
    assert all(re.fullmatch("[a-hjkmnp-z2-9]{4}-[a-hjkmnp-z2-9]{4}", code.reveal()) for code in enrolled.backup_codes)
    assert enrolled.secret.reveal() not in repr(enrolled)


def test_an_enrolment_is_a_change_of_the_key(store, key, clock):
    before = store.snapshot().revision
    store.enrol(key.id)
    (record,) = store.snapshot(before).records
    assert (record.id, record.enrolled) == (key.id, clock.wall())


def test_a_code_is_accepted_once(store, key, enrolled):
    assert outcomes(store, key, code_of(enrolled), times=3) == ["accepted", "wrong", "wrong"]


def test_a_key_without_a_factor_has_none_to_prove(store, key):
    assert outcomes(store, key, "123456") == ["none"]
    assert store.prove_factor("unknown", "123456", AT).outcome == "none"
    store.enrol("ci")
    store.revoke("ci")
    assert outcomes(store, key, "123456") == ["none"]


@pytest.mark.parametrize(
    ("steps", "outcome"), [(-2, "wrong"), (-1, "accepted"), (0, "accepted"), (1, "accepted"), (2, "wrong")]
)
def test_one_step_early_or_late_is_in_time(store, key, enrolled, steps, outcome):
    assert outcomes(store, key, code_of(enrolled, steps=steps)) == [outcome]


def test_a_step_before_one_that_was_used_is_over(store, key, enrolled):
    assert outcomes(store, key, code_of(enrolled, steps=0)) == ["accepted"]
    assert outcomes(store, key, code_of(enrolled, steps=-1)) == ["wrong"]
    assert outcomes(store, key, code_of(enrolled, steps=1)) == ["accepted"]
    assert outcomes(store, key, code_of(enrolled, steps=0)) == ["wrong"]
    assert outcomes(store, key, code_of(enrolled, AT + 60), AT + 60) == ["accepted"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: f" {code}",
        lambda code: f"{code} ",
        lambda code: f"{code}\n",
        lambda code: f"{code[:3]} {code[3:]}",
        lambda code: code[:5],
        lambda code: f"{code}0",
        lambda code: f"0{code}",
        lambda code: "".join(chr(ord("０") + int(digit)) for digit in code),
        lambda code: "".join(chr(ord("٠") + int(digit)) for digit in code),
        lambda code: f"{code}\0",
        lambda code: str(int(code) + 10**6),
        lambda code: f"+{code[1:]}",
        lambda code: "",
        lambda code: "\udce9" * 6,
        lambda code: code * 3000,
    ],
)
def test_only_six_plain_digits_are_a_code(store, key, enrolled, spoil):
    assert outcomes(store, key, spoil(code_of(enrolled))) == ["wrong"]
    assert outcomes(store, key, code_of(enrolled)) == ["accepted"], "and what was no code used nothing up"


def test_the_code_of_another_key_is_wrong(store, key, enrolled):
    other, _ = store.create("other")
    theirs = store.enrol("other")
    assert outcomes(store, key, code_of(theirs)) == ["wrong"]
    assert outcomes(store, key, theirs.backup_codes[0].reveal()) == ["wrong"]
    assert outcomes(store, other, code_of(theirs)) == ["accepted"]


def test_a_backup_code_works_wherever_a_code_does_and_once(store, key, enrolled):
    for code in enrolled.backup_codes:
        assert outcomes(store, key, code.reveal(), times=2) == ["accepted", "wrong"]


def test_of_backup_codes_the_database_has_hashes_and_of_the_seed_nothing_to_read(store, kept, enrolled):
    """Acceptance check 8."""
    everything = kept.everything()
    for code in enrolled.backup_codes:
        assert code.reveal() not in everything
        assert code.reveal().replace("-", "") not in everything
    assert enrolled.secret.reveal() not in everything
    assert len({its_hash for _, its_hash in kept.code_hashes()}) == 10


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda c: c.replace("-", ""), lambda c: f"{c} ", lambda c: c.replace("-", "–")]
)
def test_a_backup_code_is_compared_as_it_was_told(store, key, enrolled, spoil):
    code = enrolled.backup_codes[0].reveal()
    assert outcomes(store, key, spoil(code)) == ["wrong" if spoil(code) != code else "accepted"]


def test_five_failures_lock_and_each_further_one_for_twice_as_long(store, key, enrolled):
    at, seen = AT, []
    assert outcomes(store, key, wrong_code(enrolled), times=5) == ["wrong"] * 5
    for _ in range(10):
        result = store.prove_factor(key.id, code_of(enrolled, at), at)
        assert result.outcome == "locked", "a right code does not open it"
        seen.append(result.seconds)
        at += result.seconds
        assert outcomes(store, key, wrong_code(enrolled, at), at) == ["wrong"]
    assert seen == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_the_lock_counts_down_and_looks_at_nothing(store, key, enrolled):
    outcomes(store, key, wrong_code(enrolled), times=5)
    assert store.prove_factor(key.id, code_of(enrolled), AT + 10).seconds == 20
    assert outcomes(store, key, enrolled.backup_codes[0].reveal(), AT + 29.9, times=40) == ["locked"] * 40
    assert outcomes(store, key, enrolled.backup_codes[0].reveal(), AT + 30) == ["accepted"]


def test_twenty_wrong_codes_lock(store, key, enrolled):
    results = [store.prove_factor(key.id, f"{n:06}", AT) for n in range(20)]
    assert results[-1].outcome == "locked"


def test_success_forgets_failures(store, key, enrolled):
    for at in (AT, AT + 60, AT + 120):
        assert outcomes(store, key, wrong_code(enrolled, at), at, times=4) == ["wrong"] * 4
        assert outcomes(store, key, code_of(enrolled, at), at) == ["accepted"]


def test_a_used_code_that_comes_again_is_no_failure(store, key, enrolled):
    """A program sends many requests with the code that it was given: its user is not locked out for that."""
    backup = enrolled.backup_codes[0].reveal()
    assert outcomes(store, key, code_of(enrolled), times=30) == ["accepted", *["wrong"] * 29]
    assert outcomes(store, key, backup, times=30) == ["accepted", *["wrong"] * 29]


def test_a_restart_does_not_unlock(store, key, enrolled, opened):
    outcomes(store, key, wrong_code(enrolled), times=5)
    store.close()
    assert outcomes(opened(), key, code_of(enrolled)) == ["locked"]


def test_a_failure_counts_whatever_becomes_of_the_caller(store, key, enrolled, kept):
    """It was committed before the caller hears of it, so that nobody takes it back by leaving."""
    store.prove_factor(key.id, wrong_code(enrolled), AT)
    assert kept.failures(key.id) == 1


def test_enrolling_again_replaces_all(store, key, enrolled, clock):
    outcomes(store, key, wrong_code(enrolled), times=5)
    again = store.enrol("ci")
    assert outcomes(store, key, code_of(enrolled)) == ["wrong"]
    assert outcomes(store, key, enrolled.backup_codes[0].reveal()) == ["wrong"]
    assert outcomes(store, key, code_of(again)) == ["accepted"]
    assert outcomes(store, key, again.backup_codes[0].reveal()) == ["accepted"]


def test_a_key_that_takes_anothers_place_has_its_factor_as_it_stands(store, key, enrolled, kept):
    assert outcomes(store, key, code_of(enrolled)) == ["accepted"]
    assert outcomes(store, key, enrolled.backup_codes[0].reveal()) == ["accepted"]
    new, _ = store.rotate("ci")
    assert new.enrolled is not None
    assert outcomes(store, key, code_of(enrolled, steps=1)) == ["none"]
    assert outcomes(store, new, code_of(enrolled)) == ["wrong"], "used is used"
    assert outcomes(store, new, enrolled.backup_codes[0].reveal()) == ["wrong"]
    assert outcomes(store, new, code_of(enrolled, steps=1)) == ["accepted"]
    assert outcomes(store, new, enrolled.backup_codes[1].reveal()) == ["accepted"]
    assert {owner for owner, _ in kept.code_hashes()} == {new.id}


def test_rotating_does_not_unlock(store, key, enrolled):
    outcomes(store, key, wrong_code(enrolled), times=5)
    new, _ = store.rotate("ci")
    assert outcomes(store, new, code_of(enrolled)) == ["locked"]


def test_nothing_is_left_of_the_factor_of_a_revoked_key(store, key, enrolled, kept):
    store.revoke("ci")
    assert (kept.factors(), kept.code_hashes()) == (0, [])


def test_a_pair_may_have_a_factor_and_a_session_none(store, clock):
    pair, *_ = store.create_pair("pair")
    enrolment = store.enrol("pair")
    assert outcomes(store, pair, code_of(enrolment)) == ["accepted"]
    session, _ = store.open_session(
        user="u", groups=(), method="oidc", key_id=None, key_name=None, second_factor=False, ends_at=clock.wall() + 9
    )
    with pytest.raises(KeyNotFound, match="is a session"):
        store.enrol(session.id)


@pytest.mark.parametrize("what", ["factor", "codes"])
def test_rows_moved_from_another_key_prove_nothing(store, key, enrolled, kept, what):
    """R7: whoever can write the database, but has no sealing key, cannot put a factor that they know to a key."""
    source = store.create("mine")[0].id
    mine = store.enrol("mine")
    (kept.move_factor if what == "factor" else kept.move_codes)(source, key.id)
    for code in (code_of(mine), mine.backup_codes[0].reveal()):
        if what == "factor":
            with pytest.raises(StateUnusable, match="belongs to another record"):
                store.prove_factor(key.id, code, AT)
        else:
            assert outcomes(store, key, code) == ["wrong"]


def test_without_its_sealing_key_nothing_is_proved(store, key, enrolled, opened, home, tmp_path):
    late = opened(sealing=SealingKey(tmp_path / "elsewhere"))
    with pytest.raises(StateUnusable, match=r"sealing\.key is missing"):
        late.prove_factor(key.id, code_of(enrolled), AT)
    with pytest.raises(StateUnusable, match=r"sealing\.key is missing"):
        late.rotate("ci")
    assert late.list()[0].revoked is None
    assert outcomes(store, key, code_of(enrolled)) == ["accepted"], "and the code was not used up"


USE = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from llmauth.storage.stores import open_keys
from llmauth.storage.sealing import SealingKey
def work(number, go):
    location, home, key, code = sys.argv[1:]
    store = open_keys(location, sealing=SealingKey(Path(home)))
    go()
    with ThreadPoolExecutor(4) as pool:
        for each in pool.map(lambda _: store.prove_factor(key, code, 1800000000.0), range(4)):
            os.write(1, each.outcome.encode() + b"\\n")
"""


@pytest.mark.parametrize("kind", ["totp", "backup"])
def test_of_sixteen_who_use_one_code_at_once_one_is_accepted(key, enrolled, location, home, kind, at_once):
    code = code_of(enrolled) if kind == "totp" else enrolled.backup_codes[0].reveal()
    assert sorted(at_once(4, USE, location, str(home), key.id, code)) == ["accepted", *["wrong"] * 15]


def test_a_clock_that_goes_back_gives_no_code_a_second_time(store, key, enrolled):
    assert outcomes(store, key, code_of(enrolled, AT + 90), AT + 90) == ["accepted"]
    assert outcomes(store, key, code_of(enrolled, AT), AT) == ["wrong"]
    assert outcomes(store, key, code_of(enrolled, AT + 90), AT + 90) == ["wrong"]


def test_at_the_beginning_of_time(store, key, enrolled):
    assert outcomes(store, key, code_of(enrolled, 5.0, steps=1), 5.0) == ["accepted"]


def test_a_manual_clock_is_not_asked(store, key, enrolled, clock: ManualClock):
    """The moment is handed in: that of the request, and not that of a thread that had to wait."""
    clock.advance(10_000)
    assert outcomes(store, key, code_of(enrolled)) == ["accepted"]
