"""Engines side by side on the same random weights: llama.cpp, OpenVINO GenAI, torch with transformers.

    python benchmarks/engines.py --shapes 8m 34m --lengths 256 1024 4096 --threads 1 2 --rounds 5

Every engine is a process of its own that stays loaded; they are asked in turn, so that whatever else the machine does
meets all of them alike. A round is a prompt that no engine has seen, asked four times: for one token (reading the
prompt), for one token again (what engines that keep its state need), for 64 tokens more, and for 8 samples of as many.
Printed are medians by the clock and, for one thread, by the CPU time of the engine's process, which a busy machine
disturbs less. A question is a new prompt and its 8 samples. torch, the slowest, is asked in --torch rounds, no prompt
of more than 1,024 tokens.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_compiler.models.shapes import Shape, shape_of

ENGINES = ("llama.cpp", "openvino", "transformers")
TOKENS, SAMPLES = 64, 8
COLUMNS = (("prefill", 0), ("decode", 0), ("samples", 0), ("question", 2), ("memory", 0))  # and their decimals
_LONGEST_TORCH = 1024
_LINES = ("  %{0} = add nsw i32 %{1}, {2}", "  store i32 %{0}, ptr %{1}, align 4", "  br label %{0}",
          "  %{0} = load ptr, ptr %{1}, align 8", "  call void @use_{2}(i32 %{0}, i64 {1})", "  ret void\n}}",
          "  %{0} = getelementptr inbounds i8, ptr %{1}, i64 {2}", "define dso_local void @f{2}(ptr %{0}, i32 %{1}) {{",
          "  %{0} = icmp eq i32 %{1}, {2}", "  %{0} = phi i32 [ %{1}, %{2} ], [ 0, %{1} ]")


def text(seed: int, lines: int) -> str:
    """What looks like IR."""
    rng = random.Random(seed)
    return "\n".join(rng.choice(_LINES).format(*(rng.randrange(200) for _ in range(3))) for _ in range(lines))


def make(folder: Path, shape: Shape) -> None:
    """A random model as `llmc train` exports one, and in both converted forms."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from llm_compiler.models import tokenizer
    from llm_compiler.models.gguf_file import write_gguf
    from llm_compiler.models.openvino_file import write_openvino

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**shape.config())).bfloat16().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(shape.config()))
    trained = tokenizer.train((text(seed, 100) for seed in range(100)), shape.vocabulary)
    tokenizer.save(trained, folder / "tokenizer.json")
    write_gguf(folder, folder / "model.gguf")
    write_openvino(folder, folder / "openvino")


def serve(engine: str, folder: Path, threads: int) -> None:
    """The process of an engine: answers lines of JSON."""
    from llm_compiler.inference.backend import open_backend

    models = {"llama.cpp": folder / "model.gguf", "openvino": folder / "openvino", "transformers": folder}
    if engine == "transformers":
        import torch

        torch.set_num_threads(threads)
    begin = time.perf_counter(), time.process_time()
    with open_backend(str(models[engine]), threads=threads) as backend:
        print(json.dumps([time.perf_counter() - begin[0], time.process_time() - begin[1]]), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            begin = time.perf_counter(), time.process_time()
            backend.engine.complete(asked.pop("prompt"), **asked)
            print(json.dumps([time.perf_counter() - begin[0], time.process_time() - begin[1], peak()]), flush=True)


def peak() -> float:
    """MB of memory that this process had at most."""
    # Not getrusage: its peak begins with that of the process that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


class Process:
    def __init__(self, engine: str, folder: Path, threads: int) -> None:
        self.engine = engine
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", engine, "--folder", str(folder), "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.load = self._read()

    def _read(self) -> list[float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.engine} gave no answer")
        return json.loads(line)

    def ask(self, prompt: str, **asked: Any) -> list[float]:
        """Seconds by the clock, CPU seconds, and the peak of memory in MB."""
        assert self._process.stdin is not None
        print(json.dumps({"prompt": prompt, **asked}), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def one_round(process: Process, prompt: str, length: int) -> dict[str, list[float]]:
    """Rates in tokens a second, and seconds of a question, by the clock and by CPU time."""
    first = process.ask(prompt, tokens=1)
    again = process.ask(prompt, tokens=1)
    longer = process.ask(prompt, tokens=1 + TOKENS)
    found = {"prefill": [length / first[at] for at in (0, 1)],
             "decode": [TOKENS / max(longer[at] - again[at], 1e-9) for at in (0, 1)]}
    many = process.ask(prompt, tokens=1 + TOKENS, samples=SAMPLES, temperature=1.0)
    found["samples"] = [SAMPLES * TOKENS / max(many[at] - again[at], 1e-9) for at in (0, 1)]
    found["question"] = [first[at] + many[at] - again[at] for at in (0, 1)]
    found["memory"] = [many[2]] * 2
    return found


def prompts(folder: Path, length: int, count: int) -> Sequence[tuple[str, int]]:
    """Prompts of about `length` tokens, and how many they have."""
    from llm_compiler.models import tokenizer

    coder = tokenizer.load(folder / "tokenizer.json")
    found = []
    for seed in range(count):
        ids = coder.encode("<|optimize|>" + text(1000 * length + seed, length), add_special_tokens=False).ids
        prompt = coder.decode(ids[: length - 1], skip_special_tokens=False) + "<|answer|>"
        found.append((prompt, len(coder.encode(prompt, add_special_tokens=False).ids)))
    return found


def measured(processes: Sequence[Process], asked: Sequence[tuple[str, int]], torch: int
             ) -> Mapping[Process, Mapping[str, list[list[float]]]]:
    """What each process took for prompts of a length; torch answers so many of them."""
    found: dict[Process, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for number, (prompt, length) in enumerate(asked):
        for process in processes:
            if process.engine == "transformers" and (length > _LONGEST_TORCH or number >= torch):
                continue
            for key, values in one_round(process, prompt, length).items():
                found[process][key].append(values)
    return found


def table(name: str, folder: Path, threads: int, arguments: argparse.Namespace) -> None:
    processes = [Process(engine, folder, threads) for engine in arguments.engines]
    for process in processes:
        process.ask("<|answer|>", tokens=2)
    for length in sorted(arguments.lengths):
        found = measured(processes, prompts(folder, length, arguments.rounds), arguments.torch)
        for at, by in enumerate(("clock", "CPU time")[: 2 if threads == 1 else 1]):
            for process, values in found.items():
                cells = [name, str(threads), by, str(length), process.engine, f"{process.load[at]:.2f}"]
                for key, digits in COLUMNS:
                    cells.append(f"{statistics.median(each[at] for each in values[key]):,.{digits}f}")
                print(f"| {' | '.join(cells)} |", flush=True)
    for process in processes:
        process.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["8m", "34m"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[256, 1024, 4096])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", type=int, default=1, metavar="ROUNDS")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the models here, and take those that are here")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--serve", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.folder, arguments.threads[0])
        return 0
    print("| model | threads | by | prompt | engine | load, s | prefill, tokens/s | decode, tokens/s | "
          f"{SAMPLES} samples, tokens/s | a question, s | peak memory, MB |\n{'|---' * 11}|", flush=True)
    for name in arguments.shapes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (arguments.keep or Path(scratch)) / name
            if not (folder / "openvino").exists():
                make(folder, shape_of(name))
            for threads in arguments.threads:
                table(name, folder, threads, arguments)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
