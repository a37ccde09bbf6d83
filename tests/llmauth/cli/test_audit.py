"""`llmauth audit`, as shells and people use it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from llmauth.audit import writer
from llmauth.audit.chain import Link
from llmauth.audit.heads import KEY, Signer, head_of
from llmauth.cli import audit, main
from llmauth.telemetry import logs
from tests.fixtures.audits import administered, decided, running, told_in


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "state"
    monkeypatch.setenv("LLMAUTH_HOME", str(home))
    return home


@pytest.fixture
def run(home, capsys):
    def call(*words):
        status = main(["audit", *map(str, words)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    return call


@pytest.fixture
def recorded(home):
    with running(home) as log:
        log.note(decided("r-1"))
        log.note(decided("r-2", user="bob", decision="deny", status=403))
        log.note(administered(), durable=True).wait_blocking()
    return home / "audit" / log.file


def test_nothing_yet(run):
    assert run("verify") == (0, "Nothing was recorded yet.\n", "")


def test_all_is_well(run, recorded):
    status, out, err = run("verify")
    assert (status, err) == (0, "")
    assert out == "✅ 5 records in 1 files: none was changed, taken out or put in.\n"


def test_the_first_fault_is_named(run, recorded):
    recorded.write_bytes(recorded.read_bytes().replace(b"alice", b"mally"))
    status, out, err = run("verify")
    assert (status, out) == (1, "")
    assert err.startswith(f"❌ {recorded.name}:2: edited. ")


def test_for_scripts(run, recorded):
    status, out, _ = run("verify", "--json")
    told = json.loads(out)
    assert (status, told["ok"], told["files"], told["records"], told["fault"]) == (0, True, 1, 5, None)
    assert (told["heads"][0]["file"], told["heads"][0]["seq"]) == (recorded.name, 5)
    os.truncate(recorded, 400)
    status, out, _ = run("verify", "--json")
    told = json.loads(out)
    assert (status, told["ok"], told["fault"]["file"], told["fault"]["what"]) == (1, False, recorded.name, "missing")


def test_heads_that_were_kept_elsewhere(run, recorded, home, tmp_path):
    kept = tmp_path / "kept.json"
    kept.write_text(run("verify", "--json")[1])
    assert run("verify", "--against", kept)[0] == 0
    recorded.unlink()
    (home / "heads" / f"{recorded.stem}.head").unlink()
    assert run("verify")[0] == 0
    status, _, err = run("verify", "--against", kept)
    assert status == 1
    assert f"{recorded.name}: missing. A head kept elsewhere names this file" in err


@pytest.mark.parametrize(
    "content", ["", "[]", '{"heads": [1]}', '{"heads": [{"file": "x"}]}', '{"heads": null}', "\x00"]
)
def test_a_file_that_holds_no_heads_is_wrong_use(run, recorded, tmp_path, content):
    (tmp_path / "kept.json").write_text(content)
    status, _, err = run("verify", "--against", tmp_path / "kept.json")
    assert status == 2
    assert "this holds no heads" in err


@pytest.fixture
def collected(monkeypatch, caplog):
    """What a server's log says of the record, as JSON lines."""
    stream = io.StringIO()
    handler = logs._Lines(stream)
    handler.setFormatter(logs._Json())
    monkeypatch.setattr(writer.logger, "handlers", [handler])
    caplog.set_level("INFO", writer.logger.name)
    return stream


def test_heads_out_of_the_log_of_a_server(run, home, tmp_path, collected):
    """Its lines are collected elsewhere anyway, and there nobody can put an older record."""
    with running(home) as log:
        log.note(decided("r-1"))
        log.note(decided("r-2"))
    kept = tmp_path / "server.log"
    kept.write_text("not ours\n" + collected.getvalue())
    assert run("verify", "--against", kept)[0] == 0
    put_back(home, log.file, records=2)
    assert run("verify")[0] == 0, "as if the process had been killed then"
    status, _, err = run("verify", "--against", kept)
    assert status == 1
    assert f"{log.file}:4: missing. A head kept elsewhere names record 4 of this file, which is gone." in err


def put_back(home, name, records):
    """As one who copied file and head when there were so many."""
    file = home / "audit" / name
    lines = file.read_bytes().splitlines(keepends=True)[:records]
    link = Link(seq=records, hash=told_in(lines[-1])["hash"], length=sum(map(len, lines)))
    file.write_bytes(b"".join(lines))
    head_of(home, name).write_bytes(Signer(KEY.load_or_create(home)).line(name, link))


def test_a_state_that_cannot_be_read_is_a_sentence(run, recorded, home):
    (home / "audit.key").chmod(0o644)
    status, _, err = run("verify")
    assert status == 1
    assert "is open to other users" in err


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_long_files_show_how_far_it_is_on_a_terminal(run, recorded, monkeypatch, patience):
    terminal = io.StringIO()
    monkeypatch.setattr(audit, "Console", lambda stderr: Console(file=terminal, force_terminal=stderr, width=80))
    monkeypatch.setattr(audit, "_QUIET_SECONDS", patience)
    assert run("verify")[0] == 0
    assert ("Checking" in terminal.getvalue()) is (patience == 0.0)


def test_a_pipe_gets_no_bar(run, recorded, monkeypatch):
    monkeypatch.setattr(audit, "_QUIET_SECONDS", 0.0)
    assert run("verify")[2] == ""


def test_the_reader_may_leave(recorded):
    command = [sys.executable, "-m", "llmauth", "audit", "export"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(30), said) == (1, b"")


def test_export_of_one_user(run, recorded):
    status, out, err = run("export", "--user", "bob", "--since", "1h")
    (told,) = map(json.loads, out.splitlines())
    assert (status, err, told["request_id"], told["decision"]) == (0, "", "r-2", "deny")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--since", "1970-01-02"), 5),
        (("--until", "1970-01-02T00:00:00Z"), 0),
        (("--since", "2999-01-01T00:00+02:00"), 0),
        (("--since", "1h", "--until", "2999-01-01"), 5),
        (("--until", "1h"), 0),
    ],
)
def test_export_of_a_time(run, recorded, words, count):
    status, out, _ = run("export", *words)
    assert (status, len(out.splitlines())) == (0, count)


def test_export_as_a_table(run, recorded):
    _, out, _ = run("export", "--format", "csv", "--kind", "admin")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["action"], row["by"]) == ("key.create", "cli:root")


def test_export_tells_what_it_left_out(run, recorded):
    recorded.write_bytes(recorded.read_bytes().replace(b'{"', b'x{"', 1))
    status, out, err = run("export")
    assert (status, len(out.splitlines())) == (1, 4)
    assert "1 lines cannot be read" in err


@pytest.mark.parametrize("words", [("--since", "soon"), ("--kind", "prompt"), ("--format", "xml"), ("--until", "-1h")])
def test_wrong_use(run, recorded, words):
    status, _, err = run("export", *words)
    assert status == 2
    assert words[0] in err
