"""An answer's IR, judged by LLVM in a worker and lowered back by clang."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from llm_compiler.errors import CompileError, InputError
from llm_compiler.inference.code import X86_64 as X86_64_MACHINE
from llm_compiler.inference.code import Code
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Outcome, Reading, Status
from llm_compiler.llvm.module import Context, Module
from llm_compiler.llvm.target import AARCH64, X86_64, Profile, architecture
from llm_compiler.llvm.walk import Opcode, Walk
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import lowering
from llm_compiler.tasks.compact import expand
from llm_compiler.tasks.listings import find_objdump

TRIPLES = {"x86_64": X86_64, "aarch64": AARCH64}
CODEGENS = {"Oz": Profile.DEPLOY, "O0": Profile.PAPER}
"""Code generation levels, those of the training data."""

_SECONDS = 60.0
_LONGEST = 1 << 20  # characters of an answer
_LARGEST = 1 << 20  # bytes of a constant
_PRIVATE = (8, 9)  # LLVMLinkage: internal, private
_ASSEMBLY = re.compile(r'\basm (?:sideeffect |alignstack |inteldialect |unwind )*"')
_HEADER = re.compile(r'^define [^\n]*?@(?:"(?:[^"\\]|\\.)*"|[\w.$-]+)\([^\n]*\{$', re.MULTILINE)
_GROUP = re.compile(r"^attributes #(\d+) = \{ (.*) \}$", re.MULTILINE)
_MEMORY = re.compile(r"\bmemory\(([^()]*)\) ?")
_FOR_LINKERS = re.compile(r"^!llvm\.(?:linker\.options|dependent-libraries|commandline|embedded\.objects) =",
                          re.MULTILINE)
_ESCAPED = re.compile(r'\b(?:section|partition|gc) "[^"]*[\\,\s#][^"]*"')
_REFUSED = ("naked", "returns_twice", "speculatable")
_EFFECTS = {"none": 0, "read": 1, "write": 2, "readwrite": 3}
_CALL = re.compile(r'  (?:%\S+ = )?(?:(?:tail|musttail|notail) )?call [^\n]*?(@(?:"[^"]*"|[\w.$-]+)|%\S+?)\(')
_LINE = re.compile(r"^\s*([0-9a-f]+):\s", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """IR that LLVM reads and whose verifier has nothing against it: one function, and constants of its own.

    text: as LLVM prints it. assembly: it holds inline assembly.
    """

    text: str
    bitcode: bytes
    assembly: bool


@dataclass(frozen=True)
class Refused:
    """Why an answer cannot be lowered back."""

    reason: str


# --- in the worker ---------------------------------------------------------------------------------------------------


def read_answer(name: str, target: str, compact: bool, data: bytes) -> Answer | Refused:
    """Parse and judge an answer for the function `name`. Raises InputError with what LLVM says against it."""
    text = data.decode()
    with Context(library.load()) as context:
        module = context.parse((expand(text) if compact else text).encode(), "the answer")
        broken = module.verify()
        if broken:
            raise InputError(f"the answer: LLVM's verifier refuses it: {broken.splitlines()[0]}")
        reason = _against(Walk(module), name, target)
        if reason:
            return Refused(reason)
        printed = lowering.clean(module.text())
        reason = _untrue(module, printed, name)
        if reason:
            return Refused(reason)
        return Answer(printed, module.bitcode(), bool(_ASSEMBLY.search(printed)))


def emit_assembly(codegen: str, bitcode: bytes) -> str:
    """An answer's assembly, for x86-64."""
    with Context(library.load()) as context:
        module = context.parse(bitcode)
        names = {module.name_of(function) for function in Walk(module).functions()}
        machine = lowering.machine(lowering.lowering_for(module, CODEGENS[codegen]))
        text = lowering.emit(module, machine, assembly=True).decode(errors="replace")
    # The C API lowers bcmp under the name of memcmp.
    return re.sub(r"\bmemcmp\b", "bcmp", text) if "bcmp" in names and "memcmp" not in names else text


def _against(walk: Walk, name: str, target: str) -> str:
    """What an answer holds that is no answer."""
    if walk.module.triple and architecture(walk.module.triple) != target:
        return f"it is for {walk.module.triple}"
    bodies = [walk.name(function) for function in walk.functions() if not walk.is_declaration(function)]
    if name not in bodies:
        return f"it defines no function {name}" + (f", but {bodies[0]}" if bodies else "")
    others = [other for other in bodies if other != name]
    if others:
        return f"it defines {others[0]}, too"
    if walk.inline_assembly():
        return "it holds assembly outside functions"
    alias = next(iter(walk.aliases()), None)
    if alias is not None:
        return f"it defines the alias {walk.name(alias)}"
    for variable in walk.variables():
        if walk.is_declaration(variable):
            continue
        if not walk.is_constant(variable) or walk.linkage(variable) not in _PRIVATE:
            return f"it defines the variable {walk.name(variable)}"
        if walk.value_type(variable).size > _LARGEST:
            return f"it holds a constant of {walk.value_type(variable).size} bytes"
    return ""


def _untrue(module: Module, text: str, name: str) -> str:
    """What an answer says of its function that its code contradicts, or cannot prove although no code shows it."""
    if re.search(r"^@\S+ = .*\bifunc\b", text, re.MULTILINE):
        return "it defines an ifunc"
    if _FOR_LINKERS.search(text):
        return "it tells linkers something"
    if _ESCAPED.search(text):
        return "it names a section in a way that assembly cannot"
    walk = Walk(module)
    function = next(item for item in walk.functions() if walk.name(item) == name)
    opcodes = [walk.opcode(instruction) for block in walk.blocks(function)
               for instruction in walk.instructions(block)]
    attributes = walk.function_attributes(function)
    header = _HEADER.search(text)
    assert header is not None
    groups = {match[1]: match[2] for match in _GROUP.finditer(text)}
    own = _own_group(header[0], groups)
    for word in _REFUSED:
        if re.search(rf"(?<![\w\"-]){word}(?![\w\"=-])", own):
            return f"it says that {name} is {word}"
    if re.search(r"\b(?:prefix|prologue|gc) ", header[0].rpartition(")")[2]):
        return f"it gives {name} a prologue of its own"
    if "noreturn" in attributes and Opcode.RET in opcodes:
        return f"it says that {name} does not return, and it does"
    if _ends_early(text, groups):
        return "it goes on after a call that does not return"
    return _unproved(text, header, own)


def _own_group(header: str, groups: Mapping[str, str]) -> str:
    return " ".join(groups.get(number, "") for number in re.findall(r" #(\d+)", header.rpartition(")")[2]))


def _ends_early(text: str, groups: Mapping[str, str]) -> bool:
    """Whether something other than `unreachable` follows a call of what does not return."""
    ending = {number for number, words in groups.items() if re.search(r"(?<![\w\"-])noreturn(?![\w\"-])", words)}
    if not ending:
        return False
    names = {match[1] for match in re.finditer(r'^declare [^\n]*?(@(?:"[^"]*"|[\w.$-]+))\([^\n]*\)[^\n]* #(\d+)',
                                               text, re.MULTILINE) if match[2] in ending}
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        match = _CALL.match(line)
        group = re.search(r" #(\d+)(?:,|$| )", line.rpartition(")")[2])
        if match and (match[1] in names or (group and group[1] in ending)) and following.strip() != "unreachable":
            return True
    return False


def _unproved(text: str, header: re.Match[str], own: str) -> str:
    """What is said of memory and results, where LLVM's own inference on the same code does not come to it."""
    claimed = _MEMORY.search(own)
    returned = [" returned " in f" {part} " for part in header[0].split(",")]
    if claimed is None and not any(returned):
        return ""
    plain = re.sub(r" returned(?= )", "", header[0])
    numbers = re.findall(r" #(\d+)", plain.rpartition(")")[2])
    free = 1 + max((int(match[1]) for match in _GROUP.finditer(text)), default=0)
    if numbers:
        head, _, tail = plain.rpartition(f" #{numbers[0]}")
        plain = f"{head} #{free}{tail}"
    weaker = text[: header.start()] + plain + text[header.end() :]
    weaker += f"\nattributes #{free} = {{ {_MEMORY.sub('', own)} }}\n"
    with Context(library.load()) as context:
        module = context.parse(weaker.encode(), "the answer")
        module.run_passes("cgscc(function-attrs)", None)
        inferred = module.text()
    again = _HEADER.search(inferred)
    assert again is not None
    found = _MEMORY.search(_own_group(again[0], {match[1]: match[2] for match in _GROUP.finditer(inferred)}))
    if claimed is not None and not _implies(_effects(found[1] if found else "readwrite"), _effects(claimed[1])):
        return f"it says {claimed[0].strip()}, which its code does not bear out"
    if any(said and " returned " not in f" {part} " for said, part in zip(returned, again[0].split(","), strict=False)):
        return "it says that an argument is returned, which its code does not bear out"
    return ""


def _effects(text: str) -> dict[str, int]:
    """`argmem: read` … as numbers by place; what is not named has the rest's."""
    found = dict.fromkeys(("argmem", "inaccessiblemem", "other"), 0)
    for part in text.split(","):
        place, _, effect = part.strip().rpartition(": ")
        for name in [place] if place else list(found):
            found[name] = _EFFECTS.get(effect, 3)
    return found


def _implies(known: Mapping[str, int], said: Mapping[str, int]) -> bool:
    return all(known[place] | effect == effect for place, effect in said.items())


# --- in this process -------------------------------------------------------------------------------------------------


def judge(pool: WorkerPool, folder: Path, code: str, name: str, target: str, *, compact: bool) -> Answer | Refused:
    """Read an answer's code in the pool's worker. Nothing that LLVM does over it comes through."""
    if len(code) > _LONGEST:
        return Refused(f"it has more than {_LONGEST >> 20} MB")
    path = folder / "answer.txt"
    path.write_bytes(code.encode(errors="replace"))
    outcome = pool.run(Reading(path, partial(read_answer, name, target, compact)))
    if isinstance(outcome.value, Answer | Refused):
        return outcome.value
    return _dead(outcome)


def _dead(outcome: Outcome) -> Refused:
    if outcome.status is Status.INVALID:
        said = outcome.message.removeprefix("the answer: ")
        return Refused(re.sub(r"^LLVM \S+ cannot read it: (?:the answer:)?", "no IR, line ", said))
    if outcome.status is Status.TIMED_OUT:
        return Refused("LLVM takes too long over it")
    return Refused("LLVM needs too much memory for it" if outcome.status is Status.OUT_OF_MEMORY
                   else "LLVM crashes over it")


def compiler(target: str) -> frontend.Clang:
    """The clang that lowers and assembles. Raises ToolchainError."""
    return frontend.clang_for(TRIPLES[target])


def lowered(pool: WorkerPool, folder: Path, answer: Answer, target: str, codegen: str) -> str | Refused:
    """The assembly of an answer at a code generation level."""
    if target == "x86_64":
        path = folder / "answer.bc"
        path.write_bytes(answer.bitcode)
        outcome = pool.run(Reading(path, partial(emit_assembly, codegen)))
        return outcome.value if isinstance(outcome.value, str) else _dead(outcome)
    level = ["-O0", "-mno-relax-all"] if codegen == "O0" else ["-Oz"]
    flags = [*level, "-Xclang", "-disable-llvm-passes", "-fno-addrsig", "-fno-ident", "-S"]
    (data,) = lowering.clang_batch(compiler(target), [lowering.executable(answer.text)], flags, ".s", _SECONDS)
    return Refused("clang does not lower it") if data is None else data.decode(errors="replace")


def assembled(text: str, target: str, *, labels: bool = True) -> bytes:
    """The object of an assembly file. labels: those of the compiler's, too. Raises CompileError."""
    clang = compiler(target)
    with tempfile.TemporaryDirectory(prefix="assemble-") as name:
        path = Path(name) / "in.s"
        path.write_text(text, errors="replace")
        clang.run(["-c", "-x", "assembler", *(["-Wa,-L"] if labels else []), "-mno-relax-all", "-w", str(path),
                   "-o", f"{name}/out.o"], timeout=_SECONDS)
        return (Path(name) / "out.o").read_bytes()


def code_of(text: str, name: str, target: str) -> Code:
    """The function `name` of an assembly file. Raises CompileError, InputError."""
    data = assembled(text, target)
    return Code(data, name, instruction_ends(data, name) if target == "x86_64" else ())


def instruction_ends(data: bytes, name: str) -> list[int]:
    """Where the instructions of a function's section begin, which is where others end."""
    code = Code(data, name)
    if code.machine != X86_64_MACHINE:
        return []
    return instruction_starts(data, code.section.name, "x86_64")


def instruction_starts(data: bytes, section: str, target: str) -> list[int]:
    return [int(number, 16) for number in _LINE.findall(dumped(data, section, target))]


def dumped(data: bytes, section: str, target: str) -> str:
    """What a disassembler shows of a section. Raises CompileError, ToolchainError."""
    objdump = find_objdump(target)
    with tempfile.TemporaryDirectory(prefix="dump-") as folder:
        path = Path(folder) / "in.o"
        path.write_bytes(data)
        try:
            done = subprocess.run([str(objdump), "-d", "--no-show-raw-insn", f"--section={section}", str(path)],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise CompileError("llvm-objdump took too long") from error
    return done.stdout.decode(errors="replace")
