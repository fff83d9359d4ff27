"""Objects and linked files lifted by rules: their functions as assembly of the same code, and what comes back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from llm_compiler import cli
from llm_compiler.inference import roundtrip
from llm_compiler.inference.code import difference
from llm_compiler.inference.disassembly import Checker, Verdict, disassemble
from llm_compiler.inference.functions import Function, read_functions
from llm_compiler.inference.reassembly import assemblies, plain_numbers
from llm_compiler.inference.rules import Rules
from llm_compiler.lifting import LiftError
from support import write_source

SOURCE = r"""
int printf(const char *, ...); int first(int, int);
int counter; extern int away; extern _Thread_local int mine;
static const int table[5] = {3, 1, 4, 1, 5};
static const char *const words[2] = {"one", "two"};
static __attribute__((noinline)) int inner(int x) { counter += x; return counter * 3; }
int relay(int a, int b) { return first(a, b) + 1; }
void greet(const char *who) { printf("hello %s, welcome\n", who); away++; }
int look(unsigned i) { return i < 5 ? table[i] : -1; }
const char *const *all(void) { return words; }
int thread(void) { return ++mine; }
int choose(int k) {
  switch (k) { case 0: return inner(4); case 1: return first(k, 7); case 2: counter = 5; return 9;
  case 3: return 1; case 4: return counter; case 5: return 77; }
  return -1;
}
double scale(double x) { return x * 1.5 + 0.25; }
unsigned mask(unsigned x) { return x & 0xfffffff0u; }
int (*taken(void))(int, int) { return first; }
int again(int x) { return inner(x) + inner(x + 1); }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clang: str) -> Path:
    made = tmp_path_factory.mktemp("listed")
    write_source(made, "in.c", SOURCE)
    write_source(made, "other.c", "int away; _Thread_local int mine; int first(int a, int b) { return a - b; }\n"
                 "int printf(const char *text, ...) { return away; }\n")
    link = ["-fuse-ld=lld", "-nostdlib", "-Wl,-e,relay", "-Wl,--unresolved-symbols=ignore-all"]
    for arguments in (["-c", "in.c", "-o", "in.o"], ["-c", "-ffunction-sections", "in.c", "-o", "apart.o"],
                      ["-pie", *link, "in.c", "other.c", "-o", "in.pie"],
                      ["-no-pie", *link, "in.c", "other.c", "-o", "in.exe"],
                      ["-shared", "-fPIC", *link, "in.c", "other.c", "-o", "in.so"]):
        subprocess.run([clang, "-w", "-Oz", *arguments], cwd=made, check=True)
    return made


def same_code(function: Function) -> bool:
    """Whether one of a function's translations gives its code, to the last constant."""
    code = function.code()
    return any(not difference(code, roundtrip.code_of(text, function.name, "x86_64")) for text in assemblies(function))


def test_an_object_as_assembly_gives_the_same_code(folder: Path) -> None:
    functions = read_functions(folder / "in.o")
    assert len(functions) == 11 and all(same_code(function) for function in functions)
    text, = assemblies(next(function for function in functions if function.name == "greet"))
    assert "leaq\t.L.str(%rip), %rdi" in text and "printf@PLT" in text and "away@GOTPCREL(%rip)" in text


def test_an_object_comes_back(folder: Path) -> None:
    with Rules() as rules:
        found = {item.function: item.best.verdict for item in disassemble(read_functions(folder / "in.o"), rules)}
    assert len(found) == 11 and all(verdict.good for verdict in found.values()), found
    assert list(found.values()).count(Verdict.IDENTICAL) >= 10


@pytest.mark.parametrize(("file", "others"), [
    ("in.pie", {"greet", "all", "thread"}), ("in.exe", {"greet", "all", "thread"})])
def test_a_linked_file_comes_back(folder: Path, file: str, others: set[str]) -> None:
    """Others have strings, whose ends the file does not tell, or thread-local data at a distance that is filled in."""
    names = ("relay", "look", "choose", "scale", "mask", "taken", "again", "inner", *sorted(others))
    with Rules() as rules:
        found = {item.function: item.best for item in disassemble(read_functions(folder / file, names), rules)}
    assert {name for name, best in found.items() if not best.verdict.good} == others, found
    assert "@printf(" in found["greet"].ir and "hello" in found["greet"].ir


def test_a_shared_library_names_what_its_table_of_addresses_holds(folder: Path) -> None:
    functions = {function.name: function for function in read_functions(folder / "in.so")}
    assert "movq\tcounter@GOTPCREL(%rip), %rax" in assemblies(functions["inner"])[0]
    assert "callq\tfirst@PLT" in assemblies(functions["relay"])[0]
    assert same_code(functions["relay"]) and same_code(functions["inner"]) and same_code(functions["taken"])
    with Rules() as rules, Checker() as checker:
        text = rules.propose(functions["inner"])[0]
        assert checker.check(functions["inner"], text).verdict is Verdict.IDENTICAL
        assert not checker.check(functions["inner"], text.replace("@counter", "@away")).verdict.good


def test_other_code_of_an_object_is_run(folder: Path, clang: str, tmp_path: Path) -> None:
    write_source(tmp_path, "in.c", "int relay(int a, int b) { return a * 5 - b; }")
    write_source(tmp_path, "wrong.c", "int relay(int a, int b) { return a * 5 - (b == 3 ? 4 : b); }")
    for name in ("in", "wrong"):
        subprocess.run([clang, "-Oz", "-S", "-emit-llvm", f"{name}.c", "-o", f"{name}.ll"], cwd=tmp_path, check=True)
    subprocess.run([clang, "-Oz", "-fno-omit-frame-pointer", "-c", "in.c", "-o", "in.o"], cwd=tmp_path, check=True)
    function, = read_functions(tmp_path / "in.o")
    with Checker() as checker:
        found = checker.check(function, (tmp_path / "in.ll").read_text())
        assert found.verdict is Verdict.EQUIVALENT and found.inputs >= 16
        assert not checker.check(function, (tmp_path / "wrong.ll").read_text()).verdict.good


def test_refusals(folder: Path, clang: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_source(tmp_path, "in.c", r"""
      extern __thread int far; int get(void) { return far; }
      void *place(int n) { static void *const to[] = {&&a, &&b}; goto *to[n]; a: return to[1]; b: return 0; }
    """)
    subprocess.run([clang, "-w", "-Oz", "-fPIC", "-c", "in.c", "-o", "in.o"], cwd=tmp_path, check=True)
    functions = {function.name: function for function in read_functions(tmp_path / "in.o")}
    with pytest.raises(LiftError, match="it asks a call for the place of thread-local data"):
        assemblies(functions["get"])
    with pytest.raises(LiftError, match="it takes the address of a place in its code"):
        assemblies(functions["place"])
    assert cli.run(["disassemble", str(tmp_path / "in.o"), "--function", "get"]) == 1
    assert "failed: it asks a call" in capsys.readouterr().out


def test_functions_in_sections_of_their_own(folder: Path) -> None:
    for function in read_functions(folder / "apart.o"):
        assert same_code(function), function.name


def test_gaps_are_alignment(clang: str, tmp_path: Path) -> None:
    write_source(tmp_path, "in.c", "unsigned long count(const char *s) { long n = 0; while (s[n]) n++; return n * 5; }")
    subprocess.run([clang, "-O2", "-c", "in.c", "-o", "in.o"], cwd=tmp_path, check=True)
    function, = read_functions(tmp_path / "in.o")
    assert "nop" in function.shown and ".p2align" in assemblies(function)[0] and same_code(function)


def test_constants_are_signed_in_their_width() -> None:
    assert plain_numbers("movl $4294967295, %eax") == "movl $-1, %eax"
    assert plain_numbers("cmpb $255, (%rdi)") == "cmpb $-1, (%rdi)"
    assert plain_numbers("movabsq $4294967295, %rax") == "movabsq $4294967295, %rax"
