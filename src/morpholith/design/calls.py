"""Calling the simulator: seeds, records, storage and what is told on the way."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .campaign import Campaign
from .measured import Record, read_results
from .objective import Objective
from .space import Space

Evaluate = Callable[..., Any]
POLL_S = 0.2  # between looks for what other workers wrote


@dataclass(frozen=True)
class Step:
    """What is told after each call.

    Attributes
    ----------
    done, total : int
        Calls.
    phase : str
    record : Record
    objective : float
        F of this call, its noise in it.
    best : float
        The least so far.
    """

    done: int
    total: int
    phase: str
    record: Record
    objective: float
    best: float


class Calls:
    """A budget of calls, each recorded before the next; recorded ones count.

    Parameters
    ----------
    evaluate : function
        ``evaluate(conditions, *, seed)``.
    space : Space
    goal : Objective
    total : int
    common : bool
        Whether every call has the same seed.
    seed : int
    campaign : Campaign, optional
    told : sequence of Record
        Powders that were made.
    on_step : function, optional
        Called with a `Step` after each call.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        space: Space,
        goal: Objective,
        total: int,
        *,
        common: bool,
        seed: int,
        campaign: Campaign | None = None,
        told: Sequence[Record] = (),
        on_step: Callable[[Step], object] | None = None,
    ):
        self.evaluate, self.space, self.goal, self.total = evaluate, space, goal, total
        self.common, self.seed, self.campaign, self.on_step = common, seed, campaign, on_step
        self._told = list(told)
        self._own_calls: dict[str, Record] = {}
        self._best: float | None = None

    @property
    def records(self) -> list[Record]:
        """Everything known: calls by their number, and powders."""
        return [*(self.campaign.records if self.campaign else self._own_calls.values()), *self._told]

    @property
    def simulated(self) -> list[Record]:
        """The calls."""
        return [r for r in self.records if not r.real]

    @property
    def left(self) -> int:
        """Calls that the budget still allows."""
        return max(0, self.total - len(self.simulated))

    def rng(self, *stage: int) -> np.random.Generator:
        """Return the generator of one stage of the search; the same after a restart."""
        return np.random.default_rng([self.seed, *stage])

    def values(self, records: Sequence[Record]) -> np.ndarray:
        """Return the descriptors with a target of records, (n, k)."""
        return np.array(
            [[r.results[n].mean if n in r.results else np.nan for n in self.goal.descriptors] for r in records]
        ).reshape(len(records), len(self.goal.targets))

    def f(self, records: Sequence[Record]) -> np.ndarray:
        """Return F of records as they came, (n,); NaN where a descriptor is missing."""
        return self.goal.f(self.values(records), self.space.costs(self.space.encode([r.conditions for r in records])))

    def run(self, codes: np.ndarray, *, phase: str, batch: int) -> list[Record]:
        """Call the simulator at each code of a batch, write everything down, and return the records.

        What is recorded of the batch is not called again. With a campaign, workers share a batch: each takes the next
        place that nobody has, and all go on when the last is done. The batch ends early where the budget does.
        """
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.space.decode(codes).to_dict("records")]
        keys = [_key(phase, batch, i, row) for i, row in enumerate(rows)]
        before = len(self.simulated) - sum(key in self._made for key in keys)
        keys = keys[: max(0, self.total - before)]
        while any(key not in self._made for key in keys):
            mine = [
                self._once(key, rows[i], phase, batch, before + i)
                for i, key in enumerate(keys) if key not in self._made
            ]  # fmt: skip
            if not any(mine):
                time.sleep(POLL_S)
        return [self._made[key] for key in keys]

    @property
    def _made(self) -> Mapping[str, Record]:
        return self._own_calls if self.campaign is None else self.campaign.made

    def _once(self, key, conditions, phase, batch, number) -> bool:
        """Make one call, unless another worker has it."""
        claim = self.campaign.claim(key, conditions) if self.campaign else None
        if self.campaign and claim is None:
            return False
        seed = int(np.random.default_rng([self.seed, 1, 0 if self.common else number]).integers(2**31))
        try:
            results = read_results(self.evaluate(dict(conditions), seed=seed))
            _check(results, self.goal, self.space)
            record = Record(conditions, results, phase, batch, number, seed)
            if self.campaign and claim:
                self.campaign.finish(claim, record, value=self.f([record])[0])
            else:
                self._own_calls[key] = record
        except BaseException:
            # Ctrl-C too: another worker, or the same search begun again, need not wait for it
            if self.campaign and claim:
                self.campaign.release(claim)
            raise
        self._tell(record)
        return True

    def _tell(self, record):
        if self.on_step is None:
            return
        f = float(self.f([record])[0])
        if self._best is None:
            earlier = self.f(self.simulated)
            self._best = float(np.fmin.reduce(earlier)) if len(earlier) else np.nan
        self._best = float(np.fmin(self._best, f))
        self.on_step(Step(len(self.simulated), self.total, record.phase, record, f, self._best))


def _key(phase, batch, place, conditions):
    """Return the name of a call among all of a campaign.

    A batch has the same places for every worker, whatever the last digits of their proposals; a swarm goes on only
    from calls at its own places, those of another target do not count.
    """
    if phase != "swarm":
        return f"search {batch} {place}"
    return f"swarm {batch} {place} {zlib.crc32(repr(list(conditions.items())).encode()):08x}"


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _check(results: Mapping[str, Any], goal: Objective, space: Space) -> None:
    both = [n for n in results if n in space.conditions]
    if both:
        raise InputError(f"{both[0]!r} is both a condition and a descriptor; rename one.")
    missing = [n for n in goal.descriptors if n not in results]
    if missing:
        raise InputError(
            f"`evaluate` returned {', '.join(results)} but there are targets for {', '.join(missing)}; "
            "return those too, or take the targets away."
        )
