import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleAlert } from "lucide-react";
import type { Room } from "../api/client";
import { asProblem } from "../api/problem";
import { useApi } from "../session/context";
import { Button, Notice } from "../ui/controls";
import { Dialog } from "../ui/Dialog";
import { toast } from "../ui/toasts";
import { ROOMS_KEY } from "./keys";

export function DeleteRoomDialog({ room, onClose }: { room: Room; onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const removal = useMutation({
    mutationFn: () => api.deleteRoom(room.id),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ROOMS_KEY });
      toast(`“${room.name}” is deleted`);
      onClose();
    },
  });
  const problem = removal.error ? asProblem(removal.error) : null;
  return (
    <Dialog title={`Delete “${room.name}”?`} onClose={onClose}>
      <p className="soft">A call in it ends for everybody, and its invite address stops working. This cannot be undone.</p>
      {problem && (
        <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={problem.message}>
          {problem.detail}
        </Notice>
      )}
      <div className="dialog-actions">
        <Button look="quiet" onClick={onClose}>
          Keep it
        </Button>
        <Button look="danger" busy={removal.isPending} onClick={() => removal.mutate()}>
          Delete room
        </Button>
      </div>
    </Dialog>
  );
}
