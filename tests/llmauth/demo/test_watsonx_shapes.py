"""What watsonx's tables cannot say: one place, one choice, and no tools but offered ones."""

from __future__ import annotations

from typing import Any

import pytest

from llmauth.demo.shapes import Mismatch
from llmauth.demo.watsonx_shapes import chat, check_choice, require_scope


@pytest.mark.parametrize("body", [{}, {"project_id": "a", "space_id": "b"}])
def test_one_place_is_meant(body: dict[str, Any]) -> None:
    require_scope({"space_id": "b"})
    with pytest.raises(Mismatch):
        require_scope(body)


@pytest.mark.parametrize(
    "body", [{"tool_choice_option": "auto"}, {"tools": [], "tool_choice": {}, "tool_choice_option": "auto"}]
)
def test_one_choice_is_meant(body: dict[str, Any]) -> None:
    check_choice({"tools": [], "tool_choice_option": "auto"})
    with pytest.raises(Mismatch):
        check_choice(body)


@pytest.mark.parametrize("name", ["model", "stream"])
def test_openais_own_fields_are_unknown(name: str) -> None:
    with pytest.raises(Mismatch):
        chat({"model_id": "m", "messages": [{"role": "user", "content": "x"}], name: "x"})
