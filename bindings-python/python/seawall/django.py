"""Middleware for Django, first in the settings' list: `MIDDLEWARE = ["seawall.django.Middleware", …]`.

The setting `SEAWALL_TRUST` says whether the deadline and the idempotency key of a caller count: True or False, which is the
default, or a function of the request. Only for callers of your own.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Union, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from seawall._context import correlate, correlation_id, receive
from seawall._errors import RejectedError

__all__ = ["Middleware"]

Sync = Callable[[HttpRequest], HttpResponseBase]
Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class Middleware:
    """Continues what the headers of a request tell, and answers for the policies that refused its work. Under WSGI and ASGI.

    Views run under `seawall.receive(request.headers)`, a streamed body under the correlation id, and the response says that id. A
    `RejectedError` that a view lets out becomes the status of the error, with `retry-after`.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Union[Sync, Async]) -> None:
        self._get_response = get_response
        # What Django itself asks, on every version.
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]
        if self._is_async:
            markcoroutinefunction(cast(Any, self))

    def __call__(self, request: HttpRequest) -> Union[HttpResponseBase, Awaitable[HttpResponseBase]]:
        if self._is_async:
            return self._answer(request)
        with _received(request):
            return _marked(cast(Sync, self._get_response)(request))

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with _received(request):
            return _marked(await cast(Async, self._get_response)(request))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """What Django asks with the error of a view; None leaves it to others."""
        if not isinstance(error, RejectedError):
            return None
        body = f"{error.code}\n"
        return HttpResponse(body, status=error.http_status, headers=error.http_headers, content_type="text/plain; charset=utf-8")


def _received(request: HttpRequest) -> AbstractContextManager[None]:
    trust = getattr(settings, "SEAWALL_TRUST", False)
    return receive(request.headers, trust=bool(trust(request) if callable(trust) else trust))


def _marked(response: HttpResponseBase) -> HttpResponseBase:
    """The response with the id, and with its parts under the id if they are made while it is sent."""
    id = correlation_id() or ""
    response.headers.setdefault("x-correlation-id", id)
    if isinstance(response, StreamingHttpResponse):
        parts = cast(Any, response.streaming_content)
        response.streaming_content = _later(parts, id) if response.is_async else _parts(parts, id)
    return response


def _parts(parts: Iterable[bytes], id: str) -> Iterator[bytes]:
    source = iter(parts)
    while True:
        with correlate(id):
            part = next(source, None)
        if part is None:
            return
        yield part


async def _later(parts: AsyncIterable[bytes], id: str) -> AsyncIterator[bytes]:
    source = aiter(parts)
    while True:
        with correlate(id):
            part = await anext(source, None)
        if part is None:
            return
        yield part
