/** Errors as people and fields see them. The server sends RFC 9457 problem documents; the network sends nothing. */

export interface FieldProblem {
  field: string;
  message: string;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string | undefined;
  readonly requestId: string | undefined;
  readonly fields: readonly FieldProblem[];
  /** Seconds the server asks us to wait. */
  readonly retryAfter: number | undefined;

  constructor(from: {
    status: number;
    code: string;
    title: string;
    detail?: string | undefined;
    requestId?: string | undefined;
    fields?: readonly FieldProblem[];
    retryAfter?: number | undefined;
  }) {
    super(from.title);
    this.name = "Problem";
    this.status = from.status;
    this.code = from.code;
    this.detail = from.detail;
    this.requestId = from.requestId;
    this.fields = from.fields ?? [];
    this.retryAfter = from.retryAfter;
  }

  /** What to show where one sentence fits. */
  get sentence(): string {
    if (this.status === 429 && this.retryAfter !== undefined) {
      return `Too many attempts. Please wait ${waitInWords(this.retryAfter)} and try again.`;
    }
    return this.detail ?? this.message;
  }

  field(name: string): string | undefined {
    return this.fields.find((problem) => problem.field === name)?.message;
  }
}

export function waitInWords(seconds: number): string {
  if (seconds < 90) return seconds <= 1 ? "a second" : `${Math.ceil(seconds)} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

export function unreachable(): Problem {
  return new Problem({
    status: 0,
    code: "unreachable",
    title: "The server cannot be reached",
    detail: "AuraLink does not answer. Check your connection, or whether the server is running, and try again.",
  });
}

/** A problem from an answer that was not ok. Understands problem+json and FastAPI's own validation errors. */
export function problemFrom(response: Response, body: unknown): Problem {
  const document = isRecord(body) ? body : {};
  const retryAfter = Number(response.headers.get("Retry-After"));
  return new Problem({
    status: response.status,
    code: text(document["code"]) ?? `http_${response.status}`,
    title: text(document["title"]) ?? fallbackTitle(response.status),
    detail: text(document["detail"]),
    requestId: text(document["request_id"]) ?? response.headers.get("X-Request-Id") ?? undefined,
    fields: fieldProblems(document["errors"] ?? document["fields"] ?? document["detail"]),
    retryAfter: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined,
  });
}

function fieldProblems(value: unknown): FieldProblem[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).flatMap((item) => {
    const loc: unknown = item["loc"];
    const field = text(item["field"]) ?? (Array.isArray(loc) ? text(loc.at(-1)) : undefined);
    const message = text(item["message"]) ?? text(item["msg"]);
    return field && message ? [{ field: inputOf(field), message: sentenceCase(message) }] : [];
  });
}

function sentenceCase(message: string): string {
  const trimmed = message.trim();
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

function fallbackTitle(status: number): string {
  if (status === 404) return "Not found";
  if (status === 401) return "Please sign in";
  if (status === 403) return "Not allowed";
  if (status === 429) return "Too many attempts";
  if (status === 502 || status === 503 || status === 504) return "The server is not ready";
  return "Something went wrong on our side";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const title = error instanceof Error ? error.message : "Something went wrong";
  return new Problem({ status: 0, code: "unexpected", title });
}

/** The name of the input a problem belongs to: the last step of its place that is no position in a list. */
function inputOf(place: string): string {
  return place.split(".").findLast((step) => !/^\d+$/.test(step)) ?? place;
}
