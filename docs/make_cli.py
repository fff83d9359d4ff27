"""Write docs/cli.md from the commands' own help: `make docs`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_HEAD = """# The command line

Generated from `llmc --help` by `docs/make_cli.py`; `make docs` writes it anew.

Data goes to stdout, talk and progress to stderr. Exit codes: 0 done, 1 some of several inputs failed or LLVM did,
2 misuse or an input that cannot be used, 130 interrupted by Ctrl-C.
"""


def help_of(*command: str) -> str:
    """The help of a command, 100 columns wide and without colours."""
    env = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "llm_compiler", *command, "--help"]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    from llm_compiler.cli import app

    parts = [_HEAD, f"```text\n{help_of()}\n```\n"]
    for command in app.registered_commands:
        name = command.name or ""
        parts.append(_section(help_of(name) if name not in ("cc", "c++") else _docstring(command.callback), name))
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands if group.typer_instance else ():
            words = group.name or "", command.name or ""
            parts.append(_section(help_of(*words), *words))
    (Path(__file__).parent / "cli.md").write_text("\n".join(parts))


def _section(text: str, *command: str) -> str:
    return f"## llmc {' '.join(command)}\n\n```text\n{text}\n```\n"


def _docstring(callback: object) -> str:
    # `llmc cc --help` is clang's.
    lines = [line.strip() for line in (callback.__doc__ or "").strip().splitlines()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
