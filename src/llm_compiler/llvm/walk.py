"""Read-only walks over a module: types, constants, attributes, globals, functions and instructions by handle."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from llm_compiler.llvm.module import Module

_FUNCTION = 0xFFFFFFFF
_RESULT = 0


class TypeKind(IntEnum):
    """LLVMTypeKind, as far as values in memory have it; other kinds stay plain numbers."""

    VOID = 0
    HALF = 1
    FLOAT = 2
    DOUBLE = 3
    X86_FP80 = 4
    FP128 = 5
    PPC_FP128 = 6
    INTEGER = 8
    STRUCT = 10
    ARRAY = 11
    POINTER = 12
    VECTOR = 13
    BFLOAT = 18


class ValueKind(IntEnum):
    """LLVMValueKind: those that pointers come from."""

    ARGUMENT = 0
    FUNCTION = 5
    ALIAS = 6
    VARIABLE = 8
    CONSTANT_EXPRESSION = 10
    CONSTANT_ARRAY = 11
    CONSTANT_STRUCT = 12
    CONSTANT_DATA_ARRAY = 16
    INLINE_ASSEMBLY = 23
    INSTRUCTION = 24


class Opcode(IntEnum):
    """LLVMOpcode: the ones that say something about pointers, calls or constants."""

    RET = 1
    SWITCH = 3
    INVOKE = 5
    ADD = 8
    SUB = 10
    MUL = 12
    SHL = 20
    LSHR = 21
    ASHR = 22
    AND = 23
    ALLOCA = 26
    LOAD = 27
    STORE = 28
    GET_ELEMENT_PTR = 29
    BIT_CAST = 41
    ICMP = 42
    PHI = 44
    CALL = 45
    SELECT = 46
    FENCE = 55
    CMPXCHG = 56
    ATOMIC_RMW = 57
    ADDRESS_SPACE_CAST = 60
    CALL_BR = 67
    FREEZE = 68


_SPELLED = {TypeKind.VOID: "void", TypeKind.HALF: "half", TypeKind.FLOAT: "float", TypeKind.DOUBLE: "double",
            TypeKind.X86_FP80: "x86_fp80", TypeKind.FP128: "fp128", TypeKind.PPC_FP128: "ppc_fp128",
            TypeKind.BFLOAT: "bfloat", 15: "x86_mmx", 19: "x86_amx"}


@dataclass(frozen=True, slots=True, eq=False)
class Type:
    """A type, once per module: equal types are one object.

    `text` is IR with struct bodies in place of their names; size and align are the ABI's, in bytes, 0 when unsized.
    """

    kind: int
    text: str
    name: str = ""
    size: int = 0
    align: int = 1
    bits: int = 0
    elements: tuple[Type, ...] = ()
    offsets: tuple[int, ...] = ()
    count: int = 0

    @property
    def element(self) -> Type:
        """What an array is of in the end: T of [2 x [3 x T]]; another type is its own element."""
        found = self
        while found.kind == TypeKind.ARRAY:
            found = found.elements[0]
        return found

    def field_at(self, offset: int) -> tuple[Type, int, Type] | None:
        """The innermost struct around a byte offset, the field's offset in it, and the field; None without a struct.

        Indices of arrays count as 0: offsets of elements are those of the first.
        """
        found = None
        here = self
        while True:
            here = here.element
            if here.kind != TypeKind.STRUCT or not here.elements:
                return found
            offset %= max(here.size, 1)
            index = max(i for i, start in enumerate(here.offsets) if start <= offset)
            found = here, here.offsets[index], here.elements[index]
            offset -= here.offsets[index]
            here = here.elements[index]


@dataclass(frozen=True, slots=True, eq=False)
class FunctionType:
    """A function type, once per module."""

    result: Type
    parameters: tuple[Type, ...]
    variadic: bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute without its name: the value of `align 8`, the type of `byval(T)`."""

    value: int = 0
    type: Type | None = None


class Walk:
    """Reads one module, which must stay open. Values are handles; the attributes below are LLVM's own functions."""

    def __init__(self, module: Module) -> None:
        lib = self.lib = module.lib
        self.module = module
        self.opcode = lib.LLVMGetInstructionOpcode
        self.operand = lib.LLVMGetOperand
        self.operand_count = lib.LLVMGetNumOperands
        self.value_kind = lib.LLVMGetValueKind
        self.is_volatile = lib.LLVMGetVolatile
        self.ordering = lib.LLVMGetOrdering
        self.callee = lib.LLVMGetCalledValue
        self.argument_count = lib.LLVMGetNumArgOperands
        self.parameter = lib.LLVMGetParam
        self.linkage = lib.LLVMGetLinkage
        self.is_declaration = lib.LLVMIsDeclaration
        self.constant_opcode = lib.LLVMGetConstOpcode
        self.aliasee = lib.LLVMAliasGetAliasee
        self._data = lib.LLVMGetModuleDataLayout(module.handle)
        self._type_of = lib.LLVMTypeOf
        self._types: dict[int, Type] = {}
        self._function_types: dict[int, FunctionType] = {}
        self._integers: dict[int, int | None] = {}
        self._attributes: dict[int, tuple[str, Attribute]] = {}
        self._kinds: dict[int, str] = {}
        self._byte = lib.LLVMInt8TypeInContext(module.context.handle)
        self._range, self._nonnull = (lib.LLVMGetMDKindIDInContext(module.context.handle, name, len(name))
                                      for name in (b"range", b"nonnull"))

    # --- types and constants

    def type_of(self, value: int) -> Type:
        return self.type(self._type_of(value))

    def type(self, handle: int) -> Type:
        found = self._types.get(handle)
        if found is None:
            found = self._types[handle] = self._read_type(handle)
        return found

    def _read_type(self, handle: int) -> Type:
        lib = self.lib
        kind = lib.LLVMGetTypeKind(handle)
        text, name, bits, count = _SPELLED.get(kind, "opaque"), "", 0, 0
        elements: tuple[Type, ...] = ()
        offsets: tuple[int, ...] = ()
        if kind == TypeKind.INTEGER:
            bits = lib.LLVMGetIntTypeWidth(handle)
            text = f"i{bits}"
        elif kind == TypeKind.POINTER:
            space = lib.LLVMGetPointerAddressSpace(handle)
            text = f"ptr addrspace({space})" if space else "ptr"
        elif kind in (TypeKind.ARRAY, TypeKind.VECTOR):
            elements = (self.type(lib.LLVMGetElementType(handle)),)
            count = lib.LLVMGetArrayLength2(handle) if kind == TypeKind.ARRAY else lib.LLVMGetVectorSize(handle)
            inner = f"{count} x {elements[0].text}"
            text = f"[{inner}]" if kind == TypeKind.ARRAY else f"<{inner}>"
        elif kind == TypeKind.STRUCT:
            name = (lib.LLVMGetStructName(handle) or b"").decode(errors="replace")
            indices = range(lib.LLVMCountStructElementTypes(handle))
            elements = tuple(self.type(lib.LLVMStructGetTypeAtIndex(handle, index)) for index in indices)
            inner = "{ " + ", ".join(element.text for element in elements) + " }" if elements else "{}"
            text = f"<{inner}>" if lib.LLVMIsPackedStruct(handle) else inner
        if kind == TypeKind.VOID or not lib.LLVMTypeIsSized(handle):
            return Type(kind, text, name, bits=bits, elements=elements, count=count)
        if kind == TypeKind.STRUCT:
            offsets = tuple(lib.LLVMOffsetOfElement(self._data, handle, index) for index in indices)
        size = lib.LLVMABISizeOfType(self._data, handle)
        align = lib.LLVMABIAlignmentOfType(self._data, handle)
        return Type(kind, text, name, size, align, bits, elements, offsets, count)

    def array_of_bytes(self, count: int) -> Type:
        """The type [count x i8]; i8 for 1."""
        return self.type(self.lib.LLVMArrayType2(self._byte, count)) if count != 1 else self.type(self._byte)

    def function_type(self, handle: int) -> FunctionType:
        found = self._function_types.get(handle)
        if found is None:
            lib = self.lib
            parameters = (ctypes.c_void_p * lib.LLVMCountParamTypes(handle))()
            lib.LLVMGetParamTypes(handle, parameters)
            found = self._function_types[handle] = FunctionType(
                self.type(lib.LLVMGetReturnType(handle)),
                tuple(self.type(parameter) for parameter in parameters if parameter is not None),
                bool(lib.LLVMIsFunctionVarArg(handle)),
            )
        return found

    def called_type(self, call: int) -> FunctionType:
        return self.function_type(self.lib.LLVMGetCalledFunctionType(call))

    def value_type(self, variable: int) -> Type:
        """The type of what a global variable holds."""
        return self.type(self.lib.LLVMGlobalGetValueType(variable))

    def type_of_function(self, function: int) -> FunctionType:
        return self.function_type(self.lib.LLVMGlobalGetValueType(function))

    def allocated_type(self, alloca: int) -> Type:
        return self.type(self.lib.LLVMGetAllocatedType(alloca))

    def source_type(self, gep: int) -> Type:
        """The type that a getelementptr's indices are of."""
        return self.type(self.lib.LLVMGetGEPSourceElementType(gep))

    def integer(self, value: int) -> int | None:
        """A constant integer, signed; None for another value or one that needs more than 64 bits."""
        try:
            return self._integers[value]
        except KeyError:
            pass
        found: int | None = None
        if self.lib.LLVMIsAConstantInt(value):
            if self.type_of(value).bits <= 64:
                found = self.lib.LLVMConstIntGetSExtValue(value)
            else:
                text = self.lib.take_string(self.lib.LLVMPrintValueToString(value))
                wide = int(text.rpartition(" ")[2])
                found = wide if -(1 << 63) <= wide < 1 << 63 else None
        self._integers[value] = found
        return found

    def string(self, value: int) -> bytes | None:
        """The bytes of a constant array of i8."""
        if self.value_kind(value) != ValueKind.CONSTANT_DATA_ARRAY or not self.lib.LLVMIsConstantString(value):
            return None
        length = ctypes.c_size_t()
        address = self.lib.LLVMGetAsString(value, ctypes.byref(length))
        return ctypes.string_at(address, length.value)

    def range_of(self, load: int) -> tuple[int, int] | None:
        """The lowest value that a load promises, and one more than the highest; None when it promises none."""
        lib = self.lib
        promised = lib.LLVMGetMetadata(load, self._range) if lib.LLVMHasMetadata(load) else None
        if not promised or lib.LLVMGetMDNodeNumOperands(promised) != 2:
            return None
        ends = (ctypes.c_void_p * 2)()
        lib.LLVMGetMDNodeOperands(promised, ends)
        low, high = self.integer(ends[0] or 0), self.integer(ends[1] or 0)
        return None if low is None or high is None else (low, high)

    def is_never_null(self, load: int) -> bool:
        """Whether a load promises a pointer that is not null."""
        return bool(self.lib.LLVMHasMetadata(load) and self.lib.LLVMGetMetadata(load, self._nonnull))

    def operands(self, value: int) -> list[int]:
        return [self.operand(value, index) for index in range(self.operand_count(value))]

    # --- attributes

    def function_attributes(self, function: int) -> dict[str, Attribute]:
        """Attributes of the function itself, by name; those with a string for a name are left out."""
        return self._attributes_at(function, _FUNCTION, call=False)

    def result_attributes(self, value: int, *, call: bool = False) -> dict[str, Attribute]:
        return self._attributes_at(value, _RESULT, call=call)

    def parameter_attributes(self, value: int, index: int, *, call: bool = False) -> dict[str, Attribute]:
        return self._attributes_at(value, index + 1, call=call)

    def _attributes_at(self, value: int, index: int, *, call: bool) -> dict[str, Attribute]:
        lib = self.lib
        count = (lib.LLVMGetCallSiteAttributeCount if call else lib.LLVMGetAttributeCountAtIndex)(value, index)
        if not count:
            return {}
        handles = (ctypes.c_void_p * count)()
        (lib.LLVMGetCallSiteAttributes if call else lib.LLVMGetAttributesAtIndex)(value, index, handles)
        found = [self._attribute(handle) for handle in handles if handle is not None]
        return {name: attribute for name, attribute in found if name}

    def _attribute(self, handle: int) -> tuple[str, Attribute]:
        known = self._attributes.get(handle)
        if known is None:
            lib = self.lib
            typed = bool(lib.LLVMIsTypeAttribute(handle))
            known = "", Attribute()
            if typed or lib.LLVMIsEnumAttribute(handle):
                name = self._kind_names().get(lib.LLVMGetEnumAttributeKind(handle), "")
                pointee = lib.LLVMGetTypeAttributeValue(handle) if typed else None
                value = 0 if typed else lib.LLVMGetEnumAttributeValue(handle)
                known = name, Attribute(value, self.type(pointee) if pointee else None)
            self._attributes[handle] = known
        return known

    def _kind_names(self) -> dict[int, str]:
        if not self._kinds:
            for name in ATTRIBUTES:
                self._kinds[self.lib.LLVMGetEnumAttributeKindForName(name.encode(), len(name))] = name
        return self._kinds

    # --- what is in a module

    def functions(self) -> Iterator[int]:
        """Every function, declarations too."""
        function = self.lib.LLVMGetFirstFunction(self.module.handle)
        while function:
            yield function
            function = self.lib.LLVMGetNextFunction(function)

    def variables(self) -> Iterator[int]:
        """Every global variable."""
        variable = self.lib.LLVMGetFirstGlobal(self.module.handle)
        while variable:
            yield variable
            variable = self.lib.LLVMGetNextGlobal(variable)

    def aliases(self) -> Iterator[int]:
        alias = self.lib.LLVMGetFirstGlobalAlias(self.module.handle)
        while alias:
            yield alias
            alias = self.lib.LLVMGetNextGlobalAlias(alias)

    def name(self, value: int) -> str:
        return self.module.name_of(value)

    def parameters(self, function: int) -> list[int]:
        return [self.parameter(function, index) for index in range(len(self.type_of_function(function).parameters))]

    def initialiser(self, variable: int) -> int | None:
        found: int | None = self.lib.LLVMGetInitializer(variable)
        return found or None

    def is_constant(self, variable: int) -> bool:
        return bool(self.lib.LLVMIsGlobalConstant(variable))

    def is_thread_local(self, variable: int) -> bool:
        return bool(self.lib.LLVMIsThreadLocal(variable))

    def alignment(self, variable: int) -> int:
        """Bytes: the variable's own, else the ABI's for its type."""
        return self.lib.LLVMGetAlignment(variable) or self.value_type(variable).align

    def convention(self, value: int, *, call: bool = False) -> int:
        """The number of the calling convention of a function or a call; 0 is C's."""
        return int((self.lib.LLVMGetInstructionCallConv if call else self.lib.LLVMGetFunctionCallConv)(value))

    def blocks(self, function: int) -> Iterator[int]:
        block = self.lib.LLVMGetFirstBasicBlock(function)
        while block:
            yield block
            block = self.lib.LLVMGetNextBasicBlock(block)

    def instructions(self, block: int) -> Iterator[int]:
        instruction = self.lib.LLVMGetFirstInstruction(block)
        following = self.lib.LLVMGetNextInstruction
        while instruction:
            yield instruction
            instruction = following(instruction)

    def users(self, value: int) -> Iterator[int]:
        """What uses a value, once per use."""
        use = self.lib.LLVMGetFirstUse(value)
        while use:
            yield self.lib.LLVMGetUser(use)
            use = self.lib.LLVMGetNextUse(use)

    def function_of(self, instruction: int) -> int:
        """The function that an instruction is in."""
        return int(self.lib.LLVMGetBasicBlockParent(self.lib.LLVMGetInstructionParent(instruction)))

    def inline_assembly(self) -> bool:
        """Whether the module itself, outside functions, holds assembly."""
        length = ctypes.c_size_t()
        self.lib.LLVMGetModuleInlineAsm(self.module.handle, ctypes.byref(length))
        return length.value > 0


# The attributes that can be read here, by LLVM's names.
ATTRIBUTES = (
    "signext", "zeroext", "inreg", "byval", "sret", "byref", "inalloca", "preallocated", "nest", "swiftself",
    "swifterror", "swiftasync", "align", "noalias", "nonnull", "dereferenceable", "dereferenceable_or_null", "readonly",
    "readnone", "returned", "immarg", "memory", "noreturn", "allocsize",
)
