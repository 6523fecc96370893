"""The adapters of httpx and requests, against servers on this machine. All waits are virtual."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests
import seawall
from seawall.httpx import AsyncTransport, Transport
from seawall.requests import Adapter

Answer = tuple[int, dict[str, str]]


class Server:
    """Gives the answers in turn, the last one for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [(200, {})]
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.body()
                outer.seen.append((self.command, {name.lower(): value for name, value in self.headers.items()}, body))
                status, headers = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in {**headers, "content-length": "2"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length") or 0))
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


# Sends one request through an adapter: policy, method, URL, headers, body; gives status and body of the response.
Sender = Callable[..., "tuple[int, bytes]"]


def by_httpx(policy: Any, method: str, url: str, **more: Any) -> tuple[int, bytes]:
    with httpx.Client(transport=Transport(policy)) as client:
        response = client.request(method, url, **_content(more))
    return response.status_code, response.content


def by_async_httpx(policy: Any, method: str, url: str, **more: Any) -> tuple[int, bytes]:
    async def send() -> tuple[int, bytes]:
        async with httpx.AsyncClient(transport=AsyncTransport(policy)) as client:
            response = await client.request(method, url, **_content(more, is_async=True))
        return response.status_code, response.content

    return asyncio.run(send())


def by_requests(policy: Any, method: str, url: str, **more: Any) -> tuple[int, bytes]:
    with requests.Session() as session:
        session.mount("http://", Adapter(policy))
        response = session.request(method, url, **more)
        return response.status_code, response.content


def _content(more: dict[str, Any], is_async: bool = False) -> dict[str, Any]:
    data = more.pop("data", None)
    if is_async and data is not None and not isinstance(data, bytes):
        parts = list(data)

        async def again() -> Any:
            for part in parts:
                yield part

        data = again()
    return {**more, "content": data}


every_adapter = pytest.mark.parametrize("send", [by_httpx, by_async_httpx, by_requests])


@pytest.fixture(autouse=True)
def clock() -> Iterator[seawall.testing.Clock]:
    with seawall.testing.clock() as made:
        yield made


@every_adapter
def test_a_passing_status_is_retried_when_the_server_says(send: Sender, server: Server, clock: seawall.testing.Clock) -> None:
    server.answers = [(503, {"retry-after": "7"}), (429, {}), (200, {})]
    policy = seawall.retry(max_attempts=3, jitter="none", base_delay="100ms")
    assert send(policy, "GET", server.url) == (200, b"ok")
    assert [headers["x-seawall-attempt"] for _, headers, _ in server.seen] == ["1", "2", "3"]
    assert len({headers["x-correlation-id"] for _, headers, _ in server.seen}) == 1
    assert clock.sleeps[0] >= 7


@every_adapter
def test_the_last_response_comes_out_when_retries_are_used_up(send: Sender, server: Server) -> None:
    server.answers = [(500, {}), (502, {})]
    assert send(seawall.retry(max_attempts=2), "GET", server.url) == (502, b"ok")
    assert len(server.seen) == 2


@every_adapter
def test_other_statuses_are_answers(send: Sender, server: Server) -> None:
    server.answers = [(404, {"retry-after": "1"})]
    policy = seawall.policy(None, seawall.retry(), seawall.circuit_breaker(consecutive_failures=1))
    assert send(policy, "GET", server.url) == (404, b"ok")
    assert len(server.seen) == 1
    assert policy.breaker.state == "closed"


@every_adapter
def test_what_is_not_idempotent_is_sent_once(send: Sender, server: Server) -> None:
    server.answers = [(503, {})]
    assert send(seawall.retry(max_attempts=3), "POST", server.url, data=b"pay") == (503, b"ok")
    assert [(method, body) for method, _, body in server.seen] == [("POST", b"pay")]


@every_adapter
def test_an_idempotency_key_makes_a_post_repeatable(send: Sender, server: Server) -> None:
    server.answers = [(503, {}), (200, {})]
    sent = {"Idempotency-Key": "order-1"}
    assert send(seawall.retry(max_attempts=3), "POST", server.url, headers=sent, data=b"pay") == (200, b"ok")
    assert [(headers["idempotency-key"], body) for _, headers, body in server.seen] == [("order-1", b"pay")] * 2


@every_adapter
def test_a_stream_is_not_replayed(send: Sender, server: Server) -> None:
    server.answers = [(503, {})]
    assert send(seawall.retry(max_attempts=3), "PUT", server.url, data=iter([b"a", b"b"]))[0] == 503
    assert [body for _, _, body in server.seen] == [b"ab"]


@every_adapter
def test_a_keyed_policy_has_a_circuit_for_each_host(send: Sender, server: Server) -> None:
    server.answers = [(503, {})]
    policy = seawall.circuit_breaker(consecutive_failures=1, key="request.url")
    send(policy, "GET", server.url)
    assert policy.using(key="127.0.0.1").breaker.state == "open"
    with pytest.raises(seawall.CircuitOpenError):
        send(policy, "GET", server.url)
    assert send(policy, "GET", server.url.replace("127.0.0.1", "localhost"))[0] == 503
    assert len(server.seen) == 2


@every_adapter
def test_a_connection_that_fails_is_retried_only_where_it_may(send: Sender) -> None:
    with pytest.raises((httpx.ConnectError, requests.ConnectionError)) as read:
        send(seawall.retry(max_attempts=3), "GET", "http://127.0.0.1:1/")
    with pytest.raises((httpx.ConnectError, requests.ConnectionError)) as written:
        send(seawall.retry(max_attempts=3), "POST", "http://127.0.0.1:1/")
    attempts = [seawall.failure(caught.value) for caught in (read, written)]
    assert [len(found.attempts) for found in attempts if found] == [3, 1]


@every_adapter
def test_what_the_context_says_travels_and_the_client_has_the_last_word(send: Sender, server: Server) -> None:
    policy = seawall.timeout(total="5s")
    with seawall.receive({"x-correlation-id": "abc", "x-seawall-deadline-ms": "900"}, trust=True):
        send(policy, "GET", server.url)
        send(policy, "GET", server.url, headers={"X-Correlation-Id": "mine"})
    first, second = (headers for _, headers, _ in server.seen)
    assert first["x-correlation-id"] == "abc" and first["x-seawall-deadline-ms"] == "900"
    assert second["x-correlation-id"] == "mine"


def test_a_post_that_a_time_limit_cut_is_not_sent_again(clock: seawall.testing.Clock) -> None:
    sent = []

    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request)
            await asyncio.Event().wait()
            raise AssertionError("never")

    policy = seawall.policy(None, seawall.retry(max_attempts=3), seawall.timeout(attempt="1s"))

    async def send() -> None:
        async with httpx.AsyncClient(transport=AsyncTransport(policy, Hanging()), timeout=None) as client:
            task = asyncio.ensure_future(client.post("http://bank/"))
            await clock.aadvance("1m")
            with pytest.raises(seawall.TimeoutExceededError):
                await task

    asyncio.run(send())
    assert len(sent) == 1
