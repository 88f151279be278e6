"""The network that finds particles in micrographs, and its training on virtual powders.

It sees the micrograph at a working resolution where particles are about 14 to 250 pixels wide, and answers four
questions about every pixel: is it particle, is it on a border between two particles, how far inside its own
particle is it (0 at the outline, 1 at the middle), and does its particle dip under another one here.

Train with ``python -m morpholith.nets.particle_net WEIGHTS --steps 4000``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numba import njit
from scipy import ndimage as ndi

from .bank import Bank
from .store import SHIPPED, load, save

WEIGHTS = SHIPPED / "particles"
HEADS = ("particle", "border", "depth", "behind")
CHANNELS = (16, 32, 48, 64, 96, 128)
BORDER_PX = 1.5  # half width of the border class, working pixels
BEHIND_PX = 4
PATCH = 256
TILE = 384  # a virtual field is rendered at this many working pixels, patches are cut from it


# --- what the network is asked -------------------------------------------------------------------------------


def normalise(array: np.ndarray) -> np.ndarray:
    """Return float32 with the 1st and 99.5th percentile at 0 and 1: detector gain and offset drop out."""
    sample = array[:: max(1, array.shape[0] // 500), :: max(1, array.shape[1] // 500)]
    low, high = np.percentile(sample, (1, 99.5))
    scaled = (array.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    return np.clip(scaled, -0.5, 2.0)


def targets(labels: np.ndarray, body: np.ndarray, tolerance: float) -> np.ndarray:
    """Return (4, y, x) float32 truth for the four heads; `behind` is -1 where the question does not arise.

    Parameters
    ----------
    labels : (y, x) int array
    body : (y, x) array
        Height of the visible surface.
    tolerance : float
        How much higher a neighbour must be to count as lying over this particle, same unit as `body`.
    """
    border = np.zeros(labels.shape, np.float32)
    behind = np.full(labels.shape, -1, np.float32)
    _contacts(labels, body.astype(np.float32), tolerance, border, behind)
    depth = np.zeros(labels.shape, np.float32)
    for label, box in enumerate(ndi.find_objects(labels), start=1):
        if box is None:
            continue
        grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        mask = np.pad(labels[grown] == label, 1)  # the frame cuts like an outline
        inner = ndi.distance_transform_edt(mask)[1:-1, 1:-1]
        own = mask[1:-1, 1:-1]
        depth[grown][own] = (inner / inner.max())[own]
    return np.stack([(labels > 0).astype(np.float32), border, depth, behind])


@njit(cache=True)
def _contacts(labels, body, tolerance, border, behind):
    ny, nx = labels.shape
    for y in range(ny):
        for x in range(nx):
            own = labels[y, x]
            if own == 0:
                continue
            nearest, over = 1e9, 0.0
            for j in range(max(y - BEHIND_PX, 0), min(y + BEHIND_PX + 1, ny)):
                for i in range(max(x - BEHIND_PX, 0), min(x + BEHIND_PX + 1, nx)):
                    other = labels[j, i]
                    d2 = (j - y) ** 2 + (i - x) ** 2
                    if other != own and other != 0 and d2 < nearest:
                        nearest, over = d2, body[j, i] - body[y, x]
            if nearest <= (2 * BORDER_PX) ** 2 / 2:
                border[y, x] = 1
            if nearest <= BEHIND_PX**2:
                behind[y, x] = 1 if over > tolerance else 0


# --- virtual powders to learn from -----------------------------------------------------------------------------


def virtual_field(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (micrograph uint8, targets uint8 0..200 with 255 for no answer, labels) at the working resolution.

    Everything a micrograph can vary in is drawn anew: sizes, shapes, habits, crowding, and the instrument.
    """
    from ..specimens.microscope import Microscope, micrograph
    from ..specimens.powder import Powder, scene
    from ..specimens.primary import HABITS, Habit

    rng = np.random.default_rng([seed, 2022])
    factor = int(rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2]))
    d50_px = float(np.exp(rng.uniform(np.log(12), np.log(230)))) * factor
    d50_um = float(np.exp(rng.uniform(np.log(1.5), np.log(15))))
    spacing = d50_um / d50_px
    thickness = d50_um * np.exp(rng.uniform(np.log(0.008), np.log(0.12)))
    length = min(thickness * rng.uniform(1.5, 9), 0.35 * d50_um)
    powder = Powder(
        d50_um=d50_um,
        geometric_sd=rng.uniform(1.05, 1.75),
        circularity_mean=rng.uniform(0.8, 0.975),
        circularity_sd=rng.uniform(0.005, 0.04),
        habit=Habit(str(rng.choice(HABITS)), max(thickness, 1.3 * spacing), max(length, thickness, 2 * spacing)),
        coverage=float(np.exp(rng.uniform(np.log(0.12), np.log(1.8)))),
        clustering=rng.uniform(0, 0.8),
    )
    n = TILE * factor
    microscope = Microscope(
        magnification=100 / spacing,
        shape=(n, n),
        dose=float(np.exp(rng.uniform(np.log(25), np.log(500)))),
        probe_um=spacing * rng.uniform(0.6, 3.0),
        convergence_mrad=rng.uniform(0, 12),
        detector_azimuth_deg=rng.uniform(0, 360),
        shadowing=rng.uniform(0.3, 1.6),
        edge_brightness=rng.uniform(0.3, 1.8),
        charging=rng.uniform(0, 2),
        unevenness=rng.uniform(0, 2),
        background=float(np.exp(rng.uniform(np.log(0.12), np.log(1.1)))),
        brightness=rng.uniform(60, 130),
        contrast=rng.uniform(35, 110),
    )
    field = scene(powder, shape=(n, n), spacing=spacing, rng=rng)
    image = micrograph(field, microscope, rng=rng)
    image = np.rint(reduce(image, factor)).astype(np.uint8)
    # an even block has no middle pixel: take either of the two, so that outlines are not shifted on average
    middle = tuple(slice(int(rng.integers((factor - 1) // 2, factor // 2 + 1)), None, factor) for _ in range(2))
    labels = field.labels[middle]
    labels = drop_slivers(labels)
    truth = targets(labels, field.body[middle], 0.04 * d50_um)
    return image, np.where(truth < 0, 255, np.rint(truth * 200)).astype(np.uint8), labels


def drop_slivers(labels: np.ndarray, pixels: int = 12) -> np.ndarray:
    """Forget visible remains too small to be called a particle at this resolution."""
    small = np.bincount(labels.ravel()) < pixels
    return np.where(small[labels], 0, labels).astype(np.int32)


def reduce(array: np.ndarray, factor: int) -> np.ndarray:
    """Return means over blocks of `factor` pixels; a remainder at the end is averaged over what there is."""
    if factor == 1:
        return array.astype(np.float32)
    pad = [(0, -n % factor) for n in array.shape]
    padded = np.pad(array.astype(np.float32), pad, mode="edge")
    ny, nx = (n // factor for n in padded.shape)
    return padded.reshape(ny, factor, nx, factor).mean((1, 3))


class Fields(Bank):
    """Virtual fields on disk, drawn once and cut into random patches."""

    @staticmethod
    def draw(seed: int) -> dict[str, np.ndarray]:
        """Return image and targets of one field."""
        image, truth, _ = virtual_field(seed)
        return {"image": image, "truth": truth}

    @lru_cache(maxsize=4000)  # noqa: B019 - one bank lives as long as the training
    def field(self, seed: int):
        """Return (image, targets) of one virtual field."""
        with np.load(self.folder / f"{seed}.npz") as kept:
            return kept["image"], kept["truth"]

    def batch(self, step: int, size: int = 8):
        """Return the tensors of one step: images (b, 1, y, x) and targets (b, 4, y, x), as a function of `step`."""
        import torch

        rng = np.random.default_rng([step, 7])
        images, truths = zip(*(self._patch(rng) for _ in range(size)), strict=True)
        return torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(np.stack(truths))

    def _patch(self, rng):
        image, truth = self.field(int(rng.integers(self.n)))
        y, x = rng.integers(0, TILE - PATCH + 1, 2)
        grey = image.astype(np.float32)
        if rng.random() < 0.3:
            grey = 255 * (grey / 255) ** rng.uniform(0.6, 1.6)
        if rng.random() < 0.3:
            grey = ndi.gaussian_filter(grey, rng.uniform(0.3, 1.2))
        if rng.random() < 0.3:
            grey = grey + rng.normal(0, rng.uniform(2, 14), grey.shape)
        grey = normalise(grey)[y : y + PATCH, x : x + PATCH]
        truth = truth[:, y : y + PATCH, x : x + PATCH]
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        grey, truth = np.rot90(grey, turn), np.rot90(truth, turn, (1, 2))
        if flip:
            grey, truth = grey[:, ::-1], truth[:, :, ::-1]
        return np.ascontiguousarray(grey, np.float32), np.ascontiguousarray(truth)


def loss(scores, truth):
    """Cross entropy for the three classes (where they are asked), absolute error for the depth."""
    import torch.nn.functional as F

    t = truth.float() / 200
    particle = F.binary_cross_entropy_with_logits(scores[:, 0], t[:, 0])
    weight = 1 + 2 * t[:, 1]
    border = F.binary_cross_entropy_with_logits(scores[:, 1], t[:, 1], weight=weight)
    inside = (t[:, 0] > 0.5).float()
    depth = ((scores[:, 2].sigmoid() - t[:, 2]).abs() * (0.2 + inside)).mean()
    asked = (truth[:, 3] != 255).float()
    behind = F.binary_cross_entropy_with_logits(scores[:, 3], t[:, 3].clamp(0, 1), weight=asked, reduction="sum")
    return particle + 1.5 * border + 2 * depth + 0.3 * behind / (asked.sum() + 1)


def network():
    """Return the untrained network."""
    from .unet import UNet

    return UNet(1, len(HEADS), CHANNELS)


# --- use ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def trained(weights: Path = WEIGHTS, device_name: str = "cpu"):
    """Return the trained network, ready to predict."""
    import torch

    from .training import device

    state, _ = load(weights)
    model = network()
    model.load_state_dict(state)
    return model.eval().fused().to(device(device_name), memory_format=torch.channels_last)


def predict(array: np.ndarray, *, weights: Path = WEIGHTS, device: str = "cpu") -> dict[str, np.ndarray]:
    """Return a map in 0..1 per head for a (y, x) micrograph already at the working resolution.

    Large arrays are read in tiles that overlap by more than the network looks around; grey levels are
    normalised over the whole image, so that tiles agree.
    """
    model = trained(weights, device)
    grey = normalise(array)
    maps = np.empty((len(HEADS), *array.shape), np.float32)
    for keep, window in _tiles(array.shape):
        scores = _scores(model, grey[window])
        offset = tuple(slice(k.start - w.start, k.stop - w.start) for k, w in zip(keep, window, strict=True))
        maps[(slice(None), *keep)] = scores[(slice(None), *offset)]
    return dict(zip(HEADS, maps, strict=True))


TILE_EDGE, HALO = 1024, 160


def _tiles(shape):
    """Yield (what to keep, what to read) slices that cover `shape`; one tile when it is small."""
    if max(shape) <= TILE_EDGE + 2 * HALO:
        whole = tuple(slice(0, n) for n in shape)
        yield whole, whole
        return
    for y in range(0, shape[0], TILE_EDGE):
        for x in range(0, shape[1], TILE_EDGE):
            keep = tuple(slice(a, min(a + TILE_EDGE, n)) for a, n in zip((y, x), shape, strict=True))
            window = tuple(
                slice(max(k.start - HALO, 0), min(k.stop + HALO, n)) for k, n in zip(keep, shape, strict=True)
            )
            yield keep, window


def _scores(model, grey):
    import torch

    ny, nx = grey.shape
    pad = [(0, -n % model.stride) for n in (ny, nx)]
    x = torch.from_numpy(np.pad(grey, pad, mode="symmetric" if min(ny, nx) >= model.stride else "edge"))
    where = next(model.parameters()).device
    with torch.inference_mode():
        scores = model(x[None, None].to(where, memory_format=torch.channels_last))
    return scores[0].sigmoid().cpu().numpy()[:, :ny, :nx]


def train(
    path: Path,
    *,
    steps: int = 4000,
    fields: int = 1200,
    scratch: Path,
    start: Path | None = None,
    device: str = "cpu",
    mixed: bool = False,
) -> None:
    """Train on virtual powders and store the weights with their recipe; resumes from `scratch`.

    With `start` the network begins from stored weights, at half the learning rate, and the recipe keeps theirs.
    """
    from .training import fit

    bank = Fields(Path(scratch) / "fields", fields)
    bank.fill(range(fields))
    model, before, rate = network(), None, 2e-3
    if start is not None:
        weights, before = load(start)
        model.load_state_dict(weights)
        rate = 1e-3
    state, curve = fit(
        model, bank.batch, loss, steps=steps, checkpoint=Path(scratch) / "checkpoint.pt",
        learning_rate=rate, device_name=device, mixed=mixed,
    )  # fmt: skip
    recipe = {
        "what": "particles in scanning electron micrographs, trained on virtual powders alone",
        "command": f"python -m morpholith.nets.particle_net WEIGHTS --steps {steps} --fields {fields}"
        + (" --start BEFORE" if before else "")
        + (" --mixed" if mixed else ""),
        "architecture": {"unet": {"n_in": 1, "heads": HEADS, "channels": CHANNELS}},
        "steps": steps,
        "batch": 8,
        "patch": PATCH,
        "fields": fields,
        "loss_first_100": float(np.mean(curve[:100])),
        "loss_last_100": float(np.mean(curve[-100:])),
        "before": before,
        "licence": "BSD-3-Clause",
    }
    save(path, state, recipe)


def main() -> None:
    """Read the command line and train."""
    import argparse

    parser = argparse.ArgumentParser(description="Train the particle network on virtual powders.")
    parser.add_argument("weights", type=Path, help="where to store the weights")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--fields", type=int, default=1200)
    parser.add_argument("--start", type=Path, help="stored weights to begin from")
    parser.add_argument("--scratch", type=Path, default=Path("scratch/particles"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--mixed", action="store_true", help="bfloat16 where the processor has it")
    parser.add_argument("--render-only", type=int, nargs=2, metavar=("FIRST", "LAST"), help="only fill the bank")
    options = parser.parse_args()
    if options.render_only:
        Fields(options.scratch / "fields", options.fields).fill(range(*options.render_only))
        return
    train(
        options.weights, steps=options.steps, fields=options.fields, scratch=options.scratch, start=options.start,
        device=options.device, mixed=options.mixed,
    )  # fmt: skip


if __name__ == "__main__":
    main()
