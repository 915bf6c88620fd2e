/** How loud a microphone is, as bars that move without rendering React sixty times a second. */
import { createAudioAnalyser, type LocalAudioTrack } from "livekit-client";
import { useEffect, useRef } from "react";

const BARS = 14;

export function Level({ track }: { track: LocalAudioTrack | undefined }) {
  const meter = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!track) return;
    const { calculateVolume, cleanup } = createAudioAnalyser(track, { cloneTrack: true, smoothingTimeConstant: 0.5 });
    let frame = 0;
    let spoken = -1;
    const draw = () => {
      const level = Math.min(1, calculateVolume() * 1.6);
      const element = meter.current;
      if (element) {
        const lit = Math.round(level * BARS);
        [...element.children].forEach((bar, index) => bar.classList.toggle("lit", index < lit));
        // In steps, so that assistive technology is not flooded.
        const percent = Math.round(level * 4) * 25;
        if (percent !== spoken) element.setAttribute("aria-valuenow", String((spoken = percent)));
      }
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(frame);
      void cleanup();
    };
  }, [track]);
  return (
    <div className="level" ref={meter} role="meter" aria-label="Microphone level" aria-valuemin={0} aria-valuemax={100} aria-valuenow={0}>
      {Array.from({ length: BARS }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}
