"""What the inside of a virtual particle is like: grains that are round, needles or plates, and their disorder."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .. import _checks
from ..errors import InputError

KINDS = ("equiaxed", "needles", "plates")
SURFACES = ("grains", "cut")
C_AXES = ("random", "radial", "short")
AT_RANDOM_DEG = 90.0  # disorder from which directions are uniform over the sphere


@dataclass(frozen=True)
class Interior:
    """Grain architecture of a virtual particle about its centre.

    Parameters
    ----------
    kind : {"equiaxed", "needles", "plates"}
        Needles have one long axis, along the radius; plates two, along the radius and along one direction across it,
        so that their short axis lies across the radius.
    diameter_um : float
        Mean diameter of the particle.
    lumpiness : float
        Standard deviation of the radius over directions, relative.
    surface : {"grains", "cut"}
        Grains whose seed lies inside the outline are kept whole, all others left out, so that the surface is made of
        faces of grains; or all grains are cut at the outline.
    size_um : float
        Diameter of the sphere of the mean volume of the grains, where `gradient` changes nothing.
    size_spread : float
        Standard deviation of the additive weights, in units of a grain's radius; 0.3 is much.
    aspect : float
        Long over short axis of the metric of a grain; those of the grains themselves follow, but are not the same.
    aspect_spread : float
        Standard deviation of the logarithm of the aspect over grains.
    gradient : float
        Change of the size with the distance from the centre: sizes go from (1 - gradient) to (1 + gradient) times
        `size_um` from the centre to the outline; -0.8 to 0.8.
    aspect_gradient : float
        The same for the logarithm of the aspect, -1 to 1.
    disorder_deg : float
        Root mean square angle (each of two components) between a grain's first axis and the radius; 90 or more is
        no order at all.
    regularity : float
        0 for seeds at random (Poisson), up to 1 for seeds that keep a distance in the metric of the grains, 0.8 times
        the edge of the cube of a grain's volume.
    correlation : float
        Share of the variance of weights and aspects that neighbours have in common, 0 to 1.
    correlation_um : float
        Length over which they have it.
    waviness : float
        Root mean square displacement of boundaries (each component) by a smooth field, in units of `size_um`.
    waviness_um : float
        Length over which the field changes, in units of `size_um`.
    squareness : float
        Exponent p of the norm: 2 for ellipsoids, larger for bricks.
    c_axis : {"random", "radial", "short"}
        Direction of the crystals' c axes: any, along the radius, or along the grain's shortest axis.
    c_spread_deg : float
        Root mean square angle (each of two components) of c axes to that direction.
    least_turn_deg : float
        Neighbours are turned against each other by at least this disorientation, so that a map parts them all.
    """

    kind: str = "equiaxed"
    diameter_um: float = 8.0
    lumpiness: float = 0.03
    surface: str = "grains"
    size_um: float = 0.5
    size_spread: float = 0.15
    aspect: float = 1.0
    aspect_spread: float = 0.1
    gradient: float = 0.0
    aspect_gradient: float = 0.0
    disorder_deg: float = AT_RANDOM_DEG
    regularity: float = 0.6
    correlation: float = 0.3
    correlation_um: float = 1.0
    waviness: float = 0.06
    waviness_um: float = 1.0
    squareness: float = 2.0
    c_axis: str = "random"
    c_spread_deg: float = 10.0
    least_turn_deg: float = 10.0

    def __post_init__(self):
        _checks.choice(self.kind, KINDS, name="kind")
        _checks.choice(self.surface, SURFACES, name="surface")
        _checks.choice(self.c_axis, C_AXES, name="c_axis")
        for name in ("diameter_um", "size_um", "correlation_um", "waviness_um"):
            _checks.positive(getattr(self, name), name=name)
        for name in ("size_spread", "aspect_spread", "disorder_deg", "waviness", "lumpiness", "c_spread_deg"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"`{name}` must not be negative, got {getattr(self, name)!r}.")
        limits = {"gradient": (-0.8, 0.8), "aspect_gradient": (-1, 1), "regularity": (0, 1), "correlation": (0, 1),
                  "aspect": (1, 12), "squareness": (2, 16), "size_spread": (0, 0.6), "aspect_spread": (0, 0.6),
                  "waviness": (0, 0.3), "lumpiness": (0, 0.2), "least_turn_deg": (0, 15)}  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"`{name}` must lie between {low:g} and {high:g}, got {getattr(self, name)!r}.")

    @classmethod
    def of(cls, kind: str, **changes) -> Interior:
        """Return an architecture of a kind.

        Parameters
        ----------
        kind : {"equiaxed", "needles", "plates"}
            Equiaxed grains lie in any direction; needles (aspect 3.5) and plates (aspect 3) along the radius to
            within 12 degrees, the c axes of plates across them.
        **changes
            Fields that differ from the preset.
        """
        _checks.choice(kind, KINDS, name="kind")
        presets: dict[str, dict] = {
            "equiaxed": {"aspect": 1.1},
            "needles": {"aspect": 3.5, "disorder_deg": 12.0},
            "plates": {"aspect": 3.0, "disorder_deg": 12.0, "c_axis": "short"},
        }
        return replace(cls(kind=kind), **{**presets[kind], **changes})

    @property
    def stretch(self) -> tuple[float, float, float]:
        """Exponents of the aspect in the semi-axes along the first, second and third axis of a grain."""
        return (1 / 3, 1 / 3, -2 / 3) if self.kind == "plates" else (2 / 3, -1 / 3, -1 / 3)

    def size_at(self, distance_um) -> np.ndarray:
        """Diameter of the sphere of the mean grain volume at a distance from the centre, um."""
        share = np.clip(2 * np.asarray(distance_um) / self.diameter_um, 0.0, 1.0)
        return self.size_um * (1 + self.gradient * (2 * share - 1))

    def log_aspect_at(self, distance_um) -> np.ndarray:
        """Mean logarithm of the aspect at a distance from the centre."""
        share = np.clip(2 * np.asarray(distance_um) / self.diameter_um, 0.0, 1.0)
        return np.log(self.aspect) * (1 + self.aspect_gradient * (2 * share - 1))
