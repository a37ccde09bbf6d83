"""Completion, driven in the shells themselves: commands, options, values, and names that others chose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from llmauth.cli.completion import _ARGUMENTS, _VALUES
from llmauth.cli.words import WORDS
from llmauth.platform.simulated import SIMULATED
from tests.llmauth.cli.onboarding import Person
from tests.llmauth.cli.onboarding import person as person
from tests.sources import ROOT

CASES = [
    (["unin"], {"uninstall"}),
    (["keys", "re"], {"revoke"}),
    (["keys", "create", "--req"], {"--require-totp"}),
    (["init", "--profile", ""], {"laptop", "server", "pod"}),
    (["init", "--profile", "laptop", "--forc"], {"--force"}),
    (["keys", "create", "--user", "keys", "--r"], {"--require-totp", "--rpm"}),
    (["completion", "z"], {"zsh"}),
    (["secret", "set", "b"], {"bedrock_us1"}),
    (["keys", "revoke", "lap"], {"laptop-key"}),
    (["run", "--", "llmau"], {"llmauth"}),
    (["nonsense", "zz"], set()),
]


@pytest.fixture
def shell(person: Person) -> Person:
    """A home with a configuration, a key, and our command on the path."""
    person.run("init")
    person.run("keys", "create", "laptop-key")
    folder = person.home / "bin"
    folder.mkdir()
    program = folder / "llmauth"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m llmauth "$@"\n')
    program.chmod(0o755)
    for name in ("bash", "zsh", "fish"):
        (person.home / name).write_text(person.run("completion", name)[1])
    return person


def run(person: Person, *words: str) -> str:
    environ = {"PATH": f"{person.home / 'bin'}:/usr/bin:/bin", "HOME": str(person.home), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True, timeout=30, cwd=person.home)
    assert done.stderr == ""
    return done.stdout


def test_bash_itself(shell: Person) -> None:
    tries = [f"try llmauth {' '.join(repr(word) for word in words)}" for words, _ in CASES]
    script = (
        "source ./bash\n"
        'try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _llmauth || :; echo "${COMPREPLY[*]}"; }\n'
        + "\n".join(tries)
    )
    told = run(shell, "bash", "--norc", "-euc", script).splitlines()
    assert [set(line.split()) for line in told] == [wanted for _, wanted in CASES]


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_fish_itself(shell: Person) -> None:
    script = "source ./fish\n" + "\n".join(
        f"complete -C 'llmauth {' '.join(words)}'; echo ;;" for words, _ in CASES[:-2]
    )
    told = run(shell, "fish", "--no-config", "-c", script).split(";;\n")
    assert [set(part.split()) for part in told[:-1]] == [wanted for _, wanted in CASES[:-2]]


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_itself(shell: Person) -> None:
    tries = "\n".join(
        f"words=(llmauth {' '.join(repr(word) for word in words)}); CURRENT=$#words; _llmauth; echo"
        for words, _ in CASES
    )
    mocks = 'compdef() { :; }\ncompadd() { print -n -- "${@[2,-1]}"; }\n_files() { :; }\n_command_names() { :; }\n'
    told = run(shell, "zsh", "-fc", f"{mocks}source ./zsh\n{tries}").splitlines()
    for (words, wanted), line in zip(CASES[:9], told, strict=False):
        assert wanted <= set(line.split()), words


def test_what_is_printed_is_what_the_commands_are() -> None:
    spec = spec_from_file_location("completions", ROOT / "scripts" / "completions.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / script.FILE).read_text() == script.text(), "run scripts/completions"


def test_values_and_arguments_are_of_commands_that_are_there() -> None:
    for key in _VALUES:
        path, _, option = key.rpartition(" ")
        assert option in WORDS[path].valued.split(), key
    assert _ARGUMENTS.keys() <= WORDS.keys()
    assert set(_VALUES["creds --simulate"].split()) == set(SIMULATED)


@pytest.mark.parametrize("name", ["a; rm -rf ~", "$(id)", "a b", "-rf", "`id`", "x\ny", "*", "é"])
def test_a_name_that_means_something_to_a_shell_is_not_given(person: Person, name: str) -> None:
    import json

    person.config.parent.mkdir(parents=True)
    person.config.write_text(json.dumps({"instances": {name: {}, "good_1": {}}}))
    assert person.run("completion", "--names", "instances") == (0, "good_1\n", "")


@pytest.mark.parametrize("text", ["", "[", "instances: 5", "- x", "\t"])
def test_names_of_a_broken_configuration_are_none(person: Person, text: str) -> None:
    person.config.parent.mkdir(parents=True)
    person.config.write_text(text)
    for kind in ("instances", "keys", "moon"):
        assert person.run("completion", "--names", kind) == (0, "\n", "")
    assert not person.state.exists(), "to complete makes nothing"


def test_an_unknown_shell(person: Person) -> None:
    code, out, err = person.run("completion", "tcsh")
    assert (code, out, "bash, zsh, fish" in err) == (2, "", True)


def test_a_key_press_is_quick(shell: Person) -> None:
    """Options start no program at all; names start one that leaves the libraries of the proxy alone."""
    ask = "main(['completion', '--names', 'keys'])"
    code = f"import sys; from llmauth.cli import main; {ask}; print(sorted(sys.modules))"
    environ = {"PATH": os.environ["PATH"], "HOME": str(shell.home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "laptop-key" in done.stdout
    # pydantic is what typer reads words by
    for heavy in ("cryptography", "botocore", "sqlalchemy", "mitmproxy", "keyring"):
        assert f"'{heavy}'" not in done.stdout
    best = 99.0
    for _ in range(3):
        started = time.monotonic()
        run(shell, "llmauth", "completion", "--names", "keys")
        best = min(best, time.monotonic() - started)
    assert best < 1.5  # 0.2 s on an idle machine
