"""A campaign that is kept: every call and every powder that was made, in a file or in a database that workers share."""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import _trials
from ._storage import is_url, open_study, quiet, shown, told
from .measured import Record, read_results
from .space import Space, space_from_json

if TYPE_CHECKING:
    import pandas as pd

KIND, VERSION = "morpholith design campaign", 2
PATIENCE_S, LONGER = 600.0, 20.0  # a claim is dead after so long, or so many of the longest calls


@dataclass(frozen=True)
class Claim:
    """A call that a worker has taken on: its key, unlike that of any other call, and the trial that says so."""

    key: str
    trial: int


class Campaign:
    """A study of optuna that a search writes and goes on from; every record is a trial.

    A call is claimed before it is made (a trial that runs), so that workers on one storage share the calls. What a
    call gave is written in one piece before the search goes on, with a checksum; a claim whose worker died is taken
    over by another.

    Parameters
    ----------
    study : optuna.Study
    place : str
        As it may be told.
    space : Space
    seed : int
        All randomness of the searches derives from it.
    warnings : tuple of str
        What was recovered.

    Attributes
    ----------
    records : list of Record
        As far as read (`refresh`): calls by their number, powders that were made between them as they were told.
    made : dict of str to Record
        Calls by the key they were claimed with.
    """

    def __init__(self, study: Any, place: str, space: Space, seed: int, warnings: tuple[str, ...] = ()):
        self.study, self.place, self.space, self.seed, self.warnings = study, place, space, seed, warnings
        self.records: list[Record] = []
        self._known: dict[int, Record] = {}
        self.made: dict[str, Record] = {}
        self._waits: dict[int, float] = {}
        self._longest = 0.0
        self.refresh()

    def refresh(self) -> None:
        """Read what other processes wrote since."""
        self._read()

    def _read(self) -> list[Any]:
        """Return all trials, their new records read."""
        with told(self.place), quiet():
            trials = self.study.get_trials(deepcopy=False)
        new = False
        for trial in trials:
            if trial.number in self._known:
                continue
            record = _trials.read(trial, self.place)
            if record is None:
                continue
            new = True
            self._known[trial.number] = record
            key = trial.user_attrs.get(_trials.CLAIM, {}).get("key")
            if key is not None:
                self.made.setdefault(key, record)
            if trial.datetime_complete and not record.real:
                took = (trial.datetime_complete - trial.datetime_start).total_seconds()
                self._longest = max(self._longest, took)
        if new:
            calls = iter(sorted((r for r in self._known.values() if not r.real), key=lambda r: r.call))
            self.records = [r if r.real else next(calls) for _, r in sorted(self._known.items())]
        return trials

    def add(self, record: Record) -> None:
        """Write a record down."""
        with told(self.place), quiet() as optuna:
            self.study.add_trial(
                optuna.trial.create_trial(
                    value=np.inf, user_attrs={_trials.RECORD: _trials.written(record)},
                    **_trials.parameters(optuna, self.space, record.conditions),
                )
            )  # fmt: skip
        self.refresh()

    def tell(self, conditions: Mapping[str, Any], results: Any, *, note: str = "") -> Record:
        """Add a powder that was made and measured.

        Parameters
        ----------
        conditions : mapping of str to value
            Every condition of the space, as it was; it may lie outside the bounds.
        results : mapping
            As `search`'s `evaluate` returns them.
        note : str

        Raises
        ------
        InputError
            A condition is missing or unknown, or the results are none.
        """
        record = measured_record(self.space, conditions, results, note=note)
        self.add(record)
        return record

    def claim(self, key: str, conditions: Mapping[str, Any]) -> Claim | None:
        """Take on a call; None where it was made already or another worker is at it.

        Of two workers that claim at the same moment the one whose trial the storage numbered first has it.
        """
        trials = self._read()
        if key in self.made or any(self._alive(t) for t in _claims(trials, key)):
            return None
        token = uuid.uuid4().hex
        mark = {"key": key, "token": token, "host": platform.node(), "pid": os.getpid()}
        with told(self.place), quiet() as optuna:
            for dead in _claims(trials, key):
                self.study.tell(dead.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
            self.study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.RUNNING, user_attrs={_trials.CLAIM: mark},
                    **_trials.parameters(optuna, self.space, conditions),
                )
            )  # fmt: skip
        claims = _claims(self._read(), key)
        mine = next(t.number for t in claims if t.user_attrs[_trials.CLAIM]["token"] == token)
        if key in self.made or any(t.number < mine for t in claims):
            self.release(Claim(key, mine))
            return None
        return Claim(key, mine)

    def finish(self, claim: Claim, record: Record, *, value: float) -> bool:
        """Write down what a claimed call gave; False where another worker took it over meanwhile.

        Parameters
        ----------
        claim : Claim
        record : Record
        value : float
            F, for programs that show a study.
        """
        with told(self.place), quiet() as optuna:
            frozen = self.study.get_trials(deepcopy=False)[claim.trial]
            if not frozen.state.is_finished():
                # optuna has no public way from a number to a trial that can be written to
                trial = optuna.trial.Trial(self.study, frozen._trial_id)
                with suppress(optuna.exceptions.UpdateFinishedTrialError):
                    trial.set_user_attr(_trials.RECORD, _trials.written(record))
                self.study.tell(claim.trial, float(value) if np.isfinite(value) else np.inf, skip_if_finished=True)
        self.refresh()
        return claim.trial in self._known

    def release(self, claim: Claim) -> None:
        """Give a claimed call back."""
        with told(self.place), quiet() as optuna:
            self.study.tell(claim.trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _alive(self, trial: Any) -> bool:
        """Return whether the worker of a claim is still at it, as far as can be told from here."""
        mark = trial.user_attrs[_trials.CLAIM]
        if mark["host"] == platform.node() and not _runs(mark["pid"]):
            return False
        # clocks of two machines differ: what counts is how long it is waited for here
        since = self._waits.setdefault(trial.number, time.monotonic())
        return time.monotonic() - since < max(PATIENCE_S, LONGER * self._longest)

    @property
    def calls(self) -> int:
        """Calls of the simulator so far."""
        return sum(not r.real for r in self.records)

    def table(self) -> pd.DataFrame:
        """Return one row a record: `call`, `batch`, `phase`, conditions, each descriptor with `_se`, `_n`."""
        return records_table(self.records)


def campaign(
    path: str | Path, *, space: Space | None = None, seed: int | None = None, about: str | None = None
) -> Campaign:
    """Open a campaign, or begin one where there is none.

    Parameters
    ----------
    path : path or str
        A file, or the address of a database: ``sqlite:///campaign.db``, ``postgresql://user@host/database``. A name
        after ``#`` tells several campaigns of one database apart.
    space : Space, optional
        Needed to begin. For one that exists, it may have other bounds, fixed conditions and constraints than before,
        but must have the same conditions and words.
    seed : int, optional
        To begin with.
    about : str, optional
        What is called, such as the hash of a model: a campaign of another one is not gone on with.

    Raises
    ------
    InputError
        It is no campaign, is damaged, holds other conditions or calls of another simulator, or cannot be read or made.
    """
    place: str | Path = path if is_url(path) else Path(path)
    study, said = open_study(place, make=space is not None)
    with told(place), quiet():
        head = study.user_attrs.get("head")
        if head is None and space is not None:
            first = int(np.random.default_rng(seed).integers(2**62)) if seed is None else int(seed)
            content = {"kind": KIND, "version": VERSION, "seed": first, "about": about, "space": space.to_json()}
            study.set_user_attr("head", _trials.plain(content))
            head = study.user_attrs["head"]
    if not isinstance(head, dict) or head.get("kind") != KIND:
        raise InputError(f"{shown(place)} is no design campaign; name another file or remove it.")
    if head["version"] > VERSION:
        raise InputError(f"{shown(place)} was written by a newer version; update the program.")
    if about is not None and head.get("about") != about:
        raise InputError(
            f"{shown(place)} holds calls of another model, which say nothing of this one; name another storage and "
            "tell it the powders that were made."
        )
    known = space_from_json(head["space"])
    if space is not None:
        _check_same(shown(place), known, space)
    return Campaign(study, shown(place), space or known, int(head["seed"]), said)


def measured_record(space: Space, conditions: Mapping[str, Any], results: Any, *, note: str = "") -> Record:
    """Return the record of a powder that was made, its conditions checked against the space's names and words."""
    unknown = [str(n) for n in conditions if n not in space.conditions]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no condition of this campaign; there are {', '.join(space.conditions)}.")
    full = {**space.fixed, **conditions}
    space.encode([full])
    return Record({name: full[name] for name in space.conditions}, read_results(results), note=note)


def records_table(records: list[Record]) -> pd.DataFrame:
    """Return one row a record: `call`, `batch`, `phase`, the conditions, and of each descriptor mean, `_se`, `_n`."""
    import pandas as pd

    rows = []
    for r in records:
        row = {"call": r.call, "batch": r.batch, "phase": r.phase, **r.conditions}
        for name, m in r.results.items():
            row |= {name: m.mean, f"{name}_se": m.se, f"{name}_n": m.n}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["call", "batch", "phase"])


def _check_same(place, known, space):
    old, new = known.conditions, space.conditions
    if list(old) != list(new):
        raise InputError(
            f"{place} is a campaign over {', '.join(old)}, not over {', '.join(new)}; name another file for those."
        )
    for name in old:
        a, b = getattr(old[name], "options", None), getattr(new[name], "options", None)
        if a != b:
            raise InputError(f"{place} has the condition {name!r} with words {a}, not {b}; name another file.")


def _claims(trials, key):
    """Return the claims on a call that are not given back."""
    return [t for t in trials if not t.state.is_finished() and t.user_attrs.get(_trials.CLAIM, {}).get("key") == key]


def _runs(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is not a question
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
