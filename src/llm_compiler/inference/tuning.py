"""Pass lists that a model says for a program: what `llmc tune` measures, checks, and searches on from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from llm_compiler.corpus.extraction import extract
from llm_compiler.corpus.moduletext import ModuleText
from llm_compiler.errors import InputError
from llm_compiler.inference import asking
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.llvm.job import Reading
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.local import Local
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.grammar import pass_list_grammar
from llm_compiler.tasks.labels.search import list_space
from llm_compiler.tasks.lowering import text_of
from llm_compiler.tasks.prompts import FlagsPrompt, Unparsed
from llm_compiler.tuning.tuner import Proposals, TuningOptions

_TOKENS = 256  # of an answer
_FUNCTIONS = 4  # of a program that does not fit, which are asked for one by one


@dataclass(frozen=True)
class ModelProposer:
    """Asks a model for `samples` pass lists of each program: the likeliest first, the others drawn at `temperature`.

    A program that does not fit into the model's context is asked for by its largest functions that do.
    grammar: GBNF of answers, where the engine takes one.
    """

    backend: Backend
    samples: int = 8
    temperature: float = 0.8
    seed: int = 0
    grammar: str | None = None

    @classmethod
    def of(cls, backend: Backend, options: TuningOptions, *, samples: int) -> Self:
        """For a tuning with `options`. Engines that llama.cpp or a server runs say nothing but valid pass lists."""
        compact_form = backend.form is Form.COMPACT and backend.engine.name != Local.name
        grammar = pass_list_grammar(list_space(options.profile)) if compact_form else None
        return cls(backend, samples, seed=options.seed, grammar=grammar)

    @property
    def identity(self) -> str:
        """A part of the key under which results are kept."""
        backend = self.backend
        told = (backend.identity, str(backend.form), backend.engine.context, self.samples, self.temperature, self.seed,
                self.grammar)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def __call__(self, pool: WorkerPool, bitcode: Path) -> Proposals:
        """Raises EngineError when the model cannot be run."""
        text = pool.run(Reading(bitcode, text_of)).value
        if not isinstance(text, str):
            return Proposals((), "the model was not asked: LLVM does not print the program")
        counts: Counter[str] = Counter()
        found = self._asked(text, self.samples, counts)
        if found is None:
            return self._by_function(text, counts)
        return Proposals(_candidates(found), _told(counts))

    def _by_function(self, text: str, counts: Counter[str]) -> Proposals:
        module = ModuleText(text)
        parts = []
        for symbol in module.names():
            try:
                parts.append(extract(module, symbol))
            except (InputError, KeyError):
                counts["functions that cannot be cut out"] += 1
        parts.sort(key=lambda part: -part.instructions)
        asked: list[list[PassList]] = []
        for part in parts:
            if len(asked) == _FUNCTIONS:
                break
            found = self._asked(part.text, max(1, self.samples // _FUNCTIONS), counts)
            if found is not None:
                asked.append(found)
        note = (f"the program does not fit into the model's {self.backend.engine.context} tokens; it was asked for "
                f"{len(asked)} of its {len(parts)} functions")
        # The first answer of each function, then the second …: a budget may end anywhere.
        most = max(map(len, asked), default=0)
        mixed = [found[index] for index in range(most) for found in asked if index < len(found)]
        return Proposals(_candidates(mixed), "; ".join(filter(None, (note, _told(counts)))))

    def _asked(self, text: str, samples: int, counts: Counter[str]) -> list[PassList] | None:
        """Lists of a program's answers; None when it does not fit."""
        short = self.backend.form is Form.COMPACT
        prompt = FlagsPrompt(compact(text) if short else text)
        found: list[PassList] = []
        for count, temperature in ((1, 0.0), (samples - 1, self.temperature)):
            if not count:
                continue
            told = asking.ask(self.backend, prompt, samples=count, tokens=_TOKENS, temperature=temperature,
                              seed=self.seed, grammar=self.grammar)
            if told.problem == asking.TOO_LONG:
                return None
            if told.problem:
                counts[f"questions {told.problem}"] += 1
                break
            for sample in told.samples:
                parsed = self.backend.passes(sample)
                if isinstance(parsed, Unparsed) or not sample.finished:
                    counts["answers that are no pass list"] += 1
                else:
                    found.append(parsed)
        return found


def _candidates(lists: Sequence[PassList]) -> tuple[Candidate, ...]:
    return tuple(Candidate(passes) for passes in dict.fromkeys(lists))


def _told(counts: Counter[str]) -> str:
    return "; ".join(f"{count} {what}" for what, count in sorted(counts.items()))
