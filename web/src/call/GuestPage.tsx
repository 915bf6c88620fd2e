import { useQuery } from "@tanstack/react-query";
import { Link2Off } from "lucide-react";
import { Link, useParams } from "react-router";
import { asProblem } from "../api/problem";
import { useTitle } from "../app/useTitle";
import { remembered } from "../lib/remembered";
import { MessagePage, ProblemPage } from "../pages/Problems";
import { useApi, useUser } from "../session/context";
import { buttonClass, Waiting } from "../ui/controls";
import { CallGate } from "./CallGate";

/** Joining by invite: a display name is all it takes. */
export default function GuestPage() {
  const { code = "" } = useParams();
  const api = useApi();
  const user = useUser();
  const query = useQuery({ queryKey: ["invite", code], queryFn: () => api.invite(code), staleTime: Infinity });
  useTitle(query.data?.room.name ?? "Invitation");
  if (query.isPending) return <Waiting what="Looking up the invitation…" />;
  if (query.isError) {
    const problem = asProblem(query.error);
    return problem.status === 404 ? <InviteGone /> : <ProblemPage problem={problem} retry={() => void query.refetch()} />;
  }
  return (
    <CallGate
      key={code}
      room={{ ...query.data.room, invite_code: code }}
      back={`/join/${encodeURIComponent(code)}`}
      knownName={user?.name ?? remembered().name ?? ""}
      askName
      obtain={(displayName) => api.guestToken(code, displayName)}
    />
  );
}

function InviteGone() {
  return (
    <MessagePage
      icon={<Link2Off size={30} />}
      title="This invitation does not work"
      actions={
        <Link className={buttonClass("plain")} to="/">
          Go to AuraLink
        </Link>
      }
    >
      <p>The room may have been deleted, or the address was not copied whole. Ask for a new invitation.</p>
    </MessagePage>
  );
}
