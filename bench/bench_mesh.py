"""Tetrahedral meshes of a ball of grains: seconds, quality, and errors of volume and surface against the cell size.

    python bench/bench_mesh.py           about 1000 grains, up to more than a million tetrahedra
    python bench/bench_mesh.py --toy     the same in seconds, to see that it runs

Volume and area of the ball are known; volumes of grains are compared with a label grid of a third of the cell. Beside
them stand what else is made of a label grid of the same step: the voxels themselves and, where PyVista is installed,
its surface nets (`contour_labels`), which are surfaces without tetrahedra. One thread, processor seconds, compiled
beforehand.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from morpholith import export, generate

RESULTS = Path(__file__).parent / "results"
RADIUS = 6.0


def field_of(n, rng):
    """Grains of axis ratios up to 2.25 whose seeds fill a box around the ball."""
    rng = np.random.default_rng(rng)
    half = 1.15 * RADIUS
    seeds = rng.uniform(-half, half, (n, 3))
    turn = np.linalg.qr(rng.standard_normal((n, 3, 3)))[0]
    m = turn * np.exp(rng.uniform(-1, 1, (n, 1, 3)) * np.log(1.5)) @ turn.swapaxes(1, 2)
    size = 2 * half / n ** (1 / 3)
    return generate.GrainField(seeds, (m + m.swapaxes(1, 2)) / 2 / size**2, 0.1 * rng.standard_normal(n))


def labels_of(field, step):
    """Label the voxels of the ball."""
    line = np.arange(-RADIUS - 2 * step, RADIUS + 2.5 * step, step)
    inside = np.square(line)[:, None, None] + np.square(line)[:, None] + np.square(line) < RADIUS**2
    return generate.label_grid(
        *field[:3], shape=inside.shape, spacing=step, origin=(line[0],) * 3, power=field.power, inside=inside, threads=1
    )


def errors(volume, area):
    """Return relative errors of the ball's volume and surface."""
    return {"volume_error": volume / (4 / 3 * np.pi * RADIUS**3) - 1, "area_error": area / (4 * np.pi * RADIUS**2) - 1}


def ours(field, cell, folder):
    """Mesh and write, timed."""
    start = time.process_time()
    mesh = generate.tet_mesh(field, cell_um=cell, shell=np.array([RADIUS * np.sqrt(4 * np.pi)]))
    row = {"what": "tet_mesh", "cell_um": cell, "seconds": time.process_time() - start}
    names = (
        "tets",
        "points",
        "grains",
        "min_dihedral_deg",
        "percentile_1_dihedral_deg",
        "mean_min_dihedral_deg",
        "max_dihedral_deg",
        "mean_radius_ratio",
        "slivers",
        "off_boundary",
        "rms_off_um",
        "pinched_edges",
    )
    row |= {name: mesh.quality[name] for name in names}
    outer = mesh.points[mesh.faces[mesh.face_grains[:, 1] == 0]]
    area = np.linalg.norm(np.cross(outer[:, 1] - outer[:, 0], outer[:, 2] - outer[:, 0]), axis=1).sum() / 2
    row |= errors(mesh.quality["volume_um3"], area)
    fine = np.bincount(labels_of(field, cell / 3).ravel(), minlength=len(field.seeds) + 1)[1:] * (cell / 3) ** 3
    made = mesh.grains.volume_um3.reindex(np.arange(1, len(fine) + 1), fill_value=0)
    row["grain_volume_error"] = np.abs(made - fine).sum() / fine.sum()
    for suffix in ("vtu", "msh", "inp"):
        start = time.process_time()
        path = export.write_mesh(folder / f"mesh.{suffix}", mesh)
        row[f"{suffix}_seconds"] = time.process_time() - start
        row[f"{suffix}_mb"] = path.stat().st_size / 1e6
        path.unlink()
    return row


def voxels(field, cell):
    """Return what the voxels say."""
    start = time.process_time()
    labels = labels_of(field, cell)
    spent = time.process_time() - start
    inside = labels > 0
    faces = sum(np.count_nonzero(np.diff(inside, axis=k)) for k in range(3))
    return {"what": "voxels", "cell_um": cell, "seconds": spent, "grains": len(np.unique(labels)) - 1} | errors(
        inside.sum() * cell**3, faces * cell**2
    )


def nets(field, cell):
    """Return what surface nets say, or None without PyVista."""
    try:
        import pyvista as pv
    except ImportError:
        return None
    labels = labels_of(field, cell)
    image = pv.ImageData(dimensions=labels.shape, spacing=(cell,) * 3)
    image.point_data["labels"] = labels.ravel(order="F")
    start = time.process_time()
    surface = image.contour_labels("external", scalars="labels", smoothing=True, output_mesh_type="triangles")
    spent = time.process_time() - start
    return {"what": "contour_labels, outer", "cell_um": cell, "seconds": spent} | errors(
        abs(surface.volume), surface.area
    )


def main() -> None:
    """Mesh at several cell sizes and print the table."""
    import tempfile

    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    cells = (2.0, 1.5) if options.toy else (1.0, 0.5, 0.35, 0.23)
    field = field_of(100 if options.toy else 2800, 0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours(field, 2.0, Path(folder))  # compiles
        for cell in cells:
            rows += [ours(field, cell, Path(folder)), voxels(field, cell), nets(field, cell)]
    table = pd.DataFrame([row for row in rows if row])
    print(table.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    options.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.results / "mesh.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
