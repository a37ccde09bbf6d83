"""The table of docs/SECURITY.md that says which tests hold the faults of other gateways away names tests that exist."""

from __future__ import annotations

import ast
import re

from tests.sources import ROOT
from tests.test_docs import rows

TABLE = {int(row[0]): row[2] for row in rows(ROOT / "docs" / "SECURITY.md", "Faults that do not come back")}


def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name[:5] == "test_"
    }


def test_all_of_them_are_there() -> None:
    assert list(TABLE) == list(range(1, 23))
    assert all("::" in cell for cell in TABLE.values())


def test_their_tests_exist() -> None:
    named = [name for cell in TABLE.values() for name in re.findall(r"`(\S+)::(\w+)`", cell)]
    assert len(named) >= 30
    assert [f"{file}::{test}" for file, test in named if test not in functions_of(file)] == []
