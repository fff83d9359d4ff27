"""The evidence that tiers rest on: the journal of a campaign, trial by trial, and the table that the package ships.

A journal is JSON lines, only ever appended to; what a killed run left of its last line is cut off when it is opened
again. A table is the sum of journals. The rule that makes tiers of it stands in `llvm.registry`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llm_compiler.errors import InputError
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Evidence, Example
from llm_compiler.paths import write_atomically

FORMAT = 1
_KINDS = ("pass", "option", "core", "tuned")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a trial is about: a `pass`, an `option`, a list of the `core` set (its digest), or `tuned` programs of a
    tier.
    """

    kind: str
    name: str

    @staticmethod
    def parse(text: str) -> Subject:
        kind, _, name = text.partition(":")
        if kind not in _KINDS:
            raise ValueError(f"no kind of trial: {kind}")
        return Subject(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Record:
    """One trial as the journal keeps it. `key` identifies program, candidate and subject by their contents."""

    key: str
    program: str
    suite: str
    subject: Subject
    candidate: str
    verdict: str
    changed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Blame:
    """What a failing trial is attributed to, and the candidate cut down to what still fails."""

    key: str
    subjects: tuple[Subject, ...]
    example: Example


def trial_key(program_digest: str, candidate: Candidate, subject: Subject) -> str:
    """16 hexadecimal digits for a trial."""
    text = f"{program_digest}|{candidate.digest}|{subject}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def example_of(program: str, candidate: Candidate, verdict: str) -> Example:
    return Example(program, candidate.passes.text, verdict, candidate.codegen_options, candidate.pass_options)


def repeat(example: Example) -> str:
    """The command that shows a failure again."""
    suite, _, rest = example.program.partition("/")
    named = {"CPP": "humaneval", "csmith": f"csmith:1@{rest}"}
    words = ["llmc", "check", example.passes, f"--suite={named.get(suite, suite)}"]
    words += [f"--pass-option={option}" for option in example.pass_options]
    words += [f"--codegen-option={option}" for option in example.codegen_options]
    return shlex.join(words)


class Journal:
    """An open journal. What was done before is known by key; trials are appended whole, one write each.

    Raises InputError for a file that is no journal, or one of another version of LLVM.
    """

    def __init__(self, path: Path, llvm: str) -> None:
        self.path = path
        self.done: set[int] = set()
        self.failed: dict[str, Record] = {}
        self.blamed: set[str] = set()
        self.trials = 0
        self._lists: set[int] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise InputError(f"cannot open the journal {path}: {error.strerror}") from error
        try:
            self._cut()
            written_by: str | None = None
            for version, entry in read_journal(path):
                written_by = version
                self._know(entry)
            if written_by is None:
                self._append({"journal": FORMAT, "llvm": llvm})
            elif written_by != llvm:
                raise InputError(f"{path} is a journal of LLVM {written_by}, not {llvm}; name another file")
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __contains__(self, key: str) -> bool:
        return int(key, 16) in self.done

    def add(self, record: Record, candidate: Candidate) -> None:
        if record.key in self:
            return
        number = int(candidate.digest, 16)
        if number not in self._lists:
            self._append({"list": candidate.digest, "passes": candidate.passes.text,
                          "codegen_options": candidate.codegen_options, "pass_options": candidate.pass_options})
            self._lists.add(number)
        self._append({"trial": record.key, "program": record.program, "suite": record.suite,
                      "subject": str(record.subject), "list": record.candidate, "verdict": record.verdict,
                      "changed": record.changed, **({"detail": record.detail} if record.detail else {})})
        self._know(record)

    def blame(self, blame: Blame) -> None:
        self._append({"blame": blame.key, "subjects": list(map(str, blame.subjects)), **asdict(blame.example)})
        self._know(blame)

    def _know(self, entry: Record | Blame | str | None) -> None:
        if isinstance(entry, Record):
            self.done.add(int(entry.key, 16))
            self.trials += 1
            if is_failure(entry.verdict):
                self.failed[entry.key] = entry
        elif isinstance(entry, Blame):
            self.blamed.add(entry.key)
        elif entry is not None:
            self._lists.add(int(entry, 16))

    def _cut(self) -> None:
        """Take off what a killed run left of a line, of a journal and of nothing else."""
        size = os.fstat(self._file).st_size
        head = b'{"journal":'
        start = os.pread(self._file, len(head), 0)
        if not head.startswith(start):
            raise InputError(f"{self.path} is no journal; name another file")
        keep = size
        while keep:
            before = max(0, keep - 65536)
            at = os.pread(self._file, keep - before, before).rfind(b"\n")
            if at >= 0:
                keep = before + at + 1
                break
            keep = before
        if keep < size:
            os.ftruncate(self._file, keep)

    def _append(self, line: dict[str, Any]) -> None:
        data = (json.dumps(line, separators=(",", ":")) + "\n").encode()
        if os.write(self._file, data) != len(data):
            raise InputError(f"cannot write {self.path}: no space is left on the device")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise ValueError("no object")
            except ValueError as error:
                raise InputError(f"{path}:{number}: no line of a journal; name another file") from error
            yield found


def read_journal(path: Path) -> Iterator[tuple[str, Record | Blame | str | None]]:
    """The version of LLVM with every entry: a trial, a blame, the digest of a list, or None for the header.

    Raises InputError with the line that cannot be read.
    """
    version = ""
    for number, line in enumerate(_lines(path), 1):
        try:
            if number == 1:
                if line["journal"] != FORMAT:
                    raise InputError(f"{path} is a journal of format {line['journal']}; this version reads {FORMAT}")
                version = line["llvm"]
                yield version, None
            elif "trial" in line:
                yield version, Record(line["trial"], line["program"], line["suite"], Subject.parse(line["subject"]),
                                      line["list"], line["verdict"], line["changed"], line.get("detail", ""))
            elif "blame" in line:
                example = Example(line["program"], line["passes"], line["verdict"], tuple(line["codegen_options"]),
                                  tuple(line["pass_options"]))
                yield version, Blame(line["blame"], tuple(map(Subject.parse, line["subjects"])), example)
            else:
                yield version, str(line["list"])
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}:{number}: no line of a journal; name another file") from error


def candidates_of(journals: Iterable[Path], digests: Collection[str]) -> dict[str, Candidate]:
    """Candidates that journals hold, by digest."""
    return {line["list"]: Candidate(PassList.parse(line["passes"]), tuple(line["codegen_options"]),
                                    tuple(line["pass_options"]))
            for path in journals for line in _lines(path) if "passes" in line and line.get("list") in digests}


def is_failure(verdict: str) -> bool:
    """Whether a verdict counts against a list; one that LLVM refuses never was a trial."""
    return verdict not in ("passed", "invalid")


# --- the table ---


@dataclass(frozen=True)
class Table:
    """Evidence of one version of LLVM.

    passes by name, options by text, core_set by the digest of the candidate, tuned by tier (there a trial is a tuned
    program: one program under one candidate). suites: programs tried, by suite.
    """

    llvm: str
    seeds: tuple[int, ...] = ()
    suites: Mapping[str, int] = field(default_factory=dict)
    passes: Mapping[str, Evidence] = field(default_factory=dict)
    options: Mapping[str, Evidence] = field(default_factory=dict)
    core_set: Mapping[str, Evidence] = field(default_factory=dict)
    tuned: Mapping[str, Evidence] = field(default_factory=dict)

    @staticmethod
    def parse(text: str, name: str = "the evidence") -> Table:
        """Raises InputError when it is no table, or one of another format."""
        try:
            found = json.loads(text)
            if found["format"] != FORMAT:
                raise InputError(f"{name} is of format {found['format']}; this version reads format {FORMAT}")
            parts = [{key: Evidence.from_json(record) for key, record in found[part].items()}
                     for part in ("passes", "options", "core_set", "tuned")]
            return Table(found["llvm"], tuple(found["seeds"]), found["suites"], *parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{name} is no table of evidence; write it anew from the journals") from error

    @staticmethod
    def read(path: Path) -> Table:
        try:
            return Table.parse(path.read_text(), str(path))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error

    def text(self) -> str:
        """The table as JSON, a row a line, so that two versions can be compared."""
        head = {"format": FORMAT, "llvm": self.llvm, "seeds": self.seeds, "suites": dict(sorted(self.suites.items()))}
        out = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        for name in ("passes", "options", "core_set", "tuned"):
            part: Mapping[str, Evidence] = getattr(self, name)
            rows = [f"  {json.dumps(key)}: {json.dumps(to_json(part[key]))}" for key in sorted(part)]
            out.append(f' "{name}": {{' + ("\n" + ",\n".join(rows) + "\n }" if rows else "}"))
        return "{\n" + ",\n".join(out) + "\n}\n"

    def write(self, path: Path) -> None:
        """Replace a file whole. Raises InputError when it cannot be written."""
        write_atomically(path, self.text().encode())

    def merge(self, other: Table) -> Table:
        """What both tables show at least: counts cannot be told apart any more, so that the larger one stands.

        Several journals given to `tabulate` together are counted exactly. Raises InputError for different LLVMs.
        """
        if self.llvm != other.llvm:
            raise InputError(f"evidence of LLVM {self.llvm} and of LLVM {other.llvm} cannot be merged; write one anew")

        def part(mine: Mapping[str, Evidence], theirs: Mapping[str, Evidence]) -> dict[str, Evidence]:
            none = Evidence()
            return {key: _merged(mine.get(key, none), theirs.get(key, none)) for key in {*mine, *theirs}}

        return Table(
            self.llvm, tuple(sorted({*self.seeds, *other.seeds})),
            {suite: max(self.suites.get(suite, 0), other.suites.get(suite, 0))
             for suite in {*self.suites, *other.suites}},
            part(self.passes, other.passes), part(self.options, other.options), part(self.core_set, other.core_set),
            part(self.tuned, other.tuned))


def shipped() -> Table:
    """The package's own table."""
    return Table.parse(resources.files("llm_compiler.data").joinpath("evidence.json").read_text())


def to_json(evidence: Evidence) -> dict[str, Any]:
    """A row without what is empty in it."""
    record: dict[str, Any] = {"lists": evidence.lists, "programs": evidence.programs, "trials": evidence.trials,
                              "changed": evidence.changed, "programs_changed": evidence.programs_changed}
    if evidence.failures:
        record["failures"] = dict(evidence.failures)
    if evidence.example is not None:
        record["example"] = {key: value for key, value in asdict(evidence.example).items()
                             if value or key == "passes"}
    return record


def _size(example: Example) -> tuple[int, int, str]:
    passes = PassList.parse(example.passes)
    return len(passes) + len(example.codegen_options) + len(example.pass_options), len(example.passes), repr(example)


def _smaller(one: Example | None, other: Example | None) -> Example | None:
    return min((example for example in (one, other) if example is not None), key=_size, default=None)


def _merged(one: Evidence, other: Evidence) -> Evidence:
    mine, theirs = dict(one.failures), dict(other.failures)
    failures = {verdict: max(mine.get(verdict, 0), theirs.get(verdict, 0)) for verdict in {*mine, *theirs}}
    return Evidence(
        max(one.lists, other.lists), max(one.programs, other.programs), max(one.trials, other.trials),
        max(one.changed, other.changed), max(one.programs_changed, other.programs_changed),
        tuple(sorted(failures.items())), _smaller(one.example, other.example))


@dataclass
class _Row:
    lists: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    programs_changed: set[str] = field(default_factory=set)
    trials: int = 0
    changed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    example: Example | None = None

    def count(self, record: Record) -> None:
        self.trials += 1
        self.lists.add(record.candidate)
        self.programs.add(record.program)
        if record.changed:
            self.changed += 1
            self.programs_changed.add(record.program)

    def fail(self, verdict: str, example: Example | None) -> None:
        self.failures[verdict] += 1
        self.example = _smaller(self.example, example)

    def evidence(self) -> Evidence:
        return Evidence(len(self.lists), len(self.programs), self.trials, self.changed, len(self.programs_changed),
                        tuple(sorted(self.failures.items())), self.example)


def tabulate(journals: Iterable[Path], llvm: str, seeds: Iterable[int] = ()) -> Table:
    """The sum of journals, each trial counted once.

    A failure counts against what it is attributed to, and against the list of the core set or the tier that was on
    trial; one that is not attributed yet counts against what was on trial. Raises InputError as reading does.
    """
    rows: dict[Subject, _Row] = {}
    suites: dict[str, set[str]] = {}
    seen: set[int] = set()
    failed: dict[str, Record] = {}
    blames: dict[str, Blame] = {}
    for path in journals:
        for version, entry in read_journal(path):
            if version != llvm:
                raise InputError(f"{path} is a journal of LLVM {version}, not {llvm}; leave it out")
            if isinstance(entry, Blame):
                blames[entry.key] = entry
            elif isinstance(entry, Record) and entry.verdict != "invalid" and int(entry.key, 16) not in seen:
                seen.add(int(entry.key, 16))
                suites.setdefault(entry.suite, set()).add(entry.program)
                rows.setdefault(entry.subject, _Row()).count(entry)
                if is_failure(entry.verdict):
                    failed[entry.key] = entry
    for key, record in failed.items():
        blame = blames.get(key)
        example = None if blame is None else blame.example
        subjects = {record.subject} if blame is None else set(blame.subjects)
        if record.subject.kind in ("core", "tuned"):
            subjects.add(record.subject)
        for subject in subjects:
            rows.setdefault(subject, _Row()).fail(record.verdict, example)
    parts: dict[str, dict[str, Evidence]] = {kind: {} for kind in _KINDS}
    for subject, row in rows.items():
        parts[subject.kind][subject.name] = row.evidence()
    return Table(llvm, tuple(sorted(set(seeds))), {suite: len(programs) for suite, programs in suites.items()},
                 parts["pass"], parts["option"], parts["core"], parts["tuned"])
