"""Reads the project's own modules without running them: their names, what they import, whether they do anything."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> Mapping[str, Path]:
    return {name_of(file): file for top in ("llmauth", "addons") for file in sorted((ROOT / top).rglob("*.py"))}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"), modules()[module].as_posix())


def named_in(node: ast.AST, package: str) -> Iterator[tuple[str, str | None]]:
    """The imports of one statement or call, wherever it stands: the module, and the name taken from it if any."""
    match node:
        case ast.Import(names=names):
            yield from ((alias.name, None) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            base = ".".join(package.split(".")[: 1 - level or None]) if level else ""
            yield from ((".".join(filter(None, (base, module))), alias.name) for alias in names)
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            yield name, None


def imports(tree: ast.AST, package: str, known: Container[str]) -> set[str]:
    """What is imported at the top, in a function or by a call. `from a import b` is a.b where that is a module."""
    found = (pair for node in ast.walk(tree) for pair in named_in(node, package))
    return {f"{module}.{name}" if f"{module}.{name}" in known else module for module, name in found}


@cache
def imports_of(module: str) -> frozenset[str]:
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(imports(tree_of(module), package, modules()))


def arrows() -> Iterator[tuple[str, str]]:
    """Each import of one of our modules by another: (importer, imported)."""
    return ((a, b) for a in modules() for b in imports_of(a) if b.split(".")[0] in ("llmauth", "addons"))


def does_something(tree: ast.Module) -> bool:
    """Whether any function has a body: values, tables and interfaces have nothing of their own to test."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(not is_idle(statement) for function in functions for statement in function.body)


def is_idle(statement: ast.stmt) -> bool:
    """A `pass`, a docstring or an ellipsis."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)
