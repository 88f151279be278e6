"""Every example runs, and says what its page promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


SAYS = {
    "01_measure_a_powder.py": "d50_um",
    "02_judge_a_method.py": "learned",
    "03_measure_an_electrode.py": "extrapolated to vanishing voxels",
    "04_judge_a_regression.py": "identify",
    "05_follow_a_working_electrode.py": "error against the truth",
    "06_map_oxidation_states.py": "shift of the energy axis",
    "07_build_a_particle.py": "tetrahedra in particle.vtu",
    "08_design_a_recipe.py": "round 2: reached",
}


@pytest.mark.parametrize(("name", "says"), SAYS.items())
def test_example_runs(name, says, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert says in done.stdout


def test_no_example_is_forgotten():
    assert sorted(p.name for p in EXAMPLES.glob("*.py")) == list(SAYS)
