"""One YAML file to a tree: variables put in place, keys unique, size bounded, and each fault a sentence of ours."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from llmauth.config.expansion import expand
from llmauth.config.problems import Place, Problem
from llmauth.config.tree import Node, Value, join
from llmauth.regular import read_regular

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000  # aliases count each time they are used, so that a few lines cannot grow to gigabytes
MAX_DEPTH = 50

_EMPTY = "the file is empty; wanted a mapping such as `instances:`"
_TAGGED = "`!` begins a tag, which is not read here; a value that begins with `!` needs quotes"


def read_document(file: Path, environ: Mapping[str, str], problems: list[Problem]) -> Node | None:
    """The tree of one file, its variables put in place; faults go to `problems`, `None` when nothing can be read."""
    root = Place(source=str(file), folder=file.absolute().parent)
    try:
        text = _read_text(file)
        tree = _compose(text, root)
    except _Unreadable as error:
        problems.append(error.problem)
        return None
    if tree is None:
        problems.append(Problem(place=root, path="", message=_EMPTY))
        return None
    reader = _Reader(root=root, environ=environ, problems=problems)
    try:
        node = reader.read(tree, _at(root, tree), "", ())
    except _Unreadable as error:
        problems.append(error.problem)
        return None
    if not isinstance(node.value, dict):
        message = f"found {_kind(node.value)}, wanted a mapping such as `instances:`"
        problems.append(Problem(place=node.place, path="", message=message))
        return None
    return node


class _Unreadable(Exception):
    """The file as a whole cannot be used."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(place=place, path="", message=message)


def _read_text(file: Path) -> str:
    root = Place(source=str(file))
    try:
        data = read_regular(file, MAX_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise _Unreadable(root, "the file is larger than 1 MiB, which no configuration is") from None
        raise _Unreadable(root, f"the file cannot be read: {error.strerror or type(error).__name__}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _Unreadable(Place(source=str(file), line=line), "not UTF-8 text; save the file as UTF-8") from None


def _compose(text: str, root: Place) -> YamlNode | None:
    yaml = YAML(typ="safe", pure=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            composed: YamlNode | None = yaml.compose(text)
    except MarkedYAMLError as error:
        raise _syntax_error(error, text, root) from None
    except RecursionError:
        raise _Unreadable(root, "nested too deeply") from None
    except (YAMLError, ValueError, AssertionError, LookupError, AttributeError, TypeError):
        # The reader refuses control characters without a line, and meets odd directives with an assertion.
        raise _Unreadable(_control_character(text, root), "not YAML: a character that it does not allow") from None
    return composed


def _control_character(text: str, root: Place) -> Place:
    found = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", text)
    return root if found is None else _line(root, text.count("\n", 0, found.start()))


def _syntax_error(error: MarkedYAMLError, text: str, root: Place) -> _Unreadable:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return _Unreadable(root, "not YAML")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    return _Unreadable(_line(root, mark.line), f"not YAML: {_sentence(str(error.problem or ''), line)}")


# The library's sentence may quote what stands in the file, which may be a secret: ours are said instead.
_SENTENCES = (
    (r"'\\t'", "a tab; indent with spaces"),
    (r"undefined alias", "`*` begins an alias that no `&` defines; a value that begins with `*` needs quotes"),
    (
        r"undefined tag handle|tag",
        "`!` begins a tag, which is not read here; a value that begins with `!` needs quotes",
    ),
    (r"another document", "a second document begins (`---`); one file is one document"),
    (r"cannot start any token", "a character that cannot begin a value; put the value in quotes"),
    (
        r"mapping values are not allowed",
        "a `:` where no key can stand; check the indentation, or quote the value",
    ),
    (
        r"unknown escape|hexdecimal|expected escape",
        "an unknown `\\` in double quotes; use single quotes",
    ),
    (r"unexpected end of stream", "a quote that is never closed"),
    (r"expected ',' or", "a list or mapping in brackets that is not closed"),
    (r"could not find expected ':'", "a line without `key:`; check the indentation"),
    (r"expected <block end>", "the indentation does not fit the lines above"),
)


def _sentence(problem: str, line: str) -> str:
    if re.search(r"expected ',' or", problem) and "${" in line:
        return 'inside `{ }` and `[ ]` a variable needs quotes: "${NAME}"'
    for pattern, sentence in _SENTENCES:
        if re.search(pattern, problem):
            return sentence
    return "the line cannot be understood; check quotes and indentation"


def _line(root: Place, index: int) -> Place:
    return Place(source=root.source, line=index + 1, folder=root.folder)


def _at(root: Place, node: YamlNode) -> Place:
    return _line(root, node.start_mark.line)


def _kind(value: Value) -> str:
    return "a list" if isinstance(value, list) else "nothing" if value is None else "a single value"


_PREFIX = "tag:yaml.org,2002:"


class _Reader:
    """Turns the library's nodes into ours: variables put in place, keys unique, size and depth bounded."""

    def __init__(self, *, root: Place, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self._root = root
        self._environ = environ
        self._problems = problems
        self._values = 0
        self._yaml = YAML(typ="safe", pure=True)

    def read(self, node: YamlNode, place: Place, path: str, above: tuple[int, ...]) -> Node:
        """The node as ours; `above` has the nodes that it stands in, by identity."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Unreadable(
                place, f"more than {MAX_VALUES} values, aliases counted; this is no configuration of ours"
            )
        if id(node) in above:
            raise _Unreadable(place, "an alias that contains itself")
        if len(above) >= MAX_DEPTH:
            raise _Unreadable(place, "nested too deeply")
        above = (*above, id(node))
        if isinstance(node, MappingNode) and str(node.tag) == _PREFIX + "map":
            return Node(value=self._mapping(node, path, above), place=place)
        if isinstance(node, SequenceNode) and str(node.tag) == _PREFIX + "seq":
            entries = (
                self.read(entry, _at(self._root, entry), join(path, i), above) for i, entry in enumerate(node.value)
            )
            return Node(value=list(entries), place=place)
        if isinstance(node, ScalarNode):
            return self._scalar(node, place, path)
        return self._fault(place, path, _TAGGED)

    def _mapping(self, node: MappingNode, path: str, above: tuple[int, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        inherited: dict[str, Node] = {}
        for key, value in node.value:
            place = _at(self._root, key)
            if not isinstance(key, ScalarNode):
                self._fault(place, path, "a list or mapping as a key; keys are names")
            elif str(key.tag) == _PREFIX + "merge":
                inherited |= self._inherited(value, place, path, above)
            elif key.value in entries:
                first = entries[key.value].place
                self._fault(place, join(path, key.value), f"set here and at {first}; keep one of the two")
            else:
                entries[key.value] = self.read(value, place, join(path, key.value), above)
        return inherited | entries

    def _inherited(self, node: YamlNode, place: Place, path: str, above: tuple[int, ...]) -> dict[str, Node]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        inherited: dict[str, Node] = {}
        for source in sources:
            value = self.read(source, place, path, above).value
            if isinstance(value, dict):
                inherited = value | inherited  # of several, the first one wins
            else:
                self._fault(place, path, "`<<` takes a mapping, by its alias: `<<: *name`")
        return inherited

    def _scalar(self, node: ScalarNode, place: Place, path: str) -> Node:
        tag = str(node.tag).removeprefix(_PREFIX)
        if tag not in ("str", "int", "float", "bool", "null", "timestamp", "merge"):
            return self._fault(place, path, _TAGGED)
        expanded = expand(node.value, self._environ)
        for fault in expanded.faults:
            self._fault(place, path, fault)
        if expanded.expansions:
            # Kept as text: whoever wants a number reads it as one, and an account number wanted as text stays text.
            empty = not expanded.text and node.style is None
            return Node(value=None if empty else expanded.text, place=place, expansions=expanded.expansions)
        if tag in ("int", "float", "bool", "null"):
            return self._typed(node, place, path)
        return Node(value=expanded.text, place=place)

    def _typed(self, node: ScalarNode, place: Place, path: str) -> Node:
        try:
            return Node(value=self._yaml.constructor.construct_object(node, deep=True), place=place)
        except (ValueError, LookupError, YAMLError):
            return self._fault(place, path, "a number that cannot be read; put text in quotes")

    def _fault(self, place: Place, path: str, message: str) -> Node:
        self._problems.append(Problem(place=place, path=path, message=message))
        return Node(value=None, place=place)
