"""A campaign on disk survives kills, garbage, other processes and powders that were made."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from morpholith import design
from morpholith.errors import InputError, InputWarning
from morpholith.specimens.recipe_problems import diamond

TARGETS = {"a": 3.1, "b": 2.2}


@pytest.fixture
def problem():
    return diamond()


@pytest.fixture
def space(problem):
    return design.Space(problem.conditions)


@pytest.fixture(autouse=True)
def _few_recipes():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "only .* distinct recipes")
        yield


def _search(problem, space, path, calls, **more):
    return design.search(problem, space, TARGETS, rng=3, calls=calls, storage=path, recipes=2, enough=None, **more)


class Stop(Exception):
    pass


def _stopping(problem, after):
    count = 0

    def evaluate(conditions, *, seed):
        nonlocal count
        count += 1
        if count > after:
            raise Stop
        return problem(conditions, seed=seed)

    return evaluate


@pytest.mark.parametrize("method", ["bayesian", "swarm"])
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(problem, space, tmp_path, method):
    more = {"method": method, "particles": 6}
    whole = _search(problem, space, tmp_path / "whole.jsonl", 26, **more)
    for after in (5, 9):  # within the first batch, then within another
        with pytest.raises(Stop):
            _search(_stopping(problem, after), space, tmp_path / "parts.jsonl", 26, **more)
    again = _search(problem, space, tmp_path / "parts.jsonl", 26, **more)
    pd.testing.assert_frame_equal(again.trajectory, whole.trajectory)
    pd.testing.assert_frame_equal(again.recipes, whole.recipes)
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_finished_search_is_read_and_not_called(problem, space, tmp_path):
    first = _search(problem, space, tmp_path / "c.jsonl", 20)
    again = _search(_stopping(problem, 0), space, tmp_path / "c.jsonl", 20)
    pd.testing.assert_frame_equal(again.recipes, first.recipes)
    other = design.search(
        _stopping(problem, 0), space, {"a": 2.9, "b": 2.0}, rng=3, calls=20, storage=tmp_path / "c.jsonl", recipes=2
    )
    assert problem.truth(other.recipes.iloc[0])["a"] == pytest.approx(2.9, abs=0.05)


@pytest.mark.parametrize("tail", [b'0badf00d {"what":"record","condi', b"\x00\xff\x00", b"12345678 {}\n"])
def test_what_a_kill_left_is_cut_off_and_said(problem, space, tmp_path, tail):
    path = tmp_path / "c.jsonl"
    _search(problem, space, path, 16)
    good = path.read_bytes()
    path.write_bytes(good + tail)
    with pytest.warns(InputWarning, match="not whole"):
        found = design.campaign(path)
    assert found.calls == 16
    assert "cut off" in found.warnings[0]
    assert path.read_bytes() == good
    assert design.campaign(path).warnings == ()


def test_the_search_says_what_was_recovered(problem, space, tmp_path):
    path = tmp_path / "c.jsonl"
    _search(problem, space, path, 16)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(InputWarning, match="not whole"):
        found = _search(problem, space, path, 17)
    assert found.calls == 17
    assert any("not whole" in w for w in found.warnings)


def test_a_kill_in_the_middle_of_a_call_loses_that_call_alone(tmp_path):
    script = """
import os, signal, sys
from morpholith import design
from morpholith.specimens.recipe_problems import diamond
problem, calls = diamond(), 0
def evaluate(conditions, *, seed):
    global calls
    calls += 1
    if calls == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return problem(conditions, seed=seed)
design.search(evaluate, design.Space(problem.conditions), {"a": 3.0}, rng=0, calls=20, storage=sys.argv[1])
"""
    path = tmp_path / "c.jsonl"
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, capture_output=True)
    assert done.returncode == -9
    assert design.campaign(path).calls == 6


def test_damage_before_the_end_is_refused(problem, space, tmp_path):
    path = tmp_path / "c.jsonl"
    _search(problem, space, path, 16)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"3", b"4")
    path.write_bytes(b"".join(lines))
    with pytest.raises(InputError, match="damaged in line 5"):
        design.campaign(path)


@pytest.mark.parametrize("content", [b"", b"image,condition\n", b"\x89PNG\r\n\x1a\n"])
def test_other_files_are_no_campaigns(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no design campaign"):
        design.campaign(path)
    with pytest.raises(InputError, match="does not exist"):
        design.campaign(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be written"):
        design.campaign(path / "below" / "c.jsonl", space=design.Space({"x": (0, 1)}))


def test_a_campaign_over_other_conditions_is_refused(space, tmp_path):
    path = tmp_path / "c.jsonl"
    design.campaign(path, space=space)
    with pytest.raises(InputError, match="over x, y, not over x, z"):
        design.campaign(path, space=design.Space({"x": (0, 1), "z": (0, 1)}))
    kinds = {"x": (0, 1), "g": ["p", "q"]}
    design.campaign(tmp_path / "g.jsonl", space=design.Space(kinds))
    with pytest.raises(InputError, match="words"):
        design.campaign(tmp_path / "g.jsonl", space=design.Space({**kinds, "g": ["p", "r"]}))


def test_bounds_may_change(problem, space, tmp_path):
    path = tmp_path / "c.jsonl"
    _search(problem, space, path, 16)
    narrow = design.Space({"x": (0.2, 0.8), "y": (0, 1)}, constraints=["x + y <= 1.2"])
    found = _search(problem, narrow, path, 20)
    assert found.calls == 20
    assert narrow.allows(found.recipes).all()
    assert narrow.allows(found.trajectory.iloc[16:]).all()


def test_powders_told_are_kept_and_count_as_measured(problem, space, tmp_path):
    path = tmp_path / "c.jsonl"
    _search(problem, space, path, 20)
    kept = design.campaign(path)
    for x, y in ((0.2, 0.7), (0.6, 0.5), (0.8, 0.3), (0.5, 0.1)):
        truth = problem.truth({"x": x, "y": y})
        kept.tell({"x": x, "y": y}, {"a": (truth["a"] + 0.3, 0.01), "b": (truth["b"], 0.01)}, note="lot 3")
    with pytest.raises(InputError, match="no condition"):
        kept.tell({"x": 1, "z": 2}, {"a": 1.0})
    with pytest.raises(InputError, match="lacks the condition 'y'"):
        kept.tell({"x": 1}, {"a": 1.0})
    again = design.campaign(path)
    assert [r.note for r in again.records if r.real] == ["lot 3"] * 4
    assert again.calls == 20
    found = _search(problem, space, path, 24)
    assert found.model.real
    made = problem.truth(found.recipes.iloc[0])
    assert made["a"] + 0.3 == pytest.approx(3.1, abs=0.06)
    table = again.table()
    assert (table["phase"] == "measured").sum() == 4
    assert list(table.columns[:5]) == ["call", "batch", "phase", "x", "y"]


def test_two_processes_write_one_file(space, tmp_path):
    path = tmp_path / "c.jsonl"
    one = design.campaign(path, space=space, seed=1)
    two = design.campaign(path)
    for k in range(6):
        (one, two)[k % 2].tell({"x": k / 10, "y": 0.5}, {"a": float(k)})
    one.refresh()
    assert [r.results["a"].mean for r in one.records] == list(range(6))
    assert [r.results["a"].mean for r in two.records] == list(range(6))
    assert len(design.campaign(path).records) == 6


def test_what_is_not_finite_comes_back(space, tmp_path):
    kept = design.campaign(tmp_path / "c.jsonl", space=space)
    kept.tell({"x": np.float64(0.5), "y": np.int64(1)}, {"a": np.nan, "b": np.array([1.0, 2.0])})
    back = design.campaign(tmp_path / "c.jsonl").records[0]
    assert np.isnan(back.results["a"].mean)
    assert back.results["b"] == pytest.approx((1.5, 0.5, 2))
    assert back.conditions == {"x": 0.5, "y": 1}
