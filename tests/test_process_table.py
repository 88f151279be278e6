"""A campaign's recipes as vectors: ranges, log scales, words, missing values, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpholith.design import Categorical, Continuous, Integer, training_distance
from morpholith.errors import InputError, InputWarning
from morpholith.generate import ProcessTable, process_table, process_table_from_json

TIMES = [15, 30, 60, 120, 240, 480, 960, 1440]


def _conditions(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.Index([f"c{i + 1}" for i in range(n)], name="condition"))


def _reactor():
    return _conditions(
        ph=[10.0, 10.5, 11.0, 10.0, np.nan, 10.5, 11.0, 10.25],
        time_min=TIMES,
        atmosphere=["N2", "air", "O2", "N2", None, "air", "O2", "N2"],
    )


@pytest.fixture
def table():
    return process_table(_reactor())


def test_variables_know_their_kind_range_and_scale(table):
    ph, time, atmosphere = table.variables
    assert (ph.kind, ph.log, ph.low, ph.high) == ("number", False, 10.0, 11.0)
    assert (time.kind, time.log, time.low, time.high) == ("number", True, 15.0, 1440.0)
    assert (atmosphere.kind, atmosphere.words) == ("category", ("N2", "O2", "air"))
    assert table.names == ("ph", "time_min", "atmosphere")
    assert str(time) == "time_min: 15 to 1440 (log scale)"
    assert table.width == 8 == len(table.columns)
    assert table.columns[-2:] == ("atmosphere = air", "atmosphere missing")


@pytest.mark.parametrize(("values", "log"), [([1, 8], True), ([1, 7.9], False), ([0, 100], False), ([-100, -1], False)])
def test_a_log_scale_needs_positive_values_a_factor_of_8_apart(values, log):
    assert process_table(_conditions(x=values)).variable("x").log is log


def test_a_code_is_scaled_one_hot_and_flagged(table):
    middle = np.sqrt(15 * 1440)
    rows = [
        {"ph": 10.0, "time_min": 15, "atmosphere": "N2"},
        {"ph": 11.5, "time_min": middle, "atmosphere": "air"},
        {"ph": np.nan, "time_min": None, "atmosphere": None},
    ]
    expected = [
        [-1, 0, -1, 0, 1, 0, 0, 0],
        [2, 0, 0, 0, 0, 0, 1, 0],
        [0, 1, 0, 1, 0, 0, 0, 1],
    ]
    codes = table.encode(rows)
    np.testing.assert_allclose(codes, expected, atol=1e-12)
    assert np.array_equal(table.encode(pd.DataFrame(rows)), codes)


def test_an_absent_key_is_missing_and_others_are_not_looked_at(table):
    short = table.encode([{"ph": 10.5, "d50_um": 6.0}])
    assert np.array_equal(short, table.encode([{"ph": 10.5, "time_min": np.nan, "atmosphere": pd.NA}]))
    assert table.encode([]).shape == (0, 8)
    with pytest.raises(InputError, match="none of the process variables"):
        table.encode([{"temperature": 60}])


def test_training_conditions_are_within_their_range(table):
    codes = table.encode(table.conditions)
    assert codes.min() == -1
    assert codes.max() == 1
    flags = codes[:, [1, 3, 7]]
    assert flags.sum(axis=0).tolist() == [1, 0, 1]
    assert (flags[4] == [1, 0, 1]).all()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"ph": "ten"}, "'ph' is 'ten', which is no finite number"),
        ({"ph": "10,5"}, "'10,5', with a comma; write decimals with a point"),
        ({"ph": np.inf}, "'ph' .*finite number"),
        ({"time_min": 0}, "logarithm, as its training values reach from 15 to 1440; it must be above 0, got 0"),
        ({"atmosphere": "argon"}, "trained words N2, O2, air; got 'argon'"),
    ],
)
def test_a_value_that_cannot_be_coded_is_refused(table, row, says):
    with pytest.raises(InputError, match=says):
        table.encode([{"ph": 10.0}, row])
    with pytest.raises(InputError, match=says):
        table.check({"ph": 10.0, "time_min": 30, "atmosphere": "N2"} | row)


def test_check_returns_every_variable_and_says_what_is_missing(table):
    whole = table.check({"atmosphere": "n2", "ph": " 10.5", "time_min": "+3e1"})
    assert whole == {"ph": 10.5, "time_min": 30.0, "atmosphere": "N2"}
    assert list(whole) == list(table.names)
    with pytest.warns(InputWarning, match="time_min, atmosphere not given: the model takes them as unknown"):
        part = table.check({"ph": 12})
    assert part["ph"] == 12.0
    assert np.isnan(part["time_min"])
    assert part["atmosphere"] is None
    with pytest.raises(InputError, match="'temp' is no process variable of this model; it knows ph, time_min"):
        table.check({"temp": 60})
    with pytest.raises(InputError, match="no process variable; give one or more"):
        table.check({})


def test_columns_that_teach_nothing_are_dropped_and_said():
    given = _reactor().assign(stirring=800, reactor="A", spare=np.nan, half=[1.0, np.nan] * 4)
    with pytest.warns(InputWarning) as said:
        table = process_table(given)
    assert table.names == ("ph", "time_min", "atmosphere")
    assert dict(table.constants) == {"stirring": 800.0, "reactor": "A"}
    assert len(said) == len(table.notes) == 4
    assert "'stirring' is 800 in every condition" in table.notes[0]
    assert "no value" in table.notes[2]
    full = {"ph": 10.0, "time_min": 20, "atmosphere": "air"}
    assert table.check(full | {"stirring": "800", "reactor": "a"}) == full
    with pytest.raises(InputError, match="stirring was 800 in every training condition.*what 900 does"):
        table.check(full | {"stirring": 900})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"ph": ["10", "10.5", "1O", "11"]}, "'ph' of condition 'c3' is '1O', which is no finite number where most"),
        ({"ph": ["10", "10,5", "11", "11"]}, "'ph' of condition 'c2' is '10,5', with a comma; write decimals"),
        ({"ph": ["10,0", "10,5", "11,0"]}, "condition 'c1' is '10,0', with a comma"),
        ({"ph": [10, 10.5, np.inf]}, "'ph' of condition 'c3' is 'inf'"),
        ({"day": ["2024-03-01", "2024-03-02", "2024-03-05"]}, "3 different words in 3 conditions .*words that repeat"),
        ({"note": ["a", "b", "c", "d", "e", "e", "e"]}, "5 different words in 7 conditions"),
        ({"x": [1, 1, 1]}, "no column varies"),
        ({"x": [np.nan, 1, 2], "w": [None, "a", "a"]}, "condition 'c1' has no value of any process variable"),
    ],
)
@pytest.mark.filterwarnings("ignore::morpholith.errors.InputWarning")
def test_a_table_that_cannot_be_learnt_from_is_refused(columns, says):
    with pytest.raises(InputError, match=says):
        process_table(_conditions(**columns))


def test_names_that_are_there_twice_and_empty_tables_are_refused():
    twice = _reactor()
    twice.index = ["c1"] * len(twice)
    with pytest.raises(InputError, match="condition 'c1' is there twice"):
        process_table(twice)
    with pytest.raises(InputError, match="no process variable; give a campaign table"):
        process_table(_reactor()[[]])
    with pytest.raises(InputError, match="table of conditions is empty"):
        process_table(_reactor().iloc[:0])


def test_booleans_text_numbers_and_a_unicode_minus_are_read():
    table = process_table(_conditions(seeded=[True, False, True, True], **{"T (°C)": ["\u22125", "0", "1e1", " 25 "]}))
    assert table.variable("seeded").words == ("False", "True")
    assert (table.variable("T (°C)").low, table.variable("T (°C)").high) == (-5.0, 25.0)
    assert table.check({"seeded": True, "T (°C)": "\u22122"}) == {"seeded": "True", "T (°C)": -2.0}
    assert table.encode([{"seeded": False, "T (°C)": 25}]).tolist() == [[1, 0, 0, 1, 0]]


def test_the_file_gives_back_the_same_table_and_codes(table):
    text = json.dumps(table.to_json(), allow_nan=False)
    again = process_table_from_json(json.loads(text))
    assert again == table
    assert hash(again) == hash(table)
    assert json.dumps(again.to_json(), allow_nan=False) == text
    pd.testing.assert_frame_equal(again.conditions, table.conditions)
    assert again.conditions["atmosphere"].tolist() == ["N2", "air", "O2", "N2", None, "air", "O2", "N2"]
    assert again.conditions["ph"].dtype == float
    assert again.encode(again.conditions).tobytes() == table.encode(_reactor()).tobytes()
    assert table != process_table(_reactor().assign(time_min=TIMES[::-1]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=12).filter(lambda x: max(x) - min(x) > 1e-3))
def test_any_numbers_are_scaled_in_order_and_kept_exactly(values):
    table = process_table(_conditions(x=values))
    again = process_table_from_json(json.loads(json.dumps(table.to_json())))
    code = again.encode(table.conditions)[:, 0]
    assert code.tobytes() == table.encode([{"x": x} for x in values])[:, 0].tobytes()
    assert code.min() == -1
    assert abs(code.max() - 1) < 1e-12
    assert (np.diff(code[np.argsort(values)]) >= 0).all()


def test_many_recipes_are_coded_fast_and_one_by_one_alike(table):
    rng = np.random.default_rng(0)
    many = table.space().draw(500, rng=rng)
    together = table.encode(many)
    one_by_one = np.concatenate([table.encode([row]) for row in many.to_dict("records")])
    assert together.tobytes() == one_by_one.tobytes()


def test_the_space_is_the_training_range_and_its_distance_works(table):
    space = table.space()
    assert space.conditions == {
        "ph": Continuous(10.0, 11.0),
        "time_min": Continuous(15.0, 1440.0, log=True),
        "atmosphere": Categorical(("N2", "O2", "air")),
    }
    recipes = space.draw(5, rng=np.random.default_rng(1))
    found = training_distance(recipes, table.conditions, space=space)
    assert found["training_distance"].between(0, 1).all()
    assert (found["beyond"] == "").all()
    code = table.encode(recipes)
    np.testing.assert_allclose(code[:, 2], 2 * space.unit(space.encode(recipes))[:, 1] - 1, atol=1e-12)


def test_a_space_can_be_fixed_bounded_and_whole(table):
    space = table.space(
        fixed={"ph": 11.5}, bounds={"atmosphere": ["N2", "air"], "time_min": (20, 100)}, whole=["time_min"]
    )
    assert space.fixed == {"ph": 11.5}
    assert space.conditions["ph"] == Continuous(10.0, 11.5)
    assert space.conditions["time_min"] == Integer(20, 100)
    assert space.conditions["atmosphere"] == Categorical(("N2", "air"))
    held = table.space(bounds={"ph": (10.5, 10.5), "atmosphere": ["air"]})
    assert held.fixed == {"ph": 10.5, "atmosphere": "air"}
    assert held.names == ("time_min",)
    without = table.space(fixed={"atmosphere": None}, constraints=["time_min <= 100"])
    assert list(without.conditions) == ["ph", "time_min"]
    recipe = without.draw(1, rng=np.random.default_rng(0))
    assert recipe["time_min"][0] <= 100
    assert table.encode(recipe)[0, -1] == 1


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"fixed": {"temp": 3}}, "`fixed` names 'temp', but the model's variables are ph"),
        ({"fixed": {"ph": 10}, "bounds": {"ph": (10, 11)}}, "both fixed and bounded"),
        ({"bounds": {"atmosphere": ["argon"]}}, "one or more of the trained words"),
        ({"fixed": {"atmosphere": "argon"}}, "one or more of the trained words.*'argon'"),
        ({"bounds": {"ph": 10}}, "must be \\(low, high\\)"),
        ({"bounds": {"ph": ("a", 10)}}, "must be a number"),
        ({"whole": ["atmosphere"]}, "cannot be a whole number"),
        ({"whole": ["ph"], "bounds": {"ph": (10, 10.5)}}, "no whole numbers"),
        ({"bounds": {"time_min": (0, 100)}}, "log scale"),
        ({"bounds": {"ph": (11, 10)}}, "low < high"),
    ],
)
def test_a_wrong_space_is_explained(table, keywords, says):
    with pytest.raises(InputError, match=says):
        table.space(**keywords)


def test_a_variable_that_is_asked_for_by_a_wrong_name_is_explained(table):
    assert isinstance(table, ProcessTable)
    with pytest.raises(InputError, match="it knows ph"):
        table.variable("pH")
