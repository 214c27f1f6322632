"""Which photo goes to train, val and test."""

from __future__ import annotations

import hashlib
import heapq
import math
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from dataset_tools.errors import UserError
from dataset_tools.formats.card import SPLITS

# Three of four photos to learn from; what is left is halved. The usual choice for a hundred photos.
DEFAULT_FRACTIONS = (0.75, 0.125, 0.125)

# Some patterns take years for one name: (a+)+$ for aaaa...b. A usual one takes a millionth of a second.
_PATTERN_SECONDS = 10.0

# What three fractions that were typed with a few decimals may miss 1 by.
_SUM_TOLERANCE = 1e-3


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions that do not divide a folder.

    Raises:
        UserError: they are not three finite numbers from 0 up that add up to 1, or train gets nothing.
    """
    remedy = "Pass three fractions that add up to 1, for example --split 0.75 0.125 0.125"
    if len(fractions) != len(SPLITS) or any(not math.isfinite(part) or part < 0 for part in fractions):
        raise UserError("--split takes three fractions from 0 to 1", remedy=remedy)
    if abs(sum(fractions) - 1) > _SUM_TOLERANCE:
        raise UserError(f"the fractions of --split add up to {sum(fractions):g}, not to 1", remedy=remedy)
    if fractions[0] == 0:
        raise UserError("--split leaves nothing to train on", remedy=remedy)


def split_counts(total: int, fractions: Sequence[float]) -> list[int]:
    """How many of ``total`` photos each split gets, by largest remainders.

    Train gets at least one; from three photos on, every split with a positive fraction does.
    """
    exact = [total * fraction / sum(fractions) for fraction in fractions]
    counts = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    entitled = [
        index for index, fraction in enumerate(fractions) if fraction > 0 and (index == 0 or total >= len(SPLITS))
    ]
    for index in entitled:
        if counts[index] == 0 and total > 0:
            counts[counts.index(max(counts))] -= 1
            counts[index] += 1
    return counts


def group_names(names: Iterable[str], pattern: str) -> dict[str, str]:
    """The group of each name in which a regular expression finds one; the other names are left out.

    Args:
        pattern: searched for anywhere in a name. The group is what its first capturing group holds, or the whole match
            where it has none; a match of no character says nothing.

    Raises:
        UserError: it is not a regular expression, takes longer than _PATTERN_SECONDS, or finds nothing in any name.
    """
    remedy = r"Pass a regular expression such as '^(.*)_frame\d+', which finds in a photo's name what it is grouped by"
    try:
        pattern.encode()
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise UserError(f"{pattern!r} is not a regular expression: {error}", remedy=remedy) from error
    try:
        with _time_limit(_PATTERN_SECONDS):
            matches = [(name, expression.search(name)) for name in names]
    except TimeoutError as error:
        reason = f"the regular expression {pattern!r} is not through with the names after {_PATTERN_SECONDS} seconds"
        raise UserError(reason, remedy="Pass one without repetitions in repetitions, such as (a+)+") from error
    found = {name: match[min(1, expression.groups)] for name, match in matches if match}
    found = {name: text for name, text in found.items() if text}
    if not found:
        raise UserError(f"the regular expression {pattern!r} finds nothing in any name", remedy=remedy)
    return found


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block after so many seconds, where the system and the thread have such signals."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def assign_splits(
    labels: Mapping[str, Mapping[str, int]],
    fractions: Sequence[float],
    seed: int,
    groups: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The split of each photo, such that each class is divided by the fractions as closely as the photos allow.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011,
    algorithm 1), dealing groups of photos and counting instances: the rarest label first, each of its groups to the
    split that lacks most of it. Beyond the paper, a split is overfilled only where no other has room, and these go
    before everything else, the first before the second:

    - From three groups on, every split with a positive fraction gets one; train gets one in any case.
    - Train gets the first group of every label. So it has every label of three groups or more, and every label of a
      single group, too, if two groups without such a label are left for val and test.

    Without groups, the numbers of photos are those of :func:`split_counts`, but that train may take one more for each
    label. With groups, they miss these by a group for each label and one more, at most. The result depends neither on
    the order of the names nor on the machine.

    Args:
        labels: how many instances of each label the photo of a name holds; none for a negative.
        fractions: of train, val and test; see :func:`check_fractions`. Only their ratios matter.
        groups: the group of a photo; photos of one group never part. A photo that is not in it is a group by itself.
    """
    dealt = _gather(labels, groups or {}, seed)
    shares = _shares(dealt, split_counts(len(labels), fractions), fractions)
    _deal(dealt, shares, owed=shares if len(dealt) >= len(SPLITS) else shares[:1], train=shares[0])
    return {name: SPLITS[share.place] for share in shares for name in share.names}


def assign_folds(
    labels: Mapping[str, Mapping[str, int]], folds: int, seed: int, groups: Mapping[str, str] | None = None
) -> dict[str, int]:
    """The fold of each photo, from 0, such that each class is divided evenly: as :func:`assign_splits`, without train.

    Every fold gets a group, if there are as many.

    Args:
        labels, seed, groups: see :func:`assign_splits`.
        folds: how many; at most as many as photos.
    """
    dealt = _gather(labels, groups or {}, seed)
    even = [1.0] * folds
    shares = _shares(dealt, split_counts(len(labels), even), even)
    _deal(dealt, shares, owed=shares, train=None)
    return {name: share.place for share in shares for name in share.names}


@dataclass(frozen=True, slots=True)
class _Group:
    """Photos that stay together: what the seed drew for them, their names, their instances of each label."""

    draw: bytes
    names: list[str]
    instances: dict[str, int]


@dataclass(slots=True)
class _Share:
    """What a split or fold has got, the photos it has room for, and the instances of each label that are its due."""

    place: int
    room: int
    due: dict[str, float]
    names: list[str] = field(default_factory=list)
    instances: Counter[str] = field(default_factory=Counter)

    def take(self, group: _Group) -> None:
        self.names += group.names
        self.instances.update(group.instances)
        self.room -= len(group.names)


def _shares(dealt: Sequence[_Group], rooms: Sequence[int], fractions: Sequence[float]) -> list[_Share]:
    """An empty share for each fraction above 0."""
    totals: Counter[str] = Counter()
    for group in dealt:
        totals.update(group.instances)
    return [
        _Share(place, room, {label: total * fraction / sum(fractions) for label, total in totals.items()})
        for place, (room, fraction) in enumerate(zip(rooms, fractions))
        if fraction > 0
    ]


def _deal(dealt: Sequence[_Group], shares: Sequence[_Share], owed: Sequence[_Share], train: _Share | None) -> None:
    """Gives each group to a share; those that are owed get one as long as there are groups."""
    for left, (label, group) in zip(range(len(dealt), 0, -1), _rarest_first(dealt)):
        empty = [share for share in owed if not share.names]
        _taker(group, label, empty if left <= len(empty) else shares, train).take(group)


def _gather(labels: Mapping[str, Mapping[str, int]], groups: Mapping[str, str], seed: int) -> list[_Group]:
    """The groups in the order that the seed draws for them."""
    members: dict[tuple[bool, str], list[str]] = {}
    for name in labels:
        members.setdefault((name in groups, groups.get(name, name)), []).append(name)
    gathered = []
    for names in members.values():
        instances: Counter[str] = Counter()
        for name in names:
            instances.update(labels[name])
        gathered.append(_Group(min(_draw(seed, name) for name in names), names, +instances))
    return sorted(gathered, key=lambda group: group.draw)


def _draw(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\n{name}".encode()).digest()


def _rarest_first(groups: Sequence[_Group]) -> Iterator[tuple[str | None, _Group]]:
    """Each group once, with the label it is dealt for: the one that the fewest groups to come hold; None at the end."""
    holders: dict[str, list[_Group]] = {}
    for group in groups:
        for label in group.instances:
            holders.setdefault(label, []).append(group)
    to_come = {label: len(held_by) for label, held_by in holders.items()}
    # Of two labels with one group to come, that which never had more goes first: only here can train get it.
    rarest = [(count, count, label) for label, count in to_come.items()]
    heapq.heapify(rarest)
    dealt = set()
    while rarest:
        count, _, label = heapq.heappop(rarest)
        if count > to_come[label]:  # a later entry of the label has come before
            continue
        for group in holders[label]:
            if group.draw not in dealt:
                dealt.add(group.draw)
                for held in group.instances:
                    to_come[held] -= 1
                    heapq.heappush(rarest, (to_come[held], len(holders[held]), held))
                yield label, group
    yield from ((None, group) for group in groups if group.draw not in dealt)


def _taker(group: _Group, label: str | None, shares: Sequence[_Share], train: _Share | None) -> _Share:
    """The share that gets a group: train for a label that it has not got, else the one that lacks most of the label."""
    if train and train in shares and not group.instances.keys() <= train.instances.keys():
        return train
    claims = []
    for place, share in enumerate(shares):
        lacking = share.due[label] - share.instances[label] if label is not None else 0.0
        tie = group.draw[place % len(group.draw)]
        claims.append((min(share.room - len(group.names), 0), lacking, share.room, tie))
    return shares[claims.index(max(claims))]
