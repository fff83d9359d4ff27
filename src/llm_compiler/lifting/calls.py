"""Calls: which registers hold arguments, what known functions take, and how many arguments others seem to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llm_compiler.lifting.text import REGISTERS, Block, Code, Instruction, Memory, Register, Target
from llm_compiler.lifting.values import Value

INTEGERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
FLOATS = tuple(f"xmm{number}" for number in range(8))
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
CLOBBERED = ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", *(f"xmm{number}" for number in range(16)))
TYPES = {"p": "ptr", "i": "i32", "l": "i64", "d": "double", "f": "float", "v": "void"}

# Result and parameters: p pointer, i int, l long, d double, f float, v nothing; + further ones.
_KNOWN = """
memcpy pppl memmove pppl memset ppil memcmp ippl memchr ppil strlen lp strcmp ipp strncmp ippl strcpy ppp
strncpy pppl strcat ppp strncat pppl strchr ppi strrchr ppi strstr ppp strdup pp strndup ppl strtol lppi
strtoul lppi strtoll lppi strtoull lppi strtod dpp atoi ip atol lp atof dp malloc pl calloc pll realloc ppl free vp
printf ip+ fprintf ipp+ sprintf ipp+ snprintf iplp+ puts ip putchar ii fputs ipp fputc iip putc iip fwrite lpllp
fread lpllp fopen ppp fclose ip fflush ip fgets ppip fgetc ip getc ip fseek ipli ftell lp feof ip ferror ip
perror vp exit vi _exit vi abort v __assert_fail vppip __errno_location p __ctype_b_loc p __ctype_tolower_loc p
__ctype_toupper_loc p isalpha ii isdigit ii isspace ii isalnum ii isupper ii islower ii toupper ii tolower ii
open ipi+ close ii read lipl write lipl time lp getenv pp setenv ippi qsort vpllp bsearch pppllp strerror pi
strspn lpp strcspn lpp strpbrk ppp strtok ppp strcasecmp ipp strncasecmp ippl sscanf ipp+ fscanf ipp+ scanf ip+
vfprintf ippp vsnprintf iplpp vsprintf ippp unlink ip remove ip rename ipp stat ipp fstat iip memrchr ppil
stpcpy ppp sin dd cos dd tan dd asin dd acos dd atan dd atan2 ddd exp dd log dd log10 dd pow ddd sqrt dd floor dd
ceil dd fabs dd fmod ddd sinf ff cosf ff expf ff logf ff powf fff sqrtf ff floorf ff ceilf ff fabsf ff
__stack_chk_fail v bcmp ippl getpid i pthread_mutex_lock ip pthread_mutex_unlock ip gettimeofday ipp
clock_gettime iip _Znwm pl _Znam pl _ZdlPv vp _ZdlPvm vpl _ZdaPv vp __cxa_allocate_exception pl
__cxa_free_exception vp
"""
NORETURN = frozenset({"abort", "exit", "_exit", "_Exit", "__assert_fail", "__stack_chk_fail", "longjmp", "_longjmp",
                      "siglongjmp", "__cxa_throw", "__cxa_rethrow", "_ZSt9terminatev", "__cxa_bad_cast", "pthread_exit",
                      "_ZSt17__throw_bad_allocv", "_ZSt20__throw_length_errorPKc", "__cxa_pure_virtual", "quick_exit",
                      "_ZSt20__throw_out_of_rangePKc", "_ZSt19__throw_logic_errorPKc", "__fortify_fail", "__chk_fail",
                      "_ZSt25__throw_bad_function_callv", "_ZSt24__throw_out_of_range_fmtPKcz", "errx", "err", "verrx",
                      "_ZSt16__throw_bad_castv", "__longjmp_chk"})

_STEPS = 64  # blocks that are looked back


@dataclass(frozen=True)
class Prototype:
    result: str
    parameters: tuple[str, ...]
    variadic: bool = False


def _table() -> dict[str, Prototype]:
    words = _KNOWN.split()
    found = {}
    for name, text in zip(words[::2], words[1::2], strict=True):
        letters = text.rstrip("+")
        found[name] = Prototype(TYPES[letters[0]], tuple(TYPES[letter] for letter in letters[1:]), text.endswith("+"))
    return found


KNOWN: Mapping[str, Prototype] = _table()


@dataclass
class Call:
    """What a call may take, seen when it was lifted. status: of each register, by how it came to its value:

    strict: set for the call; used: set, and read by other code; old: set in an earlier block; pass: not touched since
    the function began; absent: nothing that one could pass.
    """

    name: str  # empty for an indirect call
    plt: bool
    tail: bool
    integers: list[tuple[str, Value]] = field(default_factory=list)
    moves: dict[int, str] = field(default_factory=dict)  # what moved an integer from another register to its own
    floats: list[tuple[str, Value]] = field(default_factory=list)
    stack: list[Value] = field(default_factory=list)
    variadic: int | None = None  # the number of vector registers that it passes, where `al` says one
    fixed: int = 0
    callee: Value | None = None
    result: str = "void"
    types: tuple[str, ...] = ()
    ends: bool = False  # nothing comes behind it


def status(blocks: Sequence[Block], predecessors: Sequence[Sequence[int]], block: int, at: int | None,
           register: str, depth: int = 0) -> tuple[str, Instruction | None]:
    """How a register came to what it holds before the instruction `at` of a block; what set it."""
    read = at is not None and at < len(blocks[block].code) and register in mentioned(blocks[block].code[at])
    flags = False
    code: Sequence[Instruction] = blocks[block].code[:at]
    for _ in range(_STEPS):
        for instruction in reversed(code):
            if instruction.name.startswith("call"):
                return "absent", None
            if register in written(instruction):
                compares = flags and instruction.name.startswith(("sub", "add", "and", "dec", "inc", "or"))
                return "used" if read or compares else "strict", instruction
            read = read or register in mentioned(instruction)
            if instruction.conditional or instruction.name.startswith(("set", "cmov", "adc", "sbb")):
                flags = True
            elif not instruction.name.startswith(("mov", "lea", "push", "pop", "jmp", "not")):
                flags = False
        before = predecessors[block]
        if not before:
            return "pass" if block == 0 else "absent", None
        if len(before) > 1:
            if read or depth > 2:
                return "old", None
            found = {status(blocks, predecessors, item, None, register, depth + 1)[0] for item in before}
            return (found.pop() if len(found) == 1 else "absent" if "absent" in found else "old"), None
        block = before[0]
        code = blocks[block].code
    return "old", None


def written(instruction: Instruction) -> tuple[str, ...]:
    """General and vector registers that an instruction sets."""
    name, operands = instruction.name, instruction.operands
    if name in ("cltd", "cqto", "cwtd"):
        return ("rdx",)
    if name in ("cltq", "cwtl", "cbtw"):
        return ("rax",)
    if len(operands) == 1 and name.startswith(("div", "idiv", "mul", "imul")):
        return ("rax", "rdx")
    if name.startswith(("cmp", "test", "push", "ucom", "com", "bt", "j", "call")) and not name.startswith(
            ("cmpxchg", "bts", "btr", "btc", "cmpeq", "cmplt", "cmple", "cmpn", "cmpunord", "cmpord")):
        return ()
    if name.startswith("xchg"):
        return tuple(_whole(operand.name) for operand in operands if isinstance(operand, Register))
    if operands and isinstance(operands[-1], Register):
        return (_whole(operands[-1].name),)
    return ("rax",) if "cmpxchg" in name else ()


def mentioned(instruction: Instruction) -> set[str]:
    """Registers that an instruction may read."""
    found: set[str] = set()
    last = len(instruction.operands) - 1
    for number, operand in enumerate(instruction.operands):
        if isinstance(operand, Memory):
            found |= {_whole(name) for name in (operand.base, operand.index) if name}
        elif isinstance(operand, Register) and not (number == last and instruction.name.startswith(("mov", "lea", "pop",
                                                                                                    "set"))):
            found.add(_whole(operand.name))
    if instruction.name in ("cltd", "cqto", "cltq", "cwtl", "cbtw") or instruction.name.startswith(("idiv", "div")):
        found |= {"rax"}
    return found


def _whole(name: str) -> str:
    return REGISTERS[name][0] if name in REGISTERS else name


def target_of(instruction: Instruction) -> Target | None:
    operand = instruction.operands[0]
    return operand if isinstance(operand, Target) else None


def last_calls(code: Code) -> frozenset[str]:
    """Names that are only called at the end of blocks, where code would go on in the next."""
    last: set[str] = set()
    others: set[str] = set()
    for block in code.blocks:
        for at, instruction in enumerate(block.code):
            target = target_of(instruction) if instruction.name.startswith("call") else None
            if target is not None:
                (last if at + 1 == len(block.code) else others).add(target.name)
    return frozenset(last - others)


def counts(call: Call, *, loose: bool) -> tuple[int, int]:
    """How many registers of integers and of vectors seem to hold arguments."""
    known = KNOWN.get(call.name)
    if known is not None and not known.variadic:
        floats = sum(item in ("double", "float") for item in known.parameters)
        return len(known.parameters) - floats, floats
    fixed = len(known.parameters) if known is not None else 0
    integers = max(fixed, _count([state for state, _ in call.integers], loose))
    if call.variadic is not None:
        return integers, min(call.variadic, len(call.floats))
    return integers, _count([state for state, _ in call.floats], loose)


def _count(states: Sequence[str], loose: bool) -> int:
    count = 0
    for number, state in enumerate(states):
        if state == "strict" or (state in ("used", "old") and (loose or number == 0)):
            count = number + 1
    return count
