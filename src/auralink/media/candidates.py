"""Our ICE candidates in a description."""

_PREFIX = "a=candidate:"


def tcp_only(sdp: str) -> str:
    """The description without candidates of UDP; as it is, when there are no others."""
    lines = sdp.split("\r\n")
    unwanted = {line for line in lines if line.startswith(_PREFIX) and _protocol(line) != "tcp"}
    if all(line in unwanted for line in lines if line.startswith(_PREFIX)):
        return sdp
    return "\r\n".join(line for line in lines if line not in unwanted)


def _protocol(candidate: str) -> str:
    """RFC 8839 section 5.1: foundation, component, transport, ..."""
    fields = candidate.split(" ")
    return fields[2].lower() if len(fields) > 2 else ""
