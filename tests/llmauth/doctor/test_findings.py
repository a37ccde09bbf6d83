"""A fault without its remedy cannot be said."""

from __future__ import annotations

import pytest

from llmauth.doctor.findings import Finding, Verdict, fail, ok, skip, warn


def test_what_is_not_well_names_what_mends_it() -> None:
    assert [one.verdict for one in (ok("a"), skip("a"), warn("a", "b"), fail("a", "b"))] == [
        "ok",
        "skip",
        "warn",
        "fail",
    ]
    verdict: Verdict
    for verdict in ("warn", "fail"):
        with pytest.raises(ValueError, match="mends"):
            Finding(verdict=verdict, what="broken")
    with pytest.raises(ValueError, match="mends"):
        Finding(verdict="ok", what="well", fix="nothing")
