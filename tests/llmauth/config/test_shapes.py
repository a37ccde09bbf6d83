"""What the models say about a place in the tree."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from llmauth.config.problems import Place
from llmauth.config.shapes import fitting, known_keys, shapes_of, step_into, with_absolute_paths
from llmauth.config.tree import Node


class Cat(BaseModel):
    type: Literal["cat"]
    lives: int = 9
    bed: Path | None = None


class Dog(BaseModel):
    type: Literal["dog"]
    tail: int = Field(default=1, alias="wag")


Pet = Annotated[Cat | Dog, Field(discriminator="type")]


class Pets(RootModel[list[Pet]]): ...


class House(BaseModel):
    pets: dict[str, Pet] = {}
    pair: tuple[Cat, Dog] | None = None
    root: Pets | None = None
    files: list[Path] = []


def node(value: Any, folder: Path = Path("/etc/x")) -> Node:
    place = Place(source="f", folder=folder)
    if isinstance(value, dict):
        return Node(value={key: node(entry) for key, entry in value.items()}, place=place)
    if isinstance(value, list):
        return Node(value=[node(entry) for entry in value], place=place)
    return Node(value=value, place=place)


def test_annotations_are_taken_apart():
    assert shapes_of(Pet) == (Cat, Dog)
    assert shapes_of(Cat | None) == (Cat, type(None))
    assert shapes_of(Pets) == (list[Pet],)


def test_steps_lead_through_mappings_lists_and_tuples():
    (pets,) = step_into((House,), None, "pets")
    assert step_into((pets,), None, "tom") == (Cat, Dog)
    assert step_into(shapes_of(tuple[Cat, Dog]), None, 1) == (Dog,)
    assert step_into(shapes_of(tuple[Cat, ...]), None, 7) == (Cat,)
    assert step_into(step_into((House,), None, "root"), None, 0) == (Cat, Dog)
    assert step_into((House,), None, "nothing") == ()
    assert step_into((int,), None, "x") == ()


def test_the_written_type_chooses_the_model():
    assert fitting((Cat, Dog), node({"type": "dog"})) == (Dog,)
    assert fitting((Cat, Dog), node({"type": "cow"})) == (Cat, Dog)
    assert fitting((Cat, Dog), node({})) == (Cat, Dog)


def test_known_keys_go_by_their_written_names():
    assert known_keys((Cat, Dog)) == ("type", "lives", "bed", "wag")


def test_paths_are_made_absolute_by_the_folder_of_their_file(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    tree = node({"pets": {"tom": {"type": "cat", "bed": "b/c"}}, "files": ["a", "/abs", "~/k"]})
    assert with_absolute_paths(tree, (House,)).plain() == {
        "pets": {"tom": {"type": "cat", "bed": "/etc/x/b/c"}},
        "files": ["/etc/x/a", "/abs", "/home/me/k"],
    }
