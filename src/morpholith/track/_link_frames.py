"""From one frame to the next: vote for the global shift, read the motion field, assign."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ._link_looks import PATCH, likeness

AREA_SCATTER = 0.35  # usual scatter of ln(area) of one particle: outlines of weak frames are rough
MERGE_SCATTER = 0.3  # of ln(area of the common region over the sum): discs that overlap cover less
GATE = 4.0  # standard deviations
LOOKS = 8.0  # price of a SSIM that is worse by 1 than the best candidate's
LOOSEST = 0.75  # of the slack: sigma of a particle that was long not seen
ROUNDS = 2
ESTABLISHED = 4  # frames that make a track
YOUNG = 3.0  # price of a track that is not yet one
AREA_GAIN = 0.1  # of a new frame in the running area
SPREAD_GAIN = 0.1
VELOCITY_GAIN = 0.05


@dataclass(frozen=True)
class Rules:
    """Lengths in pixels that hold for a whole series."""

    diameter: float
    spacing: float
    reach: float  # largest global shift
    slack: float  # how far a single particle is off the global shift at most, at first
    established: int = ESTABLISHED  # frames that make a track
    share: float = 0.0  # of the frames from first to last sighting, that a particle is seen in

    @classmethod
    def of(cls, tables, *, max_shift_px, quorum, share=0.0, reach=0.5, least=30.0):
        """Rules from all detections; None where there are none."""
        from scipy.spatial import cKDTree

        areas = np.concatenate([t.area for t in tables]) if tables else np.zeros(0)
        if areas.size == 0:
            return None
        diameter = float(np.sqrt(4 / np.pi * np.median(areas)))
        near = [
            cKDTree(t.place).query(t.place, k=2)[0][:, 1]
            for t in tables[:: max(1, len(tables) // 50)]
            if len(t.area) > 1
        ]
        spacing = float(np.median(np.concatenate(near))) if near else 4 * diameter
        shift = max(reach * spacing, least) if max_shift_px is None else float(max_shift_px)
        return cls(diameter, spacing, shift, float(np.clip(0.2 * diameter, 3, 20)), min(ESTABLISHED, quorum), share)


@dataclass(frozen=True)
class Tracks:
    """What is known of each particle at the frame that was followed last."""

    place: np.ndarray  # (n, 2) px, measured or carried
    area: np.ndarray  # (n,) running area
    missed: np.ndarray  # (n,) frames since it was seen
    hits: np.ndarray  # (n,) frames in which it was seen
    velocity: np.ndarray  # (n, 2) px a frame beyond the motion of its neighbours
    looks: np.ndarray  # (n, PATCH, PATCH) running picture, NaN when unknown
    spread: float = np.nan  # usual distance per axis between prediction and detection

    @classmethod
    def new(cls, place, area, *, missed=0.0, hits=1.0, looks=None, spread=np.nan):
        """Tracks at these places that move with their neighbours."""
        n = len(area)
        looks = np.full((n, PATCH, PATCH), np.nan) if looks is None else looks
        return cls(place, area, np.zeros(n) + missed, np.zeros(n) + hits, np.zeros((n, 2)), looks, spread)

    @classmethod
    def none(cls):
        """No tracks."""
        return cls.new(np.zeros((0, 2)), np.zeros(0))

    def alive(self, established):
        """Return which were seen often, or not long ago: what was seen once and not again was noise."""
        return (self.hits >= established) | (self.missed <= self.hits + 1)

    def kept(self, which):
        """Only some of the tracks, in that order."""
        parts: dict[str, Any] = {name: getattr(self, name)[which] for name in _PARTS}
        return replace(self, **parts)

    def joined(self, other):
        """These tracks and then the others."""
        parts: dict[str, Any] = {k: np.concatenate([getattr(self, k), getattr(other, k)]) for k in _PARTS}
        return replace(self, **parts)


_PARTS = ("place", "area", "missed", "hits", "velocity", "looks")


@dataclass(frozen=True)
class Followed:
    """What became of tracks that were followed through frames."""

    tracks: Tracks  # as of the last frame
    detection: np.ndarray  # (frames of the series, tracks): row in the table, -1 where none
    merged: np.ndarray  # (frames of the series, tracks): in one region with another
    strays: int  # detections of tracks that were given up

    def kept(self, which):
        """Only some of the tracks."""
        return Followed(self.tracks.kept(which), self.detection[:, which], self.merged[:, which], self.strays)


def follow(tracks, tables, frames, rules, *, births=True):
    """Follow all tracks through `frames`, in their order."""
    name = np.arange(len(tracks.area))
    count, log = len(name), []
    for k in frames:
        found = tables[k]
        patches = None if found.looks is None else found.looks.astype(float)
        tracks, mine, both = step(tracks, found, patches, rules)
        log.append((k, name, mine, both))
        if births:
            free = np.setdiff1d(np.arange(len(found.area)), mine)
            free = free[~_taken(tracks, both, found, free)]
            looks = None if patches is None else patches[free]
            log.append((k, count + np.arange(len(free)), free, np.zeros(len(free), bool)))
            alive = np.concatenate([tracks.alive(rules.established), np.ones(len(free), bool)])
            tracks = tracks.joined(Tracks.new(found.place[free], found.area[free], looks=looks)).kept(alive)
            name = np.concatenate([name, count + np.arange(len(free))])[alive]
            count += len(free)
    # only now, and for those that lived: strays are many
    column = np.full(count, -1)
    column[name] = np.arange(len(name))
    detection = np.full((len(tables), len(name)), -1)
    merged = np.zeros(detection.shape, bool)
    links = 0
    for k, who, mine, both in log:
        here = column[who] >= 0
        at = column[who][here]
        detection[k, at], merged[k, at] = mine[here], both[here]
        links += int((mine >= 0).sum())
    return Followed(tracks, detection, merged, links - int((detection >= 0).sum()))


def step(tracks, found, patches, rules):
    """Assign the detections of one frame; returns the tracks there, their detections, and which are merged."""
    n = len(tracks.area)
    spread = tracks.spread if np.isfinite(tracks.spread) else rules.slack / 2
    if n == 0 or len(found.area) == 0:
        carried = replace(tracks, missed=tracks.missed + 1)
        return carried, np.full(n, -1), np.zeros(n, bool)
    alike = likeness(tracks, patches)
    sigma = 1.5 * _sigma(tracks, spread, rules)  # wider: the particle's own motion is still in it
    shift = _voted(tracks, found, sigma, rules)
    predicted = tracks.place + shift
    for turn in range(ROUNDS):
        mine, cost = _assigned(tracks, found, predicted, sigma, alike)
        if turn < ROUNDS - 1:
            field = _field(tracks, found.place, mine, shift, rules)
            # what a track did beyond its neighbours so far, it may go on doing
            predicted = tracks.place + field + tracks.velocity
            sigma = _sigma(tracks, spread, rules)
    both, common = _merged(tracks, found, predicted, sigma, mine, cost)
    mine = np.where(both, -1, mine)
    return _moved(tracks, found, patches, predicted + common, mine, spread, rules), mine, both


def _sigma(tracks, spread, rules):
    base = max(spread, rules.slack / GATE)
    # a carried position errs by a random walk, up to what its neighbours hold it at
    return np.minimum(base * np.sqrt(1 + 0.5 * tracks.missed), max(LOOSEST * rules.slack, base))


def _voted(tracks, found, sigma, rules):
    """Global shift: the displacement that most old and new positions agree on, each old one with one voice."""
    move = found.place[None] - tracks.place[:, None]
    growth = np.log(found.area[None] / tracks.area[:, None])
    voice = np.exp(-0.5 * (growth / (2 * AREA_SCATTER)) ** 2) * _say(tracks)[:, None]
    who, which = np.nonzero((np.abs(move) <= rules.reach).all(axis=2))
    if len(who) == 0:
        return np.zeros(2)
    move, voice, width = move[who, which], voice[who, which], sigma[who]
    starts = np.flatnonzero(np.diff(who, prepend=-1))
    # of equal votes the smaller shift
    votes = -0.05 * np.linalg.norm(move, axis=1) / rules.reach
    for part in range(0, len(move), 512):
        off = ((move[part : part + 512, None] - move[None]) ** 2).sum(axis=2)
        votes[part : part + 512] += np.maximum.reduceat(voice * np.exp(-0.5 * off / width**2), starts, axis=1).sum(1)
    centre = move[votes.argmax()]
    for _ in range(3):
        pull = voice * np.exp(-0.5 * ((move - centre) ** 2).sum(axis=1) / width**2)
        centre = (pull[:, None] * move).sum(axis=0) / pull.sum()
    return centre


def _say(tracks):
    """Less for what was seen seldom or long ago."""
    return np.minimum(1, tracks.hits / ESTABLISHED) / (1 + 0.1 * tracks.missed)


def _assigned(tracks, found, predicted, sigma, alike):
    """Cheapest assignment; to stay alone costs half the gate on either side."""
    n, m = len(tracks.area), len(found.area)
    cost = _cost(predicted, found.place, sigma, np.log(found.area[None] / tracks.area[:, None]), found.cut)
    allowed = cost < GATE**2
    if alike is not None:
        best = np.where(allowed, alike, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
        with np.errstate(invalid="ignore"):
            cost = cost + np.where(allowed, LOOKS * np.nan_to_num(best - alike, posinf=0, neginf=0), 0)
    # of two tracks for one detection the one that was seen more often
    cost = cost + np.where(tracks.hits < ESTABLISHED, YOUNG, 0.0)[:, None]
    large = 1e6
    table = np.full((n + m, n + m), large)
    table[:n, :m] = np.where(allowed, cost, large)
    table[np.arange(n), m + np.arange(n)] = GATE**2 / 2
    table[n + np.arange(m), np.arange(m)] = GATE**2 / 2
    table[n:, m:] = 0
    row, column = linear_sum_assignment(table)
    mine = np.full(n, -1)
    real = (row < n) & (column < m)
    real[real] = table[row[real], column[real]] < large
    mine[row[real]] = column[real]
    return mine, cost


def _cost(predicted, place, sigma, growth, cut):
    distance = ((predicted[:, None] - place[None]) ** 2).sum(axis=2) / sigma[:, None] ** 2
    # of a particle that the frame cuts neither the middle nor the size is known
    return np.where(cut[None], distance / 4 + 1, distance + (growth / AREA_SCATTER) ** 2)


def _field(tracks, found, mine, shift, rules):
    """Motion of each track's surroundings, from its linked neighbours and never from itself."""
    place, linked = tracks.place, np.flatnonzero(mine >= 0)
    out = np.tile(shift, (len(place), 1)).astype(float)
    if len(linked) < 2:
        return out
    own = found[mine[linked]] - place[linked]
    relative = (place[linked][None] - place[:, None]) / (2 * rules.spacing)
    weight = (np.exp(-0.5 * (relative**2).sum(axis=2)) + 1e-3) * _say(tracks)[linked]
    weight[linked, np.arange(len(linked))] = 0
    middle = np.median(own, axis=0)
    off = np.linalg.norm(own - middle, axis=1)
    weight = weight / (1 + (off / (2 * np.median(off) + 0.25)) ** 2)
    # the global shift has a say of half a neighbour, and slopes are held small: few neighbours tell no slope
    design = np.concatenate([np.ones((*relative.shape[:2], 1)), relative], axis=2)
    weighted = np.swapaxes(design * weight[..., None], 1, 2)
    normal = weighted @ design + np.diag([0.5, 0.5, 0.5])
    return middle + np.linalg.solve(normal, weighted @ (own - middle))[:, 0]


def _merged(tracks, found, predicted, sigma, mine, cost):
    """Tracks whose region is one with another's: seen by the summed area and the common middle."""
    n = len(tracks.area)
    both, common = np.zeros(n, bool), np.zeros((n, 2))
    lost = np.flatnonzero(mine < 0)
    if len(lost) == 0:
        return both, common
    radius = np.sqrt(found.area / np.pi)
    inside = np.linalg.norm(predicted[lost][:, None] - found.place[None], axis=2) < 1.3 * radius[None]
    owner = np.full(len(found.area), -1)
    owner[mine[mine >= 0]] = np.flatnonzero(mine >= 0)
    for j in np.flatnonzero(inside.any(axis=0)):
        members = lost[inside[:, j]]
        if owner[j] >= 0:
            members = np.append(members, owner[j])
        members = members[~both[members]]
        for group in _groups(members, tracks.area, found.area[j]):
            area = tracks.area[group]
            off = found.place[j] - np.average(predicted[group], axis=0, weights=area)
            price = (off**2).sum() / (sigma[group] ** 2).mean() + (
                np.log(found.area[j] / area.sum()) / MERGE_SCATTER
            ) ** 2
            alone = cost[owner[j], j] if owner[j] in group else GATE**2
            if price < min(alone, GATE**2):
                both[group], common[group] = True, off
                break
    return both, common


def _groups(members, area, whole):
    """Pairs and then all of the members, the best sum of areas first."""
    pairs = [members[[i, k]] for i in range(len(members)) for k in range(i)]
    if len(members) > 2:
        pairs.append(members)
    return sorted(pairs, key=lambda g: abs(np.log(whole / area[g].sum())))


def _taken(tracks, both, found, free):
    """Free detections that lie on a track, or where merged tracks are: no new particle."""
    if len(tracks.area) == 0 or len(free) == 0:
        return np.zeros(len(free), bool)
    distance = np.linalg.norm(found.place[free][:, None] - tracks.place[None], axis=2)
    radius = np.sqrt(found.area[free] / np.pi)[:, None]
    own = np.sqrt(tracks.area / np.pi)[None]
    # two solid particles stay further apart than this, unless one lies on the other
    return ((distance < np.maximum(radius, own)) | ((distance < 1.3 * radius) & both[None])).any(axis=1)


def _moved(tracks, found, patches, predicted, mine, spread, rules):
    seen = mine >= 0
    place, at = predicted.copy(), mine[seen]
    off = found.place[at] - predicted[seen]
    place[seen] = found.place[at]
    velocity = tracks.velocity * 0.98
    velocity[seen] += VELOCITY_GAIN * off / (1 + tracks.missed[seen, None])
    velocity[seen & (tracks.missed > 0)] *= 0.5
    area, whole = tracks.area.copy(), ~found.cut[at]
    area[seen] *= np.where(whole, (found.area[at] / area[seen]) ** AREA_GAIN, 1.0)
    looks = tracks.looks
    if patches is not None:
        looks = looks.copy()
        before = looks[seen]
        looks[seen] = np.where(np.isfinite(before), 0.9 * before + 0.1 * np.nan_to_num(patches[at]), patches[at])
    if seen.sum() >= 3:
        usual = np.sqrt(np.median((off**2).sum(axis=1)) / 1.386)  # median of a squared 2D Gaussian length
        spread = float(np.clip((1 - SPREAD_GAIN) * spread + SPREAD_GAIN * usual, 0.3, 1.5 * rules.slack))
    return Tracks(place, area, np.where(seen, 0, tracks.missed + 1), tracks.hits + seen, velocity, looks, spread)
