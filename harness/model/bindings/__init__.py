"""How affordances map to transports: MQTT topics, CoAP resources, DNS-SD services.

Topics, client ids and names may hold ``{unit}``, which stands for the unit's own identifier and is
replaced while a profile is loaded.
"""

from __future__ import annotations

from pydantic import Field

from harness.model.base import ProfilePart
from harness.model.bindings.coap import CoapBinding
from harness.model.bindings.mdns import MdnsBinding
from harness.model.bindings.mqtt import MqttBinding
from harness.model.bindings.serial import SerialBinding


class Bindings(ProfilePart):
    """All transports of the device. A transport that it lacks is None."""

    mqtt: MqttBinding | None = Field(None, description="the device as an MQTT client")
    coap: CoapBinding | None = Field(None, description="the device as a CoAP server")
    mdns: MdnsBinding | None = Field(None, description="the device as an mDNS responder")
    serial: SerialBinding | None = Field(None, description="the device's serial line")
