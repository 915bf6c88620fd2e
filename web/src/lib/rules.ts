/** What a form can say before the server is asked. The server has the last word. */

export const SHORTEST_PASSWORD = 10;
export const LONGEST_NAME = 80;

export function emailError(email: string): string | undefined {
  if (!email.trim()) return "Enter your e-mail address.";
  return /^[^\s@]+@[^\s@]+$/.test(email.trim()) ? undefined : "This does not look like an e-mail address.";
}

export function newPasswordError(password: string): string | undefined {
  if (!password) return "Choose a password.";
  if (Array.from(password).length < SHORTEST_PASSWORD) return `Use at least ${SHORTEST_PASSWORD} characters.`;
  return undefined;
}

export function nameError(name: string, what = "your name"): string | undefined {
  if (!name.trim()) return `Enter ${what}.`;
  return Array.from(name.trim()).length > LONGEST_NAME ? `Use at most ${LONGEST_NAME} characters.` : undefined;
}
