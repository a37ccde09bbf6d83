"""What a credential strategy is: a label, a blocking load, two ways to say no; and what the fields of a secret mean."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Protocol, runtime_checkable

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from llmauth.context import ProviderType
from llmauth.credentials import oci_key
from llmauth.durations import parse_duration
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Credential, Loaded, OciKey, Secret


class StrategyUnavailable(Exception):
    """This source does not exist here: nothing is broken, and the next strategy is asked. `reason` holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StrategyFailed(Exception):
    """This source is set up and does not work, or holds what cannot be used. `reason` holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CredentialStrategy(Protocol):
    """One place that a credential can come from; asked in a thread of its own, never twice at the same time."""

    @property
    def label(self) -> str:
        """How logs, readiness and refusals name it: `environment`, `workload_identity (aws)`."""
        ...

    def load(self) -> Loaded:
        """Ask the source anew and block until it answers; raise StrategyUnavailable or StrategyFailed."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A strategy that may give the same credential again without asking for another."""

    def forget(self) -> None:
        """The provider refused it: give another one the next time. Called on the event loop; never blocks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a strategy stands: for which instance, and in which environment."""

    instance: str
    provider: ProviderType
    environ: Mapping[str, str]
    region: str | None = None


class Options(BaseModel):
    """Base of every strategy's options: frozen, no unknown key, and no error that repeats what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=1)]
"""A time span in the configuration: a number of seconds, or `2s`, `90m`, `12h`, `90d`."""


def moment(text: str) -> float:
    """ISO 8601 to Unix time; a time without a zone is UTC, as AWS writes all its own. ValueError if it is neither."""
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def quiet_libraries() -> None:
    """Hold the libraries that strategies use at WARNING, whatever our own level is.

    botocore's debug lines hold the canonical request with its security token, urllib3's the query strings.
    """
    for name in ("botocore", "urllib3", "keyring"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its warning about a failed refresh carries a traceback with the text of AWS's answer; we log our own line.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)


# ---- the fields of a secret ----------------------------------------------------------------------------------------

_KEYS = ("api_key", "token")
_PAIR = ("access_key_id", "secret_access_key", "session_token")
_ALIASES = {"apikey": "api_key"}  # as IBM spells it
_WANTED = "api_key or token, or access_key_id with secret_access_key"
_WANTED_OF_OCI = "tenancy, user, fingerprint and private_key, or api_key"
# Text of several lines, or one that a person chose.
_FREE = frozenset({"private_key", "passphrase"})

_SENDABLE = re.compile(r"[\x21-\x7e]+")
_PLACEHOLDER = re.compile(
    r"<.*>|\$\{.*\}|change-?_?me|replace-?_?me|your[-_].*|placeholder|todo|none|null|x{3,}", re.IGNORECASE
)
_ACCESS_KEY_ID = re.compile(r"(AKIA|ASIA)[A-Z0-9]{12,}")
# Neither an API key of IBM nor one of Azure holds a dot.
_JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]+")
_GOOGLE_KEY = re.compile(r"AIza[\w-]{30,}|AQ\.[\w-]{20,}")
# What gives a token only in exchange.
_EXCHANGED = frozenset({"service_account_json", "client_email", "client_secret", "refresh_token", "credential_source"})


def field_name(name: str, provider: ProviderType | None = None) -> str | None:
    """The name a field of a secret goes by here (case and an `aws_` prefix are ignored), `None` if it is not ours.

    `user` and the like mean something in the secret of an Oracle instance alone.
    """
    plain = name.lower().removeprefix("aws_")
    plain = _ALIASES.get(plain, plain)
    if provider == "oracle":
        plain = oci_key.ALIASES.get(plain, plain)
        if plain in oci_key.FIELDS:
            return plain
    return plain if plain in _KEYS or plain in _PAIR else None


def credential_from(fields: Mapping[str, Secret] | str, provider: ProviderType) -> Credential:
    """The credential that a secret holds: its fields, a JSON object of fields, or one string that is the key itself.

    Raises StrategyFailed, with a reason that repeats neither a value nor a name from inside the secret.
    """
    if isinstance(fields, str):
        text = fields.rstrip("\r\n")
        if not text.lstrip().startswith("{"):
            if provider == "oracle" and text.lstrip().startswith("-----BEGIN "):
                raise StrategyFailed("it is a private key alone; give tenancy, user and fingerprint with it")
            value = cleaned(text, "it")
            return _single(_name_by_form(value, provider), value, provider)
        fields = _object(text, provider)
    return _from_known(_known(fields, provider), provider)


def credential_at(place: str, fields: Mapping[str, Secret] | str, provider: ProviderType) -> Credential:
    """`credential_from`, with the name of the place in front of its reason."""
    try:
        return credential_from(fields, provider)
    except StrategyFailed as failure:
        raise StrategyFailed(f"{place}: {failure.reason}") from None


def _object(text: str, provider: ProviderType) -> Mapping[str, Secret]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise StrategyFailed("the secret begins like a JSON object and is none") from None
    fields: dict[str, Secret] = {}
    for name, value in pairs:
        known = field_name(name, provider)
        if known is None:
            continue
        if name in fields:
            raise StrategyFailed(f"the secret holds the field {known} twice")
        if not isinstance(value, str):
            raise StrategyFailed(f"the field {known} of the secret is no string")
        fields[name] = Secret(value)
    if not fields and _EXCHANGED.intersection(name.lower() for name, _ in pairs):
        raise StrategyFailed(
            "the secret holds what is exchanged for a token, which is not available in this version; give the token"
        )
    return fields


def _known(fields: Mapping[str, Secret], provider: ProviderType) -> dict[str, Secret]:
    known: dict[str, Secret] = {}
    for written, value in fields.items():
        name = field_name(written, provider)
        if name is None:
            continue
        if name in known:
            raise StrategyFailed(f"the secret holds the field {name} twice, under two spellings")
        clean = _some if name in _FREE else cleaned
        known[name] = clean(value.reveal(), f"its field {name}")
    return known


def _some(value: str, what: str) -> Secret:
    text = value.rstrip("\r\n")
    if not text:
        raise StrategyFailed(f"{what} is empty")
    return Secret(text)


def cleaned(value: str, what: str) -> Secret:
    """The value without the line break that editors leave at its end; StrategyFailed for what no key ever is."""
    text = value.rstrip("\r\n")
    if not text:
        raise StrategyFailed(f"{what} is empty")
    if not _SENDABLE.fullmatch(text):
        raise StrategyFailed(f"{what} holds a blank, a control character or a character beyond ASCII")
    if text[0] == text[-1] and text[0] in "\"'":
        raise StrategyFailed(f"{what} stands in quotation marks; remove them")
    if _PLACEHOLDER.fullmatch(text):
        raise StrategyFailed(f"{what} holds a placeholder and no key")
    return Secret(text)


def _from_known(known: dict[str, Secret], provider: ProviderType) -> Credential:
    oci = {name: known[name] for name in oci_key.FIELDS if name in known}
    if oci:
        return _oci_key(known, oci)
    pair = [name for name in _PAIR if name in known]
    keys = [name for name in _KEYS if name in known]
    if pair and keys:
        raise StrategyFailed("the secret holds both a key and an AWS key pair; keep the one that is meant")
    if len(keys) == 2:
        raise StrategyFailed("the secret holds both api_key and token; keep the one that is meant")
    if pair:
        return _aws_keys(known, provider)
    if not keys:
        wanted = _WANTED_OF_OCI if provider == "oracle" else _WANTED
        raise StrategyFailed(f"the secret has no field of a name that is known here: {wanted}")
    return _single(keys[0], known[keys[0]], provider)


def _aws_keys(known: dict[str, Secret], provider: ProviderType) -> AwsKeys:
    if provider != "bedrock":
        raise StrategyFailed(f"the secret holds AWS keys, and an instance of type {provider} wants api_key or token")
    for name in ("access_key_id", "secret_access_key"):
        if name not in known:
            raise StrategyFailed(f"the secret holds AWS keys without {name}")
    return AwsKeys(
        access_key_id=known["access_key_id"].reveal(),
        secret_access_key=known["secret_access_key"],
        session_token=known.get("session_token"),
    )


def _oci_key(known: dict[str, Secret], oci: dict[str, Secret]) -> OciKey:
    if len(known) > len(oci):
        raise StrategyFailed("the secret holds both an OCI signing key and another key; keep the one that is meant")
    try:
        return oci_key.made(oci)
    except ValueError as wrong:
        raise StrategyFailed(str(wrong)) from None


def _name_by_form(value: Secret, provider: ProviderType) -> str:
    """Which field a secret that is one string stands for."""
    return "token" if provider == "vertex" and not _GOOGLE_KEY.fullmatch(value.reveal()) else "api_key"


def _single(name: str, value: Secret, provider: ProviderType) -> Credential:
    if provider == "bedrock" and _ACCESS_KEY_ID.fullmatch(value.reveal()):
        raise StrategyFailed("it is an AWS access key id alone; give secret_access_key with it")
    # A Bedrock API key is a bearer token; Azure, IBM and Google tell keys from tokens; the others have one kind each.
    if provider == "bedrock" or (provider in ("azure", "ibm", "vertex") and name == "token"):
        return BearerToken(value=value)
    if provider in ("azure", "ibm") and _JWT.fullmatch(value.reveal()):
        return BearerToken(value=value)
    return ApiKey(value=value)
