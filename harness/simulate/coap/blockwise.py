"""Block-wise transfers of a CoAP server (RFC 7959): cutting bodies into blocks and joining them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from aiocoap import Code, Message
from aiocoap.numbers.constants import MAX_REGULAR_BLOCK_SIZE_EXP, TransportTuning

from harness.simulate.coap.deviations import CoapDeviations

LARGEST_BLOCK = 1 << (MAX_REGULAR_BLOCK_SIZE_EXP + 4)  # bytes


class Failure(Exception):
    """A request that is answered with an error; the text becomes the diagnostic payload."""

    def __init__(self, code: Code, text: str, *, size1: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.size1 = size1


def check_block_fields(request: Message) -> None:
    """Raises 4.00 for the reserved size exponent 7 (RFC 7959, 2.2)."""
    for block in (request.opt.block1, request.opt.block2):
        if block is not None and block.size_exponent == 7:
            raise Failure(Code.BAD_REQUEST, "block size exponent 7 is reserved")


def cut(body: bytes, request: Message, response: Message, deviations: CoapDeviations) -> None:
    """Puts the requested block into ``response``, or the whole body if one block is enough."""
    wanted = request.opt.block2
    if wanted is None:
        if len(body) <= LARGEST_BLOCK:
            response.payload = body
            return
        number, exponent = 0, MAX_REGULAR_BLOCK_SIZE_EXP
    else:
        number, exponent = wanted.block_number, wanted.size_exponent
        if wanted.more and not deviations.ignore_more_in_requests:
            number += 1
        if not deviations.obey_block_size:
            number, exponent = 0 if number == 0 else number, MAX_REGULAR_BLOCK_SIZE_EXP
    exponent = min(exponent, MAX_REGULAR_BLOCK_SIZE_EXP)
    size = 1 << (exponent + 4)
    if size < deviations.smallest_block:
        raise Failure(Code.BAD_REQUEST, f"blocks of {size} bytes are too small")
    start = number * size
    if start >= len(body) and number > 0 and deviations.check_block_fields:
        raise Failure(Code.BAD_REQUEST, f"there is no block {number} of {size} bytes in {len(body)} bytes")
    more = start + size < len(body)
    response.payload = body[start : start + size]
    response.opt.block2 = (number, more, exponent)
    if number == 0:
        response.opt.size2 = len(body)


@dataclass
class _Upload:
    content_format: int | None
    body: bytes
    timer: asyncio.TimerHandle


class Uploads:
    """Request bodies in blocks (Block1), joined before they are processed."""

    def __init__(self, deviations: Callable[[], CoapDeviations]) -> None:
        self._deviations = deviations
        self._unfinished: dict[Hashable, _Upload] = {}

    def take(self, request: Message) -> bytes | None:
        """The whole body after its last block; None before that.

        Raises 4.08 if a block is missing, 4.13 if the body gets too large.
        """
        limit = self._deviations().maximum_body
        block = request.opt.block1
        announced = request.opt.size1 or 0
        if limit is not None and max(len(request.payload), announced) > limit:
            raise Failure(Code.REQUEST_ENTITY_TOO_LARGE, f"at most {limit} bytes", size1=limit)
        if block is None:
            return bytes(request.payload)
        if block.more and len(request.payload) != block.size:
            raise Failure(Code.BAD_REQUEST, f"a block of {block.size} bytes has {len(request.payload)}")
        key = self._key(request)
        body: bytes = self._before(key, request) + request.payload
        if limit is not None and len(body) > limit:
            raise Failure(Code.REQUEST_ENTITY_TOO_LARGE, f"at most {limit} bytes", size1=limit)
        if not block.more:
            return body
        timer = asyncio.get_running_loop().call_later(TransportTuning().EXCHANGE_LIFETIME, self._drop, key)
        self._unfinished[key] = _Upload(_content_format(request), body, timer)
        return None

    def _before(self, key: Hashable, request: Message) -> bytes:
        """The bytes of the previous blocks. After any error the upload is over."""
        upload = self._drop(key)
        block = request.opt.block1
        if block.block_number == 0:
            return b""
        earlier = upload.body if upload is not None else b""
        if not self._deviations().check_missing_blocks:
            return earlier
        same_format = upload is not None and upload.content_format == _content_format(request)
        if not same_format or len(earlier) != block.start:
            raise Failure(Code.REQUEST_ENTITY_INCOMPLETE, f"block {block.block_number} does not follow")
        return earlier

    def _key(self, request: Message) -> Hashable:
        sender = request.remote if self._deviations().separate_uploads else None
        return sender, request.code, request.opt.uri_path, request.opt.uri_query

    def _drop(self, key: Hashable) -> _Upload | None:
        upload = self._unfinished.pop(key, None)
        if upload is not None:
            upload.timer.cancel()
        return upload

    def clear(self) -> None:
        """Discards all unfinished uploads."""
        for key in list(self._unfinished):
            self._drop(key)


def _content_format(request: Message) -> int | None:
    value = request.opt.content_format
    return None if value is None else int(value)
