"""The middleware of Django, under both of its handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
import pytest
import seawall
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path


def say(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{seawall.correlation_id()} {seawall.current().idempotency_key} {seawall.deadline() is not None}")


async def say_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return say(request)


def refused(request: HttpRequest) -> HttpResponse:
    raise seawall.RateLimitedError("no", retry_after=1.2)


async def refused_async(request: HttpRequest) -> HttpResponse:
    raise seawall.CircuitOpenError("no")


def broken(request: HttpRequest) -> HttpResponse:
    raise ConnectionError("not ours")


def parts() -> Iterator[str]:
    yield f"{seawall.correlation_id()} "
    yield f"{seawall.correlation_id()}"


async def parts_async() -> AsyncIterator[str]:
    for part in parts():
        yield part


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts_async())


views = [say, say_async, refused, refused_async, broken, stream, stream_async]
urlpatterns = [path(view.__name__, view) for view in views]


@pytest.fixture(scope="module", autouse=True)
def site() -> None:
    if not settings.configured:
        settings.configure(
            ROOT_URLCONF=__name__, MIDDLEWARE=["seawall.django.Middleware"], SECRET_KEY="test", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None
        )
        django.setup()


SENT = {"x-correlation-id": "abc", "idempotency-key": "order-1", "x-seawall-deadline-ms": "5000"}


def get(kind: str, where: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """The status, the headers and the body of an answer, read as a server of that kind reads it."""
    if kind == "wsgi":
        answer: Any = Client(raise_request_exception=False).get(where, headers=headers)
        return answer.status_code, dict(answer.headers), answer.getvalue().decode()

    async def ask() -> tuple[int, dict[str, str], str]:
        answer: Any = await AsyncClient(raise_request_exception=False).get(where, headers=headers)
        body = b"".join([part async for part in answer]) if answer.streaming else answer.content
        return answer.status_code, dict(answer.headers), body.decode()

    return asyncio.run(ask())


both = pytest.mark.parametrize("kind", ["wsgi", "asgi"])


@both
@pytest.mark.parametrize("view", ["say", "say_async"])
def test_the_correlation_id_goes_in_and_out(kind: str, view: str) -> None:
    _, headers, body = get(kind, f"/{view}", SENT)
    assert (body, headers["x-correlation-id"]) == ("abc None False", "abc")
    _, headers, body = get(kind, f"/{view}")
    assert headers["x-correlation-id"] == body.split()[0] != "abc"
    assert seawall.correlation_id() is None


@both
@pytest.mark.parametrize("trust", [True, lambda request: request.path == "/say"])
def test_a_trusted_caller_gives_deadline_and_idempotency_key(kind: str, trust: object) -> None:
    with override_settings(SEAWALL_TRUST=trust):
        assert get(kind, "/say", SENT)[2] == "abc order-1 True"
    with override_settings(SEAWALL_TRUST=lambda request: False):
        assert get(kind, "/say", SENT)[2] == "abc None False"


@both
def test_a_refusal_is_answered_with_its_status(kind: str) -> None:
    status, headers, body = get(kind, "/refused", SENT)
    assert (status, headers["retry-after"], body) == (429, "2", "rate.limited\n")
    assert headers["x-correlation-id"] == "abc"
    status, headers, _ = get(kind, "/refused_async")
    assert status == 503 and "retry-after" not in headers
    assert get(kind, "/broken")[0] == 500


@pytest.mark.parametrize(("kind", "view"), [("wsgi", "stream"), ("asgi", "stream_async")])
def test_a_streamed_body_is_made_under_the_id(kind: str, view: str) -> None:
    status, _, body = get(kind, f"/{view}", SENT)
    assert (status, body) == (200, "abc abc")
