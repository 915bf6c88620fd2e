export const ROOMS_KEY = ["rooms"] as const;
export const ORGANIZATIONS_KEY = ["organizations"] as const;
export const API_KEYS_KEY = ["api-keys"] as const;
