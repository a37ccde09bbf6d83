"""Key sets: what is read out of them, and that a key is good for its own algorithms alone."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from jwt.algorithms import RSAAlgorithm

from llmauth.authenticators.oidc.keyset import MOST_KEYS, KeySet, key_of, read_key_set
from llmauth.sources import SourceFailed
from tests.emulators.issuer import jwk, private_key
from tests.fixtures.forgeries import by

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


def key_set(*entries: object) -> KeySet:
    return read_key_set(json.dumps({"keys": entries}).encode())


def entry(signs: str = "RS256", kid: str | None = "k", **more: Any) -> dict[str, Any]:
    return jwk(signs, kid, private_key(signs), more)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_verifies_what_its_other_half_signed(alg: str) -> None:
    key = key_set(entry(alg)).choose("k", alg)
    assert key is not None
    signature = by(alg, private_key(alg))(b"signed")
    assert key.verifies(alg, b"signed", signature)
    assert not key.verifies(alg, b"signes", signature)
    assert not key.verifies(alg, b"signed", b"")
    others = [other for other in (*ALGORITHMS, "HS256", "none", "ES512", "") if other != alg]
    assert not any(key.verifies(other, b"signed", signature) for other in others)


@pytest.mark.parametrize(("alg", "other"), list(itertools.permutations(("RS256", "ES256", "ES384", "EdDSA"), 2)))
def test_a_key_of_one_kind_is_chosen_for_no_other(alg: str, other: str) -> None:
    keys = key_set(entry(alg, alg=None))
    assert keys.choose("k", alg) is not None
    assert keys.choose("k", other) is None
    assert keys.choose(None, other) is None


def test_of_several_keys_of_one_id_none_is_chosen() -> None:
    assert key_set(entry(), entry()).choose("k", "RS256") is None
    both = key_set(entry(), entry("ES256"))
    assert both.choose("k", "RS256") is not None
    assert both.choose("k", "ES256") is not None
    assert key_set(entry(kid="a"), entry(kid="b")).choose(None, "RS256") is None


@pytest.mark.parametrize(
    "odd",
    [
        {"use": "enc"},
        {"use": None, "key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA1"},
        {"kty": None},
        {"kty": ["RSA"]},
        {"kid": 7},
        {"alg": 7},
        {"n": "!"},
        {"n": 7},
        {"e": "AA"},
        {"n": None},
        {"kty": "EC"},
    ],
)
def test_keys_that_are_passed_over(odd: dict[str, Any]) -> None:
    keys = key_set({**entry(), **odd}, entry("ES256", "good"))
    assert [key.kid for key in keys.keys] == ["good"]


def test_keys_of_odd_sizes_are_passed_over() -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    assert key_set({**RSAAlgorithm.to_jwk(short, as_dict=True), "kid": "k"}).keys == ()
    others = (ed448.Ed448PrivateKey.generate(), ec.generate_private_key(ec.SECP521R1()))
    for public in (*(key.public_key() for key in others), None):
        assert key_of(public) is None


def test_a_private_key_that_was_published_is_kept_as_a_public_one() -> None:
    told = RSAAlgorithm.to_jwk(private_key("RS256"), as_dict=True)
    told.pop("key_ops")
    (key,) = key_set({**told, "kid": "k"}).keys
    assert isinstance(key.key, rsa.RSAPublicKey)


def test_marks_tell_keys_apart() -> None:
    keys = key_set(entry(kid="a"), entry(kid="b"), entry("ES256", "a"))
    assert len(keys.marks) == 3
    assert key_set(entry(kid="a")).marks <= keys.marks


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b"\x00<html>", b"[" * 100_000])
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(SourceFailed):
        read_key_set(body)


def test_too_many_keys() -> None:
    assert len(key_set(*[entry()] * MOST_KEYS).keys) == MOST_KEYS
    with pytest.raises(SourceFailed):
        key_set(*[entry()] * (MOST_KEYS + 1))


def test_a_set_without_keys_is_one() -> None:
    assert key_set().keys == ()
    assert key_set(1, None, [], "x").keys == ()
