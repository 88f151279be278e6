"""The table of a campaign: words, missing values, how images were taken, and cells that are mistakes."""

import numpy as np
import pytest
from PIL import Image

from morpholith.errors import InputError
from morpholith.generate import process_table
from morpholith.read import campaign


@pytest.fixture
def folder(tmp_path):
    for name in "abcdef":
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / f"{name}.png")
    return tmp_path


def _read(folder, *rows, beside=()):
    for name in "abcdef":
        if not any(row.startswith(f"{name}.png") for row in rows) and name not in beside:
            (folder / f"{name}.png").unlink()
    (folder / "campaign.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return campaign([folder / "campaign.csv"])


def test_words_and_missing_values_are_recipes_and_only_numbers_are_conditions(folder):
    plan = _read(
        folder,
        "image,condition,ph,atmosphere,cation,temp (°C)",
        "a.png,x,10,N2,Na,50",
        "b.png,x,10,N2,Na,50",
        "c.png,y,,air,NA,",
        "d.png,z,11,,K,n/a",
    )
    assert list(plan.recipes.columns) == ["ph", "atmosphere", "cation", "temp (°C)"]
    assert list(plan.recipes.index) == list(plan.conditions.index) == ["x", "y", "z"]
    assert plan.recipes.index.name == "condition"
    assert plan.recipes["atmosphere"].tolist() == ["N2", "air", None]
    assert plan.recipes["cation"].tolist() == ["Na", None, "K"]
    np.testing.assert_array_equal(plan.conditions["temp (°C)"], [50, np.nan, np.nan])
    assert list(plan.conditions.columns) == ["ph", "temp (°C)"]
    assert plan.warnings == ()


def test_magnification_and_lot_are_of_the_image(folder):
    plan = _read(
        folder,
        "image,condition,magnification,lot,ph",
        "a.png,x,3000,1,10",
        "b.png,x,15000x,2,10",
        "c.png,y,3000,,11",
    )
    assert list(plan.images.columns) == ["path", "condition", "magnification", "lot"]
    assert plan.images["magnification"].tolist() == ["3000", "15000x", "3000"]
    assert plan.images["lot"].tolist() == ["1", "2", None]
    assert list(plan.recipes.columns) == ["ph"]


def test_conditions_of_one_recipe_are_said(folder):
    plan = _read(
        folder,
        "image,condition,ph,atmosphere",
        "a.png,x,10,", "b.png,y,10,", "c.png,z,10,N2", "d.png,w,11,N2",
    )  # fmt: skip
    (said,) = plan.warnings
    assert "same recipe are kept apart: x = y; is a variable missing?" in said


def test_words_that_differ_within_a_condition_are_no_variable_and_said(folder):
    plan = _read(folder, "image,condition,ph,operator", "a.png,x,10,ann", "b.png,x,10,bob", "c.png,y,11,ann")
    assert list(plan.recipes.columns) == ["ph"]
    assert "column 'operator' has several words in one condition" in plan.warnings[0]


def test_without_a_condition_column_words_count_and_remarks_do_not(folder):
    plan = _read(
        folder,
        "image,ph,atmosphere,remark",
        "a.png,10,N2,good", "b.png,10,N2,a scratch", "c.png,10,air,dark", "d.png,11,air,dark again",
    )  # fmt: skip
    assert list(plan.conditions.index) == ["ph=10, atmosphere=N2", "ph=10, atmosphere=air", "ph=11, atmosphere=air"]
    assert list(plan.recipes.columns) == ["ph", "atmosphere"]


def test_an_empty_column_and_images_that_are_not_named_are_said(folder):
    plan = _read(folder, "image,condition,ph,spare", "a.png,x,10,", "b.png,y,11,NA", beside="def")
    assert list(plan.recipes.columns) == ["ph"]
    assert plan.warnings[0] == "campaign.csv: column 'spare' is empty and is left out."
    assert plan.warnings[1].startswith("3 image(s) beside those of campaign.csv are not named in it, first d.png")


def test_a_unicode_minus_a_byte_order_mark_and_none_among_numbers_are_read(folder):
    plan = _read(folder, "\ufeffimage,condition,T", "a.png,x,\u22125", "b.png,y,1e1", "c.png,z,none", "d.png,w,25")
    np.testing.assert_array_equal(plan.conditions["T"], [-5, 10, np.nan, 25])


def test_whole_numbers_stay_whole(folder):
    plan = _read(folder, "image,condition,rpm", "a.png,x,800", "b.png,y,900")
    assert plan.conditions["rpm"].dtype.kind == "i"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            ("image,condition,ph", "a.png,x,10", "b.png,y,1O", "c.png,z,11"),
            "row 3 of .* gives 'ph' as '1O', which is no",
        ),
        (("image,condition,ph", "a.png,x,10", 'b.png,y,"10,5"'), "row 3 .* with a comma; write decimals with a point"),
        (("image,condition,ph", 'a.png,x,"1,000"', 'b.png,y,"2,000"'), "row 2 .*'1,000', with a comma; .*thousands"),
        (("image;condition;ph", "a.png;x;10,5"), "separated by semicolons; save it as CSV with commas"),
        (("image,condition,ph", "a.png,x,10,5"), "saw 4; a number with a decimal comma counts as two columns"),
        (("image,condition,ph,ph", "a.png,x,10,11"), "two columns 'ph'"),
        (("image,condition,ph", "a.png,x,10", "a.png,y,11"), "names a.png twice, again in row 3"),
        (("image,condition,ph", "a.png,x,10", "b.png,x,"), "condition 'x' more than one value of 'ph'"),
        (("image,condition,ph", "a.png,x,10", "b.png,x,10.5"), "condition 'x' more than one value of 'ph'"),
        (("image,condition,ph", "a.png,x,10", ",y,11"), "row without an image .row 3.; fill or remove it"),
    ],
)
def test_a_mistake_in_the_table_is_explained(folder, rows, says):
    with pytest.raises(InputError, match=says):
        _read(folder, *rows)


def test_the_recipes_become_a_process_table(folder):
    plan = _read(
        folder,
        "image,condition,magnification,ph,atmosphere",
        "a.png,x,3000x,10,N2", "b.png,x,15000x,10,N2", "c.png,y,3000x,,air", "d.png,z,3000x,11,N2",
        "e.png,w,3000x,10,air",
    )  # fmt: skip
    table = process_table(plan)
    assert table.names == ("ph", "atmosphere")
    assert list(table.conditions.index) == ["x", "y", "z", "w"]
    np.testing.assert_array_equal(table.encode(plan.recipes)[:, 1], [0, 1, 0, 0])
