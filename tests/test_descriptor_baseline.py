"""A Gaussian process from conditions to descriptors, each condition predicted from the others."""

import numpy as np
import pandas as pd
import pytest

from morpholith.errors import InputError
from morpholith.generate import baseline_left_out, descriptor_baseline, process_table


def campaign(n=18, seed=0, noise=0.02):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {"ph": rng.uniform(10, 11, n), "time_min": 10 ** rng.uniform(1, 3, n), "gas": rng.choice(["N2", "O2"], n)},
        index=pd.Index([f"c{k:02d}" for k in range(n)], name="condition"),
    )
    value = truth(rows)
    measured = pd.DataFrame({"size": value + noise * rng.standard_normal(n), "size_se": noise, "junk": rng.random(n)})
    return rows, measured.set_index(rows.index)


def truth(rows):
    return 5 + 2 * (rows["ph"] - 10.5) + np.log10(rows["time_min"]) - 1.5 * (rows["gas"] == "O2")


def test_left_out_conditions_are_predicted_and_noise_is_not():
    rows, measured = campaign()
    steps = []
    found = baseline_left_out(process_table(rows), measured, ["size", "junk"], on_step=lambda *s: steps.append(s))
    off = found["size_gp"] - truth(rows)
    assert np.sqrt(np.mean(off**2)) < 0.1 * truth(rows).std()
    assert 0.5 < (off / found["size_gp_sd"]).std() < 2.0
    junk = measured["junk"]
    assert 1 - np.mean((found["junk_gp"] - junk) ** 2) / junk.var(ddof=0) < 0.3
    assert steps[-1] == (36, 36)
    assert list(found.index) == list(rows.index)


def test_nothing_of_the_condition_itself_is_in_its_prediction():
    rows, measured = campaign(n=12)
    changed = measured.copy()
    changed.loc["c05", "size"] = 40.0
    table = process_table(rows)
    one, two = (baseline_left_out(table, m, ["size"], conditions=["c05", "c06"]) for m in (measured, changed))
    assert one.loc["c05", "size_gp"] == two.loc["c05", "size_gp"]
    assert one.loc["c06", "size_gp"] != two.loc["c06", "size_gp"]


def test_new_recipes_are_predicted_and_uncertain_far_away():
    rows, measured = campaign()
    asked = [{"ph": 10.5, "time_min": 100.0, "gas": "N2"}, {"ph": 13.0, "time_min": 100.0, "gas": "N2"}]
    found = descriptor_baseline(process_table(rows), measured, ["size"], asked)
    assert found["size_gp"].iloc[0] == pytest.approx(7.0, abs=0.1)
    assert found["size_gp_sd"].iloc[1] > 3 * found["size_gp_sd"].iloc[0]


def test_missing_values_and_conditions_without_a_value():
    rows, measured = campaign(n=24)
    offset = np.where(np.arange(24) % 3 == 0, 4.0, 0.0)  # those without a pH are another series
    rows.loc[offset > 0, "ph"] = np.nan
    measured["size"] = np.where(offset > 0, 5 + np.log10(rows["time_min"]) - 1.5 * (rows["gas"] == "O2"), 0) + np.where(
        offset > 0, offset, measured["size"]
    )
    measured.loc["c07", "size"] = np.nan
    found = baseline_left_out(process_table(rows), measured, ["size"])
    off = (found["size_gp"] - measured["size"]).drop("c07")
    assert np.sqrt(np.mean(off**2)) < 0.5  # the missing pH is itself told to the process: 4 um apart
    assert np.isfinite(found.loc["c07", "size_gp"])


def test_too_few_conditions_give_nan_and_bad_tables_are_refused():
    rows, measured = campaign(n=5)
    table = process_table(rows)
    assert baseline_left_out(table, measured, ["size"])["size_gp"].isna().all()
    with pytest.raises(InputError, match="'d50_um' was not measured"):
        baseline_left_out(table, measured, ["d50_um"])
    with pytest.raises(InputError, match="'c99' was not measured"):
        baseline_left_out(table, measured, ["size"], conditions=["c99"])
    with pytest.raises(InputError, match="table of conditions does not have it"):
        descriptor_baseline(table, measured.rename(index={"c01": "other"}), ["size"], [])
