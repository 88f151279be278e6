"""Hand-drawn outlines of gas-atomised powder (AMPIS, MIT licence) as label images.

The polygons lie in one VIA file beside the micrographs. Vertices are pixel centres, x to the right and
y down. A polygon drawn later lies on top of one drawn earlier, smaller ones on top of larger ones.
"""

import json

import numpy as np

FOLDER = "sem/ampis"
POLYGONS = "particle_polygons_via.json"


def names(data):
    """Return the names of the micrographs that have polygons, sorted."""
    return sorted(entry["filename"] for entry in _entries(data))


def image(data, name):
    """Return one micrograph, (y, x) uint8."""
    from PIL import Image

    with Image.open(data / FOLDER / name) as file:
        return np.asarray(file.convert("L"))


def polygons(data, name):
    """Return the outlines of one micrograph: a list of (n, 2) arrays of (y, x) vertices in pixels."""
    for entry in _entries(data):
        if entry["filename"] == name:
            shapes = [region["shape_attributes"] for region in entry["regions"]]
            return [np.column_stack([s["all_points_y"], s["all_points_x"]]).astype(float) for s in shapes]
    raise KeyError(f"no polygons for {name!r}; there are {names(data)}")


def labels(data, name):
    """Return the hand-drawn label image, (y, x) int32, one label a polygon in the order of the file.

    Where polygons overlap the smaller one is on top, as a satellite lies on its particle.
    """
    from skimage.draw import polygon

    outlines = polygons(data, name)
    out = np.zeros(image(data, name).shape, np.int32)
    filled = [polygon(p[:, 0], p[:, 1], shape=out.shape) for p in outlines]
    for k in sorted(range(len(filled)), key=lambda k: -len(filled[k][0])):
        out[filled[k]] = k + 1
    return out


def _entries(data):
    return json.loads((data / FOLDER / POLYGONS).read_text()).values()
