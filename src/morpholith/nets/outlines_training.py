"""Training of the networks in `morpholith.nets.outlines`, on virtual scans alone.

    python -m morpholith.nets.outlines_training cycle_gan WEIGHTS --steps 1000
    python -m morpholith.nets.outlines_training dual_unet WEIGHTS --steps 2000
    python -m morpholith.nets.outlines_training supervised WEIGHTS --steps 2500

The scans are split by their seeds: frames to learn from have even seeds, the clean pictures that the Cycle-GAN
learns from without pairs have odd ones, and `VALIDATION` and above are seen by none.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from ..errors import InputError
from . import outlines
from .bank import Bank
from .store import save

FIELD = 320  # edge of a virtual frame, full-resolution pixels
PATCH = 128  # half-resolution pixels
ROI_EDGES = (48, 64, 96, 128)  # full-resolution pixels
VALIDATION = 1_000_000
BORDER = 7  # a pixel with two particles inside a square of this edge is on a border, full-resolution pixels
GAN_RATE = 5e-4  # of the smaller, shorter-trained networks; 2e-4 in Zhu et al. 2017
WHAT = {
    "cycle_gan": "Cycle-GAN between X-ray microscope frames and clean pictures of particles (generators)",
    "dual_unet": "Dual U-Net that cleans and outlines the particle in the middle of a region of interest",
    "supervised": "U-Net for particles and their borders in X-ray microscope frames",
}
ARCHITECTURE: dict[str, dict] = {
    "cycle_gan": {"width": 16, "blocks": 4, "judge": 16},
    "dual_unet": {"channels": (12, 16, 24, 32, 48)},
    "supervised": {"n_in": 1, "n_out": 2, "channels": (12, 16, 24, 32, 48)},
}


# --- what there is to learn from ---------------------------------------------------------------------------------


def border(labels: np.ndarray) -> np.ndarray:
    """Return True where two particles lie within a few pixels of each other and of here; (y, x) int to bool."""
    none = np.iinfo(labels.dtype).max
    low = ndi.minimum_filter(np.where(labels == 0, none, labels), BORDER)
    return (ndi.maximum_filter(labels, BORDER) != low) & (low != none)


def virtual_frames(seed: int) -> dict[str, np.ndarray]:
    """Return a few frames of one virtual scan, below and above the edge, in which everything is drawn anew.

    Returns
    -------
    dict
        ``frames`` optical density as recorded, ``clean`` that of the particles alone, both (k, y, x) float16, and
        ``labels`` (k, y, x) uint8.
    """
    from ..specimens import scan

    rng = np.random.default_rng([seed, 2023])
    for _ in range(20):
        try:
            made = scan(_drawn(rng), rng=rng)
            break
        except InputError:  # the particles did not fit into the field
            continue
    each = range(made.params.n_energies)
    return {
        "frames": np.stack([made.optical_density(0, e) for e in each]).astype(np.float16),
        "clean": np.stack([made.absorption(0, e) for e in each]).astype(np.float16),
        "labels": np.stack([made.labels(0, e) for e in each]).astype(np.uint8),
    }


def _drawn(rng):
    """Draw the parameters of a scan, from easier than typical to harder than faint."""
    from ..specimens import Scan

    def between(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    smallest = between(22, 75)
    largest = min(smallest * between(1.15, 2.2), 115.0)
    share = rng.uniform(0.05, 0.3)  # of the field under particles
    n = int(np.clip(share * FIELD**2 / (np.pi / 4 * ((smallest + largest) / 2) ** 2), 2, 30))
    pairs = int(rng.integers(0, n // 4 + 1))
    overlapping = int(rng.integers(0, pairs + 1)) if rng.random() < 0.3 else 0
    hard = rng.random()
    below, near, above = rng.uniform(8200, 8330), rng.uniform(8336, 8350), rng.uniform(8350, 8600)
    return Scan(
        shape=(FIELD, FIELD),
        energies_ev=(float(below), float(near), float(above)),
        n_particles=n,
        diameter_px=(smallest, largest),
        flat_share=rng.uniform(0, 0.6),
        lumpiness=rng.uniform(0.5, 2.0),
        contrast=between(0.35, 0.9) * between(0.8, 2.0),
        pre_edge=between(0.08, 0.45),
        charge=(0.0, rng.uniform(0, 2.0)),
        counts=between(120, 600) if hard < 0.7 else between(600, 5000),
        offset=rng.uniform(0, 0.5),
        blur_px=rng.uniform(0.6, 1.8),
        background=between(0.004, 0.045),
        residue=between(0.002, 0.02),
        debris=int(rng.integers(0, 40)),
        jitter_px=3.0,
        touching=pairs - overlapping,
        overlapping=overlapping,
        entering=int(rng.random() < 0.3 and n - 2 * pairs > 0),
        leaving=int(rng.random() < 0.3 and n - 2 * pairs > 1),
    )


class Scans(Bank):
    """Virtual scans on disk, drawn once and cut into random patches.

    Parameters
    ----------
    folder : Path
    n : int
        Scans to learn from, and as many other ones for clean pictures.
    """

    @staticmethod
    def draw(seed: int) -> dict[str, np.ndarray]:
        """Return frames and labels of one scan."""
        return virtual_frames(seed)

    @lru_cache(maxsize=2000)  # noqa: B019 - one bank lives as long as the training
    def scan(self, seed: int) -> dict[str, np.ndarray]:
        """Return one stored scan."""
        with np.load(self.folder / f"{seed}.npz") as kept:
            return dict(kept)

    @lru_cache(maxsize=20000)  # noqa: B019
    def frame(self, seed: int, k: int) -> np.ndarray:
        """Return (3, y, x) float32 at half resolution: normalised frame, share of particle, share of border."""
        kept = self.scan(seed)
        labels = kept["labels"][k]
        return np.stack(
            [
                outlines.normalise(outlines.halve(kept["frames"][k].astype(np.float32))),
                outlines.halve((labels > 0).astype(np.float32)),
                outlines.halve(border(labels).astype(np.float32)),
            ]
        )

    def _patch(self, rng, odd):
        seed = 2 * int(rng.integers(self.n)) + odd
        maps = self.frame(seed, int(rng.integers(len(self.scan(seed)["frames"]))))
        return _turned(_cut(maps, PATCH, rng), rng)

    def unpaired(self, step: int, size: int = 4):
        """Return frames and, of other scans, clean pictures, each (b, 1, y, x) in -1..1; a function of `step`."""
        import torch

        rng = np.random.default_rng([step, 31])
        frames = np.stack([self._patch(rng, 0)[:1] for _ in range(size)])
        other = np.stack([self._patch(rng, 1)[1:] for _ in range(size)])
        masks = 2 * other[:, :1] * (1 - other[:, 1:]) - 1
        return torch.from_numpy(_noisier(frames, rng)), torch.from_numpy(masks)

    def paired(self, step: int, size: int = 8):
        """Return frames (b, 1, y, x) and their truth (b, 2, y, x), shares of particle and border."""
        import torch

        rng = np.random.default_rng([step, 32])
        maps = np.stack([self._patch(rng, 0) for _ in range(size)])
        return torch.from_numpy(_noisier(maps[:, :1], rng)), torch.from_numpy(maps[:, 1:])

    def single(self, step: int, size: int = 8):
        """Return regions of interest with pointers (b, 2, y, x) and truth (b, 2, y, x), clean picture and inside."""
        import torch

        rng = np.random.default_rng([step, 33])
        edge = int(rng.choice(ROI_EDGES))  # one for all of a step, as a batch needs
        found: list[tuple[np.ndarray, np.ndarray]] = []
        while len(found) < size:
            kept = self.scan(2 * int(rng.integers(self.n)))
            cut = roi(kept, int(rng.integers(len(kept["frames"]))), edge, rng)
            if cut is not None:
                found.append(cut)
        x, truth = (np.stack(part) for part in zip(*found, strict=True))
        return torch.from_numpy(x), torch.from_numpy(truth)


def roi(kept: dict, k: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Cut a square of `size` pixels about a particle of frame `k` that fills a third to three quarters of it.

    Returns (picture and pointer, clean picture and inside), each (2, y, x) float32, or None where there is no such
    particle. The clean picture is the particle's own, in the unit of the noisy one.
    """
    labels = kept["labels"][k]
    boxes = [(n, box) for n, box in enumerate(ndi.find_objects(labels), 1) if box is not None]
    good = [b for b in boxes if 0.3 * size < max(s.stop - s.start for s in b[1]) < 0.8 * size]
    if not good or min(labels.shape) < size:
        return None
    number, box = good[int(rng.integers(len(good)))]
    corner = []
    for s, n in zip(box, labels.shape, strict=True):
        middle = (s.start + s.stop) / 2 + (s.stop - s.start) * rng.uniform(-0.12, 0.12)
        corner.append(int(np.clip(round(middle - size / 2), 0, n - size)))
    window = tuple(slice(c, c + size) for c in corner)
    picture, unit = outlines.normalise_roi(kept["frames"][k][window].astype(np.float32))
    own = (labels[window] == number).astype(np.float32)
    if not np.isfinite(unit) or own[size // 2 - 2 : size // 2 + 3, size // 2 - 2 : size // 2 + 3].mean() < 0.5:
        return None  # cut off by the frame: nothing lies in the middle
    clean = np.clip(kept["clean"][k][window].astype(np.float32) * own / unit, 0, 3)
    maps = _turned(np.stack([picture, clean, own]), rng)
    return np.stack([maps[0], outlines.pointer(own.shape)]), maps[1:]


def _cut(maps, size, rng):
    """Cut a square at random; what the frame does not reach is mirrored."""
    short = [(0, max(0, size - n)) for n in maps.shape[1:]]
    maps = np.pad(maps, [(0, 0), *short], mode="symmetric")
    y, x = (int(rng.integers(n - size + 1)) for n in maps.shape[1:])
    return maps[:, y : y + size, x : x + size]


def _turned(maps, rng):
    maps = np.rot90(maps, int(rng.integers(4)), (1, 2))
    return np.ascontiguousarray(maps[:, :, ::-1] if rng.random() < 0.5 else maps)


def _noisier(frames, rng):
    """Add noise and change the gain of some pictures, which stay in -1..1."""
    for k in range(len(frames)):
        if rng.random() < 0.3:
            frames[k] *= np.float32(rng.uniform(0.75, 1.2))
        if rng.random() < 0.3:
            frames[k] += rng.normal(0, rng.uniform(0.02, 0.08), frames[k].shape).astype(np.float32)
    return np.clip(frames, -1, 1)


# --- training ----------------------------------------------------------------------------------------------------


def supervised_loss(score, truth):
    """Cross entropy and Dice loss of the particles, cross entropy of the borders; scores and truth (b, 2, y, x)."""
    import torch.nn.functional as F

    from .dual_unet import overlap_loss

    weight = 1 + 4 * truth[:, 1]
    between = F.binary_cross_entropy_with_logits(score[:, 1], truth[:, 1], weight=weight)
    return overlap_loss(score[:, 0], truth[:, 0]) + between


def train(kind: str, path: Path, *, steps: int, scans: int, scratch: Path, device: str = "cpu") -> None:
    """Train "cycle_gan", "dual_unet" or "supervised" and store it with its recipe; resumes from `scratch`."""
    import torch

    from . import cycle_gan, dual_unet
    from .training import fit

    scratch = Path(scratch)
    bank = Scans(scratch / "scans", scans)
    bank.fill(range(2 * scans))
    torch.manual_seed(3)
    model = outlines.network(kind, ARCHITECTURE[kind])
    checkpoint = scratch / f"{kind}.pt"
    if kind == "cycle_gan":
        state, both = cycle_gan.fit(
            model, bank.unpaired, steps=steps, checkpoint=checkpoint, learning_rate=GAN_RATE, device_name=device
        )
        state = {k: v for k, v in state.items() if k.startswith("to_")}  # the judges have done their work
        curves = {"generators": [g for g, _ in both], "judges": [j for _, j in both]}
    else:
        batch, loss = (bank.single, dual_unet.loss) if kind == "dual_unet" else (bank.paired, supervised_loss)
        state, curve = fit(model, batch, loss, steps=steps, checkpoint=checkpoint, device_name=device)
        curves = {"loss": curve}
    recipe = {
        "what": f"{WHAT[kind]}, trained on virtual scans alone",
        "command": f"python -m morpholith.nets.outlines_training {kind} WEIGHTS --steps {steps} --scans {scans}",
        "kind": kind,
        "architecture": ARCHITECTURE[kind],
        "steps": steps,
        "scans": scans,
        "batch": 4 if kind == "cycle_gan" else 8,
        "patch": ROI_EDGES if kind == "dual_unet" else PATCH,
        "curve": {
            name: [round(float(np.mean(c)), 5) for c in np.array_split(v, min(20, len(v)))]
            for name, v in curves.items()
        },
        "licence": "BSD-3-Clause",
    }
    save(path, state, recipe)


def main() -> None:
    """Read the command line and train."""
    import argparse

    parser = argparse.ArgumentParser(description="Train a network that outlines particles, on virtual scans.")
    parser.add_argument("kind", choices=tuple(ARCHITECTURE))
    parser.add_argument("weights", type=Path, help="where to store the weights")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--scans", type=int, default=200, help="to learn from, and as many others for clean pictures")
    parser.add_argument("--scratch", type=Path, default=Path("scratch/outlines"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--render-only", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only draw these scans")
    options = parser.parse_args()
    if options.render_only:
        Scans(options.scratch / "scans", options.scans).fill(range(*options.render_only))
        return
    train(
        options.kind, options.weights, steps=options.steps, scans=options.scans, scratch=options.scratch,
        device=options.device,
    )  # fmt: skip


if __name__ == "__main__":
    main()
