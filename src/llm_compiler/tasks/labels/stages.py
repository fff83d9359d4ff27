"""The stages as works for `corpus.engine`: search and cover on a sample, label and verify on every program."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from llm_compiler.corpus.shards import read_shards
from llm_compiler.errors import LlmcError
from llm_compiler.llvm.job import Job, Limits, Reading
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks.labels.bench import Prepare, Prepared, Task
from llm_compiler.tasks.labels.choice import Slice
from llm_compiler.tasks.labels.label import FAILED, Choice, Label, label, measure_lists, parsed
from llm_compiler.tasks.labels.search import OZ, Found, full_space, search
from llm_compiler.tuning.verify import Verifier
from llm_compiler.validation.differential import FunctionStatus, Level, Verification

_LIMITS = Limits(seconds=240.0, memory=3 << 30)  # of all that is done to a program
_CHECK_SECONDS = 60.0  # of the verification of one candidate

SEARCHES = pa.schema([
    pa.field("hash", pa.string()),
    pa.field("baseline", pa.int32()),  # bytes; null where there is nothing to measure
    pa.field("lists", pa.list_(pa.string())),  # best first
    pa.field("totals", pa.list_(pa.int32())),
])

COVERS = pa.schema([
    pa.field("hash", pa.string()),
    pa.field("baseline", pa.int32()),
    pa.field("sizes", pa.list_(pa.int32())),
])

_CHOICE = pa.struct([
    pa.field("pass_list", pa.string()),
    pa.field("index", pa.int16()),
    pa.field("options", pa.list_(pa.string())),
    pa.field("total", pa.int32()),
    pa.field("text_data", pa.int32()),
    pa.field("object_hash", pa.string()),
    pa.field("instructions", pa.int32()),
])

TRIALS = pa.schema([
    pa.field("hash", pa.string()),
    pa.field("instructions", pa.int32()),
    pa.field("baseline", _CHOICE),
    pa.field("sizes", pa.list_(pa.int32())),
    pa.field("text_data", pa.list_(pa.int32())),
    pa.field("best", pa.list_(_CHOICE)),
    pa.field("with_options", pa.list_(_CHOICE)),
    pa.field("evaluations", pa.int32()),
    pa.field("lowered", pa.int32()),
])

# What a label says of its program. Sizes are bytes of every loaded section, text_data of .text and .data alone.
# sizes, sizes_text_data: by broadcast list of the manifest, -1 where LLVM crashed or hung.
LABEL = [
    pa.field("profile", pa.string()),
    pa.field("kind", pa.string()),  # function or module
    pa.field("instructions", pa.int32()),
    pa.field("baseline_bytes", pa.int32()),  # of -Oz
    pa.field("baseline_text_data", pa.int32()),
    pa.field("baseline_instructions", pa.int32()),
    pa.field("pass_list", pa.string()),
    pa.field("list_index", pa.int16()),  # among the broadcast lists; -1 for a list that was searched for this program
    pa.field("bytes", pa.int32()),
    pa.field("text_data", pa.int32()),
    pa.field("instructions_after", pa.int32()),
    pa.field("verification", pa.string()),
    pa.field("verified", pa.bool_()),
    pa.field("options_pass_list", pa.string()),  # with code-generation options beside the list
    pa.field("options", pa.list_(pa.string())),
    pa.field("options_bytes", pa.int32()),
    pa.field("options_verification", pa.string()),
    pa.field("sizes", pa.list_(pa.int32())),
    pa.field("sizes_text_data", pa.list_(pa.int32())),
    pa.field("evaluations", pa.int32()),  # lists measured on this program
    pa.field("lowered", pa.int32()),  # of them, those that needed a back end of their own
    pa.field("wrong", pa.int16()),  # smaller objects that differential execution refused
]
LABELS = pa.schema([pa.field("hash", pa.string()), *LABEL])


class _Stage:
    """What the works share. Their shards are intermediate: the processor time among their counts is not repeatable."""

    limits: ClassVar[Limits] = _LIMITS

    @staticmethod
    def _each(part: Slice, counts: Counter[str]) -> Iterator[tuple[str, bytes]]:
        for name, data, _ in part.rows():
            counts["programs"] += 1
            yield name, data


@dataclass
class SearchWork(_Stage):
    """Stage 1: a search of each program of the sample, minimised."""

    profile: Profile
    evaluations: int
    schema: pa.Schema = SEARCHES

    def rows(self, payload: Slice, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        for name, data in self._each(payload, counts):
            found = Task(self.profile, search, (self.evaluations, seed_of(name))).run(pool, data, counts)
            if isinstance(found, str):
                counts["programs that LLVM does not take"] += 1
                found = Found(None)
            counts["evaluations"] += found.evaluations
            counts["lowered"] += found.lowered
            yield {"hash": name, "baseline": found.baseline, "lists": [text for text, _ in found.lists],
                   "totals": [total for _, total in found.lists]}


@dataclass
class CoverWork(_Stage):
    """Stage 3: every candidate list on programs of the sample."""

    profile: Profile
    lists: tuple[str, ...]
    schema: pa.Schema = COVERS

    def rows(self, payload: Slice, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        for name, data in self._each(payload, counts):
            found = Task(self.profile, measure_lists, (self.lists,)).run(pool, data, counts)
            if not isinstance(found, str) and found.baseline is not None:
                counts["evaluations"] += found.evaluations
                counts["lowered"] += found.lowered
                yield {"hash": name, "baseline": found.baseline.total, "sizes": list(found.sizes)}


@dataclass
class LabelWork(_Stage):
    """Stages 4 and 5: every list on every program, options on the best, and a short search where it pays."""

    profile: Profile
    lists: tuple[str, ...]
    refine: int
    options: int
    schema: pa.Schema = TRIALS

    def rows(self, payload: Slice, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        for name, data in self._each(payload, counts):
            parameters = (self.lists, self.refine, self.options, seed_of(name))
            found = Task(self.profile, label, parameters).run(pool, data, counts)
            if isinstance(found, str):
                counts["programs that LLVM does not take"] += 1
                continue
            counts["evaluations"] += found.evaluations
            counts["lowered"] += found.lowered
            if found.baseline is None:
                counts["programs without code"] += 1
                continue
            counts["lists that crashed or hung"] += found.sizes.count(FAILED)
            yield trial_row(name, found)


def trial_row(name: str, found: Label) -> dict[str, Any]:
    assert found.baseline is not None
    return {"hash": name, "instructions": found.instructions, "baseline": _as_row(found.baseline),
            "sizes": list(found.sizes), "text_data": list(found.text_data),
            "best": [_as_row(choice) for choice in found.best],
            "with_options": [_as_row(choice) for choice in found.with_options],
            "evaluations": found.evaluations, "lowered": found.lowered}


def _as_row(choice: Choice) -> dict[str, Any]:
    return {**vars(choice), "options": list(choice.options)}


def _as_choice(row: Mapping[str, Any]) -> Choice:
    return Choice(**{**row, "options": tuple(row["options"])})


def seed_of(name: str) -> int:
    return int(name[:8], 16)


@dataclass(frozen=True)
class Trials:
    """A unit's programs and the shard of their trials."""

    programs: Slice
    shard: str


@dataclass
class VerifyWork(_Stage):
    """Stage 6: the best object run beside that of -Oz; a wrong one gives way to the next best.

    suites: whether broadcast lists have passed PassListEval. run_options: whether the best with options is run, too.
    """

    profile: Profile
    level: Level
    suites: bool
    run_options: bool = True
    schema: pa.Schema = LABELS

    def rows(self, payload: Trials, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        trials = {row["hash"]: row for row in read_shards(Path(payload.shard))}
        for name, data in self._each(payload.programs, counts):
            if name in trials:
                yield from self._label(name, data, payload.programs.kind, trials.pop(name), pool, counts)

    def _label(self, name: str, data: bytes, kind: str, row: Mapping[str, Any], pool: WorkerPool,
               counts: Counter[str]) -> Iterator[dict[str, Any]]:
        baseline = _as_choice(row["baseline"])
        best, with_options = ([_as_choice(each) for each in row[field]] for field in ("best", "with_options"))
        counts["labels"] += 1
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            path = Path(folder) / "program"
            path.write_bytes(data)
            judge = _Judge(self, path, Path(folder), pool, counts)
            try:
                plain, told, verified = judge.first(best)
                if self.run_options:
                    optioned, optioned_told, _ = judge.first(with_options)
                else:
                    optioned, optioned_told = _unrun(with_options, plain)
            finally:
                judge.close()
        if plain is None:
            counts["labels without gain"] += 1
            if row["sizes"][0] == FAILED:
                return
            plain = Choice(OZ, 0, (), row["sizes"][0], row["text_data"][0], "", baseline.instructions)
            told, verified = "no change: no list gave less code than -Oz", self.suites
        if optioned is None or optioned.total >= plain.total:
            optioned, optioned_told = plain, told
        counts["verified labels"] += verified
        counts["baseline bytes"] += baseline.total
        counts["bytes"] += min(plain.total, baseline.total)
        counts["bytes with options"] += min(optioned.total, baseline.total)
        yield {
            "hash": name, "profile": str(self.profile), "kind": kind, "instructions": row["instructions"],
            "baseline_bytes": baseline.total, "baseline_text_data": baseline.text_data,
            "baseline_instructions": baseline.instructions, "pass_list": plain.pass_list, "list_index": plain.index,
            "bytes": plain.total, "text_data": plain.text_data, "instructions_after": plain.instructions,
            "verification": told, "verified": verified, "options_pass_list": optioned.pass_list,
            "options": list(optioned.options), "options_bytes": optioned.total, "options_verification": optioned_told,
            "sizes": row["sizes"], "sizes_text_data": row["text_data"], "evaluations": row["evaluations"],
            "lowered": row["lowered"], "wrong": judge.wrong,
        }


def _unrun(choices: list[Choice], plain: Choice | None) -> tuple[Choice | None, str]:
    """The best with options on the list that was taken without them: another list may be a wrong one."""
    found = next((choice for choice in choices if plain is not None and choice.pass_list == plain.pass_list), None)
    return found, "not executed: --no-run-options"


class _Judge:
    """Differential execution of one program's choices, opened when the first comes."""

    def __init__(self, work: VerifyWork, path: Path, folder: Path, pool: WorkerPool, counts: Counter[str]) -> None:
        self._work = work
        self._path = path
        self._folder = folder
        self._pool = pool
        self._counts = counts
        self._verifier: Verifier | None = None
        self._prepared: Prepared | None = None
        self._known: dict[str, tuple[str, bool, bool]] = {}
        self.wrong = 0

    def close(self) -> None:
        if self._verifier is not None:
            self._verifier.__exit__()

    def first(self, choices: list[Choice]) -> tuple[Choice | None, str, bool]:
        """The best choice that is not refused, what was checked of it, and whether it counts as verified."""
        for choice in choices:
            if choice.object_hash not in self._known:
                self._known[choice.object_hash] = self._check(choice)
            told, agreed, wrong = self._known[choice.object_hash]
            # A broadcast list has passed PassListEval. One that was searched for this program, or stands with options,
            # is taken for what was run alone.
            vouched = choice.index >= 0 and not choice.options and self._work.suites
            if not wrong and (vouched or agreed or self._work.level is Level.OFF):
                return choice, told, vouched or agreed
        return None, "", False

    def _check(self, choice: Choice) -> tuple[str, bool, bool]:
        """In words, whether it was run and agreed, and whether it is wrong."""
        if self._work.level is Level.OFF:
            return "not executed: --verify off", False, False
        started = time.monotonic()
        verification = self._run(choice)
        self._counts["milliseconds of differential execution"] += round(1000 * (time.monotonic() - started))
        told, agreed = described(verification)
        if verification.wrong is not None:
            self.wrong += 1
            self._counts["objects that differential execution refused"] += 1
        else:
            self._counts[f"objects {told.split(':')[0]}"] += 1
        return told, agreed, verification.wrong is not None

    def _run(self, choice: Choice) -> Verification:
        candidate = Candidate(parsed(choice.pass_list), choice.options)
        if self._prepared is None:
            prepared = self._pool.run(Reading(self._path, Prepare(self._work.profile))).value
            if not isinstance(prepared, Prepared):
                return Verification(note="LLVM does not take the program")
            self._prepared = prepared
            self._path.write_bytes(prepared.bitcode)
        if self._verifier is None:
            reference = self._object(Candidate(full_space(self._work.profile).oz))
            if reference is None:
                return Verification(note="-Oz could not be lowered again")
            self._verifier = Verifier(self._pool, self._path, self._prepared.lowering, reference, self._folder,
                                      self._work.level)
        object_ = self._object(candidate)
        if object_ is None:
            return Verification(note="the code could not be made again")
        try:
            return self._verifier.check(candidate, object_, "", _CHECK_SECONDS)
        except LlmcError as error:
            return Verification(note=str(error))

    def _object(self, candidate: Candidate) -> bytes | None:
        assert self._prepared is not None
        job = Job(self._path, candidate, self._prepared.lowering, verify=True, keep_object=True)
        measurement = self._pool.run(job).measurement
        return measurement.object if measurement is not None else None


def described(verification: Verification) -> tuple[str, bool]:
    """What was checked, in words that begin with `agreed`, `no change`, `differs` or `not executed`; whether it ran."""
    counts = verification.counts
    if verification.wrong is not None:
        return f"differs: {verification.wrong.name}", False
    agreed = [item for item in verification.functions if item.status is FunctionStatus.AGREED]
    if agreed:
        inputs = sum(item.inputs for item in agreed if not item.via)
        blocks, all_blocks = sum(item.blocks for item in agreed), sum(item.all_blocks for item in agreed)
        changed = len(agreed) + counts[FunctionStatus.NOT_EXECUTED]
        return (f"agreed: {len(agreed)} of {changed} changed functions, {inputs} inputs, "
                f"{100 * blocks // max(1, all_blocks)} % of {all_blocks} blocks"), True
    refused = [item for item in verification.functions if item.status is FunctionStatus.NOT_EXECUTED]
    if refused:
        return f"not executed: {refused[0].reason or verification.note}", False
    if verification.functions:
        return "no change: every function's code equals that of -Oz", True
    return f"not executed: {verification.note.removeprefix('not executed: ')}", False

