"""Holds the documents to the code: what they name exists, their tables are the code's, and the quick start works."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from llmauth import cli, errors, providers
from llmauth.authenticators.stripping import CREDENTIAL_HEADERS
from llmauth.chat.words import Word
from llmauth.codecs.base import RefusalShape
from llmauth.codecs.mapping import Table, complete
from llmauth.codecs.tables import FORMATS, Format
from llmauth.demo.emulators import Emulators
from llmauth.http import Headers
from llmauth.screening import hop_by_hop_names
from llmauth.telemetry.metrics import Metrics
from tests.fixtures.serving import environment, free_port, provider_environment
from tests.fixtures.terminal import terminal, wait_until_ready
from tests.llmauth.demo.clients import interpreter
from tests.sources import ROOT, modules
from tests.test_architecture import FLOORS

FIRST = (ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "certs" / "README.md", ROOT / "deployments" / "README.md")
PAGES = sorted([*FIRST, *(ROOT / "docs").rglob("*.md")])
README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "ARCHITECTURE.md"
QUICKSTART = ROOT / "docs" / "QUICKSTART.md"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

# Who reads the variables that no code of ours reads.
READ_BY_CLIENTS = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"), "every client"),
    "SSL_CERT_FILE": "Python's ssl",
    "CURL_CA_BUNDLE": "curl",
    "WX_CLIENT_VERIFY_REQUESTS": "ibm-watsonx-ai",
    "REQUESTS_CA_BUNDLE": "requests",
    "AWS_CA_BUNDLE": "botocore",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "botocore",
    "NODE_EXTRA_CA_CERTS": "Node.js",
    "GIT_SSL_CAINFO": "git",
    **dict.fromkeys(("JAVA_HOME", "JAVA_TOOL_OPTIONS"), "Java"),
    **dict.fromkeys(("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"), "openai"),
    "GOOGLE_VERTEX_BASE_URL": "google-genai",
    **dict.fromkeys(("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"), "Claude Code"),
    **dict.fromkeys(("CLAUDE_CODE_SKIP_VERTEX_AUTH", "ANTHROPIC_VERTEX_PROJECT_ID", "CLOUD_ML_REGION"), "Claude Code"),
    "CODEX_HOME": "Codex",
    **dict.fromkeys(("ANTHROPIC_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL"), "anthropic"),
    "LLMAUTH_KEY": "nobody: an example of certs/README.md",
    "CLIENT_ID": "nobody: what stands for an id in docs/credentials/azure.md",
    "COLLECTOR_TOKEN": "nobody: an example of docs/OBSERVABILITY.md",
    "VAULT_SKIP_VERIFY": "vault",
    "PYTHON_IMAGE": "build/Dockerfile",
}
# Options of other programs: curl, gcloud.
OF_OTHERS = {"--cacert", "--impersonate-service-account", "--issuer-uri"}
# Parts that no refusal of this version can come from.
LATER_REFUSALS: set[type[errors.GatewayError]] = set()
# What the page may call a field of one hop; the code decides which of them are.
HOP_BY_HOP = (
    *(b"connection", b"keep-alive", b"te", b"trailer", b"trailers", b"transfer-encoding", b"upgrade"),
    *(b"http2-settings", b"expect", b"content-type", b"via", b"host"),
)
FORBIDDEN = (
    r"(?<![\w.~])/(?:home|root|tmp|work|Users)/",  # a place of one machine
    r"\bissues? #?\d|(?<!\w)#\d",
    r"(?i)\b(?:blazing|seamless\w*|effortless\w*|powerful|robust|world-class|cutting-edge|state-of-the-art|simply)\b",
    r"\b(?:TODO|FIXME|TBD|XXX)\b",
    r"\bTESTS_\w+",
)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Fence:
    """A block of code: its language, its lines, and the heading above it."""

    language: str
    text: str
    heading: str


def fences(page: Path) -> list[Fence]:
    found, heading, block = [], "", None
    for line in read(page).splitlines():
        bare = line.strip()
        if block is not None and bare == "```":
            found.append(Fence(block[0], "\n".join(block[1:]) + "\n", heading))
            block = None
        elif block is not None:
            block.append(line)
        elif bare.startswith("```"):
            block = [bare[3:]]
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return found


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", read(page))


def code_words(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = re.split(r"(?m)^#+ ", read(page).partition(f"# {heading}\n")[2])[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


# What is named exists


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = (word for word in code_words(page) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", word))
    ours = re.compile(r"(\./)?(addons|llmauth|tests|docs|scripts|configs)/.*|.*\.(py|md)")
    missing = [word for word in named if ours.fullmatch(word) and not (ROOT / word).exists()]
    assert [word for word in missing if word != "ask.py"] == []


@each_page
def test_modules_that_are_named_exist(page: Path) -> None:
    named = [word for word in code_words(page) if re.fullmatch(r"(llmauth|addons)(\.\w+)+", word)]
    assert [word for word in named if word not in modules() and word not in FLOORS] == []


def test_the_rooms_are_those_of_the_tree() -> None:
    (tree,) = [fence.text for fence in fences(ARCHITECTURE) if fence.heading == "Rooms"]
    folder, missing = ROOT, []
    for line in tree.splitlines():
        names = re.findall(r"(?<![\w/])(\w+(?:\.py|/))(?=\s|$)", line)
        if not line.startswith(" ") and names:
            folder = ROOT / names[0]
        else:
            missing += [name for name in names if not (folder / name).exists()]
    assert missing == []
    shown = set(re.findall(r"\w+(?=\.py|/)", tree))
    hidden = {path.stem for top in ("addons", "llmauth") for path in (ROOT / top).iterdir()} - shown
    assert {name for name in hidden if not name.startswith("__")} - {"py"} == set()


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        headings = map(slug, re.findall(r"(?m)^#+ (.*)$", read(file))) if anchor and file.is_file() else ()
        if not file.exists() or (anchor and anchor not in headings):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s]+)\)", read(README))}
    assert [page.name for page in PAGES if page != README and page.resolve() not in linked] == []


# Commands


def command_lines(page: Path) -> Iterator[str]:
    """Every `llmauth …` in a line of code, continued lines joined."""
    blocks = [fence.text for fence in fences(page) if fence.language in ("sh", "console")]
    for text in (*blocks, *code_words(page)):
        for line in text.replace("\\\n", " ").splitlines():
            if found := re.search(r"(?:^|[\s$(])llmauth( [^)>#&;]+|$)", line):
                yield found[1].strip()


def click_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words call, and what is left of them; KeyError for one that there is not."""
    name, *rest = words
    assert name in cli.COMMANDS, f"there is no llmauth {name}"
    command: Any = typer.main.get_command(importlib.import_module(f"llmauth.cli.{name}").app)
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name, *rest = rest
        return next(command.commands[each] for each in name.split("|")), rest
    return command, rest


@each_page
def test_commands_that_are_shown_exist(page: Path) -> None:
    for line in command_lines(page):
        # Behind ` -- ` stands a command of somebody else's.
        words = shlex.split(re.split(r" --(?: |$)", line)[0])
        if not words or words[0].startswith("-") or words[0] == "COMMAND":
            continue
        command, rest = click_command(words)
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= known, line


def every_command() -> dict[str, Any]:
    """Words to the command that they call: `keys create`, `serve`."""
    found = {}
    for name in cli.COMMANDS:
        command: Any = typer.main.get_command(importlib.import_module(f"llmauth.cli.{name}").app)
        below = getattr(command, "commands", {})
        found.update({f"{name} {each}": below[each] for each in below} or {name: command})
    return found


@each_page
def test_options_that_are_shown_alone_exist(page: Path) -> None:
    known = {option for command in every_command().values() for each in command.params for option in each.opts}
    named = {word.split()[0] for word in code_words(page) if word.startswith("--")} - {"--json", *OF_OTHERS}
    assert {option for option in named - known if option not in read(ROOT / "scripts" / "install")} == set()


def test_every_command_is_in_the_readme() -> None:
    table = " ".join(row[0] for row in rows(README, "Commands"))
    assert [words for words in every_command() if f"`llmauth {words}" not in table] == []


@pytest.mark.parametrize(
    "script", ["demo", "test", "bench", "install", "lint", "check", "lock", "docs", "setup-auth.sh"]
)
def test_scripts_that_are_shown_exist(script: str) -> None:
    assert f"scripts/{script}" in read(README)
    assert os.access(ROOT / "scripts" / script, os.X_OK)


# Variables


@functools.cache
def words_of_sources() -> frozenset[str]:
    files = [*modules().values(), *(ROOT / "scripts").iterdir(), *(ROOT / "configs").iterdir()]
    return frozenset(
        word for file in files if file.is_file() for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))
    )


@each_page
def test_variables_that_are_named_are_read_by_somebody(page: Path) -> None:
    written = "\n".join([*code_words(page), *(f.text for f in fences(page) if f.language in ("sh", "yaml", "console"))])
    named = set(re.findall(r"(?<![\w-])[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+(?![\w(])", written))
    assert named - READ_BY_CLIENTS.keys() - words_of_sources() == set()


# Tables


def test_the_floors_of_the_page_are_those_that_hold() -> None:
    table = {int(floor): re.findall(r"`([\w.]+)`", rooms) for floor, rooms in rows(ARCHITECTURE, "Floors")}
    assert {room: floor for floor, rooms in table.items() for room in rooms} == FLOORS
    assert list(table) == sorted(table, reverse=True)


def members(body: list[ast.stmt]) -> set[str]:
    found = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            found.add(statement.name)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            found.add(statement.target.id)
    return found


def test_the_interfaces_of_the_page_are_those_of_the_code() -> None:
    (block,) = [fence.text for fence in fences(ARCHITECTURE) if fence.heading == "Interfaces"]
    files = dict(re.findall(r"class (\w+)\(Protocol\): +# (\S+)", block))
    shown = {node.name: node for node in ast.parse(block).body if isinstance(node, ast.ClassDef)}
    assert shown.keys() == files.keys()
    for name, node in shown.items():
        tree = ast.parse(read(ROOT / files[name]))
        (real,) = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name]
        assert members(node.body) == members(real.body), name
        signatures = {each.name: ast.unparse(each.args) for each in real.body if isinstance(each, ast.FunctionDef)}
        for each in node.body:
            if isinstance(each, ast.FunctionDef):
                assert ast.unparse(each.args) == signatures[each.name], f"{name}.{each.name}"
    assert RefusalShape.__name__ in shown


def test_the_metrics_that_the_readme_names_are_shown() -> None:
    text = Metrics().render()[0].decode()
    shown = set(re.findall(r"(?m)^# TYPE (\w+) ", text))
    table = {row[0].strip("`"): row[1] for row in rows(README, "Metrics")}
    assert len(table) > 9
    assert table.keys() - shown == set()


def refusals(error: type[errors.GatewayError]) -> Iterator[tuple[int, str]]:
    for below in error.__subclasses__():
        if below not in LATER_REFUSALS:
            yield below.status, below.code
        yield from refusals(below)


def test_the_refusals_of_the_readme_are_those_of_the_code() -> None:
    table = {(int(status), code.strip("`")) for status, code, _ in rows(ROOT / "docs" / "REFUSALS.md", "Refusals")}
    assert table == set(refusals(errors.GatewayError))


def test_the_headers_that_are_cut_are_on_the_page() -> None:
    cells = " ".join(row[1] for row in rows(ROOT / "docs" / "TRANSPARENT-MODE.md", "What changes in a request")[:5])
    shown = {name.lower() for name in re.findall(r"`([\w-]+[\w])`", cells)}
    named = {name.decode() for name in CREDENTIAL_HEADERS if b"_" not in name} | {"date", "x-date"}
    ends_here = {name.decode() for name in hop_by_hop_names(Headers((field, b"") for field in HOP_BY_HOP))}
    assert shown == named | ends_here


def test_every_rule_has_its_tests() -> None:
    table = {row[0]: row[2] for row in rows(ROOT / "docs" / "SECURITY.md", "Rules")}
    assert [rule for rule, tests in table.items() if not re.search(r"`tests/\S+\.py`", tests)] == []
    wanted = "S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 A1 A2 A3 A4 A5 A6 A8 A9 B2 B3 B4 R1 R2 R3 R4 R5 R6 R7 F1 F2 F3 F4 F5"
    assert list(table) == wanted.split()


@each_page
def test_pages_hold_no_forbidden_word(page: Path) -> None:
    assert [found[0] for pattern in FORBIDDEN for found in re.finditer(pattern, read(page))] == []


# The page that is generated


def docs(folder: Path) -> subprocess.CompletedProcess[str]:
    """`scripts/docs --check` of the checkout that lies there."""
    command = [sys.executable, str(folder / "scripts" / "docs.py"), "--check"]
    return subprocess.run(
        command, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True, check=False, timeout=30
    )


def test_the_parameter_page_is_fresh() -> None:
    outcome = docs(ROOT)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("text", [None, "# Parameters\n"], ids=["missing", "stale"])
def test_a_parameter_page_that_is_not_fresh_is_named(tmp_path: Path, text: str | None) -> None:
    for name in ("scripts", "docs"):
        (tmp_path / name).mkdir()
    for script in ("docs.py", "docs_metrics.py"):
        shutil.copy(ROOT / "scripts" / script, tmp_path / "scripts")
    if text is not None:
        (tmp_path / "docs" / "PARAMETERS.md").write_text(text)
    outcome = docs(tmp_path)
    assert outcome.returncode == 1
    assert "docs/PARAMETERS.md" in outcome.stderr
    assert "Traceback" not in outcome.stderr


TABLES = [pytest.param(table, id=f"{one.title}, {kind}") for one in FORMATS for kind, table in one.tables.items()]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_complete(table: Table) -> None:
    assert complete(table)


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.title)
def test_every_word_of_a_format_is_on_the_page(one: Format) -> None:
    section = read(ROOT / "docs" / "PARAMETERS.md").partition(f"### {one.title}\n")[2].partition("\n#")[0]
    told = section.replace("`", "")
    assert [word.value for word in Word if word.value not in told] == []


VERTEX, ORACLE = {"project": "demo-project"}, {"compartment": "ocid1.compartment.oc1..aaaa"}
SPOKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("openai", {}, "gpt-4o", "OpenAI"),
    ("openai", {}, "gpt-5", "OpenAI"),
    ("azure", {"base_url": "https://house.openai.azure.com"}, "gpt-4o", "OpenAI"),
    ("openai_compatible", {"base_url": "https://vllm.example.org/v1"}, "llama", "compatible"),
    ("anthropic", {}, "claude-sonnet-4-5", "Anthropic"),
    ("bedrock", {}, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "Bedrock: Claude"),
    ("bedrock", {}, "amazon.nova-pro-v1:0", "Bedrock: others"),
    ("bedrock", {}, "meta.llama3-70b-instruct-v1:0", "Bedrock: others"),
    ("vertex", VERTEX, "gemini-2.5-pro", "Gemini"),
    ("vertex", VERTEX, "gemini-3-pro", "Gemini"),
    ("vertex", VERTEX, "claude-sonnet-5@20260101", "Anthropic"),
    ("vertex", VERTEX, "meta/llama-4", "compatible"),
    ("ibm", {"project_id": "2c81fe0c-5ae5-4ac4-9f16-3ee9bbd8a3ae"}, "ibm/granite-4-h-small", "watsonx"),
    ("oracle", ORACLE, "meta.llama-3.3-70b-instruct", "Oracle"),
    ("oracle", ORACLE, "cohere.command-a-03-2025", "Oracle: command-a"),
    ("oracle", ORACLE, "cohere.command-r-plus-08-2024", "Oracle: command-r"),
]


@pytest.mark.parametrize(("kind", "options", "model", "short"), SPOKEN, ids=[f"{s[0]} {s[2]}" for s in SPOKEN])
def test_what_an_instance_speaks_is_on_the_page(kind: str, options: dict[str, Any], model: str, short: str) -> None:
    handler = providers.build("house", providers.options_model(kind)(type=kind, **options))
    (format_,) = (one for one in FORMATS if one.short == short)
    assert handler.codec(model).table in format_.tables.values()


# The quick start, as it is written


class QuickStart:
    """The blocks of the quick start, in a folder of their own, against emulated providers."""

    def __init__(self, folder: Path, emulators: Emulators) -> None:
        self.folder, self.port, self.tls_port = folder, free_port(), free_port()
        blocks = [fence for fence in fences(QUICKSTART) if re.match(r"\d\. ", fence.heading)]
        for block in blocks:
            if named := re.match(r"# (\S+)\n", block.text):
                (folder / named[1]).write_text(block.text)
        self._sh = [(block.heading[0], self._here(block.text)) for block in blocks if block.language == "sh"]
        self._fill(emulators)
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.caller = environment(PATH=path, HOME=str(folder / "home"))
        self.operator = {
            **self.caller,
            **provider_environment(emulators),
            "PROVIDER_INSTANCES_CONFIG": str(folder / "upstream.yaml"),
            "PORT": str(self.port),
            "TLS_PORT": str(self.tls_port),
        }

    def _here(self, text: str) -> str:
        """Other ports, so that a test disturbs nobody; and no environment to activate."""
        text = text.replace("8080", str(self.port)).replace("8443", str(self.tls_port))
        return text.replace(". .venv/bin/activate\n", "")

    def _fill(self, emulators: Emulators) -> None:
        for name in ("bin", "home"):
            (self.folder / name).mkdir()
        program = self.folder / "bin" / "llmauth"
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m llmauth "$@"\n')
        program.chmod(0o755)
        (self.folder / ".venv-clients").symlink_to(interpreter().absolute().parents[1])
        upstream = {"ca_file": str(emulators.ca_file), "resolve": emulators.resolve}
        (self.folder / "upstream.yaml").write_text(json.dumps({"upstream": upstream}))

    def blocks(self, step: str, *, serves: bool) -> list[str]:
        return [text for number, text in self._sh if number == step and ("llmauth serve" in text) is serves]

    @contextlib.contextmanager
    def served(self, step: str) -> Iterator[None]:
        (block,) = self.blocks(step, serves=True)
        with terminal(self.folder, {**self.operator, "LLMAUTH_CONFIG": str(self.folder / "gateway.yaml")}) as shell:
            shell.type(block)
            wait_until_ready(self.port)
            yield


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_quick_start_works_as_it_is_written(tmp_path: Path) -> None:
    with Emulators(pace=0.001, tokens=6) as emulators:
        start = QuickStart(tmp_path, emulators)
        with terminal(tmp_path, start.caller) as caller:
            with start.served("2"):
                said = [caller.run(block) for step in "34" for block in start.blocks(step, serves=False)]
            with start.served("5"):
                said += [caller.run(block) for block in start.blocks("5", serves=False)]
            key = caller.run("echo $KEY").strip()
        answers = re.findall(r"(\w+): Hello from the emulated", "\n".join(said))
        # A path that needs a key, with one and without: /health would answer both alike.
        assert re.findall(r'"user": "laptop"|(?m:401$)', "\n".join(said)) == ['"user": "laptop"', "401"]
        assert answers == [*("openai", "anthropic", "bedrock") * 2, "openai", "anthropic", "bedrock"]
        assert len(emulators.requests()) == len(answers) + 2
        assert [seen for seen in emulators.requests() if key.encode() in seen.head] == []
