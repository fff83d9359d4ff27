"""Models behind a server that speaks OpenAI's completions: vLLM, llama.cpp's server, Ollama and others."""

from __future__ import annotations

import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.models.engine import EngineError, Sample, ranked

_BYTES_PER_TOKEN = 2.5


class Server:
    """address: of the API, as http://localhost:8000/v1. model: the name that the server knows. seconds: for an answer.

    Raises InputError for an address that is none.
    """

    name = "server"

    def __init__(self, address: str, model: str = "", *, key: str = "", context: int = 16_384,
                 seconds: float = 300.0) -> None:
        if not _is_address(address):
            raise InputError(f"'{address}' is no address of a server; write http://HOST:PORT/v1")
        if not (key.isascii() and key.isprintable()):
            raise InputError("the server's key holds characters that no key has; set LLMC_API_KEY anew")
        self.address = address.rstrip("/")
        self.model = model
        self.context = context
        self._key = key
        self._seconds = seconds

    def count(self, prompt: str) -> int:
        """An estimate; the server itself refuses what is too long."""
        return int(len(prompt.encode()) / _BYTES_PER_TOKEN)

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        asked: dict[str, Any] = {"prompt": prompt, "n": samples, "max_tokens": tokens, "temperature": temperature,
                                 "seed": seed, "logprobs": 1}
        if self.model:
            asked["model"] = self.model
        if grammar is not None:
            # vLLM's name and llama.cpp's; each leaves the other's alone.
            asked |= {"guided_grammar": grammar, "grammar": grammar}
        told = self._post("/completions", asked)
        try:
            found = ranked([_sample(choice) for choice in told["choices"]])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EngineError(f"the server {self.address} answers what is no completion") from error
        if not found:
            raise EngineError(f"the server {self.address} answers with no completion")
        return found

    def _post(self, path: str, asked: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.address + path, json.dumps(asked).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self._seconds) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise EngineError(f"the server {self.address} refuses with {error.code}: {_body(error)}".rstrip(": ")
                              ) from error
        except TimeoutError as error:
            raise EngineError(f"the server {self.address} gave no answer in {self._seconds:.0f} s") from error
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise EngineError(f"the server {self.address} gave no answer in {self._seconds:.0f} s") from error
            raise EngineError(f"the server {self.address} cannot be reached: {reason}") from error
        except http.client.HTTPException as error:
            raise EngineError(f"the server {self.address} breaks off, or speaks no HTTP") from error
        except (ValueError, RecursionError) as error:
            raise EngineError(f"the server {self.address} answers what is no JSON") from error

    def close(self) -> None:
        pass


def _is_address(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:
        return False


def _body(error: urllib.error.HTTPError) -> str:
    """The beginning of what a server says with a refusal, in one line."""
    try:
        return " ".join(error.read(600).decode(errors="replace").split())
    except (OSError, http.client.HTTPException):
        return ""


def _sample(choice: Mapping[str, Any]) -> Sample:
    text = choice["text"]
    if not isinstance(text, str):
        raise TypeError("the text of a completion is text")
    told = choice.get("logprobs") or {}
    logprobs = told.get("token_logprobs") or [item["logprob"] for item in told.get("content") or ()]
    total = sum(float(number) for number in logprobs if number is not None)
    # JSON may hold half a surrogate pair, which no file and no program takes.
    return Sample(text.encode(errors="replace").decode(), len(logprobs), choice.get("finish_reason") == "stop",
                  total if any(number is not None for number in logprobs) and math.isfinite(total) else None)
