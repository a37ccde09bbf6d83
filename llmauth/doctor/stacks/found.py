"""The stacks that are on this machine, by its PATH: each with the smallest program that asks as its users would."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from llmauth.clients.variables import secret_names
from llmauth.doctor.stacks.java import java
from llmauth.doctor.stacks.stack import Place, Program, Stack

LOOKED_FOR = ("python", "node", "curl", "wget", "git", "java", "go", "openssl")
_TIME_LIMIT = 5.0
_SECRETS = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|CUSTOM_HEADERS", re.IGNORECASE)
_MODULES = ("openai", "anthropic", "httpx", "requests", "boto3")
_KNOWS_PROXIES = (22, 21)

_PYTHON: Mapping[str, str] = {
    "openai": (
        "import openai; client = openai.OpenAI(api_key='placeholder', base_url={base!r}, max_retries=0); "
        "print(client.get('/llmauth', cast_to=object))"
    ),
    "anthropic": (
        "import anthropic; client = anthropic.Anthropic(api_key='placeholder', base_url={base!r}, max_retries=0); "
        "print(client.get('/llmauth', cast_to=object))"
    ),
    "httpx": "import httpx; print(httpx.get({url!r}).text)",
    "requests": "import requests; print(requests.get({url!r}).text)",
    # The session that its clients send by, with what the environment gave it.
    "boto3": (
        "import boto3; from botocore.awsrequest import AWSRequest; "
        "keys = dict(aws_access_key_id='placeholder', aws_secret_access_key='placeholder'); "
        "client = boto3.client('bedrock-runtime', region_name='us-east-1', **keys); "
        "print(client._endpoint.http_session.send(AWSRequest('GET', {url!r}).prepare()).text)"
    ),
    "urllib": "import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())",
}
_SHOWN = {"openai": "python/openai", "anthropic": "python/anthropic", "boto3": "boto3"}
_TRUST = {"requests": "REQUESTS_CA_BUNDLE", "boto3": "AWS_CA_BUNDLE"}


def stacks_here(environ: Mapping[str, str]) -> tuple[list[Stack], list[str]]:
    """Those that are there, and the names of those that are not, or cannot be run; asks interpreters what they have."""
    found: list[Stack] = []
    missing: list[str] = []
    for name in LOOKED_FOR:
        path = _which(name, environ)
        stacks = list(_MADE[name](path, environ)) if path is not None else []
        found.extend(stacks)
        missing.extend([] if stacks else [name])
    return found, missing


def _which(name: str, environ: Mapping[str, str]) -> str | None:
    names = ("python", "python3") if name == "python" else (name,)
    return next((path for one in names if (path := shutil.which(one, path=environ.get("PATH")))), None)


def _told(command: list[str], environ: Mapping[str, str]) -> str:
    """In an empty folder, since interpreters look for modules in the current one first; and without secrets."""
    known = secret_names()
    child = {name: value for name, value in environ.items() if name not in known and not _SECRETS.search(name)}
    try:
        with tempfile.TemporaryDirectory(prefix="llmauth-doctor-") as folder:
            done = subprocess.run(
                command,
                env=child,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIME_LIMIT,
                text=True,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return ""
    return done.stdout.strip()


# ---- Python --------------------------------------------------------------------------------------------------------


def _python(path: str, environ: Mapping[str, str]) -> Iterator[Stack]:
    code = f"import importlib.util as u, json; print(json.dumps([m for m in {_MODULES!r} if u.find_spec(m)]))"
    try:
        found = list(json.loads(_told([path, "-c", code], environ)))
    except ValueError:
        return
    for module in found or ["urllib"]:
        shown = _SHOWN.get(module, f"python/{module}")
        trust = _TRUST.get(module, "SSL_CERT_FILE")
        yield Stack(name=shown, program=partial(_in_python, path, module), trust=trust, limit=15.0)


def _in_python(path: str, module: str, place: Place) -> Program:
    code = _PYTHON[module].format(url=place.url, base=place.url.rpartition("/")[0])
    return Program(command=[path, "-c", code], answer="llm-proxy-auth")


# ---- Node ----------------------------------------------------------------------------------------------------------


def _node(path: str, environ: Mapping[str, str]) -> Iterator[Stack]:
    version = re.fullmatch(r"v(\d+)\.(\d+)\.\S+", _told([path, "--version"], environ))
    numbers = (int(version[1]), int(version[2])) if version else (0, 0)
    # The line of 23 ended before 22.21 came, and never learned it.
    knows = numbers >= _KNOWS_PROXIES and numbers[0] != 23
    yield Stack(
        name=f"node {numbers[0]}",
        program=partial(_in_node, path),
        way="NODE_USE_ENV_PROXY=1",
        trust="NODE_EXTRA_CA_CERTS",
        limit=12.0,
        older=None if knows else "built-in fetch ignores HTTPS_PROXY before 22.21",
        older_fix="" if knows else "use Node ≥ 22.21 (llmauth run sets NODE_USE_ENV_PROXY=1)",
    )


def _in_node(path: str, place: Place) -> Program:
    code = (
        f"fetch({json.dumps(place.url)}).then(r => r.text()).then(t => console.log(t))"
        ".catch(e => { console.error(String(e), e.cause ? String(e.cause.code || e.cause) : ''); process.exit(1) })"
    )
    return Program(command=[path, "-e", code])


# ---- command lines -------------------------------------------------------------------------------------------------


def _curl(path: str, _: Mapping[str, str]) -> Iterator[Stack]:
    yield Stack(
        name="curl",
        program=lambda place: Program(command=[path, "-sS", "--max-time", "8", place.url]),
        trust="CURL_CA_BUNDLE",
    )


def _wget(path: str, _: Mapping[str, str]) -> Iterator[Stack]:
    yield Stack(
        name="wget",
        program=lambda place: Program(command=[path, "-nv", "-O", "-", "--tries=1", "--timeout=8", place.url]),
        way="https_proxy",
        trust="ca_certificate in WGETRC",
        slot="https_proxy",
    )


def _git(path: str, _: Mapping[str, str]) -> Iterator[Stack]:
    """It asks for a path of its own making. The session that was lent may use nothing, so the proxy refuses that with
    a 403, which is no 401: it knew who was calling."""
    yield Stack(
        name="git",
        program=lambda place: Program(
            command=[path, "-c", "credential.helper=", "ls-remote", f"https://{place.host}/llmauth"],
            answer="error: 403",
        ),
        trust="GIT_SSL_CAINFO",
        needs_restriction=True,
    )


def _openssl(path: str, _: Mapping[str, str]) -> Iterator[Stack]:
    """It reads no variable for a proxy, so it is told: what is looked at is its trust."""
    yield Stack(name="openssl", program=partial(_in_openssl, path))


def _in_openssl(path: str, place: Place) -> Program:
    options = ["-connect", f"{place.host}:443", "-servername", place.host, "-proxy", f"127.0.0.1:{place.proxy_port}"]
    if place.environ.get("LLMAUTH_KEY"):
        options += ["-proxy_user", "llmauth", "-proxy_pass", "env:LLMAUTH_KEY"]
    asked = f"GET {place.url.partition(place.host)[2]} HTTP/1.1\r\nHost: {place.host}\r\nConnection: close\r\n\r\n"
    return Program(command=[path, "s_client", "-quiet", "-verify_return_error", *options], stdin=asked)


def _go(path: str, _: Mapping[str, str]) -> Iterator[Stack]:
    yield Stack(name="go", program=partial(_in_go, path), limit=40.0)


_GO = """\
package main

import ("fmt"; "io"; "net/http"; "os")

func main() {
    answer, err := http.Get(os.Args[1])
    if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
    body, _ := io.ReadAll(answer.Body)
    fmt.Println(answer.StatusCode, string(body))
}
"""


def _in_go(path: str, place: Place) -> Program:
    file = place.folder / "probe.go"
    file.write_text(_GO)
    return Program(command=[path, "run", str(file), place.url])


_MADE: Mapping[str, Callable[[str, Mapping[str, str]], Iterator[Stack]]] = {
    "python": _python,
    "node": _node,
    "curl": _curl,
    "wget": _wget,
    "git": _git,
    "java": lambda path, _: java(path),
    "go": _go,
    "openssl": _openssl,
}
