"""The live table of `llmc tune`: the last files, the gain so far and the time left, on a terminal's stderr."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.result import TuningResult, TuningStatus
from llm_compiler.tuning.search import SearchState

_TICK = 0.25
_ROWS = 8


@dataclass
class Totals:
    """Sums over the files that are done; a file without gain counts with its baseline."""

    before: int = 0
    after: int = 0
    savings: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, result: TuningResult, *, failed: bool) -> None:
        if failed:
            self.failed += 1
        if result.baseline is None or result.best is None or result.status is TuningStatus.FAILED:
            return
        self.before += result.baseline.bytes
        self.after += result.best.bytes
        self.savings.append(result.saving_pct)

    @property
    def saving_pct(self) -> float:
        return 100.0 * (self.before - self.after) / self.before if self.before else 0.0

    def sentence(self, files: int) -> str:
        """The summary: files, total, median, mean, smaller, equal, failed."""
        smaller = sum(saving > 0 for saving in self.savings)
        text = f"{files} file{'s' if files != 1 else ''}"
        if self.savings:
            text += (f": {self.before} → {self.after} bytes in total, {self.saving_pct:.2f} % smaller; "
                     f"median {statistics.median(self.savings):.2f} %, mean {statistics.fmean(self.savings):.2f} %")
        return f"{text}; {smaller} smaller, {len(self.savings) - smaller} equal, {self.failed} failed"


class LiveTable:
    """Shows progress where `shown`; does nothing otherwise.

    No thread draws it: the workers are forked, and a lock that a thread holds at that moment stays held in them.
    A timer signal draws instead.
    """

    def __init__(self, files: int, budget: Budget, totals: Totals, *, shown: bool) -> None:
        self._files = files
        self._budget = budget
        self._totals = totals
        self._done: deque[tuple[str, str, str]] = deque(maxlen=_ROWS)
        self._finished = 0
        self._name = ""
        self._state: SearchState | None = None
        self._started = self._file_started = time.monotonic()
        self._busy = False
        self._pid = os.getpid()
        self._previous: Any = None
        self._live: Live | None = None
        if shown and threading.current_thread() is threading.main_thread():
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True,
                              redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
            self._previous = signal.signal(signal.SIGALRM, self._tick)
            signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._previous)
            self._busy = True
            self._live.stop()

    def begin(self, name: str) -> None:
        """The next file."""
        self._name, self._state, self._file_started = name, None, time.monotonic()

    def progress(self, _: str, state: SearchState) -> None:
        """What the tuner calls at every gain; the state stays current afterwards."""
        self._state = state

    def end(self, result: TuningResult) -> None:
        self._finished += 1
        best, baseline = result.best, result.baseline
        sizes = f"{baseline.bytes} → {best.bytes}" if baseline and best else ""
        saving = "failed" if result.status is TuningStatus.FAILED else f"{result.saving_pct:.2f} %"
        self._done.append((result.input, sizes, saving))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the table off the terminal while something else is written there."""
        if self._live is None:
            yield
            return
        self._busy = True
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()
            self._busy = False

    def _tick(self, _: int, __: FrameType | None) -> None:
        if self._busy or self._live is None or os.getpid() != self._pid:
            return
        self._busy = True
        try:
            self._live.update(self._render(), refresh=True)
        except OSError:  # the terminal is gone
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            self._busy = False

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("file", overflow="fold")
        table.add_column("bytes", justify="right")
        table.add_column("gain", justify="right")
        for name, sizes, saving in self._done:
            table.add_row(Text(name), sizes, saving)
        state = self._state
        if self._name and self._finished < self._files:
            running = f"{state.best.total}" if state is not None and state.best is not None else "…"
            evaluations = f"{state.evaluations} evaluations" if state is not None else "baseline"
            table.add_row(Text(self._name, style="cyan"), running, evaluations)
        left = self._seconds_left()
        parts = [f"{self._finished}/{self._files} files", f"{self._totals.saving_pct:.2f} % smaller"]
        if left is not None:
            parts.append(f"{int(left) // 60}:{int(left) % 60:02d} left")
        return Group(table, Text("  ".join(parts), style="dim"))

    def _seconds_left(self) -> float | None:
        """From the budget, or for a budget in evaluations from the pace so far; None when nothing is known."""
        now = time.monotonic()
        remaining = self._files - self._finished
        if self._budget.seconds is not None:
            running = min(self._budget.seconds, now - self._file_started)
            return max(0.0, remaining * self._budget.seconds - running)
        evaluations = self._budget.evaluations or 1
        done = self._finished + (min(1.0, self._state.evaluations / evaluations) if self._state is not None else 0.0)
        return (now - self._started) / done * (self._files - done) if done else None
