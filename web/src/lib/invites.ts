import type { JoinPolicy } from "../api/client";

/** The address a guest opens. */
export function inviteAddress(origin: string, code: string): string {
  return `${origin}/join/${encodeURIComponent(code)}`;
}

export function roomAddress(origin: string, roomId: string): string {
  return `${origin}/rooms/${encodeURIComponent(roomId)}`;
}

export const POLICIES: readonly { value: JoinPolicy; title: string; text: string }[] = [
  { value: "invite", title: "By invite", text: "Anyone with the invite address, no account needed" },
  { value: "members", title: "Members only", text: "Only people of your organization" },
  { value: "open", title: "Open", text: "Every account on this server, and guests by the invite address" },
];

export function policyTitle(policy: JoinPolicy): string {
  return POLICIES.find(({ value }) => value === policy)?.title ?? policy;
}
