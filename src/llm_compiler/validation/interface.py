"""What differential execution has to know about a module: how its functions are called, what their pointers point to,
which code and data lie outside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.walk import Attribute, FunctionType, Opcode, Type, TypeKind, ValueKind, Walk
from llm_compiler.validation.classes import Callee
from llm_compiler.validation.pointees import Body, Pointees

_LINKAGES = ("external", "available_externally", "linkonce", "linkonce_odr", "linkonce_odr", "weak", "weak_odr",
             "appending", "internal", "private", "dllimport", "dllexport", "extern_weak", "ghost", "common",
             "private", "private")
_LOCAL = ("internal", "private")
_SLOTS = 256
_CONSTANTS = 64
_STRINGS = 64
_LONGEST_STRING = 32


class Kind(IntEnum):
    """How bytes are to be filled and compared."""

    INT = 0
    FLOAT = 1
    DOUBLE = 2
    LONG_DOUBLE = 3
    POINTER = 4
    BYTES = 5


@dataclass(frozen=True, slots=True)
class Slot:
    """A scalar in an object: offset and size in bytes; `target` is the layout that a pointer leads to, or -1."""

    offset: int
    kind: Kind
    size: int
    bits: int
    target: int


@dataclass(frozen=True, slots=True)
class Layout:
    """One element of what a pointer points to; code when `function` is an index into `Interface.indirect`, else -1.

    `volatile`: every load and store through such a pointer is.
    """

    name: str
    size: int
    slots: tuple[Slot, ...]
    function: int
    volatile: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter or a result; sizes in bytes. `abi` holds the attributes that decide how it is passed, as IR text.

    stack_size: of a declared function's argument, the least room left in a local variable that a call passes; 0 when
    no call passes one.
    """

    type: str
    kind: Kind
    bits: int
    size: int
    layout: int
    abi: str
    by_value: int
    struct_return: int
    writable: bool
    noalias: bool
    nonnull: bool
    dereferenceable: int
    align: int
    returned: bool
    immarg: bool
    stack_size: int


@dataclass(frozen=True, slots=True)
class Signature:
    """How code is called; `convention` is LLVM's number, 0 for C's.

    variable: arguments after the named ones of a declared function, as far as calls agree on their types; common: how
    many of them every call has.
    """

    result: Parameter | None
    parameters: tuple[Parameter, ...]
    variadic: bool
    convention: int
    variable: tuple[Parameter, ...] = ()
    common: int = 0


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the module, declared or defined. `constants` are integers that its code compares with or adds,
    `variables` the module's variables that it mentions.
    """

    name: str
    signature: Signature
    defined: bool
    local: bool
    linkage: str
    address_taken: bool
    effects: str
    noreturn: bool
    intrinsic: bool
    allocation_size: tuple[int, ...] | None
    constants: tuple[int, ...]
    callees: tuple[str, ...]
    variables: tuple[str, ...]
    blocks: int
    uses_volatile: bool
    uses_atomics: bool
    has_inline_assembly: bool
    indirect_calls: int


@dataclass(frozen=True, slots=True)
class Global:
    """A global variable; size and alignment in bytes, `layout` of one element. What is emitted elsewhere (C++'s virtual
    tables, now and then) is not `defined`, even where its contents are known.
    """

    name: str
    defined: bool
    constant: bool
    local: bool
    thread_local: bool
    size: int
    align: int
    layout: int
    volatile: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """A module seen from outside."""

    functions: tuple[Function, ...]
    globals: tuple[Global, ...]
    layouts: tuple[Layout, ...]
    indirect: tuple[Signature, ...]
    strings: tuple[bytes, ...]
    triple: str
    inline_assembly: bool
    aliases: tuple[tuple[str, str], ...]
    constructors: tuple[str, ...]


def read_interface(bitcode: bytes) -> Interface:
    """Read unoptimised bitcode, as clang -Oz hands it to the passes, in this process. Raises InputError."""
    with Context(library.load()) as context, context.parse(bitcode) as module:
        return _Reader(Walk(module)).interface()


class _Reader:
    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.pointees = Pointees(walk)
        self.layouts = _Layouts(walk, self.pointees)
        self.bodies = {walk.name(function): body for function, body in self.pointees.bodies.items()}
        self.variables = self._variables()

    def interface(self) -> Interface:
        walk = self.walk
        functions = tuple(self._function(function) for function in walk.functions())
        variables = tuple(self._global(variable) for variable in walk.variables())
        indirect = self.layouts.finish()
        return Interface(
            functions=functions,
            globals=variables,
            layouts=tuple(self.layouts.done),
            indirect=indirect,
            strings=self._strings(),
            triple=walk.module.triple,
            inline_assembly=walk.inline_assembly(),
            aliases=tuple((walk.name(alias), walk.name(walk.aliasee(alias))) for alias in walk.aliases()),
            constructors=self._constructors(),
        )

    def _function(self, function: int) -> Function:
        walk = self.walk
        name = walk.name(function)
        attributes = walk.function_attributes(function)
        body = self.pointees.bodies.get(function, Body())
        linkage = _LINKAGES[walk.linkage(function)]
        size = attributes.get("allocsize")
        return Function(
            name=name,
            signature=self.layouts.signature_of(function),
            defined=function in self.pointees.bodies,
            local=linkage in _LOCAL,
            linkage=linkage,
            address_taken=self._address_taken(function),
            effects=_effects(attributes),
            noreturn="noreturn" in attributes,
            intrinsic=name.startswith("llvm."),
            allocation_size=_allocation_size(size.value) if size else None,
            constants=self._constants(body),
            callees=tuple(body.callees),
            variables=tuple(self.variables.get(function, ())),
            blocks=body.blocks,
            uses_volatile=body.volatile,
            uses_atomics=body.atomic,
            has_inline_assembly=body.assembly,
            indirect_calls=body.indirect_calls,
        )

    def _variables(self) -> dict[int, list[str]]:
        """Which of the module's own variables, constants aside, each function mentions."""
        walk = self.walk
        found: dict[int, list[str]] = {}
        for variable in walk.variables():
            if walk.is_constant(variable) or walk.initialiser(variable) is None:
                continue
            seen: dict[int, None] = {}
            pending = [variable]
            while pending:
                for user in walk.users(pending.pop()):
                    kind = walk.value_kind(user)
                    if kind == ValueKind.INSTRUCTION:
                        seen[walk.function_of(user)] = None
                    elif kind == ValueKind.CONSTANT_EXPRESSION:
                        pending.append(user)
            for function in seen:
                found.setdefault(function, []).append(walk.name(variable))
        return found

    def _address_taken(self, function: int) -> bool:
        walk = self.walk
        for user in walk.users(function):
            if walk.value_kind(user) != ValueKind.INSTRUCTION or walk.opcode(user) not in _CALLS:
                return True
            if any(walk.operand(user, index) == function for index in range(walk.argument_count(user))):
                return True
        return False

    def _constants(self, body: Body) -> tuple[int, ...]:
        found = dict.fromkeys(sorted(body.constants, key=_magnitude))
        inherited: set[int] = set()
        for name in body.callees:
            if name in self.bodies:
                inherited |= self.bodies[name].constants
        found |= dict.fromkeys(sorted(inherited, key=_magnitude))
        return tuple(sorted(list(found)[:_CONSTANTS]))

    def _global(self, variable: int) -> Global:
        walk = self.walk
        type_ = walk.value_type(variable)
        linkage = _LINKAGES[walk.linkage(variable)]
        node = self.pointees.node(variable)
        return Global(
            name=walk.name(variable),
            defined=walk.initialiser(variable) is not None and linkage != "available_externally",
            constant=walk.is_constant(variable),
            local=linkage in _LOCAL,
            thread_local=walk.is_thread_local(variable),
            size=type_.size,
            align=walk.alignment(variable),
            layout=self.layouts.of_type(type_.element, node) if type_.size else -1,
            volatile=self.pointees.classes.is_volatile(node),
        )

    def _strings(self) -> tuple[bytes, ...]:
        walk = self.walk
        found: dict[bytes, None] = {}
        for variable in walk.variables():
            initialiser = walk.initialiser(variable) if walk.is_constant(variable) else None
            data = walk.string(initialiser) if initialiser is not None else None
            text = data.removesuffix(b"\0") if data else b""
            if 1 <= len(text) <= _LONGEST_STRING:
                found[text] = None
        return tuple(found)[:_STRINGS]

    def _constructors(self) -> tuple[str, ...]:
        walk = self.walk
        named = [variable for variable in walk.variables() if walk.name(variable) == "llvm.global_ctors"]
        entries = [entry for variable in named for entry in walk.operands(walk.initialiser(variable) or 0)]
        return tuple(walk.name(walk.operand(entry, 1)) for entry in entries)


class _Layouts:
    """Layouts and signatures by number; slots are filled after a layout has its number, so that types may recur."""

    def __init__(self, walk: Walk, pointees: Pointees) -> None:
        self.walk = walk
        self.pointees = pointees
        self.classes = pointees.classes
        self.done: list[Layout] = []
        self._numbers: dict[object, int] = {}
        self._structs: list[tuple[int, Type]] = []
        self._code: list[tuple[int, Callee]] = []

    def of(self, node: int | None) -> int:
        """The layout of what a node points to, or -1."""
        found = self.classes.pointee(node)
        if found is None:
            return -1
        root, pointee = found
        if isinstance(pointee, Type):
            return self.of_type(pointee, root)
        number = self._numbers.get(("code", root))
        if number is None:
            number = self._number(("code", root), Layout("code", 1, (), -1, False))
            self._code.append((number, self.classes.code(root)))
        return number

    def of_type(self, type_: Type, node: int | None) -> int:
        """The layout of a type; `node` points to it and says what pointers in it lead on to."""
        if type_.kind in (TypeKind.STRUCT, TypeKind.ARRAY):
            number = self._numbers.get(type_)
            if number is None:
                volatile = self.classes.is_volatile_struct(type_)
                number = self._number(type_, Layout(type_.name or type_.text, type_.size, (), -1, volatile))
                self._structs.append((number, type_))
            return number
        volatile = self.classes.is_volatile(node)
        if type_.kind != TypeKind.POINTER:
            slot = Slot(0, _kind(type_), type_.size, self._bits(type_, node), -1)
            return self._unique(Layout(type_.text, type_.size, (slot,), -1, volatile))
        known = ("pointer", node)
        if known in self._numbers:
            return self._numbers[known]
        empty = Layout("ptr", type_.size, (), -1, volatile)
        reserved = self._numbers[known] = len(self.done)
        self.done.append(empty)
        target = self.of(self.classes.behind(node) if node is not None else None)
        filled = replace(empty, slots=(Slot(0, Kind.POINTER, type_.size, 0, target),))
        if filled in self._numbers and reserved == len(self.done) - 1:
            self.done.pop()
            self._numbers[known] = self._numbers[filled]
        else:
            self.done[reserved] = filled
            self._numbers.setdefault(filled, reserved)
        return self._numbers[known]

    def _number(self, key: object, layout: Layout) -> int:
        self._numbers[key] = len(self.done)
        self.done.append(layout)
        return self._numbers[key]

    def _unique(self, layout: Layout) -> int:
        found = self._numbers.get(layout)
        return self._number(layout, layout) if found is None else found

    def finish(self) -> tuple[Signature, ...]:
        """Fill what was promised; the signatures of code that is called through pointers."""
        signatures: dict[Signature, int] = {}
        for callee in self.classes.callees():
            signatures.setdefault(self._signature(callee), len(signatures))
        while self._structs or self._code:
            if self._structs:
                number, type_ = self._structs.pop()
                slots: list[Slot] = []
                self._fill(slots, type_, 0, None)
                self.done[number] = replace(self.done[number], slots=tuple(slots))
            else:
                number, callee = self._code.pop(0)
                signature = self._signature(callee)
                index = signatures.setdefault(signature, len(signatures))
                self.done[number] = replace(self.done[number], function=index)
        return tuple(signatures)

    def _fill(self, slots: list[Slot], type_: Type, offset: int, cell: int | None) -> None:
        if len(slots) >= _SLOTS or not type_.size:
            return
        if type_.kind == TypeKind.STRUCT:
            for inner, element in zip(type_.offsets, type_.elements, strict=True):
                self._fill(slots, element, offset + inner, self.classes.cell(type_, inner))
        elif type_.kind == TypeKind.ARRAY:
            for index in range(min(type_.count, _SLOTS)):
                self._fill(slots, type_.elements[0], offset + index * type_.elements[0].size, cell)
        else:
            target = self.of(cell) if type_.kind == TypeKind.POINTER else -1
            slots.append(Slot(offset, _kind(type_), type_.size, self._bits(type_, cell), target))

    def _bits(self, type_: Type, node: int | None) -> int:
        """Bits of a scalar that may be set: one of a byte that holds a truth value."""
        return 1 if type_.bits == 8 and self.classes.holds_truth(node) else type_.bits

    # --- signatures

    def signature_of(self, function: int) -> Signature:
        walk, pointees = self.walk, self.pointees
        type_ = walk.type_of_function(function)
        call = pointees.first_calls.get(function)
        parameters = []
        for index, (value, parameter) in enumerate(zip(walk.parameters(function), type_.parameters, strict=True)):
            attributes = walk.parameter_attributes(function, index)
            if call is not None:
                attributes = walk.parameter_attributes(call, index, call=True) | attributes
            node = pointees.node(value) if parameter.kind == TypeKind.POINTER else None
            size = pointees.stack_sizes.get((function, index), 0)
            parameters.append(self._parameter(parameter, attributes, node, size))
        types, common = pointees.variable_arguments.get(function, ([], 0))
        variable = tuple(
            self._parameter(argument, {}, None, pointees.stack_sizes.get((function, len(parameters) + index), 0))
            for index, argument in enumerate(types))
        return Signature(self._result(type_, walk.result_attributes(function), pointees.result(function)),
                         tuple(parameters), type_.variadic, walk.convention(function), variable, common)

    def _signature(self, callee: Callee) -> Signature:
        walk, type_ = self.walk, callee.type
        parameters = tuple(
            self._parameter(parameter, walk.parameter_attributes(callee.site, index, call=callee.call),
                            callee.parameters[index], callee.rooms[index] if callee.rooms else 0)
            for index, parameter in enumerate(type_.parameters)
        )
        result = self._result(type_, walk.result_attributes(callee.site, call=callee.call), callee.result)
        return Signature(result, parameters, type_.variadic, walk.convention(callee.site, call=callee.call))

    def _result(self, type_: FunctionType, attributes: dict[str, Attribute], node: int | None) -> Parameter | None:
        return self._parameter(type_.result, attributes, node) if type_.result.size else None

    def _parameter(
        self, type_: Type, attributes: dict[str, Attribute], node: int | None, stack_size: int = 0
    ) -> Parameter:
        none = Attribute()
        dereferenceable = attributes.get("dereferenceable", none).value
        return Parameter(
            type=type_.text,
            kind=_kind(type_),
            bits=type_.bits,
            size=type_.size,
            layout=self.of(node) if type_.kind == TypeKind.POINTER else -1,
            abi=_abi(attributes),
            by_value=_held(attributes, "byval"),
            struct_return=_held(attributes, "sret"),
            writable="readonly" not in attributes and "readnone" not in attributes,
            noalias="noalias" in attributes,
            nonnull="nonnull" in attributes or dereferenceable > 0,
            dereferenceable=dereferenceable or attributes.get("dereferenceable_or_null", none).value,
            align=attributes.get("align", none).value,
            returned="returned" in attributes,
            immarg="immarg" in attributes,
            stack_size=stack_size,
        )


_CALLS = (Opcode.CALL, Opcode.INVOKE, Opcode.CALL_BR)
_KINDS = {TypeKind.INTEGER: Kind.INT, TypeKind.FLOAT: Kind.FLOAT, TypeKind.DOUBLE: Kind.DOUBLE,
          TypeKind.X86_FP80: Kind.LONG_DOUBLE, TypeKind.POINTER: Kind.POINTER}


def _kind(type_: Type) -> Kind:
    return _KINDS.get(TypeKind(type_.kind), Kind.BYTES) if type_.kind in _KINDS else Kind.BYTES


def _held(attributes: dict[str, Attribute], name: str) -> int:
    """Bytes of the object of a byval or sret parameter."""
    attribute = attributes.get(name)
    return attribute.type.size if attribute and attribute.type else 0


def _abi(attributes: dict[str, Attribute]) -> str:
    plain = ("signext", "zeroext", "inreg", "nest", "swiftself", "swifterror", "swiftasync")
    words: list[str] = [name for name in plain if name in attributes]
    for name in ("byval", "sret", "byref", "inalloca", "preallocated"):
        if name in attributes:
            words.append(f"{name}([{_held(attributes, name)} x i8])")
            if "align" in attributes:
                words.append(f"align {attributes['align'].value}")
    return " ".join(words)


def _effects(attributes: dict[str, Attribute]) -> str:
    # llvm/Support/ModRef.h: two bits a location, 1 reads, 2 writes.
    memory = attributes.get("memory")
    if memory is None:
        return "any"
    if not memory.value:
        return "none"
    return "any" if memory.value & 0b101010 else "read"


def _allocation_size(packed: int) -> tuple[int, ...]:
    # llvm/IR/Attributes.cpp, packAllocSizeArgs: the size's argument above, the count's below, all ones for none.
    size, count = packed >> 32, packed & 0xFFFFFFFF
    return (size,) if count == 0xFFFFFFFF else (size, count)


def _magnitude(value: int) -> tuple[int, int]:
    return abs(value), value
