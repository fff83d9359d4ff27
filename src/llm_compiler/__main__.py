"""The command `llmc`. The compiler wrapper is reached before anything slow is imported."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run `llmc` on the process's arguments; returns the exit code."""
    argv = sys.argv[1:]
    if argv and argv[0] in ("cc", "c++"):
        from llm_compiler.cc import main as cc_main

        return cc_main(argv[1:], cxx=argv[0] == "c++")
    try:
        from llm_compiler.cli import run

        code = run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone (`llmc passes | head`); Python must not meet the pipe again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"llmc: {error.strerror or error}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
