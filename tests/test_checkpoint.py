"""Finished parts on disk: whole or not there at all, and never those of other work."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from morpholith.checkpoint import Store, store
from morpholith.errors import InputError

ARRAYS = {
    "stack": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "status": np.array(["measured", "refused"]),
    "mask": np.array([[True, False, True]]),
    "gap": np.array([np.nan, 1.0]),
    "none": np.zeros((0, 2)),
}


def test_what_was_put_comes_back_as_it_was(tmp_path):
    parts = store(tmp_path, key={"input": "a"})
    assert not parts.has("one")
    parts.put("one", ARRAYS)
    assert parts.has("one")
    back = parts.get("one")
    assert set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_a_part_is_made_once(tmp_path):
    parts, made = store(tmp_path, key=1), []

    def make():
        made.append(len(made))
        return {"n": np.array(len(made))}

    for _ in range(3):
        parts.once("a", make)
    assert made == [0]
    assert int(parts.get("a")["n"]) == 1
    store(tmp_path, key=1).once("a", make)  # another run on the same work goes on from there
    assert made == [0]
    parts.put("a", {"n": np.array(7)})
    assert int(parts.get("a")["n"]) == 7


def test_other_work_finds_nothing(tmp_path):
    keys = [{"size": 1}, {"size": 2}, {"size": 1, "more": None}, ["size", 1], "size", {"size": 1.5}]
    store(tmp_path, key=keys[0]).put("a", {"n": np.array(0)})
    assert store(tmp_path, key={"size": 1}).has("a")
    assert not any(store(tmp_path, key=key).has("a") for key in keys[1:])
    assert len({store(tmp_path, key=key).folder for key in keys}) == len(keys)
    # the order in which options were named says nothing
    assert store(tmp_path, key={"a": 1, "b": tmp_path}).folder == store(tmp_path, key={"b": tmp_path, "a": 1}).folder


@pytest.mark.parametrize("moment", ["np.savez", "os.replace", "os.fsync"])
def test_a_kill_while_writing_leaves_no_part(tmp_path, moment):
    """A process is killed outright, at three moments of writing over nothing and over a part that was whole."""
    code = textwrap.dedent(f"""
        import os, signal, sys
        import numpy as np
        from morpholith.checkpoint import store
        parts = store(sys.argv[1], key=0)
        parts.put("old", {{"n": np.array(1)}})
        plain = np.savez
        def die(*args, **kwargs):
            if {moment!r} == "np.savez":
                args[0].write(b"PK half of it")
                args[0].flush()
            os.kill(os.getpid(), signal.SIGKILL)
        {moment} = die
        parts.put(sys.argv[2], {{"n": np.arange(1000)}})
    """)
    for name in ("new", "old"):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path), name], capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    parts = store(tmp_path, key=0)
    assert not parts.has("new")
    assert int(parts.get("old")["n"]) == 1
    parts.once("new", lambda: {"n": np.array(2)})
    assert int(parts.get("new")["n"]) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_while_writing_leaves_nothing_at_all(tmp_path, monkeypatch, error):
    parts = store(tmp_path, key=0)

    def stop(file, **_):
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "savez", stop)
    with pytest.raises(error):
        parts.put("a", ARRAYS)
    assert not list(parts.folder.iterdir())


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    parts = store(tmp_path, key=0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(InputError, match="No space left"):
            parts.put("a", ARRAYS)
    assert not list(parts.folder.iterdir())
    parts.folder.rmdir()
    with pytest.raises(InputError, match="cannot be written"):
        parts.put("a", ARRAYS)


def test_a_place_where_no_folder_can_be_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be made"):
        store(tmp_path / "file", key=0)


def test_objects_are_not_taken(tmp_path):
    """Parts are plain arrays: reading one runs nothing."""
    parts = store(tmp_path, key=0)
    with pytest.raises(ValueError, match="holds objects"):
        parts.put("a", {"o": np.array([{}, []], dtype=object)})
    assert not parts.has("a")
    assert not list(parts.folder.iterdir())


def test_a_temporary_store_vanishes_with_its_last_user():
    parts = store(None, key=0)
    folder = parts.folder
    parts.put("a", ARRAYS)
    assert folder.is_dir()
    worker = pickle.loads(pickle.dumps(parts))  # as another process gets it
    assert type(worker) is Store
    worker.put("b", {"n": np.array(3)})
    del worker
    gc.collect()
    assert int(parts.get("b")["n"]) == 3  # the worker's end does not end the store
    assert store(None, key=0).folder != folder
    del parts
    gc.collect()
    assert not folder.exists()


def test_a_store_goes_to_another_process(tmp_path):
    parts = store(tmp_path, key=0)
    again = pickle.loads(pickle.dumps(parts))
    again.put("a", ARRAYS)
    assert parts.has("a")
    assert os.fspath(again.folder) == os.fspath(parts.folder)
