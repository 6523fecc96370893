"""What the adapters of HTTP clients share: which requests may be sent again, and which responses are failures.

A response with a status that passes is raised inside the policy, so that retry, breaker, fallback and dead letter see a failure
with a status and a Retry-After. The adapter takes it out again: when retries are used up the client gets the last response.
"""

from __future__ import annotations

import threading
from collections.abc import Container
from typing import Any, Generic, TypeVar

from seawall._call import View
from seawall._context import current, headers
from seawall._errors import TimeoutExceededError
from seawall._policy import Policy

R = TypeVar("R")

# Methods whose effect is the same however often the request arrives (RFC 9110, 9.2.2).
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# Statuses below 500 that say "not now".
_PASSING = frozenset({408, 425, 429})
# Headers of ours that a client may set itself: its word stands before what the context says.
_CLIENTS = ("x-correlation-id", "idempotency-key", "traceparent")


def adopt(policy: Policy[Any], label: str) -> Policy[Any]:
    """The policy, which is called by the adapter if nothing has given it a name."""
    policy._written.label = policy._written.label or label
    return policy


class BadStatusError(Exception):
    """A response that counts as a failure, on its way through the policy."""

    def __init__(self, response: Any, status: int) -> None:
        super().__init__(f"the server answered {status}")
        self.response = response
        self.status_code = status


class Exchange(Generic[R]):
    """One request under a policy: its attempts, and the responses that nobody will read. Thread-safe."""

    def __init__(self, url: object, method: str, sent: Container[str], replayable: bool) -> None:
        """`sent`: the names of the headers that the client sends, whatever their case."""
        self._what = f"{method} {url}"
        self._own = frozenset(name for name in _CLIENTS if name in sent)
        keyed = "idempotency-key" in sent or current().idempotency_key is not None
        self.once = not replayable or not (method.upper() in _IDEMPOTENT or keyed)
        self._lock = threading.Lock()
        self._calls = 0
        self._unread: list[R] = []
        self._is_over = False

    def view(self, policy: Policy[Any], host: str, key: str | None) -> Policy[Any]:
        """The policy for this request: of the host, if it is keyed, and with the idempotency key."""
        made = policy.using(idempotency_key=key)
        view = made._view
        chosen = host if view.key is None and policy._written.key is not None else view.key
        made._view = View(key=chosen, idempotency_key=view.idempotency_key, once=self.once)
        return made

    def begin(self) -> dict[str, str]:
        """An attempt begins: gives the headers to set. Raises if the request must not be sent another time."""
        with self._lock:
            self._calls += 1
            if self._calls > 1 and self.once:
                # The attempt before was cut: the server may have done the work, and is not asked again.
                raise TimeoutExceededError(f"{self._what}: cut by a time limit, and not safe to be sent again")
        return {name: value for name, value in headers().items() if name not in self._own}

    def ended(self, response: R, status: int) -> R:
        """An attempt has a response: gives it, or raises it if it is a failure."""
        with self._lock:
            self._unread.append(response)
        if status in _PASSING or status >= 500:
            raise BadStatusError(response, status)
        return response

    def late(self) -> bool:
        """Whether the call ended before this attempt did, so that nobody takes its response."""
        with self._lock:
            return self._is_over

    def over(self, taken: object = None) -> list[R]:
        """The call is over: gives the responses to be closed."""
        with self._lock:
            self._is_over = True
            return [response for response in self._unread if response is not taken]
