"""A client middleware for aiohttp, from 3.12 on: `aiohttp.ClientSession(middlewares=(seawall.aiohttp.Middleware(policy),))`.

On a keyed policy the key is the host. The statuses 408, 425, 429 and 5xx are failures; when no attempt is left the caller gets
the last response as it is. Only idempotent methods and requests with an Idempotency-Key are sent again, and only if their
body is in memory. An attempt lasts until the head of the response is there. A policy with a hedge is not for this: aiohttp sends the attempts
of one request by one object.
"""

from __future__ import annotations

from typing import Any, cast

from aiohttp import BytesPayload, ClientHandlerType, ClientRequest, ClientResponse

from seawall._http import BadStatusError, Exchange, adopt
from seawall._policy import Policy

__all__ = ["Middleware"]


class Middleware:
    """Sends requests under a policy.

    Raises what the policy raises: errors of aiohttp, and `RejectedError` and `TimeoutExceededError` of ours.
    """

    def __init__(self, policy: Policy[Any]) -> None:
        self._policy = adopt(policy, "seawall.aiohttp.Middleware")

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """What aiohttp calls for each request."""
        body: Any = request.body
        in_memory = isinstance(body, (bytes, BytesPayload)) or body is None
        exchange: Exchange[ClientResponse] = Exchange(request.url, request.method, request.headers, in_memory)

        async def send(request: ClientRequest) -> ClientResponse:
            request.headers.update(exchange.begin())
            response = await handler(request)
            return exchange.ended(response, response.status)

        view = exchange.view(self._policy, request.url.host or "", request.headers.get("idempotency-key"))
        taken: Any = None
        try:
            taken = await view.acall(send, request)
        except BadStatusError as bad:
            taken = bad.response
        finally:
            for response in exchange.over(taken):
                response.close()
        return cast(ClientResponse, taken)
