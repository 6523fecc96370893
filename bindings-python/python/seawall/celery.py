"""A base class for Celery's tasks: `@app.task(base=seawall.celery.Task, policy=orders)`.

The task runs under the policy, which alone decides about retries, inside the worker, and writes a dead letter if it has
`seawall.dead_letter()` and gives up. The message carries the correlation id, and is acknowledged when the task has ended and not
when it begins: one whose worker is killed is delivered again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar, cast

import celery
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded, TaskPredicate
from celery.result import AsyncResult

from seawall._context import correlation_id, current, receive, redriven_id
from seawall._policy import Policy

__all__ = ["Task"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

_ID, _KEY = "x-correlation-id", "idempotency-key"


class _PassError(BaseException):
    """What a task says to the worker, on its way past the policy: for that it is no failure, as a cancellation is none."""

    def __init__(self, predicate: TaskPredicate) -> None:
        self.predicate = predicate


class Task(celery.Task[P, R]):
    """A task under a policy. Options of `app.task`, or attributes of a subclass, set what is said here.

    The correlation id is that of whoever sent the task, else the id of the first task of the chain. The idempotency key is that of
    the letter that is being redriven, else the task's id. `self.retry()`, `Ignore` and `Reject` go past the policy. A task that
    Celery's soft time limit ends is not tried again.
    """

    abstract = True
    # Without one the task runs bare, and the correlation id travels all the same.
    policy: Policy[Any] | None = None
    # Acknowledged at its end, also when it failed; given back to the broker if its process dies.
    acks_late = True
    reject_on_worker_lost = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        request = self.request
        with nullcontext() if request.called_directly else receive(_carried(request), trust=True):
            if self.policy is None:
                return super().__call__(*args, **kwargs)
            try:
                done: R = self.policy.call(self._guarded, *args, **kwargs)
            except _PassError as passing:
                raise passing.predicate from None
            return done

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Sends the task, as Celery's own does, with what the context says in the headers. Headers that are given stay."""
        options["headers"] = {**_told(), **(options.get("headers") or {})}
        sent: AsyncResult[R] = super().apply_async(args, kwargs, task_id, producer, link, link_error, shadow, **options)
        return sent

    @cached_property
    def _guarded(self) -> Callable[P, R]:
        run = self.run

        @wraps(run)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return run(*args, **kwargs)
            except TaskPredicate as predicate:
                raise _PassError(predicate) from None
            except SoftTimeLimitExceeded as late:
                # The hard limit comes next, and ends the process.
                cast(Any, late).retry_after = "never"
                raise

        return guarded


def _carried(request: Context) -> dict[str, str]:
    """What a message says of the call that sent it. A letter that is redriven and a message that is delivered again keep their key."""
    headers = request.headers or {}
    return {_ID: str(headers.get(_ID) or request.root_id), _KEY: str(headers.get(_KEY) or request.id)}


def _told() -> dict[str, str]:
    """What the message of a task says of the call that sends it. A task that the worker sends for another continues that one."""
    # None outside of a worker's task: a proxy, which only its truth tells.
    sender = celery.current_task
    id = correlation_id() or (_carried(sender.request)[_ID] if sender else None)
    told = {} if id is None else {_ID: id}
    # Only of a redrive: two tasks that one keyed call sends are two pieces of work.
    key = current().idempotency_key if redriven_id() is not None else None
    return told if key is None else {**told, _KEY: key}
