import { useConnectionState } from "@livekit/components-react";
import { ConnectionState } from "livekit-client";
import { Spinner } from "../ui/controls";

export function ConnectionBanner() {
  const state = useConnectionState();
  const lost = state === ConnectionState.Reconnecting || state === ConnectionState.SignalReconnecting;
  return (
    <div className="call-banner" role="status" data-shown={lost}>
      {lost && (
        <>
          <Spinner /> The connection was interrupted. Reconnecting…
        </>
      )}
    </div>
  );
}
