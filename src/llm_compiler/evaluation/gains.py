"""Tables of flag tuning, from a run's records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from llm_compiler.evaluation.document import Curve, Plot, Section, Table, number, percent, share
from llm_compiler.evaluation.flags import CORE_SET, DONE, MODEL, SECONDS, Answer
from llm_compiler.evaluation.metrics import Gains, gains
from llm_compiler.evaluation.runs import Log, Record
from llm_compiler.evaluation.words import unfinished, where

_CORE_SET_STEPS = (1, 2, 4, 8, 16, 32)
_NAMES = {CORE_SET: "core set", "random": "random search", "adaptive": "adaptive search",
          "evolution": "evolutionary search", "pipeline": "-Oz mutated"}
# arXiv 2407.02524, tables 3 and 4: name, one shot, smaller, larger, with -Oz as backup.
_PUBLISHED = (("LLM Compiler FTD 13B", "4.88 %", "61 %", "12 %", "5.26 %"),
              ("LLM Compiler FTD 7B", "4.77 %", "", "", "5.24 %"),
              ("GPT-4 Turbo", "-0.01 %", "", "", "0.03 %"),
              ("Code Llama Instruct", "-0.27 %", "", "", "0.15 %"))


@dataclass(frozen=True)
class Line:
    """A method with so many samples (0: as many as the time allows): what each program comes to, in their order."""

    method: str
    samples: int
    sizes: list[int]
    text_data: list[int]
    seconds: float


def section(log: Log) -> Section:
    """What a run of flags has shown."""
    programs = [record for record in log.records.values() if record["status"] == DONE]
    profile = log.arguments["profile"]
    found = Section(f"Flag tuning, {profile} profile: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    others = Counter(record["status"] for record in log.records.values() if record["status"] != DONE)
    if others:
        found.add(f"Not evaluated: {', '.join(f'{count} {name}' for name, count in sorted(others.items()))} "
                  f"of {len(log.records)} programs.")
    if not programs:
        found.add("There is no program to report.")
        return found
    lines = list(_lines(programs, log))
    bases = [record["baseline"]["bytes"] for record in programs]
    strict = [record["baseline"]["text_data"] for record in programs]
    found.add(_table(lines, bases, strict))
    found.numbers = {"methods": [
        {"method": line.method, "k": line.samples or None, **asdict(gains(bases, line.sizes)),
         "text_data_total": gains(strict, line.text_data).total} for line in lines]}
    found.add("Savings are over clang -Oz, in bytes of all loaded sections, with 95 % bootstrap intervals over "
              "programs. Total, median and mean keep -Oz where it is smaller; smaller, equal and larger are programs "
              "before that. A program without an answer counts as -Oz. k: the best of so many answers; in time: of "
              f"what {_time(log)} gave. Core set, ranked or not, evolutionary and adaptive search may use options "
              "beside pass lists; a language model and random search may not.")
    found.add(_published())
    found.add(_answers(programs, log))
    if len({record["benchmark"] for record in programs}) > 1:
        found.add(_by_benchmark(programs, lines))
    checked = Counter[str]()
    for record in programs:
        checked.update(record["verification"])
    if checked:
        found.add("Best objects run beside those of -Oz: "
                  f"{', '.join(f'{count} {name}' for name, count in sorted(checked.items()))}.")
    elif log.arguments["verify"] == "off":
        found.add("Nothing was run beside -Oz (--verify off): a wrong object counts as a gain here.")
    found.add(_plot(lines, bases))
    found.add(_spread(lines, bases))
    return found


def _time(log: Log) -> str:
    seconds = log.arguments["seconds"]
    if seconds is not None:
        return f"{seconds:g} s a program"
    default = f"{SECONDS:g} s a program"
    return f"as long as the model took ({default} where it gave no answer)" if log.arguments.get("model") else default


def name_of(method: str, log: Log) -> str:
    if method == MODEL and "ranking" in log.arguments:
        return "ranked core set"
    return log.name if method == MODEL else _NAMES.get(method, method)


def _lines(programs: Sequence[Record], log: Log) -> Iterator[Line]:
    for method in programs[0]["methods"]:
        steps: tuple[int, ...] = (0,)
        if method == MODEL:
            steps = tuple(log.arguments["samples"])
        elif method == CORE_SET:
            most = max(len(record["methods"][method]["answers"]) for record in programs)
            steps = (*(step for step in _CORE_SET_STEPS if step < most), most, 0)
        for samples in steps:
            best = [best_of(record, method, samples) for record in programs]
            timed = "searched" if method == CORE_SET and not samples else "seconds"
            yield Line(name_of(method, log), samples, [each[0] for each in best], [each[1] for each in best],
                       median((record if timed == "searched" else record["methods"][method])[timed]
                              for record in programs))


def best_of(record: Record, method: str, samples: int) -> tuple[int, int]:
    """Bytes, and bytes of .text and .data, of the best among the first answers, or (0) among those that came within
    the time of a search; those of -Oz where there is none.
    """
    able = [(answer["bytes"], answer["text_data"]) for answer in record["methods"][method]["answers"]
            if answer["status"] == Answer.MEASURED
            and (answer["sample"] <= samples if samples else answer.get("at", 0.0) <= record["searched"])]
    return min(able, default=(record["baseline"]["bytes"], record["baseline"]["text_data"]))


def _table(lines: Sequence[Line], bases: Sequence[int], strict: Sequence[int]) -> Table:
    table = Table(("method", "k", "programs", "bytes -Oz", "bytes", "total", "median", "mean", "without backup, total",
                   "smaller", "equal", "larger", ".text + .data, total", "seconds, median"), left=1)
    for line in lines:
        result = gains(bases, line.sizes)
        table.add(line.method, str(line.samples or "in time"), *_row(result),
                  percent(gains(strict, line.text_data).total), f"{line.seconds:.2f}")
    return table


def _row(result: Gains) -> tuple[str, ...]:
    return (number(result.programs), number(result.baseline), number(result.best), percent(result.total),
            percent(result.median), percent(result.mean), percent(result.plain_total),
            share(result.smaller, result.programs), share(result.equal, result.programs),
            share(result.larger, result.programs))


def _published() -> Table:
    table = Table(("published", "one shot", "smaller", "larger", "with -Oz as backup"), left=1,
                  title="Published on MiBench (another data set), 2,398 objects, .text + .data at codegen level -O0 "
                        "(arXiv 2407.02524)")
    for row in _PUBLISHED:
        table.add(*row)
    return table


def _answers(programs: Sequence[Record], log: Log) -> Table:
    kinds = list(Answer)
    table = Table(("answers", "programs", "too long", "refused", "all", *(str(kind).replace("_", " ")
                                                                       for kind in kinds), "tried by search"), left=1,
                  title="What became of answers")
    for method in programs[0]["methods"]:
        told: list[Mapping[str, Any]] = [record["methods"][method] for record in programs]
        counts = Counter(answer["status"] for each in told for answer in each["answers"])
        problems = Counter(each["problem"] for each in told if "problem" in each)
        table.add(name_of(method, log), number(len(told)), number(problems["too_long"]), number(problems["refused"]),
                  number(sum(counts.values())), *(number(counts[kind]) for kind in kinds),
                  number(sum(each.get("evaluations", 0) for each in told)))
    return table


def _by_benchmark(programs: Sequence[Record], lines: Sequence[Line]) -> Table:
    last = list({line.method: line for line in lines}.values())
    table = Table(("benchmark", "programs", "bytes -Oz", *(f"{line.method}, k = {line.samples}" if line.samples
                                                         else line.method for line in last)), left=1,
                  title="Total saving by benchmark, with -Oz as backup")
    for name in sorted({record["benchmark"] for record in programs}):
        chosen = [index for index, record in enumerate(programs) if record["benchmark"] == name]
        bases = [programs[index]["baseline"]["bytes"] for index in chosen]
        table.add(name, number(len(chosen)), number(sum(bases)),
                  *(percent(gains(bases, [line.sizes[index] for index in chosen]).total) for line in last))
    return table


def _plot(lines: Sequence[Line], bases: Sequence[int]) -> Plot:
    curves: dict[str, Curve] = {}
    for line in lines:
        total = gains(bases, line.sizes).total
        if total is not None:
            label = line.method if line.samples else f"{line.method}, in time"
            curve = curves.setdefault(label, Curve(label, [], []))
            curve.x.append(line.samples)
            curve.y.append(total.value)
    return Plot("Total saving over clang -Oz, %", "answers tried", "%", list(curves.values()), log_x=True, flat=True)


def _spread(lines: Sequence[Line], bases: Sequence[int]) -> Plot:
    """What each program saves, least first, at the most answers of every method."""
    curves = []
    for line in {line.method: line for line in lines}.values():
        savings = sorted(100 * (1 - size / base) for size, base in zip(line.sizes, bases, strict=True) if base)
        curves.append(Curve(line.method, [100 * (at + 1) / len(savings) for at in range(len(savings))], savings))
    return Plot("Saving over clang -Oz by program, without backup", "% of programs", "%", curves)
