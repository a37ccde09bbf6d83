"""The tree: steps into it, merging and overlaying."""

from typing import Any

from llmauth.config.expansion import Expansion
from llmauth.config.problems import Place, Problem
from llmauth.config.tree import Node, join, merge, overlay
from llmauth.secrets import Secret


def node(value: Any, source: str = "a.yaml", line: int = 1) -> Node:
    place = Place(source=source, line=line)
    if isinstance(value, dict):
        return Node(value={key: node(entry, source, line) for key, entry in value.items()}, place=place)
    if isinstance(value, list):
        return Node(value=[node(entry, source, line) for entry in value], place=place)
    return Node(value=value, place=place)


def test_children_by_key_and_by_index():
    tree = node({"a": [1, 2]})
    inner = tree.child("a")
    assert inner is not None
    assert inner.child(1) == node(2)
    assert inner.child(2) is None
    assert inner.child("x") is None
    assert tree.child("b") is None
    assert tree.plain() == {"a": [1, 2]}


def test_paths_read_like_code():
    assert join(join(join("", "instances"), "strategies"), 0) == "instances.strategies[0]"


def test_merge_joins_mappings_of_both_files():
    problems: list[Problem] = []
    merged = merge(node({"a": {"b": 1}}), node({"a": {"c": 2}, "d": 3}), problems)
    assert merged.plain() == {"a": {"b": 1, "c": 2}, "d": 3}
    assert problems == []


def test_merge_names_both_places_of_a_key_that_stands_twice():
    problems: list[Problem] = []
    merge(node({"a": {"b": 1}}, "one.yaml", 3), node({"a": {"b": 2}}, "two.yaml", 7), problems)
    assert [str(problem) for problem in problems] == [
        "two.yaml:7: a.b: set here and at one.yaml:3; keep one of the two"
    ]


def test_a_list_in_two_files_is_no_mapping_to_join():
    problems: list[Problem] = []
    merge(node({"a": [1]}), node({"a": [2]}), problems)
    assert [problem.path for problem in problems] == ["a"]


def test_overlay_replaces_adds_and_leaves_the_original():
    tree = node({"a": {"b": 1}})
    assert overlay(tree, ("a", "b"), node(2)).plain() == {"a": {"b": 2}}
    assert overlay(tree, ("x", "y"), node(2)).plain() == {"a": {"b": 1}, "x": {"y": 2}}
    assert tree.plain() == {"a": {"b": 1}}


def test_overlay_leaves_what_is_no_mapping_to_validation():
    assert overlay(node({"a": 5}), ("a", "b"), node(2)).plain() == {"a": 5}


def test_expansions_are_collected_from_below():
    leaf = Node(value="x", place=Place(source="f"), expansions=(Expansion(name="V", value=Secret("x")),))
    tree = Node(value={"a": Node(value=[leaf], place=Place(source="f"))}, place=Place(source="f"))
    assert [expansion.name for expansion in tree.all_expansions()] == ["V"]


def test_values_are_not_shown_by_repr():
    """R1: a value may be an expanded secret."""
    assert "canary" not in repr(node({"a": "canary"}))
