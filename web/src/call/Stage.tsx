/** Who is seen, where, and how large. */
import { useSpeakingParticipants, useTracks, type TrackReferenceOrPlaceholder } from "@livekit/components-react";
import { ChevronLeft, ChevronRight, Link2 } from "lucide-react";
import { Track } from "livekit-client";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import { gridFor, pageSize } from "../lib/grid";
import { placeTiles, type Placed } from "../lib/order";
import { Button, IconButton } from "../ui/controls";
import { SharingCard, Tile } from "./Tile";

export type Layout = "grid" | "speaker";

interface Seat extends Placed {
  track: TrackReferenceOrPlaceholder;
}

const GAP = 10;

interface Props {
  layout: Layout;
  onLayout: (layout: Layout) => void;
  onStopSharing: () => void;
  onShare: () => void;
}

export function Stage({ layout, onLayout, onStopSharing, onShare }: Props) {
  const [pinned, setPinned] = useState<string | null>(null);
  const [box, size] = useSize();
  const seats = useSeats(pageSize(size.width, size.height));
  const main = mainSeat(seats, pinned, layout);

  const pin = (key: string) => {
    const next = pinned === key ? null : key;
    setPinned(next);
    if (next) onLayout("speaker");
  };
  const tile = (seat: Seat, large = false) =>
    seat.screen && seat.local ? (
      <SharingCard key={seat.key} onStop={onStopSharing} />
    ) : (
      <Tile key={seat.key} track={seat.track} large={large} pinned={pinned === seat.key} onPin={() => pin(seat.key)} />
    );

  if (main) {
    const others = seats.filter((seat) => seat !== main);
    return (
      <div className="speaker-layout" data-alone={others.length === 0}>
        <div className="speaker-main">{tile(main, true)}</div>
        {others.length > 0 && <div className="speaker-strip">{others.map((seat) => tile(seat))}</div>}
      </div>
    );
  }
  return (
    <div className="grid-box" ref={box}>
      <PagedGrid seats={seats} size={size} render={(seat) => tile(seat)} />
      {seats.every((seat) => seat.local) && <Alone onShare={onShare} />}
    </div>
  );
}

function Alone({ onShare }: { onShare: () => void }) {
  return (
    <div className="alone">
      <p>
        <strong>Nobody else is here yet.</strong> Send them the address.
      </p>
      <Button look="primary" onClick={onShare}>
        <Link2 size={17} aria-hidden="true" /> Copy the invite
      </Button>
    </div>
  );
}

function PagedGrid({ seats, size, render }: { seats: Seat[]; size: Size; render: (seat: Seat) => React.ReactNode }) {
  const [wanted, setPage] = useState(0);
  const perPage = pageSize(size.width, size.height);
  const pages = Math.max(1, Math.ceil(seats.length / perPage));
  const page = Math.min(wanted, pages - 1);
  const shown = seats.slice(page * perPage, (page + 1) * perPage);
  const grid = gridFor(shown.length, size.width, size.height, GAP);
  const ref = useRef<HTMLDivElement>(null);

  // Through the object model, not a style attribute: the content security policy refuses the latter.
  useLayoutEffect(() => {
    const style = ref.current?.style;
    style?.setProperty("--columns", String(grid.columns));
    style?.setProperty("--tile-width", `${grid.width}px`);
    style?.setProperty("--tile-height", `${grid.height}px`);
  }, [grid.columns, grid.width, grid.height]);

  return (
    <>
      <div className="grid" ref={ref}>
        {shown.map(render)}
      </div>
      {pages > 1 && (
        <nav className="grid-pages" aria-label="Pages of people">
          <IconButton label="Previous people" disabled={page === 0} onClick={() => setPage(page - 1)}>
            <ChevronLeft size={20} />
          </IconButton>
          <span aria-live="polite">
            {page + 1} of {pages}
          </span>
          <IconButton label="More people" disabled={page === pages - 1} onClick={() => setPage(page + 1)}>
            <ChevronRight size={20} />
          </IconButton>
        </nav>
      )}
    </>
  );
}

function useSeats(perPage: number): Seat[] {
  const tracks = useTracks(
    [
      { source: Track.Source.Camera, withPlaceholder: true },
      { source: Track.Source.ScreenShare, withPlaceholder: false },
    ],
    { onlySubscribed: false },
  );
  const speakers = useSpeakingParticipants();
  const [order, setOrder] = useState<readonly string[]>([]);
  const seats = useMemo(() => {
    const speaking = new Set(speakers.map(({ identity }) => identity));
    return placeTiles(order, tracks.map((track) => seatOf(track, speaking)), perPage);
  }, [order, tracks, speakers, perPage]);
  const next = seats.map(({ key }) => key);
  if (next.join("\n") !== order.join("\n")) setOrder(next);
  return seats;
}

function seatOf(track: TrackReferenceOrPlaceholder, speaking: ReadonlySet<string>): Seat {
  const { participant, source } = track;
  return {
    key: `${participant.identity}/${source}`,
    local: participant.isLocal,
    screen: source === Track.Source.ScreenShare,
    speaking: speaking.has(participant.identity),
    track,
  };
}

/** A pinned tile, else somebody's shared screen, else in speaker layout the person who talks. */
function mainSeat(seats: Seat[], pinned: string | null, layout: Layout): Seat | undefined {
  const byPin = seats.find(({ key }) => key === pinned);
  if (byPin && layout === "speaker") return byPin;
  const screen = seats.find((seat) => seat.screen && !seat.local);
  if (screen) return screen;
  if (layout === "grid") return undefined;
  const remote = seats.filter((seat) => !seat.local && !seat.screen);
  return remote.find(({ speaking }) => speaking) ?? remote[0] ?? seats[0];
}

interface Size {
  width: number;
  height: number;
}

function useSize(): [React.RefCallback<HTMLElement>, Size] {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  const ref = useRef<React.RefCallback<HTMLElement>>((element) => {
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  });
  // eslint-disable-next-line react-hooks/refs -- the callback is made once and never changes
  return [ref.current, size];
}
