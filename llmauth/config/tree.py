"""A configuration as a tree whose every value knows its file and line; trees are merged and overlaid here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from llmauth.config.expansion import Expansion
from llmauth.config.problems import Place, Problem

Scalar = str | int | float | bool | None
Value = Scalar | dict[str, "Node"] | list["Node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value and where it stands; an entry of a mapping stands where its key does."""

    value: Value = field(repr=False)
    place: Place
    expansions: tuple[Expansion, ...] = ()

    def child(self, step: str | int) -> Node | None:
        """The entry under a key or an index, `None` when there is none."""
        if isinstance(self.value, dict):
            return self.value.get(str(step))
        if isinstance(self.value, list) and isinstance(step, int) and 0 <= step < len(self.value):
            return self.value[step]
        return None

    def all_expansions(self) -> Iterable[Expansion]:
        """Every variable that was put in place here or anywhere below."""
        yield from self.expansions
        if isinstance(self.value, dict | list):
            for entry in self.value.values() if isinstance(self.value, dict) else self.value:
                yield from entry.all_expansions()

    def plain(self) -> object:
        """The value as plain Python, without the places."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self.value


def join(path: str, step: str | int) -> str:
    """A dotted path one step on: `strategies[0].type`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step


def merge(first: Node, second: Node, problems: list[Problem], path: str = "") -> Node:
    """Both trees in one: mappings are joined, and whatever else stands in both is a fault that names both places."""
    if not (isinstance(first.value, dict) and isinstance(second.value, dict)):
        message = f"set here and at {first.place}; keep one of the two"
        problems.append(Problem(place=second.place, path=path, message=message))
        return first
    joined = dict(first.value)
    for key, entry in second.value.items():
        known = joined.get(key)
        joined[key] = entry if known is None else merge(known, entry, problems, join(path, key))
    return Node(value=joined, place=first.place)


def overlay(root: Node, steps: tuple[str, ...], node: Node) -> Node:
    """The tree with one value replaced or added; what is no mapping on the way is left for validation to refuse."""
    if not steps:
        return node
    if not isinstance(root.value, dict):
        return root
    entry = root.value.get(steps[0]) or Node(value={}, place=node.place)
    return Node(value={**root.value, steps[0]: overlay(entry, steps[1:], node)}, place=root.place)
