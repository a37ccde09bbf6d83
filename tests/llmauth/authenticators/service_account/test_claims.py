"""What a value says of itself."""

from __future__ import annotations

import pytest

from llmauth.authenticators.service_account.claims import claimed, end_of
from llmauth.errors import Unauthenticated
from tests.fixtures.accounts import unsigned

SUBJECT = "system:serviceaccount:team-a:app"


def test_a_token_of_a_service_account_tells_for_whom_it_is() -> None:
    about = {"pod": {"name": "app-7d9f-x2"}}
    told = {"sub": SUBJECT, "iss": "https://c", "aud": ["a", "b"], "exp": 5, "kubernetes.io": about}
    found = claimed(unsigned(told))
    assert found is not None
    assert (found.subject, found.issuer, found.audiences, found.pod) == (
        SUBJECT,
        "https://c",
        ("a", "b"),
        "app-7d9f-x2",
    )
    assert end_of(found) == 5.0


def test_one_audience_may_be_a_text() -> None:
    found = claimed(unsigned({"sub": SUBJECT, "aud": "llmauth"}))
    assert found is not None
    assert found.audiences == ("llmauth",)


@pytest.mark.parametrize(
    "value",
    [
        *("", "eyJ", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIn0.e30.", "sk-placeholder", "eyJ..", "eyJ.eyJ.eyJ"),
        unsigned({"sub": "alice"}),
        unsigned({"sub": [SUBJECT]}),
        unsigned({"sub": f" {SUBJECT}"}),
        unsigned({"sub": SUBJECT, "x": "y" * 16_384}),
        unsigned({"sub": SUBJECT}) + "\x00",
        unsigned({"sub": SUBJECT}) + "é",
        unsigned({"sub": SUBJECT}).replace(".", ".."),
        "e" + unsigned({"sub": SUBJECT}),
    ],
)
def test_other_values_tell_nothing(value) -> None:
    assert claimed(value) is None


@pytest.mark.parametrize(
    "pod", [None, 1, "x", {"name": 1}, {"name": "a b"}, {"name": "a\nb"}, {"name": "é"}, {"name": ""}]
)
def test_a_pod_of_an_odd_name_is_not_repeated(pod) -> None:
    found = claimed(unsigned({"sub": SUBJECT, "kubernetes.io": {"pod": pod}}))
    assert found is not None
    assert found.pod == ""


@pytest.mark.parametrize("end", [None, "5", True, -1, 0, 1e300, [5]])
def test_a_token_without_an_end_is_refused(end) -> None:
    found = claimed(unsigned({"sub": SUBJECT, "exp": end}))
    assert found is not None
    with pytest.raises(Unauthenticated):
        end_of(found)
