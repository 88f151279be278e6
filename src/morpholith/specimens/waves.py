"""Smooth random fields known at every point: sums of waves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

N_WAVES = 48


@dataclass(frozen=True)
class Waves:
    """A Gaussian-like field of `c` independent components, of mean 0 and variance 1.

    The covariance at a distance d is exp(-d^2 / (2 l^2)) with l the length it was drawn with.

    Parameters
    ----------
    vectors : (c, w, 3) array
        Wave vectors in rad / um.
    phases : (c, w) array
    """

    vectors: np.ndarray
    phases: np.ndarray

    @classmethod
    def drawn(cls, components: int, length_um: float, *, rng: np.random.Generator) -> Waves:
        """Draw the waves of a field that changes over `length_um`."""
        vectors = rng.standard_normal((components, N_WAVES, 3)) / length_um
        return cls(vectors, rng.uniform(0, 2 * np.pi, (components, N_WAVES)))

    def at(self, points: np.ndarray) -> np.ndarray:
        """Values (..., c) at points (..., 3)."""
        points = np.asarray(points, float)
        out = np.empty((*points.shape[:-1], len(self.vectors)))
        for c, (vectors, phases) in enumerate(zip(self.vectors, self.phases, strict=True)):
            out[..., c] = np.cos(points @ vectors.T + phases).sum(-1)
        return out * np.sqrt(2 / N_WAVES)

    def on_grid(self, z: float, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Values (ny, nx, c) at the points of a plane of height z: the same as `at`, by products along the axes."""
        from ._grain_raster import sum_of_waves  # no BLAS: its threads cost more than so small a product

        out = np.empty((len(y), len(x), len(self.vectors)))
        for c, (k, phases) in enumerate(zip(self.vectors, self.phases, strict=True)):
            along_y, along_x = np.outer(y, k[:, 1]) + k[:, 0] * z + phases, np.outer(x, k[:, 2])
            out[..., c] = sum_of_waves(np.cos(along_y), np.sin(along_y), np.cos(along_x), np.sin(along_x))
        return out * np.sqrt(2 / N_WAVES)

    def turned(self, rotation: np.ndarray) -> Waves:
        """The field seen in a turned frame, in which a point p has the coordinates `rotation` @ p."""
        return Waves(self.vectors @ rotation.T, self.phases)
