"""Flag tuning: unoptimised IR → the pass list that gives the smallest object (arXiv 2407.02524, section 3.3).

The reference spends some 6,000 compilations on a program's label. Here a tenth of the programs is searched, a greedy
cover of what that found is broadcast to all, and a short search from the best of it follows where lists differ.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus import schema
from llm_compiler.corpus.card import write_card
from llm_compiler.corpus.engine import Report, Unit, Work, key_of, run
from llm_compiler.corpus.shards import Manifest, read_shards
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.job import Reading
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import write_atomically
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.labels import lists as selecting
from llm_compiler.tasks.labels import store
from llm_compiler.tasks.labels.choice import MODULE, Program, Slice, choose, find, units
from llm_compiler.tasks.labels.search import list_space
from llm_compiler.tasks.labels.stages import LABEL, CoverWork, LabelWork, SearchWork, Trials, VerifyWork
from llm_compiler.tasks.lowering import text_of
from llm_compiler.tasks.prompts import FlagsPrompt, compact_flags_answer, flags_answer
from llm_compiler.validation import suites
from llm_compiler.validation.differential import Level

TASK = "flags"
SCHEMA = pa.schema([*schema.EXAMPLE, *LABEL])
VERSION = 3  # of what the stages compute: a part of every key

ABOUT = """Unoptimised LLVM IR, and the pass list that makes its object smallest: the best of broadcast lists that
passed PassListEval, or of a short search from them, run beside `clang -Oz` by differential execution. `sizes` holds the
object's bytes for every broadcast list in the order of the manifest (-1: LLVM crashed or hung). `options_…` is the best
with code-generation options beside the list."""
COMMAND = "llmc dataset flags --corpus DIR -o OUT"

_ENDS = {"search": 0.25, "cover": 0.65, "label": 0.65, "verify": 1.0}  # shares of a time budget at which stages end
Say = Callable[[str], None]


@dataclass(frozen=True)
class FlagOptions:
    """functions, modules: programs to label. largest: IR instructions of one at most; largest_function: of a single
    function. sample: the share that is searched; cover: programs of the sample that lists are chosen on.
    search_evaluations, refine: evaluations of a sample program's search, and of the one that follows the broadcast;
    options: sets of code-generation options tried. suite: what a list must pass before it is broadcast. run_options:
    whether the best with options is run, too. ray: see `engine.run`. time_budget: seconds, None for no limit.
    """

    profiles: tuple[Profile, ...] = (Profile.DEPLOY,)
    functions: int = 20_000
    modules: int = 3_000
    largest: int = 4_000
    largest_function: int = 1_000
    lists: int = 100
    sample: float = 0.1
    cover: int = 300
    search_evaluations: int = 400
    refine: int = 120
    options: int = 12
    verify: Level = Level.QUICK
    run_options: bool = True
    suite: tuple[str, ...] = ("own",)
    seed: int = 0
    jobs: int = 2
    ray: str | None = None
    time_budget: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sample <= 1:
            raise InputError("--sample must be more than 0 and at most 1")
        if self.lists < 1 or self.search_evaluations < 1 or self.refine < 0:
            raise InputError("--lists and --search-evaluations must be at least 1, --refine at least 0")


@dataclass
class _Result:
    """What a profile's stages gave."""

    shards: list[Path]
    lists: tuple[str, ...]
    selection: dict[str, Any]
    record: dict[str, Any]
    complete: bool


def build(corpus: Path, output: Path, options: FlagOptions, say: Say = lambda text: None,
          command: str = COMMAND, extend: Path | None = None) -> Manifest:
    """Label a corpus and write the dataset; resumable by calling it again with the same arguments.

    command: what the card says makes it again. extend: labels of an earlier run, perhaps of another corpus; their lists
    are broadcast, their programs passed over, and they stand in what is written. The labels alone are left in
    corpus/work/labels/labels.parquet (see `labels.store`). Raises InputError for a corpus that holds nothing to label,
    or when the time is over before there is a label.
    """
    started = time.monotonic()
    held = None if extend is None else store.Labels(extend)
    suite = [program for name in options.suite for program in suites.load(name)]
    programs = choose(corpus, options.functions, options.modules, largest=options.largest, seed=options.seed,
                      largest_function=options.largest_function)
    say(f"{len(programs)} programs chosen of {len({program.package for program in programs})} packages")
    work = corpus / "work" / "labels"
    found: dict[Profile, _Result] = {}
    for index, profile in enumerate(options.profiles):
        limit = None
        if options.time_budget is not None:
            left = started + options.time_budget - time.monotonic()
            limit = max(0.0, left) / (len(options.profiles) - index)
        found[profile] = _Stages(programs, suite, profile, options, work, limit, say, held).run()
    earlier = {} if held is None else held.about  # of profiles that this run leaves alone
    record = {
        "parameters": _parameters(options),
        "lists": {**earlier.get("lists", {}), **{str(name): list(item.lists) for name, item in found.items()}},
        "selection": {**earlier.get("selection", {}), **{str(name): item.selection for name, item in found.items()}},
        "profiles": {**earlier.get("profiles", {}), **{str(name): item.record for name, item in found.items()}},
        "complete": all(item.complete for item in found.values()),
    }
    shards = [path for item in found.values() for path in item.shards]
    if not shards and held is None:
        raise InputError("the time was over before there was a label; run the same command again to go on")
    labels = work / "labels.parquet"
    store.write_labels(labels, shards, record, held)
    return export(corpus, output, labels, options, say, command)


def export(corpus: Path, output: Path, labels: Path, options: FlagOptions, say: Say = lambda text: None,
           command: str = f"{COMMAND} --labels FILE") -> Manifest:
    """The dataset of labels in a file: programs of the corpus that have one. Raises InputError when none has."""
    held = store.Labels(labels)
    content = held.about["content"]
    programs = find(corpus, held.hashes())
    if not programs:
        raise InputError(f"no program of {corpus} has a label in {labels}; it was made for another corpus")
    say(f"{len(programs)} programs of {len(held.hashes())} labelled ones are in the corpus")
    wanted = units(programs, "examples", VERSION, content)
    report = run(wanted, ExampleWork(str(labels), content), output, jobs=options.jobs, ray=options.ray)
    _complain(report, say)
    told = held.about
    counts: dict[str, Any] = {
        **dict(sorted(report.counts.items())), "profiles": told["profiles"],
        "labelled programs that the corpus lacks": len(held.hashes()) - len(programs)}
    manifest = Manifest.of(output, report.shards, task=TASK, counts=counts, parameters={
        "about": ABOUT, "commands": [command], **told["parameters"], "lists": told["lists"],
        "selection": told["selection"], "labels": content, "complete": told["complete"]})
    for path in output.glob("*.parquet"):
        if path.name not in {shard.name for shard in report.shards}:
            path.unlink()  # of an earlier, shorter run
    manifest.write(output)
    write_card(output, manifest)
    return manifest


def _parameters(options: FlagOptions) -> dict[str, Any]:
    """What decides the labels, for keys and manifests."""
    found = {**vars(options), "profiles": [str(profile) for profile in options.profiles],
             "verify": str(options.verify), "suite": list(options.suite), "llvm": library.load().version_text}
    for name in ("jobs", "ray", "time_budget"):
        del found[name]
    return found


def _complain(report: Report, say: Say) -> None:
    for key, reason in list(report.failures.items())[:5]:
        say(f"unit {key} failed: {reason}")


class _Stages:
    """The stages of one profile, one after the other."""

    def __init__(self, programs: Sequence[Program], suite: Sequence[suites.Program], profile: Profile,
                 options: FlagOptions, work: Path, limit: float | None, say: Say,
                 held: store.Labels | None = None) -> None:
        # A profile that the held labels know nothing of is searched from the start.
        self.held = held if held is not None and str(profile) in held.about["lists"] else None
        known = self.held.hashes(str(profile)) if self.held is not None else frozenset()
        self.programs = [program for program in programs if program.hash not in known]
        self.suite = suite
        self.profile = profile
        self.options = options
        self.work = work
        self.limit = limit
        self.started = time.monotonic()
        self.say = say
        self.costs: dict[str, dict[str, int]] = {}
        self.complete = True

    def run(self) -> _Result:
        # Lists are chosen on training programs alone.
        sample: Sequence[Program] = ()
        if self.held is not None:
            selection = self._held()
        else:
            training = [program for program in self.programs if program.split == schema.TRAIN] or self.programs
            sample = training[: max(1, round(self.options.sample * len(self.programs)))]
            selection = self._select(sample)
        lists = tuple(selection["lists"])
        options = self.options
        named = units(self.programs, "label", VERSION, self._common(), lists, options.refine, options.options)
        labelled = self._stage("label", named, LabelWork(self.profile, lists, options.refine, options.options))
        by_key = {unit.key: unit.payload for unit in named}
        how = (str(options.verify), bool(options.suite), options.run_options)
        trials = [Unit(key_of("verify", name, VERSION, *how, split=part.split),
                       Trials(part, str(self.work / "label" / f"{name}.parquet")))
                  for name, part in by_key.items() if name in {Path(shard.name).stem for shard in labelled.shards}]
        work = VerifyWork(self.profile, options.verify, bool(options.suite), options.run_options)
        verified = self._stage("verify", trials, work)
        shards = [self.work / "verify" / shard.name for shard in verified.shards]
        told = {"dropped by PassListEval": selection["dropped"],
                "mean saving of the sample by the first lists, per cent": selection["gains"]}
        return _Result(shards, lists, told, self._record(selection, len(sample) or selection["sample"]), self.complete)

    def _held(self) -> dict[str, Any]:
        """Lists of the labels that are extended, in the form of `_select`; their costs go on being counted."""
        assert self.held is not None
        name = str(self.profile)
        told, record = self.held.about, self.held.about["profiles"][name]
        self.costs = {stage: dict(counts) for stage, counts in record["costs"].items()}
        return {"lists": told["lists"][name], "dropped": told["selection"][name]["dropped by PassListEval"],
                "gains": told["selection"][name]["mean saving of the sample by the first lists, per cent"],
                "programs": record["programs of PassListEval"], "sample": record["sample"]}

    def _common(self) -> list[str]:
        return [str(self.profile), library.load().version_text]

    def _stage(self, name: str, wanted: Sequence[Unit], work: Work) -> Report:
        deadline = None if self.limit is None else self.started + self.limit * _ENDS[name]
        report = run(_until(wanted, deadline, self.work / name), work, self.work / name, jobs=self.options.jobs,
                     ray=self.options.ray)
        self.costs[name] = dict(sorted((Counter(self.costs.get(name, {})) + Counter(report.counts)).items()))
        self.say(f"{self.profile}, {name}: {report.sentence()}")
        _complain(report, self.say)
        if report.units < len(wanted):
            self.complete = False
            self.say(f"{self.profile}, {name}: the time is over after {report.units} of {len(wanted)} units; run the "
                     "same command again to go on")
        return report

    def _select(self, sample: Sequence[Program]) -> dict[str, Any]:
        """The lists of an earlier run with these parameters, or new ones."""
        options = self.options
        hashes = [program.hash for program in sample]
        core = [candidate.passes.text for candidate in list_space(self.profile).core_set]
        key = key_of(VERSION, self._common(), hashes, core, options.search_evaluations, options.lists, options.cover,
                     options.suite)
        path = self.work / f"lists-{self.profile}-{key}.json"
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text())
            self.costs = dict(found["costs"])
            return found
        searching = units(sample, "search", VERSION, self._common(), core, options.search_evaluations)
        report = self._stage("search", searching, SearchWork(self.profile, options.search_evaluations))
        shards = [self.work / "search" / shard.name for shard in report.shards]
        winners = [row["lists"] for row in read_shards(shards, ["lists"])]
        candidates = selecting.candidates(winners, core, options.lists)
        covering = units(sample[: options.cover], "cover", VERSION, self._common(), candidates)
        report = self._stage("cover", covering, CoverWork(self.profile, tuple(candidates)))
        rows = [row for shard in report.shards for row in read_shards(self.work / "cover" / shard.name)]
        if not rows:
            raise InputError(f"none of the {len(sample)} programs of the sample could be measured for {self.profile}; "
                             "raise --sample, --functions or --modules")
        chosen = selecting.select([row["baseline"] for row in rows], [row["sizes"] for row in rows], candidates,
                                  options.lists, self.suite, options.jobs)
        self.say(f"{self.profile}: {len(chosen.lists)} lists, {len(chosen.dropped)} dropped by PassListEval on "
                 f"{chosen.programs} programs")
        content = {"lists": list(chosen.lists), "dropped": chosen.dropped, "gains": [round(g, 4) for g in chosen.gains],
                   "candidates": chosen.candidates, "programs": chosen.programs, "costs": self.costs}
        self.work.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1).encode())
        return content

    def _record(self, selection: Mapping[str, Any], sample: int) -> dict[str, Any]:
        """Costs and gains, for the manifest."""
        verified = self.costs.get("verify", {})
        labels = max(1, verified.get("labels", 0))
        evaluations = sum(counts.get("evaluations", 0) for counts in self.costs.values())
        milliseconds = sum(counts.get("processor milliseconds", 0) for counts in self.costs.values())
        base = max(1, verified.get("baseline bytes", 0))
        return {
            "costs": self.costs, "sample": sample, "lists dropped by PassListEval": len(selection["dropped"]),
            "programs of PassListEval": selection["programs"],
            "labels": verified.get("labels", 0), "verified labels": verified.get("verified labels", 0),
            "compilations a label": round(evaluations / labels, 1),
            "back ends run a label": round(sum(c.get("lowered", 0) for c in self.costs.values()) / labels, 1),
            "processor milliseconds a label": round(milliseconds / labels, 1),
            "milliseconds of verification a label":
                round(verified.get("milliseconds of differential execution", 0) / labels, 1),
            "gain, per cent": round(100 * (1 - verified.get("bytes", 0) / base), 3),
            "gain with options, per cent": round(100 * (1 - verified.get("bytes with options", 0) / base), 3),
        }


def _until(wanted: Sequence[Unit], deadline: float | None, folder: Path) -> Iterator[Unit]:
    """Units that are done already, and others until the time is over."""
    for unit in wanted:
        if deadline is None or time.monotonic() < deadline or (folder / f"{unit.key}.parquet").exists():
            yield unit


@dataclass
class ExampleWork:
    """Programs joined with their labels. labels: the file; content: see `store.about`."""

    labels: str
    content: str
    schema: pa.Schema = SCHEMA

    def rows(self, payload: Slice, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        held = store.open_labels(Path(self.labels), self.content)
        with tempfile.TemporaryDirectory(prefix="example-") as folder:
            path = Path(folder) / "module.bc"
            for name, data, row in payload.rows():
                if payload.kind == MODULE:
                    path.write_bytes(data)
                    text = pool.run(Reading(path, text_of)).value
                    if not isinstance(text, str):
                        counts["modules that LLVM does not read"] += 1
                        continue
                else:
                    text = data.decode()
                for label in held.of(name):
                    counts["examples"] += 1
                    counts[f"{label['kind']} examples, {label['profile']}"] += 1
                    yield _example(text, row, payload, label)


def _example(text: str, row: Mapping[str, Any], part: Slice, label: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task": TASK, "prompt": FlagsPrompt(text).reference(), "answer": flags_answer(label["pass_list"]),
        "compact_prompt": FlagsPrompt(compact(text)).compact(),
        "compact_answer": compact_flags_answer(label["pass_list"]),
        **{field.name: row[field.name] for field in schema.PROVENANCE},
        "function": row.get("name", ""), "hash": label["hash"], "split": part.split,
        **{field.name: label[field.name] for field in LABEL},
    }
