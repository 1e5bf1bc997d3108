"""Large representations, block by block (RFC 7959)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.checks.bench import Bench, StimulusError
from harness.checks.case import Case, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.declaration import Phase
from harness.checks.support.coap.client import ask
from harness.checks.support.coap.exchanges import exchanges
from harness.checks.support.coap.resources import (
    free_settings,
    large_resource,
)
from harness.checks.support.coap.transfers import (
    UNFINISHED,
    Transfer,
    read_all,
    transfers,
)
from harness.model.ics import ics_of
from harness.model.profile import Profile
from harness.model.requirement import Area, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.wire import coap

SZX_16, SZX_64, RESERVED_SZX = 0, 2, 7
FEW = 4  # blocks of 16 bytes to read; more would show nothing new


def large_path(profile: Profile) -> str:
    """The path of a large resource. Raises StimulusError."""
    large = large_resource(profile)
    if large is None:
        raise StimulusError("the profile has no resource larger than a block")
    return large.path


def size_problem(transfer: Transfer) -> str | None:
    """What is wrong with the sizes and M bits of a transfer's blocks; None if nothing is."""
    answers = [each.response.value for each in transfer.exchanges if each.response is not None]
    blocks = [answer.block2 for answer in answers]
    asked = transfer.exchanges[0].asked.block2
    name = transfer.exchanges[0].what
    sizes = {block.szx for block in blocks if block is not None}
    if asked is not None and any(szx > asked.szx for szx in sizes):
        return f"{name}: a block has {1 << max(sizes) + 4} bytes"
    if len(sizes) > 1:
        return f"{name}: the block size changes"
    for answer, block in zip(answers, blocks, strict=True):
        if block is None:
            if asked is not None and len(answer.payload) > asked.size:
                return f"{name}: {len(answer.payload)} bytes came without a Block2 option"
        elif block.more and len(answer.payload) != block.size:
            return f"{name}: block {block.num} has {len(answer.payload)} bytes, not {block.size}"
        elif len(answer.payload) > block.size:
            return f"{name}: the last block has {len(answer.payload)} bytes, more than {block.size}"
    return None


def tags(transfer: Transfer) -> set[bytes | None]:
    """The ETags of a transfer's blocks."""
    found: Sequence[coap.Message] = [each.response.value for each in transfer.exchanges if each.response]
    return {message.option(coap.OptionNumber.ETAG) for message in found}


@requirement(
    "COAP-BLOCK-01",
    area=Area.COAP,
    standard="RFC 7959",
    clause="2.4",
    level=Level.MUST,
    purpose="ensure that the device uses the requested block size, or a smaller one, throughout a transfer",
    stimulus="GET a large resource without Block2, then with blocks of 64 and 16 bytes from the start",
    expect="Blocks of one size, not above the requested one; correct numbers and M bits; the same body each "
    "time",
    ics="COAP.BLOCK2",
    needs=(BenchFeature.COAP,),
    usual_cause="The block size is a constant, so that clients with little memory get blocks that are too "
    "large for them.",
    phase=Phase.BOUNDARY,
)
class BlockSize(Check):
    """The client limits how much it gets at once."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), large_path(bench.profile)
        await read_all(bench, endpoint, path, what="GET")
        await read_all(bench, endpoint, path, what="GET in blocks of 64", szx=SZX_64)
        await read_all(bench, endpoint, path, what="GET in blocks of 16", szx=SZX_16, blocks=FEW)

    def judge(self, case: Case) -> Outcome:
        found = transfers(exchanges(case))
        if len(found) < 3:
            return inconclusive("the resource was not read three times")
        for each in found:
            if problem := size_problem(each):
                return failed(problem, each.evidence)
        whole, small, beginning = found
        for each in found:
            if each.problem and not (each is beginning and each.problem == UNFINISHED):
                return failed(each.problem, each.evidence)
        if len(whole.exchanges) < 2 and not (whole.first and whole.first.block2):
            return inconclusive("the resource came in one piece", whole.evidence)
        for part in (small, beginning):
            if not whole.body.startswith(part.body) or (part is small and part.body != whole.body):
                if tags(part) != tags(whole):
                    return inconclusive("the resource changed between the transfers", whole.evidence)
                message = f"{part.exchanges[0].what} returned another body than the plain GET"
                return failed(message, whole.evidence, part.evidence)
        return passed(
            f"{len(whole.body)} bytes in blocks of the requested size",
            [seen for each in found for seen in each.evidence],
        )


@requirement(
    "COAP-BLOCK-02",
    area=Area.COAP,
    standard="RFC 7959 + RFC 9175",
    clause="7959: 2.4; 9175: 3.8",
    level=Level.SHOULD,
    purpose="ensure that each block has an ETag that identifies one version of the body",
    stimulus="GET a large resource in blocks of 1024 and of 64 bytes",
    expect="An ETag in every block, the same throughout a transfer; the same ETag means the same body",
    ics="COAP.BLOCK2",
    needs=(BenchFeature.COAP,),
    usual_cause="The body is generated again for each block, so that a client mixes pieces of different "
    "versions; without an ETag it cannot detect that.",
    phase=Phase.WATCH,
)
class BlockTag(Check):
    """The ETag shows a client that the blocks belong together."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), large_path(bench.profile)
        await read_all(bench, endpoint, path, what="GET")
        await read_all(bench, endpoint, path, what="GET in blocks of 64", szx=SZX_64)

    def judge(self, case: Case) -> Outcome:
        found = transfers(exchanges(case))
        for each in found:
            if each.problem:
                return inconclusive(each.problem, each.evidence)
            for part in each.exchanges:
                if part.response and part.response.value.option(coap.OptionNumber.ETAG) is None:
                    return failed("a block has no ETag", *part.evidence)
        for first, second in pairwise(found):
            if tags(first) == tags(second) and len(tags(first)) == 1 and first.body != second.body:
                return failed("two bodies with the same ETag differ", first.evidence, second.evidence)
        mixed = next((each for each in found if len(tags(each)) > 1), None)
        if mixed:
            return inconclusive("the resource changed during a transfer", mixed.evidence)
        if len(found) < 2:
            return inconclusive("the resource was not read twice")
        return passed(
            f"{sum(len(each.exchanges) for each in found)} blocks, each with the ETag of its version",
            [seen for each in found for seen in each.evidence],
        )


@requirement(
    "COAP-BLOCK-03",
    area=Area.COAP,
    standard="RFC 7959",
    clause="2.2",
    level=Level.MUST,
    purpose="ensure that the reserved size exponent 7 is refused with 4.00",
    stimulus="GET with Block2 of size exponent 7; PUT with such a Block1 if uploads in blocks are declared",
    expect="4.00",
    ics="COAP.BLOCK1|COAP.BLOCK2",
    needs=(BenchFeature.COAP,),
    usual_cause="The exponent is not checked: it asks for 2048 bytes, more than the buffer has.",
    phase=Phase.MALFORMED,
)
class ReservedSizeExponent(Check):
    """The exponent 7 is reserved over UDP."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, items = await bench.coap.endpoint(), ics_of(bench.profile)
        reserved = coap.Block(0, False, RESERVED_SZX)
        if "COAP.BLOCK2" in items:
            what, path = "GET with size exponent 7", large_path(bench.profile)
            await ask(bench, endpoint, coap.Code.GET, path, what=what, block2=reserved)
        for setting in free_settings(bench.profile)[:1] if "COAP.BLOCK1" in items else []:
            value = await bench.read(setting.name, transport="coap")
            what, body = "PUT with size exponent 7", setting.payload(value)
            await ask(bench, endpoint, coap.Code.PUT, setting.path, what=what, payload=body, block1=reserved)

    def judge(self, case: Case) -> Outcome:
        crafted = [each for each in exchanges(case) if "exponent" in each.what]
        for each in crafted:
            if not each.answered(coap.Code.BAD_REQUEST):
                return failed(
                    f"{each.what} was answered with {each.outcome()}, not with 4.00", *each.evidence
                )
        if not crafted:
            return inconclusive("no request was sent")
        return passed("size exponent 7 was refused", [seen for each in crafted for seen in each.evidence])


@requirement(
    "COAP-BLOCK-04",
    area=Area.COAP,
    standard="RFC 7959",
    clause="2.2, 2.4",
    level=Level.MUST,
    purpose="ensure that the M bit of Block2 in a request is ignored",
    stimulus="GET the first block with M=0 and with M=1",
    expect="The same block",
    ics="COAP.BLOCK2",
    needs=(BenchFeature.COAP,),
    usual_cause="The same code reads Block2 in requests and in responses.",
    phase=Phase.BOUNDARY,
)
class MoreBitOfRequest(Check):
    """The M bit has no meaning in a request."""

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        endpoint, path = await bench.coap.endpoint(), large_path(bench.profile)
        for more in (False, True):
            block, what = coap.Block(0, more, SZX_64), f"GET with M={int(more)}"
            await ask(bench, endpoint, coap.Code.GET, path, what=what, block2=block)

    def judge(self, case: Case) -> Outcome:
        plain, more = exchanges(case)
        if not plain.response or not plain.answered(coap.Code.CONTENT):
            return inconclusive(f"the first block was answered with {plain.outcome()}", *plain.evidence)
        if not more.response or not more.answered(coap.Code.CONTENT):
            return failed(f"{more.what} was answered with {more.outcome()}", *plain.evidence, *more.evidence)
        first, second = plain.response.value, more.response.value
        if (first.block2, first.payload) == (second.block2, second.payload):
            return passed("M=1 made no difference", *plain.evidence, *more.evidence)
        tag = coap.OptionNumber.ETAG
        # Another tag alone does not show a change: a server may tag each transfer anew (RFC 7252, 5.10.6).
        if first.option(tag) != second.option(tag):
            return inconclusive("the resource changed between the requests", *plain.evidence, *more.evidence)
        return failed("another block came with M=1", *plain.evidence, *more.evidence)
