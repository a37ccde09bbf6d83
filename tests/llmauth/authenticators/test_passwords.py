"""htpasswd files and lists of users: bcrypt alone, and no value in any sentence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from llmauth.authenticators import passwords
from llmauth.authenticators.passwords import LONGEST, from_file, from_variable, hashing, weakest_cost

CANARY = "canary-canary"


def line(user: str = "alice", password: str = "open sesame", prefix: bytes = b"2b", cost: int = 4) -> str:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()
    return f"{user}:{hashed.replace('$2b$', f'${prefix.decode()}$')}"


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_every_bcrypt_of_htpasswd_is_taken(prefix: bytes) -> None:
    text = f"# people\n\n{line(prefix=prefix)}\r\n{line('bob.b@corp', 'x')}\n"
    entries = from_file(text.encode(), "users")
    assert list(entries) == ["alice", "bob.b@corp"]
    assert entries["alice"].matches("open sesame")
    assert not entries["alice"].matches("open sesam")
    assert entries["alice"].version != entries["bob.b@corp"].version
    assert weakest_cost(entries.values()) == 4


@pytest.mark.parametrize(
    "hashed",
    [
        "{SHA}canary-canaryW6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "$apr1$canary-c$anarycanarycanarycana/",
        "$1$canary-c$anary",
        "$5$canary-canary$x",
        "$6$canary-canary$x",
        "canary-canary",
        "",
        "$2x$12$" + "c" * 53,
        "$2b$12$" + "c" * 52,
        "$2b$12$" + "c" * 54,
        "$2b$16$" + "c" * 53,
        "$2b$03$" + "c" * 53,
        "$2b$99$" + "c" * 53,
        "$2b$12$" + "c" * 53 + ":x",
    ],
)
def test_any_other_hash_names_its_line_and_nothing_of_it(hashed: str) -> None:
    with pytest.raises(ValueError, match=r"users, line 2: ") as raised:
        from_file(f"{line('bob')}\nalice:{hashed}\n".encode(), "users")
    assert "canary" not in str(raised.value)
    assert "alice" not in str(raised.value)


@pytest.mark.parametrize("user", ["", "a b", "-a", "a\0b", "a,b", "x" * 101, "é ", "a\u202eb"])
def test_names_that_are_none(user: str) -> None:
    with pytest.raises(ValueError, match=r"line 1: "):
        from_file(line(user).encode(), "users")
    with pytest.raises(ValueError, match=r"entry 1: "):
        from_variable(f"{user}:{CANARY}")


@pytest.mark.parametrize("content", [b"", b"# nobody\n\n", b"\xff\xfe"])
def test_a_file_without_users(content: bytes) -> None:
    with pytest.raises(ValueError, match="users"):
        from_file(content, "users")


def test_a_user_stands_in_a_file_once() -> None:
    with pytest.raises(ValueError, match=r"line 2: this user has a line already"):
        from_file(f"{line()}\n{line()}".encode(), "users")


def test_what_bcrypt_cannot_tell_apart_is_not_taken() -> None:
    """A4: it reads 72 bytes, and may stop at a NUL."""
    entry = from_file(line(password="x" * 72).encode(), "users")["alice"]
    assert entry.takes("x" * 72)
    assert not entry.takes("x" * 73)
    assert not entry.takes("é" * 37)
    assert not entry.takes("open\0sesame")


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "alice:",
        f":{CANARY}",
        f"alice:{CANARY},",
        f"alice:{CANARY},,bob:x",
        f"alice:x,alice:{CANARY}",
        f"alice:x,{CANARY}",
        f"a b:{CANARY}",
        f"alice:{'c' * (LONGEST + 1)}",
    ],
)
def test_a_list_of_users_that_cannot_be_read_tells_no_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"BASIC_AUTH_CREDENTIALS, entry \d: ") as raised:
        from_variable(text)
    assert "canary" not in str(raised.value)
    assert "cccc" not in str(raised.value)


def test_passwords_of_the_environment_are_hashed_by_their_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert passwords._COST == 12
    monkeypatch.setattr(passwords, "_COST", 4)
    given = from_variable(" alice:pass:word , bob:" + "x" * 100)
    assert given == {"alice": "pass:word", "bob": "x" * 100}
    with ThreadPoolExecutor(2) as pool:
        entries = {user: future.result() for user, future in hashing(given, pool).items()}
    assert entries["alice"].matches("pass:word")
    assert entries["alice"].hashed.startswith("$2b$04$")
    assert entries["bob"].matches("x" * 100)
    assert not entries["bob"].matches("x" * 99)
    assert not entries["bob"].matches("x" * 72)
    assert "pass:word" not in repr(entries)
    assert "$2b$" not in repr(entries)
