"""R5: what is written down is flat, short, and never a secret."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from llmauth.audit.chain import BEGINNING, Link, next_line, verified
from llmauth.audit.records import (
    COLUMNS,
    KINDS,
    LONGEST_TEXT,
    MOST_IN_LIST,
    CredentialFetched,
    Record,
    RequestEnded,
    facts,
)
from llmauth.secrets import Secret
from llmauth.storage.key_text import new_key
from tests.fixtures.audits import administered, decided, told_in

PAGE = Path(__file__).parents[3] / "docs" / "AUDIT.md"


def test_a_record_is_flat_and_says_nothing_of_what_it_does_not_know() -> None:
    told = facts(decided("r-7", status=None, decisions=("auth: alice (api_key)",)))
    known = {"kind": "request", "request_id": "r-7", "decision": "allow", "user": "alice", "method": "api_key"}
    assert told == known | {"instance": "openai", "groups": ["a", "b"], "decisions": ["auth: alice (api_key)"]}


def test_what_is_false_or_nought_is_said() -> None:
    told = facts(RequestEnded(request_id="r", status=200, seconds=0.0, output_tokens=0, cut=False, cost="0.00"))
    assert (told["seconds"], told["output_tokens"], told["cut"], told["cost"]) == (0.0, 0, False, "0.00")


def test_text_and_lists_of_a_client_are_cut() -> None:
    told = facts(decided("r", model="m" * 10_000, groups=("g" * 500,) * 1000))
    assert len(told["model"]) == LONGEST_TEXT
    assert (len(told["groups"]), len(told["groups"][0])) == (MOST_IN_LIST, LONGEST_TEXT)


@pytest.mark.parametrize("value", [Secret("hunter2"), b"hunter2", {"a": "hunter2"}, object(), ["hunter2"]])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: (value,)])
def test_a_secret_is_refused_by_its_type(value, wrap) -> None:
    """R1: and the error names the field, not the value."""
    with pytest.raises(TypeError, match=r"^reason of an audit record is a ") as refused:
        facts(administered(reason=wrap(value)))
    assert "hunter2" not in str(refused.value)


def test_a_key_of_ours_where_a_model_is_named_is_masked() -> None:
    _, key = new_key()
    told = facts(decided("r", model=f"x{key.reveal()}y"))
    assert key.reveal()[:20] not in str(told)


def test_only_kinds_that_are_known_are_written() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Mine(Record):
        body: str

    with pytest.raises(TypeError, match="Mine is no kind"):
        facts(Mine(body="prompt"))


def test_no_record_has_a_place_for_a_body() -> None:
    names = {field.name for kind in Record.__subclasses__() if kind.kind in KINDS for field in dataclasses.fields(kind)}
    assert names <= set(COLUMNS)
    assert not {
        name for name in COLUMNS if any(word in name for word in ("body", "prompt", "content", "query", "path"))
    }


def rows(heading: str) -> list[str]:
    section = PAGE.read_text().partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"(?m)^\| `(\w+)` \| \S", section)


def test_the_page_has_every_field_of_every_kind() -> None:
    assert rows("Every record") == ["seq", "at", "kind", "prev", "hash"]
    for kind in Record.__subclasses__():
        if kind.kind in KINDS:
            assert rows(f"Kind: {kind.kind}") == [field.name for field in dataclasses.fields(kind)]


def test_the_record_on_the_page_is_one() -> None:
    (line,) = re.findall(r"(?m)^\{.*\}$", PAGE.read_text())
    told = told_in(f"{line}\n".encode())
    assert set(told) <= set(COLUMNS)
    (found,) = verified([f"{line}\n".encode()], Link(seq=1, hash=told["prev"]))
    assert found.link.hash == told["hash"]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="a shell without sha256sum")
def test_a_hash_is_checked_as_the_page_says(tmp_path: Path) -> None:
    first, link = next_line(BEGINNING, facts(decided("r-1")), 1.0)
    second, link = next_line(link, facts(decided("r-2", reason='a,"hash":"b"}c')), 2.0)
    (tmp_path / "file").write_bytes(first + second)
    (command,) = re.findall(r"(?m)^sed -n 2p .*$", PAGE.read_text())
    said = subprocess.run(["sh", "-c", command], env={"FILE": str(tmp_path / "file")}, capture_output=True, check=True)
    assert said.stdout.split()[0].decode() == link.hash


def test_a_credential_is_told_by_its_place() -> None:
    told = facts(
        CredentialFetched(instance="openai", strategy="environment", result="fetched", source="OPENAI_API_KEY")
    )
    assert told["source"] == "OPENAI_API_KEY"
