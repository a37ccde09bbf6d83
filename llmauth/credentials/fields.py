"""What the fields of a secret mean: a mapping, a JSON object or one string, to the credential that it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from llmauth.context import ProviderType
from llmauth.credentials import entra, oci_key
from llmauth.outbound.objects import json_object
from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Credential, EntraClient, GoogleAccount, OciKey, Secret
from llmauth.sources import SourceFailed

_KEYS = ("api_key", "token")
# What gives a token only in exchange.
_ENTRA = ("tenant_id", "client_id", "client_secret")
_GOOGLE = "service_account_json"
_GOOGLE_FILES = ("service_account", "external_account", "authorized_user", "impersonated_service_account")
_PAIR = ("access_key_id", "secret_access_key", "session_token")
_ALIASES = {"apikey": "api_key"}  # as IBM spells it
_WANTED = "api_key or token, or access_key_id with secret_access_key"
_WANTED_OF: Mapping[ProviderType, str] = {
    "oracle": "tenancy, user, fingerprint and private_key, or api_key",
    "azure": "api_key or token, or tenant_id, client_id and client_secret",
    "vertex": "api_key or token, or service_account_json",
}
# Text of several lines, or one that a person chose.
_FREE = frozenset({"private_key", "passphrase", _GOOGLE})

_SENDABLE = re.compile(r"[\x21-\x7e]+")
_PLACEHOLDER = re.compile(
    r"<.*>|\$\{.*\}|change-?_?me|replace-?_?me|your[-_].*|placeholder|todo|none|null|x{3,}", re.IGNORECASE
)
_ACCESS_KEY_ID = re.compile(r"(AKIA|ASIA)[A-Z0-9]{12,}")
# Neither an API key of IBM nor one of Azure holds a dot.
_JWT = re.compile(r"eyJ[\w-]*\.[\w-]+\.[\w-]+")
_GOOGLE_KEY = re.compile(r"AIza[\w-]{30,}|AQ\.[\w-]{20,}")


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
    own = {"azure": _ENTRA, "vertex": (_GOOGLE,)}.get(provider or "", ())
    return plain if plain in _KEYS or plain in _PAIR or plain in own else None


def credential_from(fields: Mapping[str, Secret] | str, provider: ProviderType) -> Credential:
    """The credential that a secret holds: its fields, a JSON object of fields, or one string that is the key itself.

    Raises SourceFailed, with a reason that repeats neither a value nor a name from inside the secret.
    """
    if isinstance(fields, str):
        text = fields.rstrip("\r\n")
        if provider == "vertex" and is_google_file(text):
            return GoogleAccount(info=Secret(text))
        if not text.lstrip().startswith("{"):
            if provider == "oracle" and text.lstrip().startswith("-----BEGIN "):
                raise SourceFailed("it is a private key alone; give tenancy, user and fingerprint with it")
            value = cleaned(text, "it")
            return _single(_name_by_form(value, provider), value, provider)
        fields = _object(text, provider)
    return _from_known(_known(fields, provider), provider)


def is_google_file(text: str) -> bool:
    """Whether a text is a credential file of Google: JSON with the `type` of one."""
    if not text.lstrip().startswith("{"):
        return False
    return (json_object(text) or {}).get("type") in _GOOGLE_FILES


def credential_at(place: str, fields: Mapping[str, Secret] | str, provider: ProviderType) -> Credential:
    """`credential_from`, with the name of the place in front of its reason."""
    try:
        return credential_from(fields, provider)
    except SourceFailed as failure:
        raise SourceFailed(f"{place}: {failure.reason}") from None


def _object(text: str, provider: ProviderType) -> Mapping[str, Secret]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise SourceFailed("the secret begins like a JSON object and is none") from None
    fields: dict[str, Secret] = {}
    for name, value in pairs:
        known = field_name(name, provider)
        if known is None:
            continue
        if name in fields:
            raise SourceFailed(f"the secret holds the field {known} twice")
        if not isinstance(value, str):
            raise SourceFailed(f"the field {known} of the secret is no string")
        fields[name] = Secret(value)
    return fields


def _known(fields: Mapping[str, Secret], provider: ProviderType) -> dict[str, Secret]:
    known: dict[str, Secret] = {}
    for written, value in fields.items():
        name = field_name(written, provider)
        if name is None:
            continue
        if name in known:
            raise SourceFailed(f"the secret holds the field {name} twice, under two spellings")
        clean = _some if name in _FREE else cleaned
        known[name] = clean(value.reveal(), f"its field {name}")
    return known


def _some(value: str, what: str) -> Secret:
    text = value.rstrip("\r\n")
    if not text:
        raise SourceFailed(f"{what} is empty")
    return Secret(text)


def cleaned(value: str, what: str) -> Secret:
    """The value without the line break that editors leave at its end; SourceFailed for what no key ever is."""
    text = value.rstrip("\r\n")
    if not text:
        raise SourceFailed(f"{what} is empty")
    if not _SENDABLE.fullmatch(text):
        raise SourceFailed(f"{what} holds a blank, a control character or a character beyond ASCII")
    if text[0] == text[-1] and text[0] in "\"'":
        raise SourceFailed(f"{what} stands in quotation marks; remove them")
    if _PLACEHOLDER.fullmatch(text):
        raise SourceFailed(f"{what} holds a placeholder and no key")
    return Secret(text)


def _from_known(known: dict[str, Secret], provider: ProviderType) -> Credential:
    oci = {name: known[name] for name in oci_key.FIELDS if name in known}
    if oci:
        return _oci_key(known, oci)
    if _GOOGLE in known:
        return _google_account(known)
    if any(name in known for name in _ENTRA):
        return _entra_client(known)
    pair = [name for name in _PAIR if name in known]
    keys = [name for name in _KEYS if name in known]
    if pair and keys:
        raise SourceFailed("the secret holds both a key and an AWS key pair; keep the one that is meant")
    if len(keys) == 2:
        raise SourceFailed("the secret holds both api_key and token; keep the one that is meant")
    if pair:
        return _aws_keys(known, provider)
    if not keys:
        wanted = _WANTED_OF.get(provider, _WANTED)
        raise SourceFailed(f"the secret has no field of a name that is known here: {wanted}")
    return _single(keys[0], known[keys[0]], provider)


def _aws_keys(known: dict[str, Secret], provider: ProviderType) -> AwsKeys:
    if provider != "bedrock":
        raise SourceFailed(f"the secret holds AWS keys, and an instance of type {provider} wants api_key or token")
    for name in ("access_key_id", "secret_access_key"):
        if name not in known:
            raise SourceFailed(f"the secret holds AWS keys without {name}")
    return AwsKeys(
        access_key_id=known["access_key_id"].reveal(),
        secret_access_key=known["secret_access_key"],
        session_token=known.get("session_token"),
    )


def _oci_key(known: dict[str, Secret], oci: dict[str, Secret]) -> OciKey:
    if len(known) > len(oci):
        raise SourceFailed("the secret holds both an OCI signing key and another key; keep the one that is meant")
    try:
        return oci_key.made(oci)
    except ValueError as wrong:
        raise SourceFailed(str(wrong)) from None


def _google_account(known: dict[str, Secret]) -> GoogleAccount:
    if len(known) > 1:
        raise SourceFailed(f"the secret holds both {_GOOGLE} and another key; keep the one that is meant")
    if not is_google_file(known[_GOOGLE].reveal()):
        raise SourceFailed(f"its field {_GOOGLE} is no credential file of Google")
    return GoogleAccount(info=known[_GOOGLE])


def _entra_client(known: dict[str, Secret]) -> EntraClient:
    missing = [name for name in _ENTRA if name not in known]
    if missing:
        raise SourceFailed(f"the secret holds an application of Entra without {' and '.join(missing)}")
    if len(known) > len(_ENTRA):
        raise SourceFailed("the secret holds both an application of Entra and a key; keep the one that is meant")
    tenant = entra.tenant_from(known["tenant_id"].reveal(), "its field tenant_id")
    client = entra.client_from(known["client_id"].reveal(), "its field client_id")
    return EntraClient(tenant_id=tenant, client_id=client, client_secret=known["client_secret"])


def _name_by_form(value: Secret, provider: ProviderType) -> str:
    """Which field a secret that is one string stands for."""
    return "token" if provider == "vertex" and not _GOOGLE_KEY.fullmatch(value.reveal()) else "api_key"


def _single(name: str, value: Secret, provider: ProviderType) -> Credential:
    if provider == "bedrock" and _ACCESS_KEY_ID.fullmatch(value.reveal()):
        raise SourceFailed("it is an AWS access key id alone; give secret_access_key with it")
    # A Bedrock API key is a bearer token; Azure, IBM and Google tell keys from tokens; the others have one kind each.
    if provider == "bedrock" or (provider in ("azure", "ibm", "vertex") and name == "token"):
        return BearerToken(value=value)
    if provider in ("azure", "ibm") and _JWT.fullmatch(value.reveal()):
        return BearerToken(value=value)
    return ApiKey(value=value)
