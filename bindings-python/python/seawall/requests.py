"""An adapter for requests that sends every request under a policy: `session.mount("https://", seawall.requests.Adapter(policy))`.

On a keyed policy the key is the host. The statuses 408, 425, 429 and 5xx are failures; when no attempt is left the caller gets
the last response as it is. Only idempotent methods and requests with an Idempotency-Key are sent again, and only if their
body is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from seawall._http import BadStatusError, Exchange, adopt
from seawall._policy import Policy

__all__ = ["Adapter"]


class Adapter(BaseAdapter):
    """Sends requests under a policy, through `inner`, an `HTTPAdapter` without retries of its own by default.

    Raises what the policy raises: errors of `inner`, and `RejectedError` and `TimeoutExceededError` of ours.
    """

    def __init__(self, policy: Policy[Any], inner: BaseAdapter | None = None) -> None:
        super().__init__()
        self._policy = adopt(policy, "seawall.requests.Adapter")
        self._inner = HTTPAdapter() if inner is None else inner

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: None | float | tuple[float, float] | tuple[float, None] = None,
        verify: bool | str = True,
        cert: None | bytes | str | tuple[bytes | str, bytes | str] = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        method = request.method or "GET"
        # The stubs of requests know of no streams here.
        body: Any = request.body
        in_memory = body is None or isinstance(body, (bytes, str))
        exchange: Exchange[requests.Response] = Exchange(request.url, method, request.headers, in_memory)

        def send(request: requests.PreparedRequest) -> requests.Response:
            sent = request.copy()
            sent.headers.update(exchange.begin())
            response = self._inner.send(sent, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
            if exchange.late():
                response.close()
            return exchange.ended(response, response.status_code)

        view = exchange.view(self._policy, urlsplit(request.url or "").hostname or "", request.headers.get("idempotency-key"))
        taken: Any = None
        try:
            taken = view.call(send, request)
        except BadStatusError as bad:
            taken = bad.response
        finally:
            for response in exchange.over(taken):
                response.close()
        return cast(requests.Response, taken)

    def close(self) -> None:
        self._inner.close()
