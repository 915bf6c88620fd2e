import { useLocalParticipant, type ReceivedChatMessage } from "@livekit/components-react";
import { useEffect, useRef, useState } from "react";
import { announce, toast } from "../ui/toasts";

const SHOWN_CHARACTERS = 90;

/** How many messages came while the chat was closed; each of those is also shown and read out once. */
export function useUnread(messages: readonly ReceivedChatMessage[], reading: boolean): number {
  const { localParticipant } = useLocalParticipant();
  const [seen, setSeen] = useState(0);
  const told = useRef(0);

  if (reading && seen !== messages.length) setSeen(messages.length);

  useEffect(() => {
    const fresh = messages.slice(told.current);
    told.current = messages.length;
    if (reading) return;
    for (const { from, message } of fresh) {
      if (from?.identity === localParticipant.identity) continue;
      const text = `${from?.name || "Somebody"}: ${message.slice(0, SHOWN_CHARACTERS)}`;
      toast(text);
      announce(text);
    }
  }, [messages, reading, localParticipant]);

  return reading ? 0 : messages.length - seen;
}
