import { describe, expect, it } from "vitest";
import { asProblem, Problem, problemFrom, waitInWords } from "../src/api/problem";
import { endReason, farewell } from "../src/lib/farewell";
import { gridFor, pageSize } from "../src/lib/grid";
import { inviteAddress } from "../src/lib/invites";
import { pieces } from "../src/lib/links";
import { advice, mediaFailure } from "../src/lib/mediaFailure";
import { placeTiles } from "../src/lib/order";
import { hueOf, initials } from "../src/lib/people";
import { emailError, nameError, newPasswordError } from "../src/lib/rules";
import { actionFor, isTyping } from "../src/lib/shortcuts";

const named = (name: string, message = "") => Object.assign(new Error(message), { name });

describe("a failed device", () => {
  it("is explained by its cause", () => {
    expect(mediaFailure(named("NotAllowedError"), true)).toBe("blocked");
    expect(mediaFailure(named("NotAllowedError", "Permission denied by system"), true)).toBe("blocked-by-system");
    expect(mediaFailure(named("NotFoundError"), true)).toBe("missing");
    expect(mediaFailure(named("NotReadableError"), true)).toBe("busy");
    expect(mediaFailure("?", true)).toBe("other");
  });

  it("is blamed on the address first when that is not secure", () => {
    expect(mediaFailure(new TypeError("undefined"), false)).toBe("insecure");
  });

  it("comes with something to do", () => {
    expect(advice("camera", "blocked").text).toContain("allow the camera");
    expect(advice("microphone", "missing").title).toBe("No microphone found");
  });
});

describe("the grid", () => {
  it("gives one person the whole stage, within sensible proportions", () => {
    expect(gridFor(1, 1600, 900, 10)).toEqual({ columns: 1, rows: 1, width: 1600, height: 900 });
  });

  it("puts two people beside each other on a wide screen and above each other on a phone", () => {
    expect(gridFor(2, 1600, 800, 10).columns).toBe(2);
    expect(gridFor(2, 390, 700, 10).columns).toBe(1);
  });

  it("never leaves the box", () => {
    for (let count = 1; count <= 25; count++) {
      for (const [width, height] of [[1280, 640], [390, 620], [900, 900]] as const) {
        const grid = gridFor(count, width, height, 10);
        expect(grid.columns * grid.width + (grid.columns - 1) * 10).toBeLessThanOrEqual(width);
        expect(grid.rows * grid.height + (grid.rows - 1) * 10).toBeLessThanOrEqual(height);
        expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
      }
    }
  });

  it("pages before faces become too small", () => {
    expect(pageSize(390, 620)).toBeLessThanOrEqual(12);
    expect(pageSize(0, 0)).toBeGreaterThan(0);
    expect(pageSize(4000, 2000)).toBe(25);
  });
});

describe("places", () => {
  const seat = (key: string, more = {}) => ({ key, local: false, screen: false, speaking: false, ...more });
  const keys = (tiles: { key: string }[]) => tiles.map(({ key }) => key);

  it("keeps people where they were", () => {
    expect(keys(placeTiles(["b", "a"], [seat("a"), seat("b"), seat("c")], 9))).toEqual(["b", "a", "c"]);
  });

  it("shows screens first, then ourselves", () => {
    expect(keys(placeTiles([], [seat("a"), seat("me", { local: true }), seat("s", { screen: true })], 9))).toEqual(["s", "me", "a"]);
  });

  it("brings somebody who speaks onto the first page in place of a silent person", () => {
    const tiles = [seat("a"), seat("b", { speaking: true }), seat("c", { speaking: true })];
    expect(keys(placeTiles(["a", "b", "c"], tiles, 2))).toEqual(["c", "b", "a"]);
  });

  it("leaves everybody in place when all on the first page speak", () => {
    const tiles = [seat("a", { speaking: true }), seat("b", { speaking: true })];
    expect(keys(placeTiles(["a", "b"], tiles, 1))).toEqual(["a", "b"]);
  });
});

describe("shortcuts", () => {
  const press = (key: string, more = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, repeat: false, ...more });

  it("act on single keys only", () => {
    expect(actionFor(press("m"), false, true)).toBe("microphone");
    expect(actionFor(press("V"), false, true)).toBe("camera");
    expect(actionFor(press("m", { ctrlKey: true }), false, true)).toBeUndefined();
    expect(actionFor(press("m", { repeat: true }), false, true)).toBeUndefined();
  });

  it("never act while somebody types", () => {
    expect(actionFor(press("m"), true, true)).toBeUndefined();
    expect(isTyping({ tagName: "TEXTAREA" })).toBe(true);
    expect(isTyping({ tagName: "DIV", isContentEditable: true })).toBe(true);
    expect(isTyping({ tagName: "BUTTON" })).toBe(false);
    expect(isTyping(null)).toBe(false);
  });

  it("can be turned off, except for the help that turns them on", () => {
    expect(actionFor(press("m"), false, false)).toBeUndefined();
    expect(actionFor(press("?"), false, false)).toBe("help");
  });
});

describe("chat text", () => {
  it("finds addresses and leaves the rest as text", () => {
    expect(pieces("see https://example.org/a?b=1, thanks")).toEqual([
      { kind: "text", text: "see " },
      { kind: "link", text: "https://example.org/a?b=1", href: "https://example.org/a?b=1" },
      { kind: "text", text: ", thanks" },
    ]);
  });

  it("makes no link of other schemes or markup", () => {
    expect(pieces("javascript:alert(1) <img src=x>")).toEqual([{ kind: "text", text: "javascript:alert(1) <img src=x>" }]);
  });
});

describe("the end of a call", () => {
  it("knows the server's reasons and survives new ones", () => {
    expect(endReason("PARTICIPANT_REMOVED")).toBe("removed");
    expect(endReason("SOMETHING_NEW")).toBe("unknown");
    expect(endReason(undefined)).toBe("unknown");
  });

  it("offers no way back to somebody who was removed", () => {
    expect(farewell("removed").canReturn).toBe(false);
    expect(farewell("connection-lost").canReturn).toBe(true);
  });
});

describe("problems", () => {
  const answer = (status: number, headers = {}) => new Response(null, { status, headers });

  it("carry the fields of our own documents and of FastAPI's", () => {
    const ours = problemFrom(answer(422), { title: "x", errors: [{ field: "email", message: "is taken" }] });
    expect(ours.field("email")).toBe("Is taken.");
    const listed = problemFrom(answer(422), { fields: [{ field: "webhook_urls.0", message: "no address" }] });
    expect(listed.field("webhook_urls")).toBe("No address.");
    const theirs = problemFrom(answer(422), { detail: [{ loc: ["body", "name"], msg: "Too short" }] });
    expect(theirs.field("name")).toBe("Too short.");
  });

  it("carry the request id from the document or the header", () => {
    expect(problemFrom(answer(500), { request_id: "r1" }).requestId).toBe("r1");
    expect(problemFrom(answer(502, { "X-Request-Id": "r2" }), undefined).requestId).toBe("r2");
  });

  it("say how long to wait", () => {
    expect(problemFrom(answer(429, { "Retry-After": "30" }), {}).sentence).toContain("30 seconds");
    expect(waitInWords(600)).toBe("10 minutes");
  });

  it("wrap whatever was thrown", () => {
    expect(asProblem(new Error("boom"))).toBeInstanceOf(Problem);
    expect(asProblem("?").message).toBe("Something went wrong");
  });
});

describe("people", () => {
  it("have initials in any script", () => {
    expect(initials("ada lovelace")).toBe("AL");
    expect(initials("  Ødegård ")).toBe("Ø");
    expect(initials("")).toBe("?");
  });

  it("keep their hue", () => {
    expect(hueOf("Ada")).toBe(hueOf("Ada"));
    expect(hueOf("Ada")).toBeLessThan(8);
  });
});

describe("forms", () => {
  it("check what can be checked here", () => {
    expect(emailError("ada@example.org")).toBeUndefined();
    expect(emailError("ada")).toBeDefined();
    expect(nameError("  ")).toBe("Enter your name.");
    expect(newPasswordError("short")).toBeDefined();
    expect(newPasswordError("long enough!")).toBeUndefined();
  });

  it("build invite addresses that survive odd codes", () => {
    expect(inviteAddress("http://localhost:8080", "a/b")).toBe("http://localhost:8080/join/a%2Fb");
  });
});
