"""AuraLink: a self-hosted, AI-native real-time communications platform."""

__version__ = "0.1.0"
