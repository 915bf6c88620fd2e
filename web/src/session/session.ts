/**
 * The signed-in person. This object is the only owner of the access token: it lives in memory, never in storage, and
 * is renewed from the HttpOnly refresh cookie before it expires.
 */
import { Problem, problemFrom, unreachable } from "../api/problem";
import type { components } from "../api/schema.gen";

export type User = components["schemas"]["UserOut"];
type Grant = Pick<components["schemas"]["SessionOut"], "access_token" | "expires_in" | "user">;

export type SessionState =
  | { kind: "starting" }
  | { kind: "signed-out"; reason: "none" | "expired" | "left" }
  | { kind: "signed-in"; user: User }
  | { kind: "unreachable"; problem: Problem };

/** Browsers send this so that the refresh token comes as a cookie which scripts cannot read. */
const WEB_CLIENT = { "X-AuraLink-Client": "web" };
const RENEW_BEFORE_EXPIRY_MS = 60_000;
const SHORTEST_RENEWAL_MS = 5_000;
const RETRY_MS = 10_000;
const SUPERSEDED_WAIT_MS = 1_000;
const REFRESH_LOCK = "auralink-refresh";

export interface SessionHost {
  fetch: (input: string, init: RequestInit) => Promise<Response>;
  cookies: () => string;
  now: () => number;
  later: (run: () => void, ms: number) => () => void;
  /** Runs one holder at a time in all tabs: a rotated refresh token used twice would end the session. */
  exclusively: <T>(name: string, run: () => Promise<T>) => Promise<T>;
}

export class Session {
  private token: string | undefined;
  private expiresAt = 0;
  private cancelRenewal: () => void = () => undefined;
  private refreshing: Promise<boolean> | undefined;
  private readonly listeners = new Set<() => void>();
  private current: SessionState = { kind: "starting" };

  constructor(private readonly host: SessionHost) {}

  get state(): SessionState {
    return this.current;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Picks up a session of an earlier visit, if the browser still holds one. */
  async start(): Promise<void> {
    if (!csrfToken(this.host.cookies())) {
      this.become({ kind: "signed-out", reason: "none" });
      return;
    }
    try {
      if (!(await this.refresh())) this.become({ kind: "signed-out", reason: "none" });
    } catch (error) {
      this.become({ kind: "unreachable", problem: error instanceof Problem ? error : unreachable() });
    }
  }

  async signIn(email: string, password: string): Promise<void> {
    this.accept(await this.post<Grant>("/api/v1/auth/login", { email, password }));
  }

  async signUp(account: components["schemas"]["SignUpIn"]): Promise<void> {
    this.accept(await this.post<Grant>("/api/v1/auth/signup", account));
  }

  async signOut(): Promise<void> {
    const token = this.token;
    this.forget();
    this.become({ kind: "signed-out", reason: "left" });
    await this.post("/api/v1/auth/logout", undefined, token).catch(() => undefined);
  }

  /** The profile as it is after a change. */
  update(user: User): void {
    if (this.current.kind === "signed-in") this.become({ kind: "signed-in", user });
  }

  /** A token that is valid for a moment longer, renewed first when it is about to expire. */
  async accessToken(): Promise<string | undefined> {
    if (this.token && this.expiresAt - this.host.now() > SHORTEST_RENEWAL_MS) return this.token;
    if (this.current.kind !== "signed-in") return undefined;
    return (await this.refresh()) ? this.token : undefined;
  }

  /** Asks for a new access token. False when the session is over; throws when the server cannot say. */
  refresh(): Promise<boolean> {
    this.refreshing ??= this.host
      .exclusively(REFRESH_LOCK, () => this.exchange())
      .finally(() => {
        this.refreshing = undefined;
      });
    return this.refreshing;
  }

  private async exchange(again = true): Promise<boolean> {
    try {
      this.accept(await this.post<Grant>("/api/v1/auth/refresh", {}));
      return true;
    } catch (error) {
      if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
        this.forget();
        if (this.current.kind === "signed-in") this.become({ kind: "signed-out", reason: "expired" });
        return false;
      }
      if (error instanceof Problem && error.code === "refresh_superseded" && again) {
        // Another tab was faster; its answer has just put a newer cookie into the jar we share.
        await new Promise<void>((resolve) => this.host.later(resolve, SUPERSEDED_WAIT_MS));
        return this.exchange(false);
      }
      throw error;
    }
  }

  private accept(grant: Grant): void {
    this.token = grant.access_token;
    this.expiresAt = this.host.now() + grant.expires_in * 1000;
    const life = grant.expires_in * 1000;
    this.renewIn(Math.max(SHORTEST_RENEWAL_MS, life - Math.min(RENEW_BEFORE_EXPIRY_MS, life / 2)));
    this.become({ kind: "signed-in", user: grant.user });
  }

  private renewIn(ms: number): void {
    this.cancelRenewal();
    this.cancelRenewal = this.host.later(() => {
      this.refresh().catch(() => this.renewIn(RETRY_MS));
    }, ms);
  }

  private forget(): void {
    this.token = undefined;
    this.expiresAt = 0;
    this.cancelRenewal();
  }

  private become(state: SessionState): void {
    this.current = state;
    for (const listener of this.listeners) listener();
  }

  private async post<T>(path: string, body: unknown, token?: string): Promise<T> {
    const csrf = csrfToken(this.host.cookies());
    const response = await this.host
      .fetch(path, {
        method: "POST",
        credentials: "same-origin",
        headers: {
          "Content-Type": "application/json",
          ...WEB_CLIENT,
          ...(csrf ? { "X-CSRF-Token": csrf } : {}),
          ...(token ? { Authorization: `Bearer ${token}` } : {}),
        },
        body: JSON.stringify(body ?? {}),
      })
      .catch(() => {
        throw unreachable();
      });
    const answer: unknown = response.status === 204 ? undefined : await response.json().catch(() => undefined);
    if (!response.ok) throw problemFrom(response, answer);
    return answer as T;
  }
}

/** The double-submit token. The server sets it readable, beside the HttpOnly refresh cookie. */
export function csrfToken(cookies: string): string | undefined {
  for (const pair of cookies.split(/;\s*/)) {
    const [name, value] = pair.split("=", 2);
    if (name === "auralink_csrf" && value) return decodeURIComponent(value);
  }
  return undefined;
}

export function browserHost(): SessionHost {
  return {
    fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(20_000) }),
    cookies: () => document.cookie,
    now: () => Date.now(),
    later: (run, ms) => {
      const timer = window.setTimeout(run, ms);
      return () => window.clearTimeout(timer);
    },
    // Web Locks exist in secure contexts only; plain http on another host goes without.
    exclusively: async (name, run) =>
      "locks" in navigator ? await navigator.locks.request(name, run) : await run(),
  };
}
