"""A6: what a code is, which steps it is of, what is kept of a backup code, and how long wrong ones lock."""

from __future__ import annotations

import pyotp
import pytest

from llmauth.storage import codes
from llmauth.storage.drafts import draft

AT = 1_800_000_000.0


@pytest.fixture
def made():
    record, _ = draft("key", name="ci", user="u", groups=(), created=1.0, expires=None)
    return codes.new_enrolment(record)


def test_each_enrolment_is_new(made):
    again = codes.new_enrolment(made.record)
    assert again.secret != made.secret
    assert not set(again.backup_codes) & set(made.backup_codes)
    assert len(set(made.backup_codes)) == codes.BACKUP_CODES_EACH


def test_forms(made):
    assert codes.is_code("012345")
    assert all(codes.is_backup_code(code.reveal()) for code in made.backup_codes)
    for text in ("", "12345", "1234567", "12345\n", "１２３４５６", " 123456"):
        assert not codes.is_code(text)
        assert not codes.is_backup_code(text)


def test_a_step_early_and_late_are_seen(made):
    seed = made.secret.reveal()
    now = int(AT // 30)
    for step in (now - 1, now, now + 1):
        assert step in codes.steps(seed, pyotp.TOTP(seed).generate_otp(step), AT)
    assert now + 2 not in codes.steps(seed, pyotp.TOTP(seed).generate_otp(now + 2), AT)


def test_a_hash_is_of_one_seed(made):
    code = made.backup_codes[0].reveal()
    other = codes.new_enrolment(made.record).secret.reveal()
    assert codes.hashed(made.secret.reveal(), code) != codes.hashed(other, code)


def test_locks_double_up_to_an_hour():
    seconds = [(codes.locked_until(failures, AT) or AT) - AT for failures in (1, 4, 5, 6, 11, 12, 10**9)]
    assert seconds == [0, 0, 30, 60, 1920, 3600, 3600]
