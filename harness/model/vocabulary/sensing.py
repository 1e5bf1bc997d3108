"""Clusters for measurements: air, occupancy, electricity, batteries."""

from __future__ import annotations

from harness.model.vocabulary.term import (
    BOOLEAN,
    Cluster,
    cluster,
    command,
    event,
    integer,
    number,
    one_of,
    state,
)

_PERCENT = number("%", 0, 100)

CLUSTERS: tuple[Cluster, ...] = (
    cluster(
        "TemperatureMeasurement",
        0x0402,
        "a thermometer",
        MeasuredValue=state(number("Cel", -273.15, 327.67, 0.01), "the temperature"),
    ),
    cluster(
        "RelativeHumidityMeasurement",
        0x0405,
        "a hygrometer",
        MeasuredValue=state(_PERCENT, "relative humidity"),
    ),
    cluster(
        "IlluminanceMeasurement",
        0x0400,
        "a light sensor",
        MeasuredValue=state(number("lx", 0, 3576000), "illuminance"),
    ),
    cluster(
        "OccupancySensing",
        0x0406,
        "whether somebody is there",
        Occupancy=state(BOOLEAN, "whether somebody is there"),
        OccupancyChanged=event("the room became occupied or empty", BOOLEAN),
        HoldTime=state(
            integer("s", 0, 65535),
            "how long the room counts as occupied after the last motion",
            writable=True,
        ),
    ),
    cluster(
        "BooleanState",
        0x0045,
        "a contact, a leak or rain sensor: true is contact, water, rain",
        StateValue=state(BOOLEAN, "the state"),
        StateChange=event("the state has changed", BOOLEAN),
    ),
    cluster(
        "SmokeCOAlarm",
        0x005C,
        "a smoke and carbon monoxide alarm",
        SmokeState=state(one_of("Normal", "Warning", "Critical"), "smoke"),
        COState=state(one_of("Normal", "Warning", "Critical"), "carbon monoxide"),
        SmokeAlarm=event("there is smoke", one_of("Warning", "Critical")),
    ),
    cluster(
        "PowerSource",
        0x002F,
        "the power supply of the device",
        Status=state(
            one_of("Unspecified", "Active", "Standby", "Unavailable"), "whether this supply is in use"
        ),
        BatVoltage=state(number("V", 0), "voltage of the battery"),
        BatPercentRemaining=state(_PERCENT, "charge of the battery"),
        BatChargeLevel=state(one_of("OK", "Warning", "Critical"), "whether the charge is sufficient"),
        BatReplacementNeeded=state(BOOLEAN, "whether the battery must be changed"),
    ),
    cluster(
        "ElectricalPowerMeasurement",
        0x0090,
        "present values of a load or a supply",
        ActivePower=state(number("W"), "active power; negative where it supplies"),
        RMSVoltage=state(number("V", 0), "voltage of alternating current"),
        RMSCurrent=state(number("A", 0), "alternating current"),
        Frequency=state(number("Hz", 0), "frequency"),
    ),
    cluster(
        "ElectricalEnergyMeasurement",
        0x0091,
        "energy used or supplied so far",
        CumulativeEnergyImported=state(number("kW.h", 0), "energy used so far"),
        CumulativeEnergyExported=state(number("kW.h", 0), "energy supplied so far"),
        CumulativeEnergyReset=event("the counters were reset"),
    ),
    cluster(
        "ElectricalProtectionAlarm",
        0x00A3,
        "a protective device that switches off; provisional in the specification",
        State=state(
            one_of("None", "ShortCircuitFault", "OverLoadFault", "OverVoltageFault", "ResidualCurrentFault"),
            "what has tripped",
        ),
        Notify=event(
            "it has tripped",
            one_of("ShortCircuitFault", "OverLoadFault", "OverVoltageFault", "ResidualCurrentFault"),
        ),
    ),
    cluster(
        "EnergyEVSE",
        0x0099,
        "a charging point for electric vehicles",
        State=state(
            one_of(
                "NotPluggedIn",
                "PluggedInNoDemand",
                "PluggedInDemand",
                "PluggedInCharging",
                "PluggedInDischarging",
                "SessionEnding",
                "Fault",
            ),
            "state of the vehicle's charging",
        ),
        SupplyState=state(
            one_of(
                "Disabled", "ChargingEnabled", "DischargingEnabled", "DisabledError", "DisabledDiagnostics"
            ),
            "whether it may charge",
            writable=True,
        ),
        CircuitCapacity=state(number("A", 0), "capacity of its circuit"),
        MaximumChargeCurrent=state(number("A", 0), "current that the vehicle may draw now"),
        UserMaximumChargeCurrent=state(number("A", 0), "limit set by the owner", writable=True),
        SessionEnergyCharged=state(number("kW.h", 0), "energy of this charging session so far"),
        Disable=command("ends charging"),
        EnableCharging=command("lets the vehicle charge"),
        EVConnected=event("a vehicle was plugged in"),
        EVNotDetected=event("the vehicle was unplugged"),
        EnergyTransferStarted=event("charging began"),
        EnergyTransferStopped=event("charging ended", one_of("EVStopped", "EVSEStopped", "Other")),
        Fault=event("a fault of the charging point"),
    ),
)
