"""The package's own self-checking programs: they pass at every level, print one thing, and notice a wrong kernel."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources
from pathlib import Path

import pytest

from llm_compiler.errors import LlmcError
from llm_compiler.llvm import frontend
from llm_compiler.llvm.target import X86_64

SUITE = Path(str(resources.files("llm_compiler.data"))) / "suite"
PROGRAMS = sorted(path for path in SUITE.glob("*.c*") if path.suffix in (".c", ".cc"))
SAMPLE = ("aliasing.c", "coroutine.c", "dct_scaled.c", "diamond.cc", "fp_soft.c", "lambdas.cc", "linkage.c",
          "loops_goto.c", "setjmp_longjmp.c", "stack_frames.c", "tls_signals.c", "vm_dispatch.c")

# A program, what stands in it, and a wrong kernel in its place.
CORRUPTIONS = (
    ("aliasing.c", "return *p + *q;", "return 11 + *q;"),
    ("avl_tree.c", "    update(up);\n", ""),
    ("crc_tables.c", "table[3][crc & 255]", "table[2][crc & 255]"),
    ("dct_8x8.c", "d[2] * 400 + d[3] * 1703", "d[2] * 400 - d[3] * 1703"),
    ("diamond.cc", "return 4;", "return 2;"),
    ("fp_special.c", "if (!(a <= b)) r &= ~LE;", "if (a > b) r &= ~LE;"),
    ("fp_sum.c", "*error = (a - (s - t)) + (b - t);", "*error = 0;"),
    ("int128.c", "r.high += r.low < a.low;", ""),
    ("loops_goto.c", "if (v & 16) goto even;", "if (v & 32) goto even;"),
    ("setjmp_longjmp.c", "    unwind_to(h->mark);\n", ""),
    ("sha256.c", "rotate(e, 11)", "rotate(e, 10)"),
    ("volatile_mmio.c", "*r = ~*r;", "*r = *r;"),
)


def flags_of(text: str) -> list[str]:
    """What follows `// flags:` in the first two lines."""
    match = re.match(r"(?:.*\n)?// flags:(.*)", text)
    return match.group(1).split() if match else []


def run_path() -> list[str]:
    """So that programs find the wheels' libc++, which lies outside the loader's path."""
    clang = frontend.clang_for(X86_64, cxx=True)
    found = subprocess.run([*clang.command, "-print-file-name=libc++.so.1"], capture_output=True, text=True, check=True)
    return [f"-Wl,-rpath,{Path(found.stdout.strip()).resolve().parent}"]


def run(source: Path, text: str, folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and stdout of the program that clang makes of the text of a source."""
    program = folder / (source.name + "".join(options))
    cxx = frontend.is_cxx(source)
    copy = folder / f"{program.name}{source.suffix}"
    copy.write_text(text)
    frontend.clang_for(X86_64, cxx).run(
        [*options, "-w", str(copy), "-o", str(program), *flags_of(text), *(run_path() if cxx else [])])
    done = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def passes(source: Path, folder: Path, levels: Sequence[str]) -> str:
    """What is wrong with a program, or nothing."""
    text = source.read_text()
    try:
        results = [run(source, text, folder, level) for level in levels]
    except (LlmcError, subprocess.TimeoutExpired) as error:
        return f"{source.name}: {error}"
    ran = all(code == 0 and output.strip() for code, output in results) and len(set(results)) == 1
    return "" if ran else f"{source.name}: {results}"


def swept(programs: Sequence[Path], folder: Path, levels: Sequence[str]) -> list[str]:
    frontend.clang_for(X86_64)  # found once, before the threads ask
    with ThreadPoolExecutor(2) as pool:
        return [wrong for wrong in pool.map(partial(passes, folder=folder, levels=levels), programs) if wrong]


def test_there_are_enough_programs_of_both_languages() -> None:
    assert len(PROGRAMS) >= 60
    assert sum(path.suffix == ".cc" for path in PROGRAMS) >= 15
    assert {*SAMPLE, *(name for name, _, _ in CORRUPTIONS)} <= {path.name for path in PROGRAMS}


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda path: path.name)
def test_programs_stand_alone(source: Path) -> None:
    lines = source.read_text().splitlines()
    assert lines[0].startswith("// ") and 40 <= len(lines) <= 160 and max(map(len, lines)) <= 120
    assert all(re.fullmatch(r"#include <[a-z_0-9.]+>", line) for line in lines if line.startswith("#include"))
    assert any("CHECK(" in line for line in lines[20:]) and any("%08x" in line for line in lines)


def test_a_sample_passes_and_prints_one_thing(tmp_path: Path) -> None:
    assert swept([SUITE / name for name in SAMPLE], tmp_path, ("-O0", "-Oz")) == []


@pytest.mark.slow
def test_every_program_passes_and_prints_one_thing(tmp_path: Path) -> None:
    assert swept(PROGRAMS, tmp_path, ("-O0", "-O2", "-Oz")) == []


@pytest.mark.parametrize(("name", "right", "wrong"), CORRUPTIONS, ids=lambda value: value if "." in value[-4:] else "")
def test_a_corrupted_kernel_is_noticed(tmp_path: Path, name: str, right: str, wrong: str) -> None:
    text = (SUITE / name).read_text()
    assert text.count(right) == 1
    code, output = run(SUITE / name, text.replace(right, wrong), tmp_path, "-O0")
    assert code == 1
    assert re.match(r"line \d+: .+", output)


def test_a_program_that_prints_otherwise_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "levels.c"
    source.write_text('#include <stdio.h>\nint main(void) {\n#ifdef __OPTIMIZE__\n    puts("other");\n#else\n'
                      '    puts("one");\n#endif\n    return 0;\n}\n')
    built = tmp_path / "built"
    os.mkdir(built)
    assert len(swept([source], built, ("-O0", "-Oz"))) == 1
    assert swept([source], built, ("-O1", "-Oz")) == []
