"""The instrument that maps the crystal orientations of a virtual section."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .. import _checks
from ..errors import InputError
from .crystals import ROCK_SALT, Crystal, bunge, turned_a_little
from .cuts import VirtualSection

DIFFICULTIES = ("exact", "clean", "typical", "hard")
TRUSTED = 0.1  # confidence index that right solutions keep above and wrong ones below


@dataclass(frozen=True)
class EbsdScope:
    """How an orientation map is taken.

    Parameters
    ----------
    noise_deg : float
        Standard deviation of each of the three components of the error of an orientation.
    boundary_loss : float
        Share of the points beside another grain, or beside the surroundings, that are not indexed.
    loss : float
        The same elsewhere inside.
    mixed : float
        Share of the points beside another grain that are given that grain's orientation.
    wild : float
        Share of the points inside with a solution at random.
    wild_outside : float
        The same outside the particle, where nothing is to be indexed.
    confidence : float
        Mean confidence index away from boundaries; 0 makes it 0 everywhere, as files do that lost it.
    second_phase : float
        Share of the grains that are rock salt.
    """

    noise_deg: float = 0.4
    boundary_loss: float = 0.3
    loss: float = 0.01
    mixed: float = 0.1
    wild: float = 0.005
    wild_outside: float = 0.15
    confidence: float = 0.6
    second_phase: float = 0.0

    def __post_init__(self):
        if not 0 <= self.noise_deg <= 20:
            raise InputError(f"`noise_deg` must lie between 0 and 20, got {self.noise_deg!r}.")
        for name in ("boundary_loss", "loss", "mixed", "wild", "wild_outside", "confidence", "second_phase"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{name}` is a share, 0 to 1; got {getattr(self, name)!r}.")
        if self.loss + self.wild > 1 or self.boundary_loss + self.mixed + self.wild > 1:
            raise InputError("the shares of lost, mixed and wild points exceed 1 together.")

    @classmethod
    def of(cls, difficulty: str, **changes) -> EbsdScope:
        """Return an instrument of a stated difficulty.

        Parameters
        ----------
        difficulty : {"exact", "clean", "typical", "hard"}
            Exact sees the truth; clean loses a tenth of the boundary points; typical a third, with wild solutions
            around the particle; hard half of them, with more noise and a twentieth of the inside.
        **changes
            Fields that differ from the preset.
        """
        _checks.choice(difficulty, DIFFICULTIES, name="difficulty")
        preset: dict = {
            "exact": {"noise_deg": 0.0, "boundary_loss": 0.0, "loss": 0.0, "mixed": 0.0, "wild": 0.0,
                      "wild_outside": 0.0, "confidence": 0.9},
            "clean": {"noise_deg": 0.2, "boundary_loss": 0.1, "loss": 0.0, "mixed": 0.0, "wild": 0.0,
                      "wild_outside": 0.0, "confidence": 0.75},
            "typical": {},
            "hard": {"noise_deg": 0.9, "boundary_loss": 0.5, "loss": 0.05, "mixed": 0.15, "wild": 0.03,
                     "wild_outside": 0.4, "confidence": 0.35},
        }[difficulty]  # fmt: skip
        return replace(cls(), **{**preset, **changes})


def orientation_map(
    section: VirtualSection, scope: EbsdScope, *, rng: np.random.Generator | int, second: Crystal = ROCK_SALT
) -> VirtualSection:
    """Map a section.

    Parameters
    ----------
    section : VirtualSection
        As it is cut: without error.
    scope : EbsdScope
    rng : Generator or int
    second : Crystal
        What grains of the second phase are.

    Returns
    -------
    VirtualSection
        `labels` and `inside` are the truth still; `euler_rad`, `phase`, `confidence` and `quality` are measured. Points
        that are not indexed have NaN angles, phase 0 and a confidence of -1.
    """
    rng = np.random.default_rng(rng)
    shape, n = section.shape, int(section.labels.max(initial=0))
    beside, other = _beside(section.labels, rng)
    lot = rng.uniform(size=shape)
    edge = section.inside & beside
    bulk = section.inside & ~beside
    lost = (edge & (lot < scope.boundary_loss)) | (bulk & (lot < scope.loss))
    swapped = edge & (other > 0) & (lot >= scope.boundary_loss) & (lot < scope.boundary_loss + scope.mixed)
    wild = np.where(section.inside, lot >= 1 - scope.wild, lot < scope.wild_outside)
    there = (section.inside & ~lost) | wild
    if section.grid == "hexagonal":
        there[section.shifted_row :: 2, -1] = False
    seen = np.where(swapped, other, section.labels)
    q = _quaternions(section, seen)
    q = turned_a_little(q.reshape(-1, 4), scope.noise_deg, rng=rng).reshape(*shape, 4)
    anyhow = rng.standard_normal((*shape, 4))
    q = np.where(wild[..., None], anyhow / np.linalg.norm(anyhow, axis=-1, keepdims=True), q)
    kinds = np.where(rng.uniform(size=n + 1) < scope.second_phase, 2, 1)
    phases = (*section.phases, second) if scope.second_phase else section.phases
    phase = np.where(there, np.where(wild, rng.integers(1, len(phases) + 1, shape), kinds[seen]), 0)
    euler = np.where(there[..., None], bunge(q), np.nan)
    confidence, quality = _confidence(section, scope, seen, edge, wild, rng)
    return replace(
        section, euler_rad=euler, phase=phase.astype(np.int32), phases=phases,
        confidence=np.where(there, confidence, -1.0 if scope.confidence else 0.0).astype(np.float32),
        quality=quality.astype(np.float32),
    )  # fmt: skip


def _beside(labels: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return which points have a neighbour of another label, and one such label (of those on a random side)."""
    padded = np.pad(labels, 1, mode="edge")
    ny, nx = labels.shape
    sides = [padded[1 + a : 1 + a + ny, 1 + b : 1 + b + nx] for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    beside = np.zeros(labels.shape, bool)
    other = labels.copy()
    for k in rng.permutation(4):
        differs = sides[k] != labels
        beside |= differs
        other = np.where(differs, sides[k], other)
    return beside, other


def _quaternions(section: VirtualSection, seen: np.ndarray) -> np.ndarray:
    """Return the true orientation (y, x, 4) of the grains that are seen; the identity where there is none."""
    n = int(max(seen.max(initial=0), section.labels.max(initial=0)))
    angles = np.zeros((n + 1, 3))
    inside = section.labels > 0
    angles[section.labels[inside]] = section.euler_rad[inside]
    phi1, capital, phi2 = np.moveaxis(angles, -1, 0)
    total, difference = (phi1 + phi2) / 2, (phi1 - phi2) / 2
    c, s = np.cos(capital / 2), np.sin(capital / 2)
    q = np.stack([c * np.cos(total), s * np.cos(difference), s * np.sin(difference), c * np.sin(total)], -1)
    return q[seen]


def _confidence(section, scope, seen, edge, wild, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw confidence index and image quality: those of a grain alike, lower at boundaries."""
    shape = section.shape
    of_grain = rng.normal(0.0, 0.06, int(seen.max(initial=0)) + 1)[seen]
    mean = scope.confidence * np.where(edge, 0.6, 1.0) + of_grain
    right = np.clip(mean + rng.normal(0, 0.06, shape), TRUSTED + 0.01, 1.0)
    confidence = np.where(wild, rng.uniform(0, TRUSTED - 0.01, shape), right)
    if scope.confidence == 0:
        confidence = np.zeros(shape)
    level = np.where(section.inside, 120.0 * (1 + of_grain) * np.where(edge, 0.75, 1.0), 30.0)
    return np.round(confidence, 3), np.clip(level + rng.normal(0, 6, shape), 1, 255)
