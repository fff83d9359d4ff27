"""Run clang as a child as if it were this process: signals reach it, and its end is our end."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Self

_FATAL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """While this is open, a fatal signal is noted and passed on to the child, or interrupts the tuner.

    make sends SIGTERM to us alone, a terminal sends SIGINT to clang as well; clang removes its files on either.
    """

    def __init__(self) -> None:
        self.received = 0
        self._interrupting = False
        self._child: subprocess.Popen[bytes] | None = None
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        try:
            for number in _FATAL:
                if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                    self._previous[number] = signal.signal(number, self._handle)
        except ValueError:
            pass  # not in the main thread: signals are the caller's matter
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as a shell reports it; 0 if there was none."""
        return 128 + self.received if self.received else 0

    def run(self, command: Sequence[str], env: dict[str, str]) -> int:
        """Run `command` with our streams and descriptors (make's job server is one); returns its exit code."""
        self._child = subprocess.Popen(command, env=env, close_fds=False)
        if self.received:  # it came while the child was being started
            self._child.send_signal(self.received)
        code = self._child.wait()
        self._child = None
        return 128 - code if code < 0 else code or self.exit_code

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within this a signal raises KeyboardInterrupt, also one that came before."""
        try:
            self._interrupting = True
            if self.received:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupting = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or number
        if self._child is not None:
            self._child.send_signal(number)
        if self._interrupting:
            raise KeyboardInterrupt
