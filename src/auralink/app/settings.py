"""Where the servers listen, and how they stop. Each domain's own settings live with the domain."""

from pathlib import Path

from pydantic import Field, SecretStr

from auralink.kit.settings import Settings, is_loopback


class AppSettings(Settings):
    """AURALINK_GATEWAY_PORT, AURALINK_MEDIA_PORT and so on."""

    gateway_host: str = "127.0.0.1"
    """Where REST and the console listen."""
    gateway_port: int = Field(default=8080, ge=0, le=65535)
    """0 picks a free one."""
    media_host: str = "127.0.0.1"
    """Where signalling, the server API and, unless media_addresses says otherwise, media listen."""
    media_port: int = Field(default=7880, ge=0, le=65535)
    """Signalling and server API. 0 picks a free one."""
    database_owner_url: SecretStr | None = None
    """Who runs the migrations on a server of your own; the owner of the tables. Unset: AURALINK_DATABASE_URL."""
    console_dir: Path | None = None
    """The console's static build; unset: web/dist of the checkout."""
    trusted_proxies: str = ""
    """Addresses, separated by commas, whose X-Forwarded-For and -Proto are believed."""
    drain_timeout: float = Field(default=10.0, ge=0)
    """Seconds that running requests and calls get when the process stops."""
    max_connections: int = Field(default=10_000, ge=10)
    """Of each server; beyond that it answers 503."""

    @property
    def only_loopback(self) -> bool:
        """Whether nobody outside this machine can reach any server."""
        return all(is_loopback(host) for host in (self.gateway_host, self.media_host))

    @property
    def console_directory(self) -> Path:
        return self.console_dir or Path(__file__).resolve().parents[3] / "web" / "dist"
