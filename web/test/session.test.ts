import { describe, expect, it, vi } from "vitest";
import { Problem } from "../src/api/problem";
import { csrfToken, Session, type SessionHost } from "../src/session/session";

const user = { id: "usr_1", email: "ada@example.org", name: "Ada", aura_id: "ada.aura" };

interface FakeHost extends SessionHost {
  calls: { path: string; init: RequestInit }[];
  timers: { run: () => void; ms: number }[];
  advance: (ms: number) => void;
}

function host(answers: (path: string) => { status: number; body?: unknown } | Error, cookies = "auralink_csrf=abc"): FakeHost {
  let time = 1_000_000;
  const fake: FakeHost = {
    calls: [],
    timers: [],
    advance: (ms) => (time += ms),
    cookies: () => cookies,
    now: () => time,
    later: (run, ms) => {
      const timer = { run, ms };
      fake.timers.push(timer);
      return () => fake.timers.splice(fake.timers.indexOf(timer), 1);
    },
    exclusively: (_name, run) => run(),
    fetch: (path, init) => {
      fake.calls.push({ path, init });
      const answer = answers(path);
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve(new Response(answer.body === undefined ? null : JSON.stringify(answer.body), { status: answer.status }));
    },
  };
  return fake;
}

const granted = (token = "t1") => ({ status: 200, body: { access_token: token, expires_in: 600, user } });

describe("a session", () => {
  it("asks nothing of the server on a first visit", async () => {
    const fake = host(() => granted(), "");
    const session = new Session(fake);
    await session.start();
    expect(session.state).toEqual({ kind: "signed-out", reason: "none" });
    expect(fake.calls).toHaveLength(0);
  });

  it("is picked up again by the refresh cookie, with the CSRF token in a header", async () => {
    const fake = host(() => granted());
    const session = new Session(fake);
    await session.start();
    expect(session.state).toEqual({ kind: "signed-in", user });
    expect(fake.calls[0]?.path).toBe("/api/v1/auth/refresh");
    expect(fake.calls[0]?.init.headers).toMatchObject({ "X-CSRF-Token": "abc", "X-AuraLink-Client": "web" });
  });

  it("renews a minute before the access token expires", async () => {
    const fake = host(() => granted());
    const session = new Session(fake);
    await session.signIn("ada@example.org", "correct horse");
    expect(fake.timers.map(({ ms }) => ms)).toEqual([540_000]);
  });

  it("renews before a call when the token has expired meanwhile", async () => {
    let round = 0;
    const fake = host(() => granted(`t${++round}`));
    const session = new Session(fake);
    await session.signIn("ada@example.org", "correct horse");
    fake.advance(600_000);
    expect(await session.accessToken()).toBe("t2");
  });

  it("refreshes once for callers that come together", async () => {
    const fake = host(() => granted());
    const session = new Session(fake);
    await Promise.all([session.refresh(), session.refresh(), session.refresh()]);
    expect(fake.calls).toHaveLength(1);
  });

  it("asks once more when another tab has just refreshed", async () => {
    let asked = 0;
    const superseded = { status: 409, body: { title: "Another request was faster", status: 409, code: "refresh_superseded" } };
    const fake = host(() => (++asked === 1 ? superseded : granted()));
    const atOnce = (run: () => void, ms: number) => {
      if (ms === 1_000) run();
      return () => undefined;
    };
    const session = new Session({ ...fake, later: atOnce });
    await session.start();
    expect(session.state.kind).toBe("signed-in");
    expect(asked).toBe(2);
  });

  it("ends when the server no longer knows it", async () => {
    let known = true;
    const fake = host(() => (known ? granted() : { status: 401, body: { title: "Sign in first", status: 401 } }));
    const session = new Session(fake);
    await session.start();
    known = false;
    expect(await session.refresh()).toBe(false);
    expect(session.state).toEqual({ kind: "signed-out", reason: "expired" });
  });

  it("stays signed in when the server is away for a moment", async () => {
    let away = false;
    const fake = host(() => (away ? new TypeError("failed to fetch") : granted()));
    const session = new Session(fake);
    await session.start();
    away = true;
    await expect(session.refresh()).rejects.toBeInstanceOf(Problem);
    expect(session.state.kind).toBe("signed-in");
  });

  it("says so when the server cannot be reached at the start", async () => {
    const session = new Session(host(() => new TypeError("failed to fetch")));
    await session.start();
    expect(session.state).toMatchObject({ kind: "unreachable", problem: { code: "unreachable" } });
  });

  it("forgets the token on signing out, even if the server does not answer", async () => {
    const fake = host((path) => (path.endsWith("logout") ? new TypeError("failed") : granted()));
    const session = new Session(fake);
    const changed = vi.fn();
    session.subscribe(changed);
    await session.start();
    await session.signOut();
    expect(session.state).toEqual({ kind: "signed-out", reason: "left" });
    expect(await session.accessToken()).toBeUndefined();
    expect(changed).toHaveBeenCalled();
  });
});

describe("the CSRF cookie", () => {
  it("is found among others", () => {
    expect(csrfToken("a=1; auralink_csrf=x%3Dy")).toBe("x=y");
    expect(csrfToken("other=1")).toBeUndefined();
  });
});
