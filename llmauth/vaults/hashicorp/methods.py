"""Which way of logging in is meant: the one that is configured, else the first that this machine has the means for."""

from __future__ import annotations

import re

from llmauth.platform import Machine
from llmauth.secrets import Secret
from llmauth.sources import SourceFailed
from llmauth.vaults.hashicorp.options import AppRoleAuth, Auth, KubernetesAuth, TokenAuth

NO_LOGIN = (
    "vault (hashicorp) has nothing to log in with: set vaults.hashicorp.auth, or VAULT_TOKEN, "
    "or VAULT_ROLE_ID and VAULT_SECRET_ID, or run vault login"
)
ROLE = "llmauth"
SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"

_TOKEN = re.compile(r"[\x21-\x7e]+")


def method_of(configured: Auth | None, machine: Machine) -> Auth | None:
    """The method that is configured or found; `None` where there is nothing to log in with."""
    if configured is not None:
        return configured
    environ = machine.environ
    if environ.get("VAULT_TOKEN"):
        return TokenAuth()
    if environ.get("VAULT_ROLE_ID") and environ.get("VAULT_SECRET_ID"):
        return AppRoleAuth()
    if machine.read(SERVICE_ACCOUNT_TOKEN):
        return KubernetesAuth()
    return TokenAuth() if machine.read(home_token(machine)) else None


def home_token(machine: Machine) -> str:
    """Where `vault login` leaves its token."""
    return in_home("~/.vault-token", machine)


def in_home(path: str, machine: Machine) -> str:
    """The path with the home folder of this machine in the place of a `~/`."""
    return machine.environ.get("HOME", "") + path[1:] if path.startswith("~/") else path


def from_file(path: str, machine: Machine, what: str) -> Secret:
    """What a file holds at this moment, as most of them are rotated. SourceFailed where that is nothing to send."""
    text = machine.read(in_home(path, machine))
    if not text:
        raise SourceFailed(f"{path} is missing, empty or cannot be read; it should hold {what}")
    return sendable(text, f"{path} holds no {what}")


def sendable(text: str, complaint: str) -> Secret:
    """The text as a secret; SourceFailed with the complaint for one that no header and no login takes."""
    if not _TOKEN.fullmatch(text.strip()):
        raise SourceFailed(f"{complaint}: it is empty, or holds a blank, a control character or one beyond ASCII")
    return Secret(text.strip())
