"""Transports for httpx that send every request under a policy: `httpx.Client(transport=seawall.httpx.Transport(policy))`.

On a keyed policy the key is the host. The statuses 408, 425, 429 and 5xx are failures; when no attempt is left the client gets
the last response as it is. Only idempotent methods and requests with an Idempotency-Key are sent again, and only if their
body is in memory. An attempt lasts until the head of the response is there.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, cast

import httpx

from seawall._http import BadStatusError, Exchange, adopt
from seawall._policy import Policy

__all__ = ["AsyncTransport", "Transport"]


def _exchange(request: httpx.Request) -> Exchange[httpx.Response]:
    return Exchange(request.url, request.method, request.headers, isinstance(request.stream, httpx.ByteStream))


def _view(exchange: Exchange[httpx.Response], policy: Policy[Any], request: httpx.Request) -> Policy[Any]:
    return exchange.view(policy, request.url.host, request.headers.get("idempotency-key"))


class Transport(httpx.BaseTransport):
    """Sends requests under a policy, through `inner`, an `httpx.HTTPTransport` by default.

    Raises what the policy raises: errors of `inner`, and `RejectedError` and `TimeoutExceededError` of ours.
    """

    def __init__(self, policy: Policy[Any], inner: httpx.BaseTransport | None = None) -> None:
        self._policy = adopt(policy, "seawall.httpx.Transport")
        self._inner = httpx.HTTPTransport() if inner is None else inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _exchange(request)

        def send(request: httpx.Request) -> httpx.Response:
            sent = _with(request, exchange.begin())
            response = self._inner.handle_request(sent)
            if exchange.late():
                response.close()
            return exchange.ended(response, response.status_code)

        taken: Any = None
        try:
            taken = _view(exchange, self._policy, request).call(send, request)
        except BadStatusError as bad:
            taken = bad.response
        finally:
            for response in exchange.over(taken):
                response.close()
        return cast(httpx.Response, taken)

    def __enter__(self) -> Transport:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(kind, error, traceback)

    def close(self) -> None:
        self._inner.close()


class AsyncTransport(httpx.AsyncBaseTransport):
    """Sends requests under a policy, through `inner`, an `httpx.AsyncHTTPTransport` by default. On asyncio and trio.

    Raises what the policy raises: errors of `inner`, and `RejectedError` and `TimeoutExceededError` of ours.
    """

    def __init__(self, policy: Policy[Any], inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._policy = adopt(policy, "seawall.httpx.AsyncTransport")
        self._inner = httpx.AsyncHTTPTransport() if inner is None else inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _exchange(request)

        async def send(request: httpx.Request) -> httpx.Response:
            sent = _with(request, exchange.begin())
            response = await self._inner.handle_async_request(sent)
            return exchange.ended(response, response.status_code)

        taken: Any = None
        try:
            taken = await _view(exchange, self._policy, request).acall(send, request)
        except BadStatusError as bad:
            taken = bad.response
        finally:
            for response in exchange.over(taken):
                await response.aclose()
        return cast(httpx.Response, taken)

    async def __aenter__(self) -> AsyncTransport:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, traceback)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _with(request: httpx.Request, headers: dict[str, str]) -> httpx.Request:
    """The request of one attempt. The same body, and headers of its own: attempts may run side by side."""
    merged = httpx.Headers(request.headers)
    merged.update(headers)
    return httpx.Request(request.method, request.url, headers=merged, stream=request.stream, extensions=request.extensions)
