import { PhoneOff, RotateCcw, Unplug, UserRoundX } from "lucide-react";
import { Link, useLocation } from "react-router";
import { useTitle } from "../app/useTitle";
import { farewell, isEndReason, type EndReason } from "../lib/farewell";
import { useUser } from "../session/context";
import { buttonClass } from "../ui/controls";
import { MessagePage } from "./Problems";

export interface EndedState {
  reason: EndReason;
  roomName: string;
  /** Where the room is entered again. */
  back: string;
}

const ICONS: Partial<Record<EndReason, typeof PhoneOff>> = { removed: UserRoundX, "connection-lost": Unplug };

export function EndedPage() {
  const state = endedState(useLocation().state);
  const { title, text, canReturn } = farewell(state.reason);
  const user = useUser();
  useTitle(title);
  const Icon = ICONS[state.reason] ?? PhoneOff;
  return (
    <MessagePage
      icon={<Icon size={30} />}
      title={title}
      actions={
        <>
          {canReturn && state.back && (
            <Link className={buttonClass("primary")} to={state.back}>
              <RotateCcw size={17} aria-hidden="true" /> Join again
            </Link>
          )}
          <Link className={buttonClass("plain")} to="/">
            {user ? "Your rooms" : "Sign in"}
          </Link>
        </>
      }
    >
      {state.roomName && <p className="strong">{state.roomName}</p>}
      <p>{text}</p>
    </MessagePage>
  );
}

function endedState(value: unknown): EndedState {
  const state = typeof value === "object" && value !== null ? (value as Partial<Record<keyof EndedState, unknown>>) : {};
  return {
    reason: isEndReason(state.reason) ? state.reason : "unknown",
    roomName: typeof state.roomName === "string" ? state.roomName : "",
    back: typeof state.back === "string" && state.back.startsWith("/") ? state.back : "",
  };
}
