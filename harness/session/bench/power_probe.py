"""Finds out whether a device is still running after its power was cut."""

from __future__ import annotations

import asyncio
from functools import partial

from harness.links.coap.link import CoapLink
from harness.links.mdns.link import MdnsLink
from harness.model.profile import Profile
from harness.session.bench.presence import coap_answers, is_mdns_of_device
from harness.trace.recorder import Recorder
from harness.wire import coap
from harness.wire.mdns.codec import Question, RecordType, encode_query, join_name

DISCHARGED = 10.0  # seconds after which the capacitors of any power supply are empty
PING_LIMIT = 1.0  # seconds for the answer to a CoAP ping or an mDNS query
PING_PAUSE = 1.0  # seconds between two of them; a record is multicast once per second at most (RFC 6762, 6)


async def answers_still(
    recorder: Recorder, profile: Profile, link: CoapLink | None, mdns: MdnsLink | None
) -> bool:
    """Whether the device goes on answering over CoAP, or else mDNS, until its supply must be discharged.

    MQTT cannot show it: a connection outlives the other side. False where nothing can be asked.
    """
    deadline = recorder.now + DISCHARGED
    while recorder.now < deadline:
        if link is not None:
            answered = await _answers_coap(link)
        else:
            answered = await _answers_mdns(recorder, profile, mdns)
        if not answered:
            return False
        await asyncio.sleep(PING_PAUSE)
    return True


async def _answers_coap(link: CoapLink) -> bool:
    """Whether the device answers a CoAP ping."""
    endpoint = await link.endpoint()
    try:
        mid = link.next_mid()
        endpoint.send(coap.encode(coap.empty(coap.Type.CON, mid)), "ping after the power was cut")
        answer = partial(coap_answers, mid=mid, token=b"")
        return await endpoint.receive(answer, within=PING_LIMIT) is not None
    finally:
        endpoint.close()


async def _answers_mdns(recorder: Recorder, profile: Profile, mdns: MdnsLink | None) -> bool:
    """Whether the device answers an mDNS query for its host name."""
    binding = profile.bindings.mdns
    if mdns is None or binding is None:
        return False
    question = Question(join_name(binding.host, "local"), RecordType.A)
    mdns.send(encode_query([question]), "query after the power was cut")
    return await recorder.wait_for(is_mdns_of_device, within=PING_LIMIT) is not None
