"""What is linked to every version of a module: callers of its functions, and stubs for all that it calls elsewhere.

Written as LLVM IR, so that LLVM itself settles the calling convention. `Driver.plan` packs what runtime.c has to know;
the structures are those at its head.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_compiler.validation.interface import Function, Interface, Kind, Layout, Parameter, Signature, Slot


def _names(text: str) -> list[str]:
    return text.split()


# Functions whose meaning LLVM's optimiser knows (TargetLibraryInfo), and their like without state: the C library's own.
PASS_THROUGH = frozenset(_names("""
memcpy memmove memset memcmp bcmp bzero bcopy memchr memrchr memmem mempcpy memccpy rawmemchr strlen strnlen strcpy
strncpy strcat strncat strcmp strncmp strchr strrchr strchrnul strstr strspn strcspn strpbrk stpcpy stpncpy
strcasecmp strncasecmp strcasestr strcoll strsep strtok_r strtol strtoul strtoll strtoull strtod strtof strtold
__isoc23_strtol __isoc23_strtoul __isoc23_strtoll __isoc23_strtoull __isoc99_sscanf sscanf atoi atol atoll atof abs
labs llabs div ldiv lldiv ffs ffsl ffsll qsort bsearch isalpha isdigit isalnum isspace isupper islower isxdigit
ispunct isprint isgraph iscntrl isblank toupper tolower isascii toascii __ctype_b_loc __ctype_tolower_loc
__ctype_toupper_loc __ctype_get_mb_cur_max snprintf sprintf vsnprintf vsprintf __snprintf_chk
__sprintf_chk __vsnprintf_chk __vsprintf_chk __memcpy_chk __memmove_chk __memset_chk __strcpy_chk __strncpy_chk
__strcat_chk __strncat_chk __stpcpy_chk setjmp _setjmp __sigsetjmp longjmp _longjmp siglongjmp __longjmp_chk wcslen
wcscpy wcscmp wcsncmp wcschr wmemcpy wmemmove wmemset wmemcmp wmemchr btowc towlower towupper iswalpha iswdigit
iswspace htonl htons ntohl ntohs swab insque remque index rindex a64l l64a __isnan __isnanf __isinf __isinff
__finite __finitef __signbit __signbitf __fpclassify __fpclassifyf
""")) | frozenset(
    name + suffix
    for name in _names("""
sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh exp exp2 expm1 log log2 log10 log1p pow sqrt cbrt
hypot ceil floor round roundeven trunc rint nearbyint lrint llrint lround llround fmod remainder remquo fabs fmin
fmax fdim copysign ldexp frexp modf scalbn scalbln logb ilogb erf erfc tgamma lgamma fma nan nextafter nexttoward
isnan isinf finite sincos exp10 pow10
""")
    for suffix in ("", "f", "l"))
# Defined by runtime.c.
PROVIDED = frozenset(_names("""
__errno_location
vprintf vfprintf printf fprintf __printf_chk __fprintf_chk puts putchar fputc putc fputs fwrite malloc calloc free
realloc aligned_alloc strdup strndup _Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZdlPv
_ZdaPv _ZdlPvm _ZdaPvm _ZdlPvSt11align_val_t abort exit _exit __assert_fail __stack_chk_fail atexit __cxa_atexit
__cxa_allocate_exception __cxa_free_exception __cxa_throw __cxa_rethrow __cxa_begin_catch __cxa_end_catch
__cxa_pure_virtual __cxa_guard_acquire __cxa_guard_release __cxa_guard_abort _ZSt9terminatev __clang_call_terminate
_Unwind_Resume __gxx_personality_v0 __gcc_personality_v0 __dso_handle
"""))

_VARIANTS = 2  # stubs a kind of indirect call: that a wrong one is called shows
_FRAME_LIMIT = 8192
_VARIADIC_EXTRA = 4
_CONSTANTS = 128
_MAGIC = 0x4C4C4D43
_WRITABLE, _NOALIAS, _NONNULL, _RETURNED, _BYVAL, _SRET, _VARIABLE = 1, 2, 4, 8, 16, 32, 64
_NORETURN, _PURE, _KEEPS_ERRNO = 1, 2, 4
# Functions of the C library that LLVM takes to write no memory, whatever their declarations say.
_READS = frozenset(_names("getenv feof ferror feof_unlocked ferror_unlocked fileno"))
_TEXT, _VOLATILE = 1, 2


def name_hash(name: str) -> int:
    """The 64-bit number that stands for a name in runs of every version."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Stub:
    """A function that stands in for one outside the module, or for the target of an indirect call."""

    symbol: str
    name: str
    signature: Signature
    noreturn: bool = False
    pure: bool = False


@dataclass(frozen=True)
class Entry:
    """A function that can be called, the symbol of its caller, and integers that it and what it calls compare with."""

    function: Function
    driver: str
    signature: Signature
    constants: tuple[int, ...]


@dataclass(frozen=True)
class Driver:
    """IR text for one module, with the tables that runtime.c reads. `refused`: why functions cannot be called."""

    interface: Interface
    text: str
    entries: tuple[Entry, ...]
    stubs: tuple[Stub, ...]
    refused: Mapping[str, str]

    def plan(self, addresses: Mapping[str, tuple[int, int]], symbols: Sequence[tuple[int, int, int]],
             exports: Sequence[tuple[int, int, int]], constructors: Sequence[int],
             writable: Sequence[tuple[int, int]]) -> bytes:
        """The plan of one linked program.

        addresses: address and size of each symbol by name; symbols: (address, size, name hash), sorted; exports: the
        same for data whose contents count. Entries that the program lacks have the address 0 and are never called.
        """
        interface = self.interface
        layouts, slots = self._layouts(interface.layouts)
        parameters: list[bytes] = []

        def take(items: Sequence[Parameter], result: Parameter | None) -> tuple[int, int, int]:
            first = len(parameters)
            for item, at in zip(items, frame_offsets(items)[0], strict=True):
                parameters.append(_parameter(item, at))
            if result is not None:
                parameters.append(_parameter(result, 0))
            return first, len(items), len(parameters) - 1 if result is not None else -1

        stubs = []
        for stub in self.stubs:
            signature = stub.signature
            first, count, result = take((*signature.parameters, *_variable(signature)), signature.result)
            flags = (_NORETURN if stub.noreturn else 0) | (_PURE if stub.pure else 0) | (
                _KEEPS_ERRNO if stub.name in _READS else 0)
            stubs.append(struct.pack("<QIIIiII", name_hash(stub.name), flags, first, count, result,
                                     len(signature.parameters), signature.common))
        entries: list[bytes] = []
        constants: list[int] = []
        for entry in self.entries:
            first, count, result = take(entry.signature.parameters, entry.signature.result)
            where = addresses.get(entry.function.name, (0, 0))[0]
            entries.append(struct.pack("<QQIIiIII", where, addresses[entry.driver][0], first, count, result,
                                       len(constants), len(entry.constants), 0))
            constants += entry.constants
        strings = b"".join(text + b"\0" for text in interface.strings)
        fills = []
        for item in interface.globals:
            if not item.defined and item.name in addresses:
                address, size = addresses[item.name]
                fills.append(struct.pack("<QQQq", address, min(size, item.size), name_hash(item.name), item.layout))
        thunks = [addresses[f"llmc_cb_{index}_{variant}"][0]
                  for index in range(len(interface.indirect)) for variant in range(_VARIANTS)]
        # What the compiler itself keeps, such as guards of static variables, is not for others to write.
        varied = {name_hash(item.name): item.layout for item in interface.globals
                  if not item.volatile and not item.name.startswith(("llvm.", "_ZGV"))}
        parts = [
            layouts, slots, parameters, stubs, entries, [struct.pack("<q", value) for value in constants], [strings],
            [struct.pack("<QQQ", *symbol) for symbol in symbols], fills,
            [struct.pack("<QQQq", address, size, name, varied.get(name, -1)) for address, size, name in exports],
            [struct.pack("<Q", address) for address in thunks], [struct.pack("<Q", where) for where in constructors],
            [struct.pack("<QQ", *span) for span in writable],
            [struct.pack("<QQQq", *addresses[item.name], name_hash(item.name), -1) for item in interface.globals
             if item.volatile and not item.constant and item.name in addresses],
        ]
        counts = [len(part) for part in parts]
        counts[6] = len(strings)
        blob = bytearray(struct.pack("<16I", _MAGIC, *counts, 0))
        for part in parts:
            for packed in part:
                blob += packed
            blob += b"\0" * (-len(blob) % 8)
        return struct.pack("<Q", len(blob)) + bytes(blob)

    def _layouts(self, layouts: Sequence[Layout]) -> tuple[list[bytes], list[bytes]]:
        packed: list[bytes] = []
        slots: list[bytes] = []
        for layout in layouts:
            text = len(layout.slots) == 1 and layout.size == 1 and layout.slots[0].bits == 8
            packed.append(struct.pack("<IIIiII", layout.size, len(slots), len(layout.slots),
                                      layout.function * _VARIANTS if layout.function >= 0 else -1, _VARIANTS,
                                      _TEXT * text | _VOLATILE * layout.volatile))
            slots += [_slot(slot) for slot in layout.slots]
        return packed, slots


def _slot(slot: Slot) -> bytes:
    return struct.pack("<IBBHi", slot.offset, slot.kind, min(slot.size, 32), min(slot.bits, 65535), slot.target)


def _parameter(item: Parameter, at: int) -> bytes:
    flags = ((_WRITABLE if item.writable else 0) | (_NOALIAS if item.noalias else 0)
             | (_NONNULL if item.nonnull or item.dereferenceable else 0) | (_RETURNED if item.returned else 0)
             | (_BYVAL if item.by_value else 0) | (_SRET if item.struct_return else 0)
             | (_VARIABLE if item is _EXTRA else 0))
    return struct.pack("<BBHIiIII", item.kind, flags, min(item.bits, 65535), item.size, item.layout, at,
                       item.stack_size, item.by_value or item.struct_return)


def frame_offsets(parameters: Sequence[Parameter]) -> tuple[list[int], int]:
    """Where each argument stands in the frame between IR and runtime, and the frame's size in bytes."""
    offsets, at = [], 0
    for item in parameters:
        offsets.append(at)
        at += -(-item.size // 16) * 16
    return offsets, at


def make_driver(interface: Interface) -> Driver:
    """The driver of a module."""
    lines = [f'target triple = "{interface.triple}"', "declare void @llmc_stub(i32, ptr, ptr)",
             "declare void @llvm.va_start(ptr)"]
    refused: dict[str, str] = {}
    entries: list[Entry] = []
    drivers: dict[str, str] = {}
    defined = {item.name: item for item in interface.functions if item.defined}
    for function in interface.functions:
        if not function.defined or function.intrinsic:
            continue
        reason = _refusal(function)
        if reason:
            refused[function.name] = reason
            continue
        signature = _with_variadic(function.signature)
        body = _caller(signature)
        name = drivers.get(body)
        if name is None:
            name = drivers[body] = f"llmc_drive_{len(drivers)}"
            lines.append(f"define void @{name}{body}")
        entries.append(Entry(function, name, signature, _constants(function, defined)))
    stubs: list[Stub] = []
    for index, signature in enumerate(interface.indirect):
        for variant in range(_VARIANTS):
            symbol = f"llmc_cb_{index}_{variant}"
            lines.append(_stub(symbol, len(stubs), signature))
            stubs.append(Stub(symbol, symbol, signature))
    known = defined.keys() | {name for name, _ in interface.aliases}
    for function in interface.functions:
        name = function.name
        if (function.defined or function.intrinsic or name in PASS_THROUGH or name in PROVIDED or name in known
                or name.startswith("llmc_")):
            continue
        lines.append(_stub(name, len(stubs), function.signature))
        stubs.append(Stub(name, name, function.signature, function.noreturn, function.effects != "any"))
    for item in interface.globals:
        if not item.defined and item.name not in PROVIDED and not item.name.startswith("llvm."):
            thread = "thread_local " if item.thread_local else ""
            lines.append(f"@{_quote(item.name)} = hidden {thread}global [{max(item.size, 8)} x i8] zeroinitializer, "
                         f"align {max(item.align, 16)}")
    return Driver(interface, "\n".join(lines) + "\n", tuple(entries), tuple(stubs), refused)


def _constants(function: Function, defined: Mapping[str, Function]) -> tuple[int, ...]:
    """Its own constants, then those of the functions that it reaches, nearest first."""
    found = dict.fromkeys(function.constants)
    seen, todo = {function.name}, [function.name]
    while todo and len(found) < _CONSTANTS:
        for callee in defined[todo.pop(0)].callees:
            if callee in defined and callee not in seen:
                seen.add(callee)
                todo.append(callee)
                found.update(dict.fromkeys(defined[callee].constants))
    return tuple(found)[:_CONSTANTS]


def _refusal(function: Function) -> str:
    signature = function.signature
    if signature.convention not in (0, 8):  # C, fast
        return f"calling convention {signature.convention}"
    if signature.convention == 8:
        return "an internal calling convention"
    if any({"nest", "inalloca", "swiftself"} & set(item.abi.split()) for item in signature.parameters):
        return "a calling convention of another language"
    if frame_offsets(signature.parameters)[1] > _FRAME_LIMIT:
        return "more than 8 kB of arguments"
    if signature.result is not None and signature.result.size > 256:
        return "a result of more than 256 bytes"
    return ""


# One register's worth; runtime.c decides which it is.
_EXTRA = Parameter(type="ptr", kind=Kind.POINTER, bits=0, size=8, layout=-1, abi="", by_value=0, struct_return=0,
                   writable=True, noalias=False, nonnull=False, dereferenceable=0, align=0, returned=False,
                   immarg=False, stack_size=0)


def _with_variadic(signature: Signature) -> Signature:
    """A variadic function is called with a few integers or pointers after its named arguments."""
    if not signature.variadic:
        return signature
    return Signature(signature.result, (*signature.parameters, *[_EXTRA] * _VARIADIC_EXTRA), True,
                     signature.convention)


def _variable(signature: Signature) -> tuple[Parameter, ...]:
    """The variable arguments that a stub can read: those that are passed in one piece."""
    return tuple(itertools.takewhile(lambda item: item.type in ("i32", "i64", "ptr", "double"), signature.variable))


def _quote(name: str) -> str:
    escaped = "".join(chr(byte) if 32 < byte < 127 and byte not in (0x22, 0x5C) else f"\\{byte:02X}"
                      for byte in name.encode("utf-8", "surrogateescape"))
    return f'"{escaped}"'


def _result(signature: Signature) -> tuple[str, str]:
    if signature.result is None:
        return "", "void"
    return f"{signature.result.abi} ".lstrip(), signature.result.type


def _caller(signature: Signature) -> str:
    """The text after the name of a function (function, arguments, result) -> void that makes the call."""
    parameters = signature.parameters
    lines = ["(ptr %f, ptr %a, ptr %r) nounwind {"]
    arguments = []
    for index, (item, at) in enumerate(zip(parameters, frame_offsets(parameters)[0], strict=True)):
        lines.append(f"  %p{index} = getelementptr i8, ptr %a, i64 {at}")
        lines.append(f"  %v{index} = load {item.type}, ptr %p{index}, align 16")
        arguments.append(f"{item.type} {item.abi} %v{index}".replace("  ", " "))
    abi, kind = _result(signature)
    spelled = kind
    if signature.variadic:
        named = ", ".join(item.type for item in parameters[: len(parameters) - _VARIADIC_EXTRA])
        spelled = f"{kind} ({named}, ...)" if named else f"{kind} (...)"
    call = f"call {abi}{spelled} %f({', '.join(arguments)})"
    if kind == "void":
        lines.append(f"  {call}")
    else:
        lines += [f"  %x = {call}", f"  store {kind} %x, ptr %r, align 16"]
    return "\n".join([*lines, "  ret void", "}"])


def _stub(symbol: str, index: int, signature: Signature) -> str:
    parameters, variable = signature.parameters, _variable(signature)
    offsets, size = frame_offsets((*parameters, *variable))
    abi, kind = _result(signature)
    named = [f"{item.type} {item.abi} %a{number}".replace("  ", " ") for number, item in enumerate(parameters)]
    if signature.variadic:
        named.append("...")
    lines = [f"define hidden {abi}{kind} @{_quote(symbol)}({', '.join(named)}) {{",
             f"  %f = alloca [{max(size, 16)} x i8], align 16", "  %r = alloca [256 x i8], align 16"]
    if variable:
        lines += ["  %list = alloca [24 x i8], align 16", "  call void @llvm.va_start(ptr %list)"]
        lines += [f"  %a{number} = va_arg ptr %list, {item.type}"
                  for number, item in enumerate(variable, start=len(parameters))]
    for number, (item, at) in enumerate(zip((*parameters, *variable), offsets, strict=True)):
        lines.append(f"  %p{number} = getelementptr i8, ptr %f, i64 {at}")
        lines.append(f"  store {item.type} %a{number}, ptr %p{number}, align 16")
    lines.append(f"  call void @llmc_stub(i32 {index}, ptr %f, ptr %r)")
    if kind == "void":
        lines.append("  ret void")
    else:
        lines += [f"  %x = load {kind}, ptr %r, align 16", f"  ret {kind} %x"]
    return "\n".join([*lines, "}"])
