import { useId } from "react";

export function Mark({ size = 30 }: { size?: number }) {
  const gradient = useId();
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <defs>
        <linearGradient id={gradient} x1="0" y1="0" x2="1" y2="1">
          <stop offset="0" stopColor="#5ff2c6" />
          <stop offset="1" stopColor="#1693a5" />
        </linearGradient>
      </defs>
      <rect width="32" height="32" rx="9" fill="#0c1413" />
      <path d="M7 22a9 9 0 0 1 18 0" fill="none" stroke={`url(#${gradient})`} strokeWidth="3.4" strokeLinecap="round" />
      <circle cx="16" cy="21" r="3.2" fill={`url(#${gradient})`} />
    </svg>
  );
}

export function Brand() {
  return (
    <span className="brand">
      <Mark />
      AuraLink
    </span>
  );
}
