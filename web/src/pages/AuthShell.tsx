/** The frame of sign-in and sign-up: what AuraLink is on one side, the form on the other. */
import { Lock, MonitorUp, Server } from "lucide-react";
import type { ReactNode } from "react";
import { ThemeMenu } from "../ui/ThemeMenu";
import { Brand } from "../ui/Brand";

export function AuthShell({ children }: { children: ReactNode }) {
  return (
    <div className="auth">
      <div className="auth-glow" aria-hidden="true" />
      <header className="auth-top">
        <Brand />
        <ThemeMenu />
      </header>
      <section className="auth-pitch" aria-label="About AuraLink">
        <Rings />
        <p className="auth-claim">Meet on your own ground.</p>
        <ul className="auth-points">
          <li>
            <Server size={18} aria-hidden="true" />
            Calls run on this server, nobody else’s
          </li>
          <li>
            <Lock size={18} aria-hidden="true" />
            Encrypted on the way, always
          </li>
          <li>
            <MonitorUp size={18} aria-hidden="true" />
            Nothing to install, guests need no account
          </li>
        </ul>
      </section>
      <main className="auth-form" id="main">
        {children}
      </main>
    </div>
  );
}

function Rings() {
  return (
    <svg className="rings" viewBox="0 0 240 130" aria-hidden="true">
      <path d="M20 120a100 100 0 0 1 200 0" />
      <path d="M52 120a68 68 0 0 1 136 0" />
      <path d="M84 120a36 36 0 0 1 72 0" />
      <circle cx="120" cy="116" r="11" />
    </svg>
  );
}
