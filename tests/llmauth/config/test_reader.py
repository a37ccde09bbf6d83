"""One YAML file: what it may hold, the sentence for each way it can be wrong, and bounds."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmauth.config import reader
from llmauth.config.problems import Problem
from llmauth.config.reader import read_document
from llmauth.config.tree import Node


def read(folder: Path, text: str | bytes, **environ: str) -> tuple[Node | None, list[str]]:
    file = folder / "f.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    problems: list[Problem] = []
    node = read_document(file, environ, problems)
    return node, [str(problem).removeprefix(f"{folder}/") for problem in problems]


def plain(folder: Path, text: str, **environ: str) -> object:
    node, problems = read(folder, text, **environ)
    assert problems == []
    assert node is not None
    return node.plain()


def test_scalars_are_those_of_yaml_1_2(tmp_path):
    text = "[1, 0x1f, 010, 1_000, 2.5, true, ~, yes, on, 2024-01-01, '8080', 127.0.0.1:9443]"
    expected = [1, 31, 10, 1000, 2.5, True, None, "yes", "on", "2024-01-01", "8080", "127.0.0.1:9443"]
    assert plain(tmp_path, f"a: {text}") == {"a": expected}


def test_lines_are_those_of_the_keys(tmp_path):
    node, _ = read(tmp_path, "a:\n  b:\n    - x\n    - c: 1\n")
    assert node is not None
    inner = node.child("a").child("b")
    assert [inner.place.line, inner.child(1).place.line, inner.child(1).child("c").place.line] == [2, 4, 4]


def test_variables_stay_text_so_that_the_wanted_type_decides(tmp_path):
    text = "port: ${PORT:-8080}\naccount: ${ACCOUNT}\nquoted: '${PORT:-}'\nnothing: ${PORT:-}\n"
    assert plain(tmp_path, text, ACCOUNT="0123") == {"port": "8080", "account": "0123", "quoted": "", "nothing": None}


def test_keys_are_names_whatever_they_look_like(tmp_path):
    assert plain(tmp_path, "on: 1\n8080: 2\n~: 3\n${X}: 4\n") == {"on": 1, "8080": 2, "~": 3, "${X}": 4}


def test_aliases_and_merges(tmp_path):
    text = "base: &b {x: 1, y: 2}\nlist: &b2 [1]\nsame: *b2\nmore:\n  <<: *b\n  y: 3\n"
    assert plain(tmp_path, text)["more"] == {"x": 1, "y": 3}  # type: ignore[index]
    assert plain(tmp_path, text)["same"] == [1]  # type: ignore[index]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    assert plain(tmp_path, "\ufeffa: 1") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml: the file is empty; wanted a mapping such as `instances:`"),
        ("# a comment\n", "f.yaml: the file is empty; wanted a mapping such as `instances:`"),
        ("- a\n", "f.yaml:1: found a list, wanted a mapping such as `instances:`"),
        ("\nword", "f.yaml:2: found a single value, wanted a mapping such as `instances:`"),
        ("~", "f.yaml:1: found nothing, wanted a mapping such as `instances:`"),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not YAML: a tab; indent with spaces"),
        ("a: 1\nb: [1, 2\n", "f.yaml:3: not YAML: a list or mapping in brackets that is not closed"),
        ("a: 'x\n", "f.yaml:2: not YAML: a quote that is never closed"),
        ("a: b: c\n", "f.yaml:1: not YAML: a `:` where no key can stand; check the indentation, or quote the value"),
        (
            "a: 1\n b: 2\n",
            "f.yaml:2: not YAML: a `:` where no key can stand; check the indentation, or quote the value",
        ),
        ("a: @x\n", "f.yaml:1: not YAML: a character that cannot begin a value; put the value in quotes"),
        ('a: "\\q"\n', "f.yaml:1: not YAML: an unknown `\\` in double quotes; use single quotes"),
        ("- a\nb: c\n", "f.yaml:2: not YAML: the indentation does not fit the lines above"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not YAML: a second document begins (`---`); one file is one document"),
        ("a: {b: ${X:-1}}\n", 'f.yaml:1: not YAML: inside `{ }` and `[ ]` a variable needs quotes: "${NAME}"'),
        ("a: 1\nb: \x01\n", "f.yaml:2: not YAML: a character that it does not allow"),
        (b"a: 1\nb: \xff\n", "f.yaml:2: not UTF-8 text; save the file as UTF-8"),
        ("%YAML 1.9\n---\na: 1\n", "f.yaml: not YAML: a character that it does not allow"),
        ("a: " + "[" * 3000, "f.yaml: nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "f.yaml:1: nested too deeply"),
        ("a: &a [*a]\n", "f.yaml:1: an alias that contains itself"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: set here and at f.yaml:1; keep one of the two"),
        ("? [a]\n: b\n", "f.yaml:1: a list or mapping as a key; keys are names"),
        ("a: " + "9" * 5000, "f.yaml:1: a: a number that cannot be read; put text in quotes"),
        ("m:\n  <<: [1]\n", "f.yaml:2: m: `<<` takes a mapping, by its alias: `<<: *name`"),
        ("a:\n  b: ${NO}\n", "f.yaml:2: a.b: ${NO} is not set; set it, or give a default: `${NO:-default}`"),
    ],
)
def test_each_fault_has_its_sentence(tmp_path, text, expected):
    _, problems = read(tmp_path, text)
    assert [problem.replace(f"{tmp_path}/", "") for problem in problems] == [expected]


@pytest.mark.parametrize("value", ["*canary", "!canary x", "!canary!x y", "canary: canary: x", "'canary", "`canary"])
def test_what_stands_in_the_file_is_not_repeated(tmp_path, value):
    """R2: a secret that YAML stumbles over must not end up in the message."""
    _, problems = read(tmp_path, f"key: {value}\n")
    assert len(problems) == 1
    assert "canary" not in problems[0]


def test_tags_are_refused(tmp_path):
    for value in ("!!binary aGk=", "!!python/object:os.system x", "!!set {a}", "!own [1]"):
        _, problems = read(tmp_path, f"key: {value}\n")
        assert problems == [f"f.yaml:1: key: {reader._TAGGED}"]


def test_many_faults_are_told_together(tmp_path):
    _, problems = read(tmp_path, "a: ${X}\nb: ${Y}\na: 1\n")
    assert len(problems) == 3


def test_an_alias_bomb_is_stopped(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    _, problems = read(tmp_path, "\n".join(lines))
    assert len(problems) == 1
    assert "aliases counted" in problems[0]


def test_a_file_over_one_mebibyte_is_refused_unread(tmp_path):
    _, problems = read(tmp_path, "#" * (1 << 20) + "\n")
    assert problems == ["f.yaml: the file is larger than 1 MiB, which no configuration is"]


def test_files_that_cannot_be_read(tmp_path):
    problems: list[Problem] = []
    assert read_document(tmp_path / "none.yaml", {}, problems) is None
    assert read_document(tmp_path, {}, problems) is None
    assert [problem.message for problem in problems] == [
        "the file cannot be read: No such file or directory",
        "the file cannot be read: Is a directory",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    problems: list[Problem] = []
    assert read_document(file, {}, problems) is None
    assert problems[0].message == "the file cannot be read: Permission denied"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#?, \n\t~<${}\\\x00é\u2028", max_size=60))
def test_no_text_ends_in_a_traceback(tmp_path, text):
    """Bad input is a designed answer: a tree, or problems."""
    node, problems = read(tmp_path, text)
    assert node is not None or problems


@pytest.mark.timeout(5)
def test_a_pipe_is_no_configuration_and_nobody_waits_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    problems: list[Problem] = []
    assert read_document(tmp_path / "pipe", {}, problems) is None
    assert [problem.message for problem in problems] == ["the file cannot be read: is no regular file"]
