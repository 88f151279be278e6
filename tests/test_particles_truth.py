"""The truth test of particles at toy size: hidden grains, sections, and what is learnt beside the truth."""

import importlib.util
from pathlib import Path


def test_the_bench_runs_at_toy_size(capsys, tmp_path):
    path = Path(__file__).resolve().parents[1] / "bench" / "bench_particles_truth.py"
    spec = importlib.util.spec_from_file_location("bench_particles_truth", path)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    table = bench.main(["--toy", "--results", str(tmp_path)])
    assert "within" in capsys.readouterr().out
    assert table["truth"].notna().all()
    assert (tmp_path / "particles_truth.csv").exists()
    assert set(table["quantity"]) >= {"diameter_um_d50", "radial_ratio_q50", "alpha_long_deg_q50"}
    needles = table.set_index("quantity")["truth"]
    assert needles["radial_ratio_q50"] > 1.5  # the hidden grains are needles
