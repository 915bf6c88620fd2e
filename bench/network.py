"""What is between servers and clients: loopback or a network card."""

from dataclasses import dataclass

from bench import card


@dataclass(frozen=True)
class Network:
    name: str
    title: str
    """As the heading of the table has it."""
    meaning: str
    """What a reader must know of it."""
    address: str
    """Where servers are reached."""
    generator_options: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        return self.name == "loopback"


_CARD = (
    "The card is a TUN device, the generator its other end: servers and raw relay pay for sending up to the driver, as "
    "behind any card, and the kernel takes in what comes for them on the generator's core. The generator looks at the "
    "card every 0.1 to 0.2 ms, which is in the one-way times."
)
LOOPBACK = Network("loopback", "loopback", "", "127.0.0.1")
CARD = Network(
    "card",
    "a network card that segments",
    f"{_CARD} It takes segmented sends whole (UDP segmentation offload).",
    card.ADDRESS,
    tuple(card.options(segments=True)),
)
PLAIN_CARD = Network(
    "plain-card",
    "a network card that does not segment",
    f"{_CARD} The kernel cuts segmented sends on the server's core before they reach it.",
    card.ADDRESS,
    tuple(card.options(segments=False)),
)
NETWORKS = {network.name: network for network in (LOOPBACK, CARD, PLAIN_CARD)}
