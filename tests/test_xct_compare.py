"""`morpholith xct compare` as a user runs it: two tomograms or a table in, expansion and a judged regression out."""

import json

import numpy as np
import pandas as pd
import pytest

from morpholith.cli import main
from morpholith.image import Image
from morpholith.read import write_tiff
from morpholith.specimens import Electrode, Tomograph, cycled, electrode, tomogram

SPACING = (0.55, 0.5, 0.5)
PARAMETERS = Electrode(size_um=(40.0, 44.0, 48.0), d50_um=8.0, geometric_sd=1.2, solid=0.42, binder=0.0, overlap=0.02)

# Table 2 of J. Mater. Chem. A 14 (2026) 1063
TABLE = """electrode,porosity,tortuosity,expansion
Dry coated 1,0.49,2.653,0.07
Dry coated 2,0.46,2.743,0.05
Dry coated 3,0.51,2.623,0.08
DIT,0.85,1.236,0.26
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An electrode before and after cycling on disk, compared once."""
    folder = tmp_path_factory.mktemp("pair")
    before = electrode(PARAMETERS, rng=5)
    after = cycled(
        before, expansion=0.1, expansion_sd=0.02, rotation_deg=1.5, shift_um=(0.8, -0.6, 0.4), lost=0.02, rng=6
    )
    for name, packing, seed in (("before", before, 1), ("after", after, 2)):
        grey = tomogram(packing, Tomograph.of("easy", spacing=SPACING), rng=seed)
        write_tiff(folder / f"{name}.tif", Image(grey, "zyx", SPACING))
    out = folder / "out"
    line = ["xct", "compare", str(folder / "before.tif"), str(folder / "after.tif"), "--out", str(out)]
    assert main(line) == 0
    return folder, out, after


def test_the_contract_is_kept_and_the_expansion_is_met(pair):
    _, out, after = pair
    summary = json.loads((out / "summary.json").read_text())
    for key in ("expansion_matched", "expansion_population", "n_matched"):
        assert set(summary[key]) == {"value", "low", "high", "level", "n", "unit", "method"}
    table = after.particles
    truth = np.average(table["expansion"].dropna(), weights=table.loc[table["expansion"].notna(), "volume_um3"])
    q = summary["expansion_matched"]
    assert q["value"] == pytest.approx(truth, abs=0.025)
    assert q["low"] <= truth <= q["high"]
    assert summary["n_matched"]["value"] >= 15
    width = [summary[k]["high"] - summary[k]["low"] for k in ("expansion_matched", "expansion_population")]
    assert width[1] > width[0]  # one to one is sharper than two populations
    assert summary["rotation_deg"]["value"] == pytest.approx(1.5, abs=0.4)


def test_tables_pictures_and_the_registered_volume_are_there(pair):
    _, out, _ = pair
    expansions = pd.read_csv(out / "expansion.csv")
    matches = pd.read_csv(out / "matches.csv")
    assert {"expansion", "low", "high"} <= set(expansions.columns)
    assert (matches["status"] == "matched").sum() == len(expansions)
    for name in ("who_is_who", "expansion", "size_shift", "grey_levels"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 5000
    assert (out / "cycled_registered.zarr").is_dir()


def test_volumes_of_other_places_are_refused(pair, tmp_path, capsys):
    other = electrode(PARAMETERS, rng=77)
    grey = tomogram(other, Tomograph.of("easy", spacing=SPACING), rng=7)
    write_tiff(tmp_path / "other.tif", Image(grey, "zyx", SPACING))
    line = ["xct", "compare", str(pair[0] / "before.tif"), str(tmp_path / "other.tif"), "--out", str(tmp_path / "o")]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert "same place" in said or "correlat" in said
    assert not (tmp_path / "o").exists()


def test_the_regression_of_the_paper_is_judged(tmp_path):
    (tmp_path / "electrodes.csv").write_text(TABLE)
    out = tmp_path / "out"
    equation = "expansion = -0.0491 + 0.7286 * porosity - 0.0902 * tortuosity"
    line = ["xct", "compare", "--table", str(tmp_path / "electrodes.csv"), "--equation", equation, "--out", str(out)]
    assert main(line) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["coefficient_intercept"]["value"] == pytest.approx(-0.364, abs=0.001)
    assert summary["coefficient_porosity"]["value"] == pytest.approx(0.680, abs=0.001)
    assert summary["coefficient_tortuosity"]["value"] == pytest.approx(0.037, abs=0.001)
    assert summary["coefficient_tortuosity"]["low"] < 0 < summary["coefficient_tortuosity"]["high"]
    assert summary["regression_r2"]["value"] == pytest.approx(0.9998, abs=5e-5)
    assert summary["given_equation_r2"]["value"] == pytest.approx(-0.39, abs=0.01)
    said = " ".join(summary["warnings"]).lower()
    assert "identify" in said
    assert (out / "figures" / "regression.png").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--table"),
        (["t.csv"], "only one"),
        (["a.tif", "b.tif"], "a.tif"),
        (["--table", "nothing.csv"], "nothing.csv"),
        (["--table", "t.csv", "--target", "colour"], "colour"),
    ],
)
def test_bad_input_is_one_sentence(arguments, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    assert main(["xct", "compare", *arguments, "--out", "o"]) == 2
    assert word in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
