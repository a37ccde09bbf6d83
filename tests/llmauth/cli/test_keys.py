"""`llmauth keys`, as shells and people use it."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from llmauth.cli.keys import app
from llmauth.storage.key_text import key_id_of
from llmauth.storage.keys import KeyStore


@pytest.fixture
def home(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def run(home):
    def call(*words, **environ):
        result = CliRunner().invoke(app, words, env={"LLMAUTH_HOME": str(home), "LLMAUTH_CONFIG": None, **environ})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def store(home):
    opened = KeyStore(home / "keys.db")
    yield opened
    opened.close()


def test_create_prints_the_key_and_nothing_else_so_that_a_shell_can_take_it(home):
    code = "import sys; from llmauth.cli.keys import app; app(sys.argv[1:])"
    done = subprocess.run(
        ["/bin/sh", "-c", 'KEY=$("$0" -c "$1" create ci) && printf %s "$KEY"', sys.executable, code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LLMAUTH_HOME": str(home)},
    )
    assert key_id_of(done.stdout) is not None
    assert "shown this once" in done.stderr
    assert done.stdout not in done.stderr


def test_a_key_with_everything(run, store):
    made = run("create", "ci", "--user", "alice", "--group", "a", "--group", "b", "--expires", "90d")
    (record,) = store.list()
    assert key_id_of(made.stdout.strip()) == record.id
    assert (record.name, record.user, record.groups) == ("ci", "alice", ("a", "b"))
    assert record.expires == pytest.approx(record.created + 90 * 86_400, abs=10)
    assert "alice" in made.stderr


def test_json_for_scripts(run):
    made = json.loads(run("create", "ci", "--expires", "12h", "--json").stdout)
    assert key_id_of(made["key"]) == made["id"]
    assert {"name", "user", "groups", "state", "created", "expires", "revoked", "last_used"} < made.keys()
    expires = datetime.fromisoformat(made["expires"])
    assert timedelta(hours=11.9) < expires - datetime.now(UTC) < timedelta(hours=12.1)
    listed = json.loads(run("list", "--json").stdout)
    assert listed == [{name: value for name, value in made.items() if name != "key"}]
    turned = json.loads(run("rotate", "ci", "--json").stdout)
    assert turned["name"] == "ci"
    assert turned["key"] != made["key"]


def test_list_is_for_people_and_shows_no_hash(run, store):
    made = run("create", "ci", "--user", "alice", "--expires", "90d").stdout.strip()
    run("create", "other")
    store.touch({store.list()[0].id: time.time() - 300})
    listed = run("list")
    for text in ("ci", "alice", "in 90 d", "5 min ago", "never", "active", key_id_of(made)):
        assert text in listed.stdout
    for secret in (made, made.rpartition("_")[2], "$2b$", store.list()[0].hash):
        assert secret not in listed.stdout + run("list", "--json").stdout


def test_revoked_keys_are_listed_when_asked_for(run):
    run("create", "ci")
    run("revoke", "ci")
    assert json.loads(run("list", "--json").stdout) == []
    (ended,) = json.loads(run("list", "--json", "--all").stdout)
    assert ended["state"] == "revoked"
    assert "revoked" in run("list", "--all").stdout


def test_an_expired_key_says_so(run, store):
    store.create("ci", expires_at=time.time() - 7200)
    listed = run("list").stdout
    assert "expired" in listed
    assert "2 h ago" in listed


def test_an_empty_store_says_what_to_do(run):
    empty = run("list")
    assert empty.exit_code == 0
    assert empty.stdout == ""
    assert "llmauth keys create NAME" in empty.stderr
    assert run("list", "--json").stdout == "[]\n"


def test_rotate_and_revoke_by_name_and_by_id(run, store):
    run("create", "ci")
    first = store.list()[0].id
    assert key_id_of(run("rotate", "ci").stdout.strip()) not in (None, first)
    second = store.list()[0].id
    third = key_id_of(run("rotate", second).stdout.strip())
    ended = run("revoke", third)
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert third in ended.stderr
    assert all(record.revoked for record in store.list())


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("create", "taken"), 1, "llmauth keys rotate taken"),
        (("revoke", "nobody"), 1, "No living key"),
        (("rotate", "nobody"), 1, "No living key"),
        (("create", "a b"), 2, "letters, digits"),
        (("create", "x", "--group", ""), 2, "letters, digits"),
        (("create", "x", "--expires", "soon"), 2, "such as 90d"),
        (("create", "x", "--expires", "0s"), 2, "at least 1s"),
        (("create", "x", "--expires", "99999d"), 2, "36500d"),
        (("create",), 2, "NAME"),
        (("list", "--config", "/nowhere.yaml"), 2, "does not exist"),
        (("destroy",), 2, "destroy"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_an_exit_code(run, store, words, code, sentence):
    store.create("taken")
    result = run(*words)
    assert result.exit_code == code
    assert result.stdout == ""
    assert sentence in " ".join(result.stderr.replace("│", " ").split())


def test_state_that_others_can_read_is_refused(run, home):
    run("create", "ci")
    (home / "keys.db").chmod(0o644)
    result = run("list")
    assert result.exit_code == 1
    assert f"chmod 600 {home / 'keys.db'}" in result.stderr


def test_a_damaged_store_is_told(run, home):
    home.mkdir(mode=0o700)
    (home / "keys.db").touch(0o600)
    (home / "keys.db").write_bytes(b"damaged" * 100)
    result = run("create", "ci")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "backup" in result.stderr


def test_the_root_command_may_choose_the_storage(tmp_path, home):
    given = []

    class Root:
        def storage_url(self, configs):
            given.extend(configs)
            return f"sqlite:///{tmp_path / 'elsewhere' / 'k.db'}"

    root = typer.Typer()
    root.add_typer(app, name="keys")

    @root.callback()
    def start(ctx: typer.Context) -> None:
        ctx.obj = Root()

    one, two = tmp_path / "a.yaml", tmp_path / "b.yaml"
    one.touch()
    two.touch()
    words = ["keys", "create", "ci", "--config", str(one), "--config", str(two)]
    assert CliRunner().invoke(root, words, env={"LLMAUTH_HOME": str(home)}).exit_code == 0
    assert given == [one, two]
    assert (tmp_path / "elsewhere" / "k.db").is_file()
    assert not home.exists()


def test_a_running_reader_sees_what_the_command_does(run, store):
    before = store.version()
    run("create", "ci")
    assert store.version() != before
