"""The measure stage's benchmark scripts run, at toy size, so that they cannot rot."""

import runpy
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.mark.parametrize("name", ["bench_circularity", "bench_texture", "bench_size_coverage"])
def test_bench_runs_as_a_toy(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--toy"])
    runpy.run_path(str(BENCH / f"{name}.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert out.startswith("python ")
    assert "CPU time" in out
    assert "nan" not in out
