"""Electrical ratings: what a device draws and what it supplies, and which plug fits which socket."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from harness.model.base import ProfilePart


class Connector(StrEnum):
    """Plugs and sockets by the names of their standards."""

    CEE_7_3 = "CEE 7/3"  # socket with side contacts, type F
    CEE_7_5 = "CEE 7/5"  # socket with an earth pin, type E
    CEE_7_4 = "CEE 7/4"  # plug for 7/3
    CEE_7_7 = "CEE 7/7"  # plug for 7/3 and 7/5
    CEE_7_16 = "CEE 7/16"  # flat plug, 2.5 A, no earth
    CEE_7_17 = "CEE 7/17"  # plug without earth, 16 A
    BS_1363 = "BS 1363"  # type G, plug and socket
    NEMA_1_15 = "NEMA 1-15"
    NEMA_5_15 = "NEMA 5-15"
    NEMA_5_20 = "NEMA 5-20"
    NEMA_6_15 = "NEMA 6-15"
    IEC_60320_C7 = "IEC 60320 C7"
    IEC_62196_TYPE_1 = "IEC 62196-2 Type 1"  # SAE J1772
    IEC_62196_TYPE_2 = "IEC 62196-2 Type 2"
    E26 = "E26"  # lamp holder and lamp, 120 V
    E27 = "E27"  # the same thread for 230 V, which is why their voltages have to be compared
    GU10 = "GU10"
    USB_A = "USB-A"
    USB_C = "USB-C"
    FIXED = "fixed wiring"

    def fits(self, socket: Connector) -> bool:
        """Whether a plug of this kind fits a socket of that kind."""
        return socket in _SOCKETS_OF.get(self, (self,))


# Plugs that fit sockets of another name, and sockets, which fit none. All others fit their own name.
_SOCKETS_OF: MappingProxyType[Connector, tuple[Connector, ...]] = MappingProxyType(
    {
        Connector.CEE_7_3: (),
        Connector.CEE_7_5: (),
        Connector.CEE_7_4: (Connector.CEE_7_3,),
        Connector.CEE_7_7: (Connector.CEE_7_3, Connector.CEE_7_5),
        Connector.CEE_7_16: (Connector.CEE_7_3, Connector.CEE_7_5),
        Connector.CEE_7_17: (Connector.CEE_7_3, Connector.CEE_7_5),
        Connector.NEMA_1_15: (Connector.NEMA_1_15, Connector.NEMA_5_15, Connector.NEMA_5_20),
        Connector.E26: (Connector.E26, Connector.E27),
        Connector.E27: (Connector.E26, Connector.E27),
        Connector.NEMA_5_15: (Connector.NEMA_5_15, Connector.NEMA_5_20),
    }
)


class Span(ProfilePart):
    """The range of a rating. For USB-C, where the voltage is negotiated: the possible range."""

    minimum: float = Field(gt=0, description="smallest value")
    maximum: float = Field(gt=0, description="largest value")


class Rating(ProfilePart):
    """One inlet, plug, outlet or cable of the device."""

    connector: Connector = Field(
        description="the plug through which it draws, or the socket from which it supplies"
    )
    voltage: Span = Field(description="V")
    frequency: Span | None = Field(None, description="Hz; left out: direct current")
    phases: Literal[1, 3] = Field(1, description="number of phases of alternating current")
    current: float = Field(gt=0, description="A: the most that the device draws or can supply")
    power: float | None = Field(None, gt=0, description="W: the most that the device draws or can supply")
    earthed: bool = Field(False, description="whether it needs or provides protective earth")


class Ratings(ProfilePart):
    """What a device draws and what it supplies to others."""

    draws: tuple[Rating, ...] = Field(
        (), description="what the device draws, one rating for each inlet or plug"
    )
    supplies: tuple[Rating, ...] = Field(
        (), description="what the device supplies, one rating for each outlet or cable"
    )
