"""AWS credentials of a named profile in ~/.aws: static keys, `aws sso login`, a role to assume, a process to ask."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from llmauth.credentials.base import Options, Surroundings
from llmauth.credentials.fields import credential_at
from llmauth.credentials.workload_identity.aws_answers import refusals
from llmauth.outbound.aws import bounded
from llmauth.secrets import Loaded, Secret
from llmauth.sources import SourceFailed, SourceUnavailable

_FILES = (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials"))
_LONG = 60 * 1024  # nearly as much as a machine reads of a file
# What stands at the end of botocore's chain is no profile: the container's and the machine's own identity.
_NO_PROFILES = ("ec2-credentials-file", "boto-config", "container-role", "iam-role")


class AwsProfileOptions(Options):
    """`{type: aws_profile, profile: dev}`; without `profile`, AWS_PROFILE or `default`."""

    type: Literal["aws_profile"] = "aws_profile"
    profile: Annotated[str, Field(min_length=1)] | None = None


class AwsProfileStrategy:
    """Reads the profile anew at each load, as `aws sso login` and `aws configure` may have changed it."""

    label = "aws_profile"

    def __init__(self, options: AwsProfileOptions, surroundings: Surroundings) -> None:
        environ = surroundings.environ
        self._profile = options.profile or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
        self._environ = environ
        self._machine = surroundings.machine
        self._region = surroundings.region

    def unavailable(self) -> str | None:
        """Where neither of the two files names the profile; one that is too long to be read whole may."""
        texts = [self._machine.read(self._file(variable, own)) or "" for variable, own in _FILES]
        header = re.compile(rf"^\s*\[\s*(profile\s+)?[\"']?{re.escape(self._profile)}[\"']?\s*\]", re.MULTILINE)
        maybe = any(header.search(text) or len(text) >= _LONG for text in texts)
        return None if maybe else f"there is no AWS profile {self._profile}"

    def _file(self, variable: str, own: str) -> str:
        home = self._environ.get("HOME") or "~"
        return os.path.abspath(os.path.expanduser(self._environ.get(variable) or f"{home}/.aws/{own}"))

    def load(self) -> Loaded:
        with refusals(f"AWS profile {self._profile}"):
            session = self._session()
            profiles = session.full_config.get("profiles", {})
            if self._profile not in profiles:
                raise SourceUnavailable(f"there is no AWS profile {self._profile}")
            _refuse_prompts(self._profile, profiles)
            found = self._found(session)
        if found is None:
            raise SourceUnavailable(f"AWS profile {self._profile} holds no credentials")
        return found

    def _session(self) -> Any:
        from botocore.session import Session

        session = Session(profile=self._profile)
        session.set_default_client_config(bounded())
        for name, variable in (("config_file", "AWS_CONFIG_FILE"), ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE")):
            if self._environ.get(variable):
                session.set_config_variable(name, str(Path(self._environ[variable]).expanduser()))
        return session

    def _found(self, session: Any) -> Loaded | None:
        from botocore.exceptions import SSOError, TokenRetrievalError, UnauthorizedSSOTokenError

        if session.get_config_variable("region") is None:
            session.set_config_variable("region", self._region or "us-east-1")
        resolver = session.get_component("credential_provider")
        for name in _NO_PROFILES:
            resolver.remove(name)
        try:
            credentials = resolver.load_credentials()
            # Some kinds only fetch now; until then nothing is proved.
            frozen = credentials.get_frozen_credentials() if credentials else None
        except (SSOError, TokenRetrievalError, UnauthorizedSSOTokenError):
            hint = f"run: aws sso login --profile {self._profile}"
            raise SourceFailed(f"the sign-in of AWS profile {self._profile} has ended; {hint}") from None
        return self._loaded(frozen, credentials) if frozen else None

    def _loaded(self, frozen: Any, credentials: Any) -> Loaded:
        fields = {"access_key_id": Secret(frozen.access_key), "secret_access_key": Secret(frozen.secret_key)}
        if frozen.token:
            fields["session_token"] = Secret(frozen.token)
        place = f"AWS profile {self._profile}"
        # botocore has no public way to ask when a credential ends; static keys have no such attribute.
        ends = getattr(credentials, "_expiry_time", None)
        return Loaded(
            credential=credential_at(place, fields, "bedrock"),
            source=f"{place} ({credentials.method})",
            expires_at=ends.timestamp() if ends else None,
        )


def _refuse_prompts(profile: str, profiles: dict[str, dict[str, str]]) -> None:
    # botocore would ask for the code on the terminal, in a thread, in the middle of the log.
    seen: set[str] = set()
    name: str | None = profile
    while name is not None and name not in seen:
        seen.add(name)
        settings = profiles.get(name, {})
        if "mfa_serial" in settings:
            raise SourceFailed(f"AWS profile {name} wants an MFA code, and nobody is there to type it; use SSO")
        name = settings.get("source_profile")
