"""Measure a micrograph from Python: read, find, measure, describe.

    python examples/01_measure_a_powder.py field.tif

Without a file it makes a virtual one, so that there is something to measure.
"""

import sys
from pathlib import Path

from morpholith import measure, read, segment, specimens
from morpholith.image import Image


def virtual_field(path: Path) -> Path:
    """Write a virtual micrograph and return its path."""
    microscope = specimens.Microscope(magnification=3000)
    scene = specimens.scene(specimens.Powder(d50_um=3.5), spacing=microscope.spacing, rng=1)
    return read.write_tiff(path, Image(specimens.micrograph(scene, microscope, rng=1), "yx", scene.spacing))


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else virtual_field(Path("field.tif"))
    image = read.image(path)
    print(f"{path}: {image.shape[1]} x {image.shape[0]} px, pixel size from {image.provenance['pixel_size_from']}")

    found = segment.particles(image.array, spacing=image.spacing)
    table = measure.field(image.array, found.labels, found.contacts, spacing=image.spacing).assign(image=path.name)
    print(table[["diameter_um", "circularity", "texture", "rejected"]].head(8).to_string())

    frame_um = tuple(n * s for n, s in zip(image.shape, image.spacing, strict=True))
    for key, quantity in measure.describe(table, frames={path.name: frame_um}, rng=0).items():
        print(f"{key:20s} {quantity}")


if __name__ == "__main__":
    main()
