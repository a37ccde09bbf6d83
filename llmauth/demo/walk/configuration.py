"""The configuration of the demo's gateway, as a person would write it, and where its providers' credentials lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from llmauth.demo.credentials import DemoCredentials
from llmauth.demo.walk import protocol

_TEXT = """\
# Written by `llmauth demo` for the `llmauth serve` that it started; check it with: llmauth config check {itself}
# All providers are emulated on loopback. Without the section `upstream`, and with a project of yours for Vertex,
# this file serves the real ones.

server: {{host: 127.0.0.1, port: {port}, drain_timeout: 2s}}
log: {{format: json, level: info}}

upstream:
  ca_file: {ca_file}
  resolve:
{resolve}

instances:
  openai:
    type: openai
    authentication:
      strategies:
        - {{type: environment, variable: OPENAI_API_KEY}}
  anthropic:
    type: anthropic
    authentication:
      strategies:
        - {{type: file, path: {anthropic_key}}}
  bedrock_us1:
    type: bedrock
    region: us-east-1
    default: true
    authentication:
      strategies:
        - {{type: environment}}   # AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
  bedrock_eu1:
    type: bedrock
    region: eu-west-1
    authentication:
      strategies:
        - {{type: environment}}
  vertex_us1:
    type: vertex
    project: demo-project
    region: us-central1
    authentication:
      strategies:
        - {{type: environment, variable: GOOGLE_OAUTH_ACCESS_TOKEN}}

# Protocol mode: names that callers use as models, and a host of OpenAI's whose calls others answer.
models:
{models}
hosts:
  {rerouted}: {{protocol: openai}}
"""


def write(folder: Path, *, port: int, ca_file: Path, resolve: Mapping[str, str], credentials: DemoCredentials) -> Path:
    """Writes `gateway.yaml`, and beside it the one credential that is kept in a file; the path of the former."""
    config, key = folder / "gateway.yaml", folder / "anthropic-key"
    key.touch(mode=0o600)
    key.write_text(credentials.anthropic_key, encoding="ascii")
    text = _TEXT.format(
        itself=config,
        port=port,
        ca_file=_quoted(ca_file),
        resolve="\n".join(f"    {host}: {address}" for host, address in resolve.items()),
        anthropic_key=_quoted(key),
        models="\n".join(_model(name, *where) for name, where in protocol.MODELS.items()),
        rerouted=protocol.REROUTED,
    )
    config.write_text(text, encoding="utf-8")
    return config


def variables(credentials: DemoCredentials) -> dict[str, str]:
    """The credentials that the gateway is given by its environment."""
    return {
        "OPENAI_API_KEY": credentials.openai_key,
        "GOOGLE_OAUTH_ACCESS_TOKEN": credentials.google_token,
        "AWS_ACCESS_KEY_ID": credentials.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.aws_secret_access_key,
        "AWS_SESSION_TOKEN": credentials.aws_session_token or "",
    }


def _model(name: str, instance: str, model: str) -> str:
    return f'  {name}: {{instance: {instance}, model: "{model}"}}'


def _quoted(path: Path) -> str:
    """A path as a YAML scalar, whatever it holds: every JSON string is one."""
    return json.dumps(str(path), ensure_ascii=False)
