"""YAML files, with variables from the environment, to any pydantic model; every fault is told, with file and line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llmauth.config import wording
from llmauth.config.problems import ConfigError, Place, Problem
from llmauth.config.reader import read_document
from llmauth.config.shapes import Shapes, fitting, known_keys, step_into, with_absolute_paths
from llmauth.config.tree import Node, join, merge

__all__ = ["ConfigError", "Problem", "load", "read", "validate"]

Model = TypeVar("Model", bound=BaseModel)


def load(
    paths: Sequence[Path], model: type[Model], environ: Mapping[str, str], context: Mapping[str, Any] | None = None
) -> Model:
    """Read, merge and validate; `context` reaches pydantic's validators. Raises ConfigError with all faults."""
    problems: list[Problem] = []
    return validate(read(paths, environ, problems), model, problems, context)


def read(paths: Sequence[Path], environ: Mapping[str, str], problems: list[Problem]) -> Node:
    """All files merged into one tree, which is empty without a file; faults are added to `problems`."""
    tree: Node | None = None
    for path in paths:
        document = read_document(path, environ, problems)
        if document is not None:
            tree = document if tree is None else merge(tree, document, problems)
    return tree or Node(value={}, place=Place(source="configuration"))


def validate(
    tree: Node, model: type[Model], problems: list[Problem], context: Mapping[str, Any] | None = None
) -> Model:
    """The tree as a model. Raises ConfigError with the faults found here and those already in `problems`."""
    tree = with_absolute_paths(tree, (model,))
    try:
        result = model.model_validate(tree.plain(), context=dict(context or {}))
    except ValidationError as error:
        raise ConfigError([*problems, *_faults(tree, model, error, problems)]) from None
    if problems:
        raise ConfigError(problems)
    return result


def _faults(tree: Node, model: type[BaseModel], error: ValidationError, known: list[Problem]) -> list[Problem]:
    """One problem a place: the alternatives of a union, each refused on its own, become one sentence."""
    told = tuple(problem.path for problem in known)
    groups: dict[str, list[_Fault]] = {}
    for details in error.errors(include_url=False, include_input=False):
        fault = _Fault(tree, model, details)
        if not any(_within(fault.path, path) for path in told):
            groups.setdefault(fault.path, []).append(fault)
    return [problem for faults in groups.values() for problem in _told(faults)]


def _within(path: str, outer: str) -> bool:
    return bool(outer) and (path == outer or path.startswith((outer + ".", outer + "[")))


def _told(faults: list[_Fault]) -> list[Problem]:
    mismatches = [fault for fault in faults if fault.wanted is not None]
    others = [fault.problem(fault.sentence()) for fault in faults if fault.wanted is None]
    if not mismatches:
        return others
    first = mismatches[0]
    options = " or ".join(dict.fromkeys(fault.wanted or "" for fault in mismatches))
    near = wording.suggestion(first.node.value, [choice for fault in mismatches for choice in fault.choices])
    return [
        first.problem(f"found {first.found()}, wanted {options}{near if not first.node.expansions else ''}"),
        *others,
    ]


class _Fault:
    """One error of pydantic's, brought back to the place in the tree that it is about."""

    def __init__(self, tree: Node, model: type[BaseModel], details: Mapping[str, Any]) -> None:
        self.kind: str = details["type"]
        self._context: Mapping[str, Any] = details.get("ctx", {})
        self._message: str = details["msg"]
        self.node, self.path, self.key = tree, "", ""
        self._shapes: Shapes = (model,)
        self._siblings: tuple[str, ...] = ()
        self._about_key = details["loc"][-1:] == ("[key]",)
        self._walk(list(details["loc"]))
        self.wanted = wording.wanted(self.kind, self._context)
        self.choices = wording.choices(self.kind, self._context)

    def _walk(self, steps: list[str | int]) -> None:
        absent = steps.pop() if self.kind == "missing" and steps else None
        inside = True  # the first step inside a mapping may be the tag that chose its model
        for step in steps:
            tag = self.node.child("type")
            if isinstance(step, str) and inside and tag is not None and tag.value == step:
                self._shapes, inside = fitting(self._shapes, self.node), False
                continue
            child = self.node.child(step)
            if child is None:
                continue  # a tag, the name of an alternative, or pydantic's own `[key]`
            inside = True
            self._siblings = known_keys(fitting(self._shapes, self.node))
            self._shapes = step_into(self._shapes, self.node, step)
            self.node, self.path, self.key = child, join(self.path, step), str(step)
        if absent is not None:
            self.path = join(self.path, absent)
        elif self.kind in ("union_tag_invalid", "union_tag_not_found"):
            self.key = str(self._context.get("discriminator", "type")).strip("'")
            self.path, self.node = join(self.path, self.key), self.node.child(self.key) or self.node

    def problem(self, message: str) -> Problem:
        return Problem(place=self.node.place, path=self.path, message=message)

    def found(self) -> str:
        """What stands there: the value, or its key where that is what is wrong."""
        return f"the name '{self.key}'" if self._about_key else wording.found(self.node, self.key)

    def sentence(self) -> str:
        """The words for a fault that is no plain mismatch."""
        if self.kind == "missing":
            return "required, and not there"
        if self.kind == "union_tag_not_found":
            return "required, and not there; it says which kind this is"
        if self.kind == "extra_forbidden":
            return wording.unknown_key(self.key, self._siblings)
        if self.kind == "unavailable":
            return self._message  # all our own words: what it names is from a closed set, and so no secret
        message = re.sub(r"^(Value error|Assertion failed), ", "", self._message).rstrip(".")
        if self.kind in ("value_error", "assertion_error") and (self._about_key or not self._is_collection()):
            message = f"found {self.found()}: {message}"
        return wording.without_values(message, self.node, self.key)

    def _is_collection(self) -> bool:
        return isinstance(self.node.value, dict | list)
