"""Ranks that came to the same place of a group with another operation, or with another size: two that do not agree.

Sequence numbers count the collectives of a group, so that on every member number n must be the same call. What differs
there is a proof by itself; whose fault it is, the majority says, and of two ranks nobody.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from ...model import Evidence
from ...rank_evidence import Collective, RasCommunicator
from ..signs import site
from ..wording import collective_words, op_words, ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .postures import frames_of
from .quiet import AGREE_S, NEAR_S, advanced

_EQUAL_INPUTS: Final = frozenset(
    {"all_reduce", "broadcast", "reduce", "all_gather", "all_gather_into_tensor", "reduce_scatter_tensor", "gather",
     "all_reduce_coalesced"}
)  # fmt: skip
"""Operations whose members must all give the same number of elements of one type. Others may differ by right:
all_to_all with splits, scatter (only its source gives any), reduce_scatter of lists."""

_MOST_TEXT: Final = 60


@dataclass(frozen=True, slots=True)
class Call:
    """What one rank called at a place of a group: the operation, and how much of what."""

    op: str
    size: str = ""

    @property
    def words(self) -> str:
        """`all_reduce of 1024 Float`."""
        return f"{self.op} of {self.size}" if self.size else self.op


@dataclass(frozen=True, slots=True)
class Difference:
    """Calls at one place of a group that are not one call, by rank. `site` gives the call sites that are known."""

    group: str
    seq: int
    calls: Mapping[int, Call]
    sites: Mapping[int, str]
    by: str
    named: bool = False

    @property
    def place(self) -> str:
        """`collective #5`, with the group's name where a rank has more than one."""
        return collective_words("", self.seq, self.group if self.named else "")

    @property
    def order(self) -> bool:
        """Whether it is the operation that differs, and not only its size."""
        return len({call.op for call in self.calls.values()}) > 1

    @property
    def odd(self) -> tuple[int, ...]:
        """The ranks that differ from a strict majority, all of them where there is none."""
        compared = {rank: call.op if self.order else call for rank, call in self.calls.items()}
        ((common, count), *_) = Counter(compared.values()).most_common(1)
        if 2 * count <= len(compared):
            return tuple(sorted(compared))
        return tuple(sorted(rank for rank, call in compared.items() if call != common))

    @property
    def decided(self) -> bool:
        """Whether a majority says whose fault it is."""
        return len(self.odd) < len(self.calls)


def mismatches(case: Case) -> Iterator[Candidate]:
    """Candidates from the flight recorder, from torch's own comparison, from RAS and from gloo, in this order."""
    recorded = _recorded(case)
    if recorded is not None:
        yield _candidate(case, recorded, sure=_stands(case, recorded))
    printed = _fingerprints(case)
    if printed is not None:
        yield _candidate(case, printed, sure=True)
    if recorded is None and printed is None:
        yield from _by_ras(case)
        yield from _by_length(case)


# --- the flight recorder ---


def _recorded(case: Case) -> Difference | None:
    """The first place of any group at which the newest recorders do not agree."""
    places: dict[tuple[int, str, str, tuple[int, ...]], dict[int, Collective]] = defaultdict(dict)
    for rank, seen in case.ranks.items():
        flight = seen.evidence.flights[-1] if seen.evidence.flights else None
        backend = "" if flight is None else flight.backend
        members = {} if flight is None else {status.group: status.ranks for status in flight.groups}
        for entry in () if flight is None else flight.entries:
            if not entry.p2p and entry.seq > 0:
                # Groups that were split from one have one name, and are told apart by their members; two back ends
                # of one group (gloo on the CPU, NCCL on GPUs) each count for themselves.
                places[entry.seq, entry.group, backend, members.get(entry.group, ())][rank] = entry
    for (seq, group, _, _), entries in sorted(places.items()):
        if len({(entry.op, entry.input_sizes, entry.dtypes) for entry in entries.values()}) < 2:
            continue
        calls = {rank: _call(entry) for rank, entry in entries.items()}
        if len(set(calls.values())) > 1 and _differ(entries):
            sites = {rank: _site(case.ranks[rank], entry) for rank, entry in entries.items()}
            return Difference(group, seq, calls, sites, "flight", case.many_groups)
    return None


def _call(entry: Collective) -> Call:
    if entry.op not in _EQUAL_INPUTS or not entry.input_sizes:
        return Call(entry.op)
    elements = sum(prod(size) for size in entry.input_sizes)
    return Call(entry.op, f"{elements} {entry.dtypes[0] if entry.dtypes else 'elements'}")


def _differ(entries: Mapping[int, Collective]) -> bool:
    """Whether the difference is one: a size that only some recorders know is none."""
    if len({entry.op for entry in entries.values()}) > 1:
        return True
    return all(entry.input_sizes for entry in entries.values())


def _site(seen: Seen, entry: Collective) -> str:
    """Where a rank called it: by the recorder, else by its stack, which stands there if the call has not ended."""
    where = site(entry.frames)
    if where or not seen.evidence.stacks or entry.retired:
        return where
    return site(frames_of(seen.evidence.stacks[-1]))


def _stands(case: Case, found: Difference) -> bool:
    """Whether two looks agree: nobody came past that place between them, or somebody has been in it for long."""
    ranks = [case.ranks[rank] for rank in found.calls]
    if any(advanced(seen) is False for seen in ranks):
        return False
    twice = any(advanced(seen) is True and seen.node.looks_s >= NEAR_S for seen in ranks)
    return twice or any(not seen.alive for seen in ranks) or any(_open_s(s, found) >= AGREE_S for s in ranks)


def _open_s(seen: Seen, found: Difference) -> float:
    flight = seen.evidence.flights[-1]
    made = [e.created_ns for e in flight.entries if (e.group, e.seq) == (found.group, found.seq) and not e.retired]
    return max(((flight.t_ns - t) / 1e9 for t in made if t), default=0.0)


def _candidate(case: Case, found: Difference, sure: bool) -> Candidate:
    odd = found.odd
    others = [rank for rank in found.calls if rank not in odd]
    cause = "wrong-order" if found.order else "wrong-shape"
    doubt = "" if found.decided else "of so few, nobody can tell which is wrong"
    if not doubt and not sure:
        doubt = "it was seen once only"
    return Candidate(
        cause=cause,
        ranks=odd,
        strength="mismatch",
        what=_what(found, odd, others) if found.decided else "",
        line="" if found.decided else _undecided(case, found),
        site=next((found.sites[rank] for rank in odd if found.sites.get(rank)), "") if found.decided else "",
        sure=sure and found.decided,
        doubt=doubt,
        evidence=tuple(_evidence(found)),
    )


def _what(found: Difference, odd: Sequence[int], others: Sequence[int]) -> str:
    mine, theirs = found.calls[odd[0]].words, found.calls[others[0]].words
    many = "call" if len(odd) > 1 else "calls"
    their = "call" if len(others) > 1 else "calls"
    at = next((f" at {found.sites[rank]}," for rank in odd if found.sites.get(rank)), "")
    return f"{many} {mine}{at} where {ranks_words(others)} {their} {theirs} ({found.place})"


def _undecided(case: Case, found: Difference) -> str:
    parts = []
    for rank, call in sorted(found.calls.items())[:4]:
        where = f" at {found.sites[rank]}" if found.sites.get(rank) else ""
        parts.append(f"rank {rank} on {case.ranks[rank].host} calls {call.words}{where}")
    return ", ".join(parts) + f" ({found.place})"


def _evidence(found: Difference) -> Iterator[Evidence]:
    by_call: dict[Call, list[int]] = defaultdict(list)
    for rank, call in sorted(found.calls.items()):
        by_call[call].append(rank)
    for call, ranks in sorted(by_call.items(), key=lambda item: len(item[1])):
        where = next((f" at {found.sites[rank]}" for rank in ranks if found.sites.get(rank)), "")
        yield told(found.by, f"{ranks_words(ranks)}: {found.place} is {call.words}{where}")


# --- what torch compares itself (TORCH_DISTRIBUTED_DEBUG=DETAIL) ---

_OP: Final = re.compile(r"OpType=(\w{1,40})")
_SHAPE: Final = re.compile(r"TensorShape=\[([\d, ]{0,200})\]")
_SEQ: Final = re.compile(r"SequenceNumber=(\d{1,12})")


def _fingerprints(case: Case) -> Difference | None:
    """Each rank compares itself with one other: put together they are a vote of all."""
    calls: dict[int, Call] = {}
    seq = 0
    for seen in case.ranks.values():
        for sign in seen.signs:
            if sign.id != "fingerprint":
                continue
            for side in ("left", "right"):
                text = sign.details.get(f"{side}_print", "")
                if sign.details.get(side, "").isdigit() and _OP.search(text):
                    calls[int(sign.details[side])] = _printed(text)
                    seq = max(seq, int((_SEQ.search(text) or ["", "0"])[1]))
    if len(set(calls.values())) < 2:
        return None
    seen_calls = {rank: call for rank, call in calls.items() if rank in case.ranks}
    return Difference("default", seq, seen_calls or calls, {}, "log") if len(set(seen_calls.values())) > 1 else None


def _printed(text: str) -> Call:
    op, shape = _OP.search(text), _SHAPE.search(text)
    name = op_words(op[1]) if op is not None else "?"
    return Call(name, f"shape [{shape[1][:_MOST_TEXT]}]" if shape is not None else "")


# --- NCCL RAS: it counts by operation ---


def _by_ras(case: Case) -> Iterator[Candidate]:
    """One operation that a rank launched once more, and another that it launched less often: it took another branch."""
    for node in case.answering:
        if len(node.ras) < 2:
            continue
        for before, last in zip(node.ras[0].communicators, node.ras[-1].communicators, strict=False):
            if _same_counts(before, last) and (found := _crossed(last)) is not None:
                yield found
                return


def _same_counts(before: RasCommunicator, last: RasCommunicator) -> bool:
    counts = [{rank.rank: rank.counts for rank in one.ranks} for one in (before, last)]
    return before.id == last.id and counts[0] == counts[1]


def _crossed(communicator: RasCommunicator) -> Candidate | None:
    profiles = {rank.rank: tuple(sorted(rank.counts.items())) for rank in communicator.ranks if rank.counts}
    if len(set(profiles.values())) != 2:
        return None
    ((common, count), (rare, _)) = Counter(profiles.values()).most_common(2)
    more = [op for op, number in rare if number > dict(common).get(op, 0)]
    less = [op for op, number in common if number > dict(rare).get(op, 0)]
    if not more or not less:
        return None
    odd = tuple(sorted(rank for rank, profile in profiles.items() if profile == rare))
    decided = 2 * count > len(profiles)
    ranks = odd if decided else tuple(sorted(profiles))
    text = f"launched {_ops(more)} where the others launched {_ops(less)}"
    return Candidate(
        cause="wrong-order",
        ranks=ranks,
        strength="missing-ras",
        what=text if decided else f"differ: {ranks_words(odd)} {text}",
        sure=decided,
        doubt="" if decided else "of so few, nobody can tell which is wrong",
        evidence=tuple(
            told("ras", f"rank {rank} launched " + ", ".join(f"{op_words(op)} {n} times" for op, n in profile if n))
            for rank, profile in sorted(profiles.items())[:16]
        ),
    )


def _ops(names: Sequence[str]) -> str:
    return ", ".join(op_words(name) for name in names)


# --- gloo: a message that is longer than what was asked for ---


def _by_length(case: Case) -> Iterator[Candidate]:
    """Gloo aborts a rank that gets too long a message: its tensor is too small, or its neighbour's too large."""
    told_by = [(seen, sign) for seen in case.ranks.values() for sign in seen.signs if sign.id == "gloo-mismatch"]
    if not told_by:
        return
    _, sign = told_by[0]
    got, expected = sign.details.get("got", "?"), sign.details.get("expected", "?")
    yield Candidate(
        cause="wrong-shape",
        ranks=tuple(sorted({one.rank for one, _ in told_by})),
        strength="mismatch",
        what=f"got {got} bytes from a peer where it expected {expected}",
        site=sign.site,
        doubt="its tensor is too small or its peer's too large, and no recorder tells which",
        evidence=tuple(told("log", f"rank {one.rank}: {said.text}") for one, said in told_by[:8]),
    )
