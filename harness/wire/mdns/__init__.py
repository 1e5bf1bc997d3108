"""Reading and writing Multicast DNS messages (RFC 6762 18, RFC 1035 4, RFC 6763 6)."""

from __future__ import annotations

from harness.wire.mdns.codec import (
    CLASS_IN,
    Message,
    Question,
    Record,
    decode,
    encode,
    encode_query,
    encode_response,
    record,
)
from harness.wire.mdns.names import (
    DomainNameError,
    join_name,
    same_name,
    split_name,
)
from harness.wire.mdns.records import (
    Address,
    Data,
    Nsec,
    Ptr,
    RecordType,
    Srv,
    Txt,
    Unknown,
    txt_pairs,
    type_name,
)
from harness.wire.problem import (
    Problem,
)

__all__ = [
    "CLASS_IN",
    "Address",
    "Data",
    "DomainNameError",
    "Message",
    "Nsec",
    "Problem",
    "Ptr",
    "Question",
    "Record",
    "RecordType",
    "Srv",
    "Txt",
    "Unknown",
    "decode",
    "encode",
    "encode_query",
    "encode_response",
    "join_name",
    "record",
    "same_name",
    "split_name",
    "txt_pairs",
    "type_name",
]
