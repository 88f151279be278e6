"""Blocks cover a volume once, results do not depend on them, and a cluster outlives one of its workers."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import ndimage as ndi

from morpholith import blocks, segment
from morpholith.blocks import Block
from morpholith.errors import InputError


@pytest.mark.parametrize(("shape", "chunks"), [((7, 11, 5), (3, 4, 5)), ((4, 4, 4), 9), ((10, 1, 6), (1, 1, 4))])
def test_blocks_cover_every_voxel_once(shape, chunks):
    count = np.zeros(shape, int)
    todo = blocks.cut(shape, chunks)
    for k, block in enumerate(todo):
        assert block.number == k
        count[block.slices] += 1
        assert count[block.slices].shape == block.shape
    np.testing.assert_array_equal(count, 1)


def test_pieces_of_a_box_name_their_blocks():
    shape, chunks = (7, 11, 5), (3, 4, 5)
    owner = np.zeros(shape, int)
    for block in blocks.cut(shape, chunks):
        owner[block.slices] = block.number
    box = Block(0, (2, 3, 0), (7, 9, 5))
    seen = np.full(box.shape, -1)
    for part in blocks.pieces(box, shape, chunks):
        seen[part.within(box)] = part.number
    np.testing.assert_array_equal(seen, owner[box.slices])


def test_a_halo_ends_at_the_volume():
    block = blocks.cut((10, 12, 14), (5, 6, 7))[1]
    outer = block.grown((2, 3, 40), (10, 12, 14))
    assert (outer.low, outer.high) == ((0, 0, 0), (7, 9, 14))
    volume = np.random.default_rng(0).random((10, 12, 14))
    np.testing.assert_array_equal(volume[outer.slices][block.within(outer)], volume[block.slices])


def test_offsets_count_on():
    np.testing.assert_array_equal(blocks.offsets([3, 0, 2]), [0, 3, 3, 5])


@pytest.mark.parametrize("chunks", [0, (3, 4), (3, -1, 2), 2.5])
def test_bad_chunks(chunks):
    with pytest.raises(InputError, match="`chunks` must be 3 positive numbers of voxels"):
        blocks.cut((4, 4, 4), chunks if isinstance(chunks, tuple) else (chunks,) * 3)


def test_mapped_blocks_equal_the_whole(tmp_path):
    volume = np.random.default_rng(1).random((20, 23, 17)).astype(np.float32)
    erode = partial(ndi.minimum_filter, size=(3, 5, 1), mode="nearest")
    out = blocks.map_blocks(
        erode, volume, store=tmp_path / "a.zarr", dtype=np.float32, chunks=(6, 23, 5), halo=(1, 2, 0), label="eroding"
    )
    assert out.chunks == (6, 23, 5)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr", mode="r")[...], erode(volume))


def test_one_worker_is_no_cluster():
    with blocks.cluster() as client:
        assert client is None
        assert blocks.run(abs, [-3, 2, -1], client=client) == [3, 2, 1]


@pytest.mark.parametrize("workers", [0, -2, 1.5])
def test_bad_number_of_workers(workers):
    with pytest.raises(InputError, match="`workers` must be a whole number"), blocks.cluster(workers):
        pass


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:9"])
def test_no_scheduler_there(address, monkeypatch):
    monkeypatch.setattr(blocks, "PATIENCE_S", 1)
    start = time.monotonic()
    with pytest.raises(InputError, match="no Dask scheduler answers at"), blocks.cluster(1, address):
        pass
    assert time.monotonic() - start < 10


class Deadly:
    """A volume whose first reader dies in the middle, killed from outside as by a batch system."""

    def __init__(self, path, flag, at):
        self.array, self.flag, self.at = zarr.open_array(path, mode="r"), Path(flag), at
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def __getitem__(self, where):
        if where[0].start == self.at and not self.flag.exists():
            self.flag.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return self.array[where]


def test_a_killed_worker_changes_nothing(tmp_path):
    spacing = (0.4, 0.5, 0.3)
    solid = ndi.gaussian_filter(np.random.default_rng(3).normal(size=(40, 44, 50)), 3) > -0.02
    blocks.create(tmp_path / "solid.zarr", shape=solid.shape, chunks=20, dtype=bool)[...] = solid
    source = Deadly(tmp_path / "solid.zarr", tmp_path / "dead", at=20)
    with blocks.cluster(3) as client:
        before = set(client.run(os.getpid).values())
        assert len(before) == 3
        assert os.getpid() not in before
        out = segment.separate_blockwise(
            source, spacing=spacing, store=tmp_path / "labels.zarr", chunks=(20, 44, 25), client=client
        )
        dead = int((tmp_path / "dead").read_text())
        assert dead in before
        # a client from outside finds the same workers by the scheduler's address
        with blocks.cluster(scheduler=client.scheduler.address) as other:
            store = tmp_path / "doubled.zarr"
            doubled = blocks.map_blocks(
                np.negative, solid[:8].astype(int), store=store, dtype=int, chunks=4, client=other
            )
            assert dead not in other.run(os.getpid).values()
            np.testing.assert_array_equal(doubled[...], -solid[:8].astype(int))
    labels = segment.separate_particles(solid, spacing=spacing)
    assert labels.max() > 5
    np.testing.assert_array_equal(out[...], labels)


INTERRUPTED = """
import time
from morpholith import blocks

def slow(item):
    time.sleep(0.2)

if __name__ == "__main__":
    with blocks.cluster(2) as client:
        client.wait_for_workers(2)
        print("up", flush=True)
        blocks.run(slow, list(range(400)), client=client)
"""


def test_control_c_ends_everything_quietly(tmp_path):
    (tmp_path / "script.py").write_text(INTERRUPTED)
    run = subprocess.Popen(
        [sys.executable, tmp_path / "script.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert run.stdout.readline() == "up\n"
    time.sleep(0.5)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = run.communicate(timeout=20)
    assert run.returncode not in (0, None)
    assert "Dask Worker" not in errors  # the one traceback is that of the script itself
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_scheduler_that_does_not_answer_leaves_dask_as_it_was(monkeypatch):
    import dask

    monkeypatch.setattr(blocks, "PATIENCE_S", 0.3)
    with pytest.raises(InputError, match="no Dask scheduler answers"), blocks.cluster(1, "tcp://127.0.0.1:9"):
        pass
    assert dask.config.get("scheduler", None) is None
    with blocks.cluster(2) as client:
        assert client is not None
        assert dask.config.get("scheduler", None) is None
