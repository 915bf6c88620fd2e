/** Calls to the gateway, typed by its OpenAPI document. Every call has a time limit and fails with a Problem. */
import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { Session } from "../session/session";
import { problemFrom, unreachable } from "./problem";
import type { components, paths } from "./schema.gen";

export type Room = components["schemas"]["RoomOut"];
export type JoinPolicy = Room["join_policy"];
export type RoomPage = components["schemas"]["Page_RoomOut_"];
export type Invite = components["schemas"]["InvitationOut"];
export type Organization = components["schemas"]["OrganizationOut"];
export type ApiKey = components["schemas"]["ApiKeyOut"];
export type IssuedApiKey = components["schemas"]["IssuedApiKeyOut"];
export type JoinToken = components["schemas"]["JoinOut"];

const TIME_LIMIT_MS = 20_000;

export type Api = ReturnType<typeof createApi>;

export function createApi(session: Session) {
  const http: Client<paths> = createClient<paths>({ baseUrl: window.location.origin });
  http.use(bearer(session));
  return {
    rooms: (cursor: string | undefined): Promise<RoomPage> =>
      answer(http.GET("/api/v1/rooms", { params: { query: { limit: 20, ...(cursor ? { cursor } : {}) } }, ...limited() })),
    room: (room_id: string): Promise<Room> =>
      answer(http.GET("/api/v1/rooms/{room_id}", { params: { path: { room_id } }, ...limited() })),
    createRoom: (body: components["schemas"]["RoomIn"]): Promise<Room> =>
      answer(http.POST("/api/v1/rooms", { body, ...limited() })),
    deleteRoom: (room_id: string): Promise<unknown> =>
      answer(http.DELETE("/api/v1/rooms/{room_id}", { params: { path: { room_id } }, ...limited() })),
    roomToken: (room_id: string, display_name: string): Promise<JoinToken> =>
      answer(
        http.POST("/api/v1/rooms/{room_id}/token", { params: { path: { room_id } }, body: { display_name }, ...limited() }),
      ),
    invite: (code: string): Promise<Invite> =>
      answer(http.GET("/api/v1/invites/{code}", { params: { path: { code } }, ...limited() })),
    guestToken: (code: string, display_name: string): Promise<JoinToken> =>
      answer(
        http.POST("/api/v1/invites/{code}/token", { params: { path: { code } }, body: { display_name }, ...limited() }),
      ),
    removeParticipant: (room_id: string, identity: string): Promise<unknown> =>
      answer(
        http.DELETE("/api/v1/rooms/{room_id}/participants/{identity}", {
          params: { path: { room_id, identity } },
          ...limited(),
        }),
      ),
    organizations: (): Promise<components["schemas"]["Page_OrganizationOut_"]> =>
      answer(http.GET("/api/v1/organizations", { params: { query: { limit: 200 } }, ...limited() })),
    apiKeys: (org_id: string, cursor: string | undefined): Promise<components["schemas"]["Page_ApiKeyOut_"]> =>
      answer(
        http.GET("/api/v1/organizations/{org_id}/api-keys", {
          params: { path: { org_id }, query: { ...(cursor ? { cursor } : {}) } },
          ...limited(),
        }),
      ),
    createApiKey: (org_id: string, body: components["schemas"]["ApiKeyIn"]): Promise<IssuedApiKey> =>
      answer(http.POST("/api/v1/organizations/{org_id}/api-keys", { params: { path: { org_id } }, body, ...limited() })),
    rotateApiKey: (org_id: string, key_id: string, overlap_seconds: number): Promise<IssuedApiKey> =>
      answer(
        http.POST("/api/v1/organizations/{org_id}/api-keys/{key_id}/rotate", {
          params: { path: { org_id, key_id } },
          body: { overlap_seconds },
          ...limited(),
        }),
      ),
    revokeApiKey: (org_id: string, key_id: string): Promise<unknown> =>
      answer(
        http.DELETE("/api/v1/organizations/{org_id}/api-keys/{key_id}", {
          params: { path: { org_id, key_id } },
          ...limited(),
        }),
      ),
    /** Whether this server takes new accounts. */
    signUpMode: (): Promise<components["schemas"]["SignupOut"]> => answer(http.GET("/api/v1/auth/signup", limited())),
    updateMe: (profile: components["schemas"]["ProfileIn"]): Promise<components["schemas"]["UserOut"]> =>
      answer(http.PATCH("/api/v1/users/me", { body: profile, ...limited() })),
  };
}

function limited() {
  return { signal: AbortSignal.timeout(TIME_LIMIT_MS) };
}

function bearer(session: Session): Middleware {
  return {
    async onRequest({ request }) {
      const token = await session.accessToken();
      if (token) request.headers.set("Authorization", `Bearer ${token}`);
      return request;
    },
  };
}

async function answer<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call.catch((failure: unknown) => {
    throw failure instanceof Error && failure.name === "Problem" ? failure : unreachable();
  });
  if (!response.ok) throw problemFrom(response, error);
  return data as T;
}
