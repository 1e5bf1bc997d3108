"""Reading MQTT 3.1.1 and 5.0 control packets from raw bytes."""

from __future__ import annotations

from harness.wire.mqtt.codec import (
    Framer,
    decode,
)
from harness.wire.mqtt.encode import (
    encode_ack,
    encode_connack,
    encode_packet,
    encode_pingresp,
    encode_publish,
    encode_suback,
    encode_unsuback,
)
from harness.wire.mqtt.fields import (
    MQTT_5,
    PacketType,
)
from harness.wire.mqtt.packets import (
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    TopicFilter,
    Undecodable,
    Unsuback,
    Unsubscribe,
    Will,
)
from harness.wire.mqtt.properties import (
    Property,
    PropertyId,
)
from harness.wire.mqtt.topics import (
    filter_problems,
    topic_matches,
    topic_problems,
)
from harness.wire.problem import (
    Problem,
)

__all__ = [
    "MQTT_5",
    "Ack",
    "Auth",
    "Connack",
    "Connect",
    "Disconnect",
    "Framer",
    "Packet",
    "PacketType",
    "Pingreq",
    "Pingresp",
    "Problem",
    "Property",
    "PropertyId",
    "Publish",
    "Suback",
    "Subscribe",
    "TopicFilter",
    "Undecodable",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "decode",
    "encode_ack",
    "encode_connack",
    "encode_packet",
    "encode_pingresp",
    "encode_publish",
    "encode_suback",
    "encode_unsuback",
    "filter_problems",
    "topic_matches",
    "topic_problems",
]
