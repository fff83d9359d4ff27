"""Trees of LightGBM give the same numbers without LightGBM, and survive being written."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from llm_compiler.errors import InputError
from llm_compiler.models.trees import Trees

NAMES = ("a", "b", "c")


def rows(count: int, seed: int) -> list[list[float]]:
    """Numbers of which many are equal, whole or zero."""
    rng = random.Random(seed)
    return [[rng.choice((0.0, 1.0, rng.random() * 9)), float(rng.randint(0, 20)), rng.gauss(0, 3)]
            for _ in range(count)]


@lru_cache(maxsize=4)
def booster(objective: str = "regression", **more: Any) -> Any:
    lightgbm = pytest.importorskip("lightgbm")
    numpy = pytest.importorskip("numpy")
    data = rows(2000, 1)
    target = [a * b + (c > 1) * 5 + 6 for a, b, c in data]
    if objective == "multiclass":
        target = [float(value > 10) + float(value > 50) for value in target]
    parameters = {"objective": objective, "num_leaves": 15, "num_threads": 1, "verbose": -1, "seed": 1, **more}
    return lightgbm.train(parameters, lightgbm.Dataset(numpy.array(data), target, feature_name=list(NAMES)), 40)


@pytest.mark.parametrize("objective", ["regression", "regression_l1", "gamma", "multiclass"])
def test_predictions_are_those_of_lightgbm(objective: str) -> None:
    more = {"num_class": 3} if objective == "multiclass" else {}
    made = booster(objective, **more)
    trees = Trees.from_lightgbm(made.model_to_string())
    assert trees.names == NAMES and len(trees.roots) == (3 if more else 1)
    asked = rows(500, 2)
    expected = made.predict(asked, raw_score=True).reshape(len(asked), -1)
    for row, wanted in zip(asked, expected, strict=True):
        assert trees.outputs(row) == pytest.approx(list(wanted), rel=1e-6, abs=1e-6)


def test_bytes_give_the_same_trees() -> None:
    trees = Trees.from_lightgbm(booster().model_to_string(), ("of a", "of b", "of c"))
    data = trees.to_bytes()
    assert Trees.from_bytes(data) == trees and trees.names == ("of a", "of b", "of c")
    assert len(data) < len(booster().model_to_string()) / 4


def test_trees_are_stacked() -> None:
    one, other = (Trees.from_lightgbm(booster(objective).model_to_string())
                  for objective in ("regression", "regression_l1"))
    both = Trees.stacked([one, other])
    assert Trees.from_bytes(both.to_bytes()) == both
    for row in rows(50, 3):
        assert both.outputs(row) == [one.predict(row), other.predict(row)]
        assert both.predict(row, 1) == other.predict(row)
    with pytest.raises(ValueError, match="different inputs"):
        Trees.stacked([one, Trees(("x",), ((0,),), (-1,), (1.0,), (0,))])


def test_a_tree_may_be_one_leaf() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    numpy = pytest.importorskip("numpy")
    data = lightgbm.Dataset(numpy.zeros((50, 2)), [3.0] * 50)
    made = lightgbm.train({"objective": "regression", "num_threads": 1, "verbose": -1}, data, 2)
    trees = Trees.from_bytes(Trees.from_lightgbm(made.model_to_string()).to_bytes())
    assert trees.predict([0.0, 0.0]) == pytest.approx(made.predict([[0.0, 0.0]])[0], abs=1e-6)


def test_a_small_tree_by_hand() -> None:
    # a <= 1 ? (b <= 2 ? 10 : 20) : 30
    trees = Trees(("a", "b"), ((0,),), (0, 1, -1, -1, -1), (1.0, 2.0, 10.0, 20.0, 30.0), (4, 3, 0, 0, 0))
    for changed in (trees, Trees.from_bytes(trees.to_bytes())):
        assert [changed.predict(row) for row in ([1, 2], [1, 2.5], [1.5, 0])] == [10.0, 20.0, 30.0]
        assert changed == trees


@pytest.mark.parametrize(("parameters", "sentence"), [
    ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averages"),
    ({"linear_tree": True}, "linear trees"),
    ({"zero_as_missing": True}, "zeros as missing"),
])
def test_what_is_not_carried_over_is_told(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Trees.from_lightgbm(booster("regression", **parameters).model_to_string())


def test_what_are_no_trees_is_told(tmp_path: Path) -> None:
    good = Trees(("a",), ((0,),), (0, -1, -1), (1.0, 2.0, 3.0), (2, 0, 0)).to_bytes()
    for data in (b"", b"text", good[:20], good[:-5], good.replace(b"trees 1", b"trees 2")):
        with pytest.raises(InputError, match="are no trees"):
            Trees.from_bytes(data)
    for text in ("", "tree\nversion=v4\n", "text\nTree=0\n"):
        with pytest.raises(InputError, match="no model of LightGBM"):
            Trees.from_lightgbm(text)
    with pytest.raises(InputError, match=r"none\.trees cannot be read"):
        Trees.load(tmp_path / "none.trees")
    (tmp_path / "some.trees").write_bytes(good)
    assert Trees.load(tmp_path / "some.trees").predict([0.5]) == 2.0


def test_cut_trees_are_refused() -> None:
    trees = Trees(("a",), ((0,),), (0, -1, -1), (1.0, 2.0, 3.0), (2, 0, 0))
    cut = Trees(trees.names, ((0, 1),), trees.feature, trees.value, trees.right)
    with pytest.raises(InputError, match="cut off"):
        Trees.from_bytes(cut.to_bytes())
