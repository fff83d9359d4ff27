"""What the task datasets share: units from the corpus, batches in the LLVM worker, lowering for AArch64, lengths."""

from __future__ import annotations

import hashlib
import pickle
import re
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from llm_compiler.corpus.card import write_card
from llm_compiler.corpus.engine import Report, Unit, key_of
from llm_compiler.corpus.schema import MODULE_STATUS_FILE, PROVENANCE
from llm_compiler.corpus.shards import Manifest, read_shards, read_slice, shard_paths
from llm_compiler.errors import CompileError, InputError, LlmcError, PipelineError, ToolchainError
from llm_compiler.llvm import frontend, library, registry
from llm_compiler.llvm.job import Outcome, Reading, Status
from llm_compiler.llvm.module import Context, Module
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.target import AARCH64, Lowering, Profile, TargetMachine, lowering_of
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks.compact import LAYOUTS

FORMAT = 2
"""In every unit's key: examples made by another version of this code are made again."""

BYTES_PER_TOKEN = 2.5
"""What a token of IR or assembly is taken to be without a tokenizer: low, so that an estimate errs to the long side."""

_ALWAYS = "wchar_size"  # a module flag that clang always writes
_LEFT_OUT = "left out: "  # begins the names of counts of what gave no example
_X86_ONLY = re.compile(r"x86_fp80|x86_mmx|x86_amx|@llvm\.x86\.|\bx86_\w+cc\b|^module asm|\bcc \d+\b|"
                       r'\basm (?:sideeffect |alignstack |inteldialect |unwind )*"', re.MULTILINE)
_X86_ATTRIBUTE = re.compile(r'"(?:target-cpu|target-features|tune-cpu|min-legal-vector-width|prefer-vector-width)"='
                            r'"[^"]*" ?')
_INPUTS_A_CLANG = 32
Item = TypeVar("Item")
Result = TypeVar("Result")


# --- units -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slice:
    """Rows of one input shard, by number, all of one split."""

    path: Path
    rows: tuple[int, ...]
    split: str

    def read(self) -> Iterator[dict[str, Any]]:
        wanted = set(self.rows)
        if not wanted:
            return
        start, stop = min(wanted), max(wanted) + 1
        for number, row in enumerate(read_slice(self.path, start, stop), start):
            if number in wanted:
                yield row


def function_units(corpus: Path, size: int, *decides: Any) -> Iterator[Unit]:
    """Units of at most `size` functions, in the order of the corpus. decides: all else that decides the result."""
    for path in function_shards(corpus):
        yield from _units(path, (row["split"] for row in read_shards(path, ["split"])), size, decides)


def module_units(corpus: Path, size: int, *decides: Any) -> Iterator[Unit]:
    """Units of at most `size` modules, of those that the functions stage has kept."""
    kept = kept_modules(corpus)
    for path in module_shards(corpus):
        yield from _units(path, (kept.get(row["module"]) for row in read_shards(path, ["module"])), size, decides)


def function_shards(corpus: Path) -> list[Path]:
    """In a fixed order. Raises InputError when the functions stage has not run."""
    return _shards(corpus / "functions", "`llmc corpus functions`")


def module_shards(corpus: Path) -> list[Path]:
    """In a fixed order. Raises InputError when nothing was recorded."""
    return _shards(corpus / "modules", "`llmc corpus record`, `add` or `debian`")


def _shards(folder: Path, commands: str) -> list[Path]:
    found = [path for path in shard_paths(folder) if path.name != MODULE_STATUS_FILE] if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder} holds no {folder.name}; run {commands} first")
    return found


def kept_modules(corpus: Path) -> dict[str, str]:
    """The split of every module that the functions stage has kept. Raises InputError when it has not run."""
    status = corpus / "functions" / MODULE_STATUS_FILE
    if not status.exists():
        raise InputError(f"{status} is missing; run `llmc corpus functions` first")
    return {row["module"]: row["split"] for row in read_shards(status, ["module", "split", "status"])
            if row["status"] == "kept"}


def _units(path: Path, splits: Iterator[str | None], size: int, decides: Sequence[Any]) -> Iterator[Unit]:
    rows: dict[str, list[int]] = {}
    for number, split in enumerate(splits):
        if split is not None:
            rows.setdefault(split, []).append(number)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    for split, numbers in sorted(rows.items()):
        for start in range(0, len(numbers), size):
            chosen = tuple(numbers[start : start + size])
            key = key_of(FORMAT, library.load().version_text, content, chosen, *decides, split=split)
            yield Unit(key, Slice(path.resolve(), chosen, split))


def example(row: Mapping[str, Any], split: str, task: str, prompt: str, answer: str, compact_prompt: str,
            compact_answer: str) -> dict[str, Any]:
    """The columns that every example begins with, from a row of functions or modules."""
    return {
        "task": task, "prompt": prompt, "answer": answer, "compact_prompt": compact_prompt,
        "compact_answer": compact_answer, **{item.name: row.get(item.name) or "" for item in PROVENANCE},
        "function": row.get("name") or "", "hash": row.get("function") or row["module"], "split": split,
    }


def finish(report: Report, output: Path, task: str, parameters: Mapping[str, Any], about: str) -> Manifest:
    """The manifest of a finished dataset, and its card: written last. about: what the card says of the task."""
    excluded = {name.removeprefix(_LEFT_OUT): count for name, count in sorted(report.counts.items())
                if name.startswith(_LEFT_OUT) and count}
    counts: dict[str, Any] = {name: count for name, count in sorted(report.counts.items())
                              if not name.startswith(_LEFT_OUT)}
    if report.failures:
        excluded["failed units"] = report.failed
    told = {**parameters, "about": about, "commands": [f"llmc dataset {task} --corpus DIR -o OUT"]}
    manifest = Manifest.of(output, report.shards, task=task, parameters=told, counts={**counts, "excluded": excluded})
    manifest.write(output)
    write_card(output, manifest)
    return manifest


def chunks(rows: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """At most `size` rows at a time."""
    while chunk := list(islice(rows, size)):
        yield chunk


# --- batches in the LLVM worker ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """An item without a result: `reason` is a word for counting, such as `crashed`."""

    reason: str
    message: str = ""


def batch(pool: WorkerPool, function: Callable[[Item], Result | Failure],
          items: Sequence[Item]) -> Iterator[Result | Failure]:
    """`function` of every item, in order, in the pool's worker; an item that kills the worker costs itself only.

    function: of a module, so that it can be sent; it may give a Failure. What it raises as InputError, PipelineError
    or MemoryError is the item's Failure. The pool's time limit holds for one item. What fails behind others runs
    again in a fresh worker: it may be their doing (passes that LLVM does not use itself corrupt memory now and then).
    """
    with tempfile.TemporaryDirectory(prefix="batch-") as name:
        given, results = Path(name) / "items", Path(name) / "results"
        given.write_bytes(pickle.dumps(list(items), protocol=5))
        start, fresh = 0, False
        while start < len(items):
            results.write_bytes(b"")
            outcome = pool.run(Reading(given, partial(_serve, function, results, start)))
            count = 0
            for result in _frames(results):
                count += 1
                yield result
            start += count
            if start < len(items) and fresh and not count:
                yield _failure(outcome)
                start += 1
            fresh = True


def _failure(outcome: Outcome) -> Failure:
    if outcome.status is Status.INVALID and outcome.message.startswith(("OSError", "FileNotFoundError")):
        raise ToolchainError(f"the worker cannot write its results: {outcome.message}; is the disk full?")
    return Failure(outcome.status.value.replace("_", " "), outcome.message)


def _serve(function: Callable[[Any], Any], results: Path, start: int, data: bytes) -> None:
    items = pickle.loads(data)
    with results.open("ab", buffering=0) as file:
        for item in items[start:]:
            try:
                result = function(item)
            except (InputError, PipelineError) as error:
                result = Failure("refused by LLVM", str(error))
            except MemoryError:
                result = Failure("out of memory")
            frame = pickle.dumps(result, protocol=5)
            file.write(struct.pack("<Q", len(frame)) + frame)


def _frames(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            (size,) = struct.unpack("<Q", header)
            frame = file.read(size)
            if len(frame) < size:
                return
            yield pickle.loads(frame)


def leave_out(counts: Counter[str], reason: str, number: int = 1) -> None:
    """Count what gives no example; manifest and card list it by reason (`finish`)."""
    counts[f"{_LEFT_OUT}{reason}"] += number


def counted(results: Iterator[Result | Failure], counts: Counter[str]) -> Iterator[Result | None]:
    """The results, None for those that failed, which are counted by reason."""
    for result in results:
        if isinstance(result, Failure):
            leave_out(counts, result.reason)
            yield None
        else:
            yield result


# --- in the LLVM worker ------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def machine(lowering: Lowering) -> TargetMachine:
    """A target machine of this process, which comments assembly as clang does. It is kept: no option of LLVM's is ever
    set in workers that make datasets.
    """
    made = TargetMachine(library.load(), lowering)
    library.load().LLVMSetTargetMachineAsmVerbosity(made.handle, 1)
    return made


def lowering_for(module: Module, profile: Profile) -> Lowering:
    """How a function or module of a corpus is lowered: as clang does at its flags.

    Functions are cut out without module flags; they are lowered as position-independent code, which is clang's default.
    Code that was compiled without it has flags, but no PIC Level.
    """
    lowering = lowering_of(module, profile)
    return replace(lowering, relocation=2) if _bare(module) else lowering


def _bare(module: Module) -> bool:
    return all(module.flag(name) is None for name in ("PIC Level", "PIE Level", _ALWAYS))


def emit(module: Module, machine: TargetMachine, *, assembly: bool = False) -> bytes:
    """A module's object or assembly. One without flags is taken as part of an executable, as clang's default has it:
    LLVM would name every function twice (`.Lf$local`) otherwise. Its code is the same.
    """
    if _bare(module):
        module.add_flag("PIE Level", 2)
    return module.emit(machine.handle, assembly=assembly)


def executable(text: str) -> str:
    """IR text for another program to lower, with the flag that `emit` adds."""
    if "!llvm.module.flags" in text:
        return text
    return f'{text}\n!llvm.module.flags = !{{!1000000}}\n!1000000 = !{{i32 1, !"PIE Level", i32 2}}\n'


def normalise(data: bytes) -> bytes:
    """Bitcode without value names, verified. Raises InputError."""
    with Context(library.load()) as context:
        module = context.parse(data)
        broken = module.verify()
        if broken:
            raise InputError(f"LLVM's verifier refuses it: {broken.splitlines()[0]}")
        return module.bitcode()


@lru_cache(maxsize=1)
def oz_text() -> str:
    return str(oz_pipeline(registry.load()))


def text_of(bitcode: bytes) -> str:
    with Context(library.load()) as context:
        return clean(context.parse(bitcode).text())


def clean(text: str) -> str:
    """IR text without the names of files: they are ours, not the program's."""
    return re.sub(r"\A; ModuleID = .*\n(?:source_filename = .*\n)?", "", text)


# --- AArch64 -----------------------------------------------------------------------------------------------------


def retarget(text: str) -> str | None:
    """x86-64 IR text made one for AArch64; None when it holds what only x86-64 has.

    Data layout, triple and target attributes are replaced; how arguments are passed in structs stays x86-64's.
    """
    if _X86_ONLY.search(text):
        return None
    text = re.sub(r'^target datalayout = .*$', f'target datalayout = "{LAYOUTS[AARCH64]}"', text, flags=re.MULTILINE)
    text = re.sub(r'^target triple = .*$', f'target triple = "{AARCH64}"', text, flags=re.MULTILINE)
    return _X86_ATTRIBUTE.sub("", text)


def aarch64_clang() -> frontend.Clang | None:
    """The clang that lowers for AArch64; None when it is not installed."""
    try:
        return frontend.clang_for(AARCH64)
    except ToolchainError:
        return None


def clang_batch(clang: frontend.Clang, inputs: Sequence[bytes | str], flags: Sequence[str], suffix: str,
                seconds: float = 120.0) -> list[bytes | None]:
    """What clang makes of IR texts with `flags`, several a call; None for those that it refuses.

    suffix: of the outputs: `.s`, `.o` or `.ll`, as the flags say.
    """
    out: list[bytes | None] = []
    for start in range(0, len(inputs), _INPUTS_A_CLANG):
        chunk = inputs[start : start + _INPUTS_A_CLANG]
        with tempfile.TemporaryDirectory(prefix="clang-") as name:
            folder = Path(name)
            for number, data in enumerate(chunk):
                (folder / f"in{number}.txt").write_bytes(data.encode() if isinstance(data, str) else data)
            command = [*clang.command, *clang.target_flags, *flags, "-w", "-x", "ir",
                       *(f"in{number}.txt" for number in range(len(chunk)))]
            try:
                # Its exit code says that one input failed, not which: the outputs do.
                subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=seconds, check=False)
            except subprocess.TimeoutExpired:
                if len(chunk) > 1:
                    for data in chunk:
                        out += clang_batch(clang, [data], flags, suffix, seconds)
                    continue
            except OSError as error:
                raise CompileError(f"cannot run {clang.name}: {error.strerror}") from error
            for number in range(len(chunk)):
                path = folder / f"in{number}{suffix}"
                out.append(path.read_bytes() if path.exists() else None)
    return out


# --- lengths -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise LlmcError("tokenizers is missing: pip install 'llm-compiler[corpus]'") from error
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise InputError(f"{path} is no tokenizer file (tokenizer.json): {error}") from error


def tokens(text: str, tokenizer: Path | None) -> int:
    """Tokens of a text by a tokenizer.json, or by the estimate of 2.5 bytes a token."""
    if tokenizer is None:
        return int(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)
    return len(_tokenizer(tokenizer).encode(text, add_special_tokens=False).ids)


def within(text: str, limit: int, tokenizer: Path | None) -> bool:
    """Whether a text has at most `limit` tokens; a tokenizer is asked only where the answer is open."""
    if tokenizer is not None and len(text) <= limit:
        return True  # no byte-level tokenizer has more tokens than bytes; text here is ASCII but for strings
    return tokens(text, tokenizer) <= limit


def identity(path: Path | None) -> str:
    """What names a tokenizer file in parameters: the hash of its content."""
    if path is None:
        return f"{BYTES_PER_TOKEN} bytes a token"
    if not path.is_file():
        raise InputError(f"there is no tokenizer file {path}")
    return hashlib.sha256(path.read_bytes()).hexdigest()

