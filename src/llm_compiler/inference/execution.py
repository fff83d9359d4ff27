"""Original code and the code that an answer is lowered to, run side by side on inputs that the original decides.

What an answer says of its function is not trusted: integers come with the upper halves of their registers, further
registers hold arguments that nobody declared, and both registers of results are compared. An input counts where the
original returns and does the same whatever uninitialised memory holds. Inputs are looked for in the original and in the
answer, until every block of both was reached.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llm_compiler.errors import CompileError, InputError, ToolchainError
from llm_compiler.inference import roundtrip
from llm_compiler.inference.cutting import LABEL
from llm_compiler.inference.shape import constants, shape
from llm_compiler.llvm.job import Job, Reading
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import X86_64, Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.differential.driver import Driver, make_driver
from llm_compiler.validation.differential.exploring import Effort, Explorer
from llm_compiler.validation.differential.inputs import Input
from llm_compiler.validation.differential.program import FILL, Linking, Program, ProgramError, Run, agreeing
from llm_compiler.validation.differential.versions import instrumented_object
from llm_compiler.validation.interface import Function, Interface, Kind, Parameter, Signature, read_interface

# A wrong answer most often shows at once.
_QUICK = Effort(first=24, rounds=1, kept=24, limit=0.01, directed=12, sequences=0)
_FULL = Effort(first=96, rounds=8, kept=128, limit=0.01, children=2, directed=192, sequences=0)
_LEAST_INPUTS = 16
_FILLS = (FILL, 0x7F, 0x1D)
_LIMIT = 0.1  # CPU seconds of a run that is compared
_SECONDS = 60.0  # for a search for inputs
_REGISTERS, _FLOATS = 6, 8  # that arguments are passed in
_FAST = 8  # LLVM's number of fastcc
_JUMP = re.compile(r"\s*(?:j[a-z]+|loop\w*)\s")
_INSTRUCTION = re.compile(r"\s+[a-z][\w;]*(?:\s|$)")
_COUNTER, _BLOCK = ".Lllmc_counters", ".Lllmc_block"


@dataclass(frozen=True)
class Outcome:
    """equal: on all inputs that counted, in every block of both. reason: why not, or why it is not known."""

    equal: bool
    inputs: int = 0
    reason: str = ""


def run_beside(pool: WorkerPool, folder: Path, name: str, original: str, again: str, bitcode: bytes, *,
               seed: int = 0) -> Outcome:
    """Run the function of two assembly files. original: is right by definition; again: the answer's, of whose IR
    `bitcode` is; folder: for files, one of its own for each call: the pool's worker knows files by their names.
    """
    reason = _unlike(name, original, again)
    if reason:
        return Outcome(False, reason=f"not run: {reason}")
    try:
        return _Pair(pool, folder, name, original, again, bitcode, seed).outcome()
    except (ProgramError, CompileError, InputError) as error:
        return Outcome(False, reason=f"not run: {error}")
    except ToolchainError as error:
        return Outcome(False, reason=f"not run here: {error}")


def _unlike(name: str, original: str, again: str) -> str:
    """What running would not show: other things referred to, or passed on."""
    for text in (original, again):
        if ".gcc_except_table" in text or ".cfi_personality" in text:
            return "it handles exceptions"
        if "#APP" in text:
            return "it holds inline assembly"
    one, other = (roundtrip.code_of(text, name, "x86_64").externals() for text in (original, again))
    if one != other:
        missing = sorted(one ^ other)
        return f"only one of them refers to {missing[0]}"
    return shape(original).unlike(shape(again))


_Counted = tuple[Input, Sequence[Run], bytes]
"""An input, what the original does on it by what uninitialised memory holds, and which soft bytes mean something."""


class _Pair:
    def __init__(self, pool: WorkerPool, folder: Path, name: str, original: str, again: str, bitcode: bytes,
                 seed: int) -> None:
        self._folder = folder
        self._name = name
        self._seed = seed
        self._count = 0
        self._programs: list[Program] = []
        path = folder / "answer.bc"
        path.write_bytes(bitcode)
        read = pool.run(Reading(path, read_interface)).value
        if not isinstance(read, Interface):
            raise ProgramError("the answer's functions cannot be read")
        self._interface = interface = _widened(read, name)
        driver = make_driver(interface)
        if name in driver.refused:
            raise ProgramError(driver.refused[name])
        known = constants(original)
        entries = tuple(replace(entry, constants=tuple(dict.fromkeys((*known, *entry.constants)))[:128])
                        for entry in driver.entries)
        self._driver: Driver = replace(driver, entries=entries)
        self._index = next(index for index, entry in enumerate(entries) if entry.function.name == name)
        self._callers = folder / "driver.o"
        (folder / "driver.ll").write_text(driver.text)
        static = Lowering(X86_64, Profile.PAPER, relocation=1)
        outcome = pool.run(Job(folder / "driver.ll", Candidate(PassList(())), static, keep_object=True))
        if outcome.measurement is None or outcome.measurement.object is None:
            raise ProgramError(f"the callers of the function cannot be lowered: {outcome.message}")
        self._callers.write_bytes(outcome.measurement.object)
        self._checked = instrumented_object(pool, path, static)
        self._plain = [roundtrip.assembled(text, "x86_64") for text in (original, again)]
        self._counted = [roundtrip.assembled(with_counters(text), "x86_64") for text in (original, again)]

    def outcome(self) -> Outcome:
        try:
            return self._outcome()
        finally:
            for program in self._programs:
                program.close()

    def _program(self, object_: bytes) -> Program:
        self._count += 1
        path = self._folder / f"version-{self._count}.o"
        path.write_bytes(object_)
        program = Program(Linking(path, (self._callers,), path.with_suffix("")), self._driver)
        self._programs.append(program)
        return program

    def _outcome(self) -> Outcome:
        original, again = map(self._program, self._plain)
        for effort, looked in ((_QUICK, self._counted[:1]), (_FULL, (self._checked, *self._counted))):
            inputs = self._inputs(effort, looked)
            counted = _counted(original, self._index, inputs)
            problem = self._compared(again, counted)
            if problem:
                return Outcome(False, len(counted), f"run beside it, {problem}")
        if len(counted) < _LEAST_INPUTS:
            return Outcome(False, len(counted), f"only {len(counted)} of {len(inputs)} inputs are of use to run it on")
        for object_, whose in zip(self._counted, ("the original", "the answer"), strict=True):
            program = self._program(object_)
            reached: set[int] = set()
            for run in program.run(self._index, [item for item, _, _ in counted], limit=4 * _LIMIT, patience=120.0):
                reached.update(run.fresh)
            if len(reached) < len(program.blocks):
                return Outcome(False, len(counted), f"it does the same on {len(counted)} inputs, which reach only "
                               f"{len(reached)} of {len(program.blocks)} blocks of {whose}")
        return Outcome(True, len(counted))

    def _compared(self, again: Program, counted: Sequence[_Counted]) -> str:
        """What the answer's code does otherwise. The first look is a short one: what hangs does so at once."""
        first, size = 0, 4
        while first < len(counted):
            some = counted[first : first + size]
            first, size = first + size, 4 * size
            for fill in range(2):
                runs = again.run(self._index, [item for item, _, _ in some], fill=_FILLS[fill], limit=4 * _LIMIT,
                                 patience=120.0)
                for (_, expected, mask), run in zip(some, runs, strict=True):
                    if not expected[fill].matches(run, mask):
                        return _difference(expected[fill], run)
        return ""

    def _inputs(self, effort: Effort, looked: Sequence[bytes]) -> list[Input]:
        """Inputs that reach new code in one of the versions, or do something new."""
        found: dict[tuple[int, ...], Input] = {}
        entries = {self._index: self._driver.entries[self._index]}
        for object_ in looked:
            explorer = Explorer(self._program(object_), entries, self._interface, lambda _: set(), effort, self._seed)
            for item, _ in explorer.explore(self._index, time.monotonic() + _SECONDS).inputs:
                found.setdefault(item.words, item)
        return list(found.values())


def _counted(original: Program, index: int, inputs: Sequence[Input]) -> list[_Counted]:
    """Inputs on which the original comes to an end, and does the same whatever uninitialised memory holds."""
    if not inputs:
        return []
    runs = [original.run(index, inputs, fill=fill, limit=_LIMIT, patience=120.0) for fill in _FILLS]
    found: list[_Counted] = []
    for item, *same in zip(inputs, *runs, strict=True):
        first = same[0]
        if first.usable and all(first.same(other) for other in same[1:]):
            found.append((item, same, agreeing(same)))
    return found


def _difference(expected: Run, run: Run) -> str:
    if expected.status != run.status:
        return "it ends in another way"
    if expected.calls != run.calls:
        return "it calls something else, or with other arguments"
    if expected.memory != run.memory:
        return "it leaves something else in memory"
    return "it returns something else"


# --- how it is called ------------------------------------------------------------------------------------------------

_WORD = Parameter(type="i64", kind=Kind.INT, bits=64, size=8, layout=-1, abi="", by_value=0, struct_return=0,
                  writable=False, noalias=False, nonnull=False, dereferenceable=0, align=0, returned=False,
                  immarg=False, stack_size=0)
_DOUBLE = replace(_WORD, type="double", kind=Kind.DOUBLE)
_BOTH = replace(_WORD, type="{ i64, double }", kind=Kind.BYTES, bits=0, size=16)


def _widened(interface: Interface, name: str) -> Interface:
    return replace(interface, functions=tuple(
        replace(function, signature=_wide(function)) if function.name == name else function
        for function in interface.functions))


def _wide(function: Function) -> Signature:
    """How a function is called so that what its declaration leaves out shows, too. Raises ProgramError."""
    signature = function.signature
    if signature.variadic:
        raise ProgramError("it takes a variable number of arguments")
    parameters = [_whole(item) for item in signature.parameters]
    if all(item.kind in (Kind.INT, Kind.POINTER, Kind.FLOAT, Kind.DOUBLE) and item.size <= 8
           and not (item.by_value or item.struct_return) for item in parameters):
        floats = sum(item.kind in (Kind.FLOAT, Kind.DOUBLE) for item in parameters)
        parameters += [_WORD] * max(0, _REGISTERS - (len(parameters) - floats))
        parameters += [_DOUBLE] * max(0, _FLOATS - floats)
    result = signature.result
    if result is None or (result.size <= 8 and result.kind in (Kind.INT, Kind.FLOAT, Kind.DOUBLE)):
        result = _BOTH
    # LLVM's own convention for local functions passes as C's does what fits into registers.
    convention = 0 if signature.convention == _FAST else signature.convention
    return replace(signature, parameters=tuple(parameters), result=result, convention=convention)


def _whole(item: Parameter) -> Parameter:
    """An integer with the whole of its register; what is extended by its caller stays so."""
    if item.kind is Kind.INT and item.bits < 64 and item.size <= 8 and not item.abi:
        return replace(item, type="i64", bits=64, size=8)
    return item


# --- counters of blocks ----------------------------------------------------------------------------------------------


def with_counters(text: str) -> str:
    """Assembly for x86-64 whose blocks tell that they were reached. `mov` changes no flag."""
    out: list[str] = []
    blocks = 0
    code, waits = True, False
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith((".section", ".text", ".data", ".bss")):
            code = bare.startswith(".text") or ",\"ax" in bare.replace(" ", "")
        if code and bare and not bare.startswith(("#", ".")):
            if LABEL.match(line):
                waits = True
            elif _INSTRUCTION.match(line):
                if waits:
                    out += [f"{_BLOCK}{blocks}:", f"\tmovb\t$1, {_COUNTER}+{blocks}(%rip)"]
                    blocks, waits = blocks + 1, False
                waits = bool(_JUMP.match(line))
        elif code and LABEL.match(line):
            waits = True
        out.append(line)
    out += ['\t.section\t__sancov_cntrs,"aw",@progbits', f"{_COUNTER}:", f"\t.zero\t{blocks}",
            '\t.section\t__sancov_pcs,"aw",@progbits', "\t.p2align\t3"]
    out += [f"\t.quad\t{_BLOCK}{number}, {int(number == 0)}" for number in range(blocks)]
    return "\n".join([*out, ""])
