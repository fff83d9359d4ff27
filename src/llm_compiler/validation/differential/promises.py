"""Checks of what unoptimised code promises and optimisers lean on, beyond those that LLVM's poison-checking pass makes.

Loads: values within `!range`, as of every bool, and pointers that are not null. Signed arithmetic and shifts: that they
do not overflow, even where the result goes to memory, at which poison-checking loses track of it.
"""

from __future__ import annotations

import ctypes

from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context, Module
from llm_compiler.llvm.walk import Opcode, TypeKind, Walk

CHECK = b"__poison_checker_assert"  # of runtime.c, and the one that the poison-checking pass calls
_EQUAL, _UNSIGNED_LESS = 32, 36  # llvm-c/Core.h, LLVMIntEQ and LLVMIntULT
_ARITHMETIC = (Opcode.ADD, Opcode.SUB, Opcode.MUL)
_SHIFTS = (Opcode.SHL, Opcode.LSHR, Opcode.ASHR)


def check_promises(bitcode: bytes) -> bytes:
    """The module with a call after every instruction that promises something. Runs in a worker."""
    with Context(library.load()) as context:
        module = context.parse(bitcode)
        _Checks(module).add()
        return module.bitcode()


class _Checks:
    """Adds calls of CHECK, whose argument must not be poison: the poison-checking pass looks at those."""

    def __init__(self, module: Module) -> None:
        self._walk = Walk(module)
        lib = self._lib = module.lib
        context = module.context.handle
        truth = lib.LLVMInt1TypeInContext(context)
        self._type = lib.LLVMFunctionType(lib.LLVMVoidTypeInContext(context), (ctypes.c_void_p * 1)(truth), 1, 0)
        self._check = (lib.LLVMGetNamedFunction(module.handle, CHECK)
                       or lib.LLVMAddFunction(module.handle, CHECK, self._type))
        kind = lib.LLVMGetEnumAttributeKindForName(b"noundef", 7)
        lib.LLVMAddAttributeAtIndex(self._check, 1, lib.LLVMCreateEnumAttribute(context, kind, 0))
        self._builder = lib.LLVMCreateBuilderInContext(context)

    def add(self) -> None:
        walk, lib = self._walk, self._lib
        instructions = [instruction for function in walk.module.functions() for block in walk.blocks(function)
                        for instruction in walk.instructions(block)]
        try:
            for instruction in instructions:
                kept = self._kept(instruction)
                if kept is not None:
                    arguments = (ctypes.c_void_p * 1)(kept)
                    lib.LLVMBuildCall2(self._builder, self._type, self._check, arguments, 1, b"")
        finally:
            lib.LLVMDisposeBuilder(self._builder)

    def _kept(self, value: int) -> int | None:
        """Whether an instruction's promise is kept, as an i1 that stands after it; None where it promises nothing."""
        walk, lib, builder = self._walk, self._lib, self._builder
        opcode = walk.opcode(value)
        if opcode == Opcode.LOAD and lib.LLVMHasMetadata(value):
            promised = walk.range_of(value)
            if promised is not None:
                lib.LLVMPositionBuilderBefore(builder, lib.LLVMGetNextInstruction(value))
                low, size = (lib.LLVMConstInt(lib.LLVMTypeOf(value), number & (1 << 64) - 1, 0)
                             for number in (promised[0], promised[1] - promised[0]))
                above = lib.LLVMBuildSub(builder, value, low, b"")
                return int(lib.LLVMBuildICmp(builder, _UNSIGNED_LESS, above, size, b""))
            if walk.is_never_null(value):
                lib.LLVMPositionBuilderBefore(builder, lib.LLVMGetNextInstruction(value))
                return int(lib.LLVMBuildIsNotNull(builder, value, b""))
        elif self._may_overflow(value, opcode) and walk.type_of(value).kind == TypeKind.INTEGER:
            lib.LLVMPositionBuilderBefore(builder, lib.LLVMGetNextInstruction(value))
            return int(lib.LLVMBuildICmp(builder, _EQUAL, value, value, b""))  # poison when the value is
        return None

    def _may_overflow(self, value: int, opcode: int) -> bool:
        lib = self._lib
        return opcode in _SHIFTS or (opcode in _ARITHMETIC and bool(lib.LLVMGetNSW(value) or lib.LLVMGetNUW(value)))
