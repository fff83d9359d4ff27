"""Sentences that every section of a report says of its run."""

from __future__ import annotations

from llm_compiler.evaluation.runs import Log, RunStatus


def where(log: Log) -> str:
    """On what, with what, from which seed."""
    header = log.header
    versions = header["versions"]
    commit = f", commit {header['commit'][:12]}{' with changes' if header['dirty'] else ''}" if header["commit"] else ""
    return (f"{len(log.records)} of {header['about'].get('of', '?')} of {header['about'].get('suite', '?')}, seed "
            f"{header['seed']}; llm-compiler {versions['llm-compiler']}{commit}, LLVM {versions['llvm']}, "
            f"Python {versions['python']}.")


def unfinished(log: Log) -> str:
    """A warning where the run did not come to its end; empty where it did."""
    if log.status is RunStatus.FINISHED:
        return ""
    return f"The run was not finished ({log.reason or 'it runs, or was killed'}): these are the records so far."
