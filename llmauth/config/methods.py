"""Options of methods of authentication that environment variables set, in whichever entry of the list these stand."""

from __future__ import annotations

from collections.abc import Mapping

from llmauth.config.environment import option_from
from llmauth.config.tree import Node, overlay

VARIABLES: Mapping[str, Mapping[str, str]] = {"service_account": {"allowed": "ALLOWED_SERVICE_ACCOUNTS"}}
"""Method to option to the variable, which beats the file."""


def with_options(tree: Node, files: Node) -> Node:
    """The tree with the options that the files write for the methods which AUTH_MODE names, if it names them.

    A variable has no room for options: it chooses among the methods, each as it is written, and what it does not name
    is off.
    """
    written, chosen = _methods(files), _methods(tree)
    if written is None or chosen is None or chosen is written:
        return tree
    entries: list[Node] = []
    for name in chosen.value if isinstance(chosen.value, list) else ():
        entries += [one for one in written.value if _is_of(one, name)] if isinstance(written.value, list) else []
        if not entries or not _is_of(entries[-1], name):
            entries.append(name)
    return overlay(tree, ("auth", "methods"), Node(value=entries, place=chosen.place))


def with_variables(tree: Node, environ: Mapping[str, str]) -> Node:
    """The tree with these options where their variables are set; a bare name of a method becomes a mapping for it."""
    methods = _methods(tree)
    if methods is None or not isinstance(methods.value, list):
        return tree
    entries: list[Node] = [_with_variables(entry, environ) for entry in methods.value]
    return overlay(tree, ("auth", "methods"), Node(value=entries, place=methods.place))


def _methods(tree: Node) -> Node | None:
    auth = tree.child("auth")
    return auth.child("methods") if auth is not None else None


def _is_of(entry: Node, name: Node) -> bool:
    """Whether an entry is a mapping with the options of this method."""
    written = entry.child("type")
    return written is not None and written.value == name.value


def _with_variables(entry: Node, environ: Mapping[str, str]) -> Node:
    name = entry if isinstance(entry.value, str) else entry.child("type")
    known = VARIABLES.get(str(name.value), {}) if name is not None else {}
    for option, variable in known.items():
        node = option_from(variable, environ)
        if node is not None and name is not None:
            whole = entry if isinstance(entry.value, dict) else Node(value={"type": name}, place=entry.place)
            entry = overlay(whole, (option,), node)
    return entry
