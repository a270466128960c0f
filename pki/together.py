"""What several threads want to write, in one commit: each step whole, or not at all.

A commit waits for the disk. Who comes meanwhile waits for the next one, and that one
takes all who wait: so many threads are not bound to one sync of the disk each.

Floor:  together (uses writing)
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from pki.errors import LedgerProblem
from pki.tables import sql

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    from pki.writing import Writing

    Answer = TypeVar("Answer")

__all__ = ["Together"]

MAX_STEPS = 200  # of one commit: a crash takes no more than what is still waited for


class Together:
    """The line in which the threads of one process wait for a ledger."""

    __slots__ = ("_at_work", "_news", "_waiting", "turn")

    def __init__(self) -> None:
        self.turn = threading.RLock()
        """Held by who writes; other processes wait in the database."""
        self._news = threading.Condition()
        self._at_work = False
        self._waiting: deque[_Step] = deque()

    def write(
        self,
        step: Callable[[Writing], Answer],
        writing: Callable[[], AbstractContextManager[Writing]],
    ) -> Answer:
        """Have ``step`` done in a transaction that ``writing`` opens; give its answer."""
        mine = _Step(step)
        with self._news:
            self._waiting.append(mine)
        try:
            while not mine.done:
                self._write_some(mine, writing)
        except BaseException:
            with self._news:
                if mine in self._waiting:  # who is broken into is told that it was not done
                    self._waiting.remove(mine)
            raise
        if mine.failed is not None:
            raise mine.failed
        answer: Answer = mine.answer
        return answer

    def _write_some(
        self, mine: _Step, writing: Callable[[], AbstractContextManager[Writing]]
    ) -> None:
        """Wait until it is done, or nobody is at work: then write for all who wait."""
        leads, steps = False, list[_Step]()
        try:
            with self._news:
                while self._at_work and not mine.done:
                    self._news.wait()
                if mine.done:
                    return
                leads = self._at_work = True
            with self.turn:
                with self._news:  # all who came while another wrote go along
                    while self._waiting and len(steps) < MAX_STEPS:
                        steps.append(self._waiting.popleft())
                with writing() as log:
                    for each in steps:
                        each.take(log, apart=len(steps) > 1)
        except Exception as error:
            for each in steps:
                each.failed = each.failed or error
        except BaseException:
            for each in steps:
                each.failed = each.failed or LedgerProblem("nothing was written: it was broken off")
            raise
        finally:
            if leads:
                with self._news:
                    for each in steps:
                        each.done = True
                    self._at_work = False
                    self._news.notify_all()


class _Step:
    """What one thread wants to write, and what came of it."""

    __slots__ = ("_step", "answer", "done", "failed")

    def __init__(self, step: Callable[[Writing], Any]) -> None:
        self._step = step
        self.answer: Any = None
        self.done = False
        self.failed: Exception | None = None

    def take(self, log: Writing, *, apart: bool) -> None:
        """Do it; beside others, its failure is its own, unless the database itself failed."""
        if not apart:
            self.answer = self._step(log)
            return
        try:
            with log.apart():
                self.answer = self._step(log)
        except sql.exc.DBAPIError:
            raise
        except Exception as error:
            self.failed = error
