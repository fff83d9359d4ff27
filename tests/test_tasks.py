"""The datasets of pretraining, emulation and disassembly, made from small corpora."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import make_corpus
from llm_compiler.corpus.functions import make_functions
from llm_compiler.corpus.shards import Manifest, read_shards
from llm_compiler.errors import InputError
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.frontend import find_zig
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.objectfile import measure, with_init_arrays
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import Lowering, Profile, TargetMachine
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import batches, disassembly, emulation, lengths, lowering, pretraining, prompts, units
from llm_compiler.tasks.assembly import compact_listing
from llm_compiler.tasks.compact import expand
from llm_compiler.tasks.disassembly import DisassemblyOptions
from llm_compiler.tasks.emulation import EmulationOptions
from llm_compiler.tasks.labels import bench
from llm_compiler.tasks.pretraining import Pack, PretrainingOptions, pack
from samples import PROGRAMS

PACKAGES = {
    "arithmetic": {"crc.c": PROGRAMS["crc.c"], "floats.c": PROGRAMS["floats.c"]},
    "words": {"strings.c": PROGRAMS["strings.c"], "globals.c": PROGRAMS["globals.c"]},
    "lua5.4": {"interpreter.c": PROGRAMS["interpreter.c"]},
}
AARCH64 = pytest.mark.skipif(find_zig() is None, reason="zig is not installed")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with its functions; lua5.4 is a test package."""
    folder = make_corpus(tmp_path_factory.mktemp("tasks"), PACKAGES)
    make_functions(folder)
    return folder


def shards(folder: Path) -> dict[str, str]:
    return {shard.name: shard.sha256 for shard in Manifest.read(folder).shards}


def reparsed(text: str) -> str:
    with Context(library.load()) as context:
        module = context.parse(text.encode())
        assert module.verify() is None
        return module.text()


# --- batches -----------------------------------------------------------------------------------------------------


def _double(item: int | str) -> int:
    if item == "die":
        os.abort()
    if item == "sleep":
        time.sleep(60)
    if item == "slow":
        time.sleep(0.7)
        return 0
    if isinstance(item, str):
        raise InputError(f"{item} is no number")
    return 2 * item


def test_an_item_costs_itself_only() -> None:
    items: list[int | str] = [1, "die", 2, "x", "slow", "slow", "slow", 3, "sleep", 4, "die"]
    with WorkerPool(1, Limits(seconds=1.5)) as pool:
        found = list(batches.batch(pool, _double, items))
    assert [item.reason if isinstance(item, batches.Failure) else item for item in found] == [
        2, "crashed", 4, "refused by LLVM", 0, 0, 0, 6, "timed out", 8, "crashed"]


def _fails_behind_others(item: int) -> int:
    if item in SEEN:
        os.abort()
    SEEN.add(1)
    return item


SEEN: set[int] = set()


def test_what_fails_behind_others_runs_again_in_a_fresh_worker() -> None:
    with WorkerPool(1, Limits(60.0)) as pool:
        assert list(batches.batch(pool, _fails_behind_others, [7, 1, 1, 8])) == [7, 1, 1, 8]


def test_counted() -> None:
    counts: Counter[str] = Counter()
    results = [1, batches.Failure("crashed"), 2, batches.Failure("timed out"), batches.Failure("crashed")]
    assert list(batches.counted(iter(results), counts)) == [1, None, 2, None, None]
    assert counts == {"left out: crashed": 2, "left out: timed out": 1}


# --- pretraining -------------------------------------------------------------------------------------------------


def test_pretraining(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(40):
        (tmp_path / "texts" / f"{number}.txt").write_text(f"Text number {number}. " * 600)
    (tmp_path / "texts" / "binary").write_bytes(b"\xff\xfe\0\1" * 100)
    options = PretrainingOptions(draws=3, aarch64_share=0.0, text=tmp_path / "texts", text_share=0.2)
    manifest = pretraining.build(corpus, tmp_path / "out", options, jobs=2)
    rows = list(read_shards(tmp_path / "out"))
    assert manifest.verify(tmp_path / "out") == [] and manifest.counts["rows"] == len(rows)
    assert {row["kind"] for row in rows} == {"ir", "assembly", "text"}
    assert {row["level"] for row in rows} == {"", *pretraining.LEVELS}
    assert {row["split"] for row in rows if row["package"] == "lua5.4"} == {"test"}
    assert all(row["split"] in path.name for path in (tmp_path / "out").glob("*.parquet")
               for row in read_shards(path))
    for row in rows:
        assert row["prompt"] == "" and row["compact_answer"].endswith(prompts.END)
        if row["kind"] == "ir":
            short = prompts.unescape(row["compact_answer"].removeprefix(prompts.IR).removesuffix(prompts.END))
            reparsed(row["answer"])
            reparsed(expand(short))
        if row["level"] in ("O2", "O3"):
            assert "optsize" not in row["answer"]
    sizes: Counter[str] = Counter()
    for row in rows:
        sizes["text" if row["kind"] == "text" else "code"] += len(row["answer"])
    # Whole files are taken, so the share is reached and passed by less than one.
    assert 0 <= sizes["text"] - sizes["code"] / 4 < 14_000
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "# pretraining" in readme and "arithmetic" in readme


def test_the_number_of_workers_changes_nothing(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "_FUNCTIONS_A_UNIT", 4)
    monkeypatch.setattr(disassembly, "_FUNCTIONS_A_UNIT", 4)
    for jobs in (1, 3):
        pretraining.build(corpus, tmp_path / f"p{jobs}", PretrainingOptions(aarch64_share=0.0), jobs=jobs)
        emulation.build(corpus, tmp_path / f"e{jobs}", EmulationOptions(functions=True), jobs=jobs)
        disassembly.build(corpus, tmp_path / f"d{jobs}", DisassemblyOptions(aarch64_share=0.0), jobs=jobs)
    for task in "ped":
        assert shards(tmp_path / f"{task}1") == shards(tmp_path / f"{task}3")
    assert len(shards(tmp_path / "p1")) > 3


@AARCH64
def test_aarch64(corpus: Path, tmp_path: Path) -> None:
    only = PretrainingOptions(levels=("O0", "O2", "Oz"), aarch64_share=1.0, modules=False)
    pretraining.build(corpus, tmp_path / "p", only, jobs=1)
    assembly = [row for row in read_shards(tmp_path / "p") if row["kind"] == "assembly"]
    assert {row["target"] for row in assembly} == {"aarch64"} and len(assembly) > 20
    assert all("\tret" in row["answer"] or "\tb\t" in row["answer"] for row in assembly)
    assert all("%" not in row["compact_answer"].replace("%s", "").partition(".data")[0] for row in assembly[:1])
    disassembly.build(corpus, tmp_path / "d", DisassemblyOptions(aarch64_share=1.0), jobs=1)
    rows = list(read_shards(tmp_path / "d"))
    assert rows and {row["target"] for row in rows} == {"aarch64"}
    assert all('target triple = "aarch64' in row["answer"] for row in rows)
    reparsed(expand(prompts.unescape(rows[0]["compact_answer"].removesuffix(prompts.END))))


def test_what_only_x86_has_is_not_retargeted() -> None:
    assert lowering.retarget("define x86_fp80 @f() {\n}\n") is None
    assert lowering.retarget('  call void asm sideeffect "rdtsc", ""()\n') is None
    assert lowering.retarget('attributes #0 = { "target-cpu"="x86-64" "x"="y" }\n') == 'attributes #0 = { "x"="y" }\n'


@given(st.lists(st.lists(st.integers(), max_size=20), max_size=20), st.integers(1, 12))
def test_packs_hold_every_document_in_order(documents: list[list[int]], length: int) -> None:
    packs = list(pack(documents, length))
    assert [item for some in packs for item in some.items] == [item for document in documents for item in document]
    pieces = []
    for some in packs:
        assert 0 < len(some.items) <= length and some.ends[-1] == len(some.items)
        starts = (0, *some.ends[:-1])
        pieces += [some.items[start:end] for start, end in zip(starts, some.ends, strict=True)]
    wanted = [tuple(document[start : start + length]) for document in documents
              for start in range(0, len(document), length)]
    assert pieces == wanted
    assert all(len(one.items) + other.ends[0] > length for one, other in pairwise(packs))


def test_a_pack() -> None:
    assert list(pack(["abc", "de", "fghijkl"], 5)) == [
        Pack(tuple("abcde"), (3, 5)), Pack(tuple("fghij"), (5,)), Pack(tuple("kl"), (2,))]


# --- emulation ---------------------------------------------------------------------------------------------------


def test_random_lists_are_nested_and_their_lengths_uniform() -> None:
    known = registry.load(full=True)
    lists = [emulation.random_passes(str(seed), known) for seed in range(600)]
    lengths = Counter((len(passes) - 1) // 10 for passes in lists)
    assert set(lengths) == set(range(5)) and all(80 < lengths[decile] < 165 for decile in lengths)
    assert emulation.random_passes("7", known) == lists[7]
    used = {name for passes in lists for name in passes.names()}
    assert used == {item.name for item in emulation.alphabet(known)}
    assert len(used) > 100 and "gvn-sink" not in used
    for passes in lists[:20]:
        known.validate(passes)
        assert PassList.parse(passes.text) == passes


def test_emulation(corpus: Path, tmp_path: Path) -> None:
    manifest = emulation.build(corpus, tmp_path / "out", EmulationOptions(functions=True, limit=10**6), jobs=2)
    rows = list(read_shards(tmp_path / "out"))
    assert manifest.counts["lists"] == len({(row["hash"], row["passes"]) for row in rows}) + sum(
        count for reason, count in manifest.counts["excluded"].items() if reason != "too long")
    assert {row["output"] for row in rows} == {"ir", "assembly"}
    assert {row["function"] == "" for row in rows} == {True, False}
    lib = library.load()
    for row in rows:
        asked, short = prompts.parse_prompt(row["prompt"]), prompts.parse_compact_prompt(row["compact_prompt"])
        assert isinstance(asked, prompts.EmulationPrompt) and isinstance(short, prompts.EmulationPrompt)
        assert asked.passes == short.passes == row["passes"]
        assert asked.before == prompts.Sizes(row["instructions_before"], row["bytes_before"])
        answer = prompts.parse_compact_emulation(row["compact_answer"])
        assert isinstance(answer, prompts.Emulated)
        assert answer.after == prompts.Sizes(row["instructions_after"], row["bytes_after"])
        assert answer.before == asked.before
    for row in [row for row in rows if row["output"] == "ir"][:10]:
        asked = prompts.parse_prompt(row["prompt"])
        given = prompts.parse_emulation(row["answer"])
        assert isinstance(asked, prompts.EmulationPrompt) and isinstance(given, prompts.Emulated)
        with Context(lib) as context:
            bitcode = context.parse(asked.ir.encode()).bitcode()
        with Context(lib) as context:
            module = context.parse(bitcode)
            flag = module.flag("PIC Level")
            machine = TargetMachine(lib, Lowering(profile=Profile.PAPER, relocation=1 if flag == 0 else 2))
            module.run_passes(row["passes"], machine.handle)
            assert lowering.clean(module.text()) == given.code
            assert measure(with_init_arrays(module.emit(machine.handle))).total == row["bytes_after"]
            machine.close()


def test_crashes_are_counted(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # function-import ends the process without a summary file.
    monkeypatch.setattr(emulation, "random_passes", lambda seed, known: PassList.parse(
        "function-import" if int(seed.split()[1], 16) % 2 else "globaldce"))
    work = emulation.EmulationWork(EmulationOptions(functions=True, modules=False), Limits())
    counts: Counter[str] = Counter()
    with WorkerPool(1, work.limits) as pool:
        rows = [row for unit in units.function_units(corpus, 100) for row in work.rows(unit.payload, pool, counts)]
    hashes = [row["function"] for row in read_shards(units.function_shards(corpus))]
    odd = sum(int(name, 16) % 2 for name in hashes)
    assert counts["left out: crashed"] == odd > 0
    assert len(rows) == 2 * (len(hashes) - odd)


def test_long_examples_are_left_out(corpus: Path, tmp_path: Path) -> None:
    manifest = emulation.build(corpus, tmp_path / "out", EmulationOptions(limit=3000), jobs=1)
    assert manifest.counts["excluded"]["too long"] > 0 and manifest.counts["excluded"]["input too long"] > 0
    for row in read_shards(tmp_path / "out"):
        assert len(row["prompt"] + row["answer"]) <= 3001 * lengths.BYTES_PER_TOKEN


# --- disassembly -------------------------------------------------------------------------------------------------


def test_disassembly(corpus: Path, tmp_path: Path, clang: str) -> None:
    manifest = disassembly.build(corpus, tmp_path / "out", DisassemblyOptions(aarch64_share=0.0), jobs=2)
    rows = list(read_shards(tmp_path / "out"))
    kinds = Counter((row["codegen"], row["style"]) for row in rows)
    assert set(kinds) == {(codegen, style) for codegen in ("O0", "Oz") for style in ("assembly", "listing")}
    assert kinds["Oz", "assembly"] == manifest.counts["functions"] == kinds["Oz", "listing"]
    by_function: dict[str, set[str]] = {}
    for row in rows:
        asked, short = prompts.parse_prompt(row["prompt"]), prompts.parse_compact_prompt(row["compact_prompt"])
        assert isinstance(asked, prompts.DisassemblyPrompt) and isinstance(short, prompts.DisassemblyPrompt)
        assert short.listing == (row["style"] == "listing") and short.target == "x86_64"
        assert f"{row['function']}:" in short.assembly
        if row["style"] == "listing":
            assert asked.assembly.startswith("0000") and f"<{row['function']}>:" in asked.assembly
        by_function.setdefault(row["hash"], set()).add(row["answer"])
    assert {len(answers) for answers in by_function.values()} == {1}
    # The reference's inverse: clang lowers the answer to the assembly of the prompt.
    for row in [row for row in rows if row["codegen"] == "Oz" and row["style"] == "assembly"][:5]:
        answer = prompts.parse_code(row["answer"])
        assert isinstance(answer, prompts.Code)
        (tmp_path / "a.ll").write_text(answer.text)
        subprocess.run([clang, "-Oz", "-fPIC", "-S", "-Xclang", "-disable-llvm-passes", "-Wno-override-module", "a.ll",
                        "-o", "a.s"], cwd=tmp_path, check=True)
        found = (tmp_path / "a.s").read_text()
        asked = prompts.parse_prompt(row["prompt"])
        assert isinstance(asked, prompts.DisassemblyPrompt)
        code = [[line for line in text.splitlines() if line.startswith("\t") and not line.startswith("\t.")]
                for text in (found, asked.assembly)]
        assert code[0] == code[1]


def test_one_symbol_twice_is_linked_apart(corpus: Path) -> None:
    row = next(iter(read_shards(units.function_shards(corpus))))
    other = row["ir"].replace("@" + row["name"] + "(", "@another(")
    made = [disassembly.lower(disassembly.Order(text, ("Oz",), True)) for text in (row["ir"], row["ir"], other)]
    names = (row["name"], row["name"], "another")
    objects = [(name, item.objects["Oz"]) for name, item in zip(names, made, strict=True)]
    found = disassembly.listings(objects, "x86_64")
    assert all(found)
    assert f"<{row['name']}>:" in (found[0] or "") and f"<{row['name']}>:" in (found[1] or "")
    assert "<another>:" in (found[2] or "")
    assert disassembly.listings([("absent", made[0].objects["Oz"])], "x86_64") == [None]


PARTS = """
@count = external dso_local global i64, align 8
@.str = private unnamed_addr constant [3 x i8] c"hi\\00"
define dso_local i64 @f(i64 %x) minsize optsize {
  %old = load i64, ptr @count
  %other = call i64 @helper(ptr @.str)
  %next = add i64 %old, %other
  store i64 %next, ptr @count
  %again = icmp eq i64 %next, %x
  br i1 %again, label %more, label %done
more:
  %deep = call i64 @f(i64 %next)
  %sum = mul i64 %deep, %next
  ret i64 %sum
done:
  ret i64 %next
}
declare hidden i64 @helper(ptr)
"""


def test_listings_name_what_is_elsewhere() -> None:
    made = disassembly.lower(disassembly.Order(PARTS, ("Oz",), True))
    assert disassembly.defined_elsewhere(made.ir) == ["count", "helper"]
    [found] = disassembly.listings([("f", made.objects["Oz"])], "x86_64", ["count", "helper"])
    assert found is not None and "<count>" in found and "<helper>" in found and "callq\t0x0" not in found
    short = compact_listing(found)
    assert "count(%rip)" in short and "callq helper\n" in short and "#" not in short
    assert not re.search(r"(?<!\S)\(%rip\)", short)


def test_functions_are_lowered_as_part_of_an_executable(clang: str, tmp_path: Path) -> None:
    made = disassembly.lower(disassembly.Order(PARTS, ("Oz",), True))
    assert "$local" not in made.assembly["Oz"] and "!llvm.module.flags" not in made.ir
    (tmp_path / "f.ll").write_text(PARTS)
    subprocess.run([clang, "-Oz", "-c", "-w", "f.ll", "-o", "f.o"], cwd=tmp_path, check=True)
    assert measure((tmp_path / "f.o").read_bytes()) == measure(made.objects["Oz"])


@pytest.mark.parametrize(("flags", "relocation"), [
    ("", 2), ('!{i32 1, !"wchar_size", i32 4}', 1), ('!{i32 8, !"PIC Level", i32 2}', 2)])
def test_relocation(flags: str, relocation: int) -> None:
    text = PARTS + (f"!llvm.module.flags = !{{!0}}\n!0 = {flags}\n" if flags else "")
    assert bench.Prepare(Profile.DEPLOY)(text.encode()).lowering.relocation == relocation
    with Context(library.load()) as context:
        assert lowering.lowering_for(context.parse(text.encode()), Profile.PAPER).relocation == relocation


# --- what users see ----------------------------------------------------------------------------------------------


def test_datasets_reads_the_folder(corpus: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    manifest = disassembly.build(corpus, tmp_path / "out", DisassemblyOptions(aarch64_share=0.0), jobs=1)
    files = [str(tmp_path / "out" / shard.name) for shard in manifest.shards]
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == manifest.counts["rows"]
    assert loaded.column_names == disassembly.SCHEMA.names


def test_wrong_options_and_empty_corpora(tmp_path: Path) -> None:
    for wrong in (lambda: PretrainingOptions(levels=("O9",)), lambda: PretrainingOptions(aarch64_share=2),
                  lambda: PretrainingOptions(text=tmp_path / "none"), lambda: DisassemblyOptions(styles=("x",)),
                  lambda: DisassemblyOptions(codegens=()), lambda: EmulationOptions(functions=False, modules=False),
                  lambda: EmulationOptions(tokenizer=tmp_path / "none").parameters(),
                  lambda: disassembly.build(tmp_path, tmp_path / "out", jobs=1)):
        with pytest.raises(InputError):
            wrong()


def test_a_tokenizer_decides_lengths(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert lengths.tokens("a b longword", tmp_path / "tokenizer.json") == 3
    assert lengths.within("a b longword", 3, tmp_path / "tokenizer.json")
    assert not lengths.within("a b longword", 2, tmp_path / "tokenizer.json")
    assert lengths.tokens("x" * 25, None) == 10
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="no tokenizer file"):
        lengths.tokens("a", tmp_path / "broken.json")
