"""IR text taken apart, cut and put together again, and what LLVM makes of it in a forked child.

A value that is taken away becomes `zeroinitializer`, good for every type. Text in which everything is named (`as_text`)
can lose any line without its numbering going wrong.
"""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass

from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.target import Profile, TargetMachine, lowering_of

_MEMORY = 4 << 30

_NAME = r'%(?:[-a-zA-Z$._0-9]+|"[^"]*")'
_RESULT = re.compile(rf"  ({_NAME}) = ")
_LABEL = re.compile(r'([-a-zA-Z$._0-9]+|"[^"]*"):')
_SUCCESSOR = re.compile(rf"label ({_NAME})")
_PHI_ENTRY = re.compile(rf"\[ ((?:[^][]|\[[^]]*\])*?), ({_NAME}) \]")
_ALLOCA = re.compile(rf"  ({_NAME}) = alloca ((?:[^,{{[<]|\{{.*\}}|\[.*\]|<.*>)+)(?:, align \d+)?")
_LINKAGES = "private|internal|available_externally|linkonce|linkonce_odr|weak|weak_odr|extern_weak|external"
_FILL = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"


@dataclass(frozen=True)
class Block:
    """A basic block; `label` begins with `%`."""

    label: str
    lines: tuple[str, ...]  # an instruction each, the terminator last; one may span several lines of text


@dataclass(frozen=True)
class Function:
    """A function with a body; the header is the line with `define`."""

    header: str
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        found = re.search(r'@([-a-zA-Z$._0-9]+|"[^"]*")\(', self.header)
        return found.group(1) if found else ""


ModuleText = tuple[str | Function, ...]


def parse(text: str) -> ModuleText:
    """A module's text taken apart. Blocks need labels."""
    out: list[str | Function] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("define "):
            out.append(line)
            continue
        blocks: list[tuple[str, list[str]]] = []
        for inner in lines:
            if inner == "}":
                break
            label = _LABEL.match(inner)
            if label:
                blocks.append((f"%{label.group(1)}", []))
            elif re.match(r"  [^ \]]", inner) and blocks:
                blocks[-1][1].append(inner)
            elif inner.strip() and blocks and blocks[-1][1]:
                blocks[-1][1][-1] += f"\n{inner}"
        out.append(Function(line, tuple(Block(name, tuple(body)) for name, body in blocks)))
    return tuple(out)


def render(module: ModuleText) -> str:
    """The text again."""
    out = []
    for item in module:
        if isinstance(item, str):
            out.append(item)
            continue
        out.append(item.header)
        for block in item.blocks:
            out += [f"{block.label[1:]}:", *block.lines]
        out.append("}")
    return "\n".join(out) + "\n"


def functions(module: ModuleText) -> list[Function]:
    """Those with a body."""
    return [item for item in module if isinstance(item, Function)]


def mapped(module: ModuleText, change: Callable[[Function], Function]) -> ModuleText:
    """With every function that has a body changed."""
    return tuple(item if isinstance(item, str) else change(item) for item in module)


def internal(function: Function) -> Function:
    """Visible in its module only, unless it is `main`."""
    if function.name == "main":
        return function
    before, name, after = function.header.partition(f"@{function.name}(")
    before = re.sub(rf" (?:{_LINKAGES}|dso_local|hidden|protected)(?= )", "", before)
    after = re.sub(r" comdat(?:\(\$[^)]*\))?", "", after)
    return Function(f"{before.replace('define', 'define internal', 1)}{name}{after}", function.blocks)


def stubbed(function: Function) -> Function:
    """A body that returns zero."""
    before = function.header.partition(f"@{function.name}(")[0].rstrip()
    start = before.rfind(" ") + 1
    for opening, closing in ("{}", "[]", "<>"):
        if before.endswith(closing):
            depth = 0
            for index in range(len(before) - 1, -1, -1):
                depth += (before[index] == closing) - (before[index] == opening)
                if depth == 0:
                    start = index
                    break
    kind = before[start:]
    end = "  ret void" if kind == "void" else f"  ret {kind} zeroinitializer"
    header = re.sub(r" personality ptr @\S+", "", function.header)
    return Function(header, (Block("%entry", (end,)),))


def without(function: Function, gone: set[tuple[int, int]]) -> Function:
    """Without the instructions at (block, line); what used them gets zero."""
    names = {found.group(1) for block, line in gone
             if (found := _RESULT.match(function.blocks[block].lines[line]))}

    def substituted(line: str) -> str:
        return re.sub(_NAME, lambda found: "zeroinitializer" if found.group() in names else found.group(), line)

    return Function(function.header, tuple(
        Block(block.label, tuple(substituted(line) for index, line in enumerate(block.lines)
                                  if (number, index) not in gone))
        for number, block in enumerate(function.blocks)))


def successors(block: Block) -> list[str]:
    """Successors of a block."""
    return list(dict.fromkeys(_SUCCESSOR.findall(block.lines[-1]))) if block.lines else []


def chooses(block: Block) -> bool:
    """Whether its end has several ways that `sent_one_way` can make one."""
    return len(successors(block)) > 1 and re.match(rf"  (?:{_NAME} = )?(?:br|switch|invoke) ",
                                                   block.lines[-1]) is not None


def _is_invoke(line: str) -> bool:
    return re.match(rf"  (?:{_NAME} = )?invoke ", line) is not None


def sent_one_way(block: Block, choice: int) -> Block:
    """With an end that goes one way only: an invoke on where it returns, a branch where `choice` says."""
    ways = successors(block)
    last = block.lines[-1]
    if _is_invoke(last):
        call = re.sub(r"\s+to label .*", "", last, flags=re.DOTALL).replace("invoke ", "call ", 1)
        return Block(block.label, (*block.lines[:-1], call, f"  br label {ways[0]}"))
    return Block(block.label, (*block.lines[:-1], f"  br label {ways[choice % len(ways)]}"))


def pruned(function: Function) -> Function:
    """Without blocks that nothing reaches, and without what their phis said of ways that are gone."""
    by_label = {block.label: block for block in function.blocks}
    reached: set[str] = set()
    todo = [function.blocks[0].label]
    while todo:
        label = todo.pop()
        if label in by_label and label not in reached:
            reached.add(label)
            todo += successors(by_label[label])
    blocks = [block for block in function.blocks if block.label in reached]
    before: dict[str, set[str]] = {}
    for block in blocks:
        for way in successors(block):
            before.setdefault(way, set()).add(block.label)

    def phi(line: str, label: str) -> str:
        if " = phi " not in line:
            return line
        head = line[: line.index("[ ")] if "[ " in line else line
        kept = [found.group() for found in _PHI_ENTRY.finditer(line, len(head))
                if found.group(2) in before.get(label, ())]
        return head + ", ".join(kept)

    return Function(function.header, tuple(
        Block(block.label, tuple(phi(line, block.label) for line in block.lines)) for block in blocks))


def filled(text: str, byte: int) -> str:
    """With every local variable filled before it is used: a program that then does something else reads what it never
    wrote, and says nothing about LLVM.
    """
    def fill(line: str) -> str:
        found = _ALLOCA.fullmatch(line)
        if not found:
            return line
        size = f"ptrtoint (ptr getelementptr ({found.group(2).strip()}, ptr null, i32 1) to i64)"
        return (f"{line}\n  call void @llvm.memset.p0.i64(ptr {found.group(1)}, i8 {byte - 256 * (byte > 127)}, "
                f"i64 {size}, i1 false)")

    lines = [fill(line) for line in text.splitlines()]
    if not any(line.startswith("declare void @llvm.memset.p0.i64(") for line in lines):
        lines.append(_FILL)
    return "\n".join(lines) + "\n"


def transform(text: str, passes: str, options: tuple[str, ...] = (), seconds: float = 20.0) -> str | None:
    """A module after passes, as IR text with names; None when LLVM does not survive it or refuses it."""
    def work() -> str:
        lib = library.load()
        lib.set_options(options)
        with Context(lib) as context:
            module = context.parse(text.encode())
            machine = TargetMachine(lib, lowering_of(module, Profile.DEPLOY))
            module.run_passes(passes, machine.handle)
            module.check_result()
            return module.text()

    return _in_child(work, seconds) or None


def as_text(bitcode: bytes) -> str:
    """Bitcode or IR text as text in which everything is named. Raises InputError."""
    def work() -> str:
        with Context(library.load()) as context:
            return context.parse(bitcode).text()

    found = _in_child(work, 60.0)
    named = transform(found, "instnamer") if found else None
    if named is None:
        raise InputError("LLVM does not survive reading the module; name another one")
    return named


def _in_child(work: Callable[[], str], seconds: float) -> str | None:
    """What `work` returns in a forked child; None when the child dies, fails or takes too long."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            faulthandler.disable()  # it would print the parent's stack
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.setitimer(signal.ITIMER_REAL, seconds)  # its default action ends native code as well
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            said = b"+" + work().encode()
            with os.fdopen(write, "wb") as out:
                out.write(said)
        finally:
            os._exit(0)
    os.close(write)
    try:
        with os.fdopen(read, "rb") as source:
            said = source.read()
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.waitpid(pid, 0)
    return said[1:].decode() if said.startswith(b"+") else None


def count_instructions(text: str) -> int:
    """Instructions in all bodies."""
    return sum(len(block.lines) for function in functions(parse(text)) for block in function.blocks)
