"""What a candidate makes of an input, in every form: object, bitcode, IR text, assembly.

Objects and assembly are lowered by clang, as a tuning's own object is, so that `llmc opt` with the recipe of a result
gives that result's object.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from llm_compiler.errors import InputError
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Job, Outcome
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tuning.result import TuningResult
from llm_compiler.tuning.source import Source, open_source, small_pool
from llm_compiler.tuning.tuner import TuningOptions


class Kind(StrEnum):
    """The form of an output."""

    OBJECT = "object"
    BITCODE = "bitcode"
    IR = "ir"
    ASSEMBLY = "assembly"


_KINDS = {".o": Kind.OBJECT, ".obj": Kind.OBJECT, ".lo": Kind.OBJECT, "": Kind.OBJECT,
          ".bc": Kind.BITCODE, ".ll": Kind.IR, ".s": Kind.ASSEMBLY}


def kind_of(path: Path) -> Kind:
    """The form that a suffix asks for; a name without one (a device) takes an object. Raises InputError."""
    try:
        return _KINDS[path.suffix]
    except KeyError:
        raise InputError(f"{path}: an output ends in .o, .bc, .ll or .s") from None


def apply(source: Source, candidate: Candidate, pool: WorkerPool, *, lower: bool = False,
          whole: bool = True) -> Outcome:
    """Run a candidate's passes as `opt` does (or, not `whole`, as the search does); the measurement holds the bitcode.

    lower: go through code generation too, in the worker, so that a crash there is an outcome.
    """
    return pool.run(Job(source.bitcode, candidate, source.lowering, lower=lower, whole=whole, verify=True, count=True,
                        keep_bitcode=True))


def render(source: Source, candidate: Candidate, bitcode: bytes, kind: Kind, folder: Path) -> bytes:
    """Bitcode that a candidate's passes gave, in the form asked for. Raises CompileError."""
    if kind is Kind.BITCODE:
        return bitcode
    if kind is Kind.IR:
        with Context(library.load()) as context:
            return context.parse(bitcode).text().encode()
    optimised, output = folder / "optimised.bc", folder / "output"
    optimised.write_bytes(bitcode)
    _lower(source, optimised, output, kind, candidate.lowering_options)
    return output.read_bytes()


def clang_output(source: Source, kind: Kind, folder: Path, options: Sequence[str] = ()) -> bytes:
    """What clang itself makes of the input at its level, with LLVM options: the answer where the search gained
    nothing. Raises CompileError.
    """
    output = folder / "output"
    if source.lowering.profile is Profile.PAPER and kind in (Kind.OBJECT, Kind.ASSEMBLY):
        optimised = folder / "optimised.bc"
        frontend.emit_optimised(source.clang, source.bitcode, frontend.lowering_flags(source.cflags), optimised,
                                source.level)
        _lower(source, optimised, output, kind, ())
        return output.read_bytes()
    is_ir = source.path.suffix in frontend.IR_SUFFIXES
    flags = [*frontend.lowering_flags(source.cflags), "-Wno-override-module"] if is_ir else list(source.cflags)
    form = {Kind.OBJECT: ["-c"], Kind.ASSEMBLY: ["-S"], Kind.BITCODE: ["-c", "-emit-llvm"],
            Kind.IR: ["-S", "-emit-llvm"]}[kind]
    language = ["-x", "ir"] if is_ir else []
    given = source.bitcode if is_ir else source.path
    words = [word for option in options for word in ("-mllvm", option)]
    source.clang.run([*words, *flags, source.level, *form, *language, str(given), "-o", str(output)])
    return output.read_bytes()


def _lower(source: Source, bitcode: Path, output: Path, kind: Kind, options: tuple[str, ...]) -> None:
    profile = source.lowering.profile
    frontend.lower(source.clang, bitcode, output, profile, cflags=source.cflags, options=options,
                   assembly=kind is Kind.ASSEMBLY, level=source.level if profile is Profile.DEPLOY else None)


def output_of(result: TuningResult, kind: Kind, path: Path, options: TuningOptions,
              cflags: Sequence[str] | None = None) -> bytes:
    """A result of `Tuner.tune(path, cflags=…)` in the form asked for. Raises LlmcError.

    Where the result came from the store, its candidate is applied again.
    """
    if kind is Kind.OBJECT and result.object is not None:
        return result.object
    flags = options.cflags if cflags is None else tuple(cflags)
    with frontend.temporary_folder() as name, small_pool() as pool:
        folder = Path(name)
        source = open_source(path, folder, pool, target=options.target, profile=options.profile, cflags=flags,
                             level=options.level, clang=options.clang)
        if result.candidate is None:
            return clang_output(source, kind, folder)
        bitcode = result.bitcode
        if bitcode is None:
            outcome = apply(source, result.candidate, pool, whole=False)
            if outcome.measurement is None or outcome.measurement.bitcode is None:
                raise InputError(f"{path}: the pass list from the store {outcome.status.replace('_', ' ')} "
                                 f"({outcome.message}); tune again with --no-store")
            bitcode = outcome.measurement.bitcode
        if render(source, result.candidate, bitcode, Kind.OBJECT, folder) != result.object:
            # The object is of clang's own passes with options (the head start), which are not quite the passes of
            # its pipeline written out.
            options_of = (*result.candidate.pass_options, *result.candidate.codegen_options)
            if clang_output(source, Kind.OBJECT, folder, options_of) == result.object:
                return clang_output(source, kind, folder, options_of)
        return render(source, result.candidate, bitcode, kind, folder)
