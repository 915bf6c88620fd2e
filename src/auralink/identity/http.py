"""Routes of identity: /auth and /users/me."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from auralink.identity.access_tokens import AccessTokens
from auralink.identity.aura_ids import AuraId
from auralink.identity.authenticator import BearerAuthenticator
from auralink.identity.cookies import CSRF_HEADER, SessionCookies, client_kind
from auralink.identity.domain import Issued, SignupMode
from auralink.identity.errors import (
    AccountNotFound,
    AuraIdTaken,
    CsrfRefused,
    InvalidAuraId,
    InvalidCredentials,
    InvalidEmail,
    InvitationRefused,
    NotInstanceOwner,
    RefreshSuperseded,
    SessionEnded,
    SignupClosed,
    SignupRefused,
    WeakPassword,
)
from auralink.identity.limits import SignInLimits
from auralink.identity.schemas import (
    JsonWebKey,
    JsonWebKeySet,
    LogInIn,
    ProfileIn,
    RefreshIn,
    SessionOut,
    SignUpIn,
    SignupInvitationIn,
    SignupInvitationOut,
    SignupOut,
    UserOut,
)
from auralink.identity.service import Accounts, SignUp
from auralink.identity.sessions import Sessions
from auralink.kit.auth import Principal
from auralink.kit.errors import Forbidden, InvalidInput, RateLimited, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.responses import problems
from auralink.kit.ids import UserId


class SessionEdge:
    """Turns what was issued into an answer: tokens in the body, or a cookie for browsers."""

    def __init__(self, sessions: Sessions, cookies: SessionCookies) -> None:
        self._sessions = sessions
        self._cookies = cookies

    def answer(self, request: Request, response: Response, issued: Issued) -> SessionOut:
        csrf_token = self._sessions.csrf_token(issued.family)
        self._cookies.set(request, response, issued, csrf_token)
        response.headers["Cache-Control"] = "no-store"
        return SessionOut.of(issued, csrf_token)

    async def refresh(self, request: Request, given: str | None) -> Issued:
        token, from_cookie = self._presented(request, given)
        if token is None:
            raise SessionEnded("No refresh token was sent.")
        return await self._sessions.refresh(token, csrf=request.headers.get(CSRF_HEADER), from_cookie=from_cookie)

    async def end(self, request: Request, response: Response, given: str | None) -> bool:
        """Whether a refresh token was presented at all."""
        token, from_cookie = self._presented(request, given)
        if token is None:
            return False
        await self._sessions.end(token, csrf=request.headers.get(CSRF_HEADER), from_cookie=from_cookie)
        self._cookies.clear(request, response)
        return True

    def _presented(self, request: Request, given: str | None) -> tuple[str | None, bool]:
        if given is not None:
            return given, False
        return self._cookies.token(request), True


def auth_router(
    accounts: Accounts,
    sessions: Sessions,
    edge: SessionEdge,
    authenticator: BearerAuthenticator,
    tokens: AccessTokens,
    limits: SignInLimits,
    signup: SignupMode,
) -> APIRouter:
    router = APIRouter(prefix="/api/v1/auth", tags=["auth"])

    @router.get("/signup", operation_id="getSignupMode")
    async def get_signup_mode() -> SignupOut:
        """Whether this instance takes new accounts."""
        return SignupOut(mode=signup.value)

    @router.post(
        "/signup",
        status_code=201,
        operation_id="signUp",
        responses=problems(
            SignupClosed, SignupRefused, InvalidInput, WeakPassword, InvalidEmail, InvitationRefused, RateLimited,
            Unavailable,
        ),
    )  # fmt: skip
    async def sign_up(body: SignUpIn, request: Request, response: Response) -> SessionOut:
        """Make an account and sign it in. The first account owns the instance."""
        await limits.signing_up(request)
        issued = await accounts.sign_up(
            SignUp(
                email=body.email,
                password=body.password.get_secret_value(),
                name=body.name,
                invitation=body.invitation,
                client=client_kind(request),
            )
        )
        return edge.answer(request, response, issued)

    @router.post(
        "/login",
        operation_id="logIn",
        responses=problems(InvalidCredentials, InvalidInput, RateLimited, Unavailable),
    )
    async def log_in(body: LogInIn, request: Request, response: Response) -> SessionOut:
        """Sign in. An unknown address and a wrong password are answered alike."""
        await limits.signing_in(request, body.email)
        issued = await accounts.sign_in(body.email, body.password.get_secret_value(), client_kind(request))
        return edge.answer(request, response, issued)

    @router.post(
        "/refresh",
        operation_id="refreshSession",
        responses=problems(SessionEnded, RefreshSuperseded, CsrfRefused, InvalidInput, Unavailable),
    )
    async def refresh(request: Request, response: Response, body: RefreshIn | None = None) -> SessionOut:
        """Exchange the refresh token, which is good for one use. Browsers send no body but the header X-CSRF-Token.
        On `refresh_superseded` another request of the same client was faster: use what it received."""
        issued = await edge.refresh(request, body.refresh_token if body else None)
        return edge.answer(request, response, issued)

    @router.post(
        "/logout",
        status_code=204,
        operation_id="logOut",
        responses=problems(Unauthenticated, CsrfRefused, InvalidInput, Unavailable),
    )
    async def log_out(request: Request, response: Response, body: RefreshIn | None = None) -> None:
        """End the session, named by its refresh token (body or cookie) or else by the access token."""
        if not await edge.end(request, response, body.refresh_token if body else None):
            await sessions.end_of_access(authenticator.claims(request))

    @router.get("/jwks.json", operation_id="getKeySet")
    async def get_key_set(response: Response) -> JsonWebKeySet:
        """Public keys that verify access tokens (RFC 7517)."""
        response.headers["Cache-Control"] = "public, max-age=300"
        return JsonWebKeySet(keys=[JsonWebKey.model_validate(key) for key in tokens.jwks()])

    @router.post(
        "/invitations",
        status_code=201,
        operation_id="createSignupInvitation",
        responses=problems(Unauthenticated, NotInstanceOwner, InvalidInput, Unavailable),
    )
    async def create_signup_invitation(
        body: SignupInvitationIn, caller: Caller, tx: Transaction
    ) -> SignupInvitationOut:
        """Let someone make one account on this instance. For the instance's owner."""
        invitation = await accounts.invite(tx, _person(caller), timedelta(hours=body.expires_in_hours))
        return SignupInvitationOut(id=str(invitation.id), code=invitation.code, expires_at=invitation.expires_at)

    return router


def users_router(accounts: Accounts) -> APIRouter:
    router = APIRouter(prefix="/api/v1/users", tags=["users"])

    @router.get(
        "/me", operation_id="getMe", responses=problems(Unauthenticated, Forbidden, AccountNotFound, Unavailable)
    )
    async def get_me(caller: Caller, tx: Transaction) -> UserOut:
        """The account that asks."""
        return UserOut.of(await accounts.get(tx, _person(caller)))

    @router.patch(
        "/me",
        operation_id="updateMe",
        responses=problems(
            Unauthenticated, Forbidden, AccountNotFound, InvalidInput, InvalidAuraId, AuraIdTaken, Unavailable
        ),
    )
    async def update_me(body: ProfileIn, caller: Caller, tx: Transaction) -> UserOut:
        """Change one's name or AuraID."""
        aura_id = None if body.aura_id is None else AuraId.parse(body.aura_id)
        return UserOut.of(await accounts.update(tx, _person(caller), name=body.name, aura_id=aura_id))

    return router


def _person(caller: Principal) -> UserId:
    if caller.user_id is None:
        raise Forbidden("Only people have an account.")
    return caller.user_id
