"""A campaign that is kept survives kills, garbage, other workers and powders that were made."""

import json
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest

from morpholith import design
from morpholith.design.calls import Calls
from morpholith.errors import InputError, InputWarning
from morpholith.specimens.recipe_problems import diamond

TARGETS = {"a": 3.1, "b": 2.2}
PLACES = ("file", "database")


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """Where a campaign is kept: both kinds must do the same."""
    return tmp_path / "c.journal" if request.param == "file" else f"sqlite:///{tmp_path}/c.db"


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


def _filled(problem, space, path, calls, batch=0):
    """Make the calls of one batch, without looking for anything."""
    kept = design.campaign(path, space=space, seed=3)
    made = Calls(problem, space, design.objective(TARGETS), calls, common=False, seed=3, campaign=kept)
    return made.run(space.spread_codes(calls, rng=np.random.default_rng(4)), phase="start", batch=batch)


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
    whole = _search(problem, space, tmp_path / "whole", 12, **more)
    for after in (4, 4):  # within the first batch, then within another
        with pytest.raises(Stop):
            _search(_stopping(problem, after), space, tmp_path / "parts", 12, **more)
    assert design.campaign(tmp_path / "parts").calls == 8
    again = _search(problem, space, tmp_path / "parts", 12, **more)
    pd.testing.assert_frame_equal(again.trajectory, whole.trajectory)
    pd.testing.assert_frame_equal(again.recipes, whole.recipes)
    kept = design.campaign(tmp_path / "parts").records
    assert kept == design.campaign(tmp_path / "whole").records
    assert [r.call for r in kept] == list(range(12))


def test_a_database_keeps_what_a_file_does(problem, space, tmp_path):
    places = (tmp_path / "c.journal", f"sqlite:///{tmp_path}/c.db")
    for where in places:
        with pytest.raises(Stop):
            _filled(_stopping(problem, 6), space, where, 12)
        assert design.campaign(where).calls == 6
        _filled(problem, space, where, 12)
    pd.testing.assert_frame_equal(*(design.campaign(where).table() for where in places))


def test_a_finished_search_is_read_and_not_called(problem, space, place):
    _filled(problem, space, place, 20)
    first = _search(_stopping(problem, 0), space, place, 20)
    assert problem.truth(first.recipes.iloc[0])["a"] == pytest.approx(3.1, abs=0.1)
    other = design.search(
        _stopping(problem, 0), space, {"a": 2.9, "b": 2.0}, rng=3, calls=20, storage=place, recipes=2
    )  # fmt: skip
    assert problem.truth(other.recipes.iloc[0])["a"] == pytest.approx(2.9, abs=0.1)


def _told(path, n, space=None):
    kept = design.campaign(path, space=space, seed=1)
    for k in range(n):
        kept.tell({"x": k / 10, "y": 0.5}, {"a": float(k)})
    return kept


@pytest.mark.parametrize("tail", [b'{"op_code":4,"study_id":0,"us', b"\x00\xff\x00", b"12345678 {}\n"])
def test_what_a_kill_left_is_cut_off_and_said(space, tmp_path, tail):
    path = tmp_path / "c.journal"
    _told(path, 3, space)
    good = path.read_bytes()
    path.write_bytes(good + tail)
    with pytest.warns(InputWarning, match="not whole"):
        found = design.campaign(path)
    assert "cut off" in found.warnings[0]
    assert path.read_bytes() == good
    assert design.campaign(path).warnings == ()
    assert len(_told(path, 1).records) == 4  # goes on with a line of its own


def test_the_search_says_what_was_recovered(problem, space, tmp_path):
    path = tmp_path / "c.journal"
    _filled(problem, space, path, 7)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(InputWarning, match="not whole"):
        found = _search(problem, space, path, 8)
    assert found.calls == 8
    assert any("not whole" in w for w in found.warnings)


KILLED = """
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
design.search(evaluate, design.Space(problem.conditions), {"a": 3.0}, rng=0, calls=16, storage=sys.argv[1])
"""


def test_a_kill_in_the_middle_of_a_call_loses_that_call_alone(problem, space, place):
    done = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False, capture_output=True)
    assert done.returncode == -9
    assert design.campaign(place).calls == 6
    # what it had begun is taken over at once: its process is gone
    _filled(problem, space, place, 8)
    assert design.campaign(place).table()["call"].tolist() == list(range(8))


WORKER = """
import sys, time
from morpholith import design
from morpholith.specimens.recipe_problems import diamond
problem = diamond()
def evaluate(conditions, *, seed):
    print(conditions["x"], conditions["y"], flush=True)
    time.sleep(0.2)
    return problem(conditions, seed=seed)
found = design.search(evaluate, design.Space(problem.conditions), {"a": 3.1, "b": 2.2}, rng=3, calls=9,
                      storage=sys.argv[1], recipes=1, enough=None)
print("recipe", found.recipes.iloc[0]["x"], found.calls, flush=True)
"""


def test_two_workers_share_the_calls_of_one_search(problem, space, place):
    """Neither proposes what the other does, both see all results, and the campaign is the one of a single worker."""
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(place)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [w.communicate()[0].splitlines() for w in both]
    assert [w.returncode for w in both] == [0, 0]
    calls = [own[:-1] for own in lines]
    assert len(set(calls[0] + calls[1])) == len(calls[0] + calls[1]) == 9
    assert lines[0][-1] == lines[1][-1]
    assert lines[0][-1].endswith(" 9")
    alone = design.search(problem, space, TARGETS, rng=3, calls=9, recipes=1, enough=None)
    pd.testing.assert_frame_equal(design.campaign(place).table(), alone.trajectory.iloc[:, :-2])


def test_only_one_of_many_has_a_call(space, place):
    """Twelve at the same moment, each with a connection of its own."""
    kept = [design.campaign(place, space=space, seed=1) for _ in range(12 if "sqlite" not in str(place) else 4)]
    start, had = threading.Barrier(len(kept)), []

    def take(one):
        start.wait()
        had.append(one.claim("search 0 0", {"x": 0.5, "y": 0.5}))

    threads = [threading.Thread(target=take, args=(one,)) for one in kept]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(c is not None for c in had) == 1
    winner = kept[0]
    claim = next(c for c in had if c is not None)
    record = design.Record({"x": 0.5, "y": 0.5}, {"a": design.Measured(1.0)}, "start", 0, 0, 7)
    assert winner.finish(claim, record, value=0.0)
    assert kept[-1].claim("search 0 0", {"x": 0.5, "y": 0.5}) is None
    assert [r.seed for r in kept[-1].records] == [7]


def test_a_call_of_a_machine_that_fell_silent_is_taken_over(space, tmp_path, monkeypatch):
    path = tmp_path / "c.journal"
    one, two = design.campaign(path, space=space, seed=1), design.campaign(path)
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    late = one.claim("search 0 0", {"x": 0.5, "y": 0.5})
    monkeypatch.setattr("platform.node", lambda: "here")
    assert two.claim("search 0 0", {"x": 0.5, "y": 0.5}) is None
    monkeypatch.setattr(sys.modules[design.Campaign.__module__], "PATIENCE_S", 0.0)
    mine = two.claim("search 0 0", {"x": 0.5, "y": 0.5})
    assert mine is not None
    record = design.Record({"x": 0.5, "y": 0.5}, {"a": design.Measured(1.0)}, "start", 0, 0, 7)
    assert not one.finish(late, record, value=0.0)  # it wakes up, too late
    assert two.finish(mine, record, value=0.0)
    one.refresh()
    assert one.calls == two.calls == 1


def test_damage_before_the_end_is_refused(space, tmp_path):
    path = tmp_path / "c.journal"
    _told(path, 4, space)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3][:40] + b"\n", *lines[4:]]))
    with pytest.raises(InputError, match="damaged in line 4"):
        design.campaign(path)
    path.write_bytes(b"".join(lines).replace(b'"a":[2.0', b'"a":[3.0'))
    with pytest.raises(InputError, match="damaged in trial 2"):
        design.campaign(path)


@pytest.mark.parametrize("content", [b"", b"image,condition\n", b"\x89PNG\r\n\x1a\n", b'{"kind": "other"}\n'])
def test_other_files_are_no_campaigns(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no design campaign"):
        design.campaign(path)
    if content:
        with pytest.raises(InputError, match="no design campaign"):
            design.campaign(path, space=design.Space({"x": (0, 1)}))
        with pytest.raises(InputError, match="cannot be used"):
            design.campaign(f"sqlite:///{path}", space=design.Space({"x": (0, 1)}))
    assert path.read_bytes() == content
    with pytest.raises(InputError, match="does not exist"):
        design.campaign(tmp_path / "none.journal")
    with pytest.raises(InputError, match="cannot be read or written"):
        design.campaign(path / "below" / "c.journal", space=design.Space({"x": (0, 1)}))


def test_other_studies_and_databases_are_no_campaigns(space, tmp_path):
    import optuna

    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "o")))
    database = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/o.db")
    for storage, place in ((journal, tmp_path / "o"), (database, f"sqlite:///{tmp_path}/o.db")):
        optuna.create_study(storage=storage, study_name="somebody's").add_trial(optuna.trial.create_trial(value=1.0))
        with pytest.raises(InputError, match="no design campaign"):
            design.campaign(place)
    with pytest.raises(InputError, match="no design campaign"):
        design.campaign(tmp_path / "o", space=space)  # nothing is written into another's file
    assert [s.study_name for s in optuna.get_all_study_summaries(journal)] == ["somebody's"]
    database.engine.dispose()
    with pytest.raises(InputError, match="does not exist"):
        design.campaign(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(InputError, match=r"postgresql://me@host/db .*driver") as told:
        design.campaign("postgresql://me:secret@host/db", space=space)
    assert "secret" not in str(told.value)
    with pytest.raises(InputError, match="cannot be used"):
        design.campaign("nosuch://host/db", space=space)


def test_a_database_holds_several_campaigns(space, tmp_path):
    url = f"sqlite:///{tmp_path}/c.db"
    _told(f"{url}#one", 2, space)
    _told(f"{url}#two", 3, space)
    assert [len(design.campaign(f"{url}#{name}").records) for name in ("one", "two")] == [2, 3]
    with pytest.raises(InputError, match="no design campaign"):
        design.campaign(url)


def test_other_programs_can_read_the_study(problem, space, tmp_path):
    """Any tool for optuna finds recipes and F where it looks for them."""
    import optuna

    url = f"sqlite:///{tmp_path}/c.db"
    made = _filled(problem, space, url, 5)
    database = optuna.storages.RDBStorage(url)
    trials = optuna.load_study(study_name="morpholith design", storage=database).get_trials()
    database.engine.dispose()
    assert [t.params["x"] for t in trials] == [r.conditions["x"] for r in made]
    goal = design.objective(TARGETS)
    assert [t.value for t in trials] == [goal.f([r.results["a"].mean, r.results["b"].mean]) for r in made]


def test_a_campaign_over_other_conditions_is_refused(space, tmp_path):
    path = tmp_path / "c.journal"
    design.campaign(path, space=space)
    with pytest.raises(InputError, match="over x, y, not over x, z"):
        design.campaign(path, space=design.Space({"x": (0, 1), "z": (0, 1)}))
    kinds = {"x": (0, 1), "g": ["p", "q"]}
    design.campaign(tmp_path / "g.journal", space=design.Space(kinds))
    with pytest.raises(InputError, match="words"):
        design.campaign(tmp_path / "g.journal", space=design.Space({**kinds, "g": ["p", "r"]}))


def test_bounds_may_change(problem, space, place):
    _filled(problem, space, place, 16)
    narrow = design.Space({"x": (0.2, 0.8), "y": (0, 1)}, constraints=["x + y <= 1.2"])
    found = _search(problem, narrow, place, 20)
    assert found.calls == 20
    assert narrow.allows(found.recipes).all()
    assert narrow.allows(found.trajectory.iloc[16:]).all()


def test_powders_told_are_kept_and_count_as_measured(problem, space, tmp_path):
    path = tmp_path / "c.journal"
    _filled(problem, space, path, 20)
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


def test_two_processes_write_one_campaign(space, place):
    one = design.campaign(place, space=space, seed=1)
    two = design.campaign(place)
    for k in range(6):
        (one, two)[k % 2].tell({"x": k / 10, "y": 0.5}, {"a": float(k)})
    one.refresh()
    assert [r.results["a"].mean for r in one.records] == list(range(6))
    assert [r.results["a"].mean for r in two.records] == list(range(6))
    assert len(design.campaign(place).records) == 6


def test_what_is_not_finite_or_outside_the_bounds_comes_back(space, place):
    kept = design.campaign(place, space=space)
    kept.tell({"x": np.float64(0.5), "y": np.int64(3)}, {"a": np.nan, "b": np.array([1.0, 2.0])})
    back = design.campaign(place).records[0]
    assert np.isnan(back.results["a"].mean)
    assert back.results["b"] == pytest.approx((1.5, 0.5, 2))
    assert back.conditions == {"x": 0.5, "y": 3}


def test_optuna_comes_only_with_a_campaign_and_says_nothing(tmp_path):
    code = (
        "import sys, morpholith.design as d; assert 'optuna' not in sys.modules;"
        "d.campaign(sys.argv[1], space=d.Space({'x': (0, 1)})).tell({'x': 1}, {'a': 1.0})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c.journal")], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stderr == done.stdout == ""
    assert sorted(os.listdir(tmp_path)) == ["c.journal"]
    assert all(json.loads(line) for line in (tmp_path / "c.journal").read_text().splitlines())
