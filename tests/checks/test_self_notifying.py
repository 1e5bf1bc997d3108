"""A sensor that nobody here can stimulate: its own notifications serve the observe checks."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest
from aiocoap import CONTENT, Context, Message
from aiocoap.resource import ObservableResource, Site, WKCResource

from harness.links.clock.loop import run
from harness.model.loading.profiles import load_profile
from harness.model.verdict import Verdict
from harness.session.run.lane import Lane
from harness.session.run.plan import plan
from harness.session.target import Target, needs_met

PROFILE = """
profile: coap-thermo
title: Thermometer over CoAP
category: sensor
properties:
  temperature: {{ type: number, unit: Cel, readOnly: true, minimum: -40, maximum: 80, default: 21.5 }}
bindings:
  coap:
    port: {port}
    properties:
      temperature: {{ path: /temperature, format: text, observe: true }}
"""
OBSERVE = ("COAP-CORE-12", "COAP-OBS-*", "PROFILE-23", "PROFILE-24")
_ports = count(56830)


class Temperature(ObservableResource):  # type: ignore[misc]
    """Notifies every ``interval`` seconds, or never; with ``wrong`` in another Content-Format."""

    def __init__(self, interval: float | None, *, wrong: bool = False) -> None:
        super().__init__()
        self._interval = interval
        self._wrong = wrong
        self._answered: set[int] = set()

    async def render_get(self, request: Message) -> Message:
        notifying = id(request) in self._answered
        if request.opt.observe == 0:
            self._answered.add(id(request))
        number = 42 if notifying and self._wrong else 0
        return Message(code=CONTENT, payload=b"21.5", content_format=number)

    async def notify(self) -> None:
        while self._interval is not None:
            await asyncio.sleep(self._interval)
            self.updated_state()


def checked(resource: Temperature, folder: Path, *select: str) -> dict[str, Verdict]:
    """The verdicts on a server with this resource."""
    port = next(_ports)
    path = folder / "thermo.yaml"
    path.write_text(PROFILE.format(port=port))

    async def drive() -> dict[str, Verdict]:
        site = Site()
        site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
        site.add_resource(["temperature"], resource)
        server = await Context.create_server_context(
            site, bind=("127.0.0.1", port), transports=["simplesocketserver"]
        )
        notifying = asyncio.ensure_future(resource.notify())
        profile = load_profile(path)
        target = Target(coap=f"coap://127.0.0.1:{port}")
        lane = Lane(profile, path, target, seed=1, number=0, trace=folder / "trace.jsonl")
        await lane.open()
        for planned in plan(profile, frozenset(needs_met(profile, target)), select):
            await lane.run(planned)
        await lane.close()
        notifying.cancel()
        await server.shutdown()
        return {item.result.check: item.result.outcome.verdict for item in lane.result().judgements}

    return run(drive(), virtual=True)


def test_notifications_that_come_by_themselves_are_judged(tmp_path: Path) -> None:
    verdicts = checked(Temperature(1.0), tmp_path, *OBSERVE)
    assert verdicts.pop("COAP-OBS-01") is Verdict.NOT_APPLICABLE, "it needs a change by the harness"
    assert len(verdicts) == 13
    assert set(verdicts.values()) == {Verdict.PASS}, verdicts


def test_their_content_format_must_be_that_of_the_first_response(tmp_path: Path) -> None:
    assert checked(Temperature(1.0, wrong=True), tmp_path, "COAP-OBS-14") == {"COAP-OBS-14": Verdict.FAIL}


@pytest.mark.parametrize("interval", [None, 90.0])
def test_a_sensor_that_is_silent_for_a_minute_proves_nothing(tmp_path: Path, interval: float | None) -> None:
    verdicts = checked(Temperature(interval), tmp_path, "COAP-OBS-03", "COAP-OBS-14")
    assert set(verdicts.values()) == {Verdict.INCONCLUSIVE}, verdicts
