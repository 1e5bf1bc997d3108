"""The operating system's limit on open files, for processes with thousands of sockets."""

from __future__ import annotations

from harness.session.target import UsageError

SPARE = 256  # other open files, such as modules, traces and pipes


def allow_sockets(count: int) -> None:
    """Raise the limit on open files for ``count`` sockets. Raises UsageError if that is refused."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return
    needed = count + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"this many devices need about {needed} open files, and the limit is {hard}; raise it "
            "(ulimit -n, or LimitNOFILE of the service), or simulate fewer devices"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
