"""The behaviour of a simulated CoAP server, and how faults change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from harness.simulate.coap.links import LinkEntry


class Duplicates(Enum):
    """How the server handles a request that is repeated with the same Message ID (RFC 7252, 4.5)."""

    ANSWER_AGAIN = auto()  # executed once, the same answer each time
    EXECUTE = auto()  # treated as a new request
    SILENT = auto()  # executed once, but never answered again


@dataclass(frozen=True, slots=True)
class CoapDeviations:
    """Settings that faults change; the defaults conform."""

    # Messages (RFC 7252, 4)
    strict_parsing: bool = True  # format errors are detected
    reset_format_errors: bool = True  # … and confirmable messages with one get a Reset
    answer_ping: bool = True
    duplicates: Duplicates = Duplicates.ANSWER_AGAIN
    early_acknowledgement: bool = True  # an empty ACK precedes a slow response
    retransmissions: int | None = None  # None: as in the profile
    ack_timeout: float | None = None  # seconds; None: as in the profile
    retransmission_factor: float = 2.0
    message_id_start: int | None = None  # None: at random
    answers_from_other_port: bool = False
    one_outstanding: bool = True  # confirmable message per client at a time (NSTART; RFC 7252, 4.7)
    non_confirmable_answers: bool = True  # NON is answered with NON; otherwise with an ACK

    # Options and errors (RFC 7252, 5)
    refuse_critical_options: bool = True
    ignore_elective_options: bool = True
    understand_uri_host: bool = True
    accept_leading_zeros: bool = True  # in options that are numbers (RFC 7252, 3.2)
    check_option_lengths: bool = True  # and repeats of options that are not repeatable
    refuse_proxying: bool = True
    obey_accept: bool = True
    check_content_format: bool = True
    obey_preconditions: bool = True  # If-Match, If-None-Match
    errors_as: int | None = None  # one code for every 4.xx, such as 0xA0
    unknown_paths_found: bool = False  # any path is answered with 2.05
    get_has_side_effect: bool = False  # reading a switch toggles it
    put_toggles: bool = False  # writing a switch toggles it, whatever the value

    # Observe (RFC 7641)
    observe_start: int | None = None  # first value of the Observe option; None: at random
    observe_step: int = 1
    observe_bits: int | None = 24  # the value wraps at this size; None: never
    observe_first_repeats: bool = False  # the first notification has the registration's value
    observe_lifetime: float | None = None  # seconds after which notifications end silently
    notify: bool = True
    observers: int | None = None  # observations per resource; None: as in the profile
    admit_when_full: bool = False  # an observation is confirmed even if the list is full
    confirmable_notifications: bool | None = None  # None: as in the profile
    echo_token: bool = True
    obey_reset: bool = True
    obey_deregistration: bool = True
    replace_registration: bool = True
    drop_silent_observers: bool = True
    plain_get_cancels: bool = False  # a GET without Observe ends the client's observation of the resource
    supersede: bool = True  # a retransmission carries the newest state
    confirmable_every: float | None = 86400.0  # seconds between CON among NON notifications; None: never
    non_confirmable_spacing: float = 3.0  # seconds between NON notifications to one client

    # Blocks (RFC 7959)
    check_block_fields: bool = True  # size exponent 7 and block numbers past the end are refused
    smallest_block: int = 16  # bytes; smaller blocks are refused
    obey_block_size: bool = True  # otherwise its own, larger size is used
    ignore_more_in_requests: bool = True  # M of Block2 in a request; otherwise it requests the next block
    block_etag: bool = True
    body_changes_between_blocks: bool = False
    atomic_upload: bool = True  # otherwise each block is applied alone
    check_missing_blocks: bool = True
    maximum_body: int | None = 1024  # bytes of a request body; None: no limit
    separate_uploads: bool = True  # otherwise all clients share one buffer

    # Links (RFC 6690)
    links_match: bool = True  # otherwise a resource that does not exist is listed
    filter_links: bool = True
    filter_prefixes: bool = True  # "rt=temp*"
    link_separator: str = ","
    alter_link: Callable[[LinkEntry], LinkEntry | None] = lambda link: link  # None: not listed
