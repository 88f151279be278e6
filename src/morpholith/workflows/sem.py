"""Powders, from scanning electron micrographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import columns as c
from ..image import Image, Quantity
from ..progress import progress
from ..results import Result

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ..read import Campaign


@dataclass(frozen=True)
class Field:
    """One micrograph with the particles found in it."""

    name: str
    condition: str
    image: Image
    labels: np.ndarray
    table: pd.DataFrame


def measure(
    images: list[Path],
    /,
    *,
    pixel_size: float | None = None,
    page: int | None = None,
    method: Literal["learned", "classical", "sam"] = "learned",
    checkpoint: Path | None = None,
    seed: int = 0,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Result:
    """Measure a powder from its micrographs: particle sizes, circularity and texture, each with its interval.

    Several images are one sample. Folders are conditions, one each; a table image,condition,... in CSV is a campaign
    whose numeric columns are process variables. Fields at 3000x give sizes and shapes, fields at 15000x add texture.

    Parameters
    ----------
    images
        Image files, folders of images, or one campaign table.
    pixel_size
        Pixel size in um, needed when the file does not say it; it wins when the file says otherwise.
    page
        Which image of multi-page files, from 0; needed when a file has several of one size.
    method
        How particles are found: the shipped network, a watershed without training, or Segment Anything.
    checkpoint
        Checkpoint file of MobileSAM or SAM for method sam; other weights for method learned.
    seed
        Seed of the bootstrap.
    device
        Where the network runs.
    """
    from ..read import campaign

    plan = campaign(images)
    see = partial(
        look, pixel_size=pixel_size, page=page, method=method, checkpoint=checkpoint, device=device
    )  # fmt: skip
    fields = [see(path, condition, name=name) for path, condition, name in progress(_named(plan), label="measuring")]
    return assess(plan, fields, seed=seed)


def look(
    path: Path, condition: str, *, name: str, pixel_size: float | None = None, page: int | None = None,
    method: str = "learned", checkpoint: Path | None = None, device: str = "cpu",
) -> Field:  # fmt: skip
    """Read one micrograph, find its particles and measure them."""
    from .. import measure, read, segment

    image = read.image(path, pixel_size=pixel_size, page=page)
    spacing = (image.spacing[0], image.spacing[1])
    found = segment.particles(image.array, spacing=spacing, method=method, checkpoint=checkpoint, device=device)
    table = measure.field(image.array, found.labels, found.contacts, spacing=spacing, score=found.score)
    return Field(name, condition, image, found.labels, table)


def assess(plan: Campaign, fields: list[Field], *, seed: int) -> Result:
    """Turn measured fields into descriptors per condition, trends, pictures and warnings."""
    import numpy as np
    import pandas as pd

    from .. import measure
    from ..report import powder as pictures

    table = pd.concat([f.table.assign(**{c.IMAGE: f.name, c.CONDITION: f.condition}) for f in fields])
    frames = {f.name: _frame_um(f.image) for f in fields}
    streams = np.random.default_rng(seed).spawn(len(plan.conditions) + 1)
    described = {}
    for condition, rng in zip(plan.conditions.index, streams, strict=False):
        of_it = {f.name: frames[f.name] for f in fields if f.condition == condition}
        described[condition] = measure.describe(table[table[c.CONDITION] == condition], frames=of_it, rng=rng)
    one = len(described) == 1
    overall = described[plan.conditions.index[0]] if one else measure.describe(table, frames=frames, rng=streams[-1])
    known = table[np.isfinite(table[c.SIZE])]
    curve = measure.size_curve(
        known[c.SIZE].to_numpy(), weights=measure.frame_weights(known, frames),
        groups=known[c.IMAGE].to_numpy() if len(frames) > 1 else None, rng=streams[-1],
    )  # fmt: skip
    by_condition = measure.condition_table(described, plan.conditions)
    correlations = measure.descriptor_correlations(table, by_condition)
    trends = measure.trend_table(by_condition, list(plan.conditions.columns))
    tables = {"particles": measure.for_file(table), "images": _images(fields), "correlations": correlations}
    tables |= {"size_distribution": curve}
    if not one:
        tables |= {"conditions": by_condition, "trends": trends}
    return Result(
        title="Powder measured from micrographs",
        summary=overall | _scale(fields),
        tables=tables,
        figures=pictures.figures(fields, table, curve, overall, described, plan.conditions, correlations),
        warnings=[
            *_of_images(fields),
            *_of_conditions(described, plan),
            *measure.cautions(table, overall, frames),
        ],
        files={
            f"labels/{stem}_labels.tif": partial(_save_labels, field=f)
            for stem, f in zip(_stems(fields), fields, strict=True)
        },
        inputs=[*plan.source, *plan.images["path"]],
        text=_how(fields),
    )


def _stems(fields: list[Field]) -> list[str]:
    """Return the name of each image as one part of a path, without its suffix where that keeps them apart."""
    flat = [f.name.replace("/", "_").replace("\\", "_").lstrip("._") for f in fields]
    short = [Path(name).stem for name in flat]
    return short if len(set(short)) == len(short) else flat


def _save_labels(path: Path, *, field: Field) -> None:
    """Write the mask of every particle as Fiji opens it; the values are the labels of `particles.csv`."""
    import numpy as np

    from ..read import write_tiff

    path.parent.mkdir(parents=True, exist_ok=True)
    dtype = np.uint16 if field.labels.max(initial=0) < 65536 else np.float32
    write_tiff(path, Image(field.labels.astype(dtype), "yx", field.image.spacing))


def _named(plan: Campaign):
    """Yield (path, condition, name); the name is as short as keeps images apart."""
    paths = list(plan.images["path"])
    short = [p.name for p in paths]
    longer = [f"{p.parent.name}/{p.name}" for p in paths]
    names = next((n for n in (short, longer) if len(set(n)) == len(n)), [str(p) for p in paths])
    return list(zip(paths, plan.images["condition"], names, strict=True))


def _frame_um(image: Image) -> tuple[float, float]:
    return image.shape[0] * image.spacing[0], image.shape[1] * image.spacing[1]


def _images(fields: list[Field]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            c.IMAGE: f.name,
            c.CONDITION: f.condition,
            "n_particles": len(f.table),
            "height_px": f.image.shape[0],
            "width_px": f.image.shape[1],
            "pixel_size_um": f.image.spacing[1],
            "pixel_size_from": f.image.provenance.get("pixel_size_from", ""),
            "data_bar": f.image.provenance.get("banner", ""),
        }
        for f in fields
    ]
    return pd.DataFrame(rows).set_index(c.IMAGE)


def _scale(fields: list[Field]) -> dict[str, Quantity]:
    """Pixel size, if all images share it; its origin is the method."""
    import numpy as np

    sizes = np.array([s for f in fields for s in f.image.spacing])
    origins = sorted({f.image.provenance.get("pixel_size_from", "given") for f in fields})
    same = np.ptp(sizes) <= 1e-3 * sizes.max()
    return {
        "pixel_size_um": Quantity(
            float(sizes[0]) if same else np.nan,
            n=len(fields),
            unit="um",
            method="from " + "; ".join(origins),
            warning=None if same else "images have several pixel sizes, see images.csv",
        )
    }


def _of_images(fields: list[Field]) -> list[str]:
    """Warnings of the reader, each once, naming the images when they are few."""
    said: dict[str, list[str]] = {}
    for f in fields:
        for warning in f.image.warnings:
            said.setdefault(warning.replace(f.name, "the image"), []).append(f.name)
    empty = [f.name for f in fields if len(f.table) == 0]
    if empty and len(empty) < len(fields):
        said["no particle was found"] = empty
    return [
        f"{text} ({', '.join(names) if len(names) < 4 else f'{len(names)} images'})" for text, names in said.items()
    ]


def _of_conditions(described: dict[str, dict[str, Quantity]], plan: Campaign) -> list[str]:
    if len(described) == 1:
        return []
    said = ["The numbers at the top pool all conditions; conditions.csv has them one by one."]
    few = [name for name in described if (plan.images["condition"] == name).sum() < 2]
    if few:
        said.append(
            f"{len(few)} of {len(described)} conditions rest on a single image, so what varies from field to field is "
            f"not in their intervals."
        )
    return said


def _how(fields: list[Field]) -> dict[str, str]:
    origins = sorted({f.image.provenance.get("pixel_size_from", "given") for f in fields})
    return {
        "What was found": f"{len(fields)} image(s). Pixel size from {'; '.join(origins)}. "
        "Check the outlines first: every number below rests on them."
    }
