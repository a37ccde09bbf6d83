"""The commands, and the options of each, for completion in shells. Written by `scripts/completions`: do not edit."""

# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """What may follow a command: commands below it, options without a value, and options with one."""

    below: str = ""
    flags: str = ""
    valued: str = ""


# fmt: off
WORDS: Mapping[str, Words] = {
    "": Words("serve init secret demo keys doctor creds run join leave login whoami last tail explain audit config ca uninstall completion k8s token", "--help --version", ""),
    "serve": Words("", "--help --web --web-in-pod", "--config --host --port --tls-port --web-port --workers"),
    "init": Words("", "--force --help --json", "--config --host --port --profile --providers --tls-cert --tls-key"),
    "secret": Words("set list remove", "--help", ""),
    "secret set": Words("", "--help --json --no-test", "--config"),
    "secret list": Words("", "--help --json", "--config"),
    "secret remove": Words("", "--help", "--config"),
    "demo": Words("", "--help --json --once", "--port"),
    "keys": Words("create list revoke rotate enrol-totp", "--help", ""),
    "keys create": Words("", "--aws --help --json --require-totp", "--concurrent --config --expires --group --models --rpm --tpm --user"),
    "keys list": Words("", "--all --help --json --sessions", "--config"),
    "keys revoke": Words("", "--help --json", "--config"),
    "keys rotate": Words("", "--help --json", "--config"),
    "keys enrol-totp": Words("", "--help --json", "--config"),
    "doctor": Words("", "--help --json --k8s", "--config --only --skip"),
    "creds": Words("", "--anew --help --json", "--config --drill --simulate"),
    "run": Words("", "--base-url --help --json --print-env --reveal --shell", "--ca-file --config --for --proxy"),
    "join": Words("", "--aws --forget --help --json --no-save", "--client-id --fingerprint --issuer --profile --proxy-ca-file --region --server-id"),
    "leave": Words("", "--help", ""),
    "login": Words("", "--help --json --save", "--ca-file --client-id --config --issuer --proxy --proxy-ca-file --resource --scope"),
    "whoami": Words("", "--help --json", "--proxy --proxy-ca-file"),
    "last": Words("", "--help --json", "--proxy --proxy-ca-file --user"),
    "tail": Words("", "--help --json", "--proxy --proxy-ca-file --user"),
    "explain": Words("", "--help --json", "--proxy --proxy-ca-file"),
    "audit": Words("verify export", "--help", ""),
    "audit verify": Words("", "--help --json", "--against"),
    "audit export": Words("", "--help", "--format --instance --kind --since --until --user"),
    "config": Words("check reload log-level", "--help", ""),
    "config check": Words("", "--help --json", ""),
    "config reload": Words("", "--help --json", ""),
    "config log-level": Words("", "--help --json --reset", "--for"),
    "ca": Words("show export bundle rotate", "--help", ""),
    "ca show": Words("", "--help --json", "--config"),
    "ca export": Words("", "--help", "--config"),
    "ca bundle": Words("", "--help", "--config"),
    "ca rotate": Words("", "--help", "--config"),
    "uninstall": Words("", "--dry-run --help --json --keep-audit --yes", ""),
    "completion": Words("", "--help", "--names"),
    "k8s": Words("client-patch", "--help", ""),
    "k8s client-patch": Words("", "--help", "--audience --ca-configmap --container --gateway --life --region --sa"),
    "token": Words("aws", "--help", ""),
    "token aws": Words("", "--help --json", "--profile --region --server-id"),
}
