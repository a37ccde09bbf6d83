"""The sentence for a fault that validation found: what stands there, what is wanted, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmauth.config.problems import printable
from llmauth.config.tree import Node

_MAPPING = "a mapping (indented `key: value` lines)"
_WANTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "too_short": "at least {min_length} in the list",
    "too_long": "at most {max_length} in the list",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text of the form `{pattern}`",
    "path_type": "the path of a file",
    "none_required": "nothing",
}
_CHOICES = frozenset({"literal_error", "enum", "choice", "union_tag_invalid"})


def wanted(kind: str, context: Mapping[str, Any]) -> str | None:
    """What would be right here, `None` when this kind of fault has a sentence of its own."""
    if kind in _CHOICES:
        *others, last = (f"'{choice}'" for choice in choices(kind, context))
        return f"{', '.join(others)} or {last}" if others else last
    pattern = _WANTED.get(kind)
    return None if pattern is None else pattern.format_map(context)


def choices(kind: str, context: Mapping[str, Any]) -> list[str]:
    """The values that a fault of this kind allows, for a suggestion."""
    if kind not in _CHOICES:
        return []
    return re.findall(r"'([^']*)'", " ".join(str(context.get(name, "")) for name in ("expected", "expected_tags")))


def suggestion(written: object, known: Iterable[str]) -> str:
    """`, did you mean 'region'?` where one of the known names is near, else nothing."""
    near = difflib.get_close_matches(str(written).lower(), list(known), n=1, cutoff=0.6)
    return f", did you mean '{near[0]}'?" if near else ""


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The sentence for a key that no model has."""
    return "unknown key" + (suggestion(key, known) or (f"; known here: {', '.join(known)}" if known else ""))


def found(node: Node, key: str) -> str:
    """What stands in the file, as it may be shown: a variable by its name, what may be a secret not at all."""
    if node.expansions:
        names = (f"the {'default' if e.from_default else 'value'} of ${{{e.name}}}" for e in node.expansions)
        return " and ".join(dict.fromkeys(names))
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if _secret_like(key, str(value)):
        return "a value (not shown)"
    return f"'{_clipped(str(value))}'" if isinstance(value, str) else str(value)


def without_values(text: str, node: Node, key: str) -> str:
    """A validator's own sentence without the values that `found` would not show, here or anywhere below."""
    for spelling, name in _hidden(node, key):
        whole_word = rf"(?<!\w){re.escape(spelling)}(?!\w)" if len(spelling) < 4 else re.escape(spelling)
        text = name.join(re.split(whole_word, text, flags=re.IGNORECASE))
    return printable(text)


def _hidden(node: Node, key: str) -> Iterable[tuple[str, str]]:
    """Each spelling of a hidden value, and what to write in its place."""
    values = [(expansion.value.reveal(), f"${{{expansion.name}}}") for expansion in node.expansions]
    if isinstance(node.value, str):
        if node.expansions:
            values.insert(0, (node.value, "the value"))
        elif _secret_like(key, node.value):
            values.append((node.value, "the value"))
    for value, name in values:
        yield from ((spelling, name) for spelling in dict.fromkeys((value, repr(value)[1:-1])) if spelling)
    if isinstance(node.value, dict):
        for below, entry in node.value.items():
            yield from _hidden(entry, below)
    elif isinstance(node.value, list):
        for entry in node.value:
            yield from _hidden(entry, key)


_SECRET_KEY = re.compile(
    r"secret|token|password|passw|passphrase|api[_-]?key|access_key|private_?key|credential|seed|pepper"
    r"|authorization|\Ax-"  # header fields
)
_ABOUT_A_SECRET = ("_name", "_file", "_path", "_url", "_id", "variable", "mount")
# The forms that credentials are known by, user and password in a URL, and any long run of letters with digits.
_SECRET_TEXT = re.compile(
    r"\b(sk|rk|pk|xox[a-z]|gh[a-z]|hvs|llmauth|pat)[-_.]\w|\bA[KS]IA\w|\beyJ|-----BEGIN|://\S*@"
    r"|(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+=-]{24,}"
)


def _secret_like(key: str, text: str) -> bool:
    name = key.lower()
    # Vault's `secret_id` is a password under the name of an id.
    about = name.endswith(_ABOUT_A_SECRET) and name != "secret_id"
    named = _SECRET_KEY.search(name) is not None and not about
    return named or _SECRET_TEXT.search(text[:200]) is not None  # as much as is ever shown, and more


def _clipped(text: str) -> str:
    return printable(text if len(text) <= 60 else text[:57] + "...")
