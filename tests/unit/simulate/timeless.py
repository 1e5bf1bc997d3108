"""A loop without sockets whose clock jumps from timer to timer: hours of a device's life in no time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _NoWait(selectors.SelectSelector):
    jump: Any = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.jump(timeout)
        return super().select(0)


class TimelessLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        selector = _NoWait()
        selector.jump = self._jump
        self._now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def _jump(self, seconds: float) -> None:
        self._now += seconds


def timeless(main: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(main)
