"""A4: the text of a key, its checksum and its hash."""

import re
from collections import Counter

import bcrypt
import pytest

from llmauth.secrets import MASK, Secret
from llmauth.storage.key_text import ALGORITHM, hash_key, key_id_of, matches, new_key, shown


def test_the_form_survives_urls_headers_and_shells():
    key_id, key = new_key()
    text = key.reveal()
    assert re.fullmatch(r"llmauth_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}", text)
    assert len(text) <= 72
    assert key_id_of(text) == key_id


def test_at_least_160_bits_are_random():
    texts = [new_key()[1].reveal() for _ in range(2000)]
    assert len(set(texts)) == 2000
    assert 62**32 > 2**160
    # Every one of the 32 places uses the whole alphabet.
    for place in range(19, 19 + 32):
        assert len(Counter(text[place] for text in texts)) == 62


def test_every_single_typing_error_is_noticed():
    _, key = new_key()
    text = key.reveal()
    for place in range(len("llmauth_"), len(text)):
        other = "A" if text[place] != "A" else "B"
        assert key_id_of(text[:place] + other + text[place + 1 :]) is None
    swapped = text[:20] + text[21] + text[20] + text[22:]
    assert swapped == text or key_id_of(swapped) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t.upper(),
        lambda t: t.replace("_", "-"),
        lambda t: t[:-1] + "é",
        lambda t: t[:-1] + "\udce9",
        lambda t: "llmauth_",
        lambda t: "",
    ],
)
def test_other_forms_are_no_keys(spoil):
    assert key_id_of(spoil(new_key()[1].reveal())) is None


def test_only_the_very_key_matches():
    _, key = new_key()
    _, other = new_key()
    hashed = hash_key(key)
    assert matches(key.reveal(), ALGORITHM, hashed)
    assert not matches(other.reveal(), ALGORITHM, hashed)
    assert not matches(key.reveal(), "another-algorithm", hashed)
    assert not matches(key.reveal(), ALGORITHM, "no bcrypt hash")
    assert not matches("\udce9", ALGORITHM, hashed)


@pytest.mark.parametrize("tail", ["x", "y" * 500, "\0"])
def test_what_bcrypt_alone_would_not_see_counts(tail):
    """bcrypt ignores bytes after 72 and may stop at NUL; the digest before it does neither."""
    long = "a" * 72
    hashed = hash_key(Secret(long))
    assert matches(long, ALGORITHM, hashed)
    assert not matches(long + tail, ALGORITHM, hashed)
    assert not matches(long + "\0" + tail, ALGORITHM, hash_key(Secret(long + "\0")))


def test_the_hash_is_bcrypt_of_low_cost_with_a_salt():
    _, key = new_key()
    first, second = hash_key(key), hash_key(key)
    assert first.startswith("$2b$05$")
    assert first != second
    assert not bcrypt.checkpw(key.reveal().encode(), first.encode())


def test_r1_a_key_in_the_wrong_place_is_not_repeated_however_it_is_written():
    key = new_key()[1].reveal()
    written = [key, key.replace("_", "%5F"), key.replace("_", "%255f"), key.removeprefix("llmauth_"), f"/v1/{key}/x"]
    written += [key.upper(), key.removeprefix("llmauth_").replace("_", "%5f")]
    for text in written:
        assert shown(text) == MASK, text
    for text in ("gpt-4o", "anthropic.claude-3-5-sonnet-20240620-v1:0", "/v1/chat/completions" * 5):
        assert shown(text) == text[:100]
