"""Java's own HTTP client, run from its source: a JDK from version 11 on compiles one file by itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from llmauth.doctor.stacks.stack import Place, Program, Stack

# It sends its credential where an SDK does: no JVM takes a user for its proxy out of a variable.
_SOURCE = """\
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Probe {
    public static void main(String[] words) throws Exception {
        HttpRequest.Builder asked = HttpRequest.newBuilder(URI.create(words[0]));
        String key = System.getenv("LLMAUTH_KEY");
        if (key != null) asked.header("Authorization", "Bearer " + key);
        HttpResponse<String> answer =
            HttpClient.newHttpClient().send(asked.build(), HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
"""


def java(path: str) -> Iterator[Stack]:
    """The one stack."""
    yield Stack(
        name="java",
        program=partial(_in_java, path),
        way="JAVA_TOOL_OPTIONS (-Dhttps.proxyHost)",
        trust="JAVA_TOOL_OPTIONS (-Djavax.net.ssl.trustStore)",
        slot="OPENAI_API_KEY",
        limit=25.0,
    )


def _in_java(path: str, place: Place) -> Program:
    file = place.folder / "Probe.java"
    file.write_text(_SOURCE)
    return Program(command=[path, "-Xshare:auto", "-XX:TieredStopAtLevel=1", str(file), place.url])
