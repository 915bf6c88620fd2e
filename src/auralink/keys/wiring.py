"""What keys install: their routes, and the feed the media role reads."""

from auralink.keys.feed import KeyFeed
from auralink.keys.http import api_keys_router, feed_router
from auralink.keys.service import ApiKeyService
from auralink.keys.store import ApiKeyStore
from auralink.kit.assembly import Assembly
from auralink.kit.livekit import LiveKitSettings
from auralink.kit.sealing import Sealer, SealingSettings
from auralink.orgs import Organizations


def install(assembly: Assembly, *, organizations: Organizations) -> None:
    secret = assembly.settings(SealingSettings).encryption_key.get_secret_value()
    pair = assembly.settings(LiveKitSettings)
    store = ApiKeyStore(Sealer(secret, "livekit-api-keys"))
    feed = KeyFeed(assembly.database, store, assembly.notifier, assembly.clock)
    gateway = assembly.server("gateway")
    gateway.add_router(api_keys_router(ApiKeyService(store, organizations, assembly.clock)))
    gateway.add_router(
        feed_router(feed, pair.livekit_api_key.get_secret_value(), pair.livekit_api_secret.get_secret_value())
    )

    async def end_waits() -> None:
        feed.close()

    assembly.drain("key-feed", end_waits)
