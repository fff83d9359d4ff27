"""What LLVM makes of code and a pass list: texts and sizes. Needs nothing that datasets need."""

from __future__ import annotations

from dataclasses import dataclass

from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.objectfile import ObjectSize, measure, with_init_arrays
from llm_compiler.llvm.target import Profile
from llm_compiler.tasks import batches, lowering


@dataclass(frozen=True)
class Order:
    """IR text or bitcode, pass text, the profile of the lowering, and characters that the input may have as text."""

    source: str | bytes
    passes: str
    profile: Profile
    longest: int = 1 << 40


@dataclass(frozen=True)
class Emulated:
    """What LLVM made of an order: texts, and instructions and sizes before and after."""

    before: str
    after: str
    assembly: str
    instructions: tuple[int, int]
    sizes: tuple[ObjectSize, ObjectSize]


def emulate(order: Order) -> Emulated | batches.Failure:
    """Run an order's passes as one `opt` would; runs in the LLVM worker. Raises InputError and PipelineError."""
    lib = library.load()
    bitcode = lowering.normalise(order.source.encode() if isinstance(order.source, str) else order.source)
    with Context(lib) as context:
        module = context.parse(bitcode)
        machine = lowering.machine(lowering.lowering_for(module, order.profile))
        before, count = lowering.clean(module.text()), module.count_instructions()
        if len(before) > order.longest:
            return batches.Failure("input too long")
        size = measure(with_init_arrays(lowering.emit(module, machine)))
    with Context(lib) as context:
        module = context.parse(bitcode)
        module.run_passes(order.passes, machine.handle)
        module.check_result()
        after, count_after, result = lowering.clean(module.text()), module.count_instructions(), module.bitcode()
        size_after = measure(with_init_arrays(lowering.emit(module, machine)))
    with Context(lib) as context:
        assembly = lowering.emit(context.parse(result), machine, assembly=True).decode(errors="replace")
    return Emulated(before, after, assembly, (count, count_after), (size, size_after))
