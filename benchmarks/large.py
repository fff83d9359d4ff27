"""A very large file: how long it takes against the time allowed, what it gains, and the memory of all processes.

    npm pack better-sqlite3@11.10.0 && tar xzf better-sqlite3-11.10.0.tgz
    python benchmarks/large.py package/deps/sqlite3/sqlite3.c --budgets 10s 60s

The package carries SQLite's amalgamation, 9 MB of C. Allowed are 1.2 times the budget and one baseline compile.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from llm_compiler.llvm import frontend
from llm_compiler.llvm.target import X86_64
from llm_compiler.tuning.budget import Budget


def descendants(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += descendants(int(child))
    return found


def memory(pid: int) -> int:
    """Proportional set size of a process and its descendants, in KB: shared pages are counted once."""
    total = 0
    for process in descendants(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += int(text.split("Pss:")[1].split()[0])
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["10s", "60s"])
    arguments = parser.parse_args()
    clang = frontend.clang_for(X86_64)
    print("| budget | baseline compile, s | allowed, s | taken, s | peak memory, MB | result |\n"
          "|---|---|---|---|---|---|")
    for budget in arguments.budgets:
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            clang.run(["-Oz", "-c", str(arguments.source), "-o", f"{folder}/baseline.o"])
            baseline = time.monotonic() - started
            started = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "llm_compiler", "tune", str(arguments.source), "--budget", budget, "--no-store",
                 "-o", f"{folder}/tuned.o"], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
            peak = 0
            done = threading.Event()

            def watch(pid: int = process.pid, done: threading.Event = done) -> None:
                nonlocal peak
                while not done.wait(0.2):
                    peak = max(peak, memory(pid))

            watcher = threading.Thread(target=watch)
            watcher.start()
            output, _ = process.communicate()
            taken = time.monotonic() - started
            done.set()
            watcher.join()
        allowed = 1.2 * (Budget.parse(budget).seconds or 0.0) + baseline
        first = next((line for line in output.splitlines() if arguments.source.name in line), "failed")
        print(f"| {budget} | {baseline:.1f} | {allowed:.1f} | {taken:.1f} | {peak // 1024} | {first.strip()} |",
              flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
