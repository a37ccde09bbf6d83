"""Holds the house to its plan: floors, rooms, who may know mitmproxy, a docstring and a test for every module."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
from pathlib import Path

import pytest

from tests.locks import brought_by, lock, normal
from tests.sources import ROOT, arrows, does_something, imports_of, modules, tree_of

# A module stands where the longest of these names that it begins with says; that name is its room. It may import
# its own room and every lower floor. `llmauth` is the package itself, which holds the version, and no room for others.
FLOORS = {
    "llmauth": 0,
    "llmauth.addresses": 0,  # below the other values: a Url is made of hosts and ports
    "llmauth.clock": 1,
    "llmauth.durable": 1,
    "llmauth.durations": 1,
    "llmauth.egress": 1,
    "llmauth.errors": 1,
    "llmauth.http": 1,
    "llmauth.platform": 1,
    "llmauth.regular": 1,
    "llmauth.rules": 1,
    "llmauth.secrets": 1,
    "llmauth.sources": 1,
    "llmauth.ca": 2,
    "llmauth.chat": 2,
    "llmauth.context": 2,
    "llmauth.framing": 2,
    "llmauth.reflection": 2,
    "llmauth.signing": 2,
    "llmauth.storage": 2,
    "llmauth.upstream_proxy": 2,
    "llmauth.websocket": 2,
    "llmauth.audit": 3,
    "llmauth.codecs": 3,
    "llmauth.governance": 3,
    "llmauth.outbound": 3,
    "llmauth.screening": 3,
    "llmauth.telemetry": 3,
    "llmauth.authenticators": 4,
    "llmauth.providers": 5,
    "llmauth.token_hosts": 5,
    "llmauth.translation": 5,
    "llmauth.hindsight": 5,
    "llmauth.usage": 5,
    "llmauth.vaults": 5,
    "llmauth.credentials": 6,
    "llmauth.forwarding": 6,
    "llmauth.protocol": 6,
    "llmauth.routers": 7,
    "llmauth.config": 8,
    "llmauth.gateway": 9,
    "llmauth.control": 10,
    "addons": 10,  # addons.wire with it: the chain and its layers are one room
    "addons.launch": 11,
    "llmauth.clients": 11,
    "llmauth.installation": 11,
    "llmauth.demo": 11,  # below the command that starts it
    "llmauth.doctor": 12,
    "llmauth.cli": 13,
    "llmauth.__main__": 14,  # `python -m llmauth` is the command line
}

# Rooms that never meet although their floors would let them: how a credential is used, and where it comes from.
STRANGERS = [("llmauth.providers", "llmauth.credentials")]

# Modules whose code is tested elsewhere, each with its reason.
TESTED_ELSEWHERE: dict[str, str] = {}

# What lies beside the secrets and did not come with mitmproxy. A new name is a decision: who wrote it, who uses it?
BESIDE_MITMPROXY = {
    *("annotated-types", "pydantic", "pydantic-core", "typing-inspection"),
    *("annotated-doc", "colorama", "shellingham", "typer"),  # colorama: on Windows
    *("botocore", "jmespath", "python-dateutil", "six", "urllib3"),
    *("jaraco-classes", "jaraco-context", "jaraco-functools", "keyring", "more-itertools"),
    *("jeepney", "pywin32-ctypes", "secretstorage"),  # keyring's stores, on Linux and on Windows
    *("markdown-it-py", "mdurl", "pygments", "rich"),
    *("azure-core", "azure-identity", "msal", "msal-extensions", "pyjwt"),
    *("google-auth", "pyasn1-modules"),
    *("charset-normalizer", "hvac", "idna", "requests"),
    *("psycopg", "psycopg-binary", "tzdata"),  # tzdata: on Windows
    *("pyotp", "segno", "redis"),
    "prometheus-client",
    "python-json-logger",
    "sqlalchemy",
}


def within(module: str, room: str) -> bool:
    return module == room or (module.startswith(f"{room}.") and room != "llmauth")


def room_of(module: str) -> str | None:
    return max((room for room in FLOORS if within(module, room)), key=len, default=None)


def may_import(importer: str, imported: str) -> bool:
    lower, upper = room_of(imported), room_of(importer)
    return lower is not None and upper is not None and (lower == upper or FLOORS[lower] < FLOORS[upper])


def mirrors_of(module: str) -> list[Path]:
    """Where a module's own tests may lie. A package's are called after the package, or test_init.py."""
    file = modules()[module]
    stems = ("init", file.parent.name) if file.name == "__init__.py" else (file.stem,)
    return [ROOT / "tests" / file.parent.relative_to(ROOT) / f"test_{stem}.py" for stem in stems]


def listed(lines: list[str]) -> str:
    return "\n".join(sorted(lines))


def test_every_module_has_a_floor() -> None:
    homeless = sorted({".".join(module.split(".")[:2]) for module in modules() if room_of(module) is None})
    assert not homeless, f"no floor yet: give {', '.join(homeless)} a line in FLOORS, here and in docs/ARCHITECTURE.md"


def test_imports_go_down() -> None:
    wrong = [f"{a} imports {b}" for a, b in arrows() if room_of(a) and room_of(b) and not may_import(a, b)]
    assert not wrong, f"a module may import its own room and lower floors only:\n{listed(wrong)}"


def test_no_circles() -> None:
    graph = {module: imports_of(module) & modules().keys() - {module} for module in modules()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " ▸ ".join(reversed(error.args[1])))


def test_mitmproxy_is_known_to_addons_alone() -> None:
    ours = (module for module in modules() if not within(module, "addons"))
    wrong = [module for module in ours if any(within(imported, "mitmproxy") for imported in imports_of(module))]
    assert not wrong, f"llmauth has never heard of mitmproxy; what needs it belongs in addons:\n{listed(wrong)}"


def test_only_the_command_line_imports_addons() -> None:
    upward = ((a, b) for a, b in arrows() if within(b, "addons") and not within(a, "addons"))
    wrong = [f"{a} imports {b}" for a, b in upward if not within(a, "llmauth.cli")]
    assert not wrong, f"only llmauth.cli may import addons, to serve:\n{listed(wrong)}"


@pytest.mark.parametrize(("one", "other"), STRANGERS)
def test_strangers_never_meet(one: str, other: str) -> None:
    wrong = [f"{a} imports {b}" for a, b in arrows() if {one, other} == {room_of(a), room_of(b)}]
    assert not wrong, f"{one} and {other} share nothing but values:\n{listed(wrong)}"


def test_every_module_says_its_job_first() -> None:
    silent = [module for module in modules() if not ast.get_docstring(tree_of(module))]
    assert not silent, f"no docstring at the top:\n{listed(silent)}"


def test_every_folder_of_modules_is_a_package() -> None:
    bare = {
        str(file.parent.relative_to(ROOT)) for file in modules().values() if not (file.parent / "__init__.py").exists()
    }
    assert not bare, f"without an __init__.py a folder is left out of the wheel:\n{listed(list(bare))}"


def test_every_module_has_its_tests() -> None:
    untested = [m for m in modules() if does_something(tree_of(m)) and not any(path.exists() for path in mirrors_of(m))]
    wanted = [str(mirrors_of(m)[0].relative_to(ROOT)) for m in untested if m not in TESTED_ELSEWHERE]
    assert not wanted, f"tests mirror the code; these files are missing:\n{listed(wanted)}"


def test_the_tables_name_what_is_there() -> None:
    assert TESTED_ELSEWHERE.keys() <= modules().keys()
    assert {room for pair in STRANGERS for room in pair} <= FLOORS.keys()


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("llmauth.routers.auth", "llmauth.authenticators.keys", True),
        ("llmauth.authenticators.keys", "llmauth.routers.auth", False),
        ("llmauth.codecs.openai.stream", "llmauth.codecs.base", True),
        ("llmauth.codecs.openai.stream", "llmauth.credentials.base", False),
        ("llmauth.clock", "llmauth.http", False),
        ("llmauth.errors", "llmauth", True),
        ("llmauth", "llmauth.errors", False),
        ("addons.chain", "addons.wire.stream", True),
        ("addons.chain", "addons.launch.master", False),
        ("llmauth.cli.serve", "addons.launch.master", True),
        ("llmauth.unheard_of", "llmauth.http", False),
    ],
)
def test_judges_arrows(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed


def test_nothing_new_lies_beside_the_secrets() -> None:
    entries = lock("requirements")
    beside = {entry.name for entry in entries} - brought_by("mitmproxy", entries)
    grown, shrunk = sorted(beside - BESIDE_MITMPROXY), sorted(BESIDE_MITMPROXY - beside)
    assert beside == BESIDE_MITMPROXY, f"more: {grown}, fewer: {shrunk}; if that is meant, say so in BESIDE_MITMPROXY"


def test_the_product_runs_among_locked_packages_only() -> None:
    if not (ROOT / ".venv" / "made-from").exists():
        pytest.skip(".venv was not made by scripts/install")
    places = [str(folder) for folder in (ROOT / ".venv").glob("lib/python*/site-packages")]
    installed = {normal(package.metadata["Name"]) for package in importlib.metadata.distributions(path=places)}
    assert installed - {entry.name for entry in lock("requirements")} == {"pip", "llm-proxy-auth"}
