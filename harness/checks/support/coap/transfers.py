"""Block-wise transfers (RFC 7959): reading a body block by block, and finding transfers in a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.bench import Bench, CoapEndpoint
from harness.checks.support.coap.client import ask
from harness.checks.support.coap.exchanges import (
    Datagram,
    Exchange,
)
from harness.wire import coap

UNFINISHED = "the last block was not read"
MOST_BLOCKS = 4096  # limit for one body


@dataclass(frozen=True)
class Transfer:
    """One body, read in one or more exchanges. ``problem`` says why it is incomplete, if it is."""

    exchanges: tuple[Exchange, ...]
    body: bytes
    problem: str | None = None

    @property
    def evidence(self) -> list[Datagram]:
        """The first request with its response, and the last response."""
        shown = [self.exchanges[0], self.exchanges[-1]] if len(self.exchanges) > 1 else list(self.exchanges)
        return [seen for each in shown for seen in (each.sent[0], each.response) if seen is not None]

    @property
    def first(self) -> coap.Message | None:
        """The first response."""
        response = self.exchanges[0].response
        return response.value if response else None


async def read_all(
    bench: Bench,
    endpoint: CoapEndpoint,
    path: str,
    *,
    szx: int | None = None,
    blocks: int = MOST_BLOCKS,
    what: str | None = None,
) -> None:
    """GET a body, block by block if it comes in blocks.

    ``szx`` requests a block size from the start (early negotiation); ``blocks`` limits the number of blocks.
    """
    number: int = 0
    while number < blocks:
        asked = coap.Block(number, False, szx) if szx is not None else None
        response = await ask(bench, endpoint, coap.Code.GET, path, what=what, block2=asked)
        block = response.block2 if response else None
        if block is None or not block.more or block.num != number:
            return
        # Continue with the size that the device chose, as a client would.
        szx = block.szx
        number += 1


def transfers(found: Sequence[Exchange]) -> list[Transfer]:
    """The bodies that these exchanges read, in order."""
    parts: list[list[Exchange]] = []
    for each in found:
        if each.asked.code != coap.Code.GET:
            continue
        wanted = each.asked.block2
        if wanted is None or wanted.num == 0 or not parts:
            parts.append([])
        parts[-1].append(each)
    return [_joined(part) for part in parts]


def _joined(part: Sequence[Exchange]) -> Transfer:
    body = b""
    more = False
    for number, each in enumerate(part):
        if not each.answered(coap.Code.CONTENT) or each.response is None:
            return Transfer(tuple(part), body, f"{each.what} was answered with {each.outcome()}")
        answer = each.response.value
        block = answer.block2
        if block is None and number:
            return Transfer(tuple(part), body, f"block {number} came without a Block2 option")
        if block is not None and block.num != number:
            return Transfer(tuple(part), body, f"block {number} was requested, but block {block.num} came")
        body += answer.payload
        more = block is not None and block.more
    return Transfer(tuple(part), body, UNFINISHED if more else None)
