/** Pages for when something is not there or did not work. The request id lets an operator find the log line. */
import { Compass, ServerCrash } from "lucide-react";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Problem } from "../api/problem";
import { useTitle } from "../app/useTitle";
import { Mark } from "../ui/Brand";
import { Button, buttonClass } from "../ui/controls";

export function MessagePage({ icon, title, children, actions }: { icon: ReactNode; title: string; children: ReactNode; actions: ReactNode }) {
  return (
    <main className="message" id="main">
      <div className="auth-glow" aria-hidden="true" />
      <div className="message-icon" aria-hidden="true">
        {icon}
      </div>
      <h1>{title}</h1>
      <div className="message-text">{children}</div>
      <div className="message-actions">{actions}</div>
      <div className="message-brand">
        <Mark size={22} /> AuraLink
      </div>
    </main>
  );
}

export function NotFoundPage() {
  useTitle("Not found");
  return (
    <MessagePage
      icon={<Compass size={30} />}
      title="There is nothing here"
      actions={
        <Link className={buttonClass("primary")} to="/">
          Go to your rooms
        </Link>
      }
    >
      <p>The address may be mistyped, or what it led to has been deleted.</p>
    </MessagePage>
  );
}

export function ProblemPage({ problem, retry }: { problem: Problem; retry?: (() => void) | undefined }) {
  useTitle(problem.message);
  return (
    <MessagePage
      icon={<ServerCrash size={30} />}
      title={problem.message}
      actions={
        <>
          {retry && (
            <Button look="primary" onClick={retry}>
              Try again
            </Button>
          )}
          <a className={buttonClass("plain")} href="/">
            Go to your rooms
          </a>
        </>
      }
    >
      <p>{problem.sentence === problem.message ? "Please try again in a moment." : problem.sentence}</p>
      {problem.requestId && (
        <p className="request-id">
          Request <code>{problem.requestId}</code>
        </p>
      )}
    </MessagePage>
  );
}
