"""Shared fixtures: where real data lie, and quiet threads."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data():
    """Return the folder of real micrographs, or skip where it is absent."""
    folder = Path(os.environ.get("MORPHOLITH_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real data not here: set MORPHOLITH_DATA to their folder")
    return folder
