"""The compact forms: IR comes back as the same code, assembly assembles to the same .text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_compiler.corpus.extraction import extract
from llm_compiler.corpus.moduletext import ModuleText
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.target import Lowering, Profile, TargetMachine
from llm_compiler.tasks.assembly import compact_assembly, compact_listing, functions_of
from llm_compiler.tasks.compact import compact, expand
from samples import PROGRAMS
from support import unoptimised


def text_of(bitcode: bytes) -> str:
    with Context(library.load()) as context:
        return context.parse(bitcode).text()


def compiled(text: str, passes: str = "default<Oz>", profile: Profile = Profile.DEPLOY) -> tuple[str, str]:
    """IR after the passes, and its assembly without what names compiler and file."""
    lib = library.load()
    with Context(lib) as context:
        module = context.parse(text.encode())
        assert module.verify() is None
        machine = TargetMachine(lib, Lowering(profile=profile))
        lib.LLVMSetTargetMachineAsmVerbosity(machine.handle, 1)
        if passes:
            module.run_passes(passes, machine.handle)
        ir = module.text()
        assembly = module.emit(machine.handle, assembly=True).decode()
        machine.close()
    return ir, re.sub(r"\t\.(?:ident|file)\t.*\n", "", assembly)


def bodies(text: str) -> list[str]:
    """Definitions and globals as LLVM prints them, without the numbers of groups and metadata."""
    with Context(library.load()) as context:
        printed = context.parse(text.encode()).text()
    kept = [line for line in printed.splitlines()
            if line.startswith(("@", "%", "  ", "define", "}")) or re.match(r"\w+:", line)]
    return [re.sub(r" #\d+|(![a-z.]+) !\d+", r"\1", line) for line in kept]


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A module's unoptimised IR."""
    folder = tmp_path_factory.mktemp("ir")
    return text_of(unoptimised(folder, request.param, PROGRAMS[request.param]).read_bytes())


def test_a_module_comes_back(program: str) -> None:
    for text in (program, compiled(program)[0]):
        short = compact(text)
        assert len(short) < 0.75 * len(text)
        assert "\n'" not in short.replace("\n' asm", "")  # every line has a rule
        assert bodies(expand(short)) == [re.sub(r", !srcloc", "", line) for line in bodies(text)]
        assert compiled(expand(short))[1] == compiled(text)[1]


def test_functions_come_back_and_twice_is_once(program: str) -> None:
    seen = 0
    module = ModuleText(program)
    for symbol in module.names():
        with Context(library.load()) as context:
            text = context.parse(extract(module, symbol).text.encode()).text()
        short = compact(text)
        assert compiled(expand(short))[1] == compiled(text)[1]
        with Context(library.load()) as context:
            again = context.parse(expand(short).encode()).text()
        assert compact(again) == short
        seen += 1
    assert seen >= 2


UNUSUAL = r"""
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%"class.a b" = type { i32, ptr, [3 x i8] }
%packed = type <{ i8, i64 }>

$inline = comdat any

@"odd name" = global i32 1, section "s !1 #2", align 4
@marks = private unnamed_addr constant [12 x i8] c"; !0 #1 \22\\x\00", align 1
@short = private unnamed_addr constant [3 x i8] c"ab\00", align 4
@alias = alias i32 (i32, ...), ptr @f

define linkonce_odr i32 @inline(ptr %p, i32 noundef %x) comdat personality ptr @personality {
  %1 = load volatile i32, ptr %p, align 1, !range !1
  %2 = load atomic i32, ptr %p acquire, align 4
  %wide = zext i32 %x to i64
  %3 = getelementptr inbounds %"class.a b", ptr %p, i64 0, i32 2, i64 %wide
  store { i32, i32 } zeroinitializer, ptr getelementptr (i8, ptr @marks, i64 1), align 8
  store %packed undef, ptr %3, align 1, !tbaa !3, !nontemporal !2
  %4 = call i32 asm sideeffect "# $0 %eax(, !7 #8", "=r,~{memory}"() #2, !srcloc !9
  %5 = call i32 (i32, ...) @f(i32 noundef %4, ptr @short) #0
  %6 = invoke noundef i32 @f(i32 %5, i32 signext noundef %2)
          to label %ok unwind label %bad

ok:
  %7 = phi i32 [ %6, %0 ], [ 7, %ok ], [ 7, %ok ]
  switch i32 %7, label %out [
    i32 -1, label %ok
    i32 -3, label %ok
    i32 2, label %out
  ], !prof !10

out:
  %8 = tail call fast float @llvm.fabs.f32(float 1.0)
  %9 = select i1 true, i32 %7, i32 %1
  ret i32 %9

bad:
  %10 = landingpad { ptr, i32 }
          cleanup
          catch ptr null
  call void @llvm.memset.p0.i64(ptr align 4 %p, i8 0, i64 4, i1 false)
  %11 = call ptr %p(i32 noundef %1) #1
  resume { ptr, i32 } %10
}

declare i32 @f(i32, ...) #1
declare i32 @personality(...)
declare float @llvm.fabs.f32(float)
declare void @llvm.memset.p0.i64(ptr nocapture writeonly, i8, i64, i1 immarg)
declare extern_weak void @unused(ptr sret(%packed) align 8)

attributes #0 = { nounwind "a b"="c ]d" }
attributes #1 = { minsize optsize allocsize(0) memory(argmem: readwrite, inaccessiblemem: read) }
attributes #2 = { nounwind }

!other = !{!0}
!llvm.module.flags = !{!8}
!0 = !{!"text !1", i32 7, null}
!1 = !{i32 0, i32 9}
!2 = !{i32 1}
!3 = !{!4, !4, i64 0}
!4 = !{!"mine", !5, i64 0}
!5 = !{!"omnipotent char", !6, i64 0}
!6 = !{!"Simple C++ TBAA"}
!7 = distinct !{!7}
!8 = !{i32 1, !"odd flag", i32 3}
!9 = !{i64 77}
!10 = !{!"branch_weights", i32 1, i32 2, i32 3}
"""


def test_what_is_unusual_comes_back() -> None:
    with Context(library.load()) as context:
        printed = context.parse(UNUSUAL.encode()).text()
    back = expand(compact(printed))
    assert bodies(back) == [re.sub(r", !srcloc", "", line) for line in bodies(printed)]
    with Context(library.load()) as context:
        again = context.parse(back.encode()).text()
    for kept in ('!"text !1"', '!"odd flag", i32 3', '"a b"="c ]d"', "allocsize(0)", "!{i32 0, i32 9}",
                 '!"Simple C++ TBAA"', "declare extern_weak void @unused(ptr sret(%packed) align 8)",
                 "@alias = alias", '!"branch_weights", i32 1, i32 2, i32 3'):
        assert kept in again, kept
    assert "srcloc" not in again


def test_aarch64_and_layouts() -> None:
    for header in ('target triple = "aarch64-unknown-linux-gnu"', 'target datalayout = "e-i64:32"',
                   'target datalayout = "e-i64:32"\ntarget triple = "riscv64-unknown-elf"'):
        text = f"{header}\n\ndefine void @f() {{\n  ret void\n}}\n"
        with Context(library.load()) as context:
            printed = context.parse(text.encode()).text()
        with Context(library.load()) as context:
            again = context.parse(expand(compact(printed)).encode()).text()
        wanted = [line for line in printed.splitlines() if line.startswith("target")]
        found = [line for line in again.splitlines() if line.startswith("target")]
        assert found[-1:] == wanted[-1:]
        if "datalayout" in header:
            assert wanted == found


@given(st.text(max_size=200), st.lists(st.sampled_from(
    ["define void @f() {", "%1=load i32 %0", "br %1 %2 %3", "switch i32 %1 %2 [1 %3]", "}", "flags pie", "tbaa c++",
     "call void @f(?i32 1) #[+a", "!0 = {", "phi i32 [", "gep i8 %0, 1", '@a = str "', "#[", "target x", "'ret"])))
def test_nonsense_is_no_crash(text: str, lines: list[str]) -> None:
    expand(text)
    expand("\n".join(lines))
    compact(text)


@pytest.mark.parametrize("profile", list(Profile))
def test_assembly_assembles_to_the_same_code(program: str, profile: Profile, clang: str, tmp_path: Path) -> None:
    _, assembly = compiled(program, "default<Oz>" if profile is Profile.DEPLOY else "", profile)
    short = compact_assembly(assembly)
    assert len(short) < 0.9 * len(assembly)
    assert ".cfi_" not in short or ".cfi_lsda" in short
    assert len(compact_assembly(assembly, keep_cfi=True)) >= len(short)
    sections = []
    for name, text in (("long", assembly), ("short", short)):
        (tmp_path / f"{name}.s").write_text(text)
        subprocess.run([clang, "-c", f"{name}.s", "-o", f"{name}.o"], cwd=tmp_path, check=True)
        dump = subprocess.run(["llvm-objdump", "-s", "--section=.text", "--section=.rodata", "--section=.data",
                               f"{name}.o"], cwd=tmp_path, capture_output=True, text=True, check=True,
                              env={"PATH": str(Path(clang).parent)})
        relocations = subprocess.run(["llvm-objdump", "-r", "--section=.text", f"{name}.o"], cwd=tmp_path, text=True,
                                     capture_output=True, check=True, env={"PATH": str(Path(clang).parent)})
        sections.append([text.partition("format")[2] for text in (dump.stdout, relocations.stdout)])
    assert sections[0] == sections[1]


def test_strings_keep_what_looks_like_comments() -> None:
    assert compact_assembly('.L.str:\n\t.asciz\t"a # b\t  c"   # d\n\tleaq\t.L.str(%rip), %rdi # e\n') == (
        '.L.str:\n.asciz "a # b\t  c"\nleaq .L.str(%rip), %rdi\n')


LISTING = """
out.so:\tfile format elf64-x86-64

Disassembly of section .text:

0000000000001384 <f>:
    1384:      \tpushq\t%rbx
    1389:      \tmovl\t0x21b1(%rip), %eax      # 0x3540 <cnt>
    1396:      \tje\t0x13ad <f+0x29>
    13a2:      \tcallq\t0x1410 <printf@plt>
    13ab:      \tjmp\t0x1389 <f+0x5>
    13ad:      \tretq

00000000000013b0 <g>:
    13b0:      \tjmp\t0x1384 <f>
"""


def test_listings() -> None:
    found = functions_of(LISTING)
    assert list(found) == ["f", "g"]
    assert compact_listing(found["f"]) == (
        "f:\npushq %rbx\nL0:\nmovl cnt(%rip), %eax\nje L1\ncallq printf@plt\njmp L0\nL1:\nretq\n")
    assert compact_listing(found["g"]) == "g:\njmp f\n"
    assert compact_listing("nonsense") == "\n"
