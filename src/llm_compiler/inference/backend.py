"""The model that the user names, opened: a GGUF file, a folder of transformers' or OpenVINO's, a server; how to ask."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import InputError
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.models.embedded import Embedded
from llm_compiler.models.engine import Engine, Sample, fingerprint
from llm_compiler.models.local import Local
from llm_compiler.models.openvino import OpenVino, is_openvino
from llm_compiler.models.server import Server
from llm_compiler.tasks import prompts
from llm_compiler.tasks.prompts import Code, Emulated, Prompt, Unparsed

KEY = "LLMC_API_KEY"
"""The environment variable that holds a server's key."""

EMBEDDED = "embedded"
"""What `--model` calls the model that comes with the package."""
_BEGIN = "<s>"


class Form(StrEnum):
    """compact: the prompts of models of ours; reference: those of Meta's released models (`[INST] … [/INST]`)."""

    COMPACT = "compact"
    REFERENCE = "reference"

    @staticmethod
    def parse(text: str) -> Form:
        """Raises InputError for an unknown name."""
        try:
            return Form(text)
        except ValueError:
            raise InputError(f"there are no prompts of the form '{text}'; use compact or reference") from None


@dataclass(frozen=True)
class Backend:
    """An engine and the form of its prompts. begin: the mark that its prompts begin with, where the engine sets none.
    files: the GGUF file and its tokenizer, or the folder, that it runs; none for a server.

    Closed with `close`, or as a context manager.
    """

    engine: Engine
    form: Form
    begin: str = ""
    files: tuple[Path, ...] = ()

    @cached_property
    def identity(self) -> str:
        """What tells it from others: the fingerprint of its files, or a server's address and the model's name there."""
        if isinstance(self.engine, Server):
            return f"{self.engine.address} {self.engine.model}".rstrip()
        return fingerprint(*self.files)

    def prompt(self, asked: Prompt) -> str:
        """The text that the model is asked. `asked` holds code in the form that goes with the prompts."""
        return self.begin + (asked.compact() if self.form is Form.COMPACT else asked.reference())

    def code(self, sample: Sample) -> Code | Unparsed:
        """The code of an answer to a prompt for code, in the form of the prompts."""
        if self.form is Form.COMPACT:
            return prompts.parse_compact_code(whole(sample))
        return prompts.parse_code(sample.text)

    def passes(self, sample: Sample) -> PassList | Unparsed:
        """The pass list of an answer to a prompt for flags."""
        if self.form is Form.COMPACT:
            return prompts.parse_compact_flags(whole(sample))
        return prompts.parse_flags(sample.text)

    def emulated(self, sample: Sample) -> Emulated | Unparsed:
        """Code and sizes of an answer to an emulation prompt."""
        if self.form is Form.COMPACT:
            return prompts.parse_compact_emulation(whole(sample))
        return prompts.parse_emulation(sample.text)

    def close(self) -> None:
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def whole(sample: Sample) -> str:
    """An answer in the compact form with its end mark, which engines leave out."""
    return sample.text + prompts.END if sample.finished and prompts.END not in sample.text else sample.text


def open_backend(model: str, *, tokenizer: Path | None = None, name: str = "", form: str | None = None,
                 context: int | None = None, threads: int | None = None, slots: int = 8) -> Backend:
    """The model that `model` names: a GGUF file (with tokenizer.json beside it, unless `tokenizer` says another), a
    folder in transformers' form or OpenVINO's, or the address of a server, `http://HOST:PORT/v1`.

    name: the model's on a server. form: compact or reference; by default told from the tokenizer, and reference where
    there is none to look at. context: tokens of prompt and answer together. threads, slots: of a GGUF file or of
    OpenVINO, see `Embedded` and `OpenVino`. Raises InputError for what is no model, EngineError for one that cannot be
    run.
    """
    wanted = None if form is None else Form.parse(form)
    if context is not None and context < 64:
        raise InputError("a context has at least 64 tokens")
    sizes = {} if context is None else {"context": context}
    if "://" in model:
        if tokenizer is not None:
            wanted = wanted or _form_of(_added(tokenizer))
        return Backend(Server(model, name, key=os.environ.get(KEY, ""), **sizes), wanted or Form.REFERENCE)
    path = Path(model)
    if path.is_dir():
        if tokenizer is not None:
            raise InputError(f"{model} has a tokenizer of its own; leave --tokenizer out")
        place = path / "tokenizer.json"
        if is_openvino(path):
            added = _added(place)
            return _told(OpenVino(path, threads=threads, slots=slots, **sizes), wanted, added, (path,))
        local = Local(path, context=context)
        return Backend(local, wanted or _form_of(_added(place)), files=(path,))
    if not path.exists():
        raise InputError(f"there is no model {model}: name a GGUF file, a folder, or the http:// address of a server")
    place = tokenizer or path.parent / "tokenizer.json"
    if not place.exists():
        raise InputError(f"there is no tokenizer {place}: put tokenizer.json beside {path.name}, or use --tokenizer")
    added = _added(place)
    return _told(Embedded(path, place, threads=threads, slots=slots, **sizes), wanted, added, (path, place))


def _told(engine: Engine, wanted: Form | None, added: Sequence[str], files: tuple[Path, ...]) -> Backend:
    """An engine that sets no mark before a prompt, with what its tokenizer's special tokens tell."""
    form = wanted or _form_of(added)
    return Backend(engine, form, _BEGIN if form is Form.REFERENCE and _BEGIN in added else "", files)


def backend_for(task: str, model: str | None = None, *, tokenizer: Path | None = None, name: str = "",
                form: str | None = None, context: int | None = None, threads: int | None = None) -> Backend:
    """As `open_backend`; without a model, or with `embedded`, the one that comes with the package for a task.

    Raises InputError for a task that none comes for.
    """
    if model is not None and model != EMBEDDED:
        return open_backend(model, tokenizer=tokenizer, name=name, form=form, context=context, threads=threads)
    return open_backend(str(embedded_model(task)), context=context, threads=threads)


def embedded_model(task: str) -> Path:
    """The GGUF file that comes with the package for a task. Raises InputError when none does."""
    path = Path(str(resources.files("llm_compiler"))) / "data" / "models" / task / "model.gguf"
    if not path.exists():
        raise InputError(f"no model for {task} comes with llm-compiler yet; name one with --model")
    return path


def _added(path: Path) -> Sequence[str]:
    """The special tokens of a tokenizer.json."""
    try:
        return [str(item["content"]) for item in json.loads(path.read_text()).get("added_tokens", ())]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is no tokenizer.json") from error


def _form_of(added: Sequence[str]) -> Form:
    return Form.COMPACT if prompts.DISASSEMBLE in added and prompts.OPTIMIZE in added else Form.REFERENCE
