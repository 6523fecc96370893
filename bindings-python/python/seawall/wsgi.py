"""Middleware for WSGI applications: `app = seawall.wsgi.Middleware(app)`. It needs no framework."""

from __future__ import annotations

import contextvars
import http
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Union

from seawall._context import correlation_id, receive
from seawall._errors import RejectedError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Middleware"]


class Middleware:
    """Continues what the headers of a request tell, and answers for the policies that refused its work.

    The application runs under `seawall.receive(headers, trust=trust)`, also while its body is read, and its response says the
    correlation id. A `RejectedError` that it lets out before the first part of the body becomes the status of the error, with
    `retry-after`.

    trust: whether the deadline and the idempotency key of the caller count: for callers of your own. A function gets the environ.
    """

    def __init__(self, app: WSGIApplication, trust: Union[bool, Callable[[WSGIEnvironment], bool]] = False) -> None:
        self._app = app
        self._trust = trust

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prefix = "HTTP_"
        headers = {name[len(prefix) :].replace("_", "-"): value for name, value in environ.items() if name.startswith(prefix)}
        trust = self._trust(environ) if callable(self._trust) else self._trust
        return _Body(self._app, environ, start_response, receive(headers, trust=trust))


class _Body:
    """The body of one response. All of the application runs in a context of its own, whoever reads the body."""

    def __init__(
        self, app: WSGIApplication, environ: WSGIEnvironment, start: StartResponse, received: AbstractContextManager[None]
    ) -> None:
        self._context = contextvars.copy_context()
        self._start = start
        self._received = received
        self._is_sent = False
        self._id = self._context.run(self._enter)
        self._inner: Iterable[bytes] = ()
        self._parts: Iterator[bytes] = iter(())
        try:
            self._inner = self._context.run(app, environ, self._start_response)
            self._parts = iter(self._inner)
        except RejectedError as error:
            self._parts = iter((self._refuse(error),))
        except BaseException:
            self.close()
            raise

    def _enter(self) -> str:
        self._received.__enter__()
        return correlation_id() or ""

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        if all(name.lower() != "x-correlation-id" for name, _ in headers):
            headers = [*headers, ("x-correlation-id", self._id)]
        return self._start(status, headers) if exc_info is None else self._start(status, headers, exc_info)

    def _refuse(self, error: RejectedError) -> bytes:
        """Answers with the status of the error. The server raises it again if it has sent the head already."""
        body = f"{error.code}\n".encode()
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **error.http_headers}
        status = http.HTTPStatus(error.http_status)
        self._start_response(f"{status.value} {status.phrase}", list(headers.items()), sys.exc_info())
        return body

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        try:
            part = self._context.run(next, self._parts)
        except RejectedError as error:
            if self._is_sent:
                raise
            part = self._refuse(error)
            self._parts = iter(())
        self._is_sent = self._is_sent or bool(part)
        return part

    def close(self) -> None:
        """Ends the request, as the server does when it has read the body or the client is gone."""
        inner, self._inner = self._inner, ()
        close = getattr(inner, "close", None)
        try:
            if close is not None:
                self._context.run(close)
        finally:
            self._context.run(self._received.__exit__, None, None, None)
