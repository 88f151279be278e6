"""Where the sections of particles lie in a map of grains: square pixels, regions of grains, necks, cuts."""

from __future__ import annotations

import numpy as np

NECK = 0.5  # half-width of a neck over the inscribed radius of the larger particle, from which it joins two particles


def square_pixels(labels, spacing, shifted_row) -> tuple[np.ndarray, float]:
    """Labels on square pixels of the area of a point, by the nearest point; rows of `shifted_row` lie further on."""
    dy, dx = spacing
    if shifted_row is None and abs(dy - dx) < 1e-3 * dx:
        return labels, float(dx)
    step = float(np.sqrt(dy * dx))
    height, width = labels.shape
    y = np.arange(max(1, round(height * dy / step))) * step
    reach = (width - (1 if shifted_row is not None else 0)) * dx
    x = np.arange(max(1, round(reach / step))) * step + (dx / 2 if shifted_row is not None else 0.0)
    out, nearest = np.zeros((len(y), len(x)), np.int32), np.full((len(y), len(x)), np.inf)
    for up in (0, 1):
        row = np.clip(np.floor(y / dy).astype(int) + up, 0, height - 1)
        shift = np.where(row % 2 == shifted_row, dx / 2, 0.0) if shifted_row is not None else np.zeros(len(row))
        column = np.clip(np.rint((x[None] - shift[:, None]) / dx).astype(int), 0, width - 1)
        away = (column * dx + shift[:, None] - x[None]) ** 2 + (row * dy - y)[:, None] ** 2
        closer = away < nearest
        out[closer] = labels[row[:, None], column][closer]
        nearest = np.minimum(nearest, away)
    return out, step


def regions(labels, gap, hole_pixels) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    """Where the connected regions of grains lie, gaps closed and small holes filled: slices and masks of them."""
    from scipy import ndimage

    grains = labels > 0
    wide = np.pad(grains, gap + 1)
    if gap:
        away = ndimage.distance_transform_edt(~wide)
        wide = ndimage.distance_transform_edt(away <= gap) > gap
    closed = wide[gap + 1 : -gap - 1, gap + 1 : -gap - 1] | grains
    number, _ = ndimage.label(closed, np.ones((3, 3)))
    out = []
    for k, at in enumerate(ndimage.find_objects(number), start=1):
        part = number[at] == k
        holes, n = ndimage.label(~part)
        size = np.bincount(holes.ravel(), minlength=n + 1)
        rim = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
        small = size <= hole_pixels
        small[rim] = False
        small[0] = False
        out.append((at, part | small[holes]))
    return out


def parted(labels, parts, min_grains):
    """Regions, those with a neck parted there, and how many had one."""
    from scipy import ndimage

    out, necks = [], 0
    for at, part in parts:
        filled = ndimage.binary_fill_holes(np.pad(part, 2))
        away = ndimage.distance_transform_edt(filled)
        lobes, n = ndimage.label(away > NECK * away.max())
        own = np.where(part, labels[at], 0)
        large = [k for k in range(1, n + 1) if (np.unique(own[lobes[2:-2, 2:-2] == k]) > 0).sum() >= min_grains]
        if len(large) < 2:
            out.append((at, part))
            continue
        necks += 1
        lobes *= np.isin(lobes, large)
        nearest = ndimage.distance_transform_edt(lobes == 0, return_distances=False, return_indices=True)
        side = np.searchsorted(large, lobes[tuple(nearest)][2:-2, 2:-2])
        number, place = np.unique(own, return_inverse=True)
        votes = np.zeros((len(number), len(large)), np.int64)
        np.add.at(votes, (place.ravel(), side.ravel()), 1)
        side = np.where(own > 0, votes.argmax(1)[place].reshape(own.shape), side)
        for k in range(len(large)):
            mask = part & (side == k)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            place_in_map = tuple(slice(a.start + b.start, a.start + b.stop) for a, b in zip(at, box, strict=True))
            out.append((place_in_map, mask[box]))
    return out, necks


def cut_share(at, part, shape) -> float:
    """Share of a region's outline that is the edge of the map."""
    wide = np.pad(part, 1)
    outline = sum(int((wide[1:] != wide[:-1]).sum()) for wide in (wide, wide.T))
    cut = int(part[0].sum()) * (at[0].start == 0) + int(part[-1].sum()) * (at[0].stop == shape[0])
    cut += int(part[:, 0].sum()) * (at[1].start == 0) + int(part[:, -1].sum()) * (at[1].stop == shape[1])
    return cut / max(outline, 1)
