"""Agreement with what people drew by hand on real micrographs, for every method.

    MORPHOLITH_DATA=... python bench/bench_real.py [--checkpoint mobile_sam.pt] [--toy]

Gas-atomised powder (AMPIS, MIT licence): instances, sizes and circularity against hand-drawn polygons. Porous
ceramic (MIT licence), which is no powder: only the share of area on which method and hand agree.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("MORPHOLITH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
UNIT = (1.0, 1.0)  # the files do not say their pixel size; everything here is in pixels


def drawn(folder: Path) -> dict[str, np.ndarray]:
    """Return the hand-drawn label image of each AMPIS micrograph; where polygons overlap the smaller is on top."""
    from PIL import Image
    from skimage.draw import polygon

    out = {}
    for entry in json.loads((folder / "particle_polygons_via.json").read_text()).values():
        with Image.open(folder / entry["filename"]) as file:
            labels = np.zeros((file.height, file.width), np.int32)
        shapes = [r["shape_attributes"] for r in entry["regions"]]
        filled = [polygon(s["all_points_y"], s["all_points_x"], shape=labels.shape) for s in shapes]
        for k in sorted(range(len(filled)), key=lambda k: -len(filled[k][0])):
            labels[filled[k]] = k + 1
        out[entry["filename"]] = labels
    return out


def powder(method, checkpoint, few) -> list[dict]:
    """One row an image: detection at two overlaps, and size and shape of the matched whole particles."""
    from morpholith import measure, read, segment
    from morpholith.segment.matching import match

    rows = []
    folder = DATA / "sem" / "ampis"
    for name, truth in list(drawn(folder).items())[:few]:
        image = read.image(folder / name, pixel_size=1.0).array
        start = time.perf_counter()
        found = segment.particles(image, spacing=UNIT, method=method, checkpoint=checkpoint)
        seconds = time.perf_counter() - start
        hand = measure.particles(truth, spacing=UNIT)
        hand["form"] = measure.form_circularity(truth, spacing=UNIT)[hand.index - 1]
        mine = measure.field(image, found.labels, found.contacts, spacing=UNIT)
        row = {"set": "metal powder", "image": name, "method": method, "hand": len(hand), "found": len(mine)}
        for overlap in (0.5, 0.7):
            m = match(truth, found.labels, iou=overlap)
            row |= {f"recall_{overlap}": m.recall, f"precision_{overlap}": m.precision}
        pairs = m.pairs.merge(hand, left_on="truth", right_index=True)
        pairs = pairs.merge(mine.add_prefix("my_"), left_on="label", right_index=True)
        whole = pairs[~pairs.touches_edge & ~pairs.my_touches_edge & (pairs.diameter_um > 10)]
        free = whole[whole.my_rejected == ""]
        row |= {
            "mean_iou": m.mean_iou,
            "d50_ratio": whole.my_diameter_um.median() / whole.diameter_um.median(),
            "diameter_bias": np.log(whole.my_diameter_um / whole.diameter_um).median(),
            "circularity_difference": (free.my_circularity - free.form).mean(),
            "seconds": seconds,
        }
        rows.append(row)
    return rows


def ceramic(method, checkpoint, few) -> list[dict]:
    """One row an image: Dice of all that was called particle with the hand-drawn solid."""
    from morpholith import read, segment

    rows = []
    folder = DATA / "sem" / "porous_ceramic"
    for path in sorted(folder.glob("dataset_*_sem.bmp"))[:few]:
        image = read.image(path, pixel_size=1.0).array
        solid = read.image(str(path).replace("_sem.bmp", "_th.bmp"), pixel_size=1.0).array > 127
        found = segment.particles(image, spacing=UNIT, method=method, checkpoint=checkpoint).labels > 0
        dice = 2 * (found & solid).sum() / (found.sum() + solid.sum())
        rows.append({"set": "porous ceramic", "image": path.name, "method": method, "dice": dice})
    return rows


def main() -> None:
    """Score the methods and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--checkpoint", type=Path, default=DATA / "weights" / "mobile_sam.pt")
    parser.add_argument("--methods", default="learned,classical,sam")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"real data are not in {DATA}; set MORPHOLITH_DATA")
    warnings.simplefilter("ignore")
    few = 1 if options.toy else None
    methods = ["learned"] if options.toy else options.methods.split(",")
    rows = []
    for method in methods:
        checkpoint = options.checkpoint if method == "sam" else None
        rows += powder(method, checkpoint, few) + ceramic(method, checkpoint, few)
    table = pd.DataFrame(rows)
    options.results.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.results / "real.csv", index=False)
    print(table.drop(columns="image").groupby(["set", "method"]).mean().T.round(3).to_string())


if __name__ == "__main__":
    main()
