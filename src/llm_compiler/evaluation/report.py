"""Runs joined in one report: Markdown, and one HTML file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.evaluation import runs
from llm_compiler.evaluation.document import Section, markdown, page
from llm_compiler.evaluation.runs import Log
from llm_compiler.paths import write_atomically

MARKDOWN, PAGE = "report.md", "report.html"
TITLE = "LLM Compiler: evaluation"
_SECTIONS = {"flags": "gains", "size": "sizes", "emulation": "emulation", "disassembly": "disassembly",
             "next-token": "nexttoken", "python": "python"}


@dataclass(frozen=True)
class Report:
    """Runs and their sections, in order."""

    logs: Sequence[Log]
    sections: Sequence[Section]

    def as_json(self) -> list[dict[str, Any]]:
        """Each run: its task, arguments, state and numbers."""
        return [{"task": log.task, "folder": str(log.folder), "status": str(log.status), "reason": log.reason,
                 "seed": log.header["seed"], "arguments": log.arguments, "records": len(log.records),
                 "numbers": _plain(section.numbers)} for log, section in zip(self.logs, self.sections, strict=True)]

    def text(self) -> str:
        return markdown(TITLE, self.sections)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both files; their paths. Raises InputError when that cannot be done."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {folder}: {error.strerror}") from error
        write_atomically(folder / MARKDOWN, self.text().encode())
        write_atomically(folder / PAGE, page(TITLE, self.sections).encode())
        return folder / MARKDOWN, folder / PAGE


def report_of(logs: Sequence[Log]) -> Report:
    """Raises InputError for a run of a task that is not known here."""
    return Report(logs, [_section(log) for log in logs])


def read_report(folders: Sequence[Path]) -> Report:
    """The report of the runs in folders. Raises InputError for a folder that holds none."""
    if not folders:
        raise InputError("name at least one folder with a run")
    return report_of([runs.read(folder) for folder in folders])


def _section(log: Log) -> Section:
    if log.task not in _SECTIONS:
        raise InputError(f"{log.folder} holds a run of '{log.task}', which this llmc does not know")
    module = importlib.import_module(f"llm_compiler.evaluation.{_SECTIONS[log.task]}")
    found: Section = module.section(log)
    return found


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
