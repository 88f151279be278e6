"""Digitised bodies with known volume and surface, off-centre and turned, for the tests of volume measures."""

import numpy as np
from scipy.spatial.transform import Rotation


def turn(rng):
    return Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()


def frame(reach, spacing, rng, rotation=None):
    """Body coordinates (z, y, x, 3) of the voxels of a box around a body of this reach, off by part of a voxel."""
    shape = [int(2 * reach / s) + 8 for s in spacing]
    centre = [(n / 2 + rng.random() - 0.5) * s for n, s in zip(shape, spacing, strict=True)]
    axes = [np.arange(n) * s - c for n, s, c in zip(shape, spacing, centre, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    return points if rotation is None else points @ rotation


def ball(radius, spacing, rng):
    return (frame(radius, spacing, rng) ** 2).sum(-1) <= radius**2


def ellipsoid(semi, spacing, rng, rotation):
    return ((frame(max(semi), spacing, rng, rotation) / np.array(semi)) ** 2).sum(-1) <= 1


def box(half, spacing, rng, rotation):
    return (np.abs(frame(np.linalg.norm(half), spacing, rng, rotation)) <= half).all(-1)


def cylinder(radius, half, spacing, rng, rotation):
    points = frame(np.hypot(radius, half), spacing, rng, rotation)
    return (np.abs(points[..., 0]) <= half) & (np.hypot(points[..., 1], points[..., 2]) <= radius)


def ellipsoid_surface(a, b, c, n=40000):
    """Mean over directions of the area of the shadow, times 4 (Cauchy)."""
    k = np.arange(n) + 0.5
    z, phi = 1 - 2 * k / n, k * np.pi * (1 + 5**0.5)
    x, y = np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi)
    return 4 * np.pi * np.mean(np.sqrt((b * c * x) ** 2 + (a * c * y) ** 2 + (a * b * z) ** 2))


def gaussian_field(shape, length, rng, spacing=(1.0, 1.0, 1.0)):
    """Periodic Gaussian field of unit variance and covariance exp(-h^2 / (2 length^2)), lengths in um."""
    k = np.meshgrid(*[np.fft.fftfreq(n, s) for n, s in zip(shape, spacing, strict=True)], indexing="ij")
    filtered = np.exp(-((np.pi * length) ** 2) * sum(a**2 for a in k))
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal(shape)) * filtered).real
    return field / np.sqrt((filtered**2).mean())


def crowd(n, size, spacing, rng, radius=(5.0, 9.0)):
    """Balls apart from each other on a jittered lattice: labels, centres in um and radii."""
    side = int(np.ceil(n ** (1 / 3)))
    pitch = size / side
    shape = [round(size / s) for s in spacing]
    labels = np.zeros(shape, np.int32)
    radii = rng.uniform(*radius, n)
    cells = np.stack(np.unravel_index(np.arange(n), (side,) * 3), -1)
    centres = pitch * (cells + 0.5) + rng.uniform(-1, 1, (n, 3)) * (pitch / 2 - radii[:, None] - 0.8)
    for k, (centre, r) in enumerate(zip(centres, radii, strict=True), start=1):
        low = [int((c - r) / s) - 1 for c, s in zip(centre, spacing, strict=True)]
        place = tuple(slice(max(0, a), a + int(2 * r / s) + 4) for a, s in zip(low, spacing, strict=True))
        at = np.ogrid[tuple(slice(p.start, min(p.stop, m)) for p, m in zip(place, shape, strict=True))]
        square = sum((g * s - c) ** 2 for g, s, c in zip(at, spacing, centre, strict=True))
        labels[place][square <= r * r] = k
    return labels, centres, radii
