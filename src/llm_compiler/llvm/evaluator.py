"""Runs jobs in this process: passes on a module fresh from bitcode, at the cut points that the pass list decides
(`job.segments`), then the back end. LLVM may end the process: only workers run this.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import tempfile
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from llm_compiler.errors import InputError, PipelineError
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.job import Inspection, Job, Measurement, segments
from llm_compiler.llvm.module import REFUSED, Context, Module, digest
from llm_compiler.llvm.objectfile import ObjectSize, measure, with_init_arrays
from llm_compiler.llvm.pipeline import ADAPTORS, Pass
from llm_compiler.llvm.target import Lowering, Profile, TargetMachine, lowering_of

_PR_SET_PDEATHSIG = 1
_CACHE_BYTES = 96 << 20


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class _Step(NamedTuple):
    """What a part of a pass list made, and whether LLVM's verifier saw it before it was written."""

    bitcode: bytes
    verified: bool


@lru_cache(maxsize=1)
def _sound_names() -> frozenset[str]:
    return frozenset((*registry.trusted()[0], *ADAPTORS, "default", "require", "invalidate", "repeat", "devirt"))


def _sound(part: Sequence[Pass]) -> bool:
    """Whether LLVM's own pipelines run all of it, so that its code need not be verified before it is written."""
    sound = _sound_names()
    return all(item.name in sound for element in part for item in element.walk())


class Evaluator:
    """Runs jobs in this process; keeps what prefixes gave."""

    def __init__(self) -> None:
        self.lib = library.load()
        self.machines: dict[Lowering, TargetMachine] = {}
        self.plain: dict[Lowering, TargetMachine] = {}
        self.inputs: dict[Path, bytes] = {}
        self.after: OrderedDict[tuple[object, ...], _Step] = OrderedDict()
        self.after_bytes = 0
        self.lowered: OrderedDict[tuple[object, ...], tuple[ObjectSize, str]] = OrderedDict()

    def forget(self) -> None:
        """Drop what is kept of inputs, prefixes and lowered code."""
        self.inputs.clear()
        self.after.clear()
        self.after_bytes = 0
        self.lowered.clear()

    def machine(self, lowering: Lowering) -> int | None:
        """None for a target that the library lacks: passes then run with the cost model of no target."""
        if lowering.external:
            return None
        found = self.machines.get(lowering)
        if found is None:
            found = self.machines[lowering] = TargetMachine(self.lib, lowering)
        return found.handle

    def run(self, job: Job) -> Measurement:
        started = time.process_time()
        candidate = job.candidate
        bitcode, instructions = self.optimise(job)
        ir_hash = digest(bitcode)
        size, object_hash, data = None, "", None
        if job.lower:
            key = (ir_hash, job.lowering, candidate.lowering_options)
            known = self.lowered.get(key)
            if known is None or job.keep_object or job.assembly:
                self.lib.set_options(candidate.lowering_options)
                data = self.lower(job, bitcode)
                if not job.assembly:
                    known = self.lowered[key] = (measure(data), digest(data))
                    if len(self.lowered) > 20000:
                        self.lowered.popitem(last=False)
            if known is not None:
                size, object_hash = known
        keep = job.keep_bitcode
        if job.keep_below is not None and size is not None and size.total <= job.keep_below:
            instructions = self.check(bitcode, job, count=True, verify=True)
            keep = True
        return Measurement(
            size, ir_hash, object_hash, instructions,
            bitcode if keep else None,
            data if job.keep_object or job.assembly else None,
            time.process_time() - started,
        )

    def lower(self, job: Job, bitcode: bytes) -> bytes:
        if not job.lowering.external:
            # A new machine each time: options such as -enable-ipra are written into it and would stay. Without options
            # one serves for all, which is a sixth faster for small functions.
            optioned = bool(job.candidate.lowering_options)
            machine = None if optioned else self.plain.get(job.lowering)
            if machine is None:
                machine = TargetMachine(self.lib, job.lowering)
                if not optioned:
                    self.plain[job.lowering] = machine
            try:
                with Context(self.lib) as context:
                    data = self.read(context, bitcode, job).emit(machine.handle, assembly=job.assembly)
                    return data if job.assembly else with_init_arrays(data)
            finally:
                if optioned:
                    machine.close()
        with tempfile.TemporaryDirectory(prefix="lower-", dir=job.input.parent) as folder:
            source, output = Path(folder) / "in.bc", Path(folder) / "out"
            source.write_bytes(bitcode)
            words = [{"INPUT": str(source), "OUTPUT": str(output)}.get(word, word) for word in job.lowering.external]
            for option in job.candidate.lowering_options:
                words += ["-mllvm", option]
            words += ["-S"] if job.assembly else []
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  preexec_fn=die_with_parent)
            if done.returncode:
                raise InputError(f"lowering failed: {done.stderr.strip().splitlines()[-1:]}")
            return output.read_bytes()

    def inspect(self, path: Path) -> Inspection:
        with Context(self.lib) as context:
            module = context.parse(path.read_bytes(), path.name)
            broken = module.verify()
            if broken:
                raise InputError(f"{path.name}: LLVM's verifier refuses it: {broken.splitlines()[0]}")
            lowering = lowering_of(module, Profile.DEPLOY)
            return Inspection(module.bitcode(), module.triple, lowering.relocation, lowering.code_model,
                              len(module.functions()), tuple(module.functions_with_attribute("optnone")),
                              tuple(module.discardable_functions()))

    def optimise(self, job: Job) -> tuple[bytes, int | None]:
        if job.input not in self.inputs:
            if len(self.inputs) > 16:
                self.inputs.clear()
            self.inputs[job.input] = job.input.read_bytes()
        bitcode = self.inputs[job.input]
        passes = job.candidate.passes
        parts = (passes.passes,) if job.whole else segments(passes)
        options = job.candidate.pass_options
        source = digest(bitcode)
        # The key of a step is the hash of the IR before it, so that equal IR on different ways shares the rest.
        options_set = verified = False
        for part in parts:
            text = ",".join(map(str, part))
            if not text:
                continue
            key = (source, options, text)
            known = self.after.get(key)
            if known is None:
                if not options_set:
                    self.lib.set_options(options)
                    options_set = True
                with Context(self.lib) as context:
                    module = self.read(context, bitcode, job)
                    module.run_passes(text, self.machine(job.lowering))
                    if context.messages:
                        raise PipelineError(context.messages[0])
                    verify = job.verify or not _sound(part)
                    if verify:
                        module.check_result()
                    known = _Step(module.bitcode(), verify)
                self.keep(key, known)
            else:
                self.after.move_to_end(key)
            bitcode, verified = known
            source = digest(bitcode)
        verify = job.verify and not verified
        instructions = self.check(bitcode, job, count=job.count, verify=verify) if verify or job.count else None
        return bitcode, instructions

    def read(self, context: Context, bitcode: bytes, job: Job) -> Module:
        """A job's input, or what passes made of it. Raises InputError for the one and PipelineError for the other."""
        try:
            return context.parse(bitcode)
        except InputError as error:
            if bitcode is self.inputs.get(job.input):
                raise
            raise PipelineError(REFUSED) from error

    def check(self, bitcode: bytes, job: Job, *, count: bool, verify: bool) -> int | None:
        with Context(self.lib) as context:
            module = self.read(context, bitcode, job)
            if verify:
                module.check_result()
            return module.count_instructions() if count else None

    def keep(self, key: tuple[object, ...], step: _Step) -> None:
        self.after[key] = step
        self.after_bytes += len(step.bitcode)
        while self.after_bytes > _CACHE_BYTES and len(self.after) > 1:
            _, dropped = self.after.popitem(last=False)
            self.after_bytes -= len(dropped.bitcode)
