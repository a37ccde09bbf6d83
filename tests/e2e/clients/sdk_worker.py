"""Runs snippets with the official SDKs as users run them: each in a child process, with the environment it is given.

One JSON line in, one JSON line out. The SDKs are loaded once and children are forked, since to load them takes longer
than most calls. Nothing of an SDK is replaced: where it connects to is told by environment variables alone. A call that
shall go to the emulators directly, to be compared, is the exception: its names resolve to their port.
"""

import contextlib
import importlib
import json
import os
import socket
import sys
import traceback

# By name: where the tests' types are checked, none of them is installed.
LOADED = {
    name.rpartition(".")[2]: importlib.import_module(name) for name in sys.argv[1:] or ("anthropic", "boto3", "openai")
}


def _stay_here(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in ("127.0.0.1", "::1"):
        raise PermissionError(f"an SDK was about to connect to {args[1][0]}")


def _resolve_to(port):
    look_up = socket.getaddrinfo
    socket.getaddrinfo = lambda host, wanted, *rest, **more: look_up("127.0.0.1", port, *rest, **more)


def _run(job):
    os.environ.clear()
    os.environ.update(job["environ"])
    if job["direct_port"] is not None:
        _resolve_to(job["direct_port"])
    names = {**LOADED, **job["names"]}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(job["code"], "<snippet>", "exec"), names)
        return {"result": names.get("result")}
    except Exception as problem:
        return {"problem": _told(problem)}


def _told(problem):
    response = getattr(problem, "response", None)
    status = getattr(problem, "status_code", None)
    if isinstance(response, dict):  # botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return {
        "kind": type(problem).__name__,
        "message": str(problem),
        "status": status,
        "traceback": traceback.format_exc(),
    }


def _in_a_child(job):
    """The answer's JSON; empty when the child died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as answer:
            json.dump(_run(job), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def main():
    sys.addaudithook(_stay_here)
    for line in sys.stdin:
        sys.stdout.write(_in_a_child(json.loads(line)) + "\n")
        sys.stdout.flush()


main()
