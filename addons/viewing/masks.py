"""Text as somebody may see it who holds no credential: each masked, by its value, its form, or the name before it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from llmauth.authenticators.aws_iam.presigned import MARK as PRESIGNED
from llmauth.secrets import MASK

MASKED = MASK.encode("ascii")
# What is shorter stands in honest texts by chance. A one-time code has six digits.
_SHORTEST = 6
_LONGEST = 16 * 1024  # a token; what is longer is looked for as it is

# Keys, tokens and proofs that are known by their form, whoever sent them and wherever they stand. Each behind letters,
# in lower case, that are looked for first: that costs next to nothing.
_FORMS: tuple[tuple[bytes, re.Pattern[bytes]], ...] = tuple(
    (beginning, re.compile(form, re.DOTALL))
    for beginning, form in (
        (b"llmauth_", rb"llmauth_[0-9A-Za-z]+_[0-9A-Za-z]+"),
        (PRESIGNED.encode("ascii"), re.escape(PRESIGNED.encode("ascii")) + rb"[\w.=-]*"),
        (b"eyj", rb"(?<![\w-])eyJ[\w-]{6,}\.[\w.-]*"),
        (b"k-", rb"\b(?:sk|rk|pk)-[\w-]{12,}"),
        (b"ia", rb"(?:AKIA|ASIA)[0-9A-Z]{12,}"),
        (b"aiza", rb"AIza[\w-]{20,}"),
        (b"ya29.", rb"ya29\.[\w.-]+"),
        (b"_", rb"\b(?:gh[opsur]|github_pat|hf|hvs)_[\w-]{16,}"),
        (b"glpat-", rb"\bglpat-[\w-]{12,}"),
        (b"hvs.", rb"\bhvs\.[\w-]{16,}"),
        (b"xox", rb"\bxox[abeprs]-[\w-]{10,}"),
        (b"bearer ", rb"(?i:\bBearer) +[\w.~+/=-]{12,}"),
        (b"basic ", rb"(?i:\bBasic) +[\w.~+/=-]{12,}"),
        (b"signature=", rb"(?i:\bSignature)=[^\s,&\"'\\]+"),
        (b"credential=", rb"(?i:\bCredential)=[^\s,&\"'\\]+"),
        (b"security-token=", rb"(?i:\bSecurity-Token)=[^\s,&\"'\\]+"),
        (
            b"private key-----",
            rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
        ),
    )
)
_WORDS = (
    r"secret|token(?!iz)|passw(?:or)?d|passphrase|authoriz|api[_.-]?key|access[_.-]?key|credential|signature|cookie"
    r"|assertion|jwt|otp|code[_.-]?verifier|session[_.-]?token|private[_.-]?key|backup[_.-]?code"
)
_CALLED = rf"[\w.$-]{{0,64}}(?:{_WORDS})[\w.$-]{{0,64}}|[\w.$-]{{0,64}}key|pwd|pin|sig"
_SECRET_NAME = re.compile(_CALLED, re.IGNORECASE)
_IN_QUERY = re.compile(rf"([?&;](?:{_CALLED}|code)=)[^&;\s\"'<>\\]+".encode(), re.IGNORECASE)
# A member of a JSON object, and one of an object that stands in a string of another.
_MEMBER = re.compile(rf'("(?:{_CALLED})"\s*:\s*")(?:[^"\\]|\\.)*'.encode(), re.IGNORECASE | re.DOTALL)
_NESTED = re.compile(
    rf'(\\"(?:{_CALLED})\\"\s*:\s*\\")(?:[^"\\]|\\\\(?:\\.|[^\\]))*'.encode(), re.IGNORECASE | re.DOTALL
)
# What only a parser can tell: a member that holds more than a text, an object in a text in a text, escapes in one.
_STRUCTURED = re.compile(rf'"(?:{_CALLED})\\*"\s*:\s*[\[{{\d-]|\\\\(?:\\"|u[0-9a-f])'.encode(), re.IGNORECASE)
_MARKS = (
    b"secret",
    b"token",
    b"pass",
    b"auth",
    b"key",
    b"cred",
    b"sign",
    b"cookie",
    b"assert",
    b"jwt",
    b"otp",
    b"code",
    b"pwd",
    b"pin",
    b"sig",
)
# A view would show them as what they are.
_ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})")


def is_secret_name(name: str) -> bool:
    """Whether a header, parameter or member is called like what holds a credential."""
    return _SECRET_NAME.fullmatch(name) is not None


def needs_parser(text: bytes) -> bool:
    """Whether something secret may stand in this JSON that only a parser finds."""
    return _STRUCTURED.search(_ESCAPED.sub(_plain, text)) is not None


class Ambiguous(Exception):
    """A name stands twice in an object, which readers take differently; or there is too much to look at."""


class Masks:
    """Those of one request: `known` are the credentials that it came with, and those that it was sent with."""

    def __init__(self, known: Iterable[bytes] = ()) -> None:
        texts = {form for secret in known if len(secret) >= _SHORTEST for form in _spellings(secret)}
        self._known = sorted(texts, key=len, reverse=True)

    def value(self, text: bytes) -> bytes:
        """A text that is no body: what is known of it, or has the form of a credential."""
        for known in self._known:
            text = text.replace(known, MASKED)
        lowered = text.lower()
        for beginning, form in _FORMS:
            if beginning in lowered:
                text = form.sub(MASKED, text)
        return _IN_QUERY.sub(rb"\1" + MASKED, text) if b"=" in text else text

    def text(self, text: bytes) -> bytes:
        """Any text, such as a stream of events or the beginning of a document, with the members of its objects."""
        text = _ESCAPED.sub(_plain, text)
        lowered = text.lower()
        if b'"' in text and any(mark in lowered for mark in _MARKS):
            text = _NESTED.sub(rb"\1" + MASKED, _MEMBER.sub(rb"\1" + MASKED, text))
        return self.value(text)

    def line(self, text: str) -> str:
        """A short text of ours or of a client."""
        return self.value(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")

    def json(self, text: bytes) -> bytes:
        """A JSON document, and byte for byte as it came where nothing in it is secret.

        Raises ValueError for what is none, RecursionError and Ambiguous for what cannot be judged.
        """
        if not needs_parser(text):
            return self.text(text)
        read = json.loads(text, object_pairs_hook=_unique)
        masked = self._member(read, within=False)
        if masked != read:
            text = json.dumps(masked, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return self.text(text)

    def _member(self, value: Any, *, within: bool) -> Any:
        """`within` a member that is called like a credential every text is one."""
        match value:
            case dict():
                return {name: self._named(name, each, within) for name, each in value.items()}
            case list():
                return [self._member(each, within=within) for each in value]
            case str():
                return MASK if within and value else self._string(value)
            case _:
                return value

    def _named(self, name: str, value: Any, within: bool) -> Any:
        secret = is_secret_name(name)
        if secret and isinstance(value, int | float) and not isinstance(value, bool) and "token" not in name.lower():
            return MASK  # a code of digits; of tokens there are counts
        return self._member(value, within=within or secret)

    def _string(self, value: str) -> str:
        """A text, in which an object may stand."""
        if value.lstrip().startswith(("{", "[")):
            with suppress(ValueError):
                read = json.loads(value, object_pairs_hook=_unique)
                masked = self._member(read, within=False)
                return value if masked == read else json.dumps(masked, ensure_ascii=False)
        raw = value.encode("utf-8", "surrogatepass")
        masked = self.text(raw) if '\\"' in value else self.value(raw)
        return value if masked == raw else masked.decode("utf-8", "replace")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise Ambiguous
    return read


def _plain(found: re.Match[bytes]) -> bytes:
    """A character as itself, where that neither ends a text nor is half of one."""
    character = chr(int(found[2], 16))
    return found[1] + character.encode("utf-8") if _stands_for_itself(character) else found[0].lower()


def _stands_for_itself(character: str) -> bool:
    return character not in '"\\' and character.isprintable() and character <= "\uffff"


def _spellings(secret: bytes) -> Iterator[bytes]:
    """The ways in which a secret may stand in a text."""
    yield secret
    if len(secret) > _LONGEST:
        return
    yield secret.replace(b"/", b"\\/")
    yield quote(secret, safe="").encode("ascii")
    yield base64.b64encode(secret).rstrip(b"=")
    yield base64.urlsafe_b64encode(secret).rstrip(b"=")
    text = secret.decode("utf-8", "replace")
    yield json.dumps(text)[1:-1].encode("ascii")
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "replace")
    yield "".join(c if _stands_for_itself(c) else json.dumps(c)[1:-1] for c in text).encode("utf-8", "replace")
