"""`llmauth keys`, as shells and people use it."""

import fcntl
import json
import os
import pty
import pwd
import re
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import segno
import typer
from typer.testing import CliRunner

from llmauth.audit.verify import verify
from llmauth.cli import Root
from llmauth.cli import app as root
from llmauth.cli.keys import app
from llmauth.rules import Rules
from llmauth.storage.key_text import is_pair_id, key_id_of
from llmauth.storage.keys import KeyStore
from tests.fixtures.audits import lines_in


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
        def key_store(self, configs):
            given.extend(configs)
            return KeyStore(f"sqlite:///{tmp_path / 'elsewhere' / 'k.db'}")

        def audit_home(self, configs):
            return None

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


def test_what_a_key_may_do_is_kept_and_shown(run, store):
    words = ("--models", "claude-*, gpt-[a-c]*", "--rpm", "60", "--tpm", "9000", "--concurrent", "2", "--require-totp")
    made = json.loads(run("create", "ci", *words, "--json").stdout)
    (record,) = store.list()
    assert record.rules == Rules(models=("claude-*", "gpt-[a-c]*"), rpm=60, tpm=9000, concurrent=2)
    assert record.require_totp
    assert made["limits"] == {"models": ["claude-*", "gpt-[a-c]*"], "rpm": 60, "tpm": 9000, "concurrent": 2}
    assert (made["require_totp"], made["enrolled"]) == (True, None)
    shown = run("list").stdout
    for text in ("60 rpm, 9000 tpm, 2 at once", "claude-*, gpt-[a-c]*", "missing"):
        assert text in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--models", "a,,b"), "--models has an empty entry"),
        (("--models", ""), "--models has an empty entry"),
        (("--models", "claude opus"), "An entry of models"),
        (("--rpm", "0"), "--rpm"),
        (("--tpm", "-5"), "--tpm"),
        (("--concurrent", "many"), "--concurrent"),
        (("--rpm", str(10**13)), "rpm is 10000000000000, and must be a whole number from 1 to"),
    ],
)
def test_limits_that_cannot_be_meant_make_no_key(run, store, words, sentence):
    for kind in ((), ("--aws",)):
        refused = run("create", "x", *words, *kind)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert sentence in " ".join(refused.stderr.replace("│", " ").split())
    assert store.list() == ()


def test_a_key_that_needs_a_second_factor_says_what_is_to_do(run):
    made = run("create", "ci", "--require-totp")
    assert "llmauth keys enrol-totp ci" in made.stderr
    assert key_id_of(made.stdout.strip()) is not None
    assert "enrol-totp" not in run("create", "other").stderr


def test_an_access_key_pair_for_a_shell_and_for_scripts(run, store):
    made = run("create", "ci", "--aws", "--user", "alice", "--rpm", "5")
    lines = dict(line.split("=", 1) for line in made.stdout.splitlines())
    assert lines.keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    (record,) = store.list()
    assert (record.id, record.kind, record.rules.rpm) == (lines["AWS_ACCESS_KEY_ID"], "aws", 5)
    assert store.pair_secret(record).reveal() == lines["AWS_SECRET_ACCESS_KEY"]
    told = json.loads(run("create", "other", "--aws", "--json").stdout)
    assert is_pair_id(told["access_key_id"])
    assert told["id"] == told["access_key_id"]
    assert "key" not in told
    turned = json.loads(run("rotate", "other", "--json").stdout)
    assert turned["access_key_id"] != told["access_key_id"]
    seen = made.stderr + run("list").stdout + run("list", "--json").stdout + run("rotate", "ci").stderr
    for secret in (lines["AWS_SECRET_ACCESS_KEY"], told["secret_access_key"], record.sealed):
        assert secret not in seen
    assert "aws" in run("list").stdout


def test_a_second_factor_for_scripts(run, store):
    run("create", "ci")
    told = json.loads(run("enrol-totp", "ci", "--json").stdout)
    assert told.keys() == {"secret", "provisioning_uri", "backup_codes"}
    assert len(told["backup_codes"]) == 10
    assert f"secret={told['secret']}" in told["provisioning_uri"]
    (record,) = store.list()
    now = time.time()
    assert store.prove_factor(record.id, pyotp.TOTP(told["secret"]).at(int(now)), now).outcome == "accepted"
    assert store.prove_factor(record.id, told["backup_codes"][3], now).outcome == "accepted"
    assert "enrolled" in run("list").stdout


def test_a_second_factor_for_people_is_told_on_standard_output_alone(run, store, home):
    made = run("create", "ci")
    shown = run("enrol-totp", key_id_of(made.stdout.strip()))
    assert "█" not in shown.stdout, "a picture is for a terminal"
    (secret,) = re.findall(r"secret: +([A-Z2-7]{32})\n", shown.stdout)
    codes = re.findall(r"^  ([a-z2-9]{4}-[a-z2-9]{4})$", shown.stdout, re.M)
    assert len(codes) == 10
    assert f"otpauth://totp/llmauth:ci?secret={secret}" in shown.stdout
    assert "once" in shown.stderr
    elsewhere = shown.stderr + run("list", "--json").stdout + run("list").stdout
    on_disk = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    for each in (secret, *codes):
        assert each not in elsewhere
        assert each.encode() not in on_disk


def test_a_terminal_shows_what_a_phone_can_read(run, home):
    """The picture is compared, point by point, with the one that belongs to the address below it."""
    run("create", "ci")
    screen, ours = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    command = [sys.executable, "-c", "import sys; from llmauth.cli.keys import app; app(sys.argv[1:])"]
    environ = {**os.environ, "LLMAUTH_HOME": str(home), "TERM": "xterm"}
    done = subprocess.run([*command, "enrol-totp", "ci"], stdout=ours, stderr=subprocess.PIPE, env=environ, check=True)
    os.close(ours)
    shown = _all_of(screen).decode().replace("\r\n", "\n")
    (uri,) = re.findall(r"otpauth://\S+", shown)
    halves = {" ": (1, 1), "▀": (0, 1), "▄": (1, 0), "█": (0, 0)}
    lines = [[halves[sign] for sign in line] for line in shown.split("\n") if line and not line.strip(" ▀▄█")]
    points = [[pair[half] for pair in line] for line in lines for half in (0, 1)]
    meant = [list(row) for row in segno.make(uri).matrix_iter(border=4)]
    assert points[: len(meant)] == meant
    assert len(meant) < 60, "and it fits on a screen"
    assert uri.encode() not in done.stderr


def _all_of(screen):
    """What was written to a terminal that is closed by now."""
    seen = b""
    while True:
        try:
            piece = os.read(screen, 65_536)
        except OSError:  # as Linux says that nobody has the other end
            piece = b""
        if not piece:
            os.close(screen)
            return seen
        seen += piece


def test_enrolling_by_id_again_and_what_has_no_second_factor(run, store):
    run("create", "ci")
    first = json.loads(run("enrol-totp", "ci", "--json").stdout)
    second = json.loads(run("enrol-totp", store.list()[0].id, "--json").stdout)
    assert first["secret"] != second["secret"]
    session, _ = store.open_session(
        user="u", groups=(), method="oidc", key_id=None, key_name=None, second_factor=False, ends_at=time.time() + 60
    )
    for name, sentence in (("nobody", "No living key"), (session.id, "is a session")):
        refused = run("enrol-totp", name)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert sentence in refused.stderr


def test_sessions_are_listed_when_asked_for(run, store):
    key, _ = store.create("ci")
    session, text = store.open_session(
        user="ci", groups=(), method="api_key", key_id=key.id, key_name="ci", second_factor=True, ends_at=2e9
    )
    assert [each["id"] for each in json.loads(run("list", "--json").stdout)] == [key.id]
    listed = {each["id"]: each for each in json.loads(run("list", "--json", "--sessions").stdout)}
    told = listed[session.id]
    assert (told["kind"], told["parent"], told["method"], told["second_factor"]) == (
        "session",
        key.id,
        "api_key",
        True,
    )
    assert session.id in run("list", "--sessions").stdout
    assert text.reveal() not in str(listed)
    run("revoke", session.id)
    assert session.id not in run("list", "--sessions").stdout


def test_what_was_revoked_is_told_to_scripts(run, store):
    run("create", "ci")
    told = json.loads(run("revoke", "ci", "--json").stdout)
    assert (told["name"], told["state"], told["id"]) == ("ci", "revoked", store.list()[0].id)


@pytest.mark.parametrize("server", ["postgres_url", "durable_redis_url"])
def test_the_storage_of_the_configuration_is_used(tmp_path, server, request):
    """The same commands, where the file says a server."""
    config = tmp_path / "gateway.yaml"
    config.write_text(f"storage: {{url: '{request.getfixturevalue(server)}'}}\n")
    environ = {"LLMAUTH_HOME": str(tmp_path / "home"), "LLMAUTH_CONFIG": str(config)}

    def llmauth(*words):
        return CliRunner().invoke(root, ["keys", *words], env=environ, obj=Root())

    key = llmauth("create", "ci", "--require-totp").stdout.strip()
    assert llmauth("enrol-totp", "ci").exit_code == 0
    pair = json.loads(llmauth("create", "pair", "--aws", "--json").stdout)
    listed = {each["name"]: each for each in json.loads(llmauth("list", "--json").stdout)}
    assert listed["ci"]["id"] == key_id_of(key)
    assert listed["pair"]["id"] == pair["access_key_id"]
    assert [llmauth("rotate", "ci").exit_code, llmauth("revoke", "ci").exit_code] == [0, 0]
    assert not list((tmp_path / "home").glob("*.db"))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "postgresql://llmauth:hunter2@127.0.0.1:1/llmauth",
            "postgresql://llmauth:***@127.0.0.1:1/llmauth cannot be reached",
        ),
        ("redis://llmauth:hunter2@127.0.0.1:1/0", "The Redis 127.0.0.1:1/0 of keys cannot be reached"),
    ],
)
def test_no_sentence_tells_the_password_of_the_server(tmp_path, url, told):
    config = tmp_path / "gateway.yaml"
    config.write_text(f"storage: {{url: '{url}'}}\n")
    command = [sys.executable, "-m", "llmauth", "keys", "list"]
    environ = {**os.environ, "LLMAUTH_HOME": str(tmp_path / "home"), "LLMAUTH_CONFIG": str(config)}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_changes_and_refusals_are_in_the_audit_record_and_no_secret_is(run, home):
    made = run("create", "ci", "--user", "alice").stdout.strip()
    pair = json.loads(run("create", "pair", "--aws", "--json").stdout)
    factor = json.loads(run("enrol-totp", "ci", "--json").stdout)
    turned = run("rotate", "ci").stdout.strip()
    run("revoke", key_id_of(turned))
    run("list")
    run("create", "pair")
    run("revoke", made)
    told = [one for one in lines_in(home) if one["kind"] == "admin"]
    assert [(one["action"], one["result"], one["name"]) for one in told[:5]] == [
        ("key.create", "done", "ci"),
        ("key.create", "done", "pair"),
        ("key.enrol_totp", "done", "ci"),
        ("key.rotate", "done", "ci"),
        ("key.revoke", "done", "ci"),
    ]
    assert [(one["action"], one["result"]) for one in told[5:]] == [
        ("key.create", "refused"),
        ("key.revoke", "refused"),
    ]
    assert [one["subject"] for one in told[:5]] == [
        *(key_id_of(made), pair["id"], key_id_of(made), key_id_of(turned), key_id_of(turned)),
    ]
    assert (told[0]["user"], told[0]["by"]) == ("alice", f"cli:{pwd.getpwuid(os.getuid()).pw_name}")
    assert verify(home).faults == ()
    for secret in (made, turned, pair["secret_access_key"], factor["secret"], *factor["backup_codes"]):
        assert secret not in str(told)


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (("create", "new"), "The key 'new' was made, but is not shown"),
        (("create", "new", "--aws", "--json"), "later `keys rotate` it"),
        (("rotate", "ci"), "The key 'ci' was made, but is not shown"),
        (("enrol-totp", "ci"), "The second factor of 'ci' is a new one, but not shown"),
        (("revoke", "ci"), "The key 'ci' was revoked, but that cannot be recorded"),
    ],
)
def test_what_cannot_be_recorded_is_not_shown(run, store, home, words, holds):
    store.create("ci")
    (home / "audit").touch()
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert holds in result.stderr
    assert str(home / "audit") in result.stderr
    (home / "audit").unlink()
    assert run("rotate", "new" if words[1] == "new" else "ci").exit_code == (1 if words[0] == "revoke" else 0)


def test_a_key_in_the_place_of_a_name_is_not_repeated(run):
    key = run("create", "ci").stdout.strip()
    for words in (("revoke", key), ("rotate", key), ("enrol-totp", key)):
        assert key not in run(*words).output
