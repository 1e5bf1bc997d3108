"""Faults of the factory reset: what is not erased, and what is erased by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.model.affordance import PowerUp
from harness.model.bindings.serial import SerialCommand
from harness.model.profile import Profile
from harness.simulate.faults import fault

if TYPE_CHECKING:
    from harness.simulate.device import SimulatedDevice


def can_be_reset(profile: Profile) -> bool:
    """Profiles whose board can be reset over its serial line."""
    serial = profile.bindings.serial
    return serial is not None and SerialCommand.FACTORY_RESET in serial.commands


def keeps_settings(profile: Profile) -> bool:
    """… and that reports settings there which a restart alone does not reset."""
    serial = profile.bindings.serial
    return can_be_reset(profile) and any(
        schema.writable
        and schema.default is not None
        and schema.power_up is not PowerUp.DEFAULT
        and serial is not None
        and serial.can_read(name)
        for name, schema in profile.properties.items()
    )


def can_be_joined(profile: Profile) -> bool:
    """… and provisioned there."""
    serial = profile.bindings.serial
    return can_be_reset(profile) and serial is not None and SerialCommand.PROVISION in serial.commands


@fault(
    name="reset-keeps-settings",
    title="keeps the settings of the user over a factory reset",
    breaks=("SERIAL-18",),
    applies=keeps_settings,
)
def reset_keeps_settings(device: SimulatedDevice) -> None:
    """They are in a second partition, which was added later."""
    device.core.deviate(forgets=lambda memory, new: memory)


@fault(
    name="reset-keeps-credentials",
    title="keeps the credentials over a factory reset, and reconnects to the old network",
    breaks=("SERIAL-19", "SERIAL-20"),
    applies=can_be_joined,
)
def reset_keeps_credentials(device: SimulatedDevice) -> None:
    """They are stored by the driver, not by the application."""
    device.board.deviate(forgets_credentials=False)


@fault(
    name="reset-leaves-retained",
    title="leaves its retained messages at the broker on a factory reset",
    breaks=("SERIAL-21",),
    applies=lambda profile: can_be_joined(profile) and profile.bindings.mqtt is not None,
)
def reset_leaves_retained(device: SimulatedDevice) -> None:
    """The reset does not clear the broker."""
    device.board.deviate(clears_broker=False)


@fault(
    name="reset-makes-a-brick",
    title="cannot be provisioned again after a factory reset",
    breaks=("SERIAL-23",),
    applies=can_be_joined,
)
def reset_makes_a_brick(device: SimulatedDevice) -> None:
    """Its identity was erased along with the settings."""
    device.board.deviate(obeys=lambda command: command is not SerialCommand.PROVISION)
