import { useRoomContext } from "@livekit/components-react";
import { RoomEvent, Track, type Participant, type RemoteParticipant, type RemoteTrackPublication } from "livekit-client";
import { useEffect } from "react";
import { announce, toast } from "../ui/toasts";

/** Says who comes, who goes and who shares, to eyes and to screen readers. */
export function useAnnouncements(): void {
  const room = useRoomContext();
  useEffect(() => {
    const say = (text: string) => {
      toast(text);
      announce(text);
    };
    const joined = (who: Participant) => say(`${shownName(who)} joined`);
    const left = (who: Participant) => say(`${shownName(who)} left`);
    const published = (publication: RemoteTrackPublication, who: RemoteParticipant) => {
      if (publication.source === Track.Source.ScreenShare) say(`${shownName(who)} is sharing a screen`);
    };
    room.on(RoomEvent.ParticipantConnected, joined);
    room.on(RoomEvent.ParticipantDisconnected, left);
    room.on(RoomEvent.TrackPublished, published);
    return () => {
      room.off(RoomEvent.ParticipantConnected, joined);
      room.off(RoomEvent.ParticipantDisconnected, left);
      room.off(RoomEvent.TrackPublished, published);
    };
  }, [room]);
}

export function shownName(who: Pick<Participant, "name" | "identity">): string {
  return who.name || who.identity;
}
