"""Profiles as many makers might write them: the same kinds of devices, each a little different."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from harness.model.profile import Profile
from harness.prediction.device import Device

Json = dict[str, Any]
TEMPERATURES = {"Cel": (1, 0), "[degF]": (1.8, 32)}


def generated(count: int, seed: int = 1) -> list[Device]:
    """``count`` different devices; the same for the same seed."""
    random = Random(seed)
    return [_device(random, number) for number in range(count)]


def _device(random: Random, number: int) -> Device:
    makers = [_plug, _light, _climate, _lock, _sensor, _fridge, _washer, _controller]
    profile = _Maker(random, number)
    makers[number % len(makers)](profile)
    for need in random.sample(_NEEDS, random.choice([0, 0, 1, 1, 2, 4])):
        need(profile)
    text = json.dumps(profile.finished())
    return Device(Profile.model_validate_json(text, strict=True, by_alias=True, by_name=False))


class _Maker:
    """Gathers what a device has."""

    def __init__(self, random: Random, number: int) -> None:
        self.random = random
        self.name = f"device-{number}"
        self.data: Json = {
            "profile": self.name,
            "title": self.name,
            "category": "generated",
            "unit": f"{number:06x}",
            "capabilities": {},
            "needs": {},
            "properties": {},
            "events": {},
            "ratings": {},
        }
        self.transports = random.choice([["mqtt"], ["mqtt"], ["mqtt"], ["coap"], ["mqtt", "coap"]])

    def offer(self, term: str, schema: Json, **offer: Any) -> None:
        """A property that means a term."""
        cluster, _, word = term.partition(".")
        name = f"p{len(self.data['properties'])}"
        self.data["properties"][name] = schema
        self.data["capabilities"].setdefault(cluster, {})[word] = {"property": name, **offer}

    def tell(self, term: str, data: Json | None = None) -> None:
        """An event that means a term."""
        cluster, _, word = term.partition(".")
        name = f"e{len(self.data['events'])}"
        self.data["events"][name] = {"data": data} if data else {}
        self.data["capabilities"].setdefault(cluster, {})[word] = {"event": name}

    def need(self, uses: str, access: str, **keys: Any) -> None:
        """A need, with habits at random."""
        random = self.random
        need: Json = {"uses": uses, "access": access, "optional": random.random() < 0.3, **keys}
        if access == "follow":
            need["every"] = random.choice([None, None, 60, 600])
            need["retained"] = random.random() < 0.3
        need["within"] = random.choice([None, 1, 2, 5])
        need["qos"] = random.choice([0, 0, 1])
        need["transports"] = random.choice([[], ["mqtt"], ["coap"], ["mqtt", "coap"]]) or self.transports
        if random.random() < 0.05:
            need["discovery"] = "_hap._tcp"
        if random.random() < 0.05:
            need["security"] = random.choice(["login", "tls"])
        self.data["needs"][f"n{len(self.data['needs'])}"] = {
            key: value for key, value in need.items() if value is not None
        }

    def cause(self, schema: Json) -> str:
        """An event with such data, on which something is sent."""
        name = f"e{len(self.data['events'])}"
        self.data["events"][name] = {"data": schema}
        return name

    def finished(self) -> Json:
        """The profile as JSON."""
        random, data = self.random, self.data
        bindings: Json = {}
        if "mqtt" in self.transports:
            bindings["mqtt"] = self._mqtt()
        if "coap" in self.transports:
            bindings["coap"] = {
                "properties": {
                    name: {"path": f"/{name}", "observe": random.random() < 0.8}
                    for name in data["properties"]
                },
                "events": {name: {"path": f"/{name}"} for name in data["events"]},
            }
        if random.random() < 0.5:
            services = [{"type": random.choice(["_http._tcp", "_hap._tcp"]), "instance": self.name}]
            services[0] |= {"port": 80, "speaks": "http"}
            bindings["mdns"] = {"host": self.name, "services": services}
        behaviour = {"settle": random.choice([0.2, 0.5, 1, 2, 5]), "report_local": random.choice([0.5, 1, 3])}
        behaviour |= {"invalid_value": random.choice(["refuse", "clamp"])}
        if every := random.choice([None, 30, 60, 300]):
            behaviour["heartbeat"] = every
        return {**data, "bindings": bindings, "behaviour": behaviour}

    def _mqtt(self) -> Json:
        random = self.random
        qos = random.choice([0, 1, 1])
        mqtt: Json = {
            "version": random.choice(["3.1.1", "3.1.1", "5.0"]),
            "base": self.name,
            "client_id": self.name,
            "keep_alive": 30,
            "login": random.random() < 0.2,
            "properties": {
                name: {
                    "state": f"{self.name}/{name}",
                    "qos": qos,
                    "retain": random.random() < 0.8,
                    **({} if schema.get("readOnly") else {"command": f"{self.name}/{name}/set"}),
                }
                for name, schema in self.data["properties"].items()
            },
            "events": {name: {"topic": f"{self.name}/{name}", "qos": qos} for name in self.data["events"]},
        }
        if random.random() < 0.1:
            mqtt["sleep"] = {"awake": 2, "wakes_every": random.choice([60, 3600])}
        return mqtt

    def temperature(self, low: float, high: float, *steps: float, **more: Any) -> Json:
        """A temperature between the two (in Celsius), a little more or less."""
        unit = self.random.choice(["Cel", "Cel", "[degF]"])
        scale, offset = TEMPERATURES[unit]
        low, high = low + self.random.randrange(-4, 5), high + self.random.randrange(-4, 5)
        return {
            "type": "number",
            "unit": unit,
            "minimum": round(low * scale + offset, 1),
            "maximum": round(high * scale + offset, 1),
            "multipleOf": self.random.choice(steps),
            **more,
        }

    def some(self, names: list[str], least: int = 2) -> Json:
        """A text, one of some of these."""
        chosen = self.random.sample(names, self.random.randint(least, len(names)))
        return {"type": "string", "enum": sorted(chosen)}

    def power(self) -> Json:
        """A power meter's property."""
        if self.random.random() < 0.3:
            return {"type": "number", "unit": "kW", "minimum": 0, "maximum": 4, "readOnly": True}
        top = self.random.choice([2500, 3680, 4000, 4500])
        return {
            "type": "number",
            "unit": "W",
            "minimum": 0,
            "maximum": top,
            "multipleOf": 0.1,
            "readOnly": True,
        }


BOOLEAN: Json = {"type": "boolean"}
SEEN: Json = {"type": "boolean", "readOnly": True}
MODES = ["Auto", "Cool", "Dry", "FanOnly", "Heat", "Off"]


def _rating(maker: _Maker, connectors: list[str], current: float) -> Json:
    volts = maker.random.choice([(220, 240), (220, 240), (100, 240), (110, 120)])
    return {
        "connector": maker.random.choice(connectors),
        "voltage": {"minimum": volts[0], "maximum": volts[1]},
        "frequency": {"minimum": 50, "maximum": maker.random.choice([50, 60])},
        "current": current,
        "earthed": maker.random.random() < 0.8,
    }


def _plug(maker: _Maker) -> None:
    maker.offer("OnOff.OnOff", BOOLEAN)
    maker.offer("ElectricalPowerMeasurement.ActivePower", maker.power())
    maker.tell("ElectricalProtectionAlarm.Notify", {"type": "string", "enum": ["OverLoadFault"]})
    current = maker.random.choice([10, 13, 16])
    maker.data["ratings"]["supplies"] = [_rating(maker, ["CEE 7/3", "CEE 7/5", "BS 1363"], current)]


def _light(maker: _Maker) -> None:
    maker.offer("OnOff.OnOff", BOOLEAN)
    low = maker.random.choice([0, 1, 5, 10])
    maker.offer("LevelControl.CurrentLevel", {"type": "integer", "unit": "%", "minimum": low, "maximum": 100})
    unit = maker.random.choice([("K", 2000, 6500), ("MK-1", 153, 500)])
    colour = {"type": "integer", "unit": unit[0], "minimum": unit[1], "maximum": unit[2]}
    maker.offer("ColorControl.ColorTemperatureMireds", colour)


def _climate(maker: _Maker) -> None:
    maker.offer("OnOff.OnOff", BOOLEAN)
    maker.offer("Thermostat.OccupiedCoolingSetpoint", maker.temperature(16, 30, 0.5, 1))
    maker.offer("Thermostat.LocalTemperature", maker.temperature(-10, 50, 0.1, 0.5, readOnly=True))
    maker.offer("Thermostat.SystemMode", maker.some(MODES))
    maker.offer("FanControl.FanMode", maker.some(["Auto", "Low", "Medium", "High"]))
    maker.data["ratings"]["draws"] = [
        _rating(maker, ["CEE 7/7", "BS 1363"], maker.random.choice([6, 11, 16]))
    ]


def _lock(maker: _Maker) -> None:
    maker.offer("DoorLock.LockState", maker.some(["Locked", "Unlocked", "Unlatched"]))
    maker.tell("DoorLock.LockOperation", maker.some(["Lock", "Unlock", "ForcedUserEvent"]))


def _sensor(maker: _Maker) -> None:
    maker.offer("OccupancySensing.Occupancy", SEEN)
    maker.offer("TemperatureMeasurement.MeasuredValue", maker.temperature(-20, 60, 0.1, 0.5, readOnly=True))
    top = maker.random.choice([1000, 10000, 100000])
    maker.offer(
        "IlluminanceMeasurement.MeasuredValue",
        {"type": "integer", "unit": "lx", "minimum": 0, "maximum": top, "readOnly": True},
    )


def _fridge(maker: _Maker) -> None:
    maker.offer(
        "TemperatureMeasurement/fridge.MeasuredValue", maker.temperature(-30, 50, 0.1, 0.5, readOnly=True)
    )
    maker.offer("TemperatureControl/fridge.TemperatureSetpoint", maker.temperature(1, 8, 0.5, 1))
    maker.offer("BooleanState/door.StateValue", SEEN)
    maker.data["ratings"]["draws"] = [_rating(maker, ["CEE 7/7", "BS 1363"], 1)]


def _washer(maker: _Maker) -> None:
    maker.offer(
        "OperationalState.OperationalState",
        maker.some(["Stopped", "Running", "Paused", "Error"]) | {"readOnly": True},
    )
    maker.tell("OperationalState.OperationCompletion")
    maker.data["ratings"]["draws"] = [_rating(maker, ["CEE 7/7", "BS 1363"], 10)]


def _controller(maker: _Maker) -> None:
    for need in maker.random.sample(_NEEDS, 4):
        need(maker)


def _needs_switch(maker: _Maker) -> None:
    name = maker.cause({"type": "string", "enum": ["on", "off"]})
    by = [{"event": name, "data": "on", "sends": True}, {"event": name, "data": "off", "sends": False}]
    maker.need("OnOff.OnOff", "command", by=by)


def _needs_level(maker: _Maker) -> None:
    low = maker.random.choice([0, 1, 10])
    name = maker.cause({"type": "integer", "unit": "%", "minimum": low, "maximum": 100})
    maker.need("LevelControl.CurrentLevel", "command", by=[{"event": name}])


def _needs_cooling(maker: _Maker) -> None:
    name = maker.cause(maker.temperature(18, 28, 0.5, 1))
    maker.need("Thermostat.OccupiedCoolingSetpoint", "command", by=[{"event": name}])


def _needs_mode(maker: _Maker) -> None:
    name = maker.cause(maker.some(MODES))
    maker.need("Thermostat.SystemMode", "command", by=[{"event": name}])


def _needs_room(maker: _Maker) -> None:
    maker.need("Thermostat.LocalTemperature", "follow", takes=maker.temperature(-20, 60, 0.1))


def _needs_thermometer(maker: _Maker) -> None:
    maker.data["properties"].setdefault("warm", BOOLEAN)
    then = [{"property": "warm", "equals": True}]
    reactions = [{"above": maker.random.choice([8, 25, 40, 70]), "then": then}]
    maker.need("TemperatureMeasurement.MeasuredValue", "follow", reactions=reactions)


def _needs_motion(maker: _Maker) -> None:
    maker.data["properties"].setdefault("lit", BOOLEAN)
    then = [{"property": "lit", "equals": True}]
    maker.need("OccupancySensing.Occupancy", "follow", reactions=[{"equals": True, "then": then}])


def _needs_power(maker: _Maker) -> None:
    taken = {key: value for key, value in maker.power().items() if key != "readOnly"}
    maker.need("ElectricalPowerMeasurement.ActivePower", "read", takes=taken)


def _needs_lock(maker: _Maker) -> None:
    name = maker.cause(maker.some(["Locked", "Unlocked"], 1))
    maker.need("DoorLock.LockState", "command", by=[{"event": name}])


def _needs_washer(maker: _Maker) -> None:
    maker.need("OperationalState.OperationCompletion", "follow")


_NEEDS: list[Callable[[_Maker], None]] = [
    _needs_switch,
    _needs_level,
    _needs_cooling,
    _needs_mode,
    _needs_room,
    _needs_thermometer,
    _needs_motion,
    _needs_power,
    _needs_lock,
    _needs_washer,
]
