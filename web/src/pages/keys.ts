export const ROOMS_KEY = ["rooms"] as const;
