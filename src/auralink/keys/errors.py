"""What can go wrong with key pairs.

ApiKeyNotFound      404, also for those of other organisations and for revoked ones
NotOrganizationAdmin 403
TooManyApiKeys      409
KeyFeedRefused      401
"""

from auralink.kit.errors import Conflict, Forbidden, NotFound, Unauthenticated


class ApiKeyNotFound(NotFound):
    code = "api_key_not_found"
    title = "There is no such API key"


class NotOrganizationAdmin(Forbidden):
    code = "not_organization_admin"
    title = "Only the organisation's owners and admins may do that"


class TooManyApiKeys(Conflict):
    code = "too_many_api_keys"
    title = "The organisation has as many API keys as it may have; revoke one first"


class KeyFeedRefused(Unauthenticated):
    code = "key_feed_refused"
    title = "Only the media server may ask for key pairs"
