"""What an exception of a library comes down to, in the few words that a message has room for."""


def root_cause(error: BaseException) -> str:
    """Return the operating system's words for the error at the root of the chain, else the start of the message."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return " ".join(str(error).split())[:200].rstrip(".")
