"""What the services of AWS say when they are asked for keys: the keys with their end, or a refusal by its code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from llmauth.credentials.base import moment
from llmauth.credentials.fields import credential_at
from llmauth.outbound.aws import error_code
from llmauth.secrets import Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")


@contextmanager
def refusals(operation: str) -> Iterator[None]:
    """Turn what botocore raises into SourceFailed with the code AWS gave, or with the class of the error.

    Their texts stay unsaid: they carry URLs, answers and parts of requests.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except (SourceFailed, SourceUnavailable):
        raise
    except ClientError as error:
        raise SourceFailed(f"AWS refused {operation}: {error_code(error)}") from None
    except Exception as error:
        # Not botocore's own classes alone: a broken answer ends in whatever its parser runs into.
        raise SourceFailed(f"{operation} gave no credential: {type(error).__name__}") from None


def keys(answer: object, token_name: str, source: str, asked: str) -> Loaded:
    """The keys of an answer, with the end that it names. `token_name` is what it calls the session token.

    Raises SourceFailed, with `asked` for who answered, where something of it is missing or no text.
    """
    if not isinstance(answer, Mapping):
        raise SourceFailed(f"{asked} gave no credential: its answer is no object of JSON")
    names = ("AccessKeyId", "SecretAccessKey", token_name)
    for name in names:
        if not isinstance(answer.get(name), str):
            raise SourceFailed(f"{asked} gave no credential: its answer has no {name}")
    fields = {
        "access_key_id": Secret(answer["AccessKeyId"]),
        "secret_access_key": Secret(answer["SecretAccessKey"]),
        "session_token": Secret(answer[token_name]),
    }
    return Loaded(
        credential=credential_at(asked, fields, "bedrock"),
        source=source,
        expires_at=_end(answer.get("Expiration"), asked),
    )


def _end(told: object, asked: str) -> float:
    try:
        return told.timestamp() if isinstance(told, datetime) else moment(str(told))
    except (ValueError, OverflowError):
        raise SourceFailed(f"{asked} gave keys without the time at which they end, Expiration") from None


def code_in(told: object) -> str | None:
    """The code by which an agent says why it refuses: `code` or `Code` of an object, where it looks like one."""
    code = (told.get("code") or told.get("Code")) if isinstance(told, Mapping) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None
