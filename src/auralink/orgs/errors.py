"""What can go wrong with organisations."""

from auralink.kit.errors import NotFound


class OrganizationNotFound(NotFound):
    """Also the answer for organisations of others."""

    code = "organization_not_found"
    title = "There is no such organisation"
