"""Random shells: distributions of the coefficients, and draws without radii below zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..errors import InputError
from .harmonics import degree_of
from .shells import basis_on_icosphere

KINDS = ("normal", "log_normal", "student_t")
BATCH = 2048
COARSE = 42  # directions of the icosphere that are spread over it by themselves
HOPELESS = 100_000  # draws without one good shell


@dataclass(frozen=True)
class Family:
    """Distribution of the coefficients of one degree.

    Attributes
    ----------
    kind : {"normal", "log_normal", "student_t"}
        loc + scale N, loc + scale exp(shape N), or loc + scale T with `shape` degrees of freedom, over all of R.
    scale : float
    loc : float
    shape : float
        sigma of the log-normal, nu of Student's t; not used by the normal.
    """

    kind: str
    scale: float
    loc: float = 0.0
    shape: float = 1.0

    def __post_init__(self):
        _checks.choice(self.kind, KINDS, name="kind")
        if not (np.isfinite([self.scale, self.loc, self.shape]).all() and self.scale >= 0 and self.shape > 0):
            raise InputError(f"a family needs a scale of 0 or more, a shape above 0 and a finite loc; got {self}.")

    def draw(self, size, rng: np.random.Generator) -> np.ndarray:
        """Draw an array of `size`."""
        if self.kind == "student_t":
            return self.loc + self.scale * rng.standard_t(self.shape, size)
        n = rng.standard_normal(size)
        return self.loc + self.scale * (n if self.kind == "normal" else np.exp(self.shape * n))


@dataclass(frozen=True)
class ShellModel:
    """One family for each degree 0..L; coefficients are independent (paper 001, Eq. 7)."""

    families: tuple[Family, ...]

    def __post_init__(self):
        if not self.families:
            raise InputError("a shell model needs a family for degree 0 at least.")

    @property
    def degree(self) -> int:
        """Largest degree L."""
        return len(self.families) - 1

    def coefficients(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw (n, (L + 1)^2) coefficients, whether they make shells or not."""
        out = np.empty((n, len(self.families) ** 2))
        for l, family in enumerate(self.families):  # noqa: E741
            out[:, l * l : (l + 1) ** 2] = family.draw((n, 2 * l + 1), rng)
        return out


@dataclass(frozen=True)
class ShellDraw:
    """Shells that were drawn.

    Attributes
    ----------
    coefficients : (n, (L + 1)^2) array
    tried, accepted : int
        Draws in all, and those with radii above 0 at every direction; a few more than `n`, which are dropped.
    """

    coefficients: np.ndarray
    tried: int
    accepted: int

    @property
    def acceptance(self) -> float:
        """Share of the draws that are shells; NaN without draws."""
        return self.accepted / self.tried if self.tried else float("nan")


def published_shell_model(*, scale: float = 70.0) -> ShellModel:
    """Model of NMC811 particles from the printed parameters of paper 001 (Table 1), in voxels of 0.128 um.

    The print gives the log-normal of degree 0 two numbers, of which -29.83 cannot be its sigma. Read as shape and
    shift, with the scale left out: a00 = -29.83 + scale exp(0.4 N). tau of degree 7 is read as 0.21, not 0.021.

    Parameters
    ----------
    scale : float
        Of degree 0, in voxels. 70 fits the number of particles in the volume; a fit to data is better.
    """
    _checks.positive(scale, name="scale")
    nu = (2.22, 4.64, 2.84, 2.43, 2.28, 2.26, 2.20, 2.17, 2.22)
    tau = (3.51, 2.79, 0.98, 0.56, 0.37, 0.28, 0.21, 0.17, 0.15)
    tails = [Family("student_t", t, shape=n) for n, t in zip(nu, tau, strict=True)]
    return ShellModel((Family("log_normal", scale, -29.83, 0.4), *tails))


def draw_shells(model: ShellModel, n: int, *, rng: np.random.Generator | int) -> ShellDraw:
    """Draw shells whose radius is above 0 at all of the 642 directions.

    Rejection changes the distributions: heavy tails are cut, and small shells lose more than large ones. The
    acceptance says how much.

    Parameters
    ----------
    model : ShellModel
    n : int
        Shells wanted; 0 gives none.
    rng : Generator or int

    Returns
    -------
    ShellDraw
        Not re-centred: see `recentred`.

    Raises
    ------
    InputError
        None of 100 000 draws was a shell.
    """
    rng = np.random.default_rng(rng)
    if n < 0:
        raise InputError(f"`n` must be 0 or more, got {n!r}.")
    kept: list[np.ndarray] = []
    tried = accepted = 0
    while accepted < n:
        rate = accepted / tried if accepted else 0.75
        made = model.coefficients(int(min(BATCH, (n - accepted) / rate + 16)), rng)
        good = made[are_shells(made)]
        tried, accepted = tried + len(made), accepted + len(good)
        kept.append(good)
        if accepted == 0 and tried >= HOPELESS:
            raise InputError(
                f"none of {tried} draws has radii above 0 everywhere: the families of degree 1 and up are too wide for "
                "that of degree 0; look at their scales."
            )
    rows = np.concatenate(kept)[:n] if kept else np.empty((0, (model.degree + 1) ** 2))
    return ShellDraw(rows, tried, accepted)


def are_shells(coefficients: np.ndarray) -> np.ndarray:
    """Return which of (n, (L + 1)^2) coefficients have a radius above 0 at all of the 642 directions."""
    basis = basis_on_icosphere(degree_of(coefficients)).T
    good = np.zeros(len(coefficients), bool)
    for start in range(0, len(good), BATCH):
        rows = np.arange(start, min(start + BATCH, len(good)))
        for part in (slice(0, COARSE), slice(COARSE, None)):  # most of what fails, fails at the few
            rows = rows[(coefficients[rows] @ basis[:, part] > 0).all(1)]
        good[rows] = True
    return good
