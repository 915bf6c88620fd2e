import { useLocalParticipant, type ReceivedChatMessage } from "@livekit/components-react";
import { SendHorizontal, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { pieces } from "../lib/links";
import { Avatar } from "../ui/Avatar";
import { IconButton } from "../ui/controls";
import { toast } from "../ui/toasts";

const LONGEST_MESSAGE = 4_000;

export function ChatPanel({ messages, send, onClose }: { messages: readonly ReceivedChatMessage[]; send: (message: string) => Promise<unknown>; onClose: () => void }) {
  const { localParticipant } = useLocalParticipant();
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [messages.length]);
  return (
    <aside className="call-panel" aria-label="Chat">
      <div className="panel-head">
        <h2>Chat</h2>
        <IconButton label="Close chat" onClick={onClose}>
          <X size={19} />
        </IconButton>
      </div>
      <div className="chat-log" role="log" aria-label="Messages" aria-live="polite" tabIndex={0}>
        {messages.length === 0 && <p className="panel-empty">Messages are seen by everybody in the call and are gone when it ends.</p>}
        {messages.map((message, index) => (
          <Message
            key={message.id}
            message={message}
            own={message.from?.identity === localParticipant.identity}
            continued={messages[index - 1]?.from?.identity === message.from?.identity}
          />
        ))}
        <div ref={end} />
      </div>
      <Composer send={send} />
    </aside>
  );
}

function Message({ message, own, continued }: { message: ReceivedChatMessage; own: boolean; continued: boolean }) {
  const name = message.from?.name || message.from?.identity || "Somebody";
  const time = new Date(message.timestamp);
  return (
    <div className="chat-message" data-own={own} data-continued={continued}>
      {!own && !continued && <Avatar name={name} />}
      <div className="chat-bubble">
        {!continued && (
          <div className="chat-from">
            <span>{own ? "You" : name}</span>
            <time dateTime={time.toISOString()}>{time.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}</time>
          </div>
        )}
        <p>
          {pieces(message.message).map((piece, index) =>
            piece.kind === "link" ? (
              <a key={index} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
                {piece.text}
              </a>
            ) : (
              <span key={index}>{piece.text}</span>
            ),
          )}
        </p>
      </div>
    </div>
  );
}

function Composer({ send }: { send: (message: string) => Promise<unknown> }) {
  const [draft, setDraft] = useState("");
  const [sending, setSending] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);

  const submit = async () => {
    const message = draft.trim();
    if (!message || sending) return;
    setSending(true);
    try {
      await send(message);
      setDraft("");
    } catch {
      toast("The message was not sent. Try again.", "danger");
    } finally {
      setSending(false);
      field.current?.focus();
    }
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <textarea
        ref={field}
        className="input"
        aria-label="Message"
        placeholder="Write to everybody"
        rows={1}
        maxLength={LONGEST_MESSAGE}
        autoFocus
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          void submit();
        }}
      />
      <button type="submit" className="send" aria-label="Send message" title="Send" disabled={!draft.trim() || sending}>
        <SendHorizontal size={19} />
      </button>
    </form>
  );
}
