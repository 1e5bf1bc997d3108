"""Clusters for heating, cooling, fans, refrigerators and appliances that run programmes."""

from __future__ import annotations

from harness.model.vocabulary.term import (
    Cluster,
    Sets,
    cluster,
    command,
    event,
    integer,
    number,
    one_of,
    state,
)

_PERCENT = number("%", 0, 100)
_TEMPERATURE = number("Cel", -273.15, 327.67, 0.01)

CLUSTERS: tuple[Cluster, ...] = (
    cluster(
        "Thermostat",
        0x0201,
        "keeps a room at a temperature",
        LocalTemperature=state(_TEMPERATURE, "temperature of the room"),
        OccupiedHeatingSetpoint=state(_TEMPERATURE, "temperature below which it heats", writable=True),
        OccupiedCoolingSetpoint=state(_TEMPERATURE, "temperature above which it cools", writable=True),
        SystemMode=state(
            one_of("Off", "Auto", "Cool", "Heat", "EmergencyHeat", "Precooling", "FanOnly", "Dry", "Sleep"),
            "the requested mode",
            writable=True,
        ),
        ThermostatRunningMode=state(one_of("Off", "Cool", "Heat"), "the current mode"),
    ),
    cluster(
        "FanControl",
        0x0202,
        "moves air",
        FanMode=state(
            one_of("Off", "Low", "Medium", "High", "On", "Auto", "Smart"), "speed or mode", writable=True
        ),
        PercentSetting=state(_PERCENT, "speed, relative to the highest one", writable=True),
    ),
    cluster(
        "TemperatureControl",
        0x0056,
        "the temperature at which an appliance works",
        TemperatureSetpoint=state(_TEMPERATURE, "the temperature to keep", writable=True),
        SetTemperature=command("sets it", _TEMPERATURE, Sets("TemperatureSetpoint")),
    ),
    cluster(
        "OperationalState",
        0x0060,
        "an appliance that runs a programme to its end",
        OperationalState=state(one_of("Stopped", "Running", "Paused", "Error"), "state of the programme"),
        CountdownTime=state(integer("s", 0), "remaining time of the programme"),
        Start=command("starts the programme"),
        Stop=command("ends the programme early"),
        Pause=command("halts the programme"),
        Resume=command("continues the programme"),
        OperationCompletion=event("the programme has ended"),
        OperationalError=event("the programme cannot continue"),
    ),
    cluster(
        "LaundryWasherMode",
        0x0051,
        "the programme of a washing machine",
        CurrentMode=state(one_of("Normal", "Delicate", "Heavy", "Whites"), "the programme", writable=True),
    ),
    cluster(
        "LaundryWasherControls",
        0x0053,
        "settings of a washing machine",
        SpinSpeedCurrent=state(integer("/min", 0), "speed of the drum while it spins", writable=True),
    ),
    cluster(
        "RefrigeratorAndTemperatureControlledCabinetMode",
        0x0052,
        "how hard a fridge or freezer works",
        CurrentMode=state(one_of("Auto", "RapidCool", "RapidFreeze"), "the mode", writable=True),
    ),
    cluster(
        "RefrigeratorAlarm",
        0x0057,
        "a door of a fridge that is left open",
        State=state(one_of("None", "DoorOpen"), "the active alarm"),
        Notify=event("an alarm began", one_of("DoorOpen")),
    ),
    cluster(
        "HepaFilterMonitoring",
        0x0071,
        "a filter that wears out",
        Condition=state(_PERCENT, "remaining life of the filter"),
        ChangeIndication=state(one_of("OK", "Warning", "Critical"), "whether the filter must be changed"),
        ResetCondition=command("reports that the filter was changed"),
    ),
)
