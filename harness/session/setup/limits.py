"""What the operating system grants a process that holds thousands of sockets."""

from __future__ import annotations

from harness.session.target import UsageError

SPARE = 256  # files that a process has open besides, such as modules, traces and pipes


def allow_sockets(count: int) -> None:
    """Raise the limit of open files as far as ``count`` sockets need. Raises UsageError if it is too low."""
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
            f"so many devices need about {needed} open files, and this process may have {hard}; raise the "
            "limit (ulimit -n, or LimitNOFILE of its service), or simulate fewer"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
