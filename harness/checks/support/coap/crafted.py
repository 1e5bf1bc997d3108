"""Malformed datagrams, and how the answers to them are judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.checks.bench import Bench
from harness.checks.case import Case, failed, first, inconclusive, passed
from harness.checks.support.coap.exchanges import (
    Exchange,
    exchanges,
    unrelated,
)
from harness.checks.support.coap.resources import plain_path
from harness.model.verdict import Outcome
from harness.wire import coap

UNREADABLE_OPTIONS = {
    "option delta 15": b"\xf1\x00",
    "option length 15": b"\x1f\x00",
    "option cut off in its extended delta": b"\xe0\x01",
    "option longer than the rest": b"\x68\x61\x62",
}
"""Bytes after the last Uri-Path of a GET, by what is wrong with them."""


def crafted_get(bench: Bench, type: coap.Type = coap.Type.CON, token: bytes | None = None) -> bytes:
    """The bytes of a GET for an ordinary resource, with any token."""
    token = bench.coap.next_token() if token is None else token
    path = plain_path(bench.profile)
    return coap.encode(coap.request(coap.Code.GET, path, mid=bench.coap.next_mid(), token=token, type=type))


def with_version(raw: bytes, version: int) -> bytes:
    """The same datagram with another version number."""
    return bytes([raw[0] & 0x3F | version << 6]) + raw[1:]


def judge_silence(all_sent: Sequence[Exchange], case: Case) -> Outcome:
    """All exchanges but the last must stay unanswered; the last, an ordinary one, must be answered."""
    *crafted, ordinary = all_sent
    stray = unrelated(case, [ordinary], ordinary.local)
    if stray:
        cause = first(crafted, lambda found: stray[0] in found.replies) or crafted[-1]
        answer = f"{stray[0].value.type.name} {coap.code_text(stray[0].value.code)}"
        return failed(f"answered with {answer}: {cause.what}", cause.sent[0], stray[0])
    if ordinary.response is None:
        return inconclusive("the ordinary request afterwards was not answered either", *ordinary.evidence)
    names = "; ".join(found.what for found in crafted)
    return passed(f"no answer to: {names}", [found.sent[0] for found in crafted], ordinary.evidence)


def judge_format_errors(case: Case) -> Outcome:
    """Crafted CON messages must be reset, crafted NON messages reset or ignored; the device still answers."""
    crafted = crafted_wrong(case)
    if crafted and (silent := dead_before(case, crafted[0].sent[0].line)):
        return inconclusive("the server did not answer before either", *silent.evidence)
    for found in crafted:
        if found.asked.type is coap.Type.NON and any(not is_reset(reply.value) for reply in found.replies):
            return failed(f"{found.what} was answered with {found.outcome()}", *found.evidence)
    if not crafted:
        return inconclusive("no malformed message was sent", *exchanges(case)[-1].evidence)
    ordinary = exchanges(case)[-1]
    if ordinary.response is None:
        return failed(
            "the ordinary request afterwards was not answered", crafted[-1].sent[0], *ordinary.evidence
        )
    return judge_resets(found for found in crafted if found.asked.type is coap.Type.CON)


def judge_resets(crafted: Iterable[Exchange]) -> Outcome:
    """Each message must be answered by an empty RST and nothing else."""
    resets = []
    for found in crafted:
        if not found.replies:
            return failed(f"no answer after {len(found.sent)} copies: {found.what}", found.sent)
        wrong = first(found.replies, lambda reply: not is_reset(reply.value))
        if wrong is not None and wrong.value.type is coap.Type.RST:
            return failed(f"the RST to {found.what} is not an Empty message", found.sent[0], wrong)
        if wrong is not None:
            return failed(f"{found.what} was answered with {found.outcome()}, not with RST", *found.evidence)
        resets.append(found)
    if not resets:
        return inconclusive("no message was sent")
    return passed(
        f"answered with an empty RST: {'; '.join(found.what for found in resets)}",
        [seen for found in resets for seen in (found.sent[0], found.replies[0])],
    )


def judge_unchanged(case: Case, crafted: Sequence[Exchange]) -> Outcome | None:
    """Failed if a property changed that was read before and after the crafted datagrams; otherwise None."""
    for name in dict.fromkeys(report.name for report in case.reports(transport="coap")):
        read = [report for report in case.reports(name, "coap") if report.asked]
        if len(read) > 1 and not case.profile.properties[name].agrees(read[-1].value, read[0].value):
            message = f"{name} changed from {read[0].value!r} to {read[-1].value!r}"
            return failed(message, read[0], [found.sent[0] for found in crafted], read[-1])
    return None


def dead_before(case: Case, line: int) -> Exchange | None:
    """The last ordinary request before a line of the trace, if the device did not answer it."""
    earlier = [
        each
        for each in exchanges(replace(case, window=case.trace[: line - 1]))
        if each.asked.is_request and not each.asked.problems and each.asked.type is coap.Type.CON
    ]
    return earlier[-1] if earlier and not earlier[-1].replies else None


def crafted_wrong(case: Case) -> list[Exchange]:
    """The exchanges whose message must be rejected."""
    return [found for found in exchanges(case) if found.asked.problems or not found.asked.is_request]


def is_reset(message: coap.Message) -> bool:
    """Whether a message is a proper Reset."""
    return message.type is coap.Type.RST and message.is_empty and not message.problems
