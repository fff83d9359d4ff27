"""What opaque pointers point to, inferred from their use over a whole module: reads bodies into `Classes`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from llm_compiler.llvm.walk import Opcode, Type, TypeKind, ValueKind, Walk
from llm_compiler.validation.classes import Callee, Classes

# What one caller passes to these says nothing about another's.
_GENERIC = frozenset({"free", "malloc", "calloc", "realloc", "memcpy", "memmove", "memset", "memcmp", "memchr", "qsort",
                      "bsearch", "fread", "fwrite", "read", "write"})
# Functions of the C library that take plain bytes, and which of their parameters those are.
_BYTES = {"memcmp": (0, 1), "bcmp": (0, 1), "memchr": (0,), "fread": (0,), "fwrite": (0,), "read": (1,), "write": (1,),
          "recv": (1,), "send": (1,)}
# Functions of the C library that take text, and which of their parameters it is.
_TEXT = {
    0: frozenset({"strlen", "strcmp", "strncmp", "strcasecmp", "strncasecmp", "strcpy", "strncpy", "strcat", "strncat",
                  "strchr", "strrchr", "strstr", "strpbrk", "strspn", "strcspn", "strdup", "strndup", "strtol",
                  "strtoul", "strtoll", "strtoull", "strtod", "strtof", "strtok", "strtok_r", "strcoll", "atoi", "atol",
                  "atoll", "atof", "puts", "fputs", "fgets", "printf", "sprintf", "snprintf", "vsnprintf", "sscanf",
                  "fopen", "open", "stat", "unlink", "remove", "rename", "access", "getenv", "perror"}),
    1: frozenset({"strcmp", "strncmp", "strcasecmp", "strncasecmp", "strcpy", "strncpy", "strcat", "strncat", "strstr",
                  "strpbrk", "strspn", "strcspn", "strtok", "strtok_r", "strcoll", "fprintf", "sprintf", "sscanf",
                  "fscanf", "fopen", "rename"}),
    2: frozenset({"snprintf", "vsnprintf"}),
}
_SAME_POINTER = ("llvm.threadlocal.address", "llvm.launder.invariant.group", "llvm.strip.invariant.group",
                 "llvm.ptr.annotation", "llvm.ptrmask")
_COPIES = ("llvm.memcpy", "llvm.memmove")
_FILLS = ("llvm.memset",)
_INITIALISER_VALUES = 50000


@dataclass(slots=True)
class Body:
    """What the walk over one function saw."""

    blocks: int = 0
    constants: set[int] = field(default_factory=set)
    callees: dict[str, None] = field(default_factory=dict)
    volatile: bool = False
    atomic: bool = False
    assembly: bool = False
    indirect_calls: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """The address of a field: through which class, in which struct, at which offset, of which type."""

    base: int | None
    struct: Type
    offset: int
    type: Type


class Pointees:
    """Classes of pointers of one module. Nodes are numbers; None stands for null, undef and what has no pointer."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.classes = Classes()
        self.bodies: dict[int, Body] = {}
        self.stack_sizes: dict[tuple[int, int], int] = {}
        self.variable_arguments: dict[int, tuple[list[Type], int]] = {}
        self.first_calls: dict[int, int] = {}
        self._values: dict[int, int | None] = {}
        self._results: dict[int, int] = {}
        self._places: dict[int, _Place | None] = {}
        self._addresses: dict[tuple[Type, int], int] = {}
        self._allocas: dict[int, Type] = {}
        self._names: dict[int, str] = {}
        self._parameters: dict[int, list[int]] = {}
        self._body = Body()
        self._function = 0
        self._handlers = {
            Opcode.ALLOCA: self._on_alloca, Opcode.LOAD: self._on_load, Opcode.STORE: self._on_store,
            Opcode.GET_ELEMENT_PTR: self._on_gep, Opcode.CALL: self._on_call, Opcode.INVOKE: self._on_call,
            Opcode.CALL_BR: self._on_call, Opcode.RET: self._on_return, Opcode.ICMP: self._on_compare,
            Opcode.ADD: self._on_constants, Opcode.SUB: self._on_constants, Opcode.AND: self._on_constants,
            Opcode.SWITCH: self._on_switch, Opcode.PHI: self._on_join, Opcode.SELECT: self._on_join,
            Opcode.BIT_CAST: self._on_cast, Opcode.ADDRESS_SPACE_CAST: self._on_cast, Opcode.FREEZE: self._on_cast,
            Opcode.FENCE: self._on_atomic, Opcode.CMPXCHG: self._on_atomic, Opcode.ATOMIC_RMW: self._on_atomic,
        }
        for function in walk.functions():
            self._read_head(function)
        for variable in walk.variables():
            self._read_initialiser(variable)
        for function in walk.functions():
            if not walk.is_declaration(function):
                self._read_body(function)
        self.classes.settle(self._boundary(), self._boundary(_GENERIC), walk.array_of_bytes)

    # --- what was found

    def node(self, value: int) -> int | None:
        """The node of a pointer value."""
        try:
            return self._values[value]
        except KeyError:
            pass
        walk = self.walk
        kind = walk.value_kind(value)
        if kind == ValueKind.FUNCTION:
            return self._code_node(value)
        if kind == ValueKind.VARIABLE:
            pointee = walk.value_type(value)
            node = self.classes.new(pointee.element)
            initialiser = walk.initialiser(value) if walk.is_constant(value) else None
            if initialiser is not None and pointee.kind == TypeKind.ARRAY and walk.string(initialiser) is not None:
                return node  # equal literals of several functions are one variable, their users are not alike
        elif kind == ValueKind.ALIAS:
            return self.node(walk.aliasee(value))
        elif kind == ValueKind.CONSTANT_EXPRESSION:
            place = self._place(value)
            if place is None and value in self._values:
                return self._values[value]
            node = self._address_node(place) if place else self.classes.new()
            if walk.constant_opcode(value) in (Opcode.BIT_CAST, Opcode.ADDRESS_SPACE_CAST):
                self.classes.link(node, self.node(walk.operand(value, 0)))
        elif kind == ValueKind.INSTRUCTION:
            place = self._places.get(value)
            allocated = self._allocas.get(value)
            node = self._address_node(place) if place else self.classes.new(allocated.element if allocated else None)
        elif kind == ValueKind.ARGUMENT:
            node = self.classes.new()
        else:
            self._values[value] = None
            return None
        self._values[value] = node
        return node

    def result(self, function: int) -> int | None:
        """The node of what a function returns."""
        return self._results.get(function)

    def _cell_of(self, place: _Place) -> int:
        inner = place.type.field_at(0)  # of a union, or a struct whose first field is meant
        return self.classes.cell(*(inner[:2] if inner else (place.struct, place.offset)))

    def _address_node(self, place: _Place) -> int:
        """A node for one use of a field's address, linked to all others."""
        node = self.classes.new(place.type.element)
        key = (place.struct, place.offset)
        shared = self._addresses.get(key)
        if shared is None:
            shared = self._addresses[key] = self.classes.new(place.type.element)
            self.classes.union(self.classes.behind_of(shared), self._cell_of(place))
        self.classes.behind_of(node)
        self.classes.link(node, shared)
        return node

    def _code_node(self, function: int) -> int:
        node = self.classes.new()
        nodes = [self._values.get(parameter) for parameter in self._parameters[function]]
        callee = Callee(self.walk.type_of_function(function), nodes, self.result(function), function, False)
        self.classes.called(node, callee)
        return node

    def _read_head(self, function: int) -> None:
        walk = self.walk
        type_ = walk.type_of_function(function)
        name = self._names[function] = walk.name(function)
        declared = bool(walk.is_declaration(function))
        self._parameters[function] = walk.parameters(function)
        for index, parameter in enumerate(self._parameters[function]):
            if type_.parameters[index].kind == TypeKind.POINTER:
                node = self._values[parameter] = self.classes.new()
                if declared and name in _TEXT.get(index, ()):
                    self.classes.hint(node, walk.array_of_bytes(1))
                for attribute in walk.parameter_attributes(function, index).values():
                    if attribute.type is not None:
                        self.classes.hint(node, attribute.type.element)
        if type_.result.kind == TypeKind.POINTER:
            self._results[function] = self.classes.new()

    def _define(self, value: int, node: int | None) -> None:
        """Say what a value is; a phi may have asked for it before."""
        if value in self._values:
            self.classes.union(self._values[value], node)
        else:
            self._values[value] = node

    # --- globals

    def _read_initialiser(self, variable: int) -> None:
        walk = self.walk
        initialiser = walk.initialiser(variable)
        if initialiser is None or walk.value_kind(initialiser) not in _NESTED:
            if initialiser is not None and walk.type_of(initialiser).kind == TypeKind.POINTER:
                self.classes.link(self.classes.behind_of(self.node(variable)), self.node(initialiser))
            return
        pending: list[tuple[int, tuple[Type, int] | None]] = [(initialiser, None)]
        seen = 0
        while pending and seen < _INITIALISER_VALUES:
            seen += 1
            value, place = pending.pop()
            type_ = walk.type_of(value)
            if type_.kind == TypeKind.POINTER:
                cell = self.classes.cell(*place) if place else self.classes.behind_of(self.node(variable))
                self.classes.link(cell, self.node(value))
            elif walk.value_kind(value) in _NESTED:
                for index, operand in enumerate(walk.operands(value)):
                    inner = (type_, type_.offsets[index]) if type_.kind == TypeKind.STRUCT else place
                    pending.append((operand, inner))

    # --- bodies

    def _read_body(self, function: int) -> None:
        walk, handlers, opcode = self.walk, self._handlers, self.walk.opcode
        self._function = function
        self._body = self.bodies[function] = Body()
        for block in walk.blocks(function):
            self._body.blocks += 1
            for instruction in walk.instructions(block):
                handler = handlers.get(opcode(instruction))
                if handler is not None:
                    handler(instruction)

    def _on_alloca(self, value: int) -> None:
        self._allocas[value] = self.walk.allocated_type(value)

    def _on_load(self, value: int) -> None:
        type_ = self.walk.type_of(value)
        cell = self._access(value, self.walk.operand(value, 0), type_)
        if type_.kind == TypeKind.POINTER:
            self._define(value, cell)
        elif type_.bits == 8 and self.walk.range_of(value) == (0, 2):
            place = self._place(self.walk.operand(value, 0))
            self.classes.truth(self._cell_of(place) if place else self.node(self.walk.operand(value, 0)))

    def _on_store(self, value: int) -> None:
        walk = self.walk
        stored = walk.operand(value, 0)
        type_ = walk.type_of(stored)
        cell = self._access(value, walk.operand(value, 1), type_)
        if type_.kind == TypeKind.POINTER:
            self.classes.union(cell, self.node(stored))

    def _access(self, access: int, address: int, type_: Type) -> int | None:
        """Note a load or store; the node of the pointer that it moves, if it is one."""
        walk = self.walk
        volatile = bool(walk.is_volatile(access))
        if volatile:
            self._body.volatile = True
        if walk.ordering(access):
            self._body.atomic = True
        pointer = type_.kind == TypeKind.POINTER
        if address in self._allocas:
            return self.classes.behind_of(self.node(address)) if pointer else None
        place = self._place(address)
        node = place.base if place else self.node(address)
        self.classes.accessed(node, volatile)
        if place is None:
            self.classes.hint(node, type_)
            return self.classes.behind_of(node) if pointer else None
        if not pointer:
            return None
        moved = self.classes.new()
        self.classes.link(moved, self._cell_of(place))
        return moved

    def _place(self, value: int) -> _Place | None:
        """The field whose address a value is, if it is one's."""
        try:
            return self._places[value]
        except KeyError:
            pass
        self._places[value] = None
        walk = self.walk
        if (walk.value_kind(value) == ValueKind.CONSTANT_EXPRESSION
                and walk.constant_opcode(value) == Opcode.GET_ELEMENT_PTR):
            self._on_gep(value)
        return self._places[value]

    def _on_gep(self, value: int) -> None:
        walk = self.walk
        self._places[value] = None
        if walk.type_of(value).kind != TypeKind.POINTER:
            return
        source = walk.source_type(value)
        base, first, *indices = walk.operands(value)
        if not indices:
            self._move(value, base, source, walk.integer(first))
            return
        struct, offset, here = None, 0, source
        for index in indices:
            if here.kind == TypeKind.STRUCT:
                number = walk.integer(index) or 0
                struct, offset, here = here, here.offsets[number], here.elements[number]
            else:
                here = here.elements[0]
        outer = self._place(base)
        local = self._allocas.get(base)
        if struct is None:
            if outer:
                self._places[value] = _Place(outer.base, outer.struct, outer.offset, here)
            else:
                node = self.node(base)
                self.classes.hint(node, source.element)
                self._define(value, node)
            return
        if local is not None and local.element.kind == TypeKind.STRUCT:
            node = None
            # An argument that came in registers is stored through a struct without a name: { ptr, i64 }.
            if not struct.name and local.element.name and source is struct:
                struct, offset, here = local.element.field_at(offset) or (struct, offset, here)
        elif outer:
            node = outer.base
        else:
            node = self.node(base)
            self.classes.hint(node, source.element)
        place = self._places[value] = _Place(node, struct, offset, here)
        if value in self._values:
            self.classes.link(self._values[value], self._address_node(place))

    def _move(self, value: int, base: int, source: Type, step: int | None) -> None:
        """Pointer arithmetic."""
        node = self.node(base)
        if source.bits == 8 and step:
            # One character further, or another part of an object: a base class, a container.
            moved = self.classes.new()
            self.classes.link(moved, node)
            self._define(value, moved)
        else:
            self.classes.hint(node, source.element)
            self._define(value, node)

    def _on_call(self, value: int) -> None:
        walk = self.walk
        target = walk.callee(value)
        kind = walk.value_kind(target)
        if kind == ValueKind.ALIAS:
            target = walk.aliasee(target)
            kind = walk.value_kind(target)
        returns = walk.type_of(value).kind == TypeKind.POINTER
        if kind == ValueKind.INLINE_ASSEMBLY:
            self._body.assembly = True
            return
        if kind != ValueKind.FUNCTION:
            self._body.indirect_calls += 1
            type_ = walk.called_type(value)
            nodes = [self.node(walk.operand(value, index)) if parameter.kind == TypeKind.POINTER else None
                     for index, parameter in enumerate(type_.parameters)]
            result = self.classes.new() if returns else None
            rooms = tuple(0 if node is None else self._room(walk.operand(value, index))
                          for index, node in enumerate(nodes))
            self.classes.called(self.node(target), Callee(type_, nodes, result, value, True, rooms))
            if returns:
                self._define(value, result)
            return
        name = self._names[target]
        if name.startswith("llvm."):
            self._on_intrinsic(value, name, returns)
            return
        self._body.callees[name] = None
        declared = bool(walk.is_declaration(target))
        parameters = self._parameters[target]
        if declared:
            self.first_calls.setdefault(target, value)
            if walk.type_of_function(target).variadic:
                self._note_variable(target, value, len(parameters))
        for index in range(min(walk.argument_count(value), len(parameters))):
            argument = walk.operand(value, index)
            if walk.type_of(argument).kind == TypeKind.POINTER:
                self.classes.link(self.node(argument), self._values.get(parameters[index]))
                if declared:
                    self._note_stack(target, index, argument)
        if returns:
            result = self.classes.new()
            self.classes.link(result, self.result(target))
            self._define(value, result)
        if name in ("qsort", "bsearch"):
            self._on_sort(value)
        for index in _BYTES.get(name, ()) if declared and len(parameters) >= 3 else ():
            self._copy(walk.operand(value, index), None)

    def _on_sort(self, value: int) -> None:
        walk = self.walk
        *arguments, compare = [walk.operand(value, index) for index in range(walk.argument_count(value))]
        for parameter in self._parameters.get(compare, ()):
            for argument in arguments:
                if walk.type_of(argument).kind == TypeKind.POINTER:
                    self.classes.link(self.node(argument), self._values.get(parameter))

    def _on_intrinsic(self, value: int, name: str, returns: bool) -> None:
        walk = self.walk
        if name.startswith((*_COPIES, *_FILLS)):
            length = walk.integer(walk.operand(value, 2))
            self._copy(walk.operand(value, 0), length)
            if name.startswith(_COPIES):
                self._copy(walk.operand(value, 1), length)
                self.classes.link(self.node(walk.operand(value, 0)), self.node(walk.operand(value, 1)))
        elif returns and name.startswith(_SAME_POINTER):
            self._define(value, self.node(walk.operand(value, 0)))

    def _copy(self, value: int, length: int | None) -> None:
        """Note that bytes of any type are moved through a pointer: so many of them, or None when it varies."""
        if value not in self._allocas:
            self.classes.copied(self.node(value), length)

    def _note_variable(self, function: int, call: int, named: int) -> None:
        """Keep the types of the arguments after the named ones, as far as calls agree, and how many all calls have."""
        walk = self.walk
        values = [walk.operand(call, index) for index in range(named, walk.argument_count(call))]
        types = [walk.type_of(value) for value in values]
        known, common = self.variable_arguments.get(function, (types, len(types)))
        agreed = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(known, types, strict=False))))
        if agreed == min(len(known), len(types)):  # one has more
            self.variable_arguments[function] = max(known, types, key=len), min(common, agreed)
        else:
            self.variable_arguments[function] = known[:agreed], min(common, agreed)
        for index, value in enumerate(values):
            if types[index].kind == TypeKind.POINTER:
                self._note_stack(function, named + index, value)

    def _note_stack(self, function: int, index: int, argument: int) -> None:
        size = self._room(argument)
        if size:
            key = function, index
            self.stack_sizes[key] = min(size, self.stack_sizes.get(key, size))

    def _room(self, value: int) -> int:
        """Bytes from an address to the end of the local variable that it lies in; 0 when it is not known."""
        walk = self.walk
        allocated = self._allocas.get(value)
        if allocated is not None:
            return allocated.size * max(walk.integer(walk.operand(value, 0)) or 0, 0)
        if walk.value_kind(value) != ValueKind.INSTRUCTION or walk.opcode(value) != Opcode.GET_ELEMENT_PTR:
            return 0
        base, *indices = walk.operands(value)
        steps = [walk.integer(index) for index in indices]
        here = walk.source_type(value)
        offset = (steps[0] or 0) * here.size
        for step in steps[1:]:
            if here.kind == TypeKind.STRUCT:
                offset, here = offset + here.offsets[step or 0], here.elements[step or 0]
            else:
                here = here.elements[0]
                offset += (step or 0) * here.size
        known = all(step is not None for step in steps) and offset >= 0
        return max(self._room(base) - offset, 0) if known else 0

    def _on_return(self, value: int) -> None:
        if self._function in self._results and self.walk.operand_count(value):
            self.classes.link(self._results[self._function], self.node(self.walk.operand(value, 0)))

    def _on_constants(self, value: int) -> None:
        for index in (0, 1):
            number = self.walk.integer(self.walk.operand(value, index))
            if number is not None:
                self._body.constants.add(number)

    def _on_compare(self, value: int) -> None:
        left, right = self.walk.operand(value, 0), self.walk.operand(value, 1)
        if self.walk.type_of(left).kind == TypeKind.POINTER:
            self.classes.link(self.node(left), self.node(right))
        else:
            self._on_constants(value)

    def _on_switch(self, value: int) -> None:
        for operand in self.walk.operands(value)[2::2]:
            number = self.walk.integer(operand)
            if number is not None:
                self._body.constants.add(number)

    def _on_join(self, value: int) -> None:
        walk = self.walk
        if walk.type_of(value).kind == TypeKind.POINTER:
            joined = walk.operands(value)[1 if walk.opcode(value) == Opcode.SELECT else 0:]
            for operand in joined:
                self.classes.union(self.node(value), self.node(operand))

    def _on_cast(self, value: int) -> None:
        if self.walk.type_of(value).kind == TypeKind.POINTER:
            self._define(value, self.node(self.walk.operand(value, 0)))

    def _on_atomic(self, value: int) -> None:
        walk = self.walk
        self._body.atomic = True
        if walk.opcode(value) != Opcode.FENCE:
            type_ = walk.type_of(walk.operand(value, 1))
            cell = self._access(value, walk.operand(value, 0), type_)
            if type_.kind == TypeKind.POINTER:
                for operand in walk.operands(value)[1:]:
                    self.classes.link(cell, self.node(operand))

    def _boundary(self, names: Iterable[str] | None = None) -> Iterable[int]:
        """Nodes of parameters and results of functions, or of those so named."""
        for function, name in self._names.items():
            if names is None or name in names:
                nodes = [self._values.get(parameter) for parameter in self._parameters[function]]
                yield from (node for node in (*nodes, self.result(function)) if node is not None)


_NESTED = (ValueKind.CONSTANT_STRUCT, ValueKind.CONSTANT_ARRAY)
