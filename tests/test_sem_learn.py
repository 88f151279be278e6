"""`sem learn` from a campaign's table to a tested model: at toy size, whose network has learnt nothing."""

import json

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from morpholith import generate, results  # noqa: E402
from morpholith.errors import InputError  # noqa: E402
from morpholith.nets import micrograph_flow  # noqa: E402
from morpholith.read import write_tiff  # noqa: E402
from morpholith.specimens import lot_micrographs, reactor_design, synthesise  # noqa: E402
from morpholith.workflows import _sem_learn_proof, sem_learn  # noqa: E402

VARIABLES = ["ph", "naoh", "nh4oh", "time_min", "stirring_rpm", "atmosphere"]
TOY = {"base_steps": 1, "steps": 2, "draws": 3}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    from morpholith.image import Image

    folder = tmp_path_factory.mktemp("campaign")
    recipes = reactor_design(9, rng=1).drop(columns="part", errors="ignore")
    rows = []
    for lot in synthesise(recipes, rng=2):
        for magnification in (3000.0, 15000.0):
            for k, (grey, field) in enumerate(
                lot_micrographs(lot, magnification=magnification, images=1, width=384, rng=3)
            ):
                name = f"{lot.condition}_{magnification:.0f}_{k}.tif"
                write_tiff(folder / name, Image(grey, "yx", field.spacing))
                rows.append(
                    {"image": name, "condition": lot.condition, "magnification": f"{magnification:.0f}x", **lot.recipe}
                )
    path = folder / "campaign.csv"
    pd.DataFrame(rows)[["image", "condition", "magnification", *VARIABLES]].to_csv(path, index=False)
    return path


@pytest.fixture
def _quick(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(micrograph_flow, "STEPS", 1)
    monkeypatch.setattr(_sem_learn_proof, "ALONG", 2)
    monkeypatch.setattr(_sem_learn_proof, "ACROSS", 2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_quick")
@pytest.mark.filterwarnings("ignore::morpholith.errors.InputWarning")
def test_a_campaign_becomes_a_model_that_predict_and_design_can_read(campaign, tmp_path):
    result = sem_learn.learn(campaign, work=str(tmp_path / "work"), seed=4, **TOY)
    results.write(result, tmp_path / "out", command="sem learn", options={})
    model = generate.load_micrographs(tmp_path / "out")
    assert model.table.names == tuple(VARIABLES)
    assert [v.name for v in model.views] == ["3000x", "15000x"]
    assert set(model.left_out.columns) >= {"d50_um", "d50_um_drawn", "d50_um_gp", "texture_mean_gp_sd"}
    assert len(model.left_out) == 9
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["n_conditions"]["value"] == 9
    assert summary["n_images"]["value"] == 18
    assert summary["r2_d50_um"]["value"] is None or summary["r2_d50_um"]["value"] < 0.9
    assert any("not predicted for conditions left out" in w or "train it longer" in w for w in summary["warnings"])
    assert np.isfinite(model.measured["d50_um"]).all()
    assert {"left_out", "real_and_drawn", "memorisation"} <= set(result.figures)

    # the same again finds its checkpoints and its draws, and trains nothing
    def never(*_, **__):
        raise AssertionError("drawn again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sem_learn_proof, "describe_drawn", never)
        again = sem_learn.learn(campaign, work=str(tmp_path / "work"), seed=4, **TOY)
    pd.testing.assert_frame_equal(again.tables["left_out"], result.tables["left_out"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "--steps must be 1 or more"),
        ({"draws": 2}, "--draws must be 3 or more"),
        ({"base": "somewhere"}, "--base is a latent diffusion model"),
        ({"workers": 2, "method": "diffusers"}, "--workers shares the training of --method flow"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_read(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        sem_learn.learn(tmp_path / "none.csv", **options)


def test_a_folder_is_no_campaign(tmp_path):
    with pytest.raises(InputError, match="is no table; give a CSV file"):
        sem_learn.learn(tmp_path)


def test_folds_and_scans_that_cannot_be_are_refused_before_training(campaign):
    with pytest.raises(InputError, match="9 conditions can be left out in 3 to 9 folds"):
        sem_learn.learn(campaign, folds=20)
    with pytest.raises(InputError, match="--scan takes one or two of ph, naoh"):
        sem_learn.learn(campaign, scan=["atmosphere"], folds=0)
