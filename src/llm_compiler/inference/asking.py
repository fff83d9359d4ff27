"""Questions to a model, of which some get no answer: too long for it, or refused by its server."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Sequence
from dataclasses import dataclass

from llm_compiler.errors import InputError
from llm_compiler.inference.backend import Backend
from llm_compiler.models.engine import EngineError, Sample
from llm_compiler.tasks.prompts import Prompt

TOO_LONG, REFUSED = "too_long", "refused"
_REFUSED = (400, 413, 422)  # of HTTP: this prompt is at fault, not the server


@dataclass(frozen=True)
class Asked:
    """samples: answers, best first. problem: TOO_LONG or REFUSED, empty when there are answers."""

    samples: Sequence[Sample] = ()
    problem: str = ""
    message: str = ""
    seconds: float = 0.0


def ask(backend: Backend, asked: Prompt, *, samples: int = 1, tokens: int, temperature: float = 0.0, seed: int = 0,
        grammar: str | None = None) -> Asked:
    """tokens: of an answer at most. Raises EngineError when the model cannot be run any more."""
    text = backend.prompt(asked)
    started = time.monotonic()
    length = backend.engine.count(text)
    if length + tokens > backend.engine.context:
        return Asked(problem=TOO_LONG, message=f"{length} tokens and an answer of {tokens} do not fit into "
                                               f"{backend.engine.context}")
    try:
        found = backend.engine.complete(text, samples=samples, tokens=tokens, temperature=temperature, seed=seed,
                                        grammar=grammar)
    except InputError as error:
        return Asked(problem=TOO_LONG, message=str(error), seconds=time.monotonic() - started)
    except EngineError as error:
        if is_refusal(error):
            return Asked(problem=REFUSED, message=str(error), seconds=time.monotonic() - started)
        raise
    return Asked(found, seconds=time.monotonic() - started)


def is_refusal(error: EngineError) -> bool:
    """Whether a server refuses one prompt, and not all of them."""
    cause = error.__cause__
    return isinstance(cause, urllib.error.HTTPError) and cause.code in _REFUSED
