import { useInfiniteQuery } from "@tanstack/react-query";
import { DoorOpen, Plus, RefreshCw, ServerCrash } from "lucide-react";
import { useState } from "react";
import type { Room } from "../api/client";
import { asProblem } from "../api/problem";
import { useTitle } from "../app/useTitle";
import { useApi, useUser } from "../session/context";
import { Button, Notice } from "../ui/controls";
import { CreateRoomDialog } from "./CreateRoomDialog";
import { DeleteRoomDialog } from "./DeleteRoomDialog";
import { ROOMS_KEY } from "./keys";
import { RoomCard } from "./RoomCard";
import { TopBar } from "./TopBar";


export function HomePage() {
  useTitle("Your rooms");
  const user = useUser();
  const [creating, setCreating] = useState(false);
  return (
    <>
      <TopBar />
      <main className="page" id="main">
        <div className="page-head">
          <div>
            <h1>{greeting(new Date().getHours())}, {firstName(user?.name ?? "")}</h1>
            <p className="soft">Open a room to start a call, or make a new one.</p>
          </div>
          <Button look="primary" onClick={() => setCreating(true)}>
            <Plus size={18} aria-hidden="true" />
            New room
          </Button>
        </div>
        <RoomList onCreate={() => setCreating(true)} />
      </main>
      {creating && <CreateRoomDialog onClose={() => setCreating(false)} />}
    </>
  );
}

function RoomList({ onCreate }: { onCreate: () => void }) {
  const api = useApi();
  const [deleting, setDeleting] = useState<Room | null>(null);
  const list = useInfiniteQuery({
    queryKey: ROOMS_KEY,
    queryFn: ({ pageParam }) => api.rooms(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });

  if (list.isPending) return <Skeletons />;
  if (list.isError) {
    const problem = asProblem(list.error);
    return (
      <Notice alert tone="danger" icon={<ServerCrash size={18} />} title={problem.message}>
        <span>{problem.sentence}</span>
        {problem.requestId && <span className="request-id">Request <code>{problem.requestId}</code></span>}
        <span>
          <Button onClick={() => void list.refetch()} busy={list.isFetching}>
            <RefreshCw size={16} aria-hidden="true" /> Try again
          </Button>
        </span>
      </Notice>
    );
  }
  const rooms = list.data.pages.flatMap((page) => page.items);
  if (rooms.length === 0) return <NoRooms onCreate={onCreate} />;
  return (
    <>
      <ul className="rooms" aria-label="Rooms">
        {rooms.map((room) => (
          <RoomCard key={room.id} room={room} onDelete={() => setDeleting(room)} />
        ))}
      </ul>
      {list.hasNextPage && (
        <div className="more">
          <Button onClick={() => void list.fetchNextPage()} busy={list.isFetchingNextPage}>
            Show more rooms
          </Button>
        </div>
      )}
      {deleting && <DeleteRoomDialog room={deleting} onClose={() => setDeleting(null)} />}
    </>
  );
}

function NoRooms({ onCreate }: { onCreate: () => void }) {
  return (
    <div className="empty">
      <div className="empty-icon" aria-hidden="true">
        <DoorOpen size={30} />
      </div>
      <h2>Your first room</h2>
      <p className="soft">A room is a place with its own address. Make one, send the invite, and talk.</p>
      <Button look="primary" large onClick={onCreate}>
        <Plus size={18} aria-hidden="true" />
        Create a room
      </Button>
    </div>
  );
}

function Skeletons() {
  return (
    <div className="rooms" role="status" aria-label="Loading your rooms">
      {[0, 1, 2].map((index) => (
        <div key={index} className="room-card skeleton" />
      ))}
    </div>
  );
}

function greeting(hour: number): string {
  if (hour < 5) return "Good evening";
  if (hour < 12) return "Good morning";
  return hour < 18 ? "Good afternoon" : "Good evening";
}

function firstName(name: string): string {
  return name.trim().split(/\s+/)[0] ?? name;
}
