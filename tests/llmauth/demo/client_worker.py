"""Runs snippets with the official SDKs in the interpreter that has them: one JSON line in, one JSON line out.

Every name resolves to the emulators' port on loopback, so that the SDKs keep their own addresses: what they send is
what they send to the real providers, Host header, TLS name and signature included.
"""

import contextlib
import json
import os
import socket
import sys
import traceback

_look_up = socket.getaddrinfo
_port = 0


def _resolve(host, port, *args, **kwargs):
    return _look_up("127.0.0.1", _port if port == 443 else port, *args, **kwargs)


def _run(job):
    global _port
    _port = job["port"]
    os.environ["SSL_CERT_FILE"] = os.environ["AWS_CA_BUNDLE"] = job["ca_file"]
    names = dict(job["names"])
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(job["code"], "<snippet>", "exec"), names)
        return {"result": names.get("result")}
    except Exception as problem:
        response = getattr(problem, "response", None)
        status = getattr(problem, "status_code", None)
        if isinstance(response, dict):  # botocore
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        told = {"kind": type(problem).__name__, "message": str(problem), "status": status}
        return {"problem": {**told, "traceback": traceback.format_exc()}}


def main():
    socket.getaddrinfo = _resolve
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(json.loads(line))) + "\n")
        sys.stdout.flush()


main()
