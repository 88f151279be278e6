"""What a virtual XANES scan shows and how it is taken, in numbers that a person chooses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .. import _checks
from ..errors import InputError
from .monolayer import PATTERNS
from .nickel import Chemistry, energies

SCANS = ("easy", "typical", "hard", "faint")
USUAL_DIAMETER = 85.0  # px, to which `contrast` refers


@dataclass(frozen=True)
class Scan:
    """What a virtual scan shows, and how it is taken.

    Parameters
    ----------
    shape : (int, int)
        Pixels (y, x).
    n_energies, n_scans, n_particles : int
    energies_ev : tuple of float, optional
        Ascending, in place of the usual grid of `n_energies` between 8200 and 8600 eV.
    energy_error_ev : float
        Recorded less true energy.
    pixel_um : float
    diameter_px : (float, float)
        Range of the particles' diameters.
    flat_share : float
        Share of flat single crystals among the particles.
    lumpiness : float
        Scales the departures from spheres.
    contrast : float
        Optical density above the edge at the centre of a particle 85 px across; goes with the diameter.
    pre_edge : float
        Absorption below the edge over that above.
    charge : (float, float)
        Degree of charge in the first and in the last scan; their mean where there is one scan.
    patterns : tuple of str
        Chemical patterns, given to the particles in turn in random order.
    references : pair, optional
        End members of the chemistry in place of the parametric ones: see `nickel.Chemistry`.
    counts : float
        Mean counts per pixel of a flat exposure.
    flats : int
        Exposures behind a flat.
    dark : float
        Counts without light.
    offset : float
        Optical density of everything, from another exposure of flats than of frames.
    blur_px : float
        Standard deviation of the point spread.
    background : float
        Root mean square optical density of the binder, that moves with the stage; half as much again stands still.
    residue : float
        Strength of ripples and dust on the detector that the flats do not correct, relative.
    debris : int
        Small bits of active material, 5 to 14 px across, that are no particles of the truth.
    jitter_px : float
        Standard deviation of the stage from frame to frame, per axis.
    drift_px, between_px : float
        Slow drift of the stage over a scan, and jumps between scans, standard deviation per axis.
    walk_px : float
        Standard deviation of a particle's own step from frame to frame, per axis.
    rotation_deg, breathing : float
        Turn and change of size (ratio) of a particle over a scan, standard deviation.
    strain, field_px : float
        Deformation over a scan: standard deviation of each component of the displacement gradient, and of a smooth
        displacement besides.
    touching, overlapping : int
        Pairs of particles that touch or overlap.
    entering, leaving : int
        Particles that come into the field or go out of it.
    dropped, saturated : int
        Frames of each scan that are all zero, or overexposed so that the background reaches `full_well`.
    full_well : int
    """

    shape: tuple[int, int] = (460, 460)
    n_energies: int = 143
    n_scans: int = 1
    n_particles: int = 9
    energies_ev: tuple[float, ...] | None = None
    energy_error_ev: float = 0.0
    pixel_um: float = 0.0389
    diameter_px: tuple[float, float] = (60.0, 110.0)
    flat_share: float = 0.2
    lumpiness: float = 1.0
    contrast: float = 0.8
    pre_edge: float = 0.16
    charge: tuple[float, float] = (0.1, 0.9)
    patterns: tuple[str, ...] = ("core-shell", "one-sided", "core-shell", "deactivated", "uniform")
    references: tuple | None = None
    counts: float = 3000.0
    flats: int = 10
    dark: float = 50.0
    offset: float = 0.4
    blur_px: float = 1.0
    background: float = 0.02
    residue: float = 0.006
    debris: int = 12
    jitter_px: float = 1.5
    drift_px: float = 5.0
    between_px: float = 4.0
    walk_px: float = 0.15
    rotation_deg: float = 1.0
    breathing: float = 0.004
    strain: float = 0.004
    field_px: float = 1.0
    touching: int = 0
    overlapping: int = 0
    entering: int = 0
    leaving: int = 0
    dropped: int = 0
    saturated: int = 0
    full_well: int = 4095

    def __post_init__(self):
        if len(self.shape) != 2 or min(self.shape) < 16:
            raise InputError(f"`shape` must be two numbers of pixels (y, x), at least 16; got {self.shape!r}.")
        if self.energies_ev is not None:
            e = np.asarray(self.energies_ev, float)
            if e.ndim != 1 or not e.size or not np.isfinite(e).all() or not (np.diff(e) > 0).all():
                raise InputError("`energies_ev` must be ascending energies in eV.")
            object.__setattr__(self, "energies_ev", tuple(e.tolist()))
            object.__setattr__(self, "n_energies", int(e.size))
        for name in ("n_energies", "n_scans", "flats"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1, got {getattr(self, name)!r}.")
        low, high = self.diameter_px
        if not 4 <= low <= high:
            raise InputError(f"`diameter_px` must be an ascending pair of at least 4 px, got {self.diameter_px!r}.")
        for name in ("counts", "pixel_um", "contrast"):
            _checks.positive(getattr(self, name), name=name)
        for pattern in self.patterns:
            _checks.choice(pattern, PATTERNS, name="patterns")
        if 0 < self.entering + self.leaving > self.n_particles - 2 * (self.touching + self.overlapping):
            raise InputError(
                f"{self.entering} entering and {self.leaving} leaving particles besides those in "
                f"{self.touching + self.overlapping} pairs are more than the {self.n_particles} there are."
            )
        if self.dropped + self.saturated > self.n_energies:
            raise InputError(f"{self.dropped} dropped and {self.saturated} saturated frames exceed {self.n_energies}.")

    @classmethod
    def of(cls, difficulty: str, **changes) -> Scan:
        """Return a scan of a stated difficulty.

        Parameters
        ----------
        difficulty : {"easy", "typical", "hard", "faint"}
            Typical has the contrast and the noise of published frames of NCA particles at 8250 and 8353 eV; easy is
            brighter below the edge, with hardly any background; hard has a fourteenth of the counts, weaker particles,
            a stronger background, a pair that touches and dropped frames; in faint a person can hardly see the
            particles below the edge.
        **changes
            Fields that differ from the preset.
        """
        _checks.choice(difficulty, SCANS, name="difficulty")
        preset: dict = {
            "easy": {"counts": 4000.0, "pre_edge": 0.4, "offset": 0.0, "background": 0.006, "residue": 0.002,
                     "jitter_px": 1.0, "drift_px": 2.0, "debris": 4, "rotation_deg": 0.5},
            "typical": {},
            "hard": {"counts": 220.0, "pre_edge": 0.2, "contrast": 0.55, "background": 0.03, "residue": 0.012,
                     "jitter_px": 2.0, "drift_px": 8.0, "walk_px": 0.25, "rotation_deg": 2.0, "breathing": 0.008,
                     "strain": 0.008, "field_px": 2.0, "debris": 25, "touching": 1, "dropped": 2},
            "faint": {"counts": 150.0, "pre_edge": 0.08, "contrast": 0.45, "background": 0.025, "residue": 0.012,
                      "jitter_px": 2.0, "drift_px": 8.0, "walk_px": 0.25, "rotation_deg": 2.0, "breathing": 0.008,
                      "strain": 0.008, "field_px": 2.0, "debris": 25, "dropped": 2},
        }[difficulty]  # fmt: skip
        if "n_particles" in changes and changes["n_particles"] < 2:
            preset.pop("touching", None)
        if "n_energies" in changes and changes["n_energies"] < 20:
            preset.pop("dropped", None)
        return replace(cls(), **{**preset, **changes})

    @property
    def energies(self) -> np.ndarray:
        """True energies (e,), eV."""
        return energies(self.n_energies) if self.energies_ev is None else np.array(self.energies_ev)

    @property
    def chemistry(self) -> Chemistry:
        """What the particles absorb."""
        return Chemistry(self.pre_edge, *(self.references or ()))
