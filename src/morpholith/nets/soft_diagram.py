"""Differentiable sections of power diagrams: softmax probabilities on a small grid, sorted by prominence.

Paper 001, Eqs. 11 and 16. Two engines give the same images: compiled loops for the processor, which keep a short list
of grains for each 4 x 4 pixels, and padded lists in plain torch for any device.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _checks
from ..errors import InputError

SIZE, CHANNELS = 32, 12  # of paper 001
EPS = 1e-4  # probability that may be neglected at a pixel


class Plane(NamedTuple):
    """Seeds of several cutouts, seen from their planes.

    Attributes
    ----------
    axes : (n, 3, 2) float32 array
        What a step along the rows and the columns of the cutout is in the frame of each seed.
    offset : (n, 3) float32 array
        The seed less pixel (0, 0), in the frame of the seed.
    start : (cutouts + 1,) int64 array
        Seeds ``start[c]:start[c + 1]`` belong to cutout c.
    """

    axes: np.ndarray
    offset: np.ndarray
    start: np.ndarray


def plane(seeds: np.ndarray, frames: np.ndarray, start: np.ndarray, distance: np.ndarray, *, size: int = SIZE) -> Plane:
    """See seeds from cutouts whose rows run away from the centre (paper 001, Eq. 16).

    Pixel (i, j) of cutout c lies at (distance[c] + 1 + i, 1 + j - (size + 1) / 2, 0) from the centre.

    Parameters
    ----------
    seeds : (n, 3) array
        In steps, from the centre.
    frames : (n, 3, 3) array
        Q of each seed (`generate.radial_frames`).
    start : (cutouts + 1,) int array
    distance : (cutouts,) array
        p of the paper, in steps.

    Returns
    -------
    Plane
    """
    start = np.ascontiguousarray(start, np.int64)
    away = np.array(seeds, float)
    away[:, 0] -= np.repeat(np.asarray(distance, float) + 1, np.diff(start))
    away[:, 1] -= 1 - (size + 1) / 2
    offset = np.einsum("nij,nj->ni", frames, away)
    return Plane(np.ascontiguousarray(frames[:, :, :2], np.float32), np.ascontiguousarray(offset, np.float32), start)


def soft_sections(
    seen: Plane,
    diagonal: torch.Tensor,
    radii: torch.Tensor,
    *,
    power: int = 1,
    size: int = SIZE,
    channels: int = CHANNELS,
    eps: float = EPS,
    round_off: bool = False,
    engine: str = "auto",
    threads: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return multichannel images of cutouts: the probabilities of their most prominent grains.

    At each pixel the probabilities are the softmax of r_i - g(|x - s_i|_M_i) with M = Q' D Q. Grains are left out of a
    block of pixels only where a bound shows that all of them together have less than `eps` of the probability at every
    pixel there; what is kept is normalised, so that images err by less than `eps`. Channels come in the order of their
    sums, largest first; channels no grain is left for are 0.

    Parameters
    ----------
    seen : Plane
    diagonal : (n, 3) tensor
        D of each seed, positive; in 1 / step^2.
    radii : (n,) tensor
    power : {1, 2}
    size, channels : int
        32 and 12 in paper 001.
    eps : float
    round_off : bool
        Round to 0 or 1, as the discriminator sees them; no gradient then.
    engine : {"auto", "compiled", "torch"}
        Compiled loops on the processor, torch elsewhere, unless told.
    threads : int
        Of the compiled loops; the result does not depend on it.

    Returns
    -------
    images : (cutouts, channels, size, size) float32 tensor
        Differentiable in `diagonal` and `radii`.
    grains : (cutouts,) int64 tensor
        How many grains are the most probable of some pixel.

    Raises
    ------
    InputError
        Tensors that do not fit the seeds, a D that is not positive, an unknown engine or power.
    """
    n = len(seen.axes)
    _checks.choice(power, (1, 2), name="power")
    _checks.choice(engine, ("auto", "compiled", "torch"), name="engine")
    if diagonal.shape != (n, 3) or radii.shape != (n,):
        raise InputError(f"{n} seeds take D ({n}, 3) and r ({n},), got {tuple(diagonal.shape)}, {tuple(radii.shape)}.")
    if n and not bool((diagonal > 0).all()):
        raise InputError("D must be positive and finite; bound it from below.")
    if engine == "compiled" or (engine == "auto" and diagonal.device.type == "cpu"):
        images, grains = _Compiled.apply(diagonal, radii, seen, power, size, channels, eps, round_off, threads)
    else:
        images, grains = _padded(seen, diagonal, radii, power, size, channels, eps)
        images = (images.detach() > 0.5).float() if round_off else images
    return images, grains


def weights(seen: Plane, diagonal, radii, *, power: int = 1, size: int = SIZE, eps: float = EPS) -> np.ndarray:
    """Return the mean probability of each seed over the pixels of its cutout, (n,) float64; they add up to 1."""
    from ._soft_kernels import weights as fill

    out = np.empty(len(seen.axes))
    fill(*seen[:2], _plain(diagonal), _plain(radii), seen.start, power, size, _cuts(seen.start, eps), out)
    return out


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, diagonal, radii, seen, power, size, channels, eps, round_off, threads):
        from ._soft_kernels import forward

        kernel: Any = forward
        d, r = _plain(diagonal), _plain(radii)
        count = len(seen.start) - 1
        cut = _cuts(seen.start, eps)
        images = np.empty((count, channels, size, size), np.float32)
        chosen, grains = np.empty((count, channels), np.int64), np.empty(count, np.int64)
        _in_parts(
            lambda a, z: kernel(
                *seen[:2], d, r, seen.start, power, size, cut, round_off, images, chosen, grains, a, z
            ),
            count,
            threads,
        )  # fmt: skip
        ctx.given = seen, d, r, power, size, cut, chosen, threads
        grains = torch.from_numpy(grains)
        ctx.mark_non_differentiable(grains)
        images = torch.from_numpy(images)
        if round_off:
            ctx.mark_non_differentiable(images)
        return images, grains

    @staticmethod
    def backward(ctx, slope, _):
        from ._soft_kernels import backward

        kernel: Any = backward
        seen, d, r, power, size, cut, chosen, threads = ctx.given
        d_slope, r_slope = np.zeros_like(d), np.zeros_like(r)
        slope = _plain(slope)
        _in_parts(
            lambda a, z: kernel(
                *seen[:2], d, r, seen.start, power, size, cut, chosen, slope, d_slope, r_slope, a, z
            ),
            len(seen.start) - 1,
            threads,
        )  # fmt: skip
        return torch.from_numpy(d_slope), torch.from_numpy(r_slope), *([None] * 7)


def _padded(seen, diagonal, radii, power, size, channels, eps):
    """The same in torch: a list of grains for each cutout, all as long as the longest."""
    where = diagonal.device
    counts = np.diff(seen.start)
    longest = max(int(counts.max(initial=0)), 1)
    slots = np.arange(longest)
    index = torch.from_numpy(np.where(slots < counts[:, None], seen.start[:-1, None] + slots, -1)).to(where)
    axes, offset = torch.from_numpy(seen.axes).to(where), torch.from_numpy(seen.offset).to(where)
    cut = torch.from_numpy(_cuts(seen.start, eps)).to(where)
    if len(axes) == 0:
        return diagonal.new_zeros((len(counts), channels, size, size)), torch.zeros(len(counts), dtype=torch.int64)
    with torch.no_grad():
        index = _shortened(index, axes, offset, diagonal, radii, power, size, cut)
    line = torch.arange(size, device=where, dtype=torch.float32)
    pixels = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    there, safe = index >= 0, index.clamp_min(0)
    value = _values(axes[safe], offset[safe], diagonal[safe], pixels, power) - radii[safe][..., None]
    value = torch.where(there[..., None], value, torch.inf)
    p = torch.softmax(-value, 1)
    with torch.no_grad():
        sums = torch.where(there, p.sum(-1), -1.0)
        order = torch.sort(sums, dim=1, descending=True, stable=True).indices[:, :channels]
        wins = torch.zeros_like(there).scatter_(1, p.argmax(1), True)
    images = p.gather(1, order[..., None].expand(-1, -1, size * size))
    images = torch.where(there.gather(1, order)[..., None], images, 0.0)
    if images.shape[1] < channels:
        images = torch.nn.functional.pad(images, (0, 0, 0, channels - images.shape[1]))
    return images.reshape(len(counts), channels, size, size), (wins & there).sum(1)


def _values(axes, offset, diagonal, pixels, power):
    """(cutout, grain, pixel) norms or squared norms."""
    squares: Any = 0.0
    for k in range(3):
        squares = squares + diagonal[..., k, None] * (axes[..., k, :] @ pixels.T - offset[..., k, None]) ** 2
    if power == 2:
        return squares
    # no slope at the seed itself, where the norm has none
    return torch.where(squares > 0, squares.clamp_min(1e-30).sqrt(), 0.0)


def _shortened(index, axes, offset, diagonal, radii, power, size, cut, *, block: int = 4):
    """Padded lists of those grains alone that matter in some block of the cutout, in their order."""
    middle = torch.arange(-(-size // block), device=axes.device) * float(block) + (block - 1) / 2
    middles = torch.stack(torch.meshgrid(middle, middle, indexing="ij"), -1).reshape(-1, 2)
    there, safe = index >= 0, index.clamp_min(0)
    far = _values(axes[safe], offset[safe], diagonal[safe], middles, 1)
    corners = (block - 1) / 2 * torch.tensor([[1.0, 1.0], [1.0, -1.0]], device=axes.device)
    reach = _values(axes, torch.zeros_like(offset), diagonal, corners, 1).amax(-1)[safe][..., None]
    g = (lambda t: t) if power == 1 else torch.square
    low = g((far - reach).clamp_min(0)) - radii[safe][..., None]
    high = torch.where(there[..., None], g(far + reach) - radii[safe][..., None], torch.inf).amin(1, keepdim=True)
    limit = high + cut[:, None, None] + 1e-4 * (1 + high.abs())
    kept = ((low <= limit) & there[..., None]).any(-1)
    order = torch.sort(kept, dim=1, descending=True, stable=True).indices
    order = order[:, : max(1, int(kept.sum(1).max()))]
    return torch.where(kept.gather(1, order), index.gather(1, order), -1)


def _cuts(start, eps):
    """ln(n / eps) of each cutout."""
    if not 0 < eps < 1:
        raise InputError(f"`eps` must lie between 0 and 1, got {eps!r}.")
    return np.array([math.log(max(n, 1) / eps) for n in np.diff(start)], np.float32)


def _plain(tensor):
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), np.float32)


def _in_parts(function, n, threads):
    parts = max(1, min(threads, n))
    cuts = [round(k * n / parts) for k in range(parts + 1)]
    if parts == 1:
        function(0, n)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(lambda k: function(cuts[k], cuts[k + 1]), range(parts)))
