"""Sizes of objects: what llvm-size says, and no surprise from a broken file."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_compiler.errors import InputError
from llm_compiler.llvm.job import Job, Limits
from llm_compiler.llvm.objectfile import ObjectSize, measure, read_sections, with_init_arrays
from llm_compiler.llvm.worker import WorkerPool
from samples import PROGRAMS
from support import candidate, clang, inspected, link, measured, output_of, unoptimised, write_source

# What llvm-size -A lists but the loader does not take: ELF sections without SHF_ALLOC.
_NOT_LOADED = re.compile(r"\.(comment|note\.GNU-stack|llvm_addrsig|debug.*|rela?\..*|symtab|strtab|shstrtab|group)$")


def compiled(folder: Path, name: str, *flags: str) -> bytes:
    source = write_source(folder, name, PROGRAMS[name])
    output = folder / f"{name}.o"
    clang(source).run(["-Oz", *flags, "-c", str(source), "-o", str(output)])
    return output.read_bytes()


def llvm_size(folder: Path, data: bytes) -> list[tuple[str, int]]:
    """(name, bytes) of the loaded sections, .bss left out."""
    path = folder / "measured.o"
    path.write_bytes(data)
    program = Path(sys.executable).parent / "llvm-size"
    text = subprocess.run([program, "-A", path], capture_output=True, text=True, check=True).stdout
    rows = [match.groups() for line in text.splitlines() if (match := re.fullmatch(r"(\S+)\s+(\d+)\s+\d+", line))]
    return [(name, int(size)) for name, size in rows
            if name != "Total" and int(size) and not _NOT_LOADED.match(name)
            and not name.startswith((".bss", ".tbss"))]


@pytest.mark.parametrize("flags", [(), ("-ffunction-sections", "-fdata-sections"), ("-g",)], ids=" ".join)
@pytest.mark.parametrize("name", ["globals.c", "interpreter.c", "constructors.cc", "exceptions.cc"])
def test_sizes_are_those_of_llvm_size(tmp_path: Path, name: str, flags: tuple[str, ...]) -> None:
    data = compiled(tmp_path, name, *flags)
    said = llvm_size(tmp_path, data)
    size = measure(data)
    assert sorted(size.sections) == sorted(said)
    assert size.total == sum(count for _, count in said)
    wanted = sum(count for section, count in said
                 if section.startswith((".text", ".data")) and not section.startswith(".data.rel.ro"))
    assert size.text_data == wanted > 0
    if "-ffunction-sections" in flags:
        assert any(section.startswith(".text.") for section, _ in size.sections)


def test_total_is_berkeley_text_and_data(tmp_path: Path) -> None:
    data = compiled(tmp_path, "globals.c")
    path = tmp_path / "b.o"
    path.write_bytes(data)
    program = Path(sys.executable).parent / "llvm-size"
    text, data_size, bss = subprocess.run(
        [program, path], capture_output=True, text=True, check=True).stdout.splitlines()[1].split()[:3]
    assert measure(data).total == int(text) + int(data_size)
    assert int(bss) >= 4096


def test_comdats_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    sections = read_sections(compiled(tmp_path, "constructors.cc"))
    names = [section.name for section in sections]
    assert ".group" in names and names.count(".text._ZN5ShapeD2Ev") <= 1
    assert len(sections) == len(names)


def test_bss_takes_no_room(tmp_path: Path) -> None:
    sections = {section.name: section for section in read_sections(compiled(tmp_path, "globals.c"))}
    bss = sections[".bss"]
    assert bss.nobits and bss.allocated and bss.writable and not bss.executable and bss.size >= 4096
    assert sections[".text"].executable and not sections[".text"].writable
    assert not sections[".comment"].allocated


def test_an_object_without_code() -> None:
    assert measure(_header(offset=0)) == ObjectSize(0, 0, ())


def _header(*, offset: int, entry_size: int = 64, count: int = 0, names: int = 0, wide: int = 2,
            order: str = "<") -> bytes:
    ident = b"\x7fELF" + bytes([wide, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide == 2:
        return ident + struct.pack(order + "HHIQQQIHHHHHH", 1, 62, 1, 0, 0, offset, 0, 64, 0, 0, entry_size, count,
                                   names)
    return ident + struct.pack(order + "HHIIIIIHHHHHH", 1, 62, 1, 0, 0, offset, 0, 52, 0, 0, entry_size, count, names)


def _section(order: str, wide: int, name: int, kind: int, flags: int, at: int, size: int) -> bytes:
    layout = "IIQQQQIIQQ" if wide == 2 else "IIIIIIIIII"
    return struct.pack(order + layout, name, kind, flags, 0, at, size, 0, 0, 1, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [1, 2])
def test_both_classes_and_byte_orders(wide: int, order: str) -> None:
    text = b"\0.text\0.bss\0.names\0"
    start = 64
    at = start + len(text)
    rows = [(0, 0, 0, 0, 0), (1, 1, 6, start, 40), (7, 8, 3, start, 500), (12, 3, 0, start, len(text))]
    entry_size = 64 if wide == 2 else 40
    header = _header(offset=at, entry_size=entry_size, count=4, names=3, wide=wide, order=order)
    data = header.ljust(start, b"\0") + text
    data += b"".join(_section(order, wide, *row) for row in rows)
    assert measure(data) == ObjectSize(40, 40, ((".text", 40),))


@pytest.mark.parametrize("data", [
    b"", b"\x7fELF", b"\x7fELF" + bytes(60), b"BC\xc0\xde" + bytes(100), b"!<arch>\n" + bytes(100), bytes(200),
    _header(offset=1 << 63, count=3), _header(offset=(1 << 64) - 1, count=3), _header(offset=1 << 62, count=3),
    _header(offset=0x7FFFFFFFFFFFFFFF, count=2), _header(offset=64, count=3, entry_size=0),
    _header(offset=64, count=0xFFFF), _header(offset=64, count=1) + bytes(20), _header(offset=52, count=9, wide=1),
    _header(offset=64, count=1, names=5) + bytes(64), _header(offset=64, count=1, names=0xFFFF) + b"\xff" * 64,
    # No number of sections in the header, an absurd one in section 0, and entries of no size.
    _header(offset=64, count=0, entry_size=0) + b"\xff" * 64,
    _header(offset=64, count=0, entry_size=64) + b"\xff" * 64,
    _header(offset=64, count=0, entry_size=1) + b"\x7f" * 4000,
])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"not an ELF object|truncated or corrupted"):
        measure(data)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compiled(tmp_path_factory.mktemp("object"), "globals.c")


def _measured_or_refused(data: bytes) -> None:
    try:
        size = measure(data)
    except InputError:
        return
    assert size.total >= size.text_data >= 0


def test_every_truncation(sound: bytes) -> None:
    whole = measure(sound)
    for length in [*range(0, 200), *range(200, len(sound), 37), *range(len(sound) - 100, len(sound))]:
        try:
            assert measure(sound[:length]) == whole
        except InputError:
            continue


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_flipped_bytes(sound: bytes, data: st.DataObject) -> None:
    spoilt = bytearray(sound)
    headers = st.integers(0, 63) | st.integers(max(0, len(sound) - 1500), len(sound) - 1)
    for _ in range(data.draw(st.integers(1, 6))):
        spoilt[data.draw(headers | st.integers(0, len(sound) - 1))] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    _measured_or_refused(bytes(spoilt))


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"\x7fELF\2\1", b"\x7fELF\1\2", b"\x7fELF\2\2"]))
@example(b"", b"\x7fELF\2\1")
def test_random_bytes(data: bytes, start: bytes) -> None:
    _measured_or_refused(start + data)


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, (1 << 64) - 1) | st.integers(0, 200), st.integers(0, 65535) | st.integers(0, 70),
    st.integers(0, 65535) | st.integers(0, 3), st.integers(0, 65535) | st.integers(0, 3), st.binary(max_size=300),
)
def test_random_headers(offset: int, entry_size: int, count: int, names: int, body: bytes) -> None:
    _measured_or_refused(_header(offset=offset, entry_size=entry_size, count=count, names=names) + body)


def test_initialisers_run_in_the_order_of_clang(tmp_path: Path) -> None:
    text = "#include <stdio.h>\n" + "".join(
        f'__attribute__(({kind})) static void f{letter}(void) {{ puts("{letter}"); }}\n'
        for letter, kind in (("a", "constructor"), ("b", "constructor"), ("c", "constructor(300)"), ("d", "destructor"),
                             ("e", "destructor"), ("f", "constructor(200)"))) + "int main(void) { return 0; }\n"
    bitcode = unoptimised(tmp_path, "unit.c", text)
    with WorkerPool(1, Limits(60.0)) as pool:
        job = Job(bitcode, candidate("default<Oz>"), inspected(pool, bitcode), keep_object=True)
        data = measured(pool, job).object
    assert data is not None
    assert with_init_arrays(data) == data
    (tmp_path / "unit.o").write_bytes(data)
    assert output_of(link([tmp_path / "unit.o"], tmp_path / "unit")) == "f\nc\na\nb\ne\nd\n"
    clang("unit.c").run(["-Oz", "-c", str(tmp_path / "unit.c"), "-o", str(tmp_path / "clang.o")])
    clangs = (tmp_path / "clang.o").read_bytes()
    assert measure(data).total == measure(clangs).total
    assert sorted(measure(data).sections) == sorted(measure(clangs).sections)


def test_objects_without_initialisers_are_left_alone() -> None:
    assert with_init_arrays(b"") == b"" and with_init_arrays(b"\x7fELF\x01\x01 not wide") == b"\x7fELF\x01\x01 not wide"
