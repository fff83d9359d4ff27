"""Disassembly: prompts as in the training data, answers that are right accepted, planted wrong ones refused."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from llm_compiler import cli
from llm_compiler.corpus.extraction import extract
from llm_compiler.corpus.moduletext import ModuleText
from llm_compiler.errors import InputError, LlmcError
from llm_compiler.inference import backend as backends
from llm_compiler.inference.backend import Backend, Form, backend_for, open_backend
from llm_compiler.inference.cutting import cut
from llm_compiler.inference.disassembly import Checked, Checker, Verdict, disassemble
from llm_compiler.inference.execution import with_counters
from llm_compiler.inference.functions import Function, read_functions
from llm_compiler.llvm.frontend import find_zig
from llm_compiler.llvm.target import AARCH64
from llm_compiler.models.engine import Sample
from llm_compiler.tasks import prompts
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.listings import find_objdump
from planted import ONLY_WHEN_RUN, UNPRINTED, WRONG, WRONG_WHEN_RUN
from support import clang as clang_for
from support import write_source

SOURCE = r"""
int printf(const char *, ...);
int first(int, int), second(int, int), helper(int);
int counter;
static const int table[5] = {3, 1, 4, 1, 5};
static __attribute__((noinline)) int inner(int x) { counter += x; return counter * 3; }
int combine(int a, int b) { return a * 3 - b; }
void keep(int *p, int v) { p[0] = v; p[2] = v + 7; }
int relay(int a, int b) { return first(a, b) + 1; }
void greet(const char *who) { printf("hello %s, welcome\n", who); counter++; }
int below(int a, int b) { return a < b; }
long wide(long a, long b) { return a + b; }
int look(unsigned i) { return i < 5 ? table[i] : -1; }
int choose(int k) {
  switch (k) { case 0: return inner(4); case 1: return first(k, 7); case 2: greet("two"); return 9;
  case 3: greet("bob"); return 1; case 4: return counter; case 5: return 77; }
  return -1;
}
double scale(double x) { return x * 1.5 + 0.25; }
unsigned adler(const unsigned char *data, unsigned long length) {
  unsigned a = 1, b = 0;
  while (length--) { a = (a + *data++) % 65521; b = (b + a) % 65521; }
  return b << 16 | a;
}
int rare(int a, int b) { if (a == 0x12345) return 7; return a + b; }
unsigned long count(const char *s) { unsigned long n = 0; while (s[n]) n++; return n * 5; }
"""


class Files:
    """The source compiled: assembly at two levels, an object, a linked file; and the true IR of each function."""

    def __init__(self, folder: Path, clang: str) -> None:
        write_source(folder, "in.c", SOURCE)

        def run(*arguments: str) -> None:
            subprocess.run([clang, "-w", *arguments], cwd=folder, check=True)

        run("-Oz", "-S", "-emit-llvm", "in.c", "-o", "in.ll")
        run("-Oz", "-S", "in.c", "-o", "in.s")
        run("-Oz", "-fno-omit-frame-pointer", "-S", "in.c", "-o", "other.s")
        run("-Oz", "-c", "in.c", "-o", "in.o")
        run("-Oz", "-c", "-fvisibility=hidden", "in.c", "-o", "hidden.o")
        run("-fuse-ld=lld", "-nostdlib", "-shared", "hidden.o", "-Wl,-z,undefs", "-o", "in.so")
        self.folder = folder
        module = ModuleText((folder / "in.ll").read_text())
        self.names = [function.name for function in read_functions(folder / "in.s")]
        self.ir = {name: extract(module, f"@{name}").text for name in self.names}
        self._known: dict[str, dict[str, Function]] = {}

    def function(self, name: str, file: str = "in.s") -> Function:
        if file not in self._known:
            self._known[file] = {item.name: item for item in read_functions(self.folder / file)}
        return self._known[file][name]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, clang: str) -> Files:
    return Files(tmp_path_factory.mktemp("disassemble"), clang)


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker() as made:
        yield made


class Fake:
    """An engine that answers from a table by the function that it is asked about."""

    name = "fake"

    def __init__(self, answers: dict[str, Sequence[str]], context: int = 8192, *, finished: bool = True) -> None:
        self.answers = answers
        self.context = context
        self.finished = finished
        self.asked: list[tuple[str, int, float]] = []

    def count(self, prompt: str) -> int:
        return len(prompt) // 4

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        self.asked.append((prompt, samples, temperature))
        name = next(name for name in self.answers if re.search(rf"(?:^|[\n>]|<){re.escape(name)}>?:", prompt))
        texts = self.answers[name]
        chosen = texts[:1] if temperature == 0 else texts[1 : 1 + samples]
        return [Sample(text, 9, self.finished, -1.0) for text in chosen]

    def close(self) -> None:
        pass


def compact_answers(ir: dict[str, str]) -> dict[str, Sequence[str]]:
    return {name: [prompts.escape(compact(text))] for name, text in ir.items()}


def reference_answers(ir: dict[str, str]) -> dict[str, Sequence[str]]:
    return {name: [f"<code>{text}</code>"] for name, text in ir.items()}


# --- functions and prompts -------------------------------------------------------------------------------------------


def test_a_file_is_cut_as_the_training_data_shows_functions(files: Files) -> None:
    found = {function.name: function for function in read_functions(files.folder / "in.s")}
    assert list(found)[:3] == ["combine", "keep", "relay"] and "inner" in found
    greet = found["greet"]
    assert greet.shown.startswith('\t.text\n\t.file\t"input"\n\t.globl\tgreet ')
    assert greet.shown.endswith('\t.section\t".note.GNU-stack","",@progbits\n')
    assert "combine" not in greet.shown and "counter:" not in greet.shown
    assert '.L.str:\n\t.asciz\t"hello %s, welcome\\n"' in greet.shown
    choose = found["choose"].shown
    assert '.L.str:\n\t.asciz\t"two"' in choose and '.L.str.1:\n\t.asciz\t"bob"' in choose and "hello" not in choose
    assert ".LJTI0_0:" in choose and ".LBB0_1" in choose and "# @.str\n" in choose
    assert "table:\n\t.long\t3" in found["look"].shown
    assert ".LCPI0_0:" in found["scale"].shown
    compacted = found["greet"].prompt(compact=True)
    assert compacted.compact().startswith("<|disassemble|><|x86_64|>.text\n.globl greet\ngreet:\n")
    assert found["greet"].prompt(compact=False).reference().startswith("[INST] Disassemble this code")


def test_objects_and_linked_files_are_listed(files: Files) -> None:
    for file in ("in.o", "in.so"):
        greet = files.function("greet", file)
        assert greet.listing and greet.target == "x86_64"
        short = greet.prompt(compact=True)
        assert short.listing and short.assembly.startswith("greet:\n")
        assert "callq printf@plt\n" in short.assembly and "counter(%rip)" in short.assembly
        assert re.search(r"leaq 0x[0-9a-f]+\(%rip\), %rdi", short.assembly)
        assert re.match(r"[0-9a-f]{16} <greet>:\n", greet.prompt(compact=False).assembly)
    assert {item.name for item in read_functions(files.folder / "in.o")} == set(files.names)


def test_a_function_that_is_named(files: Files) -> None:
    found = read_functions(files.folder / "in.s", ["keep", "scale"])
    assert [item.name for item in found] == ["keep", "scale"]
    with pytest.raises(InputError, match="has no function nothing; it has "):
        read_functions(files.folder / "in.s", ["nothing"])


# --- right answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "form"), [
    ("in.s", Form.COMPACT), ("in.s", Form.REFERENCE), ("in.o", Form.COMPACT), ("in.o", Form.REFERENCE)])
def test_true_answers_are_identical(files: Files, file: str, form: Form) -> None:
    answers = compact_answers(files.ir) if form is Form.COMPACT else reference_answers(files.ir)
    found = list(disassemble(read_functions(files.folder / file), Backend(Fake(answers), form)))
    assert [item.best.sentence for item in found] == ["identical"] * len(files.names)
    assert all("define " in item.best.ir and item.best.codegen == "Oz" for item in found)


def test_a_linked_file_does_not_say_where_constants_end(files: Files, checker: Checker) -> None:
    told = {name: checker.check(files.function(name, "in.so"), files.ir[name]) for name in files.names}
    unsure = {name for name, item in told.items() if item.verdict is not Verdict.IDENTICAL}
    assert unsure == {"greet", "choose"}  # their strings
    assert all(told[name].verdict is Verdict.DIFFERS for name in unsure)


def test_code_generation_without_optimisation_is_tried(files: Files, checker: Checker, clang: str,
                                                       tmp_path: Path) -> None:
    (tmp_path / "f.ll").write_text(files.ir["adler"])
    subprocess.run([clang, "-O0", "-w", "-S", "f.ll", "-o", "f.s"], cwd=tmp_path, check=True)
    function, = read_functions(tmp_path / "f.s")
    found = checker.check(function, files.ir["adler"])
    assert (found.verdict, found.codegen) == (Verdict.IDENTICAL, "O0")


def test_other_code_is_run(files: Files, checker: Checker) -> None:
    for name in ("rare", "relay"):
        found = checker.check(files.function(name, "other.s"), files.ir[name])
        assert found.verdict is Verdict.EQUIVALENT and found.inputs >= 16, found
        assert found.sentence == f"equivalent on {found.inputs} inputs"
    with Checker(run=False) as other:
        found = other.check(files.function("adler", "other.s"), files.ir["adler"])
        assert found.verdict is Verdict.DIFFERS and "comes back as" in found.reason and found.similarity > 0.3


def test_the_best_of_several_answers_is_taken(files: Files) -> None:
    wrong = files.ir["combine"].replace("mul nsw i32 %0, 3", "mul nsw i32 %0, 5")
    assert wrong != files.ir["combine"]
    fake = Fake({"combine": ["nothing", f"<code>{wrong}</code>", f"<code>{files.ir['combine']}</code>", "never seen"]})
    found, = disassemble([files.function("combine")], Backend(fake, Form.REFERENCE), samples=3)
    assert found.best.verdict is Verdict.IDENTICAL and found.answers == 3
    assert [(samples, temperature) for _, samples, temperature in fake.asked] == [(1, 0.0), (2, 0.6)]
    fake.asked.clear()
    found, = disassemble([files.function("combine")], Backend(fake, Form.REFERENCE), samples=1)
    assert found.best.verdict is Verdict.FAILED and found.best.reason == "the answer holds no <code>"


@pytest.mark.skipif(find_zig() is None, reason="zig is not installed")
def test_aarch64(files: Files, checker: Checker, tmp_path: Path) -> None:
    zig = clang_for("in.c", AARCH64)
    source = str(files.folder / "in.c")
    zig.run(["-Oz", "-w", "-S", "-emit-llvm", source, "-o", f"{tmp_path}/a.ll"])
    zig.run(["-Oz", "-w", "-S", source, "-o", f"{tmp_path}/a.s"])
    zig.run(["-Oz", "-w", "-c", source, "-o", f"{tmp_path}/a.o"])
    module = ModuleText((tmp_path / "a.ll").read_text())
    for name in ("greet", "choose", "look", "combine"):
        ir = extract(module, f"@{name}").text
        function, = read_functions(tmp_path / "a.s", [name])
        assert function.target == "aarch64" and "<|aarch64|>" in function.prompt(compact=True).compact()
        assert checker.check(function, ir).verdict is Verdict.IDENTICAL
        if find_objdump("aarch64", required=False) is not None:
            function, = read_functions(tmp_path / "a.o", [name])
            assert checker.check(function, ir).verdict is Verdict.IDENTICAL
    function, = read_functions(tmp_path / "a.s", ["combine"])
    for wrong in (ir.replace("i32 %0, 3", "i32 %0, 5"), files.ir["combine"]):  # another constant; for x86-64
        assert not checker.check(function, wrong).verdict.good
    greet = extract(module, "@greet").text
    function, = read_functions(tmp_path / "a.s", ["greet"])
    assert "hallo" in checker.check(function, greet.replace("hello", "hallo")).reason


# --- wrong answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WRONG)
def test_wrong_answers_are_refused(files: Files, checker: Checker, what: str) -> None:
    name, change = WRONG[what]
    wrong = change(files.ir[name])
    assert wrong != files.ir[name]
    found = checker.check(files.function(name), wrong)
    assert found.verdict in (Verdict.DIFFERS, Verdict.FAILED) and found.reason, found
    if name in ("greet", "look", "choose", "scale"):  # their constants are elsewhere in an object
        assert not checker.check(files.function(name, "in.o"), wrong).verdict.good
    if name == "keep" and what not in UNPRINTED:
        assert not checker.check(files.function(name), compact(wrong), compact=True).verdict.good


@pytest.mark.parametrize("what", WRONG_WHEN_RUN)
def test_wrong_answers_are_refused_when_run(files: Files, checker: Checker, what: str) -> None:
    name, change = WRONG_WHEN_RUN[what]
    wrong = change(files.ir[name])
    assert wrong != files.ir[name]
    found = checker.check(files.function(name, "other.s"), wrong)
    assert found.verdict in (Verdict.DIFFERS, Verdict.FAILED), found
    assert ("; run beside it, it " in found.reason) == (what in ONLY_WHEN_RUN), found.reason


def test_an_exception_table_is_code_too(checker: Checker, clang: str, tmp_path: Path) -> None:
    write_source(tmp_path, "e.cc", "void risky(int); int f(int x) { try { risky(x); } catch (int v) { return v; } "
                                   "catch (long) { return 5; } return 0; }")
    for flags, output in ((["-S", "-emit-llvm"], "e.ll"), (["-S"], "e.s")):
        subprocess.run([f"{clang}++", "-Oz", *flags, "e.cc", "-o", output], cwd=tmp_path, check=True)
    ir = extract(ModuleText((tmp_path / "e.ll").read_text()), "@_Z1fi").text
    function, = read_functions(tmp_path / "e.s")
    assert checker.check(function, ir).verdict is Verdict.IDENTICAL
    swapped = ir.replace("@_ZTIi", "@_ZTIX").replace("@_ZTIl", "@_ZTIi").replace("@_ZTIX", "@_ZTIl")
    found = checker.check(function, swapped)
    assert found.verdict is Verdict.DIFFERS and found.similarity > 0.9


def test_counters_of_blocks_change_nothing(files: Files) -> None:
    text = with_counters(files.function("choose").shown)
    assert text.count("movb\t$1, .Lllmc_counters+") == 11
    assert [line for line in text.splitlines() if "llmc" not in line][:9] == files.function(
        "choose").shown.splitlines()[:9]


# --- what cannot be asked --------------------------------------------------------------------------------------------


def test_long_functions_are_named(files: Files) -> None:
    fake = Fake(reference_answers(files.ir), context=420)
    found = {item.function: item.best for item in disassemble(read_functions(files.folder / "in.s"),
                                                             Backend(fake, Form.REFERENCE))}
    assert found["choose"].verdict is Verdict.TOO_LONG and "the model takes 420" in found["choose"].reason
    assert found["combine"].verdict is Verdict.IDENTICAL
    assert not any("choose:" in prompt for prompt, _, _ in fake.asked)


def test_an_answer_that_is_cut_off_is_no_answer(files: Files) -> None:
    fake = Fake(compact_answers(files.ir), finished=False)
    found, = disassemble([files.function("keep")], Backend(fake, Form.COMPACT))
    assert found.best == Checked(Verdict.FAILED, "the answer is cut off")


def test_inputs_that_cannot_be_read(files: Files, tmp_path: Path) -> None:
    elf = (files.folder / "in.o").read_bytes()
    cases = {
        "is empty": b"", "neither an ELF file nor assembly": b"\x93\x00\xff" * 99, "in UTF-8": b"f:\n\tretq # \xe9\n",
        "neither of x86-64 nor": b"hello there\n", "holds no function": b"\t.data\n\tmovl %eax, %ebx\n",
        "is LLVM bitcode": b"BC\xc0\xde1234", "is an archive": b"!<arch>\nrest", "truncated": elf[: len(elf) // 2],
        "for RISC-V": elf[:18] + b"\xf3\0" + elf[20:], "for another machine": elf[:18] + b"\xff\0" + elf[20:],
        "for 32-bit x86": elf[:4] + b"\1" + elf[5:18] + b"\3\0" + elf[20:],
        "without code": elf[:16] + b"\4\0" + elf[18:],
        "is LLVM-IR": files.ir["keep"].encode(),
        "in Intel's syntax": b"\t.intel_syntax noprefix\nf:\n\tmov eax, 1\n\tret\n",
    }
    for sentence, data in cases.items():
        (tmp_path / "in").write_bytes(data)
        with pytest.raises(InputError, match=sentence):
            read_functions(tmp_path / "in")
    with pytest.raises(InputError, match="does not exist"):
        read_functions(tmp_path / "none")
    with pytest.raises(InputError, match="is a directory"):
        read_functions(tmp_path)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(InputError, match="more than 256 MB"):
        read_functions(tmp_path / "huge")


def test_a_stripped_program(files: Files, clang: str, tmp_path: Path) -> None:
    write_source(tmp_path, "main.c", "int main(void) { return 3; }")
    subprocess.run([clang, "-Oz", "-s", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    with pytest.raises(InputError, match="names no functions: it is stripped"):
        read_functions(tmp_path / "main")


def test_broken_files_are_told(files: Files, tmp_path: Path) -> None:
    random_ = random.Random(5)
    for name in ("in.o", "in.so"):
        good = (files.folder / name).read_bytes()
        for _ in range(12):
            data = bytearray(good)
            if random_.random() < 0.4:
                del data[random_.randrange(len(data)) :]
            for _ in range(random_.randint(1, 30)):
                if data:
                    data[random_.randrange(len(data))] = random_.randrange(256)
            path = tmp_path / "broken"
            path.write_bytes(data)
            try:
                for function in read_functions(path)[:2]:
                    function.code()
            except LlmcError as error:
                assert "\n" not in str(error).strip()


def test_broken_assembly_is_told(files: Files, checker: Checker) -> None:
    function = Function("keep", "x86_64", files.function("keep").shown.replace("movl", "mvol"))
    answers = Fake(reference_answers(files.ir))
    found, = disassemble([function], Backend(answers, Form.REFERENCE))
    assert found.best.verdict is Verdict.FAILED and "the original cannot be read" in found.best.reason


def test_cutting_takes_any_text() -> None:
    random_ = random.Random(3)
    words = ["f:", "\t.text", "\tret", ".L1:", "\t.section\t.rodata", "\t.size\tf, 3", "\t.type\tf,@function", "",
             "# x",
             "\t.globl\tf", '\t.asciz\t"a:b"', "g:", "\t.p2align\t4", "\tjmp\tf", "\t.long\t.L1-f"]
    for _ in range(300):
        text = "\n".join(random_.choice(words) for _ in range(random_.randint(0, 20)))
        assert set(cut(text)) <= {"f", "g"}


# --- models ----------------------------------------------------------------------------------------------------------


def test_models_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model for disassembly comes with llm-compiler yet; name one with --model"):
        backend_for("disassembly")
    with pytest.raises(InputError, match="there is no model"):
        open_backend(str(tmp_path / "none.gguf"))
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match="there is no tokenizer"):
        open_backend(str(tmp_path / "m.gguf"))
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(InputError, match=r"is no tokenizer\.json"):
        open_backend(str(tmp_path / "m.gguf"))
    with pytest.raises(InputError, match="no prompts of the form 'x'"):
        open_backend("http://127.0.0.1:9/v1", form="x")
    with pytest.raises(InputError, match="at least 64 tokens"):
        open_backend("http://127.0.0.1:9/v1", context=1)
    with pytest.raises(InputError, match="is no address"):
        open_backend("ftp://127.0.0.1")


def test_a_server_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(backends.KEY, "secret")
    made = open_backend("http://127.0.0.1:9/v1", name="meta", context=4096)
    assert made.form is Form.REFERENCE and made.engine.context == 4096
    added = [{"content": token} for token in prompts.SPECIAL_TOKENS]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    assert open_backend("http://127.0.0.1:9/v1", tokenizer=tmp_path / "tokenizer.json").form is Form.COMPACT
    assert open_backend("http://127.0.0.1:9/v1", tokenizer=tmp_path / "tokenizer.json",
                        form="reference").form is Form.REFERENCE


# --- the command -----------------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, engine: Fake, *arguments: str) -> int:
    monkeypatch.setattr(backends, "open_backend", lambda model, **_: Backend(engine, Form.REFERENCE))
    return cli.run(["disassemble", "--model", "fake", *arguments])


def test_the_command_prints_checked_ir(files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    good, source = Fake(reference_answers(files.ir)), str(files.folder / "in.s")
    assert run(monkeypatch, good, source, "--function", "keep") == 0
    assert capsys.readouterr().out.startswith("; keep: identical\ntarget datalayout")
    assert run(monkeypatch, good, source, "--function", "keep", "-o", str(tmp_path / "keep.ll")) == 0
    assert capsys.readouterr().out == "; keep: identical\n"
    assert (tmp_path / "keep.ll").read_text().startswith("; keep: identical\n")
    assert run(monkeypatch, good, source, "--function", "keep", "--function", "scale", "-o", str(tmp_path / "all")) == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["keep.ll", "scale.ll"]
    wrong = Fake(reference_answers(files.ir | {"keep": "x"}))
    assert run(monkeypatch, wrong, source, "--function", "keep", "--function", "scale", "--json") == 1
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(item["function"], item["verdict"]) for item in records] == [("keep", "failed"), ("scale", "identical")]
    assert records[1]["ir"].count("define") == 1 and records[0]["reason"].startswith("no IR")
    assert run(monkeypatch, good, source, "--function", "none") == 2
    assert run(monkeypatch, good, str(tmp_path / "none.s")) == 2
    assert run(monkeypatch, good, source, "--function", "keep", "-o", "/none/x.ll") == 2


def test_the_command_without_a_model(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["disassemble", str(files.folder / "in.s"), "--function", "keep"]) == 0
    assert capsys.readouterr().out.startswith("; keep: identical\n")
    assert cli.run(["disassemble", str(files.folder / "in.s"), "--model", "http://127.0.0.1:9/v1"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Llama of random weights, as GGUF and in transformers' form."""
    pytest.importorskip("xllamacpp")
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from llm_compiler.models.gguf_file import write_gguf
    from token_data import make_tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    make_tokenizer(folder)
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=400, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=128, max_position_embeddings=2048, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    write_gguf(folder, folder / "model.gguf", quantisation="f32")
    return folder


@pytest.mark.parametrize("form", ["compact", "reference"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_model_from_end_to_end(files: Files, tiny: Path, form: str, folder: bool,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    model = [str(tiny if folder else tiny / "model.gguf"), "--context", "1100"]
    if form == "reference":
        model += ["--form", "reference"]
    code = cli.run(["disassemble", str(files.folder / "in.s"), "--function", "combine", "--json", "--model", *model,
                    "-n", "1" if folder else "2", "--seed", "4", "--threads", "1"])
    record = json.loads(capsys.readouterr().out)
    assert code == 1 and record["verdict"] == "failed" and record["prompt_tokens"] > 20
    assert (record["answers"] >= 1) and record["reason"]


def test_a_model_that_is_cut_off(files: Files, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.gguf").write_bytes((tiny / "model.gguf").read_bytes()[:5000])
    (tmp_path / "tokenizer.json").write_bytes((tiny / "tokenizer.json").read_bytes())
    assert cli.run(["disassemble", str(files.folder / "in.s"), "--model", str(tmp_path / "model.gguf")]) == 2
    assert "cannot be run" in capsys.readouterr().err
