"""Tasks that wait: generators that yield what they want done, driven in one thread over worker pool and processes.

One thread, because workers and sandboxed programs are forked, and a fork of a process with threads may inherit a lock.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from llm_compiler.llvm.job import Job, Outcome
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.sandbox import Execution, Running, SandboxLimits, confine, restrain, wait_for

# The pool and the processes cannot be waited for together; a program that ended waits this long at most.
_POLL_SECONDS = 0.004


@dataclass(frozen=True)
class Command:
    """A process: in the sandbox and in a fresh empty folder, unless `folder` names where it works as a trusted tool."""

    words: tuple[str, ...]
    limits: SandboxLimits
    folder: Path | None = None


T = TypeVar("T")
Step = Job | Path | Command
"""What a task yields: a job, a bitcode file to look into (both answered by an Outcome), a Command (by an Execution)."""
Task = Generator[Step, Outcome | Execution | None, T]


def job(task: Job | Path) -> Task[Outcome]:
    """Ask for a job of the pool."""
    answer = yield task
    assert isinstance(answer, Outcome)
    return answer


def process(command: Command) -> Task[Execution]:
    """Ask for a process."""
    answer = yield command
    assert isinstance(answer, Execution)
    return answer


def drive(tasks: Iterator[Task[T]], pool: WorkerPool, width: int) -> Generator[T, None, None]:
    """Results of tasks as they end, `width` under way at once. What a task raises ends all; nothing is left running."""
    jobs: dict[int, Task[T]] = {}
    running: dict[Running, Task[T]] = {}
    more = True

    def advance(task: Task[T], answer: Outcome | Execution | None) -> Iterator[T]:
        try:
            step = task.send(answer)
        except StopIteration as stop:
            yield stop.value
            return
        if isinstance(step, Command):
            running[_start(step)] = task
        else:
            jobs[pool.submit(step)] = task

    try:
        while True:
            while more and len(jobs) + len(running) < width:
                task = next(tasks, None)
                more = task is not None
                if task is not None:
                    yield from advance(task, None)
            if not jobs and not running:
                return
            if jobs:
                for ticket, outcome in pool.wait(_POLL_SECONDS if running else None):
                    yield from advance(jobs.pop(ticket), outcome)
            else:
                wait_for(list(running), 1.0)
            for process_ in list(running):
                execution = process_.poll()
                if execution is not None:
                    yield from advance(running.pop(process_), execution)
    finally:
        for process_ in running:
            process_.close()
        if jobs:
            pool.cancel()
        for task in (*jobs.values(), *running.values()):
            task.close()


def _start(command: Command) -> Running:
    if command.folder is None:
        return Running(command.words, command.limits, setup=confine)
    return Running(command.words, command.limits, cwd=command.folder, env=os.environ, setup=restrain)
