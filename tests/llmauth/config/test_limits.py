from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llmauth.config.limits import Limits, written


@pytest.mark.parametrize(
    ("given", "size"),
    [("64KiB", 65536), ("1 MiB", 1048576), ("7", 7), (7, 7), ("7B", 7), ("1GiB", 1073741824)],
)
def test_sizes(given: Any, size: int) -> None:
    assert Limits.model_validate({"head_bytes": 1, "body_bytes": given, "buffered_bytes": "2GiB"}).body_bytes == size


@pytest.mark.parametrize("given", ["", "64kb", "1.5MiB", "-1", "0", 0, True, None, 1.5, "9" * 40, "64 K", "1TiB"])
def test_what_is_no_size(given: Any) -> None:
    with pytest.raises(ValidationError):
        Limits(url_bytes=given)


@pytest.mark.parametrize("given", [{"head_bytes": "2MiB"}, {"connections": 0}, {"head_fields": True}, {"heads": 1}])
def test_what_cannot_be_meant(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(given)


@pytest.mark.parametrize(("given", "seconds"), [("off", None), (False, None), ("2h", 7200.0), (None, None)])
def test_an_exchange_may_be_without_end(given: Any, seconds: float | None) -> None:
    assert Limits(exchange_timeout=given).exchange_timeout == seconds


def test_every_other_time_has_an_end() -> None:
    for name in ("head_timeout", "body_timeout", "body_silence", "answer_silence", "idle_timeout", "write_timeout"):
        with pytest.raises(ValidationError):
            Limits.model_validate({name: "off"})


@pytest.mark.parametrize("given", [{"body_bytes": "2GiB"}, {"buffered_bytes": "31MiB"}])
def test_a_body_that_is_allowed_fits(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="buffered_bytes is less than body_bytes"):
        Limits.model_validate(given)


def test_what_screening_is_asked() -> None:
    head = Limits.model_validate({"head_bytes": "1KiB", "head_fields": 3, "url_bytes": 9}).head
    assert (head.head, head.fields, head.url) == (1024, 3, 9)


@pytest.mark.parametrize(
    ("size", "text"), [(33554432, "32 MiB"), (65536, "64 KiB"), (1073741824, "1 GiB"), (1000, "1000 bytes")]
)
def test_a_size_is_told_as_it_is_written(size: int, text: str) -> None:
    assert written(size) == text
