"""What both checkers accept of the adapters, in their strict modes."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import celery
import httpx
import prometheus_client
import requests
import seawall
import seawall.aiohttp
import seawall.asgi
import seawall.celery
import seawall.django
import seawall.httpx
import seawall.logging
import seawall.otel
import seawall.prometheus
import seawall.requests
import seawall.wsgi
from django.http import HttpRequest, HttpResponse

bank = seawall.policy("bank", seawall.retry(), seawall.circuit_breaker())

client = httpx.Client(transport=seawall.httpx.Transport(bank))
async_client = httpx.AsyncClient(transport=seawall.httpx.AsyncTransport(bank, httpx.AsyncHTTPTransport()))
session = requests.Session()
middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (seawall.aiohttp.Middleware(bank),)
prometheus_client.REGISTRY.register(seawall.prometheus.Collector())
end_telemetry: Callable[[], None] = seawall.otel.instrument()
seawall.logging.limit_storms(20)
session.mount("https://", seawall.requests.Adapter(bank))


def environ_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return []


async def scope_app(scope: Any, receive: Any, send: Any) -> None:
    return None


by_environ = seawall.wsgi.Middleware(environ_app, trust=lambda environ: bool(environ["REMOTE_ADDR"]))
by_scope = seawall.asgi.Middleware(scope_app, trust=True)


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


under_wsgi = seawall.django.Middleware(view)
under_asgi = seawall.django.Middleware(async_view)
logging.StreamHandler().addFilter(seawall.logging.CorrelationFilter(missing=""))

app = celery.Celery("shop")


@app.task(base=seawall.celery.Task, policy=bank)
def charge(order: str) -> int:
    return len(order)


charge.apply_async(args=("a",), headers={"idempotency-key": "a"})
state: str = charge.delay("a").state
