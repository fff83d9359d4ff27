"""Contexts, modules and target machines: ownership, messages, counts."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_compiler.errors import InputError, PipelineError, ToolchainError
from llm_compiler.llvm import library
from llm_compiler.llvm.library import Library
from llm_compiler.llvm.module import BITCODE_MAGIC, Context, Module, digest
from llm_compiler.llvm.objectfile import measure
from llm_compiler.llvm.target import (
    AARCH64,
    X86_64,
    Lowering,
    Profile,
    TargetMachine,
    architecture,
    lowering_of,
    normalise_triple,
)
from samples import IR, OPTNONE_IR
from support import HAS_PROC

DEBUG_IR = """define void @one() !dbg !2 {
  ret void, !dbg !4
}
define void @two() {
  ret void
}
!llvm.module.flags = !{!0}
!llvm.dbg.cu = !{!1}
!0 = !{i32 2, !"Debug Info Version", i32 3}
!1 = distinct !DICompileUnit(language: DW_LANG_C99, file: !3, emissionKind: FullDebug)
!2 = distinct !DISubprogram(name: "one", scope: !3, file: !3, line: 1, type: !5, unit: !1,
                            spFlags: DISPFlagDefinition)
!3 = !DIFile(filename: "a.c", directory: "/")
!4 = !DILocation(line: 1, scope: !2)
!5 = !DISubroutineType(types: !6)
!6 = !{null}
"""


@pytest.fixture(scope="module")
def lib() -> Library:
    return library.load()


@pytest.fixture
def context(lib: Library) -> Iterator[Context]:
    with Context(lib) as context:
        yield context


@pytest.fixture
def module(context: Context) -> Module:
    return context.parse(IR.encode(), "scale.ll")


def test_closing_twice_is_closing_once(lib: Library) -> None:
    context = Context(lib)
    module = context.parse(IR.encode())
    module.close()
    module.close()
    context.close()
    context.close()
    machine = TargetMachine(lib, Lowering())
    machine.close()
    machine.close()


def test_a_context_closes_its_modules(lib: Library) -> None:
    context = Context(lib)
    modules = [context.parse(IR.encode()) for _ in range(3)]
    context.close()
    for module in modules:
        with pytest.raises(ValueError, match="the module is closed"):
            module.count_instructions()
    modules[0].close()


@pytest.mark.parametrize("use", [
    lambda module: module.bitcode(), lambda module: module.text(), lambda module: module.verify(),
    lambda module: module.run_passes("gvn", None), lambda module: module.emit(0), lambda module: module.triple,
    lambda module: module.flag("PIC Level"), lambda module: module.functions_with_attribute("optnone"),
])
def test_use_after_close_raises(module: Module, use: object) -> None:
    module.close()
    assert callable(use)
    with pytest.raises(ValueError, match="closed"):
        use(module)


def test_a_closed_context_parses_nothing(lib: Library) -> None:
    context = Context(lib)
    context.close()
    with pytest.raises(ValueError, match="the context is closed"):
        context.parse(IR.encode())
    machine = TargetMachine(lib, Lowering())
    machine.close()
    with pytest.raises(ValueError, match="the target machine is closed"):
        _ = machine.handle


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
def test_nothing_leaks(lib: Library) -> None:
    body = "".join(f"  %v{i} = add i32 %v{i - 1}, {i}\n" for i in range(1, 200))
    text = f"define i32 @f(i32 %v0) {{\n{body}  ret i32 %v199\n}}\n".encode()

    def cycle() -> None:
        with Context(lib) as context:
            module = context.parse(text)
            module.verify()
            for _ in range(10):
                module.text()
            module.run_passes("function(instcombine)", None)
            with pytest.raises(PipelineError):
                module.run_passes("no-such-pass", None)
            bitcode = module.bitcode()
            machine = TargetMachine(lib, Lowering())
            module.emit(machine.handle)
            machine.close()
            with pytest.raises(InputError):
                context.parse(bitcode[:-20])
            with pytest.raises(InputError):
                context.parse(b"nonsense")

    for _ in range(30):
        cycle()
    gc.collect()
    before = _resident()
    for _ in range(300):
        cycle()
    gc.collect()
    # A leaked context or module of this size is some 50 KB, its text ten times 5 KB: 15 MB after 300 cycles.
    assert _resident() - before < 5 << 20


def test_text_and_bitcode_are_the_same_module(context: Context, module: Module) -> None:
    bitcode = module.bitcode()
    assert bitcode[:4] in BITCODE_MAGIC
    again = context.parse(bitcode)
    assert again.count_instructions() == module.count_instructions() == 3
    # As clang does: bitcode is read without names of values, IR text with them.
    assert "%2 = mul i32 %0, 8" in again.text() and "%y = mul i32 %x, 8" in module.text()
    assert context.parse(again.bitcode()).bitcode() == again.bitcode()
    text = context.parse(IR.encode())
    text.run_passes("function(instcombine)", None)
    assert "shl i32" in text.text()


def test_passes_change_the_module_in_place(module: Module) -> None:
    module.run_passes("function(instcombine)", None)
    assert module.count_instructions() == 2
    assert module.verify() is None


@pytest.mark.parametrize(("data", "message"), [
    (b"define i32 @f( {", r"input.ll: LLVM [\d.]+ cannot read it: input.ll:1:17: error: expected type"),
    (b"garbage", "input.ll:1:1: error: expected top-level entity garbage"),
    (b"BC\xc0\xde", "cannot read it: "),
    (b"BC\xc0\xde" + bytes(64), "cannot read it: "),
    (b"\xde\xc0\x17\x0b" + bytes(40), "cannot read it: "),
    (b"\x7fELF" + bytes(100), "error: expected top-level entity"),
    (b"define i32 @f() {\n  ret i64 0\n}\n", "error: value doesn't match function result type 'i32'"),
    (b'target triple = "x\n', "error: "),
])
def test_what_llvm_says_of_bad_input_is_read(context: Context, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        context.parse(data, "input.ll")
    assert "\n" not in str(caught.value)
    assert context.parse(IR.encode()).count_instructions() == 3  # the context is as good as before


@pytest.mark.parametrize(("pipeline", "message"), [
    ("no-such-pass", "unknown pass name 'no-such-pass'"),
    ("function(globaldce)", "unknown function pass 'globaldce'"),
    ("gvn<foo>", "invalid GVN pass parameter 'foo'"),
    ("function(gvn", "invalid pipeline"),
])
def test_what_llvm_says_of_bad_pipelines_is_read(module: Module, pipeline: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        module.run_passes(pipeline, None)
    assert module.count_instructions() == 3


def test_the_verifier_is_asked(context: Context, module: Module) -> None:
    assert module.verify() is None
    broken = context.parse(b"define i32 @f() {\n  %a = add i32 %b, 1\n  %b = add i32 1, 1\n  ret i32 %a\n}\n")
    said = broken.verify()
    assert said is not None and "does not dominate all uses" in said
    module.check_result()
    with pytest.raises(PipelineError, match=r"^the verifier refuses the result: function 'f' is broken$"):
        broken.check_result()


def test_broken_debug_information_is_dropped_as_readers_do(context: Context) -> None:
    module = context.parse(DEBUG_IR.encode())
    module.check_result()
    dll = ctypes.CDLL(str(module.lib.path))
    first, second = (ctypes.c_void_p(function) for function in module.functions())
    dll.LLVMGetSubprogram.restype = ctypes.c_void_p
    dll.LLVMSetSubprogram(second, ctypes.c_void_p(dll.LLVMGetSubprogram(first)))  # one belongs to one function
    said = module.verify()
    assert said is not None and "DISubprogram attached to more than one function" in said
    assert "!dbg" in module.text()
    module.check_result()
    assert "!dbg" not in module.text() and module.verify() is None


def test_functions_and_optnone(context: Context) -> None:
    text = OPTNONE_IR + "declare void @elsewhere()\ndefine void @free() {\n  ret void\n}\n"
    module = context.parse(text.encode())
    assert len(module.functions()) == 2
    assert module.functions_with_attribute("optnone") == ["frozen"]
    assert module.functions_with_attribute("noinline") == ["frozen"]
    assert module.functions_with_attribute("minsize") == []


def test_functions_whose_inlining_is_open(context: Context) -> None:
    calls = "\n".join(f"  call void @{name}()" for name in ("free", "kept", "eager", "frozen", "exported"))
    module = context.parse(f"""
define internal void @free() {{ ret void }}
define internal void @unused() {{ ret void }}
define internal void @kept() noinline {{ ret void }}
define internal void @eager() alwaysinline {{ ret void }}
define internal void @frozen() noinline optnone {{ ret void }}
define void @exported() {{ ret void }}
define linkonce_odr void @inline() {{ ret void }}
define void @all() {{
{calls}
  call void @inline()
  ret void
}}
""".encode())
    assert module.discardable_functions() == ["free", "inline"]


def test_module_flags(context: Context) -> None:
    flags = ('target triple = "x86_64-unknown-linux-gnu"\n!llvm.module.flags = !{!0, !1, !2}\n'
             '!0 = !{i32 8, !"PIC Level", i32 2}\n!1 = !{i32 1, !"Code Model", i32 4}\n'
             '!2 = !{i32 1, !"words", !"text"}\n')
    module = context.parse(flags.encode())
    assert (module.flag("PIC Level"), module.flag("Code Model")) == (2, 4)
    assert module.flag("words") is None and module.flag("absent") is None
    assert lowering_of(module, Profile.PAPER) == Lowering(X86_64, Profile.PAPER, 2, 6)
    bare = context.parse(b"")
    assert lowering_of(bare, Profile.DEPLOY) == Lowering(X86_64, Profile.DEPLOY, 1, 0)


def test_the_triple_can_be_set(module: Module) -> None:
    module.triple = "x86_64-pc-linux-gnu"
    assert module.triple == "x86_64-pc-linux-gnu"
    assert 'target triple = "x86_64-pc-linux-gnu"' in module.text()


def test_objects_and_assembly(lib: Library, context: Context) -> None:
    sizes = {}
    for profile in Profile:
        machine = TargetMachine(lib, Lowering(profile=profile))
        data = context.parse(IR.encode()).emit(machine.handle)
        assert data[:4] == b"\x7fELF"
        sizes[profile] = measure(data).total
        assembly = context.parse(IR.encode()).emit(machine.handle, assembly=True)
        assert b"scale:" in assembly
        machine.close()
    assert 0 < sizes[Profile.DEPLOY] <= sizes[Profile.PAPER]


def test_bcmp_is_expanded_as_clang_does(lib: Library, context: Context) -> None:
    text = b"""
target triple = "x86_64-unknown-linux-gnu"
declare i32 @bcmp(ptr, ptr, i64)
declare i32 @memcmp(ptr, ptr, i64)
define i1 @same(ptr %a, ptr %b) minsize optsize {
  %c = call i32 @bcmp(ptr %a, ptr %b, i64 4)
  %d = icmp eq i32 %c, 0
  ret i1 %d
}
"""
    machine = TargetMachine(lib, Lowering())
    for given in (text, text.replace(b"declare i32 @memcmp(ptr, ptr, i64)\n", b"")):
        assembly = context.parse(given).emit(machine.handle, assembly=True)
        assert b"call" not in assembly and b"bcmp" not in assembly
    machine.close()


def test_lowering_errors_are_read(lib: Library, context: Context) -> None:
    text = b'define void @f() {\n  call void asm sideeffect "bogus %rax", ""()\n  ret void\n}\n'
    machine = TargetMachine(lib, Lowering())
    with pytest.raises(InputError, match=r"lowering failed: .*invalid instruction mnemonic"):
        context.parse(text).emit(machine.handle)
    machine.close()
    with pytest.raises(ToolchainError, match="has no target for nonsense-unknown"):
        TargetMachine(lib, Lowering(triple="nonsense-unknown-none"))


def test_triples() -> None:
    assert normalise_triple("x86_64-linux-gnu") == normalise_triple("amd64") == X86_64
    assert normalise_triple("aarch64-linux-gnu") == normalise_triple("arm64-linux") == AARCH64
    assert architecture(AARCH64) == "aarch64"
    with pytest.raises(InputError, match="unknown target 'sparc-sun'"):
        normalise_triple("sparc-sun")


def test_digest() -> None:
    assert digest(b"a") == digest(b"a") != digest(b"b") and len(digest(b"")) == 32
