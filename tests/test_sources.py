"""The reader of our own modules sees every import, and tells code from values."""

from __future__ import annotations

import ast

import pytest

from tests.sources import does_something, imports


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import llmauth.http", "llmauth.http"),
        ("from llmauth import http", "llmauth.http"),
        ("from llmauth import __version__", "llmauth"),
        ("from llmauth.http import Url", "llmauth.http"),
        ("from . import cache", "llmauth.credentials.cache"),
        ("from .cache import Lease", "llmauth.credentials.cache"),
        ("from ..http import Url", "llmauth.http"),
        ("from .. import http", "llmauth.http"),
        ("def f():\n    import mitmproxy.http", "mitmproxy.http"),
        ("if TYPE_CHECKING:\n    from mitmproxy import http", "mitmproxy"),
        ("importlib.import_module('mitmproxy.http')", "mitmproxy.http"),
        ("__import__('mitmproxy')", "mitmproxy"),
    ],
)
def test_reads_imports(source: str, imported: str) -> None:
    known = {"llmauth", "llmauth.http", "llmauth.credentials.cache"}
    assert imports(ast.parse(source), "llmauth.credentials", known) == {imported}


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("x = {1: 2}", False),
        ("class A:\n    x: int", False),
        ("class A(Protocol):\n    def f(self) -> int:\n        '''Gives.'''\n        ...", False),
        ("def f():\n    return 1", True),
        ("class A:\n    async def f(self):\n        '''Does.'''\n        await g()", True),
    ],
)
def test_tells_code_from_values(source: str, does: bool) -> None:
    assert does_something(ast.parse(source)) is does
