/**
 * The REST API in memory, for working on the console without a gateway (`npm run dev`). It is no part of the build.
 * Calls go to a LiveKit-compatible server at LIVEKIT_URL (ws://127.0.0.1:7880) with LIVEKIT_API_KEY and _SECRET.
 */
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";

interface User {
  id: string;
  email: string;
  name: string;
  aura_id: string;
  password: string;
}

interface Room {
  id: string;
  name: string;
  org_id: string;
  join_policy: string;
  max_participants: number | null;
  status: string;
  metadata: null;
  created_at: string;
  invite_code: string;
}

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly extra: Record<string, unknown> = {},
  ) {
    super(title);
  }
}

interface Call {
  body: Record<string, unknown>;
  query: URLSearchParams;
  cookies: Map<string, string>;
  bearer: string | undefined;
  params: string[];
  setCookie: (...cookies: string[]) => void;
}

const users = new Map<string, User>();
const access = new Map<string, User>();
const refresh = new Map<string, User>();
const rooms = new Map<string, Room>();

export function restFake(): Plugin {
  return {
    name: "rest-fake",
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (!request.url?.startsWith("/api/v1/")) {
          next();
          return;
        }
        void handle(request, response);
      });
    },
  };
}

const ROUTES: readonly [method: string, path: RegExp, run: (call: Call) => [status: number, body?: unknown]][] = [
  ["GET", /^auth\/signup$/, () => [200, { mode: "open" }]],
  ["POST", /^auth\/signup$/, signUp],
  ["POST", /^auth\/login$/, logIn],
  ["POST", /^auth\/refresh$/, renew],
  ["POST", /^auth\/logout$/, logOut],
  ["GET", /^users\/me$/, (call) => [200, shown(caller(call))]],
  ["PATCH", /^users\/me$/, (call) => [200, shown(Object.assign(caller(call), { name: text(call, "name"), aura_id: text(call, "aura_id") }))]],
  ["GET", /^rooms$/, listRooms],
  ["POST", /^rooms$/, createRoom],
  ["GET", /^rooms\/([^/]+)$/, (call) => [200, room(call)]],
  ["DELETE", /^rooms\/([^/]+)$/, (call) => [rooms.delete(room(call).id) ? 204 : 404]],
  ["POST", /^rooms\/([^/]+)\/token$/, (call) => [201, joinToken(room(call), caller(call).id, text(call, "display_name"))]],
  ["GET", /^invites\/([^/]+)$/, (call) => [200, { room: invited(call), join_policy: invited(call).join_policy }]],
  ["POST", /^invites\/([^/]+)\/token$/, (call) => [201, joinToken(invited(call), `guest_${randomUUID()}`, text(call, "display_name"))]],
];

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://fake");
  const path = url.pathname.slice("/api/v1/".length);
  const requestId = randomUUID();
  try {
    const route = ROUTES.find(([method, pattern]) => method === request.method && pattern.test(path));
    if (!route) throw new Refusal(404, "Not found");
    const call: Call = {
      body: await bodyOf(request),
      query: url.searchParams,
      cookies: new Map((request.headers.cookie ?? "").split(/;\s*/).map((pair) => pair.split("=", 2) as [string, string])),
      bearer: request.headers.authorization?.replace(/^Bearer /, ""),
      params: (route[1].exec(path) ?? []).slice(1).map(decodeURIComponent),
      setCookie: (...cookies) => response.setHeader("Set-Cookie", cookies),
    };
    const [status, body] = route[2](call);
    send(response, status, body);
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal(500, "Something went wrong on our side");
    send(response, refusal.status, { title: refusal.title, status: refusal.status, request_id: requestId, ...refusal.extra });
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks).toString();
  return raw ? (JSON.parse(raw) as Record<string, unknown>) : {};
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.statusCode = status;
  response.setHeader("Content-Type", status < 400 ? "application/json" : "application/problem+json");
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function text(call: Call, name: string): string {
  const value = call.body[name];
  return typeof value === "string" ? value : "";
}

function signUp(call: Call): [number, unknown] {
  const email = text(call, "email").toLowerCase();
  if ([...users.values()].some((user) => user.email === email)) {
    throw new Refusal(422, "Some of the input is not right", {
      errors: [{ field: "email", message: "there is an account with this address already" }],
    });
  }
  const name = text(call, "name");
  const user: User = { id: `usr_${randomUUID()}`, email, name, aura_id: `${name.toLowerCase().replace(/\W+/g, "-")}.aura`, password: text(call, "password") };
  users.set(user.id, user);
  return [201, grant(call, user)];
}

function logIn(call: Call): [number, unknown] {
  const user = [...users.values()].find(({ email }) => email === text(call, "email").toLowerCase());
  if (user?.password !== text(call, "password")) throw new Refusal(401, "E-mail or password is not right");
  return [200, grant(call, user)];
}

function renew(call: Call): [number, unknown] {
  const token = call.cookies.get("auralink_refresh") ?? "";
  const user = refresh.get(token);
  if (!user) throw new Refusal(401, "Sign in first");
  refresh.delete(token);
  return [200, grant(call, user)];
}

function logOut(call: Call): [number] {
  refresh.delete(call.cookies.get("auralink_refresh") ?? "");
  call.setCookie("auralink_refresh=; Path=/; Max-Age=0", "auralink_csrf=; Path=/; Max-Age=0");
  return [204];
}

function grant(call: Call, user: User): unknown {
  const [token, again] = [randomBytes(18).toString("base64url"), randomBytes(18).toString("base64url")];
  access.set(token, user);
  refresh.set(again, user);
  call.setCookie(
    `auralink_refresh=${again}; Path=/; HttpOnly; SameSite=Strict`,
    `auralink_csrf=${randomBytes(9).toString("base64url")}; Path=/; SameSite=Strict`,
  );
  return { access_token: token, expires_in: 600, user: shown(user) };
}

function shown({ id, email, name, aura_id }: User): Omit<User, "password"> {
  return { id, email, name, aura_id };
}

function caller(call: Call): User {
  const user = access.get(call.bearer ?? "");
  if (!user) throw new Refusal(401, "Sign in first");
  return user;
}

function listRooms(call: Call): [number, unknown] {
  const mine = [...rooms.values()].filter((room) => room.org_id === caller(call).id).reverse();
  const limit = Number(call.query.get("limit") ?? 50);
  const from = Number(call.query.get("cursor") ?? 0);
  return [200, { items: mine.slice(from, from + limit), next_cursor: from + limit < mine.length ? String(from + limit) : null }];
}

function createRoom(call: Call): [number, unknown] {
  const created: Room = {
    id: `room_${randomUUID()}`,
    name: text(call, "name"),
    org_id: caller(call).id,
    join_policy: text(call, "join_policy") || "members",
    max_participants: typeof call.body["max_participants"] === "number" ? call.body["max_participants"] : null,
    status: "active",
    metadata: null,
    created_at: new Date().toISOString(),
    invite_code: randomBytes(9).toString("base64url"),
  };
  rooms.set(created.id, created);
  return [201, created];
}

function room(call: Call): Room {
  caller(call);
  const found = rooms.get(call.params[0] ?? "");
  if (!found) throw new Refusal(404, "Not found");
  return found;
}

function invited(call: Call): Room {
  const found = [...rooms.values()].find(({ invite_code }) => invite_code === call.params[0]);
  if (!found) throw new Refusal(404, "Not found");
  return found;
}

function joinToken(into: Room, identity: string, name: string): unknown {
  const now = Math.floor(Date.now() / 1000);
  const key = process.env["LIVEKIT_API_KEY"] ?? "devkey";
  const claims = {
    iss: key,
    sub: identity,
    name,
    nbf: now - 5,
    exp: now + 600,
    video: { room: into.id, roomJoin: true, canPublish: true, canSubscribe: true, canPublishData: true },
  };
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const unsigned = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  const signature = createHmac("sha256", process.env["LIVEKIT_API_SECRET"] ?? "secret").update(unsigned).digest("base64url");
  const url = process.env["LIVEKIT_URL"] ?? "ws://127.0.0.1:7880";
  return { token: `${unsigned}.${signature}`, url, identity, room: into };
}
