"""What both checkers accept of the adapters, in their strict modes."""

from collections.abc import Iterable
from typing import Any

import httpx
import requests
import seawall
import seawall.asgi
import seawall.httpx
import seawall.requests
import seawall.wsgi

bank = seawall.policy("bank", seawall.retry(), seawall.circuit_breaker())

client = httpx.Client(transport=seawall.httpx.Transport(bank))
async_client = httpx.AsyncClient(transport=seawall.httpx.AsyncTransport(bank, httpx.AsyncHTTPTransport()))
session = requests.Session()
session.mount("https://", seawall.requests.Adapter(bank))


def environ_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return []


async def scope_app(scope: Any, receive: Any, send: Any) -> None:
    return None


by_environ = seawall.wsgi.Middleware(environ_app, trust=lambda environ: bool(environ["REMOTE_ADDR"]))
by_scope = seawall.asgi.Middleware(scope_app, trust=True)
