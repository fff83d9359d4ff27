"""A failing case made small: delta debugging of the pass list and its options, then of the module.

`ddmin` is the algorithm of Zeller and Hildebrandt (Simplifying and Isolating Failure-Inducing Input, TSE 28(2), 2002).
Modules are cut as IR text (`irtext`); LLVM reads and changes them in children, which it may kill.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from llm_compiler.errors import InputError, PipelineError
from llm_compiler.evidence import irtext
from llm_compiler.llvm import library
from llm_compiler.llvm.frontend import clang_for, temporary_folder
from llm_compiler.llvm.job import Job, Limits, Status
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate, Pass, PassList
from llm_compiler.llvm.registry import Registry
from llm_compiler.llvm.target import X86_64, Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import write_atomically
from llm_compiler.tuning import edit
from llm_compiler.tuning.source import inspect, lowering_for
from llm_compiler.validation.sandbox import Ended, SandboxLimits, execute

Test = Callable[[str, Candidate], bool]
"""Whether a module, as IR text, still fails under a candidate."""



T = TypeVar("T")


def ddmin(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """A part of `items`, in order, that still fails and of which no single item can be left out.

    `fails` is asked about parts only and never twice about one; what it says yes to last is the answer so far.
    """
    kept = list(range(len(items)))
    asked: set[tuple[int, ...]] = set()

    def ask(part: list[int]) -> bool:
        key = tuple(part)
        if key in asked:
            return False
        asked.add(key)
        return fails([items[index] for index in part])

    if not kept or ask([]):
        return []
    granularity = 2
    while len(kept) > 1:
        bounds = [len(kept) * step // granularity for step in range(granularity + 1)]
        chunks = [kept[start:end] for start, end in itertools.pairwise(bounds)]
        smaller = next((chunk for chunk in chunks if ask(chunk)), None)
        if smaller is not None:
            kept, granularity = smaller, 2
            continue
        # The later parts first: they depend on the earlier ones.
        rests = ([index for index in kept if index not in set(chunk)] for chunk in reversed(chunks))
        rest = next((rest for rest in rests if ask(rest)), None)
        if rest is not None:
            kept, granularity = rest, max(granularity - 1, 2)
        elif granularity == len(kept):
            break
        else:
            granularity = min(len(kept), 2 * granularity)
    return [items[index] for index in kept]


# --- candidates ---


def written_out(passes: PassList, known: Registry) -> PassList:
    """The list with `default<Oz>` replaced by the passes of clang's -Oz."""
    items: list[Pass] = []
    for item in passes.passes:
        items += oz_pipeline(known).passes if str(item) == "default<Oz>" else (item,)
    return PassList(tuple(items))


def reduce_candidate(candidate: Candidate, fails: Callable[[Candidate], bool], known: Registry) -> Candidate:
    """The passes and options without which the candidate does not fail, plainly nested where that still fails."""
    expanded = replace(candidate, passes=written_out(candidate.passes, known))
    if expanded != candidate and fails(expanded):
        candidate = expanded
    paths = [slot.path for slot in edit.slots(candidate.passes) if not slot.item.children]
    items: list[edit.Path | str] = [*candidate.codegen_options, *candidate.pass_options, *paths]

    def build(part: Iterable[edit.Path | str]) -> Candidate:
        held = set(part)
        return Candidate(PassList(_filtered(candidate.passes.passes, (), held)),
                         tuple(option for option in candidate.codegen_options if option in held),
                         tuple(option for option in candidate.pass_options if option in held))

    candidate = build(ddmin(items, lambda part: fails(build(part))))
    flat = _flat(_leaves(candidate.passes), known)
    if flat is not None and flat != candidate.passes and fails(replace(candidate, passes=flat)):
        candidate = replace(candidate, passes=flat)
    for slot in edit.slots(candidate.passes):
        if slot.item.parameters is not None and not slot.item.children:
            plain = edit.replace(candidate.passes, slot.path, (Pass(slot.item.name),))
            if fails(replace(candidate, passes=plain)):
                candidate = replace(candidate, passes=plain)
    return candidate


def _filtered(items: tuple[Pass, ...], prefix: edit.Path, held: set[edit.Path | str]) -> tuple[Pass, ...]:
    out = []
    for index, item in enumerate(items):
        path = (*prefix, index)
        if item.children:
            children = _filtered(item.children, path, held)
            out += [Pass(item.name, item.parameters, children)] if children else []
        elif path in held:
            out.append(item)
    return tuple(out)


def _leaves(passes: PassList) -> list[Pass]:
    return [item for item in passes.walk() if not item.children]


def _flat(leaves: Sequence[Pass], known: Registry) -> PassList | None:
    try:
        return PassList(tuple(leaves)).canonical(known.level)
    except PipelineError:
        return None


# --- the reduction ---


@dataclass(frozen=True)
class Reduction:
    """The smallest that still fails, the number of tests it took, and whether nothing more was to be tried."""

    text: str
    candidate: Candidate
    tests: int
    complete: bool

    @property
    def instructions(self) -> int:
        return irtext.count_instructions(self.text)


def _measure(text: str) -> tuple[int, int]:
    return irtext.count_instructions(text), len(text)


class _OutOfTime(Exception):
    pass


@dataclass
class _Reducer:
    text: str
    candidate: Candidate
    test: Test
    known: Registry
    deadline: float
    on_progress: Callable[[int, int, int], None] | None = None
    tests: int = 0

    def fails(self, text: str | None, candidate: Candidate | None = None) -> bool:
        """Whether that fails too; it is then what the reduction goes on with."""
        candidate = candidate or self.candidate
        if text is None or (text == self.text and candidate == self.candidate):
            return False
        if time.monotonic() > self.deadline:
            raise _OutOfTime
        self.tests += 1
        if not self.test(text, candidate):
            return False
        self.text, self.candidate = text, candidate
        if self.on_progress is not None:
            self.on_progress(self.tests, len(candidate.passes), irtext.count_instructions(text))
        return True

    def run(self) -> None:
        reduce_candidate(self.candidate, lambda candidate: self.fails(self.text, candidate), self.known)
        self.fails(self._swept(irtext.render(irtext.mapped(irtext.parse(self.text), irtext.internal))))
        self._bake()
        before = (0, 0)
        while (now := _measure(self.text)) != before:
            before = now
            self._stub()
            self._straighten(0)
            self._straighten(-1)
            self._drop()
            for passes in ("function(simplifycfg)", "function(sroa<modify-cfg>)", "function(instsimplify)",
                           "function(dce)", "module(deadargelim)", "cgscc(inline)"):
                after = self._swept(self.text, f"{passes},")
                if after is not None and _measure(after) < _measure(self.text):
                    self.fails(after)
        self._strip()

    def _swept(self, text: str, passes: str = "") -> str | None:
        """After passes, without functions and globals that nothing refers to."""
        return irtext.transform(text, f"{passes}globaldce,strip-dead-prototypes,function(instnamer)")

    def _bake(self) -> None:
        """Put as many of the first passes as possible into the module."""
        items = self.candidate.passes.passes
        leaves = _leaves(self.candidate.passes)
        cuts = [(PassList(items[:count]), PassList(items[count:])) for count in range(len(items) - 1, 0, -1)]
        for count in range(len(leaves) - 1, 0, -1):
            first, rest = _flat(leaves[:count], self.known), _flat(leaves[count:], self.known)
            cuts += [(first, rest)] if first is not None and rest is not None else []
        for first, rest in cuts:
            baked = irtext.transform(self.text, f"{first.text},function(instnamer)", self.candidate.pass_options)
            if self.fails(baked, replace(self.candidate, passes=rest)):
                return

    def _stub(self) -> None:
        module = irtext.parse(self.text)
        names = [function.name for function in irtext.functions(module) if function.name != "main"
                 and irtext.count_instructions(irtext.render((function,))) > 1]

        def build(kept: list[str]) -> str | None:
            gone = set(names) - set(kept)
            return self._swept(irtext.render(irtext.mapped(
                module, lambda function: irtext.stubbed(function) if function.name in gone else function)))

        ddmin(names, lambda kept: self.fails(build(kept)))

    def _drop(self) -> None:
        module = irtext.parse(self.text)
        items = [(item, block, line) for item, function in enumerate(module) if isinstance(function, irtext.Function)
                 for block, held in enumerate(function.blocks) for line in range(len(held.lines) - 1)]

        def build(kept: list[tuple[int, int, int]]) -> str | None:
            gone: dict[int, set[tuple[int, int]]] = {}
            for item, block, line in set(items).difference(kept):
                gone.setdefault(item, set()).add((block, line))
            return self._swept(irtext.render(tuple(
                irtext.without(found, gone[index]) if isinstance(found, irtext.Function) and index in gone else found
                for index, found in enumerate(module))))

        ddmin(items, lambda kept: self.fails(build(kept)))

    def _straighten(self, choice: int) -> None:
        module = irtext.parse(self.text)
        items = [(item, number) for item, function in enumerate(module) if isinstance(function, irtext.Function)
                 for number, block in enumerate(function.blocks)
                 if irtext.chooses(block)]

        def build(kept: list[tuple[int, int]]) -> str | None:
            sent = set(items).difference(kept)
            return self._swept(irtext.render(tuple(
                irtext.pruned(irtext.Function(found.header, tuple(
                    irtext.sent_one_way(block, choice) if (index, number) in sent else block
                    for number, block in enumerate(found.blocks))))
                if isinstance(found, irtext.Function) else found
                for index, found in enumerate(module))))

        ddmin(items, lambda kept: self.fails(build(kept)))

    def _strip(self) -> None:
        """Attributes and metadata that do not matter."""
        for pattern in (r", ![a-z.]+ !\d+", r" #\d+(?=[ \n,{])", r" (?:noundef|nonnull|signext|zeroext|unnamed_addr|"
                        r"local_unnamed_addr|dso_local|nocapture|align \d+ dereferenceable\(\d+\)|readonly)(?=[ ,)])",
                        r"^(?:source_filename|; ModuleID) .*\n", r"^!(?:llvm\.ident) = .*\n"):
            self.fails(self._swept(re.sub(pattern, "", self.text, flags=re.MULTILINE)))


def reduce_case(
    module: bytes | str, candidate: Candidate, test: Test, known: Registry, *, seconds: float = 300.0,
    on_progress: Callable[[int, int, int], None] | None = None,
) -> Reduction:
    """Reduce a candidate and then a module (bitcode or IR text) under which it fails.

    Ends after `seconds` or on Ctrl-C with the best so far. `on_progress` gets tests, passes and instructions.
    Raises InputError when the case does not fail to begin with.
    """
    text = irtext.as_text(module if isinstance(module, bytes) else module.encode())
    if not test(text, candidate):
        raise InputError("the case does not fail; nothing can be reduced")
    reducer = _Reducer(text, candidate, test, known, time.monotonic() + seconds, on_progress, 1)
    complete = True
    try:
        reducer.run()
    except (KeyboardInterrupt, _OutOfTime):
        complete = False
    return Reduction(reducer.text, reducer.candidate, reducer.tests, complete)


# --- what failing means for a program that runs ---


@dataclass(frozen=True)
class _Behaviour:
    ended: str
    code: int
    stdout: bytes

    @property
    def kind(self) -> tuple[str, int]:
        """How it ended; which exit code does not matter, which signal does."""
        return self.ended, self.code if self.ended == Ended.SIGNALLED else 0


def _said(wrong: _Behaviour | Status) -> tuple[str, str]:
    """The verdict, as `passlisteval.Verdict` has it, and what was seen."""
    if isinstance(wrong, Status):
        return "compiler_hung" if wrong is Status.TIMED_OUT else "compiler_crashed", str(wrong)
    if wrong.ended == Ended.SIGNALLED:
        # A failed assertion aborts: the program was wrong and said so.
        return "wrong" if wrong.code == signal.SIGABRT else "crashed", f"signal {wrong.code}"
    if wrong.ended == Ended.EXITED:
        return "wrong", f"exit code {wrong.code}"
    return "hung", str(wrong.ended)


class Misbehaves:
    """The test for a program: built without optimisation and by -Oz it exits 0 and prints the same, and so it does when
    its variables are filled with either of two bytes first; under the candidate it does something else, and ends as it
    did when it was asked first.

    A context manager; what it started is gone when it ends.
    """

    LIMITS = SandboxLimits(cpu_seconds=2, wall_seconds=4)

    def __init__(self, known: Registry, *, cxx: bool = True, limits: SandboxLimits = LIMITS) -> None:
        self._cxx = cxx
        self._limits = limits
        self._pool = WorkerPool(1, Limits(20.0))
        self._temporary = temporary_folder()
        self._folder = Path(self._temporary.name)
        self._oz = Candidate(oz_pipeline(known))
        self._plain = Candidate(PassList.parse("always-inline"))
        self._count = 0
        self._kind: tuple[str, int] | Status | None = None
        self._guard: bool | None = None
        self._lowering: Lowering | None = None
        self.expected = b""
        self.actual = self.verdict = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.close()
        self._temporary.cleanup()

    def __call__(self, text: str, candidate: Candidate) -> bool:
        wrong = self._behaviour(text, candidate)
        if wrong is None or (isinstance(wrong, Status) and wrong is Status.INVALID):
            return False
        kind = wrong if isinstance(wrong, Status) else wrong.kind
        if self._kind is not None and kind != self._kind:
            return False
        started = time.monotonic()
        right = self._behaviour(text, self._plain, Profile.PAPER)
        if self._kind is None:
            # Cutting makes loops without end by the dozen: they need not be waited for much longer than the program.
            allowed = max(1.0, 20 * (time.monotonic() - started))
            self._limits = replace(self._limits, wall_seconds=min(self._limits.wall_seconds, allowed))
        if not isinstance(right, _Behaviour) or right == wrong or (right.ended, right.code) != (Ended.EXITED, 0):
            return False
        if self._behaviour(text, self._oz) != right:
            return False
        if self._guard is not False:
            same = all(self._behaviour(irtext.filled(text, byte), self._plain, Profile.PAPER, byte) == right
                       for byte in (0, 0xAA))
            if not same and self._guard:
                return False
            self._guard = same  # a program that copies what it never wrote, as unions do, goes without
        self._kind = kind
        self.expected = right.stdout
        self.verdict, self.actual = _said(wrong)
        return True

    def _behaviour(self, text: str, candidate: Candidate, profile: Profile = Profile.DEPLOY,
                   perturbed: int | None = None) -> _Behaviour | Status | None:
        """What the program does; a status when LLVM fails; None when it does not link."""
        self._count += 1
        source = self._folder / f"{self._count}.ll"
        source.write_text(text)
        try:
            if self._lowering is None:  # reduction leaves the module's flags alone
                self._lowering = lowering_for(inspect(self._pool, source), X86_64, Profile.DEPLOY,
                                              clang_for(X86_64, self._cxx), ())
            outcome = self._pool.run(Job(source, candidate, replace(self._lowering, profile=profile), verify=True,
                                         keep_object=True))
        finally:
            source.unlink()
        if outcome.measurement is None or outcome.measurement.object is None:
            return outcome.status
        program, object_file = self._folder / "program", self._folder / "object.o"
        object_file.write_bytes(outcome.measurement.object)
        if not link(object_file, program, cxx=self._cxx):
            return None
        # glibc fills what malloc gives out with the complement of this byte.
        env = {} if perturbed is None else {"MALLOC_PERTURB_": str(perturbed ^ 0xFF)}
        run = execute([str(program)], self._limits, cwd=self._folder, env={"LC_ALL": "C", **env})
        return _Behaviour(run.ended, run.code, run.stdout)


@lru_cache(maxsize=2)
def _link_command(cxx: bool) -> tuple[str, ...]:
    """What clang runs to link INPUT to OUTPUT: the linker alone takes a third of the driver's time."""
    command = clang_for(X86_64, cxx).command
    question = [*command, "-print-file-name=libc++.so.1"]
    library_path = Path(subprocess.run(question, capture_output=True, text=True, check=False).stdout.strip())
    with temporary_folder() as folder:
        object_file = Path(folder) / "INPUT.o"
        object_file.touch()
        words = [*command, "-###", str(object_file), "-lm", f"-Wl,-rpath,{library_path.resolve().parent}"]
        said = subprocess.run([*words, "-o", "OUTPUT"], capture_output=True, text=True, check=False).stderr.splitlines()
        return tuple("INPUT" if word == str(object_file) else word for word in shlex.split(said[-1] if said else ""))


def link(object_file: Path, program: Path, *, cxx: bool = True) -> bool:
    """A program of one object; whether the linker made it."""
    named = {"INPUT": str(object_file), "OUTPUT": str(program)}
    words = [named.get(word, word) for word in _link_command(cxx)]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


# --- reproductions ---


def write_reproduction(folder: Path, name: str, reduction: Reduction, test: Misbehaves, origin: str) -> None:
    """NAME.ll and NAME.json, which says what to run, what to expect and where the case is from."""
    record = {
        "passes": reduction.candidate.passes.text, "codegen_options": list(reduction.candidate.codegen_options),
        "pass_options": list(reduction.candidate.pass_options), "verdict": test.verdict,
        "expected": {"exit": 0, "stdout": test.expected.decode(errors="replace")}, "actual": test.actual,
        "llvm": library.load().version_text, "from": origin, "tests": reduction.tests, "complete": reduction.complete,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.ll", reduction.text.encode())
    write_atomically(folder / f"{name}.json", (json.dumps(record, indent=1) + "\n").encode())
