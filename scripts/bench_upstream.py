"""The providers of the benchmark: a fixed JSON answer, or a hundred events, at the least cost that asyncio allows."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Sequence

from llmauth.demo.eventstream import event

WORDS = b"hello " * 40
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,'
    b'"finish_reason":"stop","message":{"role":"assistant","content":"' + WORDS + b'"}}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49}}'
)
EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini",'
    b'"choices":[{"index":0,"delta":{"content":"tok "},"finish_reason":null}]}\n\n'
)
LAST = EVENT.replace(b'{"content":"tok "}', b"{}").replace(b"null", b'"stop"') + b"data: [DONE]\n\n"
TOKENS = 100
FRAMES = (
    event("messageStart", b'{"role":"assistant"}'),
    *[event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"tok "}}')] * TOKENS,
    event("contentBlockStop", b'{"contentBlockIndex":0}'),
    event("messageStop", b'{"stopReason":"end_turn"}'),
    event(
        "metadata",
        b'{"usage":{"inputTokens":9,"outputTokens":100,"totalTokens":109},"metrics":{"latencyMs":9}}',
    ),
)
SSE, AWS = b"text/event-stream", b"application/vnd.amazon.eventstream"
PACE = 0.01  # seconds a token, for a body that asks for it


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection until it ends."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            if b"/converse-stream" in head:
                await _stream(writer, AWS, FRAMES)
            elif b'"stream"' in body:
                await _stream(writer, SSE, (*[EVENT] * TOKENS, LAST), paced=b'"paced"' in body)
            else:
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
                writer.write(head + ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _stream(writer: asyncio.StreamWriter, kind: bytes, pieces: Sequence[bytes], *, paced: bool = False) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n" % kind)
    for piece in pieces:
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if paced:
            await asyncio.sleep(PACE)
    writer.write(b"0\r\n\r\n")


async def main(certificate: str, port: int) -> None:
    """Serve on loopback until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=context, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
