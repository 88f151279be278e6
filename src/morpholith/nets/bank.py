"""Virtual specimens on disk, drawn once and kept for the training of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np


class Bank(ABC):
    """A folder of virtual specimens, one a seed.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    n : int
        Specimens to learn from.
    """

    def __init__(self, folder: Path, n: int):
        self.folder, self.n = Path(folder), n
        self.folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    @abstractmethod
    def draw(seed: int) -> dict[str, np.ndarray]:
        """Return the arrays of one specimen."""

    def fill(self, seeds: Iterable[int]) -> None:
        """Draw the specimens of these seeds that are not there yet; a stop on the way leaves none that looks whole."""
        for seed in seeds:
            path = self.folder / f"{seed}.npz"
            if not path.exists():
                part = path.with_suffix(".part.npz")
                np.savez(part, **self.draw(seed))  # type: ignore[arg-type]
                part.replace(path)
