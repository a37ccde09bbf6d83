"""AWS Secrets Manager: the current version of a secret, asked for with a signature."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from llmauth.addresses import is_loopback
from llmauth.outbound import aws
from llmauth.outbound.objects import json_object
from llmauth.secrets import AwsKeys, Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.base import VaultOptions, VaultSecret, VaultSurroundings

# For the identity and the secret together; less than the deadline of a load.
TIME_LIMIT = 4.0
_SHORTEST = 0.5
_DEFAULT_REGION = "us-east-1"

_ARN = re.compile(r"arn:aws[a-z0-9-]*:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:.+")
_VERSION = re.compile(r"[A-Za-z0-9-]{1,64}")
# "Throttling", as each of AWS's families of services spells it.
_TOO_OFTEN = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "LimitExceededException"})
_NOBODY = frozenset(
    {
        "ExpiredTokenException",
        "ExpiredToken",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
    }
)
_BECAUSE: Mapping[str, str] = {
    "ResourceNotFoundException": "there is none of this name in {region}, or it has no current version",
    "InvalidRequestException": "it is scheduled for deletion; restore it, or name another",
    "DecryptionFailure": "its KMS key cannot decrypt it: the key is disabled, deleted or of another account",
    "InvalidParameterException": "this is no name or ARN of a secret",
    "ValidationException": "this is no name or ARN of a secret",
}
_DENIED = frozenset({"AccessDeniedException", "AccessDenied"})


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if url and (not secure or not parts.hostname or more):
        raise ValueError("it is no address like https://vpce-1.secretsmanager.us-east-1.vpce.amazonaws.com")
    return url


class AwsSecretsManagerOptions(VaultOptions):
    """`vaults.aws_secrets_manager`. Without them, the region of an ARN, else what AWS's own tools read counts."""

    region: Annotated[str, Field(pattern=r"^([a-z]{2,8}(-[a-z]+)+-[0-9]{1,2})?$")] | None = None
    endpoint_url: Annotated[str, AfterValidator(_endpoint)] | None = None


class AwsSecretsManager:
    """Reads what is staged as `AWSCURRENT`; `name#key` is one key of a secret that is a JSON object."""

    def __init__(self, options: AwsSecretsManagerOptions, surroundings: VaultSurroundings) -> None:
        self._options = options
        self._environ = surroundings.machine.environ
        self._identities = surroundings.identities
        self._outbound = surroundings.outbound

    def unavailable(self) -> str | None:
        return self._identities.no_aws()

    def forget(self, path: str) -> None:
        """Every read asks anew."""

    def read(self, path: str) -> VaultSecret:
        ends = time.monotonic() + TIME_LIMIT
        name, _, key = path.partition("#")
        keys = self._identities.aws()
        region = self._region(name)
        left = max(_SHORTEST, round(ends - time.monotonic(), 1))
        told = self._asked(name, region, keys, left)
        text = _text(told, name)
        version = str(told.get("VersionId", ""))
        return VaultSecret(
            content=Secret(_at(text, key, name) if key else text),
            version=version if _VERSION.fullmatch(version) else None,
        )

    def _region(self, name: str) -> str:
        arn = _ARN.fullmatch(name)
        own = arn["region"] if arn else None
        environ = self._environ
        named = (self._options.region, own, environ.get("AWS_REGION"), environ.get("AWS_DEFAULT_REGION"))
        return next(filter(None, named), _DEFAULT_REGION)

    def _asked(self, name: str, region: str, keys: AwsKeys, left: float) -> Mapping[str, Any]:
        from botocore.exceptions import ClientError

        try:
            client = aws.client(
                "secretsmanager",
                self._outbound.within(left),
                self._environ,
                region=region,
                keys=keys,
                endpoint=self._options.endpoint_url or None,
            )
            told: Mapping[str, Any] = client.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")
        except SourceFailed:
            raise
        except ClientError as error:
            raise SourceFailed(self._refusal(error, name, region)) from None
        except Exception as error:
            # Not botocore's own classes alone: a broken answer ends in whatever its parser runs into.
            raise SourceFailed(f"AWS Secrets Manager could not be asked for {name}: {type(error).__name__}") from None
        return told

    def _refusal(self, error: Any, name: str, region: str) -> str:
        code = aws.error_code(error)
        if code in _NOBODY:
            self._identities.forget_aws()
            return f"AWS does not accept the keys with which Secrets Manager was asked for {name}: {code}"
        if code in _TOO_OFTEN:
            return f"AWS Secrets Manager was asked too often, and not for {name} alone: {code}"
        if code in _DENIED:
            return f"AWS Secrets Manager refuses {name}: the identity that asks needs {_lacking(error)} ({code})"
        because = _BECAUSE.get(code)
        return f"AWS Secrets Manager refuses {name}: " + (
            code if because is None else f"{because.format(region=region)} ({code})"
        )


def _lacking(error: Any) -> str:
    """What is not allowed, by AWS's text, which is not repeated."""
    text = str(error.response.get("Error", {}).get("Message", ""))
    return "kms:Decrypt for its key" if "kms" in text.lower() else "secretsmanager:GetSecretValue for it"


def _text(told: Mapping[str, Any], name: str) -> str:
    text, binary = told.get("SecretString"), told.get("SecretBinary")
    if isinstance(text, str):
        return text
    if not isinstance(binary, bytes):
        raise SourceFailed(f"AWS Secrets Manager was asked for {name}, and its answer holds no secret")
    try:
        return binary.decode("utf-8")
    except ValueError:
        raise SourceFailed(f"the secret {name} of AWS Secrets Manager holds bytes that are no text") from None


def _at(text: str, key: str, name: str) -> str:
    told = json_object(text)
    if told is None:
        raise SourceFailed(f"the secret {name} of AWS Secrets Manager is one text and has no keys; leave out #{key}")
    value = told.get(key)
    if not isinstance(value, str):
        raise SourceFailed(f"the secret {name} of AWS Secrets Manager has no text under the key {key}")
    return value
