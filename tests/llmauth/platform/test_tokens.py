"""What a token says of itself, whoever made it: decoded, believed in nothing, and never a reason to fail."""

from __future__ import annotations

import base64

import pytest

from llmauth.platform.tokens import audiences, claims, cluster, issuer
from tests.llmauth.platform.machines import AKS, EKS, GKE, OWN, token


def made_of(payload: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(payload).decode()}.c2ln"


def test_the_claims_are_read() -> None:
    assert claims(token(EKS, aud=["a"])) == {"iss": EKS, "aud": ["a"]}


def test_neither_signature_nor_end_is_looked_at() -> None:
    """It tells where we are, not who may do what."""
    head, payload, _ = token(EKS, exp=1).split(".")
    assert issuer(f"{head}.{payload}.") == "oidc.eks.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a.b", "a.b.c.d", "a.*.c", "a.Ä.c", "a.AA==.c", "a.A.c"),
        *map(made_of, [b"", b"null", b"[]", b'"iss"', b"{", b"\xff\xfe", b"[" * 30_000, b"9" * 10_000]),
    ],
)
def test_what_is_no_token_has_no_claims(text: str) -> None:
    assert claims(text) == {}
    assert issuer(text) is None
    assert audiences(text) == frozenset()


@pytest.mark.parametrize("named", [None, 1, ["https://x"], "", "kubernetes/serviceaccount", "http://x", "https://["])
def test_an_issuer_that_is_no_url_is_none(named: object) -> None:
    assert issuer(token(named)) is None


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (EKS, "eks"),
        (GKE, "gke"),
        (AKS, "aks"),
        (EKS.upper().replace("HTTPS", "https"), "eks"),
        (OWN, None),
        ("https://oidc.eks.amazonaws.com/id/X", None),
        ("https://s3.eu-west-1.amazonaws.com/oidc.eks.eu-west-1.amazonaws.com", None),
    ],
)
def test_a_cluster_is_known_by_its_issuer(named: str, found: str | None) -> None:
    host = issuer(token(named))
    assert host is not None
    assert cluster(host) == found


@pytest.mark.parametrize(
    ("aud", "named"), [("a", {"a"}), (["a", "b"], {"a", "b"}), (None, set()), ([1, ["a"]], set()), ({"a": 1}, set())]
)
def test_audiences_are_one_or_several(aud: object, named: set[str]) -> None:
    assert audiences(token(aud=aud)) == named
