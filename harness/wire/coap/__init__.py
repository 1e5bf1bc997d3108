"""Reading and writing CoAP messages (RFC 7252 3), with Observe (RFC 7641) and Block (RFC 7959)."""

from __future__ import annotations

from harness.wire.coap.codec import (
    Code,
    Message,
    Type,
    code_name,
    code_text,
    decode,
    empty,
    encode,
    is_newer,
    request,
)
from harness.wire.coap.link_format import (
    Link,
    LinkFormatError,
    parse_link_format,
)
from harness.wire.coap.options import (
    Block,
    Option,
    OptionNumber,
    encode_uint,
    is_critical,
    option_name,
    option_text,
)
from harness.wire.problem import (
    Problem,
)

__all__ = [
    "Block",
    "Code",
    "Link",
    "LinkFormatError",
    "Message",
    "Option",
    "OptionNumber",
    "Problem",
    "Type",
    "code_name",
    "code_text",
    "decode",
    "empty",
    "encode",
    "encode_uint",
    "is_critical",
    "is_newer",
    "option_name",
    "option_text",
    "parse_link_format",
    "request",
]
