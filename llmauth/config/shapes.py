"""What the option models say about a place in the tree: the keys known there, and which values are paths."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel, RootModel

from llmauth.config.tree import Node

Shapes = tuple[Any, ...]


def shapes_of(annotation: object) -> Shapes:
    """The alternatives that an annotation allows, with aliases, `Annotated` and unions taken apart."""
    if isinstance(annotation, TypeAliasType):
        return shapes_of(annotation.__value__)
    origin = get_origin(annotation)
    if origin is Annotated:
        return shapes_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(shape for part in get_args(annotation) for shape in shapes_of(part))
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return shapes_of(annotation.model_fields["root"].annotation)
    return (annotation,)


def step_into(shapes: Shapes, node: Node | None, step: str | int) -> Shapes:
    """The alternatives one key or index further; `node` is the mapping or list that is stepped into."""
    found: list[Any] = []
    for shape in fitting(shapes, node):
        found.extend(_entry(shape, step))
    return tuple(found)


def fitting(shapes: Shapes, node: Node | None) -> Shapes:
    """Of several models those whose fixed fields (`type`) are as they stand in the tree, or all when none is."""
    if node is None or len(shapes) == 1:
        return shapes
    return tuple(shape for shape in shapes if _agrees(shape, node)) or shapes


def known_keys(shapes: Shapes) -> tuple[str, ...]:
    """The names that may stand in a mapping of these models."""
    names = (field.alias or name for model in _models(shapes) for name, field in model.model_fields.items())
    return tuple(dict.fromkeys(names))


def with_absolute_paths(node: Node, shapes: Shapes) -> Node:
    """The tree with each value of type `Path` made absolute, from the folder of the file that it stands in."""
    if isinstance(node.value, dict):
        entries = {k: with_absolute_paths(v, step_into(shapes, node, k)) for k, v in node.value.items()}
        return Node(value=entries, place=node.place)
    if isinstance(node.value, list):
        items = [with_absolute_paths(v, step_into(shapes, node, i)) for i, v in enumerate(node.value)]
        return Node(value=items, place=node.place)
    if isinstance(node.value, str) and node.value and Path in shapes:
        return Node(value=_absolute(node.value, node.place.folder), place=node.place, expansions=node.expansions)
    return node


def _absolute(text: str, folder: Path) -> str:
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # `~` where no home folder is known
        path = Path(text)
    return str(folder.absolute() / path)


def _entry(shape: Any, step: str | int) -> Shapes:
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        field = next((f for name, f in shape.model_fields.items() if (f.alias or name) == step), None)
        return () if field is None else shapes_of(field.annotation)
    origin, arguments = get_origin(shape), get_args(shape)
    if not isinstance(origin, type) or not arguments:
        return ()
    if issubclass(origin, Mapping):
        return shapes_of(arguments[1])
    if issubclass(origin, tuple) and Ellipsis not in arguments:
        return shapes_of(arguments[step]) if isinstance(step, int) and step < len(arguments) else ()
    return shapes_of(arguments[0]) if issubclass(origin, Sequence | Collection) else ()


def _models(shapes: Shapes) -> Iterable[type[BaseModel]]:
    return (shape for shape in shapes if isinstance(shape, type) and issubclass(shape, BaseModel))


def _agrees(shape: Any, node: Node) -> bool:
    for model in _models((shape,)):
        for name, field in model.model_fields.items():
            written = node.child(field.alias or name)
            fixed = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
            if fixed and written is not None and written.value not in fixed:
                return False
    return True
