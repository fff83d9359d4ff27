"""Pass lists and candidates: parse, print, canonicalise, hash."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_compiler.errors import PipelineError
from llm_compiler.llvm import registry
from llm_compiler.llvm.pipeline import ADAPTORS, MAXIMUM_DEPTH, Candidate, Pass, PassList
from llm_compiler.tuning import edit

LEVELS = {"globaldce": "module", "inline": "cgscc", "gvn": "function", "sroa": "function", "indvars": "loop",
          "licm": "loop-mssa"}

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.sampled_from(["gvn", "sroa", "licm", "a-b", "x1", "no.3", "default", "devirt", "require"])
words = st.sampled_from(["a", "no-b", "c=3", "Oz", "4", "x<y>"])
parameters = st.none() | st.lists(words, min_size=1, max_size=3).map(";".join)
leaves = st.builds(Pass, names, parameters)
elements = st.recursive(
    leaves,
    lambda inner: st.builds(Pass, st.sampled_from(ADAPTORS) | names, parameters,
                            st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=10,
)
# A lone module(…) around everything is spelled without it.
pass_lists = st.lists(elements, max_size=4).map(tuple).map(PassList).filter(
    lambda item: not (len(item.passes) == 1 and item.passes[0].name == "module"))


@quick
@given(pass_lists)
def test_print_and_parse_are_inverse(passes: PassList) -> None:
    assert PassList.parse(str(passes)) == passes
    assert PassList.parse(f" module( {passes} )\n" if passes.passes else " ") == passes
    assert hash(PassList.parse(passes.text)) == hash(passes)


@quick
@given(pass_lists)
def test_blanks_mean_nothing(passes: PassList) -> None:
    spaced = "".join(letter + (" " if index % 3 else "\n") for index, letter in enumerate(passes.text))
    assert PassList.parse(spaced) == passes


@quick
@given(st.text("ab<>(),;=- \n.", max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        passes = PassList.parse(text)
    except PipelineError as error:
        assert "pass list:" in str(error)
    else:
        assert PassList.parse(passes.text) == passes


@pytest.mark.parametrize(("text", "message"), [
    ("gvn,", "a pass name is missing at character 5"),
    (",gvn", "a pass name is missing at character 1"),
    ("gvn)", "unbalanced ')' at character 4, near 'gvn)'"),
    ("function(gvn", "unbalanced '(' at character 13, near 'function(gvn'"),
    ("function()", "a pass name is missing at character 10"),
    ("function(gvn))", "unbalanced ')' at character 14"),
    ("function", "'function' needs a nested list at character 9"),
    ("loop-mssa,gvn", "'loop-mssa' needs a nested list"),
    ("inline<only", "unbalanced '<' at character 7"),
    ("gvn<a>b", "unbalanced ')' at character 7"),
    ("function(" * (MAXIMUM_DEPTH + 2) + "gvn" + ")" * (MAXIMUM_DEPTH + 2), "nested too deeply"),
])
def test_errors_name_the_place(text: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        PassList.parse(text)
    assert message in str(caught.value)


def test_what_parsing_drops() -> None:
    assert PassList.parse("module(module(globaldce,gvn<>))").text == "globaldce,gvn"
    assert PassList.parse("sroa<modify-cfg;>").text == "sroa<modify-cfg>"
    assert PassList.parse("module(gvn),module(gvn)").text == "module(gvn),module(gvn)"
    assert PassList.parse("") == PassList() == PassList.parse("  ")
    assert not PassList().text


def test_nested_parameters_stay_whole() -> None:
    passes = PassList.parse("function(require<should<not>run>,gvn)")
    assert passes.passes[0].children[0].parameters == "should<not>run"


def test_walk_names_and_length_leave_adaptors_out() -> None:
    passes = PassList.parse("cgscc(devirt<4>(inline,function(sroa,gvn))),globaldce,gvn")
    assert len(passes) == 5
    assert passes.names() == {"inline", "sroa", "gvn", "globaldce"}
    assert [item.name for item in passes.walk()] == [
        "cgscc", "devirt", "inline", "function", "sroa", "gvn", "globaldce", "gvn"]


@pytest.mark.parametrize(("given_text", "wanted"), [
    ("gvn,sroa,globaldce,licm", "function(gvn,sroa),globaldce,function(loop-mssa(licm))"),
    ("indvars,licm,indvars,indvars",
     "function(loop(indvars)),function(loop-mssa(licm)),function(loop(indvars,indvars))"),
    ("inline,gvn,inline", "cgscc(inline),function(gvn),cgscc(inline)"),
    ("loop(indvars),gvn", "function(loop(indvars),gvn)"),
    ("devirt<4>(inline)", "cgscc(devirt<4>(inline))"),
    ("function(gvn),gvn", "function(gvn),function(gvn)"),
    ("", ""),
])
def test_canonical_wraps_bare_names(given_text: str, wanted: str) -> None:
    canonical = PassList.parse(given_text).canonical(LEVELS.get)
    assert canonical.text == wanted
    assert canonical.canonical(LEVELS.get) == canonical


def test_canonical_refuses_unknown_names() -> None:
    with pytest.raises(PipelineError, match="unknown pass 'nonsense'"):
        PassList.parse("gvn,nonsense").canonical(LEVELS.get)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_llvm_takes_what_canonical_gives(data: st.DataObject) -> None:
    known = registry.load()
    bare = sorted(info.name for info in known.passes())
    drawn = data.draw(st.lists(st.sampled_from(bare), min_size=1, max_size=8))
    passes = PassList.parse(",".join(drawn))
    canonical = passes.canonical(known.level)
    known.validate(passes)
    known.validate(canonical)
    assert canonical.canonical(known.level) == canonical
    assert [item.name for item in canonical.walk() if not item.children] == drawn


def test_candidates_are_normalised() -> None:
    passes = PassList.parse("gvn")
    one = Candidate(passes, ("-b", "-a", "-b"), ("-y", "-x"))
    other = Candidate(passes, ("-a", "-b"), ("-x", "-y", "-x"))
    assert one == other and hash(one) == hash(other)
    assert (one.codegen_options, one.pass_options) == (("-a", "-b"), ("-x", "-y"))
    assert one.key == other.key == "gvn | -x -y | -a -b"
    assert one.digest == other.digest and len(one.digest) == 16


def test_the_kind_of_an_option_is_part_of_the_key() -> None:
    passes = PassList.parse("gvn")
    assert len({Candidate(passes).key, Candidate(passes, ("-a",)).key, Candidate(passes, (), ("-a",)).key}) == 3


@quick
@given(pass_lists, st.lists(words, max_size=3), st.lists(words, max_size=3))
def test_candidates_survive_pickling(passes: PassList, codegen: list[str], options: list[str]) -> None:
    candidate = Candidate(passes, tuple(codegen), tuple(options))
    key = candidate.key
    copy = pickle.loads(pickle.dumps(candidate))
    assert copy == candidate and copy.key == key and copy.digest == candidate.digest


# --- edits ---


@quick
@given(pass_lists)
def test_edits_keep_the_list_well_formed(passes: PassList) -> None:
    for slot in edit.slots(passes):
        dropped = edit.drop(passes, slot.path)
        assert all(item.children or item.name not in ADAPTORS for item in dropped.walk())
        assert len(dropped) <= len(passes)
        swapped = edit.swap(passes, slot.path)
        assert sorted(map(str, (item for item in swapped.walk() if not item.children))) == sorted(
            map(str, (item for item in passes.walk() if not item.children)))
        assert edit.replace(passes, slot.path, (slot.item,)) == passes


def test_levels_of_slots() -> None:
    passes = PassList.parse("globaldce,cgscc(devirt<4>(inline,function(gvn,loop-mssa(licm)))),function(loop(indvars))")
    levels = {slot.item.name: slot.level for slot in edit.leaves(passes)}
    assert levels == {"globaldce": "module", "inline": "cgscc", "gvn": "function", "licm": "loop-mssa",
                      "indvars": "loop"}


def test_an_adaptor_that_became_empty_goes_too() -> None:
    passes = PassList.parse("globaldce,cgscc(function(gvn))")
    assert edit.drop(passes, (1, 0, 0)).text == "globaldce"
