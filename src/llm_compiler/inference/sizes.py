"""Sizes of a program before and after a pass list: by the package's trees, by a language model, and by LLVM itself."""

from __future__ import annotations

from llm_compiler.errors import InputError
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.inference.emulation import Program, measured_before, prompt, truth
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.size_model import PredictedSizes, SizeModel, shipped
from llm_compiler.tasks import batches
from llm_compiler.tasks.prompts import Output, Sizes, Unparsed

_TOKENS = 64  # the sizes that an answer of the compact form begins with


def predict(ir: str, passes: PassList | None = None, model: SizeModel | None = None) -> PredictedSizes:
    """Sizes by trees: the package's, unless others are given. ir: unoptimised. Raises InputError for an empty text."""
    return (model or shipped()).predict(ir, passes)


def predict_bytes(ir: str, passes: str) -> tuple[int, int]:
    """Bytes before and after a pass list that is text. Raises PipelineError for a list that does not parse."""
    found = predict(ir, PassList.parse(passes))
    assert found.after is not None
    return found.before.bytes, found.after.bytes


def ask(program: Program, passes: PassList, backend: Backend, *, seed: int = 0) -> PredictedSizes:
    """Sizes by a language model's answer to an emulation prompt, the most likely one.

    Only the compact form can be asked: in the reference's the prompt tells the sizes before, and the answer's stand
    after all its code. Raises InputError for an answer without sizes, EngineError when the model cannot be run.
    """
    if backend.form is not Form.COMPACT:
        raise InputError("a model of the reference's form tells sizes after its code only: use llmc emulate")
    text = prompt(program, passes, Output.IR, backend)
    samples = backend.engine.complete(text, tokens=_TOKENS, seed=seed)
    told = backend.emulated(samples[0]) if samples else Unparsed("the model gave no answer")
    if isinstance(told, Unparsed):
        raise InputError(f"the model tells no sizes: {told.reason}")
    assert told.before is not None
    return PredictedSizes(told.before, told.after)


def measured(program: Program, passes: PassList | None, pool: WorkerPool) -> PredictedSizes | batches.Failure:
    """Sizes by LLVM, at code generation level -O0."""
    if not passes:
        before = measured_before(program, pool)
        return before if isinstance(before, batches.Failure) else PredictedSizes(
            before, None if passes is None else before)
    found = truth(program, passes, pool)
    if isinstance(found, batches.Failure):
        return found
    return PredictedSizes(*(Sizes(count, size.total)
                            for count, size in zip(found.instructions, found.sizes, strict=True)))
