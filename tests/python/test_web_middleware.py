"""The middlewares, under real servers on this machine."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
import seawall
import seawall.asgi
import seawall.wsgi
import uvicorn


def work(path: str) -> bytes:
    """What both applications do."""
    if path == "/refused":
        raise seawall.RateLimitedError("no", retry_after=1.2)
    if path == "/open":
        raise seawall.CircuitOpenError("no")
    key = seawall.current().idempotency_key
    return f"{seawall.correlation_id()} {key} {seawall.deadline() is not None}".encode()


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise seawall.CircuitOpenError("too late")
    body = work(scope["path"])
    own = [(b"x-correlation-id", b"own")] if scope["path"] == "/own" else []
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode()), *own]})
    await send({"type": "http.response.body", "body": body})


def wsgi_app(environ: Any, start_response: Any) -> Iterator[bytes]:
    # A generator: all of it runs only when the server reads the body.
    path = environ["PATH_INFO"]
    body = work(path)
    start_response("200 OK", [("x-correlation-id", "own")] if path == "/own" else [])
    if path == "/begun":
        raise seawall.CircuitOpenError("the head is not sent before the first part")
    yield body


@contextmanager
def under_uvicorn(app: Any) -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level=logging.CRITICAL))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def under_wsgiref(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SENT = {"x-correlation-id": "abc", "idempotency-key": "order-1", "x-seawall-deadline-ms": "5000"}


@contextmanager
def serving(kind: str, trust: Any = False) -> Iterator[httpx.Client]:
    if kind == "asgi":
        running = under_uvicorn(seawall.asgi.Middleware(asgi_app, trust=trust))
    else:
        running = under_wsgiref(seawall.wsgi.Middleware(wsgi_app, trust=trust))
    with running as url, httpx.Client(base_url=url) as client:
        yield client


both = pytest.mark.parametrize("kind", ["asgi", "wsgi"])


@both
def test_the_correlation_id_goes_in_and_out(kind: str) -> None:
    with serving(kind) as client:
        given, made, own = client.get("/", headers=SENT), client.get("/"), client.get("/own")
    assert (given.text, given.headers["x-correlation-id"]) == ("abc None False", "abc")
    assert made.headers["x-correlation-id"] == made.text.split()[0] != "abc"
    assert own.headers.get_list("x-correlation-id") == ["own"]


@both
def test_a_trusted_caller_gives_deadline_and_idempotency_key(kind: str) -> None:
    with serving(kind, trust=True) as client:
        assert client.get("/", headers=SENT).text == "abc order-1 True"
    with serving(kind, trust=lambda request: request.get("path", request.get("PATH_INFO")) == "/inside") as client:
        assert client.get("/inside", headers=SENT).text == "abc order-1 True"
        assert client.get("/outside", headers=SENT).text == "abc None False"


@both
def test_a_refusal_is_answered_with_its_status(kind: str) -> None:
    with serving(kind) as client:
        limited, open_ = client.get("/refused", headers=SENT), client.get("/open")
    assert (limited.status_code, limited.headers["retry-after"], limited.text) == (429, "2", "rate.limited\n")
    assert limited.headers["x-correlation-id"] == "abc"
    assert open_.status_code == 503 and "retry-after" not in open_.headers


def test_a_begun_answer_is_not_replaced() -> None:
    with serving("asgi") as client, pytest.raises(httpx.RemoteProtocolError):
        client.get("/late")


def test_a_head_that_was_not_sent_is_replaced() -> None:
    with serving("wsgi") as client:
        assert client.get("/begun").status_code == 503
