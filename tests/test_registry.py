"""The passes of the library in use: levels, parameters, trust."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from llm_compiler.errors import PipelineError, ToolchainError
from llm_compiler.evidence.table import to_json
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.registry import (
    MINIMUM_CHANGED,
    MINIMUM_PROGRAMS,
    Evidence,
    Example,
    Registry,
    Tier,
    tier_of_pass,
)
from llm_compiler.paths import cache_folder
from llm_compiler.tuning import data
from llm_compiler.tuning.space import PARAMETERS, space_for


@pytest.fixture(scope="module")
def known() -> Registry:
    return registry.load()


@pytest.fixture(scope="module")
def full() -> Registry:
    return registry.load(full=True)


@pytest.mark.parametrize(("name", "level"), [
    ("globaldce", "module"), ("ipsccp", "module"), ("inline", "cgscc"), ("function-attrs", "cgscc"),
    ("argpromotion", "cgscc"), ("simplifycfg", "function"), ("gvn", "function"), ("loop-unroll", "function"),
    ("loop-rotate", "loop"), ("loop-unroll-full", "loop"), ("licm", "loop-mssa"), ("default", "module"),
    ("require", "module"), ("no-such-pass", None), ("", None), ("function", None),
])
def test_levels(known: Registry, name: str, level: str | None) -> None:
    assert known.level(name) == level


@pytest.mark.parametrize(("name", "tier"), [
    ("gvn", Tier.PRODUCTION), ("always-inline", Tier.PRODUCTION), ("attributor-cgscc", Tier.EXPERIMENTAL),
    ("gvn-sink", Tier.EXPERIMENTAL),
])
def test_tiers_have_reasons(known: Registry, name: str, tier: Tier) -> None:
    info = known.get(name)
    assert info is not None and info.tier is tier and info.reason


def test_production_passes_say_which_levels_run_them(known: Registry) -> None:
    for info in known.passes(Tier.PRODUCTION):
        assert info.reason.startswith("run by -O"), info


def test_parametrised(known: Registry) -> None:
    takes = {info.name for info in known.passes() if info.parametrised}
    assert {"simplifycfg", "gvn", "sroa", "inline", "instcombine", "licm", "early-cse"} <= takes
    assert not {"adce", "indvars", "reassociate"} & takes


def test_every_pass_that_trust_names_is_known_to_llvm_17(known: Registry, full: Registry) -> None:
    if library.load().version[0] != 17:
        pytest.skip("trust.toml is written for LLVM 17")
    run_by, suspected = registry.trusted()
    assert not set(run_by) - {info.name for info in known.passes()}
    assert not set(suspected) - {info.name for info in full.passes()}
    assert all(suspected.values())


def test_no_pass_is_both_trusted_and_not() -> None:
    run_by, suspected = registry.trusted()
    assert len(run_by) > 60 and not set(run_by) & set(suspected)


ENOUGH = Evidence(lists=40, programs=60, trials=900, changed=MINIMUM_CHANGED, programs_changed=MINIMUM_PROGRAMS)
WRONG = replace(ENOUGH, failures=(("hung", 1), ("wrong", 2)), example=Example("CPP/64", "function(sink)", "wrong"))
DIES = replace(ENOUGH, failures=(("compiler_crashed", 3),))


@pytest.mark.parametrize(("run_by", "suspected", "evidence", "tier", "reason"), [
    ("-O3", None, None, Tier.PRODUCTION, "run by -O3"),
    ("-O3", None, ENOUGH, Tier.PRODUCTION, "run by -O3"),
    ("-O3", None, DIES, Tier.PRODUCTION, "run by -O3"),
    ("-O3", None, WRONG, Tier.EXPERIMENTAL, "miscompiles: 1 hung, 2 wrong of 900 trials, such as CPP/64"),
    ("-O3", "off", ENOUGH, Tier.EXPERIMENTAL, "off"),
    (None, "off", ENOUGH, Tier.EXPERIMENTAL, "off"),
    (None, None, ENOUGH, Tier.EXTENDED, "no failure in 300 trials that changed code, in 30 programs"),
    (None, None, WRONG, Tier.EXPERIMENTAL, "miscompiles"),
    (None, None, DIES, Tier.EXPERIMENTAL, "LLVM does not survive it: 3 compiler crashed of 900 trials"),
    (None, None, replace(ENOUGH, changed=299), Tier.EXPERIMENTAL, "too little evidence: 299 trials"),
    (None, None, replace(ENOUGH, programs_changed=29), Tier.EXPERIMENTAL, "in 29 programs (300 in 30 are wanted)"),
    (None, None, None, Tier.EXPERIMENTAL, "too little evidence: 0 trials"),
])
def test_the_rule_for_tiers(run_by: str | None, suspected: str | None, evidence: Evidence | None, tier: Tier,
                            reason: str) -> None:
    found, said = tier_of_pass(run_by, suspected, evidence)
    assert found is tier and reason in said


LEVELS = {"gvn": "function", "sink": "function", "mergefunc": "module", "structurizecfg": "function",
          "verify": "module"}


def test_a_registry_derives_tiers_from_evidence() -> None:
    known = Registry("17.0.6", LEVELS, frozenset(), {"sink": ENOUGH, "mergefunc": WRONG, "verify": ENOUGH})
    tiers = {info.name: info.tier for info in known.passes()}
    assert tiers == {"gvn": Tier.PRODUCTION, "sink": Tier.EXTENDED, "mergefunc": Tier.EXPERIMENTAL,
                     "structurizecfg": Tier.EXPERIMENTAL, "verify": Tier.EXPERIMENTAL}
    sink, gvn = known.get("sink"), known.get("gvn")
    assert sink is not None and sink.evidence == ENOUGH
    assert gvn is not None and gvn.evidence is None
    assert known != Registry("17.0.6", LEVELS, frozenset(), {})
    space = space_for(known, Tier.EXTENDED, "deploy", "x86_64")
    assert "sink" in space.passes["function"] and "mergefunc" not in space.passes.get("module", ())


def test_evidence_says_nothing_about_another_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    table = json.dumps({"llvm": "17.0.6", "passes": {
        "gvn": to_json(WRONG), "sink": to_json(ENOUGH)}})
    registry.evidence_for.cache_clear()
    monkeypatch.setattr(registry.resources, "files", lambda package: _Folder(table))
    assert set(registry.evidence_for("17.0.6")) == {"gvn", "sink"}
    assert registry.evidence_for("18.1.8") == {}
    monkeypatch.undo()
    registry.evidence_for.cache_clear()
    other = Registry("0.0.0", LEVELS, frozenset())
    assert {info.name for info in other.passes(Tier.EXTENDED)} == {"gvn"}


class _Folder:
    """Stands for the package's data."""

    def __init__(self, text: str) -> None:
        self._text = text

    def joinpath(self, name: str) -> _Folder:
        return self

    def read_text(self) -> str:
        return self._text


def test_full_is_a_superset(known: Registry, full: Registry) -> None:
    assert len(full) > len(known) + 50
    for info in known.passes():
        assert full.get(info.name) == info
    assert "gvn-sink" not in {info.name for info in full.passes(Tier.EXTENDED)}
    printing = full.get("instnamer")
    assert printing is not None and not printing.transforms


def test_every_known_pass_passes_validation_at_its_level(full: Registry) -> None:
    # All at once: one child, one message when anything is wrong.
    full.validate(PassList.parse(",".join(info.name for info in full.passes())))


def test_tier_of_a_list_is_its_least_trusted(full: Registry) -> None:
    assert full.tier_of(PassList.parse("gvn,default<Oz>")) is Tier.PRODUCTION
    assert full.tier_of(PassList.parse("cgscc(function(gvn-sink)),gvn")) is Tier.EXPERIMENTAL
    tried = Registry("17.0.6", LEVELS, frozenset(), {"sink": ENOUGH})
    assert tried.tier_of(PassList.parse("function(gvn,sink)")) is Tier.EXTENDED


@pytest.mark.parametrize("text", [
    "", "default<Oz>", "default<O0>,gvn", "function(simplifycfg<bonus-inst-threshold=1;no-keep-loops>)", "licm",
    "cgscc(devirt<4>(inline<only-mandatory>,inline))", "require<globals-aa>,function(invalidate<aa>)",
    "repeat<2>(function(gvn))", "loop(indvars),gvn,globaldce",
])
def test_valid_lists(known: Registry, text: str) -> None:
    known.validate(PassList.parse(text))


@pytest.mark.parametrize(("text", "message"), [
    ("function(globaldce)", "does not take the pass list: unknown function pass 'globaldce'"),
    ("loop(gvn)", "unknown loop pass 'gvn'"),
    ("cgscc(globaldce)", "unknown cgscc pass 'globaldce'"),
    ("simplifycgf", r"has no pass 'simplifycgf'; did you mean .*simplifycfg\?"),
    ("zzz", "has no pass 'zzz'; `llmc passes` lists them"),
    ("default<O9>", "unknown pass name 'default<O9>'"),
    ("gvn<foo>", "invalid GVN pass parameter 'foo'"),
    ("repeat<x>(gvn)", "'repeat<x>'"),
    ("require<nothing>", "'require<nothing>'"),
])
def test_invalid_lists(known: Registry, text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        known.validate(PassList.parse(text))


def test_tier_parse() -> None:
    assert Tier.parse("Extended") is Tier.EXTENDED and str(Tier.EXTENDED) == "extended"
    with pytest.raises(PipelineError, match="unknown trust tier 'blind'"):
        Tier.parse("blind")


def test_the_written_out_pipeline_is_whole_and_trusted(known: Registry) -> None:
    if library.load().version[0] != 17:
        pytest.skip("oz-17.txt is written for LLVM 17")
    oz = oz_pipeline(known)
    assert oz.text == PassList.parse(data._read("oz-17.txt")).text
    known.validate(oz)
    assert known.tier_of(oz) is Tier.PRODUCTION


@pytest.mark.parametrize("profile", ["deploy", "paper"])
def test_the_core_set_is_valid_and_trusted(known: Registry, profile: str) -> None:
    oz = oz_pipeline(known)
    core = data.core_set(known, Tier.PRODUCTION, profile, "x86_64", oz)
    assert core
    for candidate in core:
        known.validate(candidate.passes)
        assert data.candidate_tier(candidate, known) is Tier.PRODUCTION


def test_every_parameter_that_the_search_may_set_is_taken(known: Registry) -> None:
    for name, choices in PARAMETERS.items():
        for choice in choices:
            known.validate(PassList.parse(name if choice is None else f"{name}<{choice}>"))


def test_the_space_of_a_tier_holds_its_passes_only(full: Registry) -> None:
    sizes = []
    for tier in Tier:
        space = space_for(full, tier, "deploy", "x86_64")
        names = [name for level in space.passes.values() for name in level]
        for name in names:
            info = full.get(name)
            assert info is not None and info.tier <= tier and info.transforms
        for group in (*space.codegen_options, *space.pass_options):
            assert all(data.option_tier(option) <= tier for option in group)
        sizes.append(len(names))
    assert sizes == sorted(sizes) and 0 < sizes[0] < sizes[2]


def test_other_targets_get_no_x86_options(known: Registry) -> None:
    groups = data.option_groups("codegen", Tier.EXPERIMENTAL, "aarch64")
    assert groups and not any("x86" in option for group in groups for option in group)


def test_a_spoilt_cache_is_read_anew(known: Registry) -> None:
    files = list(cache_folder().glob("registry-*.json"))
    assert files
    for file in files:
        for content in ("{", "[]", '{"version": "17.0.6"}', ""):
            file.write_text(content)
            registry.load.cache_clear()
            assert registry.load() == known
        json.loads(file.read_text() or "{}")


def test_load_leaves_no_child_and_no_output(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
                                            tmp_path: Path) -> None:
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path / "not" / "there"))
    registry.load.cache_clear()
    assert len(registry.load()) > 80
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


# --- the library itself ---


def test_the_wheel_comes_first() -> None:
    found = library.found_libraries()
    assert found and found[0].path == library.load().path
    assert len({item.path.resolve() for item in found}) == len(found)


def test_a_named_library_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("missing.so", None), ("text.so", b"not a library")):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ToolchainError, match=f"cannot load .*{name}.*LLMC_LIBLLVM"):
            library.Library(path)
    monkeypatch.setenv("LLMC_LIBLLVM", str(tmp_path / "missing.so"))
    assert library.found_libraries()[0].origin == "LLMC_LIBLLVM"


def test_a_library_without_llvm_in_it() -> None:
    name = next(iter(sorted(Path("/lib/x86_64-linux-gnu").glob("libz.so.1*"))), None)
    if name is None:
        pytest.skip("no zlib to load")
    with pytest.raises(ToolchainError, match="it is not a libLLVM"):
        library.Library(name)


def test_undeclared_functions_are_not_called() -> None:
    with pytest.raises(AttributeError, match="LLVMShutdown is not declared"):
        library.load().LLVMShutdown()


OTHER = """
import json, sys
from pathlib import Path
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.job import Job
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.llvm.oz import oz_pipeline
known = registry.load()
oz = oz_pipeline(known)
with WorkerPool(1) as pool:
    outcome = pool.run(Job(Path(sys.argv[1]), Candidate(oz, ("-disable-lsr",)), Lowering(), verify=True))
    refused = pool.run(Job(Path(sys.argv[1]), Candidate(oz, ("-no-such-option",)), Lowering()))
print(json.dumps({"version": library.load().version, "passes": len(known), "gvn": known.level("gvn"),
                  "status": outcome.status, "message": outcome.message, "refused": refused.status,
                  "targets": library.load().targets}))
"""


def test_another_llvm_can_be_named(tmp_path: Path) -> None:
    others = [item for item in library.found_libraries() if item.origin == "system"]
    if not others:
        pytest.skip("no other libLLVM here")
    source = tmp_path / "input.ll"
    source.write_text("define i32 @f(i32 %x) {\n  %y = mul i32 %x, 8\n  ret i32 %y\n}\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OTHER, str(source)], capture_output=True, text=True, timeout=60,
        env={**os.environ, "LLMC_LIBLLVM": str(others[0].path)}, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["version"][0] >= library.MINIMUM_MAJOR and said["passes"] > 60 and said["gvn"] == "function"
    assert said["status"] == "measured", said
    assert said["refused"] == "invalid"
    assert "X86" in said["targets"]
