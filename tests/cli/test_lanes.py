"""Many devices in one run, as people ask for them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from harness.trace.events import CoapDatagram, Direction, MdnsPacket, MqttPacket, Point
from harness.trace.lines import read
from harness.wire import (
    coap,
    mdns,
    mqtt,
)
from harness.wire.mdns.codec import RecordType
from tests.cli.running import PLUG, ROOT, harness

QUICK = ("--simulate", "--select", "MQTT-DEV-00*")


def run_started(trace: Path) -> dict:
    with trace.open(encoding="utf-8") as lines:
        return json.loads(next(lines))


def test_a_pattern_in_quotes_checks_every_profile_that_it_matches(tmp_path: Path) -> None:
    done = harness("check", ROOT / "profiles" / "*.yaml", *QUICK, "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    profiles = {path.stem for path in (ROOT / "profiles").glob("*.yaml")}
    assert {trace.parent.name for trace in tmp_path.glob("*/trace.jsonl")} == profiles


def test_a_pattern_that_matches_nothing_is_a_missing_file() -> None:
    done = harness("check", "no-such-*.yaml", "--simulate")
    assert done.returncode == 2
    assert "no-such-*.yaml" in done.stderr


def test_each_of_many_devices_is_a_unit_of_its_own(tmp_path: Path) -> None:
    done = harness("check", PLUG, *QUICK, "--count", "3", "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    units = [
        json.loads(run_started(tmp_path / lane / "trace.jsonl")["profile"])["unit"]
        for lane in ("smart-plug", "smart-plug-2", "smart-plug-3")
    ]
    assert units == ["a4cf12", "a4cf120001", "a4cf120002"]


def own_names(trace: Path) -> dict[str, set[str]]:
    """By what a device is told from its neighbours: what it says of itself, and where it says it from."""
    found: dict[str, set[str]] = defaultdict(set)
    for event in read(trace):
        match event.body:
            case MqttPacket(point=Point.TAP, direction=Direction.FROM_DUT, raw=raw, level=level):
                match mqtt.decode(raw, level):
                    case mqtt.Connect(client_id=client_id):
                        found["client id"].add(client_id)
                    case mqtt.Publish(topic=topic):
                        found["topic"].add(topic)
                    case mqtt.Subscribe(filters=filters):
                        found["topic"] |= {wanted.filter for wanted in filters}
            case CoapDatagram(direction=Direction.FROM_DUT, remote=remote, raw=raw):
                assert coap.decode(raw).problems == ()
                found["CoAP address"].add(remote)
            case MdnsPacket(direction=Direction.FROM_DUT, source=source, raw=raw):
                found["mDNS address"].add(source)
                for record in mdns.decode(raw).records:
                    if record.type in (RecordType.A, RecordType.SRV):
                        found[f"name of {RecordType(record.type).name} records"].add(record.name.lower())
    return found


def test_many_devices_of_one_profile_share_nothing(tmp_path: Path) -> None:
    """On one machine, of one make: each has names, topics and addresses of its own."""
    select = [part for check in ("MQTT-DEV-00*", "COAP-CORE-05", "MDNS-1*") for part in ("--select", check)]
    conditioner = ROOT / "profiles" / "air-conditioner.yaml"
    done = harness("check", conditioner, "--simulate", *select, "--count", "4", "--report", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    devices = [own_names(trace) for trace in sorted(tmp_path.glob("*/trace.jsonl"))]
    assert len(devices) == 4
    kinds = set(devices[0])
    assert {"client id", "topic", "CoAP address", "mDNS address"} < kinds
    assert {"name of A records", "name of SRV records"} < kinds
    for kind in kinds:
        seen = [name for device in devices for name in device[kind]]
        assert all(device[kind] for device in devices)
        assert len(seen) == len(set(seen)), f"{kind}: {sorted(seen)}"
