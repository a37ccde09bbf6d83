"""The options by which a JVM goes through a proxy and believes its CA."""

from __future__ import annotations

from collections.abc import Iterator

from llmauth.clients.served import ServedProxy

_STORE = "-Djavax.net.ssl.trustStore="


def options(before: str, proxy: ServedProxy, store: tuple[str, str], no_proxy: str) -> str:
    """JAVA_TOOL_OPTIONS: the user's own, then ours. `store` is a trust store and its password.

    No credential is among them: every JVM prints this variable when it starts. A trust store that the user has named
    stays the one that counts.
    """
    given = before.split()
    ours = [*_way(proxy, no_proxy), *([] if any(each.startswith(_STORE) for each in given) else _trust(*store))]
    return " ".join((*([before] if given else []), *(each for each in ours if each not in given)))


def _way(proxy: ServedProxy, no_proxy: str) -> Iterator[str]:
    if proxy.scheme == "http":  # Java speaks no TLS to a proxy
        yield f"-Dhttps.proxyHost={proxy.address.host}"
        yield f"-Dhttps.proxyPort={proxy.address.port}"
        yield f"-Dhttp.nonProxyHosts={'|'.join(_patterns(no_proxy))}"
    # JDK 8u111: "the Basic authentication scheme has been deactivated, by default, for HTTPS tunneling".
    yield "-Djdk.http.auth.tunneling.disabledSchemes="


def _patterns(no_proxy: str) -> Iterator[str]:
    """As Java writes them: with a star for what may stand before, and none for a network."""
    for entry in no_proxy.split(","):
        name = entry.removeprefix("*.").removeprefix(".")
        if "/" not in name and ":" not in name:
            yield name
            if not name.replace(".", "").isdigit():
                yield f"*.{name}"


def _trust(store: str, password: str) -> Iterator[str]:
    yield f"{_STORE}{_quoted(store)}"
    yield f"-Djavax.net.ssl.trustStorePassword={password}"
    yield "-Djavax.net.ssl.trustStoreType=PKCS12"


def _quoted(path: str) -> str:
    # The JVM splits at blanks, and takes what stands in quotes together.
    return f'"{path}"' if " " in path else path
