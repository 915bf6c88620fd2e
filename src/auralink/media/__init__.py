"""The media role: LiveKit's signalling and server API in front of the packet engine. See `wiring.install`."""
