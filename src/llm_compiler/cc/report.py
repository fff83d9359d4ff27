"""`llmc cc --explain ARGS…` and `llmc cc --stats`."""

import sys
from collections.abc import Mapping, Sequence

from llm_compiler.cc.arguments import Plan
from llm_compiler.cc.compiler import Compiler
from llm_compiler.cc.flags import Reason
from llm_compiler.cc.log import log_path, read_counts, zero_counts
from llm_compiler.cc.wrapper import budget, jobs, trust, verify


def explain(compiler: Compiler, decision: Plan, *, env: Mapping[str, str]) -> None:
    """Print what would be done with this command line, and why."""
    import shlex

    rows = [("compiler", compiler.path)]
    if decision.reason:
        print(f"pass through: {decision.reason.key}")
        rows += [("why", decision.reason.sentence), ("because of", decision.detail)]
    else:
        print("tune")
        rows += [
            ("why", f"This compiles one C or C++ source to an object {_level(decision.level)}."),
            ("source", decision.source),
            ("output", decision.output),
            ("front end", shlex.join(decision.front_end)),
            ("lowering", shlex.join(decision.lowering)),
            ("clang's own run", shlex.join(decision.set_aside)),
            ("budget", f"{budget(env)}, {trust(env)} passes, {jobs(env)} at a time"),
            ("verification", verify(env)),
            ("log", log_path(env)),
        ]
    for name, value in rows:
        if value:
            line = f"  {name + ':':17}{value}"
            print(line.encode("utf-8", "backslashreplace").decode())  # file names need not be UTF-8


def _level(level: str) -> str:
    size = level in ("s", "z")
    return f"for size (-O{level})" if size else f"at -O{level or '0'}, and LLMC_TUNE=all tunes every level"


def stats(argv: Sequence[str], *, env: Mapping[str, str], program: str) -> int:
    """Print the counts, as text or with --json; --zero sets them to zero. Returns the exit code."""
    if list(argv) == ["--zero"]:
        try:
            zero_counts(env)
        except OSError as error:
            print(f"{program}: cannot set the counts to zero: {error.strerror}: {error.filename}.", file=sys.stderr)
            return 1
        print("The counts are zero.", file=sys.stderr)
        return 0
    if list(argv) not in ([], ["--json"]):
        print(f"{program}: --stats takes --json or --zero, not {' '.join(argv)}.", file=sys.stderr)
        return 2
    counts = read_counts(env)
    saved = counts.bytes_before - counts.bytes_after
    percent = 100 * saved / counts.bytes_before if counts.bytes_before else 0.0
    if argv:
        import json

        print(json.dumps({**counts._asdict(), "saving_pct": round(percent, 4)}))
        return 0
    print(f"compilations seen    {counts.seen:>10}")
    print(f"tuned                {counts.tuned:>10}")
    print(f"  made smaller       {counts.improved:>10}")
    print(f"  from the store     {counts.from_store:>10}")
    print(f"passed through       {sum(counts.passed_through.values()):>10}")
    for key, number in counts.passed_through.items():
        print(f"  {key:<19}{number:>10}  {_sentence(key)}")
    print(f"errors of the source {counts.clang_errors:>10}")
    print(f"failures of ours     {counts.failures:>10}{'  see ' + log_path(env) if counts.failures else ''}")
    print(f"bytes before         {counts.bytes_before:>10}")
    print(f"bytes after          {counts.bytes_after:>10}  {percent:.2f} % smaller")
    return 0


def _sentence(key: str) -> str:
    return next((reason.sentence for reason in Reason if reason.key == key), "")
