"""Files are one sample, folders are conditions, a table is a campaign."""

import numpy as np
import pytest
from PIL import Image

from morpholith.errors import InputError
from morpholith.read import campaign


@pytest.fixture
def tree(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a/1.png", "a/2.png", "b/1.png", "loose.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 30), dtype=np.uint8)).save(path)
    return tmp_path


def _table(tree, text):
    (tree / "campaign.csv").write_text(text)
    return campaign([tree / "campaign.csv"])


def test_files_are_one_sample(tree):
    plan = campaign([tree / "a/1.png", tree / "loose.png"])
    assert list(plan.images.condition) == ["sample", "sample"]
    assert list(plan.conditions.index) == ["sample"]
    assert plan.conditions.shape[1] == 0


def test_folders_are_conditions(tree):
    (tree / "loose.png").unlink()
    for paths in ([tree], [tree / "a", tree / "b"]):
        plan = campaign(paths)
        assert list(plan.images.condition) == ["a", "a", "b"]


def test_one_folder_of_images_is_one_sample(tree):
    assert list(campaign([tree / "a"]).conditions.index) == ["a"]


def test_a_table_gives_conditions_and_variables(tree):
    plan = _table(tree, "image,condition,ph,operator\na/1.png,x,10,ann\na/2.png,x,10,bob\nb/1.png,y,11,ann\n")
    assert list(plan.images.condition) == ["x", "x", "y"]
    assert plan.conditions.ph.to_dict() == {"x": 10, "y": 11}
    assert list(plan.conditions.columns) == ["ph"]
    assert plan.source == (tree / "campaign.csv",)


def test_without_a_condition_column_equal_variables_are_one(tree):
    plan = _table(tree, "image,ph\na/1.png,10\na/2.png,10\nb/1.png,11\n")
    assert list(plan.conditions.index) == ["ph=10", "ph=11"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("picture,ph\na/1.png,10\n", "needs a column `image`"),
        ("image,ph\n", "at least one row"),
        ("", "not a readable CSV"),
        ("image\nnowhere.png\n", "not there, first .*nowhere.png"),
        ("image,condition,ph\na/1.png,x,10\na/2.png,x,11\n", "more than one value of 'ph'"),
        ("image,condition\na/1.png,x\n,y\n", "row 3"),
        ("image,condition\na/1.png,x\na/2.png,\n", "without a condition"),
    ],
)
def test_a_wrong_table_is_explained(tree, text, says):
    with pytest.raises(InputError, match=says):
        _table(tree, text)


def test_mixtures_and_missing_paths_are_refused(tree):
    with pytest.raises(InputError, match="not both"):
        campaign([tree / "loose.png", tree / "a"])
    with pytest.raises(InputError, match="does not exist"):
        campaign([tree / "no"])
    with pytest.raises(InputError, match="no image"):
        campaign([])
