import { useQuery } from "@tanstack/react-query";
import { useParams } from "react-router";
import { asProblem } from "../api/problem";
import { useTitle } from "../app/useTitle";
import { NotFoundPage, ProblemPage } from "../pages/Problems";
import { useApi, useUser } from "../session/context";
import { Waiting } from "../ui/controls";
import { CallGate } from "./CallGate";

export default function RoomPage() {
  const { roomId = "" } = useParams();
  const api = useApi();
  const user = useUser();
  const query = useQuery({ queryKey: ["room", roomId], queryFn: () => api.room(roomId), staleTime: Infinity });
  useTitle(query.data?.name ?? "Room");
  if (query.isPending) return <Waiting what="Opening the room…" />;
  if (query.isError) {
    const problem = asProblem(query.error);
    return problem.status === 404 ? <NotFoundPage /> : <ProblemPage problem={problem} retry={() => void query.refetch()} />;
  }
  return (
    <CallGate
      key={roomId}
      room={query.data}
      back={`/rooms/${roomId}`}
      knownName={user?.name ?? ""}
      askName={false}
      remove={query.data.created_by === user?.id ? (identity) => api.removeParticipant(roomId, identity) : undefined}
      obtain={(displayName) => api.roomToken(roomId, displayName)}
    />
  );
}
