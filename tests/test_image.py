"""build/Dockerfile: what it promises, and its steps run without a daemon up to a gateway that serves."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from urllib.error import URLError

import pytest

import llmauth
from tests.fixtures.serving import free_port
from tests.sources import ROOT

DOCKERFILE = ROOT / "build" / "Dockerfile"
USER = 65532  # of distroless images, and of the pods of deployments/kubernetes


def instructions() -> list[tuple[str, str]]:
    """Each instruction with what follows, comments and line ends of its continuation gone."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def stages() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    every = instructions()
    first, second = [number for number, (word, _) in enumerate(every) if word == "FROM"]
    return every[first:second], every[second:]


def variables(stage: list[tuple[str, str]]) -> dict[str, str]:
    words = [word for name, rest in stage if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


# ---- what it promises ------------------------------------------------------------------------------------------------


def test_both_stages_are_of_an_image_that_can_be_pinned() -> None:
    assert [rest.split()[0] for word, rest in instructions() if word == "FROM"] == ["${PYTHON_IMAGE}"] * 2


def test_all_that_is_installed_comes_by_hash_and_as_wheels() -> None:
    installs = [
        part for word, rest in stages()[0] if word == "RUN" for part in rest.split("&&") if "pip install" in part
    ]
    assert len(installs) == 3
    for install in installs:
        ours = "--no-deps --no-index" in install
        assert ours or {"--require-hashes", "--only-binary"} <= set(install.split()), install


def test_it_runs_as_a_number_without_a_shell_and_is_told_to_drain() -> None:
    last = dict(stages()[1])
    assert last["USER"] == f"{USER}:{USER}"
    assert json.loads(last["ENTRYPOINT"]) == ["python", "-m", "llmauth"]
    assert json.loads(last["CMD"]) == ["serve"]
    assert json.loads(last["HEALTHCHECK"].partition("CMD ")[2])[0] == "python"
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert dict(shlex.split(rest)[0].split("=", 1) for word, rest in stages()[1] if word == "ARG" and "=" in rest)[
        "VERSION"
    ] == (llmauth.__version__)


def test_it_writes_in_its_folder_alone() -> None:
    given = variables(stages()[1])
    assert dict(stages()[1])["VOLUME"] == '["/var/lib/llmauth"]'
    assert given["LLMAUTH_HOME"].startswith("/var/lib/llmauth/")
    assert given["PYTHONDONTWRITEBYTECODE"] == "1"
    assert not [name for name in given if "KEY" in name or "SECRET" in name or "TOKEN" in name]


def allowed() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    return [line[1:] for line in lines if line.startswith("!")]


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    copied = {
        word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    }
    assert copied == set(allowed())
    assert not any(fnmatch(name, pattern) for name in (".env", "certs/x.key", ".git/config") for pattern in allowed())


def test_no_registry_of_one_place_is_named() -> None:
    hosts = re.findall(r"https?://([\w.-]+)", DOCKERFILE.read_text(encoding="utf-8"))
    assert set(hosts) == {"127.0.0.1"}


def test_the_command_of_the_image_is_llmauth() -> None:
    """What `kubectl exec … -- llmauth` finds; by this Python, since the image's is elsewhere."""
    command = [sys.executable, str(ROOT / "build" / "llmauth"), "--help"]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, timeout=30
    )
    assert "serve" in done.stdout
    assert os.access(ROOT / "build" / "llmauth", os.X_OK)


# ---- its steps -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """A folder in the place of the image's root, made by the RUN lines of the first stage."""
    root = Path(tempfile.mkdtemp(prefix="llmauth-image-"))
    root.chmod(0o755)
    try:
        context = root / "src"
        for name in allowed():
            source = ROOT / name
            target = context / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        subprocess.run([sys.executable, "-m", "venv", str(root / "venv")], check=True)
        path = f"{root / 'venv' / 'bin'}:{os.environ['PATH']}"
        environ = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP", "http"))
        }
        environ |= {**variables(stages()[0]), "PATH": path, "HOME": str(root)}
        for word, rest in stages()[0]:
            if word == "RUN":
                line = rest.replace("/opt/", f"{root}/opt/").replace("-o 65532 -g 65532 ", "")
                subprocess.run(line, shell=True, check=True, cwd=context, env=environ, timeout=400)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run(image: Path, words: list[str], **more: str) -> tuple[list[str], dict[str, str], dict[str, int]]:
    """A command as the image has it: its variables and no other, at `/`, as its user where this one may choose."""
    last = {name: value.replace("/opt/", f"{image}/opt/") for name, value in variables(stages()[1]).items()}
    volume = image / "volume"
    volume.mkdir(exist_ok=True)
    environ = {**last, "PATH": "/nowhere", "LLMAUTH_HOME": str(volume / "state"), "TMPDIR": str(volume), **more}
    base = Path(sys.executable).resolve()
    who = {}
    if os.geteuid() == 0 and all(folder.stat().st_mode & stat.S_IXOTH for folder in base.parents):
        os.chown(volume, USER, USER)
        who = {"user": USER, "group": USER}
    entry = json.loads(dict(stages()[1])["ENTRYPOINT"])
    return [str(base), "-s", *entry[1:], *words], environ, who


@pytest.mark.soak
@pytest.mark.timeout(500)
def test_the_steps_make_a_gateway_that_serves_and_drains(image: Path) -> None:
    library = image / "opt" / "llmauth" / "lib"
    assert (library / "llmauth" / "clients" / "preload.cjs").exists()
    assert not list(library.glob("pip*"))
    assert not (library / "setuptools").exists()
    before = set(library.rglob("*"))
    port = free_port()
    command, environ, who = run(image, json.loads(dict(stages()[1])["CMD"]), PORT=str(port))
    began = time.monotonic()
    with subprocess.Popen(command, env=environ, cwd="/", stderr=subprocess.PIPE, text=True, **who) as process:  # type: ignore[call-overload]
        try:
            while not _healthy(port):
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() - began < 20
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=20)[1]
    assert process.returncode == 0, log
    assert (image / "volume" / "state" / "keys.db").exists()
    assert set(library.rglob("*")) == before  # nothing was written where nothing can be


@pytest.mark.soak
@pytest.mark.timeout(500)
def test_a_key_is_made_in_it(image: Path) -> None:
    command, environ, who = run(image, ["keys", "create", "ci"])
    done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, check=True, timeout=30, **who)  # type: ignore[call-overload]
    assert done.stdout.startswith("llmauth_")


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
