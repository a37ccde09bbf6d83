"""Cut answers, 1xx and trailers under mitmdump, as under `llmauth serve`."""

from __future__ import annotations

import pytest

from tests.e2e.test_streams import (  # noqa: F401
    door,
    test_1xx_heads_are_passed_on,
    test_cut_inside_a_chunk,
    test_trailers_of_an_answer_end_it,
)

pytestmark = pytest.mark.parametrize("shared_gateway", ["mitmdump"], indirect=True, scope="session")
