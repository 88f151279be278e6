"""Label a grid with PyAPD, in an environment of its own: ``PYTHON peer_pyapd.py CASE.npz LABELS.npz REPEATS``.

`bench_power_diagram.py --peer PYTHON` calls it. The case holds seeds, matrices and radii (of the squared norm) in
voxels, and the edge of the grid. The first call compiles and is not timed; labels count from 1 in the order (z, y, x).
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from PyAPD import apd_system


def main() -> None:
    """Label, time, store."""
    case, out, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with np.load(case) as found:
        seeds, matrices, radii, side = found["seeds"], found["matrices"], found["radii"], int(found["side"])
    box = torch.tensor([[-0.5, side - 0.5]] * 3)
    apd = apd_system(
        domain=box,
        X=torch.tensor(seeds, dtype=torch.float32),
        As=torch.tensor(matrices, dtype=torch.float32),
        W=torch.tensor(radii, dtype=torch.float32),
        pixel_params=(side, side, side),
        device="cpu",
    )
    apd.assemble_pixels()
    places = np.asarray(apd.y.torch() if hasattr(apd.y, "torch") else apd.Y).reshape(-1, 3)
    apd.assemble_apd()
    clock, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        labels = apd.assemble_apd()
        clock.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    volume = np.zeros((side,) * 3, np.int32)
    volume[tuple(np.rint(places).astype(int).T)] = labels.numpy() + 1
    np.savez(out, labels=volume, seconds=min(clock), cpu_seconds=min(cpu))


if __name__ == "__main__":
    main()
