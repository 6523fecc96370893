"""Middleware for ASGI applications: `app = seawall.asgi.Middleware(app)`. It needs no framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Union

from seawall._context import correlation_id, receive
from seawall._errors import RejectedError

__all__ = ["Middleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ID = b"x-correlation-id"


class Middleware:
    """Continues what the headers of a request tell, and answers for the policies that refused its work.

    The application runs under `seawall.receive(headers, trust=trust)`, and its response says the correlation id. A
    `RejectedError` that it lets out before it began to answer becomes the status of the error, with `retry-after`.

    trust: whether the deadline and the idempotency key of the caller count: for callers of your own. A function gets the scope.
    """

    def __init__(self, app: App, trust: Union[bool, Callable[[Scope], bool]] = False) -> None:
        self._app = app
        self._trust = trust

    async def __call__(self, scope: Scope, receive_message: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive_message, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with receive(headers, trust=self._trust(scope) if callable(self._trust) else self._trust):
            answer = _Answer(send, correlation_id() or "")
            try:
                await self._app(scope, receive_message, answer.send)
            except RejectedError as error:
                if answer.is_begun or scope["type"] != "http":
                    raise
                await answer.refuse(error)


class _Answer:
    """The response to one request."""

    def __init__(self, send: Send, id: str) -> None:
        self._send = send
        self._id = id.encode("latin-1")
        self.is_begun = False

    async def send(self, message: Message) -> None:
        self.is_begun = True
        if message["type"] in ("http.response.start", "websocket.accept"):
            headers: list[tuple[bytes, bytes]] = list(message.get("headers") or ())
            if all(name.lower() != _ID for name, _ in headers):
                message = {**message, "headers": [*headers, (_ID, self._id)]}
        await self._send(message)

    async def refuse(self, error: RejectedError) -> None:
        body = f"{error.code}\n".encode()
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **error.http_headers}
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": error.http_status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})
