"""Organisations: tenancy, members, roles."""

from auralink.orgs.domain import Organization, OrganizationKind, Role
from auralink.orgs.errors import OrganizationNotFound
from auralink.orgs.events import OrganizationCreated
from auralink.orgs.interface import Organizations

__all__ = ["Organization", "OrganizationCreated", "OrganizationKind", "OrganizationNotFound", "Organizations", "Role"]
